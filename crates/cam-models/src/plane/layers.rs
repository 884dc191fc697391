//! Layers of a network, and the ways back through them.

use super::{Activation, Plane, memory, packed, parameter};
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
    // What leads back is the layer of the transpose. Files have the weights of an output side by side, Burn those of an input.
    let by_outputs = !weight.is_contiguous();
    let lying = if by_outputs { weight.transpose(0, 1) } else { weight };
    let shape: [usize; 2] = lying.layout().shape().dims();
    Some(packed((&lying, bias.as_ref()), (by_outputs, back), |weight, bias| match by_outputs == back {
        true => Conv::linear(weight, shape, bias),
        false => Conv::linear_by_outputs(weight, shape, bias),
    }))
}

/// What leads back through a linear layer.
pub(crate) fn linear_back(layer: &Linear) -> Option<Arc<Conv>> {
    packed_linear(layer, true)
}

impl Plane {
    /// A convolution, plus a residual, through an activation. `None` where its weights are not in main memory, or it pads one side
    /// otherwise than the other.
    pub fn conv(&self, conv: &Conv2d, residual: Option<&Plane>, activation: Activation) -> Option<Plane> {
        let window =
            Window { stride: conv.stride, padding: padding(&conv.padding)?, dilation: conv.dilation };
        let (weight, bias) = (parameter(&conv.weight)?, conv.bias.as_ref().map(parameter));
        let bias = bias.map_or(Some(None), |bias| bias.map(Some))?;
        let shape: [usize; 4] = conv.weight.shape().dims();
        let options = [conv.stride, window.padding, conv.dilation, [conv.groups; 2]];
        let winograd = Conv::winograd_suits(shape, window, conv.groups, &self.picture());
        let kernel =
            packed((&weight, bias.as_ref()), (shape, options, winograd), |weight, bias| match winograd {
                true => Conv::winograd(weight, [shape[0], shape[1]], bias, window),
                false => Conv::new(weight, shape, bias, window, conv.groups),
            });
        Some(self.through(&kernel, residual, activation))
    }

    /// A linear layer of the channels, plus a residual, through an activation.
    pub fn linear(&self, linear: &Linear, residual: Option<&Plane>, activation: Activation) -> Option<Plane> {
        let kernel = packed_linear(linear, false)?;
        Some(self.through(&kernel, residual, activation))
    }

    fn through(&self, kernel: &Conv, residual: Option<&Plane>, activation: Activation) -> Plane {
        let picture = self.picture();
        let shape = kernel.output(&picture);
        let residual = residual.map(Plane::channels_last);
        let out = memory::take(shape.iter().product());
        Plane::new(kernel.forward(picture, residual.as_deref(), activation, out), shape)
    }

    /// The largest value of each channel in windows.
    pub fn max_pool(&self, pool: &MaxPool2d) -> Option<Plane> {
        let window =
            Window { stride: pool.stride, padding: padding(&pool.padding)?, dilation: pool.dilation };
        if pool.ceil_mode {
            return None;
        }
        let [batch, height, width, channels] = self.shape;
        let [rows, columns] = window.output([height, width], pool.kernel_size);
        let floats = self.channels_last();
        let out = memory::take(batch * rows * columns * channels);
        let out = cam_kernels::max_pool(Picture::nhwc(&floats, self.shape), pool.kernel_size, window, out);
        Some(Plane::new(out, [batch, rows, columns, channels]))
    }

    /// The norm of each pixel over its channels.
    pub fn layer_norm(&self, norm: &LayerNorm, epsilon: f64) -> Option<Plane> {
        let [gamma, beta] = [&norm.gamma, norm.beta.as_ref()?].map(parameter);
        let (gamma, beta) = (gamma?.to_contiguous(), beta?.to_contiguous());
        let (gamma, beta) = (gamma.as_slice::<f32>()?, beta.as_slice::<f32>()?);
        let x = self.channels_last();
        let out = cam_kernels::layer_norm(&x, gamma, beta, epsilon as f32, memory::take(x.len()));
        Some(Plane::new(out, self.shape))
    }

    /// The gradient of that at what [`layer_norm`](Self::layer_norm) makes of this.
    pub fn layer_norm_back(&self, gamma: &FlexTensor, epsilon: f64, gradient: &Plane) -> Plane {
        let (x, gamma) = (self.channels_last(), gamma.to_contiguous());
        let gamma = gamma.as_slice::<f32>().expect("a parameter of single precision");
        let out = memory::take(x.len());
        let out = cam_kernels::layer_norm_back(&x, gamma, epsilon as f32, &gradient.channels_last(), out);
        Plane::new(out, self.shape)
    }

    /// A GELU of each value.
    pub fn gelu(&self) -> Plane {
        let x = self.channels_last();
        Plane::new(cam_kernels::gelu(&x, memory::take(x.len())), self.shape)
    }

    /// The gradient of that at what [`gelu`](Self::gelu) makes of this.
    pub fn gelu_back(&self, gradient: &Plane) -> Plane {
        let x = self.channels_last();
        let out = cam_kernels::gelu_back(&x, &gradient.channels_last(), memory::take(x.len()));
        Plane::new(out, self.shape)
    }

    /// The gradient before a linear layer, of that behind it.
    pub fn back_through(&self, back: &Conv) -> Plane {
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
