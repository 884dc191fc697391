//! A model that is ready to be asked: a network with its weights, its card and the names of its classes.

use crate::digest::sha256;
use crate::network::{Config, Network};
use crate::resnet::ResNetConfig;
use crate::weights::{Comparison, Outline, Weights, count};
use crate::{Card, Error, Labels, Logits, Precision, Resize};
use burn::tensor::{Device, Tensor, TensorReadError, try_read_sync};
use cam_core::{Model, Taps};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::mem::discriminant;
use std::path::{Path, PathBuf};

/// The configuration of the built-in model: a ResNet of eight layers' depth for pictures of 128 x 128 pixels.
pub const SCENES: ResNetConfig = ResNetConfig {
    blocks: [1, 1, 1, 1],
    width: 16,
    bottleneck: false,
    groups: 1,
    width_per_group: 64,
    deep_stem: false,
    classes: 10,
};

/// A network with its weights, its card and the names of its classes.
pub struct Classifier {
    card: Card,
    labels: Vec<String>,
    network: Network,
    source: Source,
    device: Device,
    precision: Precision,
}

/// Where weights come from.
enum Source {
    BuiltIn,
    File(PathBuf),
    Random,
}

/// The weights of the built-in model.
const BUILT_IN: &[u8] = include_bytes!("../models/scenes.safetensors");

/// A class and how sure the network is of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The number of the class.
    pub class: usize,
    /// Its name.
    pub label: String,
    /// The output of the network.
    pub logit: f32,
    /// Its softmax over the classes, or its sigmoid where classes do not exclude each other.
    pub probability: f32,
}

