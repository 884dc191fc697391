//! A model that is ready for images: a network with its weights, its model card and the names of its classes.

use crate::card_layers::{CardLayers, Origin, table};
use crate::card_text::card_text;
use crate::detection::Detection;
use crate::digest::sha256;
use crate::erased::{AnyArchitecture, AnyNetwork, RecordedNetwork};
use crate::labels::{class_names, labels};
use crate::weights::Weights;
use crate::{Error, Labels, ModelCard, Registry, folder};
use burn::tensor::{Device, Tensor};
use cam_core::{Inspect, Model, Taps};
use cam_graph::Precision;
use cam_image::{Prediction, class_named};
use image::RgbImage;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A network with its weights, its model card and the names of its classes.
///
/// The constructors here know the built-in families; [`Registry`] has the same ones for more.
pub struct Classifier {
    card: ModelCard,
    labels: Vec<String>,
    network: RecordedNetwork,
    source: Source,
    device: Device,
    precision: Precision,
    detection: Option<Detection>,
    assumed: Vec<String>,
    origins: BTreeMap<String, Origin>,
}

/// Where weights come from.
pub(crate) enum Source {
    Embedded(&'static [u8]),
    File(PathBuf),
    Memory,
    Random,
}

impl Classifier {
    /// Returns the built-in model. It was trained on drawn scenes and recognizes the classes of `cam-scenes`.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn builtin(device: &Device) -> Result<Self, Error> {
        Self::without_file("scenes", device)
    }

    /// Returns a model whose weights are part of the program.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], and [`Error::NoWeights`] for a model that needs a file.
    pub fn without_file(name: &str, device: &Device) -> Result<Self, Error> {
        Registry::builtin().without_file(name, device)
    }

    /// Returns a model of [`ModelCard::all`] with its published weights: built in, in the cache of the Hugging Face hub, or downloaded
    /// now. For progress, a mirror or another cache see [`Hub`](crate::Hub).
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
    /// [`Error::UnknownModel`], and those of [`Hub::weights`](crate::Hub::weights) and [`Classifier::load`].
    #[cfg(feature = "hub")]
    pub fn pretrained(name: &str, device: &Device) -> Result<Self, Error> {
        Registry::builtin().pretrained(name, device)
    }

