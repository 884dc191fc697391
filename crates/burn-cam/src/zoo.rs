//! The shipped networks: their models of images, their weights by name and by file, and their families.

use crate::open::HUB;
use crate::{
    AnyModel, ArchitectureOptions, Classifier, Classify, Decoder, Device, Error, ErrorKind, ImageModel,
    ModelInfo, ModelRequest, OpenModel, Opener, Preprocess, Registry, Regress,
};
use cam_models::{CardLayers, Family, Folder};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The built-in model.
const BUILTIN: &str = "scenes";

/// What can be stated of a shipped network alone.
#[derive(Default, Clone)]
pub(crate) struct Stated<'a> {
    cards: Vec<PathBuf>,
    layers: CardLayers,
    random: bool,
    #[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "without the hub nothing is downloaded"))]
    on_download: Option<Rc<dyn Fn(u64, u64) + 'a>>,
}

/// What concerns the shipped networks and their families.
impl<'a> OpenModel<'a> {
    /// Adds a model card in TOML with what is known of the model, in as many of the fields of [`ModelCard`](crate::ModelCard) as are known.
    pub fn card(mut self, file: impl Into<PathBuf>) -> Self {
        self.stated.cards.push(file.into());
        self
    }

    /// States what tensors do not show of the network.
    pub fn architecture(mut self, options: &ArchitectureOptions) -> Self {
        self.stated.layers = self.stated.layers.with_options(options);
        self
    }

    /// States what the names of its tensors start with, in a file of several networks.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.stated.layers = self.stated.layers.with_prefix(prefix);
        self
    }

    /// States the head that is used, as its file calls it, of a network with several.
    pub fn classifier(mut self, name: &str) -> Self {
        self.stated.layers = self.stated.layers.with_classifier(name);
        self
    }

    /// Gives a network that is named without a file random weights, when only its layers or its speed matter; built-in weights stay.
    pub fn random_weights(mut self) -> Self {
        self.stated.random = true;
        self
    }

    /// Sets what is called while weights are fetched, with the bytes that are here and those of the whole file.
    pub fn on_download(mut self, report: impl Fn(u64, u64) + 'a) -> Self {
        self.stated.on_download = Some(Rc::new(report));
        self
    }
}

/// The shipped networks, by name, by the file of their weights, or neither.
pub(crate) struct Networks;

impl Opener for Networks {
    fn kind(&self) -> &'static str {
        "weights of the networks of its registry"
    }

    fn opens(&self, _request: &ModelRequest, _head: &[u8]) -> bool {
        true
    }

    fn open(&self, model: &OpenModel<'_>, device: &Device) -> Result<AnyModel, Error> {
        let ModelRequest { labels, precision, output, inputs, .. } = model.request();
        let port = output.as_ref().or(inputs.first().map(|(name, _)| name));
        if let Some(port) = port {
            let named = model.request().file.as_ref().map(|file| file.display().to_string());
            let asked = named.or(model.request().name.clone()).unwrap_or_else(|| "built-in".into());
            let reason = format!("`{port}` is asked for, and only ONNX files name their inputs and outputs");
            return Err(Error::NotOpened { asked, reason });
        }
        let network = model.network(device)?.in_precision(*precision)?;
        Ok(AnyModel::new(match labels {
            Some(labels) => network.with_labels(labels)?,
            None => network,
        }))
    }
}

