//! DenseNet, in torchvision's layout (timm's has the same names); torchvision's own files, which are older, load too.
//!
//! Huang et al., *Densely Connected Convolutional Networks*, CVPR 2017 (<https://arxiv.org/abs/1608.06993>), the variant with
//! bottlenecks and compression (DenseNet-BC).
//!
//! Its layers have the names of the checkpoint: `features` and in it `norm0`, `relu0`, `pool0`, each block (`denseblock4`), each
//! layer of it (`denseblock4.denselayer16`) with its norms and convolutions, each `transition1` with its `norm`, and `norm5`.

use crate::zoo::head::{classified, head};
use crate::zoo::numbered::Numbered;
use crate::zoo::sequence::{around, averaged, conv, norm};
use crate::{AnyArchitecture, Architecture, Error, Family, ModelCard, TensorShapes};
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, Relu};
use burn::prelude::*;
use burn::tensor::activation::relu;

/// The configuration of a DenseNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenseNetConfig {
    /// Layers of each dense block; the network ends before an empty block.
    pub blocks: [usize; 4],
    /// Channels that a layer adds.
    pub growth: usize,
    /// Channels of the stem.
    pub stem: usize,
    /// Channels inside a layer, in multiples of `growth`.
    pub bottleneck: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

const DENSENET121: DenseNetConfig = DenseNetConfig {
    blocks: [6, 12, 24, 16],
    growth: 32,
    stem: 64,
    bottleneck: 4,
    channels: 3,
    classes: 1000,
};

/// The variants that torchvision and timm publish, by name.
pub const VARIANTS: &[(&str, DenseNetConfig)] = &[
    ("densenet121", DENSENET121),
    ("densenet161", DenseNetConfig { blocks: [6, 12, 36, 24], growth: 48, stem: 96, ..DENSENET121 }),
    ("densenet169", DenseNetConfig { blocks: [6, 12, 32, 32], ..DENSENET121 }),
    ("densenet201", DenseNetConfig { blocks: [6, 12, 48, 32], ..DENSENET121 }),
];

/// The names of the parts of a layer in older files, and now.
const OLD: [(&str, &str); 4] =
    [(".norm.1.", ".norm1."), (".norm.2.", ".norm2."), (".conv.1.", ".conv1."), (".conv.2.", ".conv2.")];

/// Returns the DenseNet that has these tensors.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<DenseNetConfig> {
    let rows = |name: &str| shapes(name)?.first().copied();
    let layer = |block: usize, layer: usize, part: usize| {
        let name = format!("features.denseblock{block}.denselayer{layer}.conv");
        rows(&format!("{name}{part}.weight")).or_else(|| rows(&format!("{name}.{part}.weight")))
    };
    let growth = layer(1, 1, 2)?;
    let blocks =
        [1, 2, 3, 4].map(|block| (1..).take_while(|number| layer(block, *number, 2).is_some()).count());
    Some(DenseNetConfig {
        blocks,
        growth,
        stem: rows("features.conv0.weight")?,
        bottleneck: layer(1, 1, 1)?.checked_div(growth).filter(|times| *times > 0)?,
        channels: *shapes("features.conv0.weight")?.get(1)?,
        classes: rows("classifier.weight")?,
    })
}

impl Architecture for DenseNetConfig {
    type Network = DenseNet;

    fn build(&self, device: &Device) -> DenseNet {
        self.init(device)
    }

    fn forward(network: &DenseNet, images: Tensor<4>) -> Tensor<2> {
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
        let old = OLD.iter().find(|(old, _)| name.contains(".denselayer") && name.contains(old));
        let key = old.map_or(name.into(), |(old, new)| name.replace(old, new));
        Some((key, shape.to_vec()))
    }
}

/// DenseNet.
pub struct DenseNetFamily;

impl Family for DenseNetFamily {
    fn name(&self) -> &'static str {
        "DenseNet"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("densenet.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }
}

/// A DenseNet. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct DenseNet {
    features: Features,
    classifier: Option<Linear>,
}

