//! What precedes a stride so that it does not alias: a blur, or a mean.

use crate::Antialias;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::prelude::*;
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};

/// A reduction that halves the sides.
#[derive(Module, Debug)]
pub enum Reduction {
    /// A binomial filter.
    Blur(Blur),
    /// A mean of 2x2 positions.
    Avg(AvgPool2d),
}

/// The filter of [1, 2, 1] along both axes, of images that are mirrored at their edges: timm's `BlurPool2d`.
#[derive(Module, Debug)]
pub struct Blur {
    stride: usize,
}

impl Reduction {
    /// Returns the reduction by this stride, or `None` without one.
    pub(crate) fn new(antialias: Antialias, stride: usize) -> Option<Self> {
        match antialias {
            Antialias::None => None,
            Antialias::Blur => Some(Self::Blur(Blur { stride })),
            Antialias::Avg => {
                let config = AvgPool2dConfig::new([stride, stride]).with_strides([stride, stride]);
                Some(Self::Avg(config.init()))
            }
        }
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Blur(blur) => blur.forward(x),
            Self::Avg(pool) => pool.forward(x),
        }
    }
}

impl Blur {
    /// # Shapes
    /// - x: `[batch, channels, height, width]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let channels = x.dims()[1];
        let line = Tensor::<1>::from_floats([0.25, 0.5, 0.25], &x.device()).cast(x.dtype());
        let kernel: Tensor<2> = line.clone().reshape([3, 1]) * line.reshape([1, 3]);
        let kernel = kernel.reshape([1, 1, 3, 3]).repeat_dim(0, channels);
        let options = ConvOptions::new([self.stride; 2], [0, 0], [1, 1], channels);
        conv2d(x.pad([(1, 1), (1, 1)], PadMode::Reflect), kernel, None, options)
    }
}
