//! A MobileNetV2, small: inverted residuals, as one writes them in Burn.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;

/// A convolution, its norm, and ReLU6 or nothing.
#[derive(Module, Debug)]
pub struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
    activates: bool,
}

/// Widens the channels, looks around in each of them, and narrows them again.
#[derive(Module, Debug)]
pub struct Inverted {
    expand: ConvNorm,
    depthwise: ConvNorm,
    project: ConvNorm,
    adds: bool,
}

#[derive(Module, Debug)]
pub struct MobileNet {
    stem: ConvNorm,
    blocks: Vec<Inverted>,
    last: ConvNorm,
    dropout: Dropout,
    classifier: Linear,
}

impl ConvNorm {
    fn new(
        [from, to]: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        activates: bool,
        device: &Device,
    ) -> Self {
        let pad = kernel / 2;
        let conv = Conv2dConfig::new([from, to], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_groups(groups)
            .with_bias(false);
        Self { conv: conv.init(device), norm: BatchNormConfig::new(to).init(device), activates }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.norm.forward(self.conv.forward(x));
        if self.activates { x.clamp(0.0, 6.0) } else { x }
    }
}

impl Inverted {
    fn new(from: usize, to: usize, stride: usize, device: &Device) -> Self {
        let wide = 6 * from;
        Self {
            expand: ConvNorm::new([from, wide], 1, 1, 1, true, device),
            depthwise: ConvNorm::new([wide, wide], 3, stride, wide, true, device),
            project: ConvNorm::new([wide, to], 1, 1, 1, false, device),
            adds: stride == 1 && from == to,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.project.forward(self.depthwise.forward(self.expand.forward(x.clone())));
        if self.adds { x + y } else { y }
    }
}

impl MobileNet {
    pub fn new(classes: usize, device: &Device) -> Self {
        let blocks =
            [(16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)];
        Self {
            stem: ConvNorm::new([3, 16], 3, 2, 1, true, device),
            blocks: blocks.map(|(from, to, stride)| Inverted::new(from, to, stride, device)).into(),
            last: ConvNorm::new([64, 128], 1, 1, 1, true, device),
            dropout: DropoutConfig::new(0.2).init(),
            classifier: LinearConfig::new(128, classes).init(device),
        }
    }

    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.blocks.iter().fold(self.stem.forward(images), |x, block| block.forward(x));
        let x = self.last.forward(x).mean_dims(&[2, 3]).flatten(1, 3);
        self.classifier.forward(self.dropout.forward(x))
    }
}
