//! The built-in model: a small ResNet for images of 128 x 128 pixels, trained on the drawn scenes of `cam-scenes` by
//! `examples/train_scenes.rs`. Its weights are part of the program.

use crate::zoo::resnet::{self, ResNetConfig, Sampling};
use crate::{AnyArchitecture, Architecture, Error, Family, ModelCard, TensorShapes};

/// The configuration of the built-in model.
pub const SCENES: ResNetConfig = ResNetConfig {
    blocks: [1, 1, 1, 1],
    width: 16,
    bottleneck: false,
    groups: 1,
    width_per_group: 64,
    deep_stem: false,
    padded_shortcuts: false,
    sampling: Sampling { strides: [2, 1, 2, 2, 2], ..Sampling::CIFAR },
    channels: 3,
    classes: 10,
};

/// The built-in model.
pub struct ScenesFamily;

impl Family for ScenesFamily {
    fn name(&self) -> &'static str {
        "ResNet"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        vec![("scenes", SCENES.into())]
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("scenes.toml"))
    }

    /// Detects a ResNet of exactly these sizes, for any number of classes.
    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        let config = ResNetConfig { sampling: SCENES.sampling, ..resnet::detect(shapes)? };
        (config.with_classes(SCENES.classes) == SCENES).then(|| config.into())
    }

    fn embedded_weights(&self, _: &str) -> Option<&'static [u8]> {
        Some(include_bytes!("../../models/scenes.safetensors"))
    }
}
