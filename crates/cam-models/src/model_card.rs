//! Model cards: what one has to know of a model to use it. Those of a family are one TOML file beside its network.

use crate::{ArchitectureOptions, Error, Registry};
use cam_image::{ChannelOrder, Cropping, Filter, InputLayout, Logits, Preprocess, Resize, ValueRange};
use serde::{Deserialize, Serialize, Serializer};

/// A model card: what one has to know of a model to use it.
///
/// The fields are public. New cards come from [`ModelCard::new`] or from TOML, see [`ModelCard::list`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelCard {
    /// The name of the model, as torchvision or timm calls it.
    pub name: String,
    /// What it is, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Where its weights are published; empty if they are part of the program or not published.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The repository of the Hugging Face hub that has its weights as `model.safetensors`: `timm/resnet50.tv_in1k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// The sha256 of the file of the hub, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The license of the weights.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// How many of the validation images of ImageNet-1k it finds the class of, in percent, as its publisher measured it.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "some_as_written")]
    pub accuracy: Option<f32>,
    /// Height and width of its input in pixels.
    pub size: [usize; 2],
    /// Channels of its input: 1 (gray), 3 (colors), or any number of bands.
    #[serde(default = "colors")]
    pub channels: usize,
    /// The order of three channels: `rgb`, `bgr`.
    #[serde(default)]
    pub order: ChannelOrder,
    /// The range of pixel values: `0..1`, `0..255`.
    #[serde(default)]
    pub range: ValueRange,
    /// The mean of each channel, in the order and the units of the network. The last one is that of all further channels.
    #[serde(serialize_with = "as_written")]
    pub mean: Vec<f32>,
    /// The deviation of each channel, in the order and the units of the network. The last one is that of all further channels.
    #[serde(serialize_with = "as_written")]
    pub std: Vec<f32>,
    /// How an image of another shape becomes the input, by default: `squash`, `crop`, `squash-crop`, `letterbox`, `short-side`, `corner`.
    #[serde(default)]
    pub resize: Resize,
    /// The share of the shorter side that a center crop keeps.
    #[serde(serialize_with = "one_as_written")]
    pub crop: f32,
    /// Whose rules a center crop follows: `timm`, `transformers`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cropping: Cropping,
    /// The most pixels of the longer side of an input as long as the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<usize>,
    /// The filter that images are resized with: `bilinear`, `bicubic`, `lanczos`, `nearest`, `box`, `hamming`, `linear`.
    #[serde(default)]
    pub filter: Filter,
    /// The order of the axes of its input, and of arrays whose shape fits both: `auto`, `nchw`, `nhwc`.
    #[serde(default)]
    pub layout: InputLayout,
    /// What its tensors do not show of the network.
    #[serde(default)]
    pub architecture: ArchitectureOptions,
    /// The part that the names of its tensors start with in a file of several networks: `teacher.`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The head that is used, as the file calls it, where a network has several: `head_dist`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// The default layer.
    pub layer: String,
    /// The names of its classes: `imagenet`, `coco`, `scenes`, `numbers`, or a list of names.
    pub labels: Labels,
    /// What its logits stand for.
    pub logits: Logits,
    /// What it does, where its output does not show it: `classify`, `detect`, `segment`, `embed`, `regress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The decoder of its output: `yolov8`, `fastestdet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// The least score of a box, of a detector.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "some_as_written")]
    pub min_score: Option<f32>,
    /// From which intersection over union on a box shows what is found already, of a detector.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "some_as_written")]
    pub overlap: Option<f32>,
    /// What its numbers are in: `years`, `mm`; of a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// The names of the classes of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Labels {
    /// The 1000 classes of ImageNet-1k.
    Imagenet,
    /// The objects of the drawn scenes.
    Scenes,
    /// The 80 classes of COCO's boxes.
    Coco,
    /// No names: classes are called by their numbers.
    Numbers,
    /// These, in the order of the logits.
    #[serde(untagged)]
    Names(Vec<String>),
}

/// A list of cards in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardList {
    /// The fields of every card that does not have them itself.
    #[serde(default)]
    defaults: toml::Table,
    model: Vec<toml::Table>,
}

/// Writes numbers with as many digits as they need in f32: 0.485, and not 0.48500001430511475.
fn as_written<S: Serializer>(numbers: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    numbers.iter().copied().map(shortest).collect::<Vec<f64>>().serialize(serializer)
}

fn one_as_written<S: Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    shortest(*number).serialize(serializer)
}

fn some_as_written<S: Serializer>(number: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
    number.map(shortest).serialize(serializer)
}

/// Returns a number in as few digits as say which f32 it is.
pub(crate) fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The channels of a photo.
fn colors() -> usize {
    3
}

impl ModelCard {
    /// Returns a card for a model with an input of `[height, width]` pixels and this default layer. It is normalized as for ImageNet,
    /// cropped whole, and has numbers for labels and a softmax over its logits; the fields can be changed.
    pub fn new(name: impl Into<String>, size: [usize; 2], layer: impl Into<String>) -> Self {
        let Preprocess { channels, order, range, mean, std, resize, filter, .. } = Preprocess::IMAGENET;
        Self {
            name: name.into(),
            about: String::new(),
            url: String::new(),
            hub: None,
            sha256: None,
            license: String::new(),
            accuracy: None,
            size,
            channels,
            order,
            range,
            mean: mean.into_owned(),
            std: std.into_owned(),
            resize,
            crop: 1.0,
            cropping: Cropping::default(),
            longest: None,
            filter,
            layout: InputLayout::default(),
            architecture: ArchitectureOptions::default(),
            prefix: None,
            classifier: None,
            layer: layer.into(),
            labels: Labels::Numbers,
            logits: Logits::Softmax,
            task: None,
            decoder: None,
            min_score: None,
            overlap: None,
            unit: None,
        }
    }