impl OpenModel<'_> {
    /// Returns the folder that is asked for: by its path, or as a repository of the hub, which is fetched where it is not in the cache.
    pub(crate) fn folder(&self) -> Result<Option<PathBuf>, Error> {
        let ModelRequest { name, file, .. } = self.request();
        match (name.as_deref().and_then(|name| name.strip_prefix(HUB)), file) {
            (Some(name), None) => self.repository(name).map(Some),
            (None, Some(file)) if file.is_dir() => Ok(Some(file.clone())),
            _ => Ok(None),
        }
    }

    #[cfg(feature = "hub")]
    fn repository(&self, name: &str) -> Result<PathBuf, Error> {
        let report = |done, total| {
            if let Some(report) = &self.stated.on_download {
                report(done, total);
            }
        };
        Ok(cam_models::Hub::from_env().folder(name, report)?)
    }

    #[cfg(not(feature = "hub"))]
    fn repository(&self, name: &str) -> Result<PathBuf, Error> {
        let reason = "this program fetches nothing (burn-cam without its feature `hub`)".into();
        Err(Error::NotOpened { asked: format!("{HUB}{name}"), reason })
    }

    /// Opens a folder: its weights if their network is known, or else an ONNX file in it.
    pub(crate) fn open_folder(&self, path: &Path, device: &Device) -> Result<AnyModel, Error> {
        let folder = Folder::open(path)?;
        let mut refused = None;
        for file in folder.models() {
            match self.at(file).open_file(device) {
                Err(Error::Models(error)) if error.is_of_another_network() => {
                    refused = refused.or(Some(error));
                }
                opened => return opened,
            }
        }
        let refused = refused.expect("a folder that was opened has a model");
        Err(folder.unknown(refused, self.known().models().families()).into())
    }

    /// Returns what the user states of the model: by options and by cards.
    pub(crate) fn stated(&self) -> Result<CardLayers, Error> {
        let ModelRequest { size, mean, std, resize, logits, task, decoder, min_score, overlap, .. } =
            self.request();
        let mut stated = self.stated.layers.clone();
        if let Some(size) = *size {
            stated = stated.with_size(size);
        }
        if let Some(mean) = mean {
            stated = stated.with_mean(mean);
        }
        if let Some(std) = std {
            stated = stated.with_std(std);
        }
        if let Some(resize) = *resize {
            stated = stated.with_resize(resize);
        }
        if let Some(logits) = *logits {
            stated = stated.with_logits(logits);
        }
        let words = [("task", task), ("decoder", decoder)];
        for (field, word) in words.into_iter().filter_map(|(field, word)| Some((field, word.as_deref()?))) {
            stated = stated.with_word(field, word);
        }
        for (field, number) in [("min_score", *min_score), ("overlap", *overlap)] {
            stated = number.into_iter().fold(stated, |stated, number| stated.with_number(field, number));
        }
        Ok(self.stated.cards.iter().try_fold(stated, |stated, card| stated.with_file(card))?)
    }

    fn network(&self, device: &Device) -> Result<Classifier, Error> {
        let models = self.known().models();
        let ModelRequest { name, file, .. } = self.request();
        let stated = self.stated()?;
        Ok(match (name, file) {
            (None, None) => models.without_file_stated(BUILTIN, &stated, device)?,
            (None, Some(weights)) => models.load_stated(None, weights, &stated, device)?,
            (Some(name), Some(weights)) => models.load_stated(Some(name), weights, &stated, device)?,
            (Some(name), None) if self.stated.random => {
                match models.without_file_stated(name, &stated, device) {
                    Err(cam_models::Error::NoWeights { .. }) => {
                        models.untrained_stated(name, &stated, device)?
                    }
                    model => model?,
                }
            }
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
            if let Some(report) = &self.stated.on_download {
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

/// The families of networks.
impl Registry {
    /// Adds a family of models: their weights are recognized like those of the built-in ones.
    ///
    /// # Errors
    /// [`Error::Models`] when a variant has no model card, or a name is taken.
    pub fn with_family(mut self, family: impl Family + 'static) -> Result<Self, Error> {
        self.models = self.models.with(family)?;
        Ok(self)
    }

    /// Returns the families of models.
    pub fn models(&self) -> &cam_models::Registry {
        &self.models
    }
}

impl ImageModel for Classifier {
    fn device(&self) -> Device {
        Classifier::device(self).clone()
    }

    fn preprocess(&self) -> Preprocess {
        self.card().preprocess()
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        let card = self.card();
        match card.task.as_deref() {
            Some("regress") => {
                Box::new(Regress::new(self.labels()).unit(card.unit.clone().unwrap_or_default()))
            }
            _ => Box::new(Classify::new(self.labels()).logits(card.logits)),
        }
    }

    fn default_layer(&self) -> Option<&str> {
        Some(self.card().layer.as_str()).filter(|layer| !layer.is_empty())
    }

    fn info(&self) -> ModelInfo {
        let card = self.card();
        ModelInfo {
            name: card.name.clone(),
            about: card.about.clone(),
            url: card.url.clone(),
            license: card.license.clone(),
            weights: self.weights().map(Path::to_path_buf),
            recognized: self.detection().map(ToString::to_string),
            assumed: self.assumed().to_vec(),
            card: Some(self.card_text()),
        }
    }

    fn randomized(&self, part: std::ops::Range<f64>) -> Option<Box<dyn crate::Model + '_>> {
        Some(Box::new(Classifier::randomized(self, part)))
    }

    fn sha256(&self) -> Result<Option<String>, Error> {
        Ok(Classifier::sha256(self)?)
    }
}

impl From<cam_models::Error> for Error {
    /// Errors of images and of recordings are those of any model.
    fn from(error: cam_models::Error) -> Self {
        match error {
            cam_models::Error::Image(error) => Self::Image(error),
            cam_models::Error::Graph(error) => Self::Graph(error),
            error => Self::Models(error),
        }
    }
}

/// Returns what an error of the shipped networks is about.
pub(crate) fn kind(error: &cam_models::Error) -> ErrorKind {
    use cam_models::Error::*;
    match error {
        UnknownModel { .. }
        | UnknownRepository { .. }
        | Folder { .. }
        | NoWeights { .. }
        | Offline { .. } => ErrorKind::Model,
        UnreadableWeights { .. } => ErrorKind::Weights,
        WrongWeights { .. }
        | NearMiss { .. }
        | UnknownNetwork { .. }
        | UnknownModelType { .. }
        | UnknownHead { .. }
        | UnknownPrefix { .. }
        | UnknownClassifier { .. } => ErrorKind::WrongWeights,
        ModelCard { .. } | ModelCards { .. } | Config { .. } | Stated { .. } => ErrorKind::Card,
        UnreadableLabels { .. } | LabelCount { .. } => ErrorKind::Labels,
        Fetch { .. } => ErrorKind::Download,
        WrongHash { .. } => ErrorKind::Checksum,
        _ => ErrorKind::Other,
    }
}
