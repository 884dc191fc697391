//! Operators of Burn's modules: convolutions, norms, pooling, attention, activations.

use super::{Kernel, Table};
use burn::backend::Dispatch;
use burn::backend::ir::{ActivationOperationIr, ModuleOperationIr as Op};
use burn::backend::ops::{ActivationOps, ModuleOps, UnfoldOptions};

/// Makes the kernel of a convolution: an input, a weight and an optional bias.
macro_rules! conv {
    ($table:ident, $op:ident, $conv:ident) => {
        $table.apply_optional([&$op.x, &$op.weight], [&$op.bias], &$op.out, $op, |[x, weight], [bias], op| {
            Dispatch::$conv(x, weight, bias, op.options.clone().into())
        })
    };
}

/// Makes the kernel of a pooling, whose function takes the input, the window and `$parameter`s.
macro_rules! pool {
    ($table:ident, $op:ident, $pool:ident, $($parameter:ident),+) => {
        $table.apply([&$op.x], &$op.out, $op, |[x], op| {
            Dispatch::$pool(x, op.kernel_size, op.stride, op.padding, $(op.$parameter),+)
        })
    };
}

/// Makes the kernel of a max pooling that also returns the indices of the maxima.
macro_rules! max_pool_with_indices {
    ($table:ident, $op:ident, $pool:ident) => {
        $table.apply_with_indices(&$op.x, [&$op.out, &$op.out_indices], $op, |x, op| {
            let dtype = op.out_indices.dtype.into();
            let pooled =
                Dispatch::$pool(x, op.kernel_size, op.stride, op.padding, op.dilation, op.ceil_mode, dtype);
            (pooled.output, pooled.indices)
        })
    };
}

/// Makes the kernel of an adaptive average pooling.
macro_rules! adaptive_pool {
    ($table:ident, $op:ident, $pool:ident) => {
        $table.apply([&$op.x], &$op.out, $op, |[x], op| Dispatch::$pool(x, op.output_size))
    };
}

impl Table<'_> {
    pub(super) fn module(&mut self, op: &Op) -> Option<Kernel> {
        Some(match op {
            Op::BatchNorm(op) => {
                let inputs = [&op.x, &op.gamma, &op.beta, &op.mean, &op.variance];
                self.apply(inputs, &op.out, op, |[x, gamma, beta, mean, variance], op| {
                    Dispatch::batch_norm(x, gamma, beta, mean, variance, op.epsilon.elem())
                })
            }
            Op::LayerNorm(op) => {
                let inputs = [&op.input, &op.gamma];
                self.apply_optional(inputs, [&op.beta], &op.out, op, |[x, gamma], [beta], op| {
                    Dispatch::layer_norm(x, gamma, beta, op.epsilon.elem())
                })
            }
            Op::Embedding(op) => self.binary([&op.weights, &op.indices], &op.out, Dispatch::embedding),
            Op::Linear(op) => {
                self.apply_optional([&op.x, &op.weight], [&op.bias], &op.out, op, |[x, weight], [bias], _| {
                    Dispatch::linear(x, weight, bias)
                })
            }
            Op::Conv1d(op) => conv!(self, op, conv1d),
            Op::Conv2d(op) => conv!(self, op, conv2d),
            Op::Conv3d(op) => conv!(self, op, conv3d),
            Op::ConvTranspose1d(op) => conv!(self, op, conv_transpose1d),
            Op::ConvTranspose2d(op) => conv!(self, op, conv_transpose2d),
            Op::ConvTranspose3d(op) => conv!(self, op, conv_transpose3d),
            Op::DeformableConv2d(op) => self.apply_optional(
                [&op.x, &op.offset, &op.weight],
                [&op.mask, &op.bias],
                &op.out,
                op,
                |[x, offset, weight], [mask, bias], op| {
                    Dispatch::deform_conv2d(x, offset, weight, mask, bias, op.options.clone().into())
                },
            ),
            Op::AvgPool1d(op) => pool!(self, op, avg_pool1d, count_include_pad, ceil_mode),
            Op::AvgPool2d(op) => pool!(self, op, avg_pool2d, count_include_pad, ceil_mode),
            Op::AdaptiveAvgPool1d(op) => adaptive_pool!(self, op, adaptive_avg_pool1d),
            Op::AdaptiveAvgPool2d(op) => adaptive_pool!(self, op, adaptive_avg_pool2d),
            Op::AdaptiveAvgPool3d(op) => adaptive_pool!(self, op, adaptive_avg_pool3d),
            Op::MaxPool1d(op) => pool!(self, op, max_pool1d, dilation, ceil_mode),
            Op::MaxPool2d(op) => pool!(self, op, max_pool2d, dilation, ceil_mode),
            Op::MaxPool1dWithIndices(op) => max_pool_with_indices!(self, op, max_pool1d_with_indices),
            Op::MaxPool2dWithIndices(op) => max_pool_with_indices!(self, op, max_pool2d_with_indices),
            Op::Interpolate(op) => self.apply([&op.x], &op.out, op, |[x], op| {
                Dispatch::interpolate(x, op.output_size, op.options.clone().into())
            }),
            Op::Attention(op) => self.apply_optional(
                [&op.query, &op.key, &op.value],
                [&op.mask, &op.attn_bias],
                &op.out,
                op,
                |[q, k, v], [mask, bias], op| {
                    Dispatch::attention(q, k, v, mask, bias, op.options.clone().into())
                },
            ),
            Op::Unfold4d(op) => self.apply([&op.x], &op.out, op, |[x], op| {
                let options = UnfoldOptions::new(op.options.stride, op.options.padding, op.options.dilation);
                Dispatch::unfold4d(x, op.kernel_size, options)
            }),
            _ => return None,
        })
    }

    pub(super) fn activation(&mut self, op: &ActivationOperationIr) -> Option<Kernel> {
        use ActivationOperationIr as A;
        Some(match op {
            A::Relu(op) => self.unary(&op.input, &op.out, Dispatch::relu),
            A::LeakyRelu(op) => self.with_scalar(op, Dispatch::leaky_relu),
            A::PRelu(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::prelu),
            A::Gelu(op) => self.unary(&op.input, &op.out, Dispatch::gelu),
            A::Sigmoid(op) => self.unary(&op.input, &op.out, Dispatch::sigmoid),
            A::HardSigmoid(op) => self.apply([&op.tensor], &op.out, op, |[x], op| {
                Dispatch::hard_sigmoid(x, op.alpha.into(), op.beta.into())
            }),
            A::LogSigmoid(op) => self.unary(&op.input, &op.out, Dispatch::log_sigmoid),
            A::Softmax(op) => self.apply([&op.input], &op.out, op, |[x], op| Dispatch::softmax(x, op.axis)),
            A::LogSoftmax(op) => {
                self.apply([&op.input], &op.out, op, |[x], op| Dispatch::log_softmax(x, op.axis))
            }
            A::Softmin(op) => self.apply([&op.input], &op.out, op, |[x], op| Dispatch::softmin(x, op.axis)),
            A::ReluBackward(_) | A::GeluBackward(_) | A::SigmoidBackward(_) | A::LogSigmoidBackward(_) => {
                return None;
            }
        })
    }
}