impl Classifier {
    /// The model that needs no file: trained on drawn scenes, it knows the classes of `cam-scenes`.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn builtin(device: &Device) -> Result<Self, Error> {
        let weights = Weights::from_safetensors("scenes.safetensors", BUILT_IN)?;
        let network = weights.load("scenes", Config::from(SCENES).init(device))?.folded();
        let card = Card::named("scenes")?;
        Ok(Self::of(card, SCENES.classes, network, Source::BuiltIn, device))
    }

    /// A model that needs no file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], and [`Error::NoWeights`] for those that need one.
    pub fn without_file(name: &str, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        match card.url.is_empty() {
            true => Self::builtin(device),
            false => Err(Error::NoWeights { model: name.into(), url: card.url }),
        }
    }

    /// A model of [`Card::all`] with its published weights: built in, in the cache of the Hugging Face hub, or fetched there now.
    /// For progress, a mirror or a cache of one's own see [`Hub`](crate::Hub).
    ///
    /// ```no_run
    /// use burn::tensor::Device;
    /// use cam_models::Classifier;
    ///
    /// let model = Classifier::pretrained("resnet50", &Device::flex())?;
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownModel`], what [`Hub::weights`](crate::Hub::weights) says, and what [`Classifier::load`] says.
    #[cfg(feature = "hub")]
    pub fn pretrained(name: &str, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        if card.hub.is_none() {
            return Self::without_file(name, device);
        }
        let weights = crate::Hub::from_env().weights(&card, |_, _| {})?;
        Self::load(name, weights, device)
    }

    /// A model of [`Card::all`] with random weights, to look at its layers.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn untrained(name: &str, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        let config = config(name);
        Ok(Self::of(card, config.classes(), config.init(device).folded(), Source::Random, device))
    }

    /// A model of [`Card::all`] with the weights of a file; the file decides how many classes there are.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UnreadableWeights`], and [`Error::WrongWeights`] for those of another model.
    pub fn load(name: &str, weights: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        let weights = Weights::open(weights.as_ref())?;
        let config = config(name);
        let classes = weights.recognise().map_or(config.classes(), |found| found.classes());
        Self::with(card, config.with_classes(classes), &weights, device)
    }

    /// The model that the weights of a file are of: its family, size and number of classes are told by the names and shapes of
    /// its tensors.
    ///
    /// Tensors do not tell how pictures were prepared. That comes from the card of the network; where several models are one
    /// network (a DeiT is a ViT), from the one that the file's name mentions, or else the first in [`Config::variants`]. A
    /// network of a size that has no card gets the card of the network of its family with the nearest number of parameters, and looks at the last layer of the kind
    /// that the card names.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`]; [`Error::NearMiss`] with what differs for tensors that are nearly those of a network, and
    /// [`Error::UnknownNetwork`] for others.
    pub fn load_file(weights: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        let weights = Weights::open(weights.as_ref())?;
        let Some(config) = weights.recognise() else { return Err(unrecognised(&weights, device)) };
        let card = card_of(&config, weights.source(), device)?;
        let mut model = Self::with(card, config, &weights, device).map_err(|error| match error {
            Error::WrongWeights { path, model, mismatch } => Error::NearMiss { path, model, mismatch },
            other => other,
        })?;
        if Card::named(&model.card.name).is_err() {
            model.card.layer = last_like(&model, &model.card.layer, device);
        }
        Ok(model)
    }

    fn with(card: Card, config: Config, weights: &Weights, device: &Device) -> Result<Self, Error> {
        let own = |name: &str, shape: &[usize]| config.own(name, shape);
        let network = weights.load_as(&card.name, config.init(device), &own)?.folded();
        let source = Source::File(weights.source().to_path_buf());
        Ok(Self::of(card, config.classes(), network, source, device))
    }

    fn of(card: Card, classes: usize, network: Network, source: Source, device: &Device) -> Self {
        let labels = labels(card.labels, classes);
        Self { card, labels, network, source, device: device.clone(), precision: Precision::F32 }
    }

    /// The model with a network that computes in this precision. Pictures go in and logits come out in f32, and maps are computed in
    /// f32 all the same. The precision is lost: from half of it there is no way back.
    ///
    /// # Errors
    /// [`Error::Precision`] where the device cannot.
    pub fn in_precision(mut self, precision: Precision) -> Result<Self, Error> {
        self.network = precision.of(self.network, &self.device)?;
        self.precision = precision;
        Ok(self)
    }

    /// The precision that the network computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The model with the names of its classes from a file, one a line.
    ///
    /// # Errors
    /// [`Error::UnreadableLabels`], and [`Error::LabelCount`] where there are more or fewer names than classes.
    pub fn with_labels(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unreadable = |reason: String| Error::UnreadableLabels { path: path.into(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
        let text = text.trim_start_matches('\u{feff}').trim_end();
        let names: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
        if names.len() != self.labels.len() {
            let (names, classes) = (names.len(), self.labels.len());
            return Err(Error::LabelCount { path: path.into(), names, classes });
        }
        self.labels = names;
        Ok(self)
    }

    /// What one has to know of the model.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The file that its weights were read from; none of the built-in model and of random weights.
    pub fn weights(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::BuiltIn | Source::Random => None,
        }
    }

    /// The sha256 of its weights as they are stored, in hexadecimal digits: of the file, which is read for it, or of those built
    /// in. None of random weights.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] when the file is not there any more.
    pub fn sha256(&self) -> Result<Option<String>, Error> {
        match &self.source {
            Source::BuiltIn => Ok(Some(sha256(BUILT_IN).expect("bytes in memory can be read"))),
            Source::File(path) => {
                let digest = File::open(path).and_then(sha256);
                let unreadable = |e: std::io::Error| Error::UnreadableWeights {
                    path: path.clone(),
                    reason: e.to_string(),
                };
                digest.map(Some).map_err(unreadable)
            }
            Source::Random => Ok(None),
        }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the model gets to see of a photo, squeezed whole, on its device; for other ways see [`Card::preprocess`].
    ///
    /// # Shapes
    /// - output: `[1, 3, height, width]`
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use cam_models::Classifier;
    ///
    /// let model = Classifier::builtin(&Device::flex())?;
    /// let photo = image::DynamicImage::new_rgb8(300, 200).into_rgb8();
    /// assert_eq!(model.input(&photo).dims(), [1, 3, 128, 128]);
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    pub fn input(&self, photo: &RgbImage) -> Tensor<4> {
        self.card.preprocess(Resize::Squash).apply(photo, &self.device).0
    }

    /// The names of its classes; a number where a class has none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The number of the class of this name, or of this number.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] with names that are near it.
    pub fn class(&self, asked: &str) -> Result<usize, Error> {
        class_named(&self.labels, asked)
    }

    /// The `count` classes with the highest logits of each image, highest first.
    ///
    /// # Shapes
    /// - logits: `[batch, classes]`
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn predictions(&self, logits: Tensor<2>, count: usize) -> Result<Vec<Vec<Prediction>>, Error> {
        Prediction::of(logits, self.card.logits, &self.labels, count)
    }

    /// As [`predictions`](Self::predictions), without blocking.
    ///
    /// # Errors
    /// As [`predictions`](Self::predictions).
    pub async fn predictions_async(
        &self,
        logits: Tensor<2>,
        count: usize,
    ) -> Result<Vec<Vec<Prediction>>, Error> {
        Prediction::of_async(logits, self.card.logits, &self.labels, count).await
    }
}

/// The number of the class of this name (capitals do not matter), or of this number. Without names any number is one.
///
/// # Errors
/// [`Error::UnknownLabel`] with names that are near it.
///
/// ```
/// use cam_models::class_named;
///
/// let names = ["tabby".to_string(), "tiger cat".to_string()];
/// assert_eq!(class_named(&names, "Tiger Cat")?, 1);
/// assert_eq!(class_named(&names, "0")?, 0);
/// assert_eq!(class_named(&names, "taby").unwrap_err().to_string(), "no class is called `taby`; near it are tabby");
/// # Ok::<(), cam_models::Error>(())
/// ```
pub fn class_named(labels: &[String], asked: &str) -> Result<usize, Error> {
    let exact = labels.iter().position(|label| label.eq_ignore_ascii_case(asked));
    let numbered = || asked.parse().ok().filter(|class| labels.is_empty() || *class < labels.len());
    if let Some(class) = exact.or_else(numbered) {
        return Ok(class);
    }
    let wanted = asked.to_lowercase();
    let mut close: Vec<(f64, &String)> =
        labels.iter().map(|label| (nearness(&label.to_lowercase(), &wanted), label)).collect();
    close.retain(|(near, _)| *near > 0.7);
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    let close = close.into_iter().take(5).map(|(_, label)| label.clone()).collect();
    Err(Error::UnknownLabel { asked: asked.into(), close, known: labels.len() })
}

impl Logits {
    /// The probabilities that the logits of one image stand for.
    ///
    /// # Shapes
    /// - logits, output: `[classes]`
    pub fn probabilities(self, logits: &[f32]) -> Vec<f32> {
        let logits = logits.iter().map(|&logit| f64::from(logit));
        match self {
            Self::Softmax => {
                let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.map(|logit| (logit - most).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| (power / sum) as f32).collect()
            }
            Self::Sigmoid => logits.map(|logit| (1.0 / (1.0 + (-logit).exp())) as f32).collect(),
        }
    }
}

impl Prediction {
    /// The `count` classes with the highest logits of each image, highest first. A class without a name is called by its number.
    ///
    /// # Shapes
    /// - logits: `[batch, classes]`
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn of(
        logits: Tensor<2>,
        kind: Logits,
        labels: &[String],
        count: usize,
    ) -> Result<Vec<Vec<Self>>, Error> {
        let cannot = || Err(Error::Device { reason: "its numbers can only be awaited here".into() });
        try_read_sync(Self::of_async(logits, kind, labels, count)).unwrap_or_else(cannot)
    }

    /// As [`of`](Self::of), without blocking.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub async fn of_async(
        logits: Tensor<2>,
        kind: Logits,
        labels: &[String],
        count: usize,
    ) -> Result<Vec<Vec<Self>>, Error> {
        let [_, classes] = logits.dims();
        let read = logits.inner().into_data_async().await?;
        let logits: Vec<f32> = read.try_into_vec_as().map_err(TensorReadError::from)?;
        Ok(Self::of_numbers(&logits, classes, kind, labels, count))
    }

    /// As [`of`](Self::of), of logits that have been read: row-major, so many of each image.
    ///
    /// ```
    /// use cam_models::{Logits, Prediction};
    ///
    /// let labels = ["tabby".to_string(), "tiger cat".to_string()];
    /// let found = Prediction::of_numbers(&[0.0, 2.0, 3.0, 1.0], 2, Logits::Softmax, &labels, 1);
    /// assert_eq!([&found[0][0].label, &found[1][0].label], ["tiger cat", "tabby"]);
    /// assert!((found[0][0].probability - 0.88).abs() < 0.01);
    /// ```
    pub fn of_numbers(
        logits: &[f32],
        classes: usize,
        kind: Logits,
        labels: &[String],
        count: usize,
    ) -> Vec<Vec<Self>> {
        let of_image = |logits: &[f32]| {
            let probabilities = kind.probabilities(logits);
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let prediction = |class: usize| Prediction {
                class,
                label: labels.get(class).cloned().unwrap_or_else(|| class.to_string()),
                logit: logits[class],
                probability: probabilities[class],
            };
            order.into_iter().take(count).map(prediction).collect()
        };
        logits.chunks_exact(classes.max(1)).map(of_image).collect()
    }
}

