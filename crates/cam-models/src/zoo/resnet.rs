//! ResNet, in torchvision's layout (timm's plain variants use the same names), with Wide ResNet and ResNeXt.
//!
//! He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016 (<https://arxiv.org/abs/1512.03385>), with the stride of a
//! bottleneck in its 3x3 convolution, as in torchvision. Zagoruyko and Komodakis, *Wide Residual Networks*, BMVC 2016; Xie et al.,
//! *Aggregated Residual Transformations for Deep Neural Networks*, CVPR 2017 (ResNeXt).
//!
//! Its layers have the names of the checkpoint: `bn1`, `relu`, `maxpool`, each stage (`layer4`), each block (`layer4.2`), and each
//! convolution and BatchNorm in it (`layer4.2.bn3`, `layer4.0.downsample.1`).

use crate::zoo::antialias::Reduction;
use crate::zoo::head::{classified, head};
use crate::zoo::sequence::{around, averaged, conv, norm};
use crate::{
    Antialias, AnyArchitecture, Architecture, ArchitectureOptions, Error, Family, ModelCard, TensorShapes,
};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, Relu};
use burn::prelude::*;
use burn::tensor::activation::relu;

/// The configuration of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Blocks in each of the four stages; a network of three has none in the last.
    pub blocks: [usize; 4],
    /// Channels of the stem and of the first stage; each further stage doubles them.
    pub width: usize,
    /// Three convolutions per block, the first one narrowing and the last one widening four times, instead of two convolutions.
    pub bottleneck: bool,
    /// Groups of the 3x3 convolutions of bottlenecks.
    pub groups: usize,
    /// Channels per group in the bottlenecks of the first stage, in 64ths of `width`.
    pub width_per_group: usize,
    /// A stem of a 7x7 convolution (ImageNet) instead of a 3x3 convolution.
    pub deep_stem: bool,
    /// Shortcuts of another shape are every second position, with channels of zeros around, instead of a convolution (option A).
    pub padded_shortcuts: bool,
    /// How the sides shrink.
    pub sampling: Sampling,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// How the sides of an image shrink in a ResNet. Its tensors do not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Strides of the stem's convolution and of each stage.
    pub strides: [usize; 5],
    /// Whether a pooling that halves the sides follows the stem's convolution.
    pub stem_pool: bool,
    /// Dilations of the 3x3 convolutions of each stage; the first block of a stage has that of the stage before.
    pub dilations: [usize; 4],
    /// What precedes a stride of 2.
    pub antialias: Antialias,
}

impl Sampling {
    /// As published for ImageNet: the sides are divided by 32.
    pub const IMAGENET: Self =
        Self { strides: [2, 1, 2, 2, 2], stem_pool: true, dilations: [1; 4], antialias: Antialias::None };
    /// As usual for images of 32 x 32 pixels: the stem keeps the sides, which are divided by 8.
    pub const CIFAR: Self = Self { strides: [1, 1, 2, 2, 2], stem_pool: false, ..Self::IMAGENET };
}

const BASIC: ResNetConfig = ResNetConfig {
    blocks: [2, 2, 2, 2],
    width: 64,
    channels: 3,
    bottleneck: false,
    groups: 1,
    width_per_group: 64,
    deep_stem: true,
    padded_shortcuts: false,
    sampling: Sampling::IMAGENET,
    classes: 1000,
};
const BOTTLENECK: ResNetConfig = ResNetConfig { bottleneck: true, ..BASIC };

/// The variants that torchvision and timm publish, by name.
pub const VARIANTS: &[(&str, ResNetConfig)] = &[
    ("resnet18", BASIC),
    ("resnet34", ResNetConfig { blocks: [3, 4, 6, 3], ..BASIC }),
    ("resnet50", ResNetConfig { blocks: [3, 4, 6, 3], ..BOTTLENECK }),
    ("resnet101", ResNetConfig { blocks: [3, 4, 23, 3], ..BOTTLENECK }),
    ("resnet152", ResNetConfig { blocks: [3, 8, 36, 3], ..BOTTLENECK }),
    ("wide_resnet50_2", ResNetConfig { blocks: [3, 4, 6, 3], width_per_group: 128, ..BOTTLENECK }),
    ("wide_resnet101_2", ResNetConfig { blocks: [3, 4, 23, 3], width_per_group: 128, ..BOTTLENECK }),
    ("resnext50_32x4d", ResNetConfig { blocks: [3, 4, 6, 3], groups: 32, width_per_group: 4, ..BOTTLENECK }),
    (
        "resnext101_32x8d",
        ResNetConfig { blocks: [3, 4, 23, 3], groups: 32, width_per_group: 8, ..BOTTLENECK },
    ),
    (
        "resnext101_64x4d",
        ResNetConfig { blocks: [3, 4, 23, 3], groups: 64, width_per_group: 4, ..BOTTLENECK },
    ),
];

