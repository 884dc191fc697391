//! Layers of a network, and the ways back through them.

use super::{Activation, HostTensor, memory, packed, parameter};
use burn::backend::flex::FlexTensor;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::nn::{LayerNorm, Linear, PaddingConfig2d};
use cam_kernels::{Conv, Picture, Window};
use std::sync::Arc;

/// A linear layer, or what leads back through it.
fn packed_linear(layer: &Linear, back: bool) -> Option<Arc<Conv>> {
    let weight = parameter(&layer.weight)?;
    let bias = match &layer.bias {
        Some(bias) if !back => Some(parameter(bias)?),
        _ => None,
    };
    Some(packed_matrix(weight, bias, back))
}

/// A linear layer of these parameters, `[from, to]` and `[to]`, or what leads back through it, which takes no bias.
pub(super) fn packed_matrix(weight: FlexTensor, bias: Option<FlexTensor>, back: bool) -> Arc<Conv> {
    // What leads back is the layer of the transpose. Files have the weights of an output side by side, Burn those of an input.
    let by_outputs = !weight.is_contiguous();
    let lying = if by_outputs { weight.transpose(0, 1) } else { weight };
    let shape: [usize; 2] = lying.layout().shape().dims();
    packed((&lying, bias.as_ref()), (by_outputs, back), |weight, bias| match by_outputs == back {
        true => Conv::linear(weight, shape, bias),
        false => Conv::linear_by_outputs(weight, shape, bias),
    })
}

/// What leads back through a linear layer.
pub fn linear_back(layer: &Linear) -> Option<Arc<Conv>> {
    packed_linear(layer, true)
}

impl HostTensor {
    /// A convolution, plus a residual, through an activation. `None` where its weights are not in main memory, or it pads one side
    /// otherwise than the other.
    pub fn conv(
        &self,
        conv: &Conv2d,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> Option<HostTensor> {
        let window =
            Window { stride: conv.stride, padding: padding(&conv.padding)?, dilation: conv.dilation };
        let (weight, bias) = (parameter(&conv.weight)?, conv.bias.as_ref().map(parameter));
        let bias = bias.map_or(Some(None), |bias| bias.map(Some))?;
        Some(self.convolved((&weight, bias.as_ref()), window, conv.groups, residual, activation))
    }

    /// A convolution by these parameters, `[to, from / groups, height, width]` and `[to]`, plus a residual, through an activation.
    pub(super) fn convolved(
        &self,
        (weight, bias): (&FlexTensor, Option<&FlexTensor>),
        window: Window,
        groups: usize,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> HostTensor {
        let shape: [usize; 4] = weight.layout().shape().dims();
        let options = [window.stride, window.padding, window.dilation, [groups; 2]];
        let winograd = Conv::winograd_suits(shape, window, groups, &self.picture());
        let kernel = packed((weight, bias), (shape, options, winograd), |weight, bias| match winograd {
            true => Conv::winograd(weight, [shape[0], shape[1]], bias, window),
            false => Conv::new(weight, shape, bias, window, groups),
        });
        self.through(&kernel, residual, activation)
    }

    /// A linear layer of the channels, plus a residual, through an activation.
    pub fn linear(
        &self,
        linear: &Linear,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> Option<HostTensor> {
        let kernel = packed_linear(linear, false)?;
        Some(self.through(&kernel, residual, activation))
    }

    pub(super) fn through(
        &self,
        kernel: &Conv,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> HostTensor {
        let picture = self.picture();
        let shape = kernel.output(&picture);
        let residual = residual.map(HostTensor::channels_last);
        let out = memory::take(shape.iter().product());
        HostTensor::new(kernel.forward(picture, residual.as_deref(), activation, out), shape)
    }

    /// The largest value of each channel in windows.
    pub fn max_pool(&self, pool: &MaxPool2d) -> Option<HostTensor> {
        let window =
            Window { stride: pool.stride, padding: padding(&pool.padding)?, dilation: pool.dilation };
        (!pool.ceil_mode).then(|| self.pooled(pool.kernel_size, window))
    }

    /// The largest value of each channel in windows of this size.
    pub(super) fn pooled(&self, size: [usize; 2], window: Window) -> HostTensor {
        let [batch, height, width, channels] = self.shape;
        let [rows, columns] = window.output([height, width], size);
        let floats = self.channels_last();
        let out = memory::take(batch * rows * columns * channels);
        let out = cam_kernels::max_pool(Picture::nhwc(&floats, self.shape), size, window, out);
        HostTensor::new(out, [batch, rows, columns, channels])
    }

    /// The norm of each pixel over its channels.
    pub fn layer_norm(&self, norm: &LayerNorm, epsilon: f64) -> Option<HostTensor> {
        let [gamma, beta] = [&norm.gamma, norm.beta.as_ref()?].map(parameter);
        Some(self.normed(&gamma?, &beta?, epsilon))
    }

    /// The norm of each pixel over its channels, by these parameters, `[channels]` each.
    pub(super) fn normed(&self, gamma: &FlexTensor, beta: &FlexTensor, epsilon: f64) -> HostTensor {
        let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
        let floats = |tensor| FlexTensor::as_slice::<f32>(tensor).expect("a parameter of single precision");
        let x = self.channels_last();
        let out = memory::take(x.len());
        let out = cam_kernels::layer_norm(&x, floats(&gamma), floats(&beta), epsilon as f32, out);
        HostTensor::new(out, self.shape)
    }

    /// The gradient of that at what [`layer_norm`](Self::layer_norm) makes of this.
    pub fn layer_norm_back(&self, gamma: &FlexTensor, epsilon: f64, gradient: &HostTensor) -> HostTensor {
        let (x, gamma) = (self.channels_last(), gamma.to_contiguous());
        let gamma = gamma.as_slice::<f32>().expect("a parameter of single precision");
        let out = memory::take(x.len());
        let out = cam_kernels::layer_norm_back(&x, gamma, epsilon as f32, &gradient.channels_last(), out);
        HostTensor::new(out, self.shape)
    }

    /// A GELU of each value.
    pub fn gelu(&self) -> HostTensor {
        let x = self.channels_last();
        HostTensor::new(cam_kernels::gelu(&x, memory::take(x.len())), self.shape)
    }

    /// The gradient of that at what [`gelu`](Self::gelu) makes of this.
    pub fn gelu_back(&self, gradient: &HostTensor) -> HostTensor {
        let x = self.channels_last();
        let out = cam_kernels::gelu_back(&x, &gradient.channels_last(), memory::take(x.len()));
        HostTensor::new(out, self.shape)
    }

    /// The gradient before a linear layer, of that behind it.
    pub fn back_through(&self, back: &Conv) -> HostTensor {
        self.through(back, None, Activation::None)
    }
}

/// Padding above and below, left and right, where it is the same.
fn padding(padding: &PaddingConfig2d) -> Option<[usize; 2]> {
    match *padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            Some([top, left])
        }
        _ => None,
    }
}