impl Model for Classifier {
    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let logits = self.network.forward(images.cast(self.precision.dtype()), taps);
        logits.cast(Precision::F32.dtype())
    }
}

/// How near a label is to what was asked for: with it as a word nearest, then with it as a part, then spelled like it.
fn nearness(label: &str, asked: &str) -> f64 {
    let words = label.split(|c: char| !c.is_alphanumeric());
    match () {
        () if words.into_iter().any(|word| word == asked) => 3.0,
        () if asked.len() > 2 && label.contains(asked) => 2.0,
        () => strsim::jaro_winkler(label, asked),
    }
}

/// The configuration of a model that has a card.
fn config(name: &str) -> Config {
    Config::named(name).unwrap_or(SCENES.into())
}

/// The card of a network that was recognised in a file.
fn card_of(config: &Config, file: &Path, device: &Device) -> Result<Card, Error> {
    let mut names = config.names();
    if config.clone().with_classes(SCENES.classes) == SCENES.into() {
        names.push("scenes");
    }
    let file = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let mentioned = names.iter().filter(|name| file.contains(**name)).max_by_key(|name| name.len());
    if let Some(name) = mentioned.or(names.first()) {
        return Card::named(name);
    }
    let size = |config: &Config| count(&Outline::of(&config.init(device), None)) as f64;
    let far = |other: &Config| (size(other) / size(config)).ln().abs();
    let family = Config::variants().filter(|(_, other)| discriminant(other) == discriminant(config));
    let nearest = family.min_by(|(_, a), (_, b)| far(a).total_cmp(&far(b)));
    let (name, _) = nearest.expect("every family has variants");
    let mut card = Card::named(name)?;
    card.name = format!("{name} of another size");
    if let Config::Vit(vit) = config {
        card.size = vit.image;
    }
    Ok(card)
}