/// Returns the ResNet that has these tensors. A 3x3 stem is assumed to keep the sides.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<ResNetConfig> {
    let stem = shapes("conv1.weight").filter(|shape| shape.len() == 4)?;
    let inner = shapes("layer1.0.conv2.weight").filter(|shape| shape.len() == 4)?;
    let (width, bottleneck) = (stem[0], shapes("layer1.0.conv3.weight").is_some());
    let groups = inner[0].checked_div(inner[1])?;
    let blocks = [1, 2, 3, 4].map(|stage| {
        (0..).take_while(|block| shapes(&format!("layer{stage}.{block}.conv1.weight")).is_some()).count()
    });
    let convolved = |stage: usize| shapes(&format!("layer{stage}.0.downsample.0.weight")).is_some();
    let has_convolved_shortcuts = (1..=4).any(convolved);
    let config = ResNetConfig {
        blocks,
        width,
        channels: stem[1],
        bottleneck,
        groups,
        width_per_group: if bottleneck { (inner[0] * 64).checked_div(width * groups)? } else { 64 },
        deep_stem: stem[2] == 7,
        padded_shortcuts: blocks[1] > 0 && !has_convolved_shortcuts,
        sampling: if stem[2] == 7 { Sampling::IMAGENET } else { Sampling::CIFAR },
        classes: *shapes("fc.weight")?.first()?,
    };
    (!bottleneck || config.inner(width) == inner[0]).then_some(config)
}

impl Architecture for ResNetConfig {
    type Network = ResNet;

    fn build(&self, device: &Device) -> ResNet {
        self.init(device)
    }

    fn forward(network: &ResNet, images: Tensor<4>) -> Tensor<2> {
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
        let Sampling { strides, stem_pool, dilations, antialias } = self.sampling;
        ArchitectureOptions {
            strides: Some(strides.into()),
            stem_pool: Some(stem_pool),
            dilations: Some(dilations.into()),
            antialias: Some(antialias),
            ..ArchitectureOptions::default()
        }
    }

    fn with_options(self, options: &ArchitectureOptions) -> Result<Self, String> {
        let of_stages = |what: &str, numbers: &[usize]| format!("a ResNet has {what}, not {numbers:?}");
        let known = self.sampling;
        let strides = match &options.strides {
            None => known.strides,
            Some(given) => <[usize; 5]>::try_from(&given[..])
                .ok()
                .filter(|strides| strides.iter().all(|stride| STRIDES.contains(stride)))
                .ok_or_else(|| of_stages("five strides of 1 to 4, the stem's first", given))?,
        };
        let dilations = match &options.dilations {
            None => known.dilations,
            Some(given) => <[usize; 4]>::try_from(&given[..])
                .ok()
                .filter(|dilations| dilations.iter().all(|dilation| DILATIONS.contains(dilation)))
                .ok_or_else(|| of_stages("four dilations of 1 to 32", given))?,
        };
        let stem_pool = options.stem_pool.unwrap_or(known.stem_pool);
        let antialias = options.antialias.unwrap_or(known.antialias);
        Ok(Self { sampling: Sampling { strides, stem_pool, dilations, antialias }, ..self })
    }
}

/// The strides that a stage can have.
const STRIDES: std::ops::RangeInclusive<usize> = 1..=4;
/// The dilations that a stage can have.
const DILATIONS: std::ops::RangeInclusive<usize> = 1..=32;

/// ResNet, Wide ResNet and ResNeXt.
pub struct ResNetFamily;

impl Family for ResNetFamily {
    fn name(&self) -> &'static str {
        "ResNet"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("resnet.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }

    /// timm's ResNets with a filter before each stride have the tensors of those without.
    fn naming(&self) -> &'static [(&'static str, &'static str)] {
        &[("resnetblur", "antialias = 'blur'"), ("resnetaa", "antialias = 'avg'")]
    }
}

/// A ResNet. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    relu: Relu,
    maxpool: Option<MaxPool2d>,
    reduction: Option<Reduction>,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Option<Linear>,
}

/// A residual block: two convolutions, or three with a bottleneck.
#[derive(Module, Debug)]
pub struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    reduction: Option<Reduction>,
    downsample: Option<(Conv2d, BatchNorm)>,
    /// Of a shortcut that is padded: takes some of its positions.
    subsample: Option<AvgPool2d>,
}

