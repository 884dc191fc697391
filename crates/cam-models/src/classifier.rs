//! A model that is ready to be asked: a network with its weights, its card and the names of its classes.

use crate::detection::{card_of, last_like, undetected};
use crate::digest::sha256;
use crate::labels::{class_named, labels};
use crate::weights::Weights;
use crate::zoo::resnet::ResNetConfig;
use crate::zoo::{Config, Network, RecordedNetwork};
use crate::{Card, Error, Precision, Prediction, Resize};
use burn::tensor::{Device, Tensor};
use cam_core::{Inspect, Model, Taps};
use image::RgbImage;
use std::fs::File;
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
    network: RecordedNetwork,
    source: Source,
    device: Device,
    precision: Precision,
}

/// Where weights come from.
enum Source {
    BuiltIn,
    File(PathBuf),
    Memory,
    Random,
}

/// The weights of the built-in model.
const BUILT_IN: &[u8] = include_bytes!("../models/scenes.safetensors");

impl Classifier {
    /// The model that needs no file: trained on drawn scenes, it knows the classes of `cam-scenes`.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn builtin(device: &Device) -> Result<Self, Error> {
        let weights = Weights::from_bytes("scenes.safetensors", BUILT_IN.to_vec())?;
        let network = weights.load("scenes", Config::from(SCENES).init(device))?;
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
        Ok(Self::of(card, config.classes(), config.init(device), Source::Random, device))
    }

    /// A model of [`Card::all`] with the weights of a file; the file decides how many classes there are.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UnreadableWeights`], and [`Error::WrongWeights`] for those of another model.
    pub fn load(name: &str, weights: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        let card = Card::named(name)?;
        let path = weights.as_ref();
        let weights = Weights::open(path)?;
        let config = config(name);
        let classes = weights.detect().map_or(config.classes(), |found| found.classes());
        Self::with(card, config.with_classes(classes), &weights, Source::File(path.into()), device)
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
        let path = weights.as_ref();
        Self::detected(&Weights::open(path)?, Source::File(path.into()), device)
    }

    /// As [`load_file`](Self::load_file), of weights that lie in memory, for programs that carry theirs with them and for browsers,
    /// which have no files: safetensors or Burn's burnpack. `name` is what a file of them would be called.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use cam_models::Classifier;
    ///
    /// let weights = include_bytes!("../models/scenes.safetensors");
    /// let model = Classifier::load_bytes("scenes.safetensors", weights.to_vec(), &Device::flex())?;
    /// assert_eq!(model.card().name, "scenes");
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_file`](Self::load_file); [`Error::UnreadableWeights`] also for PyTorch's `.pth`, which is read from files only.
    pub fn load_bytes(name: &str, weights: Vec<u8>, device: &Device) -> Result<Self, Error> {
        Self::detected(&Weights::from_bytes(name, weights)?, Source::Memory, device)
    }

    fn detected(weights: &Weights, source: Source, device: &Device) -> Result<Self, Error> {
        let Some(config) = weights.detect() else { return Err(undetected(weights, device)) };
        let card = card_of(&config, weights.source(), device)?;
        let mut model = Self::with(card, config, weights, source, device).map_err(|error| match error {
            Error::WrongWeights { path, model, mismatch } => Error::NearMiss { path, model, mismatch },
            other => other,
        })?;
        if Card::named(&model.card.name).is_err() {
            model.card.layer = last_like(&model, &model.card.layer, device);
        }
        Ok(model)
    }

    fn with(
        card: Card,
        config: Config,
        weights: &Weights,
        source: Source,
        device: &Device,
    ) -> Result<Self, Error> {
        let own = |name: &str, shape: &[usize]| config.remap_key(name, shape);
        let network = weights.load_as(&card.name, config.init(device), &own)?;
        Ok(Self::of(card, config.classes(), network, source, device))
    }

    fn of(card: Card, classes: usize, network: Network, source: Source, device: &Device) -> Self {
        let labels = labels(card.labels, classes);
        let network = recorded(&network);
        Self { card, labels, network, source, device: device.clone(), precision: Precision::F32 }
    }

    /// The model with a network that computes in this precision. Pictures go in and logits come out in f32, and maps are computed in
    /// f32 all the same. The precision is lost: from half of it there is no way back.
    ///
    /// # Errors
    /// [`Error::Precision`] where the device cannot.
    pub fn in_precision(mut self, precision: Precision) -> Result<Self, Error> {
        self.network = recorded(&precision.of(self.network.module().clone(), &self.device)?);
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

    /// The file that its weights were read from, where they are from one.
    pub fn weights(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::BuiltIn | Source::Memory | Source::Random => None,
        }
    }

    /// The sha256 of its weights as they are stored, in hexadecimal digits: of the file, which is read for it, or of those built
    /// in. None of random weights and of those that were given as bytes.
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
            Source::Memory | Source::Random => Ok(None),
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

impl Classifier {
    /// Images in the precision of the network.
    fn cast(&self, images: Tensor<4>) -> Tensor<4> {
        images.cast(self.precision.dtype())
    }
}

impl Model for Classifier {
    fn module(&self) -> &dyn Inspect {
        Model::module(&self.network)
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        Model::prepare(&self.network, &self.cast(images.clone()))
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let logits = self.network.forward(self.cast(images), taps);
        logits.cast(Precision::F32.dtype())
    }
}

fn recorded(network: &Network) -> RecordedNetwork {
    network.record().expect("the parameters of a classifier are on one device")
}

/// The configuration of a model that has a card.
fn config(name: &str) -> Config {
    Config::named(name).unwrap_or(SCENES.into())
}