#[derive(Module, Debug)]
struct Features {
    conv0: Conv2d,
    norm0: BatchNorm,
    relu0: Relu,
    pool0: MaxPool2d,
    denseblock1: Option<DenseBlock>,
    transition1: Option<Transition>,
    denseblock2: Option<DenseBlock>,
    transition2: Option<Transition>,
    denseblock3: Option<DenseBlock>,
    transition3: Option<Transition>,
    denseblock4: Option<DenseBlock>,
    norm5: BatchNorm,
}

/// Layers that each see the output of all layers before them.
type DenseBlock = Numbered<DenseLayer>;

#[derive(Module, Debug)]
struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
}

/// Halves the channels and the sides.
#[derive(Module, Debug)]
struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
    pool: AvgPool2d,
}

impl DenseNetConfig {
    /// Builds a DenseNet with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> DenseNet {
        let mut channels = self.stem;
        let mut blocks = [const { None }; 4];
        let mut transitions = [const { None }; 4];
        for (number, &count) in self.blocks.iter().take_while(|count| **count > 0).enumerate() {
            if number > 0 {
                let halved = channels / 2;
                transitions[number - 1] = Some(Transition {
                    norm: norm(channels, device),
                    conv: conv(channels, halved, 1, 1, 1, device),
                    pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
                });
                channels = halved;
            }
            let layers = (0..count).map(|_| {
                let inner = self.bottleneck * self.growth;
                let layer = DenseLayer {
                    norm1: norm(channels, device),
                    conv1: conv(channels, inner, 1, 1, 1, device),
                    norm2: norm(inner, device),
                    conv2: conv(inner, self.growth, 3, 1, 1, device),
                };
                channels += self.growth;
                layer
            });
            blocks[number] = Some(Numbered::new("denselayer", layers.collect()));
        }
        let [denseblock1, denseblock2, denseblock3, denseblock4] = blocks;
        let [transition1, transition2, transition3, _] = transitions;
        DenseNet {
            features: Features {
                conv0: conv(self.channels, self.stem, 7, 2, 1, device),
                norm0: norm(self.stem, device),
                relu0: Relu::new(),
                pool0: MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_padding(around(1)).init(),
                denseblock1,
                transition1,
                denseblock2,
                transition2,
                denseblock3,
                transition3,
                denseblock4,
                norm5: norm(channels, device),
            },
            classifier: head(channels, self.classes, device),
        }
    }
}

impl DenseLayer {
    /// Returns the channels that this layer adds to a block.
    ///
    /// # Shapes
    /// - inputs: the input of the block and the output of each layer before, `[batch, channels, height, width]`
    /// - output: `[batch, growth, height, width]`
    fn forward(&self, inputs: &[Tensor<4>]) -> Tensor<4> {
        let y = self.norm1.forward(Tensor::cat(inputs.to_vec(), 1));
        let y = self.norm2.forward(self.conv1.forward(relu(y)));
        self.conv2.forward(relu(y))
    }
}

impl Transition {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pool.forward(self.conv.forward(relu(self.norm.forward(x))))
    }
}

impl Features {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.relu0.forward(self.norm0.forward(self.conv0.forward(images)));
        let mut x = self.pool0.forward(x);
        let stages = [
            (&self.denseblock1, &self.transition1),
            (&self.denseblock2, &self.transition2),
            (&self.denseblock3, &self.transition3),
            (&self.denseblock4, &None),
        ];
        for (block, transition) in stages {
            if let Some(block) = block {
                let outputs = block.iter().fold(vec![x], |mut outputs, layer| {
                    outputs.push(layer.forward(&outputs));
                    outputs
                });
                x = Tensor::cat(outputs, 1);
            }
            if let Some(transition) = transition {
                x = transition.forward(x);
            }
        }
        self.norm5.forward(x)
    }
}

impl DenseNet {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, of any size that leaves a position after the last transition
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        classified(self.classifier.as_ref(), averaged(relu(self.features.forward(images))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_files_have_a_dot_before_the_number() {
        let key = |name: &str| DENSENET121.remap_key(name, &[32]).unwrap().0;
        let layer = "features.denseblock2.denselayer11";
        assert_eq!(key(&format!("{layer}.norm.2.running_var")), format!("{layer}.norm2.running_var"));
        assert_eq!(key(&format!("{layer}.conv.1.weight")), format!("{layer}.conv1.weight"));
        assert_eq!(key("features.transition1.norm.weight"), "features.transition1.norm.weight");
    }
}
