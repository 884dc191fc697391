//! ConvNeXt, version 1 and 2, in timm's layout; files of its authors, of torchvision and of transformers load too.
//!
//! Liu et al., *A ConvNet for the 2020s*, CVPR 2022 (<https://arxiv.org/abs/2201.03545>), and Woo et al., *ConvNeXt V2: Co-designing and
//! Scaling ConvNets with Masked Autoencoders*, CVPR 2023 (<https://arxiv.org/abs/2301.00808>).
//!
//! Its layers have the names of timm's modules: `stem`, each stage (`stages.3`), its `downsample` and its `blocks`, and in a block
//! `conv_dw`, `norm` and `mlp`.

use crate::zoo::head::{classified, head};
use crate::zoo::sequence::{around, averaged};
use crate::{AnyArchitecture, Architecture, Error, Family, ModelCard, TensorShapes};
use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::gelu;

/// The configuration of a ConvNeXt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvNextConfig {
    /// Blocks of each stage.
    pub depths: [usize; 4],
    /// Channels of each stage.
    pub widths: [usize; 4],
    /// The side of a patch of the stem.
    pub patch: usize,
    /// Whether a block is scaled by a number for each channel: version 1.
    pub scaled: bool,
    /// Whether the channels of a block compete: version 2.
    pub normalized: bool,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// What the norms add to a variance, and the global response norm to a mean.
const EPSILON: f64 = 1e-6;

const TINY: ConvNextConfig = ConvNextConfig {
    depths: [3, 3, 9, 3],
    widths: doubled(96),
    patch: 4,
    scaled: true,
    normalized: false,
    channels: 3,
    classes: 1000,
};
const SMALL: ConvNextConfig = ConvNextConfig { depths: [3, 3, 27, 3], ..TINY };
const ATTO: ConvNextConfig = ConvNextConfig { depths: [2, 2, 6, 2], widths: doubled(40), ..TINY };
const NANO: ConvNextConfig = ConvNextConfig { depths: [2, 2, 8, 2], widths: doubled(80), ..TINY };

const fn doubled(first: usize) -> [usize; 4] {
    [first, 2 * first, 4 * first, 8 * first]
}

const fn wide(first: usize, config: ConvNextConfig) -> ConvNextConfig {
    ConvNextConfig { widths: doubled(first), ..config }
}

/// Returns the same network of version 2.
const fn second(config: ConvNextConfig) -> ConvNextConfig {
    ConvNextConfig { scaled: false, normalized: true, ..config }
}

/// The variants that timm publishes, by name.
pub const VARIANTS: &[(&str, ConvNextConfig)] = &[
    ("convnext_atto", ATTO),
    ("convnext_femto", wide(48, ATTO)),
    ("convnext_pico", wide(64, ATTO)),
    ("convnext_nano", NANO),
    ("convnext_tiny", TINY),
    ("convnext_small", SMALL),
    ("convnext_base", wide(128, SMALL)),
    ("convnext_large", wide(192, SMALL)),
    ("convnext_xlarge", wide(256, SMALL)),
    ("convnextv2_atto", second(ATTO)),
    ("convnextv2_femto", second(wide(48, ATTO))),
    ("convnextv2_pico", second(wide(64, ATTO))),
    ("convnextv2_nano", second(NANO)),
    ("convnextv2_tiny", second(TINY)),
    ("convnextv2_base", second(wide(128, SMALL))),
    ("convnextv2_large", second(wide(192, SMALL))),
    ("convnextv2_huge", second(wide(352, SMALL))),
];

/// Returns the ConvNeXt that has these tensors.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<ConvNextConfig> {
    let rows = |name: &str| shapes(name)?.first().copied();
    let block = |stage: usize, place: usize| rows(&format!("stages.{stage}.blocks.{place}.conv_dw.weight"));
    let widths = [block(0, 0)?, block(1, 0)?, block(2, 0)?, block(3, 0)?];
    let depths = [0, 1, 2, 3].map(|stage| (0..).take_while(|place| block(stage, *place).is_some()).count());
    let [_, channels, patch, _] = shapes("stem.0.weight")?.try_into().ok()?;
    Some(ConvNextConfig {
        depths,
        widths,
        patch,
        scaled: shapes("stages.0.blocks.0.gamma").is_some(),
        normalized: shapes("stages.0.blocks.0.mlp.grn.weight").is_some(),
        channels,
        classes: rows("head.fc.weight")?,
    })
}

impl Architecture for ConvNextConfig {
    type Network = ConvNext;

    fn build(&self, device: &Device) -> ConvNext {
        self.init(device)
    }

    fn forward(network: &ConvNext, images: Tensor<4>) -> Tensor<2> {
        network.forward(images)
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn with_classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }

