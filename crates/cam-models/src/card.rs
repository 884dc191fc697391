//! Model cards: what one has to know of a model to use it, as data in `models/*.toml`.

use crate::Error;
use crate::preprocess::{Filter, Preprocess, Resize};
use serde::{Deserialize, Serialize};

/// A model card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The name of the model, as torchvision or timm calls it.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
    /// Where its weights are published; empty for the built-in model.
    pub url: String,
    /// The repository of the Hugging Face hub that has its weights as `model.safetensors`: `timm/resnet50.tv_in1k`.
    pub hub: Option<String>,
    /// The sha256 of the file of the hub, where it is known.
    pub sha256: Option<String>,
    /// The license of the weights.
    pub license: String,
    /// Height and width of its input in pixels.
    pub size: [usize; 2],
    /// The share of the shorter side that a center crop keeps.
    pub crop: f32,
    /// The filter that photos are resized with.
    #[serde(default)]
    pub filter: Filter,
    /// The mean of red, green and blue, of values in 0..1.
    pub mean: [f32; 3],
    /// The deviation of red, green and blue.
    pub std: [f32; 3],
    /// The layer that is looked at where none is named.
    pub layer: String,
    /// The list of its classes: `imagenet`, `scenes`.
    pub labels: Labels,
    /// What its logits stand for.
    pub logits: Logits,
}

/// Lists of classes that the crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// The 1000 classes of ImageNet-1k.
    Imagenet,
    /// The objects of the drawn scenes.
    Scenes,
}

/// What logits stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Logits {
    /// One class of all: probabilities are their softmax.
    Softmax,
    /// Each class is there or not: probabilities are their sigmoids.
    Sigmoid,
}

macro_rules! cards {
    ($($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../models/", $name, ".toml"))),*]
    };
}

/// The cards, the built-in model first.
const CARDS: &[&str] = cards![
    "scenes",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
    "vit_tiny_patch16_224",
    "vit_tiny_patch16_384",
    "vit_small_patch16_224",
    "vit_small_patch16_384",
    "vit_small_patch32_224",
    "vit_small_patch32_384",
    "vit_base_patch16_224",
    "vit_base_patch16_384",
    "vit_base_patch32_224",
    "vit_base_patch32_384",
    "deit_tiny_patch16_224",
    "deit_small_patch16_224",
    "deit_base_patch16_224",
    "deit_base_patch16_384",
    "deit_tiny_distilled_patch16_224",
    "deit_small_distilled_patch16_224",
    "deit_base_distilled_patch16_224",
    "deit_base_distilled_patch16_384",
    "swin_tiny_patch4_window7_224",
    "swin_small_patch4_window7_224",
    "swin_base_patch4_window7_224",
    "swin_base_patch4_window12_384",
    "swin_large_patch4_window7_224",
    "swin_large_patch4_window12_384",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
];

impl Card {
    /// All cards, the built-in model first.
    pub fn all() -> Vec<Card> {
        CARDS.iter().map(|text| toml::from_str(text).expect("the cards of this crate are tested")).collect()
    }

    /// The card of this name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with the names that there are.
    ///
    /// ```
    /// use cam_models::Card;
    /// assert_eq!(Card::named("resnet50")?.layer, "layer4.2");
    /// assert!(Card::named("resnet5").unwrap_err().to_string().contains("there are scenes, resnet18"));
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<Card, Error> {
        let known = Self::all();
        known.iter().find(|card| card.name == name).cloned().ok_or_else(|| Error::UnknownModel {
            asked: name.into(),
            known: known.iter().map(|card| card.name.clone()).collect(),
        })
    }

    /// How a photo becomes the input of this model.
    pub fn preprocess(&self, resize: Resize) -> Preprocess {
        Preprocess {
            size: self.size,
            crop: self.crop,
            resize,
            filter: self.filter,
            mean: self.mean,
            std: self.std,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn every_card_is_complete_and_named_once() {
        let cards = Card::all();
        for (place, card) in cards.iter().enumerate() {
            assert!(cards[..place].iter().all(|other| other.name != card.name), "{}", card.name);
            assert_eq!(card.url.is_empty(), card.name == "scenes", "{}", card.name);
        }
    }

    #[test]
    fn every_variant_has_a_card() {
        for (name, _) in Config::variants() {
            assert!(Card::named(name).is_ok(), "{name}");
        }
    }
}
