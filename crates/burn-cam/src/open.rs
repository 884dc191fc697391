//! Opening models: from a file of weights, or by name.

use crate::{AnyModel, ArchitectureOptions, Classifier, Device, Error, Logits, Precision, Registry};
use cam_models::CardLayers;
use std::path::{Path, PathBuf};

/// Opens the model of a weight file: its architecture, its size and its number of classes are recognized.
///
/// ```no_run
/// use burn_cam::Device;
///
/// let model = burn_cam::open("resnet50.safetensors", &Device::flex())?;
/// burn_cam::explain(&model, burn_cam::ImageInput::open("dog.jpg")?)?.save("dog_map.png")?;
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// For more see [`OpenModel`].
///
/// # Errors
/// As [`OpenModel::open`].
pub fn open(weights: impl AsRef<Path>, device: &Device) -> Result<AnyModel, Error> {
    OpenModel::new().weights(weights.as_ref()).open(device)
}

/// The built-in model.
const BUILTIN: &str = "scenes";

/// How a model is opened: by its name, from a file, with which labels, in which precision.
///
/// Without a name the model is recognized from its weights; without weights they are built in, in the cache of the Hugging Face hub, or
/// fetched from there; without either it is the small built-in model.
///
/// ```
/// use burn_cam::{Device, ImageModel, OpenModel};
///
/// let model = OpenModel::new().open(&Device::flex())?;
/// assert_eq!(model.info().name, "scenes");
/// # Ok::<(), burn_cam::Error>(())
/// ```
#[derive(Default)]
pub struct OpenModel<'a> {
    name: Option<String>,
    weights: Option<PathBuf>,
    labels: Option<PathBuf>,
    cards: Vec<PathBuf>,
    stated: CardLayers,
    logits: Option<Logits>,
    precision: Precision,
    random: bool,
    registry: Option<&'a Registry>,
    #[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "without the hub nothing is downloaded"))]
    on_download: Option<Box<dyn Fn(u64, u64) + 'a>>,
}

impl<'a> OpenModel<'a> {
    /// Creates what opens the built-in model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the model, as in torchvision or timm: see [`ModelCard::all`](crate::ModelCard::all).
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Sets the file of its weights.
    pub fn weights(self, file: impl Into<PathBuf>) -> Self {
        Self { weights: Some(file.into()), ..self }
    }

    /// Sets the file with the names of its classes, one per line.
    pub fn labels(self, file: impl Into<PathBuf>) -> Self {
        Self { labels: Some(file.into()), ..self }
    }

    /// Adds a model card in TOML with what is known of the model, in as many of the fields of [`ModelCard`](crate::ModelCard) as are known.
    pub fn card(mut self, file: impl Into<PathBuf>) -> Self {
        self.cards.push(file.into());
        self
    }

    /// States the height and width of the images that the model was made for.
    pub fn size(self, size: [usize; 2]) -> Self {
        Self { stated: self.stated.with_size(size), ..self }
    }

    /// States what tensors do not show of the network.
    pub fn architecture(self, options: &ArchitectureOptions) -> Self {
        Self { stated: self.stated.with_options(options), ..self }
    }

    /// States what the names of its tensors start with, in a file of several networks.
    pub fn prefix(self, prefix: &str) -> Self {
        Self { stated: self.stated.with_prefix(prefix), ..self }
    }

    /// Sets what its logits stand for, whatever its model card says.
    pub fn logits(self, logits: Logits) -> Self {
        Self { logits: Some(logits), ..self }
    }

    /// Sets the precision that the network computes in; maps are computed in f32.
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Gives a network that is named without a file random weights, when only its layers or its speed matter; built-in weights stay.
    pub fn random_weights(self) -> Self {
        Self { random: true, ..self }
    }

    /// Sets where families of models are looked up.
    pub fn registry(self, registry: &'a Registry) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// Sets what is called while weights are fetched, with the bytes that are here and those of the whole file.
    pub fn on_download(self, report: impl Fn(u64, u64) + 'a) -> Self {
        Self { on_download: Some(Box::new(report)), ..self }
    }

    /// Opens the model.
    ///
    /// # Errors
    /// [`Error::Models`]: an unknown name, weights that cannot be read, fetched or recognized, labels that do not fit, a precision that
    /// the device does not have.
    pub fn open(&self, device: &Device) -> Result<AnyModel, Error> {
        let model = self.classifier(device)?.in_precision(self.precision)?;
        let model = match self.logits {
            Some(logits) => model.with_logits(logits),
            None => model,
        };
        Ok(AnyModel::new(match &self.labels {
            Some(labels) => model.with_labels(labels)?,
            None => model,
        }))
    }

    fn classifier(&self, device: &Device) -> Result<Classifier, Error> {
        let models = self.registry.map_or(cam_models::Registry::builtin(), Registry::models);
        let stated =
            self.cards.iter().try_fold(self.stated.clone(), |stated, card| stated.with_file(card))?;
        Ok(match (&self.name, &self.weights) {
            (None, None) => models.without_file_stated(BUILTIN, &stated, device)?,
            (None, Some(weights)) => models.load_stated(None, weights, &stated, device)?,
            (Some(name), Some(weights)) => models.load_stated(Some(name), weights, &stated, device)?,
            (Some(name), None) if self.random => match models.without_file_stated(name, &stated, device) {
                Err(cam_models::Error::NoWeights { .. }) => models.untrained_stated(name, &stated, device)?,
                model => model?,
            },
            (Some(name), None) => self.published(models, name, &stated, device)?,
        })
    }

    /// Returns the model of this name with its published weights.
    #[cfg(feature = "hub")]
    fn published(
        &self,
        models: &cam_models::Registry,
        name: &str,
        stated: &CardLayers,
        device: &Device,
    ) -> Result<Classifier, Error> {
        let card = models.card(name)?;
        if card.hub.is_none() {
            return Ok(models.without_file_stated(name, stated, device)?);
        }
        let weights = cam_models::Hub::from_env().weights(card, |done, total| {
            if let Some(report) = &self.on_download {
                report(done, total);
            }
        })?;
        Ok(models.load_stated(Some(name), weights, stated, device)?)
    }

    /// Returns the model of this name when its weights are built in.
    #[cfg(not(feature = "hub"))]
    fn published(
        &self,
        models: &cam_models::Registry,
        name: &str,
        stated: &CardLayers,
        device: &Device,
    ) -> Result<Classifier, Error> {
        Ok(models.without_file_stated(name, stated, device)?)
    }
}