    /// timm's smaller networks have convolutions of one pixel for linear layers, torchvision has a scale for each pixel, and the authors
    /// and transformers have the global response norm for each pixel: the numbers are the same.
    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        let shape = match shape {
            [to, from, 1, 1] if name.ends_with(".fc1.weight") || name.ends_with(".fc2.weight") => {
                vec![*to, *from]
            }
            [channels, 1, 1] if name.ends_with(".gamma") => vec![*channels],
            [1, 1, 1, channels] if name.contains(".grn.") => vec![*channels],
            shape => shape.to_vec(),
        };
        Some((name.into(), shape))
    }
}

/// ConvNeXt.
pub struct ConvNextFamily;

impl Family for ConvNextFamily {
    fn name(&self) -> &'static str {
        "ConvNeXt"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("convnext.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }
}

/// A ConvNeXt. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct ConvNext {
    stem: Vec<Part>,
    stages: Vec<Stage>,
    head: Head,
}

/// A part of the stem or of a downsampling, with its own index in the checkpoint: `stem.1`.
#[allow(clippy::large_enum_variant, reason = "there are eight")]
#[derive(Module, Debug)]
enum Part {
    Conv(Conv2d),
    Norm(LayerNorm),
}

#[derive(Module, Debug)]
struct Stage {
    /// A norm and a convolution that halves the sides.
    downsample: Vec<Part>,
    blocks: Vec<Block>,
}

/// A convolution of each channel and two linear layers, added to the input.
#[derive(Module, Debug)]
struct Block {
    conv_dw: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
    gamma: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    grn: Option<Grn>,
    fc2: Linear,
}

/// The global response norm: a channel is enlarged by its share in the response of all.
#[derive(Module, Debug)]
struct Grn {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Head {
    norm: LayerNorm,
    fc: Option<Linear>,
}

impl ConvNextConfig {
    /// Builds a ConvNeXt with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> ConvNext {
        let norm = |width| LayerNormConfig::new(width).with_epsilon(EPSILON).init(device);
        let patches = |from, to, side: usize| {
            Part::Conv(Conv2dConfig::new([from, to], [side; 2]).with_stride([side; 2]).init(device))
        };
        let block = |width: usize| {
            let hidden = 4 * width;
            let conv = Conv2dConfig::new([width; 2], [7; 2]).with_padding(around(3)).with_groups(width);
            Block {
                conv_dw: conv.init(device),
                norm: norm(width),
                mlp: Mlp {
                    fc1: LinearConfig::new(width, hidden).init(device),
                    grn: self.normalized.then(|| Grn {
                        weight: Initializer::Zeros.init([hidden], device),
                        bias: Initializer::Zeros.init([hidden], device),
                    }),
                    fc2: LinearConfig::new(hidden, width).init(device),
                },
                gamma: self.scaled.then(|| Initializer::Constant { value: 1e-6 }.init([width], device)),
            }
        };
        let stage = |place: usize| {
            let width = self.widths[place];
            let before = place.checked_sub(1).map(|before| self.widths[before]);
            Stage {
                downsample: before
                    .map_or(Vec::new(), |from| vec![Part::Norm(norm(from)), patches(from, width, 2)]),
                blocks: (0..self.depths[place]).map(|_| block(width)).collect(),
            }
        };
        let [first, .., last] = self.widths;
        ConvNext {
            stem: vec![patches(self.channels, first, self.patch), Part::Norm(norm(first))],
            stages: (0..self.depths.len()).map(stage).collect(),
            head: Head { norm: norm(last), fc: head(last, self.classes, device) },
        }
    }
}

/// Puts the channels last.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.swap_dims(1, 2).swap_dims(2, 3)
}

/// Puts the channels first: the inverse of [`channels_last`].
fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.swap_dims(2, 3).swap_dims(1, 2)
}

impl Part {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Norm(norm) => channels_first(norm.forward(channels_last(x))),
        }
    }
}

impl Grn {
    /// # Shapes
    /// - x, output: `[batch, height, width, channels]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let response = x.clone().powi_scalar(2).sum_dim(1).sum_dim(2).sqrt();
        let share = response.clone() / (response.mean_dim(3) + EPSILON);
        let wide = |values: &Param<Tensor<1>>| values.val().reshape([1, 1, 1, -1]);
        x.clone() * share * wide(&self.weight) + wide(&self.bias) + x
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = gelu(self.fc1.forward(x));
        self.fc2.forward(match &self.grn {
            Some(grn) => grn.forward(x),
            None => x,
        })
    }
}

impl Block {
    /// # Shapes
    /// - x, output: `[batch, channels, height, width]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.norm.forward(channels_last(self.conv_dw.forward(x.clone())));
        let y = self.mlp.forward(y);
        let y = match &self.gamma {
            Some(gamma) => y * gamma.val().reshape([1, 1, 1, -1]),
            None => y,
        };
        x + channels_first(y)
    }
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.downsample.iter().fold(x, |x, part| part.forward(x));
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl ConvNext {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, of any size that leaves a position after the last stage
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.stem.iter().fold(images, |x, part| part.forward(x));
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(x));
        classified(self.head.fc.as_ref(), self.head.norm.forward(averaged(x)))
    }
}