/// The last layer that is called like this one but for its numbers: `layer4.1` stands for `layer4.0` in a network of shorter
/// stages.
fn last_like(model: &Classifier, layer: &str, device: &Device) -> String {
    let unnumbered = |name: &str| name.split(|c: char| c.is_ascii_digit()).collect::<String>();
    let [height, width] = model.card.size;
    let layers = cam_core::layers(model, Tensor::zeros([1, 3, height, width], device)).unwrap_or_default();
    let alike = layers.iter().rev().find(|other| unnumbered(&other.name) == unnumbered(layer));
    alike.map_or(layer, |other| &other.name).into()
}

/// What to say of a file in which no network was recognised.
fn unrecognised(weights: &Weights, device: &Device) -> Error {
    let differences = Config::variants().map(|(name, config)| {
        let own = |name: &str, shape: &[usize]| config.own(name, shape);
        let Comparison { expected, mismatch, .. } = weights.compare(&config.init(device), &own);
        (mismatch.count() as f64 / expected.len() as f64, name, mismatch)
    });
    let path = weights.source().to_path_buf();
    match differences.min_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((share, model, mismatch)) if share < NEAR => {
            Error::NearMiss { path, model: model.into(), mismatch: mismatch.into() }
        }
        _ => Error::UnknownNetwork {
            path,
            found: weights.names().map(String::from).collect(),
            known: Config::FAMILIES.iter().map(ToString::to_string).collect(),
        },
    }
}

/// The share of tensors that may differ where a file still looks like one of a network.
const NEAR: f64 = 0.2;

/// The names of a list where it fits the number of classes, the numbers else.
fn labels(list: Labels, classes: usize) -> Vec<String> {
    let names = match list {
        Labels::Imagenet => include_str!("../models/imagenet.txt"),
        Labels::Scenes => include_str!("../models/scenes.txt"),
    };
    let names: Vec<String> = names.lines().map(String::from).collect();
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}
