//! Convolutions.

use crate::activation::activated;
use crate::cpu::{HostTensor, PackKey, get_or_pack, in_memory, on_images};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use cam_kernels::{Activation, Conv, Window};

/// A convolution with fixed parameters, fused with a residual and an activation.
#[derive(Debug)]
pub struct FusedConv {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    /// The parameters, if they are in main memory in single precision.
    host: Option<(FlexTensor, Option<FlexTensor>)>,
    window: Window,
    groups: usize,
}

impl FusedConv {
    /// Makes a convolution with these parameters.
    ///
    /// # Shapes
    /// - weight: `[out_channels, in_channels / groups, height, width]`, bias: `[out_channels]`
    pub fn new(weight: Tensor<4>, bias: Option<Tensor<1>>, window: Window, groups: usize) -> Self {
        let host_bias = bias.clone().map(in_memory).transpose();
        let host = in_memory(weight.clone()).ok().zip(host_bias.ok());
        Self { weight, bias, host, window, groups }
    }

    /// Returns the convolution of images, plus a residual, through an activation.
    ///
    /// On a tape, on another device or in another precision it uses Burn's operations.
    ///
    /// # Shapes
    /// - x: `[batch, in_channels, height, width]`, residual and output: `[batch, out_channels, rows, columns]`
    pub fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, activation: Activation) -> Tensor<4> {
        let residual = residual.map(HostTensor::from_images);
        let output = match (&self.host, &residual) {
            (Some(host), None) => on_images(x, |x| self.run_kernel(host, x, None, activation)),
            (Some(host), Some(Ok(residual))) => {
                on_images(x, |x| self.run_kernel(host, x, Some(residual), activation))
            }
            (None, _) | (_, Some(Err(_))) => Err(x),
        };
        output.unwrap_or_else(|x| {
            let Window { stride, padding, dilation } = self.window;
            let options = ConvOptions::new(stride, padding, dilation, self.groups);
            let y = conv2d(x, self.weight.clone(), self.bias.clone(), options);
            let y = match residual {
                Some(residual) => y + residual.map_or_else(|residual| residual, HostTensor::into_images),
                None => y,
            };
            activated(y, activation)
        })
    }

    fn run_kernel(
        &self,
        (weight, bias): &(FlexTensor, Option<FlexTensor>),
        x: &HostTensor,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> HostTensor {
        let shape: [usize; 4] = weight.layout().shape().dims();
        let (window, groups) = (self.window, self.groups);
        let winograd = Conv::prefers_winograd(shape, window, groups, &x.view());
        let key = PackKey::Conv {
            shape,
            options: [window.stride, window.padding, window.dilation, [groups; 2]],
            winograd,
        };
        let kernel = get_or_pack((weight, bias.as_ref()), key, |weight, bias| match winograd {
            true => Conv::winograd(weight, [shape[0], shape[1]], bias, window),
            false => Conv::new(weight, shape, bias, window, groups),
        });
        x.apply(&kernel, residual, activation)
    }
}
