//! Colors and depth: two images of different sizes, joined before the classifier.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::prelude::*;

#[derive(Module, Debug)]
pub struct Encoder {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    relu: Relu,
}

#[derive(Module, Debug)]
pub struct ColorAndDepth {
    color: Encoder,
    depth: Encoder,
    head: Linear,
}

impl Encoder {
    fn new(channels: usize, device: &Device) -> Self {
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let conv = |[from, to]: [usize; 2]| {
            let conv = Conv2dConfig::new([from, to], [3, 3]).with_stride([2, 2]);
            conv.with_padding(padding.clone()).init(device)
        };
        Self {
            convs: [[channels, 16], [16, 32], [32, 64]].map(conv).into(),
            norms: [16, 32, 64].map(|channels| BatchNormConfig::new(channels).init(device)).into(),
            relu: Relu::new(),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let stage = |x, (conv, norm): (&Conv2d, &BatchNorm)| self.relu.forward(norm.forward(conv.forward(x)));
        self.convs.iter().zip(&self.norms).fold(images, stage).mean_dims(&[2, 3]).flatten(1, 3)
    }
}

impl ColorAndDepth {
    pub fn new(classes: usize, device: &Device) -> Self {
        Self {
            color: Encoder::new(3, device),
            depth: Encoder::new(1, device),
            head: LinearConfig::new(128, classes).init(device),
        }
    }

    pub fn forward(&self, color: Tensor<4>, depth: Tensor<4>) -> Tensor<2> {
        let both = vec![self.color.forward(color), self.depth.forward(depth)];
        self.head.forward(Tensor::cat(both, 1))
    }
}