    /// Reads a list of cards in TOML: a table `[[model]]` per card, and a table `[defaults]` of fields that cards may leave out.
    ///
    /// ```
    /// use cam_models::{Labels, ModelCard};
    ///
    /// let cards = ModelCard::list(
    ///     r#"
    ///     [defaults]
    ///     size = [224, 224]
    ///     crop = 0.875
    ///     mean = [0.485, 0.456, 0.406]
    ///     std = [0.229, 0.224, 0.225]
    ///     layer = "stage4"
    ///     labels = ["a cat", "a dog"]
    ///     logits = "softmax"
    ///
    ///     [[model]]
    ///     name = "pets_small"
    ///
    ///     [[model]]
    ///     name = "pets_large"
    ///     size = [384, 384]
    ///     "#,
    /// )?;
    /// assert_eq!((cards[1].name.as_str(), cards[1].size), ("pets_large", [384, 384]));
    /// assert_eq!(cards[0].labels, Labels::Names(vec!["a cat".into(), "a dog".into()]));
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ModelCards`] for text that is not TOML, and for missing and unrecognized fields.
    pub fn list(text: &str) -> Result<Vec<Self>, Error> {
        let CardList { defaults, model } =
            toml::from_str(text).map_err(|error| Error::ModelCards { reason: error.to_string() })?;
        let card = |own: toml::Table| {
            let name = own.get("name").map(ToString::to_string).unwrap_or_default();
            let mut fields = defaults.clone();
            fields.extend(own);
            let read = fields.try_into::<Self>();
            read.map_err(|error| Error::ModelCards { reason: format!("{name}: {}", error.message()) })
        };
        model.into_iter().map(card).collect()
    }

    /// Returns the cards of the built-in families, that of the built-in model first.
    pub fn all() -> Vec<Self> {
        Registry::builtin().cards().cloned().collect()
    }

    /// Returns the card of this name, of the built-in families.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with the names that there are.
    ///
    /// ```
    /// use cam_models::ModelCard;
    ///
    /// assert_eq!(ModelCard::named("resnet50")?.layer, "layer4.2");
    /// assert!(ModelCard::named("resnet5").unwrap_err().to_string().contains("did you mean resnet50, "));
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<Self, Error> {
        Registry::builtin().card(name).cloned()
    }

    /// The most numbers of an input that a card may ask for: an input is computed when a model is opened, to find its layers.
    pub const LARGEST_INPUT: usize = 1 << 24;

    /// Returns why no network is run with these inputs, if they are too large.
    pub fn too_large(&self) -> Option<String> {
        let ([height, width], channels) = (self.size, self.channels);
        let numbers = channels.saturating_mul(height).saturating_mul(width);
        (numbers > Self::LARGEST_INPUT)
            .then(|| format!("images of {channels} x {height} x {width} numbers are too large"))
    }

    /// Returns how an image becomes the input of this model.
    pub fn preprocess(&self) -> Preprocess {
        let Self { size, channels, order, range, crop, cropping, longest, resize, filter, layout, .. } =
            *self;
        let (mean, std) = (self.mean.clone().into(), self.std.clone().into());
        Preprocess {
            size,
            channels,
            order,
            range,
            mean,
            std,
            crop,
            cropping,
            longest,
            resize,
            filter,
            layout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_is_complete_and_named_once() {
        let cards = ModelCard::all();
        assert_eq!(cards.len(), 98);
        for (place, card) in cards.iter().enumerate() {
            assert!(cards[..place].iter().all(|other| other.name != card.name), "{}", card.name);
            assert_eq!(card.url.is_empty(), card.name == "scenes", "{}", card.name);
            assert!(!card.about.is_empty() && !card.license.is_empty(), "{}", card.name);
        }
    }

    #[test]
    fn every_variant_has_a_card_and_every_card_a_variant() {
        let registry = Registry::builtin();
        let variants: Vec<&str> = registry.variants().map(|(name, _)| name).collect();
        assert!(variants.iter().all(|name| ModelCard::named(name).is_ok()), "{variants:?}");
        assert!(ModelCard::all().iter().all(|card| registry.variant(&card.name).is_some()));
        assert_eq!(variants.len(), ModelCard::all().len());
    }

    #[test]
    fn what_is_wrong_with_a_card_is_an_error_with_its_name() {
        let missing = ModelCard::list("[[model]]\nname = \"a\"").unwrap_err().to_string();
        assert!(missing.contains("\"a\": missing field"), "{missing}");
        let unknown = ModelCard::list("[[model]]\nname = \"a\"\nsise = [1, 1]").unwrap_err().to_string();
        assert!(unknown.contains("sise"), "{unknown}");
        assert!(matches!(ModelCard::list("name ="), Err(Error::ModelCards { .. })));
    }
}
