//! MNASNet (its variant B1), in torchvision's layout.
//!
//! Tan et al., *MnasNet: Platform-Aware Neural Architecture Search for Mobile*, CVPR 2019
//! (<https://arxiv.org/abs/1807.11626>).
//!
//! Its layers are every `layers.N`, each block of its stacks (`layers.12.3`), and each step of a block (`layers.12.3.layers.4`).

use crate::zoo::head::head;
use crate::zoo::sequence::{self, InvertedResidual, SeqLayer, conv, norm};
use crate::{AnyArchitecture, Architecture, Error, Family, ModelCard, TensorShapes};
use burn::nn::Linear;
use burn::prelude::*;

/// The configuration of an MNASNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MnasNetConfig {
    /// Channels of the stem, of its separable convolution, and of the six stacks of blocks.
    pub widths: [usize; 8],
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// The six stacks: side of the depthwise kernels, stride of the first block, expansion, and number of blocks.
const STACKS: [[usize; 4]; 6] =
    [[3, 2, 3, 3], [5, 2, 3, 3], [5, 2, 6, 3], [3, 1, 6, 2], [5, 2, 6, 4], [3, 1, 6, 1]];

/// The indices of the stacks among the layers.
const PLACES: std::ops::Range<usize> = 8..14;

/// Channels before the classifier.
const FEATURES: usize = 1280;

impl MnasNetConfig {
    /// Returns the configuration with the widths of the paper times `alpha`, for ImageNet.
    pub const fn scaled(alpha: f64) -> Self {
        let mut widths = [32, 16, 24, 40, 80, 96, 192, 320];
        let mut place = 0;
        while place < widths.len() {
            widths[place] = multiple_of_8(widths[place] as f64 * alpha);
            place += 1;
        }
        Self { widths, channels: 3, classes: 1000 }
    }

    /// Builds an MNASNet with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> MnasNet {
        let [stem, separable, stacks @ ..] = self.widths;
        // A convolution and its norm.
        let normed = |from, to, kernel, stride, groups| {
            [SeqLayer::Conv(conv(from, to, kernel, stride, groups, device)), SeqLayer::Norm(norm(to, device))]
        };
        let mut layers = Vec::new();
        layers.extend(normed(self.channels, stem, 3, 2, 1));
        layers.push(SeqLayer::relu());
        layers.extend(normed(stem, stem, 3, 1, stem));
        layers.push(SeqLayer::relu());
        layers.extend(normed(stem, separable, 1, 1, 1));
        let mut from = separable;
        for ([kernel, stride, expansion, count], to) in STACKS.into_iter().zip(stacks) {
            let blocks = (0..count).map(|number| {
                let stride = if number == 0 { stride } else { 1 };
                let inner = from * expansion;
                let mut layers = Vec::new();
                layers.extend(normed(from, inner, 1, 1, 1));
                layers.push(SeqLayer::relu());
                layers.extend(normed(inner, inner, kernel, stride, inner));
                layers.push(SeqLayer::relu());
                layers.extend(normed(inner, to, 1, 1, 1));
                let shortcut = from == to && stride == 1;
                from = to;
                InvertedResidual { layers, shortcut }
            });
            layers.push(SeqLayer::Blocks(blocks.collect()));
        }
        layers.extend(normed(from, FEATURES, 1, 1, 1));
        layers.push(SeqLayer::relu());
        let classifier = vec![None, head(FEATURES, self.classes, device)];
        MnasNet { layers, classifier }
    }
}

/// Returns the nearest multiple of 8, or the next one if the nearest is smaller by more than a tenth.
const fn multiple_of_8(width: f64) -> usize {
    let nearest = (width + 4.0) as usize / 8 * 8;
    let nearest = if nearest < 8 { 8 } else { nearest };
    if nearest as f64 >= 0.9 * width { nearest } else { nearest + 8 }
}

/// The variants that torchvision publishes, by name.
pub const VARIANTS: &[(&str, MnasNetConfig)] = &[
    ("mnasnet0_5", MnasNetConfig::scaled(0.5)),
    ("mnasnet0_75", MnasNetConfig::scaled(0.75)),
    ("mnasnet1_0", MnasNetConfig::scaled(1.0)),
    ("mnasnet1_3", MnasNetConfig::scaled(1.3)),
];

/// Returns the MNASNet that has these tensors.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<MnasNetConfig> {
    let rows = |name: &str| shapes(name)?.first().copied();
    let mut widths = [rows("layers.0.weight")?, rows("layers.6.weight")?, 0, 0, 0, 0, 0, 0];
    for (stack, width) in PLACES.zip(&mut widths[2..]) {
        *width = rows(&format!("layers.{stack}.0.layers.6.weight"))?;
    }
    let channels = *shapes("layers.0.weight")?.get(1)?;
    Some(MnasNetConfig { widths, channels, classes: rows("classifier.1.weight")? })
}

impl Architecture for MnasNetConfig {
    type Network = MnasNet;

    fn build(&self, device: &Device) -> MnasNet {
        self.init(device)
    }

    fn forward(network: &MnasNet, images: Tensor<4>) -> Tensor<2> {
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
}

/// MNASNet.
pub struct MnasNetFamily;

impl Family for MnasNetFamily {
    fn name(&self) -> &'static str {
        "MNASNet"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("mnasnet.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }
}

/// An MNASNet. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct MnasNet {
    layers: Vec<SeqLayer>,
    /// The linear layer at 1; the dropout at 0 has no parameters.
    classifier: Vec<Option<Linear>>,
}

impl MnasNet {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = sequence::averaged(sequence::run(&self.layers, images));
        self.classifier.iter().flatten().fold(x, |x, layer| layer.forward(x))
    }
}
