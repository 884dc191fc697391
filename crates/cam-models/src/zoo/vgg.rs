//! VGG, with and without BatchNorm, in torchvision's layout; files of timm load too.
//!
//! Simonyan and Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, ICLR 2015
//! (<https://arxiv.org/abs/1409.1556>), table 1.
//!
//! Its layers are every `features.N`: convolutions, norms, ReLUs and poolings.

use crate::zoo::head::{classified, head};
use crate::zoo::sequence::{self, SeqLayer, norm};
use crate::{AnyArchitecture, Architecture, Error, Family, ModelCard, TensorShapes};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::adaptive_avg_pool2d;
use std::borrow::Cow;

/// The configuration of a VGG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VggConfig {
    /// Channels and number of the 3x3 convolutions of each stage, which ends with a pooling that halves the sides.
    pub stages: Cow<'static, [(usize, usize)]>,
    /// A BatchNorm after each convolution.
    pub norms: bool,
    /// Units of the two hidden linear layers.
    pub hidden: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// The positions per side that the classifier sees.
const SIDE: usize = 7;

const fn vgg(stages: &'static [(usize, usize)], norms: bool) -> VggConfig {
    VggConfig { stages: Cow::Borrowed(stages), norms, hidden: 4096, channels: 3, classes: 1000 }
}

// The columns A, B, D and E of the paper.
const A: &[(usize, usize)] = &[(64, 1), (128, 1), (256, 2), (512, 2), (512, 2)];
const B: &[(usize, usize)] = &[(64, 2), (128, 2), (256, 2), (512, 2), (512, 2)];
const D: &[(usize, usize)] = &[(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)];
const E: &[(usize, usize)] = &[(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)];

/// The variants that torchvision and timm publish, by name.
pub const VARIANTS: &[(&str, VggConfig)] = &[
    ("vgg11", vgg(A, false)),
    ("vgg13", vgg(B, false)),
    ("vgg16", vgg(D, false)),
    ("vgg19", vgg(E, false)),
    ("vgg11_bn", vgg(A, true)),
    ("vgg13_bn", vgg(B, true)),
    ("vgg16_bn", vgg(D, true)),
    ("vgg19_bn", vgg(E, true)),
];

/// timm's names of the linear layers, which are convolutions in timm, and ours.
const TIMM: [(&str, &str); 3] = [
    ("pre_logits.fc1.", "classifier.0."),
    ("pre_logits.fc2.", "classifier.3."),
    ("head.fc.", "classifier.6."),
];

/// Returns the VGG that has these tensors.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<VggConfig> {
    let conv = |place: usize| {
        let shape = shapes(&format!("features.{place}.weight"))?;
        (shape.len() == 4 && shape[2..] == [3, 3]).then(|| shape[0])
    };
    let norms = shapes("features.1.running_mean").is_some();
    let step = if norms { 3 } else { 2 };
    let (mut stages, mut place) = (Vec::new(), 0);
    while let Some(channels) = conv(place) {
        let count = (0..).take_while(|number| conv(place + step * number) == Some(channels)).count();
        stages.push((channels, count));
        place += step * count + 1;
    }
    let rows = |ours: &str, timm: &str| shapes(ours).or_else(|| shapes(timm))?.first().copied();
    Some(VggConfig {
        stages: stages.into(),
        norms,
        hidden: rows("classifier.0.weight", "pre_logits.fc1.weight")?,
        channels: *shapes("features.0.weight")?.get(1)?,
        classes: rows("classifier.6.weight", "head.fc.weight")?,
    })
    .filter(|config| !config.stages.is_empty())
}

impl Architecture for VggConfig {
    type Network = Vgg;

    fn build(&self, device: &Device) -> Vgg {
        self.init(device)
    }

