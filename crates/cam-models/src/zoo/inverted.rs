//! Networks of inverted residuals, in timm's layout; files of torchvision load too: MobileNetV2 and V3, EfficientNet, EfficientNetV2 and
//! EfficientNet-Lite.
//!
//! Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, CVPR 2018 (<https://arxiv.org/abs/1801.04381>); Howard et al.,
//! *Searching for MobileNetV3*, ICCV 2019 (<https://arxiv.org/abs/1905.02244>); Tan and Le, *EfficientNet: Rethinking Model Scaling for
//! Convolutional Neural Networks*, ICML 2019 (<https://arxiv.org/abs/1905.11946>), and *EfficientNetV2: Smaller Models and Faster Training*,
//! ICML 2021 (<https://arxiv.org/abs/2104.00298>).
//!
//! Its layers have the names of timm's modules: `conv_stem`, each stage (`blocks.6`) and each block (`blocks.6.0`) with its convolutions
//! and norms, and `conv_head`.

use crate::zoo::head::{classified, head};
use crate::zoo::sequence::{around, averaged};
use crate::{
    Activation, AnyArchitecture, Architecture, ArchitectureOptions, Error, Family, ModelCard, TensorShapes,
};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::activation::{hard_sigmoid, sigmoid};

/// The configuration of a network of inverted residuals.
#[derive(Debug, Clone, PartialEq)]
pub struct InvertedConfig {
    /// Channels of the stem.
    pub stem: usize,
    /// The blocks of each stage.
    pub stages: Vec<Vec<BlockConfig>>,
    /// Strides of the stages' first blocks.
    pub strides: Vec<usize>,
    /// Channels before the classifier.
    pub features: usize,
    /// Whether these are made from the mean of all positions, as in MobileNetV3, and not before it.
    pub pooled_first: bool,
    /// The activation. The first stages of a MobileNetV3, all but its last four, have ReLU instead.
    pub activation: Activation,
    /// What the norms add to a variance.
    pub epsilon: f64,
    /// Whether images are padded as by TensorFlow: an odd row and column at the end.
    pub same_padding: bool,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// The configuration of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockConfig {
    /// Its convolutions.
    pub kind: BlockKind,
    /// The side of its one kernel of several pixels.
    pub kernel: usize,
    /// Channels of its inner images.
    pub inner: usize,
    /// Channels that its gate is computed from, if it has one.
    pub squeeze: Option<usize>,
    /// Channels of its output.
    pub outputs: usize,
}

/// The convolutions of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// An expansion, a convolution of each channel, and a projection.
    Inverted,
    /// A convolution of each channel and a projection.
    Separable,
    /// An expansion by a kernel of several pixels, and a projection.
    Fused,
    /// One convolution.
    Plain,
}

/// Returns the nearest multiple of 8, or the next one if the nearest is smaller by more than a tenth.
fn multiple_of_8(width: f64) -> usize {
    let nearest = (((width + 4.0) / 8.0).floor() as usize * 8).max(8);
    if nearest as f64 >= 0.9 * width { nearest } else { nearest + 8 }
}

/// A stage of a table: the kind of its blocks, their expansion, the side of their kernels, output channels, and the number of blocks.
type StageRow = (BlockKind, usize, usize, usize, usize);

use BlockKind::{Fused, Inverted, Plain, Separable};

/// MobileNetV2, its table 2.
const MOBILENET_V2: &[StageRow] = &[
    (Separable, 1, 3, 16, 1),
    (Inverted, 6, 3, 24, 2),
    (Inverted, 6, 3, 32, 3),
    (Inverted, 6, 3, 64, 4),
    (Inverted, 6, 3, 96, 3),
    (Inverted, 6, 3, 160, 3),
    (Inverted, 6, 3, 320, 1),
];

/// EfficientNet-B0, its table 1.
const EFFICIENTNET: &[StageRow] = &[
    (Separable, 1, 3, 16, 1),
    (Inverted, 6, 3, 24, 2),
    (Inverted, 6, 5, 40, 2),
    (Inverted, 6, 3, 80, 3),
    (Inverted, 6, 5, 112, 3),
    (Inverted, 6, 5, 192, 4),
    (Inverted, 6, 3, 320, 1),
];

