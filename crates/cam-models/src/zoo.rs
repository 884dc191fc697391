//! The networks, each an ordinary Burn module in a file of its own: configuration, variants, one forward pass, detection and remapping of
//! keys. Here they are one type each of networks and configurations, by name or by the tensors of a weight file.

pub mod densenet;
pub mod mnasnet;
pub mod resnet;
pub mod swin;
pub mod vgg;
pub mod vit;

mod bicubic;
mod numbered;
mod sequence;

use self::densenet::{DenseNet, DenseNetConfig};
use self::mnasnet::{MnasNet, MnasNetConfig};
use self::resnet::{ResNet, ResNetConfig};
use self::swin::{Swin, SwinConfig};
use self::vgg::{Vgg, VggConfig};
use self::vit::{Vit, VitConfig};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cam_graph::Recorded;

/// The shape of the tensor of this name in a weight file, in the order that PyTorch has it, or `None` where there is none.
pub type TensorShapes<'a> = dyn Fn(&str) -> Option<Vec<usize>> + 'a;

/// The sides that a tensor can have where a network is detected by it: a file of absurd shapes makes no absurd network.
const SIDES: std::ops::RangeInclusive<usize> = 1..=1 << 17;

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident($network:ty, $config:ty, $module:ident);)*) => {
        /// A network of one of the families.
        #[allow(clippy::large_enum_variant, reason = "a program holds a few")]
        #[derive(Module, Debug)]
        pub enum Network {
            $($(#[$doc])* $family($network),)*
        }

        /// What makes one network another.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Config {
            $($(#[$doc])* $family($config),)*
        }

        $(impl From<$config> for Config {
            fn from(config: $config) -> Self {
                Config::$family(config)
            }
        })*

        impl Config {
            /// The names of the families.
            pub const FAMILIES: &[&str] = &[$(stringify!($family)),*];

            /// The named variants of all families.
            pub fn variants() -> impl Iterator<Item = (&'static str, Config)> {
                let all = std::iter::empty();
                $(let all = all.chain($module::VARIANTS.iter().map(|(name, config)| (*name, config.clone().into())));)*
                all
            }

            /// Which network the tensors of a weight file are of: family, size and number of classes, from names and shapes
            /// under which torchvision and timm publish them. Sizes and numbers of classes need not be published ones.
            ///
            /// `None` where no family has such tensors. What is found fits in what was looked at, not in every tensor:
            /// loading compares them all.
            pub fn detect(shapes: &TensorShapes<'_>) -> Option<Config> {
                let shapes = &|name: &str| shapes(name).filter(|shape| shape.iter().all(|n| SIDES.contains(n)));
                $(if let Some(config) = $module::detect(shapes) {
                    return Some(config.into());
                })*
                None
            }

            /// How the network calls and shapes a tensor of a weight file; `None` for one that inference has no use for.
            ///
            /// The parameters of the network are called as its first publisher calls them. Other files call or shape some of
            /// them otherwise (timm's VGG has convolutions for linear layers): the numbers are the same, in the same order.
            /// A name that no family knows is returned as it is.
            ///
            /// # Shapes
            /// - shape: as PyTorch has it, in the file and in the network
            pub fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
                match self {
                    $(Config::$family(config) => config.remap_key(name, shape),)*
                }
            }

            /// The network with random weights, ready to be trained or loaded.
            pub fn init(&self, device: &Device) -> Network {
                match self {
                    $(Config::$family(config) => Network::$family(config.init(device)),)*
                }
            }

            /// The number of classes.
            pub fn classes(&self) -> usize {
                match self {
                    $(Config::$family(config) => config.classes,)*
                }
            }

            /// The same network for another number of classes.
            pub fn with_classes(mut self, classes: usize) -> Self {
                match &mut self {
                    $(Config::$family(config) => config.classes = classes,)*
                }
                self
            }
        }

        impl Network {
            /// The logits of images.
            ///
            /// # Shapes
            /// - images: `[batch, 3, height, width]`
            /// - output: `[batch, classes]`
            pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
                match self {
                    $(Network::$family(network) => network.forward(images),)*
                }
            }
        }
    };
}

families! {
    /// ResNet, Wide ResNet and ResNeXt.
    ResNet(ResNet, ResNetConfig, resnet);
    /// VGG.
    Vgg(Vgg, VggConfig, vgg);
    /// ViT and DeiT.
    Vit(Vit, VitConfig, vit);
    /// Swin.
    Swin(Swin, SwinConfig, swin);
    /// DenseNet.
    DenseNet(DenseNet, DenseNetConfig, densenet);
    /// MNASNet.
    MnasNet(MnasNet, MnasNetConfig, mnasnet);
}

/// A network as a model to explain: see [`Network::record`].
pub type RecordedNetwork = Recorded<Network, fn(&Network, Tensor<4>) -> Tensor<2>, Tensor<4>, Tensor<2>>;

impl Network {
    /// Records the network as any Burn module is recorded, so that it can be explained.
    ///
    /// # Errors
    /// [`cam_graph::Error::Devices`] when its parameters are on several devices.
    pub fn record(&self) -> Result<RecordedNetwork, cam_graph::Error> {
        cam_graph::record(self, Network::forward)
    }
}

impl Config {
    /// The variant of this name, for the 1000 classes of ImageNet.
    pub fn named(name: &str) -> Option<Config> {
        Self::variants().find(|(variant, _)| *variant == name).map(|(_, config)| config)
    }

    /// The names under which this network is published, whatever its number of classes; none for a size of one's own.
    ///
    /// There can be several: a DeiT is a ViT that was trained otherwise, and reads pictures of another normalization. Tensors
    /// do not tell which of them one has.
    pub fn names(&self) -> Vec<&'static str> {
        Self::variants()
            .filter(|(_, config)| config.clone().with_classes(self.classes()) == *self)
            .map(|(name, _)| name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Outline;
    use burn::store::BurnToPyTorchAdapter;

    #[test]
    fn every_variant_is_detected_by_its_tensors_and_calls_them_as_its_publisher() {
        for (name, config) in Config::variants() {
            let config = config.with_classes(7);
            let shapes = Outline::of(&config.init(&Device::flex()), Some(&BurnToPyTorchAdapter));
            let found = Config::detect(&|name| shapes.get(name).cloned()).expect(name);
            assert_eq!(found, config, "{name}");
            assert!(found.names().contains(&name));
            for (own, shape) in &shapes {
                assert_eq!(config.remap_key(own, shape), Some((own.clone(), shape.clone())), "{name}");
            }
        }
    }
}
