//! The operators that Burn's modules are computed by: convolutions, norms, pooling, attention, activations.

use super::{Kernel, Table};
use burn::backend::Dispatch;
use burn::backend::ir::{ActivationOperationIr, ModuleOperationIr as Op};
use burn::backend::ops::{ActivationOps, ModuleOps, UnfoldOptions};

impl Table<'_> {
    pub(super) fn module(&mut self, op: &Op) -> Option<Kernel> {
        Some(match op {
            Op::BatchNorm(op) => {
                let epsilon: f64 = op.epsilon.elem();
                let inputs = [&op.x, &op.gamma, &op.beta, &op.mean, &op.variance];
                self.many(inputs, &op.out, move |[x, gamma, beta, mean, variance]| {
                    Dispatch::batch_norm(x, gamma, beta, mean, variance, epsilon)
                })
            }
            Op::LayerNorm(op) => {
                let epsilon: f64 = op.epsilon.elem();
                self.optional([&op.input, &op.gamma], [&op.beta], &op.out, move |[x, gamma], [beta]| {
                    Dispatch::layer_norm(x, gamma, beta, epsilon)
                })
            }
            Op::Embedding(op) => self.binary([&op.weights, &op.indices], &op.out, Dispatch::embedding),
            Op::Linear(op) => {
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, |[x, weight], [bias]| {
                    Dispatch::linear(x, weight, bias)
                })
            }
            Op::Conv1d(op) => {
                let options = op.options.clone();
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, move |[x, weight], [bias]| {
                    Dispatch::conv1d(x, weight, bias, options.clone().into())
                })
            }
            Op::Conv2d(op) => {
                let options = op.options.clone();
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, move |[x, weight], [bias]| {
                    Dispatch::conv2d(x, weight, bias, options.clone().into())
                })
            }
            Op::Conv3d(op) => {
                let options = op.options.clone();
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, move |[x, weight], [bias]| {
                    Dispatch::conv3d(x, weight, bias, options.clone().into())
                })
            }
            Op::DeformableConv2d(op) => {
                let options = op.options.clone();
                let inputs = [&op.x, &op.offset, &op.weight];
                self.optional(
                    inputs,
                    [&op.mask, &op.bias],
                    &op.out,
                    move |[x, offset, weight], [mask, bias]| {
                        Dispatch::deform_conv2d(x, offset, weight, mask, bias, options.clone().into())
                    },
                )
            }
            Op::ConvTranspose1d(op) => {
                let options = op.options.clone();
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, move |[x, weight], [bias]| {
                    Dispatch::conv_transpose1d(x, weight, bias, options.clone().into())
                })
            }
            Op::ConvTranspose2d(op) => {
                let options = op.options.clone();
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, move |[x, weight], [bias]| {
                    Dispatch::conv_transpose2d(x, weight, bias, options.clone().into())
                })
            }
            Op::ConvTranspose3d(op) => {
                let options = op.options.clone();
                self.optional([&op.x, &op.weight], [&op.bias], &op.out, move |[x, weight], [bias]| {
                    Dispatch::conv_transpose3d(x, weight, bias, options.clone().into())
                })
            }
            Op::AvgPool1d(op) => {
                let pool = op.clone();
                self.unary(&op.x, &op.out, move |x| {
                    Dispatch::avg_pool1d(
                        x,
                        pool.kernel_size,
                        pool.stride,
                        pool.padding,
                        pool.count_include_pad,
                        pool.ceil_mode,
                    )
                })
            }
            Op::AvgPool2d(op) => {
                let pool = op.clone();
                self.unary(&op.x, &op.out, move |x| {
                    Dispatch::avg_pool2d(
                        x,
                        pool.kernel_size,
                        pool.stride,
                        pool.padding,
                        pool.count_include_pad,
                        pool.ceil_mode,
                    )
                })
            }
            Op::AdaptiveAvgPool1d(op) => {
                let size = op.output_size;
                self.unary(&op.x, &op.out, move |x| Dispatch::adaptive_avg_pool1d(x, size))
            }
            Op::AdaptiveAvgPool2d(op) => {
                let size = op.output_size;
                self.unary(&op.x, &op.out, move |x| Dispatch::adaptive_avg_pool2d(x, size))
            }
            Op::AdaptiveAvgPool3d(op) => {
                let size = op.output_size;
                self.unary(&op.x, &op.out, move |x| Dispatch::adaptive_avg_pool3d(x, size))
            }
            Op::MaxPool1d(op) => {
                let pool = op.clone();
                self.unary(&op.x, &op.out, move |x| {
                    Dispatch::max_pool1d(
                        x,
                        pool.kernel_size,
                        pool.stride,
                        pool.padding,
                        pool.dilation,
                        pool.ceil_mode,
                    )
                })
            }
            Op::MaxPool2d(op) => {
                let pool = op.clone();
                self.unary(&op.x, &op.out, move |x| {
                    Dispatch::max_pool2d(
                        x,
                        pool.kernel_size,
                        pool.stride,
                        pool.padding,
                        pool.dilation,
                        pool.ceil_mode,
                    )
                })
            }
            Op::MaxPool1dWithIndices(op) => {
                let pool = op.clone();
                self.with_indices(&op.x, [&op.out, &op.out_indices], move |x| {
                    let found = Dispatch::max_pool1d_with_indices(
                        x,
                        pool.kernel_size,
                        pool.stride,
                        pool.padding,
                        pool.dilation,
                        pool.ceil_mode,
                        pool.out_indices.dtype.into(),
                    );
                    (found.output, found.indices)
                })
            }
            Op::MaxPool2dWithIndices(op) => {
                let pool = op.clone();
                self.with_indices(&op.x, [&op.out, &op.out_indices], move |x| {
                    let found = Dispatch::max_pool2d_with_indices(
                        x,
                        pool.kernel_size,
                        pool.stride,
                        pool.padding,
                        pool.dilation,
                        pool.ceil_mode,
                        pool.out_indices.dtype.into(),
                    );
                    (found.output, found.indices)
                })
            }
            Op::Interpolate(op) => {
                let (size, options) = (op.output_size, op.options.clone());
                self.unary(&op.x, &op.out, move |x| Dispatch::interpolate(x, size, options.clone().into()))
            }
            Op::Attention(op) => {
                let options = op.options.clone();
                let inputs = [&op.query, &op.key, &op.value];
                self.optional(inputs, [&op.mask, &op.attn_bias], &op.out, move |[q, k, v], [mask, bias]| {
                    Dispatch::attention(q, k, v, mask, bias, options.clone().into())
                })
            }
            Op::Unfold4d(op) => {
                let (size, options) = (op.kernel_size, op.options.clone());
                self.unary(&op.x, &op.out, move |x| {
                    let options = UnfoldOptions::new(options.stride, options.padding, options.dilation);
                    Dispatch::unfold4d(x, size, options)
                })
            }
            _ => return None,
        })
    }

    pub(super) fn activation(&mut self, op: &ActivationOperationIr) -> Option<Kernel> {
        use ActivationOperationIr as A;
        Some(match op {
            A::Relu(op) => self.unary(&op.input, &op.out, Dispatch::relu),
            A::LeakyRelu(op) => {
                let slope = op.rhs;
                self.unary(&op.lhs, &op.out, move |x| Dispatch::leaky_relu(x, slope.into()))
            }
            A::PRelu(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::prelu),
            A::Gelu(op) => self.unary(&op.input, &op.out, Dispatch::gelu),
            A::Sigmoid(op) => self.unary(&op.input, &op.out, Dispatch::sigmoid),
            A::HardSigmoid(op) => {
                let (alpha, beta) = (op.alpha, op.beta);
                self.unary(&op.tensor, &op.out, move |x| Dispatch::hard_sigmoid(x, alpha.into(), beta.into()))
            }
            A::LogSigmoid(op) => self.unary(&op.input, &op.out, Dispatch::log_sigmoid),
            A::Softmax(op) => {
                let axis = op.axis;
                self.unary(&op.input, &op.out, move |x| Dispatch::softmax(x, axis))
            }
            A::LogSoftmax(op) => {
                let axis = op.axis;
                self.unary(&op.input, &op.out, move |x| Dispatch::log_softmax(x, axis))
            }
            A::Softmin(op) => {
                let axis = op.axis;
                self.unary(&op.input, &op.out, move |x| Dispatch::softmin(x, axis))
            }
            A::ReluBackward(_) | A::GeluBackward(_) | A::SigmoidBackward(_) | A::LogSigmoidBackward(_) => {
                return None;
            }
        })
    }
}