/// EfficientNetV2-S, its table 4.
const EFFICIENTNET_V2_S: &[StageRow] = &[
    (Plain, 1, 3, 24, 2),
    (Fused, 4, 3, 48, 4),
    (Fused, 4, 3, 64, 4),
    (Inverted, 4, 3, 128, 6),
    (Inverted, 6, 3, 160, 9),
    (Inverted, 6, 3, 256, 15),
];
const EFFICIENTNET_V2_M: &[StageRow] = &[
    (Plain, 1, 3, 24, 3),
    (Fused, 4, 3, 48, 5),
    (Fused, 4, 3, 80, 5),
    (Inverted, 4, 3, 160, 7),
    (Inverted, 6, 3, 176, 14),
    (Inverted, 6, 3, 304, 18),
    (Inverted, 6, 3, 512, 5),
];
const EFFICIENTNET_V2_L: &[StageRow] = &[
    (Plain, 1, 3, 32, 4),
    (Fused, 4, 3, 64, 7),
    (Fused, 4, 3, 96, 7),
    (Inverted, 4, 3, 192, 10),
    (Inverted, 6, 3, 224, 19),
    (Inverted, 6, 3, 384, 25),
    (Inverted, 6, 3, 640, 7),
];

/// A block of MobileNetV3: the side of its kernel, inner and output channels, and whether it has a gate.
type BlockRow = (usize, usize, usize, bool);

/// MobileNetV3-Large, table 1 of its paper.
const MOBILENET_V3_LARGE: &[&[BlockRow]] = &[
    &[(3, 16, 16, false)],
    &[(3, 64, 24, false), (3, 72, 24, false)],
    &[(5, 72, 40, true), (5, 120, 40, true), (5, 120, 40, true)],
    &[(3, 240, 80, false), (3, 200, 80, false), (3, 184, 80, false), (3, 184, 80, false)],
    &[(3, 480, 112, true), (3, 672, 112, true)],
    &[(5, 672, 160, true), (5, 960, 160, true), (5, 960, 160, true)],
];

/// MobileNetV3-Small, table 2 of its paper.
const MOBILENET_V3_SMALL: &[&[BlockRow]] = &[
    &[(3, 16, 16, true)],
    &[(3, 72, 24, false), (3, 88, 24, false)],
    &[(5, 96, 40, true), (5, 240, 40, true), (5, 240, 40, true)],
    &[(5, 120, 48, true), (5, 144, 48, true)],
    &[(5, 288, 96, true), (5, 576, 96, true), (5, 576, 96, true)],
];

/// How wide and deep the networks B0 to B7 are.
const SCALES: [(f64, f64); 8] =
    [(1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1)];

/// Returns the strides that the first blocks of so many stages have in all these networks.
fn usual_strides(stages: usize, pooled_first: bool) -> Vec<usize> {
    // MobileNetV3-Small halves the sides in its first stage, and has one stage less. The last one of a MobileNetV3 is one convolution.
    let skipped = usize::from(pooled_first && stages == 6);
    [1, 2, 2, 2, 1, 2, 1].into_iter().skip(skipped).chain(std::iter::repeat(1)).take(stages).collect()
}

impl InvertedConfig {
    fn of(stem: usize, rows: &[StageRow], squeezes: bool, deep: impl Fn(usize, usize) -> usize) -> Self {
        let mut inputs = stem;
        let stage = |(place, &(kind, expansion, kernel, outputs, count)): (usize, &StageRow)| {
            let block = |_| {
                let squeeze =
                    (squeezes && matches!(kind, Inverted | Separable)).then_some((inputs / 4).max(1));
                let inner = if kind == Plain { outputs } else { expansion * inputs };
                inputs = outputs;
                BlockConfig { kind, kernel, inner, squeeze, outputs }
            };
            (0..deep(place, count)).map(block).collect()
        };
        let stages: Vec<Vec<BlockConfig>> = rows.iter().enumerate().map(stage).collect();
        Self {
            stem,
            strides: usual_strides(stages.len(), false),
            stages,
            features: 1280,
            pooled_first: false,
            activation: Activation::Silu,
            epsilon: 1e-5,
            same_padding: false,
            channels: 3,
            classes: 1000,
        }
    }

    fn scaled(rows: &[StageRow], width: f64) -> Vec<StageRow> {
        let wide = |channels: usize| multiple_of_8(channels as f64 * width);
        rows.iter()
            .map(|&(kind, expansion, kernel, to, count)| (kind, expansion, kernel, wide(to), count))
            .collect()
    }

