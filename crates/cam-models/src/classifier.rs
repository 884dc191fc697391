//! A model that is ready to be asked: a network with its weights, its card and the names of its classes.

use crate::network::{Config, Network};
use crate::resnet::ResNetConfig;
use crate::weights::{Comparison, Outline, Weights, count};
use crate::{Card, Error, Labels, Logits, Precision};
use burn::module::Module;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use cam_core::{Model, Taps};
use std::mem::discriminant;
use std::path::Path;

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
    precision: Precision,
}

/// A class and how sure the network is of it.
#[derive(Debug, Clone, PartialEq)]
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
        let bytes = include_bytes!("../../../models/scenes.safetensors");
        let weights = Weights::from_safetensors("scenes.safetensors", bytes)?;
        let network = weights.load("scenes", Config::from(SCENES).init(device))?.folded();
        let card = Card::named("scenes")?;
        Ok(Self::of(card, SCENES.classes, network))
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

    /// A model of [`Card::all`] with random weights, to look at its layers.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn untrained(name: &str, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        let config = config(name);
        Ok(Self::of(card, config.classes(), config.init(device).folded()))
    }

    /// A model of [`Card::all`] with the weights of a file; the file decides how many classes there are.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UnreadableWeights`], and [`Error::WrongWeights`] for those of another model.
    pub fn load(name: &str, weights: &Path, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        let weights = Weights::open(weights)?;
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
    pub fn load_file(weights: &Path, device: &Device) -> Result<Self, Error> {
        let weights = Weights::open(weights)?;
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
        Ok(Self::of(card, config.classes(), network))
    }

    fn of(card: Card, classes: usize, network: Network) -> Self {
        Self { labels: labels(card.labels, classes), card, network, precision: Precision::F32 }
    }

    /// The model with a network that computes in this precision. Pictures go in and logits come out in f32, and maps are computed in
    /// f32 all the same. The precision is lost: from half of it there is no way back.
    ///
    /// # Errors
    /// [`Error::Precision`] where the device cannot.
    pub fn in_precision(mut self, precision: Precision) -> Result<Self, Error> {
        if let Some(device) = self.network.devices().first().cloned() {
            self.network = precision.of(self.network, &device)?;
        }
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
    pub fn with_labels(mut self, path: &Path) -> Result<Self, Error> {
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

    /// The names of its classes; a number where a class has none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The number of the class of this name, or of this number.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] with names that are near it.
    pub fn class(&self, asked: &str) -> Result<usize, Error> {
        let exact = self.labels.iter().position(|label| label.eq_ignore_ascii_case(asked));
        if let Some(class) = exact.or_else(|| asked.parse().ok().filter(|class| *class < self.labels.len())) {
            return Ok(class);
        }
        let mut close: Vec<(f64, &String)> = self
            .labels
            .iter()
            .map(|label| (strsim::jaro_winkler(&label.to_lowercase(), &asked.to_lowercase()), label))
            .collect();
        close.sort_by(|a, b| b.0.total_cmp(&a.0));
        let close = close
            .into_iter()
            .filter(|(near, _)| *near > 0.7)
            .take(5)
            .map(|(_, label)| label.clone())
            .collect();
        Err(Error::UnknownLabel { asked: asked.into(), close })
    }

    /// The `count` classes with the highest logits of each image, highest first.
    ///
    /// # Shapes
    /// - logits: `[batch, classes]`
    pub fn predictions(&self, logits: Tensor<2>, count: usize) -> Vec<Vec<Prediction>> {
        let [_, classes] = logits.dims();
        let logits = logits.inner();
        let probabilities = match self.card.logits {
            Logits::Softmax => softmax(logits.clone(), 1),
            Logits::Sigmoid => sigmoid(logits.clone()),
        };
        let read: Vec<f32> = Tensor::cat(vec![logits, probabilities], 0).into_data().iter().collect();
        let (logits, probabilities) = read.split_at(read.len() / 2);
        let rows = logits.chunks_exact(classes).zip(probabilities.chunks_exact(classes));
        rows.map(|(logits, probabilities)| {
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let prediction = |class: usize| Prediction {
                class,
                label: self.labels[class].clone(),
                logit: logits[class],
                probability: probabilities[class],
            };
            order.into_iter().take(count).map(prediction).collect()
        })
        .collect()
    }
}

impl Model for Classifier {
    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let logits = self.network.forward(images.cast(self.precision.dtype()), taps);
        logits.cast(Precision::F32.dtype())
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
        Labels::Imagenet => include_str!("../../../models/imagenet.txt"),
        Labels::Scenes => include_str!("../../../models/scenes.txt"),
    };
    let names: Vec<String> = names.lines().map(String::from).collect();
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}
