//! Convolutions.

use crate::activation::activated;
use crate::channel_norm::ChannelNorm;
use crate::cpu::{HostTensor, PackKey, buffers, get_or_pack, in_memory, on_images};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use cam_kernels::{Activation, Conv, Window};
use std::sync::Arc;

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

    /// Returns the convolution of normalized images, plus a residual, through an activation, for a kernel of one pixel without groups,
    /// stride and padding. Otherwise it is as [`forward`](Self::forward).
    ///
    /// # Shapes
    /// - images: `[batch, some channels, height, width]` each, residual and output: `[batch, out_channels, height, width]`
    pub fn forward_normed(
        &self,
        images: Vec<Tensor<4>>,
        norm: &ChannelNorm,
        residual: Option<Tensor<4>>,
        activation: Activation,
    ) -> Tensor<4> {
        let residual = residual.map(HostTensor::from_images);
        let output = match (&self.host, &residual) {
            (None, _) | (_, Some(Err(_))) => Err(images),
            (Some(host), residual) => {
                let residual = residual.as_ref().and_then(|residual| residual.as_ref().ok());
                norm.run_kernel(images, |normed| {
                    let residual = residual.map(HostTensor::channels_last);
                    let [batch, height, width, _] = normed.shape();
                    let shape = [batch, height, width, self.weight.dims()[0]];
                    let out = buffers::take(shape.iter().product());
                    let kernel = self.kernel(host, false);
                    HostTensor::new(
                        kernel.forward_normed(normed, residual.as_deref(), activation, out),
                        shape,
                    )
                })
            }
        };
        output.map_or_else(
            |images| {
                let residual = residual.map(|residual| residual.map_or_else(|x| x, HostTensor::into_images));
                self.forward(norm.by_burn(images), residual, activation)
            },
            HostTensor::into_images,
        )
    }

    fn run_kernel(
        &self,
        host: &(FlexTensor, Option<FlexTensor>),
        x: &HostTensor,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> HostTensor {
        let shape = host.0.layout().shape().dims();
        let winograd = Conv::prefers_winograd(shape, self.window, self.groups, &x.view());
        x.apply(&self.kernel(host, winograd), residual, activation)
    }

    /// Returns the convolution with packed weights.
    fn kernel(&self, (weight, bias): &(FlexTensor, Option<FlexTensor>), winograd: bool) -> Arc<Conv> {
        let shape: [usize; 4] = weight.layout().shape().dims();
        let (window, groups) = (self.window, self.groups);
        let key = PackKey::Conv {
            shape,
            options: [window.stride, window.padding, window.dilation, [groups; 2]],
            winograd,
        };
        get_or_pack((weight, bias.as_ref()), key, |weight, bias| match winograd {
            true => Conv::winograd(weight, [shape[0], shape[1]], bias, window),
            false => Conv::new(weight, shape, bias, window, groups),
        })
    }
}