    /// Returns MobileNetV2.
    pub fn mobilenet_v2() -> Self {
        Self { activation: Activation::Relu6, ..Self::of(32, MOBILENET_V2, false, |_, count| count) }
    }

    fn mobilenet_v3(stages: &[&[BlockRow]], features: usize) -> Self {
        let block = |(place, &(kernel, inner, outputs, squeezes)): (usize, &BlockRow)| BlockConfig {
            kind: if place == 0 { Separable } else { Inverted },
            kernel,
            inner,
            squeeze: squeezes.then(|| multiple_of_8(inner as f64 / 4.0)),
            outputs,
        };
        let mut places = 0..;
        let mut stages: Vec<Vec<BlockConfig>> =
            stages.iter().map(|blocks| places.by_ref().zip(blocks.iter()).map(block).collect()).collect();
        let last = stages.last().and_then(|stage| stage.last()).map_or(0, |block| 6 * block.outputs);
        stages.push(vec![BlockConfig { kind: Plain, kernel: 1, inner: last, squeeze: None, outputs: last }]);
        Self {
            strides: usual_strides(stages.len(), true),
            stages,
            features,
            pooled_first: true,
            activation: Activation::HardSwish,
            epsilon: 1e-3,
            ..Self::of(16, &[], false, |_, count| count)
        }
    }

    /// Returns EfficientNet-B0 to B7.
    ///
    /// # Panics
    /// If `scale` is more than 7.
    pub fn efficientnet(scale: usize) -> Self {
        let (width, depth) = SCALES[scale];
        let deep = |_, count| (count as f64 * depth).ceil() as usize;
        let wide = |channels: usize| multiple_of_8(channels as f64 * width);
        Self {
            features: wide(1280),
            epsilon: if scale < 5 { 1e-5 } else { 1e-3 },
            ..Self::of(wide(32), &Self::scaled(EFFICIENTNET, width), true, deep)
        }
    }

    /// Returns EfficientNet-Lite0 to Lite4.
    fn lite(scale: usize) -> Self {
        let (width, depth) = SCALES[scale];
        let last = EFFICIENTNET.len() - 1;
        let deep = |place, count| match place {
            0 => count,
            place if place == last => count,
            _ => (count as f64 * depth).ceil() as usize,
        };
        let network = Self::of(32, &Self::scaled(EFFICIENTNET, width), false, deep);
        Self { activation: Activation::Relu6, ..network }.of_tensorflow()
    }

    fn efficientnet_v2(rows: &[StageRow]) -> Self {
        Self { epsilon: 1e-3, ..Self::of(rows[0].3, rows, true, |_, count| count) }
    }

    fn of_tensorflow(self) -> Self {
        Self { epsilon: 1e-3, same_padding: true, ..self }
    }

    /// Returns the variants that torchvision and timm publish, by name.
    pub fn variants() -> Vec<(&'static str, Self)> {
        let mut variants = vec![
            ("mobilenet_v2", Self::mobilenet_v2()),
            ("mobilenet_v3_small", Self::mobilenet_v3(MOBILENET_V3_SMALL, 1024)),
            ("mobilenet_v3_large", Self::mobilenet_v3(MOBILENET_V3_LARGE, 1280)),
        ];
        let tensorflow = |name, network: Self| (name, network.of_tensorflow());
        for (scale, name) in B.into_iter().enumerate() {
            variants.push((name, Self::efficientnet(scale)));
        }
        for (scale, name) in TENSORFLOW_B.into_iter().enumerate() {
            variants.push(tensorflow(name, Self::efficientnet(scale)));
        }
        for (scale, name) in LITE.into_iter().enumerate() {
            variants.push((name, Self::lite(scale)));
        }
        for (name, of_tensorflow, rows) in [
            ("efficientnet_v2_s", "tf_efficientnetv2_s", EFFICIENTNET_V2_S),
            ("efficientnet_v2_m", "tf_efficientnetv2_m", EFFICIENTNET_V2_M),
            ("efficientnet_v2_l", "tf_efficientnetv2_l", EFFICIENTNET_V2_L),
        ] {
            variants.push((name, Self::efficientnet_v2(rows)));
            variants.push(tensorflow(of_tensorflow, Self::efficientnet_v2(rows)));
        }
        variants
    }
}