    fn forward(network: &Vgg, images: Tensor<4>) -> Tensor<2> {
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

    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        let timm = TIMM.iter().find_map(|(theirs, ours)| Some((ours, name.strip_prefix(theirs)?)));
        Some(match (timm, shape) {
            (Some((ours, parameter)), [rows, columns @ ..]) if columns.len() > 1 => {
                (format!("{ours}{parameter}"), vec![*rows, columns.iter().product()])
            }
            (Some((ours, parameter)), _) => (format!("{ours}{parameter}"), shape.to_vec()),
            (None, _) => (name.into(), shape.to_vec()),
        })
    }
}

/// VGG.
pub struct VggFamily;

impl Family for VggFamily {
    fn name(&self) -> &'static str {
        "VGG"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("vgg.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }
}

/// A VGG. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct Vgg {
    features: Vec<SeqLayer>,
    /// Linear layers at 0, 3 and 6; ReLU and dropout, which have no parameters, between them.
    classifier: Vec<Option<Linear>>,
}

impl VggConfig {
    /// Builds a VGG with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> Vgg {
        let (mut features, mut from) = (Vec::new(), self.channels);
        for &(channels, count) in self.stages.iter() {
            for _ in 0..count {
                features.push(SeqLayer::biased_conv(from, channels, device));
                if self.norms {
                    features.push(SeqLayer::Norm(norm(channels, device)));
                }
                features.push(SeqLayer::relu());
                from = channels;
            }
            features.push(SeqLayer::pool());
        }
        let linear = |from, to| Some(LinearConfig::new(from, to).init(device));
        let classifier = vec![
            linear(from * SIDE * SIDE, self.hidden),
            None,
            None,
            linear(self.hidden, self.hidden),
            None,
            None,
            head(self.hidden, self.classes, device),
        ];
        Vgg { features, classifier }
    }
}

impl Vgg {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, of any size that leaves a position after the last pooling; the classifier sees
    ///   the features averaged to 7x7 positions
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = sequence::run(&self.features, images);
        if x.dims()[2..] != [SIDE, SIDE] {
            x = adaptive_avg_pool2d(x, [SIDE, SIDE]);
        }
        let x = x.flatten(1, 3);
        let [hidden @ .., head] = &self.classifier[..] else { return x };
        let x = hidden.iter().flatten().fold(x, |x, linear| relu(linear.forward(x)));
        classified(head.as_ref(), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensors of timm's vgg11, but for its features.
    const HEAD: &[(&str, &[usize], &str, &[usize])] = &[
        ("pre_logits.fc1.weight", &[4096, 512, 7, 7], "classifier.0.weight", &[4096, 25088]),
        ("pre_logits.fc1.bias", &[4096], "classifier.0.bias", &[4096]),
        ("pre_logits.fc2.weight", &[4096, 4096, 1, 1], "classifier.3.weight", &[4096, 4096]),
        ("pre_logits.fc2.bias", &[4096], "classifier.3.bias", &[4096]),
        ("head.fc.weight", &[10, 4096], "classifier.6.weight", &[10, 4096]),
        ("head.fc.bias", &[10], "classifier.6.bias", &[10]),
    ];

    #[test]
    fn the_convolutions_of_timms_head_are_our_linear_layers() {
        for (theirs, shape, ours, expected) in HEAD {
            assert_eq!(VARIANTS[0].1.remap_key(theirs, shape), Some((ours.to_string(), expected.to_vec())));
        }
    }

    #[test]
    fn a_file_of_timm_is_detected() {
        let widths = [(0, 64), (3, 128), (6, 256), (8, 256), (11, 512), (13, 512), (16, 512), (18, 512)];
        let shapes = |name: &str| {
            let feature = widths.iter().find(|(place, _)| name == format!("features.{place}.weight"));
            let head = HEAD.iter().find(|(theirs, ..)| name == *theirs);
            feature.map(|(_, to)| vec![*to, 3, 3, 3]).or(head.map(|(_, shape, ..)| shape.to_vec()))
        };
        assert_eq!(detect(&shapes), Some(VggConfig { classes: 10, ..VARIANTS[0].1.clone() }));
    }
}
