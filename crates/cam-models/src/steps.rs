//! What the convolutional families share: convolutions, the BatchNorms that follow them, and sequences of both.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d, Relu};
use burn::prelude::*;

/// The mean of each channel over the places, by one sum: one a side takes Burn's CPU backend three times as long.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`
/// - output: `[batch, channels]`
pub(crate) fn averaged(x: Tensor<4>) -> Tensor<2> {
    let places: Tensor<3> = x.flatten(2, 3);
    places.mean_dim(2).squeeze_dim(2)
}

/// Padding on all four sides.
pub(crate) fn around(padding: usize) -> PaddingConfig2d {
    PaddingConfig2d::Explicit(padding, padding, padding, padding)
}

/// The configuration of a square convolution that keeps the size but for its stride.
fn square(from: usize, to: usize, kernel: usize, stride: usize, groups: usize) -> Conv2dConfig {
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(around(kernel / 2))
        .with_groups(groups)
}

/// A convolution without a bias, for a norm follows.
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

/// The norm of so many channels.
pub(crate) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

/// A step of a sequence of layers, at its own place in the checkpoint: `features.3`.
#[allow(clippy::large_enum_variant, reason = "most are convolutions")]
#[derive(Module, Debug)]
pub enum Step {
    /// A convolution.
    Conv(Conv2d),
    /// The norm of the convolution before it.
    Norm(BatchNorm),
    /// A ReLU.
    Relu(Relu),
    /// A maximum over 2x2 places.
    Pool(MaxPool2d),
    /// Blocks in a row.
    Blocks(Vec<Residual>),
}

/// A sequence, with its input added to its output where `shortcut` is.
#[derive(Module, Debug)]
pub struct Residual {
    pub(crate) layers: Vec<Step>,
    pub(crate) shortcut: bool,
}

impl Step {
    /// A convolution without a bias, for a norm follows.
    pub(crate) fn conv(
        from: usize,
        to: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> Self {
        Step::Conv(conv(from, to, kernel, stride, groups, device))
    }

    /// A convolution of 3x3 places with a bias.
    pub(crate) fn biased_conv(from: usize, to: usize, device: &Device) -> Self {
        Step::Conv(square(from, to, 3, 1, 1).init(device))
    }

    pub(crate) fn norm(channels: usize, device: &Device) -> Self {
        Step::Norm(norm(channels, device))
    }

    pub(crate) fn relu() -> Self {
        Step::Relu(Relu::new())
    }

    /// Halves the sides.
    pub(crate) fn pool() -> Self {
        Step::Pool(MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init())
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Step::Conv(conv) => conv.forward(x),
            Step::Norm(norm) => norm.forward(x),
            Step::Relu(relu) => relu.forward(x),
            Step::Pool(pool) => pool.forward(x),
            Step::Blocks(blocks) => blocks.iter().fold(x, |x, block| block.forward(x)),
        }
    }
}

impl Residual {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = run(&self.layers, x.clone());
        if self.shortcut { y + x } else { y }
    }
}

/// Runs a sequence.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`
pub(crate) fn run(steps: &[Step], x: Tensor<4>) -> Tensor<4> {
    steps.iter().fold(x, |x, step| step.forward(x))
}
