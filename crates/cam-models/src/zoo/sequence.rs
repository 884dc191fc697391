//! Parts that convolutional families share: convolutions, the BatchNorms that follow them, and sequences of both.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d, Relu};
use burn::prelude::*;

/// Returns the mean of each channel over all positions, by one sum: one sum per axis takes Burn's CPU backend three times as long.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`
/// - output: `[batch, channels]`
pub(crate) fn averaged(x: Tensor<4>) -> Tensor<2> {
    let positions: Tensor<3> = x.flatten(2, 3);
    positions.mean_dim(2).squeeze_dim(2)
}

/// Returns the same padding for all four sides.
pub(crate) fn around(padding: usize) -> PaddingConfig2d {
    PaddingConfig2d::Explicit(padding, padding, padding, padding)
}

/// Returns the configuration of a square convolution that changes the size only by its stride.
fn square(from: usize, to: usize, kernel: usize, stride: usize, groups: usize) -> Conv2dConfig {
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(around(kernel / 2))
        .with_groups(groups)
}

/// Builds a convolution without a bias, because a norm follows.
pub(crate) fn conv(
    from: usize,
    to: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
    device: &Device,
) -> Conv2d {
    square(from, to, kernel, stride, groups).with_bias(false).init(device)
}

/// Builds a norm.
pub(crate) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

/// A layer of a sequence, with its own index in the checkpoint: `features.3`.
#[allow(clippy::large_enum_variant, reason = "most are convolutions")]
#[derive(Module, Debug)]
pub enum SeqLayer {
    /// A convolution.
    Conv(Conv2d),
    /// The norm of the convolution before it.
    Norm(BatchNorm),
    /// A ReLU.
    Relu(Relu),
    /// A maximum over 2x2 positions.
    Pool(MaxPool2d),
    /// A sequence of blocks.
    Blocks(Vec<InvertedResidual>),
}

/// A sequence, with its input added to its output if `shortcut` is set.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    pub(crate) layers: Vec<SeqLayer>,
    pub(crate) shortcut: bool,
}

impl SeqLayer {
    /// Builds a 3x3 convolution with a bias.
    pub(crate) fn biased_conv(from: usize, to: usize, device: &Device) -> Self {
        SeqLayer::Conv(square(from, to, 3, 1, 1).init(device))
    }

    pub(crate) fn relu() -> Self {
        SeqLayer::Relu(Relu::new())
    }

    /// Builds a pooling that halves the sides.
    pub(crate) fn pool() -> Self {
        SeqLayer::Pool(MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init())
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            SeqLayer::Conv(conv) => conv.forward(x),
            SeqLayer::Norm(norm) => norm.forward(x),
            SeqLayer::Relu(relu) => relu.forward(x),
            SeqLayer::Pool(pool) => pool.forward(x),
            SeqLayer::Blocks(blocks) => blocks.iter().fold(x, |x, block| block.forward(x)),
        }
    }
}

impl InvertedResidual {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = run(&self.layers, x.clone());
        if self.shortcut { y + x } else { y }
    }
}

/// Runs a sequence.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`
pub(crate) fn run(layers: &[SeqLayer], x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| layer.forward(x))
}
