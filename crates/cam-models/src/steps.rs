//! What the convolutional families share: convolutions, the BatchNorms that follow them, and sequences of both.

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d, Relu};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Nchw, Taps};
use cam_nn::{Activation, HostTensor, pictures_at_once};
use std::fmt::Display;

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

/// A norm that is not folded yet.
pub(crate) fn norm(channels: usize, device: &Device) -> Option<BatchNorm> {
    Some(BatchNormConfig::new(channels).init(device))
}

/// A convolution and its norm, which is `None` once it is folded.
pub(crate) fn normed(conv: &Conv2d, norm: &Option<BatchNorm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(conv.forward(x)),
        None => convolved(conv, x),
    }
}

/// A convolution.
pub(crate) fn convolved(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    pictures_at_once(x, |x| x.conv(conv, None, Activation::None)).unwrap_or_else(|x| conv.forward(x))
}

/// A convolution, its norm and a ReLU, between which nobody looks.
pub(crate) fn rectified(conv: &Conv2d, norm: &Option<BatchNorm>, x: Tensor<4>) -> Tensor<4> {
    let fused = |x: &HostTensor| norm.is_none().then(|| x.conv(conv, None, Activation::Relu)).flatten();
    pictures_at_once(x, fused).unwrap_or_else(|x| relu(normed(conv, norm, x)))
}

/// A maximum over windows.
pub(crate) fn pooled(pool: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    pictures_at_once(x, |x| x.max_pool(pool)).unwrap_or_else(|x| pool.forward(x))
}

/// What a norm does in inference, $y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$, as a scale and a shift of each
/// channel.
///
/// # Shapes
/// - both: `[channels]`
pub(crate) fn scale_and_shift(norm: &BatchNorm) -> (Tensor<1>, Tensor<1>) {
    let scale = norm.gamma.val() / (norm.running_var.value_sync() + norm.epsilon).sqrt();
    let shift = norm.beta.val() - norm.running_mean.value_sync() * scale.clone();
    (scale, shift)
}

/// What a convolution and its norm add to each channel in inference, `[channels]`.
pub(crate) fn bias(conv: &Conv2d, norm: &Option<BatchNorm>) -> Option<Tensor<1>> {
    let own = conv.bias.as_ref().map(Param::val);
    let Some(norm) = norm else { return own };
    let (scale, shift) = scale_and_shift(norm);
    Some(match own {
        Some(own) => own * scale + shift,
        None => shift,
    })
}

/// Folds a norm in inference into the convolution before it.
pub(crate) fn fold(conv: Conv2d, norm: &mut Option<BatchNorm>) -> Conv2d {
    let bias = bias(&conv, norm).map(Param::from_tensor);
    let Some(norm) = norm.take() else { return conv };
    let weight = conv.weight.val() * scale_and_shift(&norm).0.reshape([-1, 1, 1, 1]);
    Conv2d { weight: Param::from_tensor(weight), bias, ..conv }
}

/// A step of a sequence of layers, at its own place in the checkpoint: `features.3`.
#[allow(clippy::large_enum_variant, reason = "most are convolutions")]
#[derive(Module, Debug)]
pub enum Step {
    /// A convolution.
    Conv(Conv2d),
    /// The norm of the convolution before it; `None` once it is folded.
    Norm(Option<BatchNorm>),
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
}

/// Runs a sequence, each step tapped as `name.N`. A convolution that a norm follows is no layer of its own, as it does not
/// exist once the norm is folded: the two are one layer under the norm's name.
pub(crate) fn run(steps: &[Step], name: impl Display, mut x: Tensor<4>, taps: &Taps<'_>) -> Tensor<4> {
    let mut ran = 0;
    for (place, step) in steps.iter().enumerate() {
        if place < ran {
            continue; // with its convolution
        }
        ran = place + 1;
        let layer = format_args!("{name}.{place}");
        x = match step {
            Step::Conv(conv) => {
                let norm = norm_of(steps, place);
                ran += usize::from(norm.is_some());
                let (norm, own) = (norm.unwrap_or(&None), format!("{name}.{}", ran - 1));
                match steps.get(ran) {
                    Some(Step::Relu(_)) if !taps.asks(&own) => {
                        ran += 1;
                        taps.layer(format_args!("{name}.{}", ran - 1), Nchw, || rectified(conv, norm, x))
                    }
                    _ => taps.biased(own, Nchw, bias(conv, norm), || normed(conv, norm, x)),
                }
            }
            Step::Norm(_) => x,
            Step::Relu(_) => taps.layer(layer, Nchw, || taps.relu(x)),
            Step::Pool(pool) => taps.layer(layer, Nchw, || pooled(pool, x)),
            Step::Blocks(blocks) => taps.layer(layer, Nchw, || {
                blocks.iter().enumerate().fold(x, |x, (number, block)| {
                    let name = format!("{name}.{place}.{number}");
                    taps.layer(&name, Nchw, || block.forward(x, &name, taps))
                })
            }),
        };
    }
    x
}

/// The norm that follows a convolution.
fn norm_of(steps: &[Step], place: usize) -> Option<&Option<BatchNorm>> {
    match steps.get(place + 1) {
        Some(Step::Norm(norm)) => Some(norm),
        _ => None,
    }
}

impl Residual {
    fn forward(&self, x: Tensor<4>, name: &str, taps: &Taps<'_>) -> Tensor<4> {
        let in_steps = |x: Tensor<4>| {
            let y = run(&self.layers, format_args!("{name}.layers"), x.clone(), taps);
            if self.shortcut { y + x } else { y }
        };
        match taps.asks_inside(name) {
            true => in_steps(x),
            false => pictures_at_once(x, |x| self.at_once(x)).unwrap_or_else(in_steps),
        }
    }

    /// The block in main memory; `None` where it cannot be computed there.
    fn at_once(&self, x: &HostTensor) -> Option<HostTensor> {
        let last = self.layers.iter().rposition(|step| matches!(step, Step::Conv(_)))?;
        let mut y = None;
        for (place, step) in self.layers.iter().enumerate() {
            let conv = match step {
                Step::Conv(conv) => conv,
                Step::Norm(None) | Step::Relu(_) => continue,
                _ => return None,
            };
            let after = place + 1 + usize::from(norm_of(&self.layers, place).is_some());
            let activation = match self.layers.get(after) {
                Some(Step::Relu(_)) => Activation::Relu,
                _ => Activation::None,
            };
            let shortcut = (self.shortcut && place == last).then_some(x);
            if shortcut.is_some() && activation == Activation::Relu {
                return None; // the activation comes before the sum
            }
            y = Some(y.as_ref().unwrap_or(x).conv(conv, shortcut, activation)?);
        }
        y
    }
}

/// Folds each norm of a sequence into the convolution before it.
pub(crate) fn folded(mut steps: Vec<Step>) -> Vec<Step> {
    for place in 0..steps.len() {
        let (before, after) = steps.split_at_mut(place + 1);
        match (&mut before[place], after.first_mut()) {
            (Step::Conv(conv), Some(Step::Norm(norm))) => *conv = fold(conv.clone(), norm),
            (Step::Blocks(blocks), _) => {
                for block in blocks {
                    block.layers = folded(std::mem::take(&mut block.layers));
                }
            }
            _ => {}
        }
    }
    steps
}