const B: [&str; 8] = [
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
];
const TENSORFLOW_B: [&str; 8] = [
    "tf_efficientnet_b0",
    "tf_efficientnet_b1",
    "tf_efficientnet_b2",
    "tf_efficientnet_b3",
    "tf_efficientnet_b4",
    "tf_efficientnet_b5",
    "tf_efficientnet_b6",
    "tf_efficientnet_b7",
];
const LITE: [&str; 5] = [
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "tf_efficientnet_lite3",
    "tf_efficientnet_lite4",
];

/// Returns the block that has these tensors.
fn detect_block(shapes: &TensorShapes<'_>, name: &str) -> Option<BlockConfig> {
    let of = |part: &str| -> Option<[usize; 4]> { shapes(&format!("{name}.{part}.weight"))?.try_into().ok() };
    let squeeze = of("se.conv_reduce").map(|[squeeze, ..]| squeeze);
    let (kind, [inner, .., kernel], projection) = if let Some(conv) = of("conv_dw") {
        match of("conv_pwl") {
            Some(projection) => (Inverted, conv, projection),
            None => (Separable, conv, of("conv_pw")?),
        }
    } else if let Some(conv) = of("conv_exp") {
        (Fused, conv, of("conv_pwl")?)
    } else {
        let conv = of("conv")?;
        (Plain, conv, conv)
    };
    Some(BlockConfig { kind, kernel, inner, squeeze, outputs: projection[0] })
}

/// Returns the network that has these tensors. What they do not show is as in the first network of such blocks.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<InvertedConfig> {
    let [stem, channels, 3, 3] = <[usize; 4]>::try_from(shapes("conv_stem.weight")?).ok()? else {
        return None;
    };
    let stage = |stage: usize| -> Option<Vec<BlockConfig>> {
        let block = |place: usize| detect_block(shapes, &format!("blocks.{stage}.{place}"));
        Some((0..).map_while(block).collect::<Vec<_>>()).filter(|blocks| !blocks.is_empty())
    };
    let stages: Vec<Vec<BlockConfig>> = (0..).map_while(stage).collect();
    let [classes, features] = shapes("classifier.weight")?.try_into().ok()?;
    let features = shapes("conv_head.weight").map_or(Some(features), |shape| shape.first().copied())?;
    let pooled_first = shapes("bn2.weight").is_none() && shapes("conv_head.weight").is_some();
    let blocks = || stages.iter().flatten();
    let has_gates = blocks().any(|block| block.squeeze.is_some());
    // Without gates, MNASNet and Lite have kernels of five pixels. MNASNet expands some blocks by 3, and Lite all by 6.
    let has_fives = !has_gates && blocks().any(|block| block.kernel == 5);
    let inputs = std::iter::once(stem).chain(blocks().map(|block| block.outputs));
    let mut expanded = blocks().zip(inputs).filter(|(block, _)| block.kind == Inverted);
    let is_mnasnet = has_fives && expanded.any(|(block, inputs)| block.inner == 3 * inputs);
    let is_lite = has_fives && !is_mnasnet;
    let (activation, epsilon) = match () {
        () if pooled_first => (Activation::HardSwish, 1e-3),
        () if blocks().any(|block| block.kind == Fused) => (Activation::Silu, 1e-3),
        () if has_gates => (Activation::Silu, 1e-5),
        () if is_mnasnet => (Activation::Relu, 1e-5),
        () => (Activation::Relu6, if is_lite { 1e-3 } else { 1e-5 }),
    };
    Some(InvertedConfig {
        stem,
        strides: usual_strides(stages.len(), pooled_first),
        stages,
        features,
        pooled_first,
        activation,
        epsilon,
        same_padding: is_lite,
        channels,
        classes,
    })
}

impl Architecture for InvertedConfig {
    type Network = InvertedResiduals;

    fn build(&self, device: &Device) -> InvertedResiduals {
        self.init(device)
    }

    fn forward(network: &InvertedResiduals, images: Tensor<4>) -> Tensor<2> {
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

    fn options(&self) -> ArchitectureOptions {
        ArchitectureOptions {
            activation: Some(self.activation),
            epsilon: Some(self.epsilon),
            strides: Some(self.strides.clone()),
            same_padding: Some(self.same_padding),
            ..ArchitectureOptions::default()
        }
    }

    fn with_options(self, options: &ArchitectureOptions) -> Result<Self, String> {
        let strides = options.strides.clone().unwrap_or(self.strides);
        if strides.len() != self.stages.len() || !strides.iter().all(|stride| (1..=4).contains(stride)) {
            return Err(format!("its {} stages have strides of 1 to 4, not {strides:?}", self.stages.len()));
        }
        Ok(Self {
            activation: options.activation.unwrap_or(self.activation),
            epsilon: options.epsilon.unwrap_or(self.epsilon),
            same_padding: options.same_padding.unwrap_or(self.same_padding),
            strides,
            ..self
        })
    }

    /// The features of a MobileNetV3 are a convolution of one pixel in timm: a linear layer.
    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        let shape = match shape {
            [to, from, 1, 1] if self.pooled_first && name == "conv_head.weight" => vec![*to, *from],
            shape => shape.to_vec(),
        };
        Some((name.into(), shape))
    }
}