    /// Returns a model of [`ModelCard::all`] with random weights, to look at its layers.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn untrained(name: &str, device: &Device) -> Result<Self, Error> {
        Registry::builtin().untrained(name, device)
    }

    /// Returns a model of [`ModelCard::all`] with the weights of a file. The file determines the number of classes.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UnreadableWeights`], and [`Error::WrongWeights`] for the weights of another model.
    pub fn load(name: &str, weights: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Registry::builtin().load(name, weights, device)
    }

    /// Returns the model that the weights of a file belong to, see [`Registry::load_file`].
    ///
    /// # Errors
    /// Those of [`Registry::load_file`].
    pub fn load_file(weights: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Registry::builtin().load_file(weights, device)
    }

    /// Like [`load_file`](Self::load_file), for weights in memory, for programs that carry theirs with them and for browsers, which
    /// have no files: safetensors or Burn's burnpack. `name` stands for the file's name.
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
    /// Those of [`load_file`](Self::load_file); [`Error::UnreadableWeights`] also for PyTorch's `.pth`, which is read from files only.
    pub fn load_bytes(name: &str, weights: Vec<u8>, device: &Device) -> Result<Self, Error> {
        Registry::builtin().load_bytes(name, weights, device)
    }

    pub(crate) fn load_as(
        card: ModelCard,
        architecture: &AnyArchitecture,
        weights: &Weights,
        source: Source,
        device: &Device,
    ) -> Result<Self, Error> {
        let network = architecture.load(&card.name, weights, device)?;
        Ok(Self::new(card, architecture.classes(), &network, source, device))
    }

    pub(crate) fn new(
        card: ModelCard,
        classes: usize,
        network: &AnyNetwork,
        source: Source,
        device: &Device,
    ) -> Self {
        let labels = labels(&card.labels, classes);
        let network = recorded(network);
        let (device, precision) = (device.clone(), Precision::F32);
        let origins = CardLayers::new().with(Origin::Shipped(card.name.clone()), table(&card)).origins(&card);
        let (detection, assumed) = (None, Vec::new());
        Self { card, labels, network, source, device, precision, detection, assumed, origins }
    }

    pub(crate) fn set_layer(&mut self, layer: String) {
        self.card.layer = layer;
    }

    /// Sets how it was recognized, what is assumed of it, and where the fields of its card come from.
    pub(crate) fn set_knowledge(
        &mut self,
        detection: Option<Detection>,
        assumed: Vec<String>,
        origins: BTreeMap<String, Origin>,
    ) {
        (self.detection, self.assumed, self.origins) = (detection, assumed, origins);
    }

    /// Returns the model with a network that computes in this precision. Images go in and logits come out in f32, and maps are computed
    /// in f32. A change to half precision cannot be undone.
    ///
    /// # Errors
    /// [`cam_graph::Error::Precision`] if the device does not support it.
    pub fn in_precision(mut self, precision: Precision) -> Result<Self, Error> {
        precision.check(&self.device)?;
        self.network = recorded(&self.network.network().cast(precision));
        self.precision = precision;
        Ok(self)
    }

    /// Returns the network with random numbers in a part of its parameters, as a model of the same inputs and outputs: see
    /// [`cam_graph::randomized`].
    pub fn randomized(&self, part: std::ops::Range<f64>) -> impl Model + Send + Sync + use<> {
        let network = recorded(&self.network.network().randomized(part));
        InPrecision { network, precision: self.precision }
    }

    /// Returns the precision that the network computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the model with the names of its classes from a file, one per line.
    ///
    /// # Errors
    /// [`Error::UnreadableLabels`], and [`Error::LabelCount`] for more or fewer names than classes.
    pub fn with_labels(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.labels = class_names(path.as_ref(), self.labels.len())?;
        self.card.labels = Labels::Names(self.labels.clone());
        self.origins.insert("labels".into(), Origin::Flag);
        Ok(self)
    }

    /// Returns the model card.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Returns how the model was recognized, if it was loaded from weights without a name.
    pub fn detection(&self) -> Option<&Detection> {
        self.detection.as_ref()
    }

    /// Returns what is assumed of it, because neither its tensors nor anybody states it, in a few words each.
    pub fn assumed(&self) -> &[String] {
        &self.assumed
    }

    /// Returns where each field of its card comes from: `size`, `architecture.heads`.
    pub fn origins(&self) -> &BTreeMap<String, Origin> {
        &self.origins
    }

    /// Returns its card in TOML, with a comment at each field on where it comes from; an assumed one is marked. [`Registry::load_stated`]
    /// reads it.
    pub fn card_text(&self) -> String {
        card_text(&self.card, &self.labels, &self.origins, self.detection.is_some())
    }

    /// Returns the file that its weights were read from, or `None` if they are not from a file.
    pub fn weights(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Embedded(_) | Source::Memory | Source::Random => None,
        }
    }

    /// Returns the sha256 of its weights as they are stored, in hexadecimal digits: of the file, which is read again, or of those that
    /// are part of the program; of several files behind one another. `None` for random weights and for those that were given as bytes.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] if the file is gone.
    pub fn sha256(&self) -> Result<Option<String>, Error> {
        match &self.source {
            Source::Embedded(bytes) => Ok(Some(sha256(*bytes).expect("bytes in memory can be read"))),
            Source::File(path) => {
                let unreadable = |e: std::io::Error| Error::UnreadableWeights {
                    path: path.clone(),
                    reason: e.to_string(),
                };
                let mut all: Box<dyn Read> = Box::new(std::io::empty());
                for file in folder::parts(path)? {
                    all = Box::new(all.chain(File::open(file).map_err(unreadable)?));
                }
                sha256(all).map(Some).map_err(unreadable)
            }
            Source::Memory | Source::Random => Ok(None),
        }
    }

    /// Returns the device that it computes on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the input of the network for an image, on its device; for other ways see [`ModelCard::preprocess`].
    ///
    /// # Shapes
    /// - output: `[1, channels, height, width]`
    ///
    /// # Errors
    /// [`cam_image::Error::Channels`] if the network needs other channels than gray or three colors.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use cam_models::Classifier;
    ///
    /// let model = Classifier::builtin(&Device::flex())?;
    /// let photo = image::DynamicImage::new_rgb8(300, 200).into_rgb8();
    /// assert_eq!(model.input(&photo)?.dims(), [1, 3, 128, 128]);
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    pub fn input(&self, photo: &RgbImage) -> Result<Tensor<4>, Error> {
        Ok(self.card.preprocess().apply(photo, &self.device)?.0)
    }

    /// Returns the names of its classes; a class without a name is called by its number.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Returns the number of the class of this name, or of this number.
    ///
    /// # Errors
    /// [`cam_image::Error::UnknownLabel`] with similar names.
    pub fn class(&self, asked: &str) -> Result<usize, Error> {
        Ok(class_named(&self.labels, asked)?)
    }

    /// Returns the `count` classes with the highest logits of each image, highest first.
    ///
    /// # Shapes
    /// - logits: `[batch, classes]`
    ///
    /// # Errors
    /// [`cam_image::Error::Device`].
    pub fn predictions(&self, logits: Tensor<2>, count: usize) -> Result<Vec<Vec<Prediction>>, Error> {
        Ok(Prediction::from_logits(logits, self.card.logits, &self.labels, count)?)
    }

    /// Like [`predictions`](Self::predictions), without blocking.
    ///
    /// # Errors
    /// Those of [`predictions`](Self::predictions).
    pub async fn predictions_async(
        &self,
        logits: Tensor<2>,
        count: usize,
    ) -> Result<Vec<Vec<Prediction>>, Error> {
        Ok(Prediction::from_logits_async(logits, self.card.logits, &self.labels, count).await?)
    }
}

/// A network that gets images and gives logits in f32, whatever it computes in.
struct InPrecision<N = RecordedNetwork> {
    network: N,
    precision: Precision,
}

impl<N: std::borrow::Borrow<RecordedNetwork>> Model for InPrecision<N> {
    fn module(&self) -> &dyn Inspect {
        Model::module(self.network.borrow())
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        Model::prepare(self.network.borrow(), &images.clone().cast(self.precision.dtype()))
    }

    fn has_class_attention(&self, images: &Tensor<4>) -> bool {
        let images = images.clone().cast(self.precision.dtype());
        Model::has_class_attention(self.network.borrow(), &images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let logits = self.network.borrow().forward(images.cast(self.precision.dtype()), taps);
        logits.cast(Precision::F32.dtype())
    }
}

impl Classifier {
    fn in_f32(&self) -> InPrecision<&RecordedNetwork> {
        InPrecision { network: &self.network, precision: self.precision }
    }
}

impl Model for Classifier {
    fn module(&self) -> &dyn Inspect {
        Model::module(&self.network)
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        self.in_f32().prepare(images)
    }

    fn has_class_attention(&self, images: &Tensor<4>) -> bool {
        self.in_f32().has_class_attention(images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        self.in_f32().forward(images, taps)
    }
}

fn recorded(network: &AnyNetwork) -> RecordedNetwork {
    network.record().expect("the parameters of a classifier are on one device")
}