impl ResNetConfig {
    /// Builds a ResNet with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> ResNet {
        let mut from = self.width;
        let Sampling { strides, stem_pool, dilations, antialias } = self.sampling;
        let mut stage = |number: usize| -> Vec<Block> {
            let planes = self.width << number;
            (0..self.blocks[number])
                .map(|place| {
                    let stride = if place == 0 { strides[number + 1] } else { 1 };
                    let dilation = dilations[number];
                    let before =
                        if place == 0 { number.checked_sub(1).map_or(1, |n| dilations[n]) } else { dilation };
                    let block = self.block([from, planes], stride, [before, dilation], device);
                    from = planes * self.expansion();
                    block
                })
                .collect()
        };
        let (layer1, layer2, layer3, layer4) = (stage(0), stage(1), stage(2), stage(3));
        // With a filter, it is the filter that has the stride; a mean takes the place of the pooling.
        let (reduction, pool_stride) = match antialias {
            Antialias::None => (None, 2),
            _ => (Reduction::new(antialias, 2), 1),
        };
        let pool =
            || MaxPool2dConfig::new([3, 3]).with_strides([pool_stride; 2]).with_padding(around(1)).init();
        ResNet {
            conv1: conv(self.channels, self.width, if self.deep_stem { 7 } else { 3 }, strides[0], 1, device),
            bn1: norm(self.width, device),
            relu: Relu::new(),
            maxpool: (stem_pool && antialias != Antialias::Avg).then(pool),
            reduction: reduction.filter(|_| stem_pool),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: head(from, self.classes, device),
        }
    }

    fn expansion(&self) -> usize {
        if self.bottleneck { 4 } else { 1 }
    }

    /// Returns the channels inside a bottleneck.
    fn inner(&self, planes: usize) -> usize {
        planes * self.width_per_group / 64 * self.groups
    }

    /// Builds a block from and to these channels, with the dilations of its first 3x3 convolution and of any other.
    fn block(
        &self,
        [from, planes]: [usize; 2],
        stride: usize,
        dilations: [usize; 2],
        device: &Device,
    ) -> Block {
        let to = planes * self.expansion();
        let filtered = stride == 2 || dilations[0] != dilations[1];
        let reduction = Reduction::new(self.sampling.antialias, stride).filter(|_| filtered);
        let own_stride = if reduction.is_some() { 1 } else { stride };
        let conv3 = |from, to, stride, groups, dilation| {
            Conv2dConfig::new([from, to], [3, 3])
                .with_stride([stride; 2])
                .with_padding(around(dilation))
                .with_dilation([dilation; 2])
                .with_groups(groups)
                .with_bias(false)
                .init(device)
        };
        let is_other = stride != 1 || from != to;
        let downsample = (is_other && !self.padded_shortcuts)
            .then(|| (conv(from, to, 1, stride, 1, device), norm(to, device)));
        let subsample = (is_other && self.padded_shortcuts)
            .then(|| AvgPool2dConfig::new([1, 1]).with_strides([stride; 2]).init());
        if !self.bottleneck {
            return Block {
                conv1: conv3(from, planes, own_stride, 1, dilations[0]),
                bn1: norm(planes, device),
                conv2: conv3(planes, planes, 1, 1, dilations[1]),
                bn2: norm(planes, device),
                conv3: None,
                bn3: None,
                reduction,
                downsample,
                subsample,
            };
        }
        let inner = self.inner(planes);
        Block {
            conv1: conv(from, inner, 1, 1, 1, device),
            bn1: norm(inner, device),
            conv2: conv3(inner, inner, own_stride, self.groups, dilations[0]),
            bn2: norm(inner, device),
            conv3: Some(conv(inner, to, 1, 1, 1, device)),
            bn3: Some(norm(to, device)),
            reduction,
            downsample,
            subsample,
        }
    }
}

/// Returns activations of more channels, with zeros before and behind those that there are.
fn padded(x: Tensor<4>, channels: usize) -> Tensor<4> {
    let [batch, own, height, width] = x.dims();
    let zeros = |count| Tensor::zeros([batch, count, height, width], &x.device());
    let before = (channels - own) / 2;
    let parts = [
        (before, zeros(before)),
        (own, x.clone()),
        (channels - own - before, zeros(channels - own - before)),
    ];
    Tensor::cat(parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect(), 1)
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match (&self.downsample, &self.subsample) {
            (Some((conv, norm)), _) => norm.forward(conv.forward(x.clone())),
            (None, Some(subsample)) => {
                let [channels, ..] = self.conv3.as_ref().unwrap_or(&self.conv2).weight.dims();
                padded(subsample.forward(x.clone()), channels)
            }
            (None, None) => x.clone(),
        };
        let y = relu(self.bn1.forward(self.conv1.forward(x)));
        let y = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let y = self.reduced(relu(self.bn2.forward(self.conv2.forward(y))));
                bn3.forward(conv3.forward(y))
            }
            _ => self.bn2.forward(self.conv2.forward(self.reduced(y))),
        };
        relu(y + shortcut)
    }

    fn reduced(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.reduction {
            Some(reduction) => reduction.forward(x),
            None => x,
        }
    }
}

impl ResNet {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, of any size that leaves a position after the last stage
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.relu.forward(self.bn1.forward(self.conv1.forward(images)));
        let x = match &self.maxpool {
            Some(maxpool) => maxpool.forward(x),
            None => x,
        };
        let x = match &self.reduction {
            Some(reduction) => reduction.forward(x),
            None => x,
        };
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let x = stages.into_iter().flatten().fold(x, |x, block| block.forward(x));
        classified(self.fc.as_ref(), averaged(x))
    }
}