/// `MobileNet` and `EfficientNet`.
pub struct InvertedFamily;

impl Family for InvertedFamily {
    fn name(&self) -> &'static str {
        "MobileNet, EfficientNet"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        InvertedConfig::variants().into_iter().map(|(name, network)| (name, network.into())).collect()
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("inverted.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }

    fn naming(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("tf_efficientnet", "epsilon = 1e-3\nsame_padding = true"),
            ("tf_mobilenetv3", "epsilon = 1e-3\nsame_padding = true"),
            ("mobilenetv3_", "epsilon = 1e-5"),
            ("mnasnet", "activation = 'relu'\nepsilon = 1e-5\nsame_padding = false"),
        ]
    }
}

/// A network of inverted residuals. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct InvertedResiduals {
    conv_stem: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<Vec<Block>>,
    conv_head: Head,
    bn2: Option<BatchNorm>,
    classifier: Option<Linear>,
    #[module(skip)]
    activation: Activation,
}

/// What makes the features: a linear layer of the mean of all positions, or a convolution before it.
#[derive(Module, Debug)]
enum Head {
    Linear(Linear),
    Conv(Conv2d),
}

/// A block. It has some of the convolutions, and a norm after each.
#[derive(Module, Debug)]
struct Block {
    conv: Option<Conv2d>,
    conv_exp: Option<Conv2d>,
    conv_pw: Option<Conv2d>,
    conv_dw: Option<Conv2d>,
    conv_pwl: Option<Conv2d>,
    bn1: BatchNorm,
    bn2: Option<BatchNorm>,
    bn3: Option<BatchNorm>,
    se: Option<SqueezeExcite>,
    /// The activation at the end of a block of one convolution, which is part of the block.
    act: Option<Act>,
    shortcut: bool,
    #[module(skip)]
    activation: Activation,
}

/// An activation.
#[derive(Module, Debug)]
struct Act {
    #[module(skip)]
    function: Activation,
}

/// A gate: each channel is scaled by a number between 0 and 1 that is computed from the means of all. Hu et al., *Squeeze-and-Excitation
/// Networks*, CVPR 2018 (<https://arxiv.org/abs/1709.01507>).
#[derive(Module, Debug)]
struct SqueezeExcite {
    conv_reduce: Conv2d,
    conv_expand: Conv2d,
    /// Whether it has the activations of MobileNetV3.
    hard: bool,
    #[module(skip)]
    activation: Activation,
}

impl InvertedConfig {
    /// Builds the network with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> InvertedResiduals {
        let norm = |channels| BatchNormConfig::new(channels).with_epsilon(self.epsilon).init(device);
        let conv = |from, to, kernel: usize, stride, groups| {
            let padding = if self.same_padding { PaddingConfig2d::Same } else { around(kernel / 2) };
            Conv2dConfig::new([from, to], [kernel; 2])
                .with_stride([stride; 2])
                .with_padding(padding)
                .with_groups(groups)
                .with_bias(false)
                .init(device)
        };
        let block = |block: &BlockConfig, from, stride, activation| {
            let BlockConfig { kind, kernel, inner, squeeze, outputs } = *block;
            let is = |kinds: &[BlockKind]| kinds.contains(&kind);
            let one = |channels, squeeze| Conv2dConfig::new([channels, squeeze], [1; 2]).init(device);
            Block {
                conv: is(&[Plain]).then(|| conv(from, outputs, kernel, stride, 1)),
                conv_exp: is(&[Fused]).then(|| conv(from, inner, kernel, stride, 1)),
                conv_pw: match kind {
                    Inverted => Some(conv(from, inner, 1, 1, 1)),
                    Separable => Some(conv(inner, outputs, 1, 1, 1)),
                    Fused | Plain => None,
                },
                conv_dw: is(&[Inverted, Separable]).then(|| conv(inner, inner, kernel, stride, inner)),
                conv_pwl: is(&[Inverted, Fused]).then(|| conv(inner, outputs, 1, 1, 1)),
                bn1: norm(inner),
                bn2: is(&[Inverted, Separable, Fused])
                    .then(|| norm(if kind == Inverted { inner } else { outputs })),
                bn3: is(&[Inverted]).then(|| norm(outputs)),
                se: squeeze.map(|squeeze| SqueezeExcite {
                    conv_reduce: one(inner, squeeze),
                    conv_expand: one(squeeze, inner),
                    hard: self.pooled_first,
                    activation: if self.pooled_first { Activation::Relu } else { self.activation },
                }),
                act: is(&[Plain]).then_some(Act { function: activation }),
                shortcut: stride == 1 && from == outputs,
                activation,
            }
        };
        let mut from = self.stem;
        let stage = |(place, (blocks, first)): (usize, (&Vec<BlockConfig>, &usize))| {
            let is_early = self.pooled_first && place + 4 < self.stages.len();
            let activation = if is_early { Activation::Relu } else { self.activation };
            let strides = std::iter::once(*first).chain(std::iter::repeat(1));
            let build = |(config, stride): (&BlockConfig, usize)| {
                block(config, std::mem::replace(&mut from, config.outputs), stride, activation)
            };
            blocks.iter().zip(strides).map(build).collect()
        };
        let blocks = self.stages.iter().zip(&self.strides).enumerate().map(stage).collect();
        let features = self.features;
        InvertedResiduals {
            conv_stem: conv(self.channels, self.stem, 3, 2, 1),
            bn1: norm(self.stem),
            blocks,
            conv_head: match self.pooled_first {
                true => Head::Linear(LinearConfig::new(from, features).init(device)),
                false => Head::Conv(conv(from, features, 1, 1, 1)),
            },
            bn2: (!self.pooled_first).then(|| norm(features)),
            classifier: head(features, self.classes, device),
            activation: self.activation,
        }
    }
}

impl SqueezeExcite {
    /// # Shapes
    /// - x, output: `[batch, channels, height, width]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let means = averaged(x.clone()).unsqueeze_dims(&[2, 3]);
        let gate = self.conv_expand.forward(self.activation.apply(self.conv_reduce.forward(means)));
        x * if self.hard { hard_sigmoid(gate, 1.0 / 6.0, 0.5) } else { sigmoid(gate) }
    }
}

impl Block {
    /// Returns its convolutions in order, each with its norm.
    fn convolutions(&self) -> Vec<(&Conv2d, &BatchNorm)> {
        let (expansion, projection) = match &self.conv_pwl {
            Some(last) => (self.conv_pw.as_ref(), Some(last)),
            None => (None, self.conv_pw.as_ref()),
        };
        let convs =
            [self.conv.as_ref(), self.conv_exp.as_ref(), expansion, self.conv_dw.as_ref(), projection];
        let norms = [Some(&self.bn1), self.bn2.as_ref(), self.bn3.as_ref()];
        convs.into_iter().flatten().zip(norms.into_iter().flatten()).collect()
    }

    /// # Shapes
    /// - x: `[batch, channels, height, width]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let act = |x| self.activation.apply(x);
        let normed = |(conv, norm): (&Conv2d, &BatchNorm), x| norm.forward(conv.forward(x));
        let mut inner = self.convolutions();
        let Some(last) = inner.pop() else { return x };
        let y = inner.into_iter().fold(x.clone(), |y, step| act(normed(step, y)));
        let y = match &self.se {
            Some(se) => se.forward(y),
            None => y,
        };
        let y = normed(last, y);
        let y = match &self.act {
            Some(act) => act.function.apply(y),
            None => y,
        };
        if self.shortcut { x + y } else { y }
    }
}

impl InvertedResiduals {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.activation.apply(self.bn1.forward(self.conv_stem.forward(images)));
        let x = self.blocks.iter().flatten().fold(x, |x, block| block.forward(x));
        let features = match (&self.conv_head, &self.bn2) {
            (Head::Linear(linear), _) => self.activation.apply(linear.forward(averaged(x))),
            (Head::Conv(conv), Some(norm)) => averaged(self.activation.apply(norm.forward(conv.forward(x)))),
            (Head::Conv(conv), None) => averaged(conv.forward(x)),
        };
        classified(self.classifier.as_ref(), features)
    }
}
