//! Opening models: from a file of some kind, or by name.

use crate::{AnyModel, Device, Error, Logits, Precision, Registry, Resize};
use burn::tensor::TensorData;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Opens the model of a file, of a folder as transformers and timm save one, or of a repository of the Hugging Face hub
/// (`hf:OWNER/NAME`). Of a weight file its architecture, its size and its number of classes are recognized.
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
pub fn open(file: impl AsRef<Path>, device: &Device) -> Result<AnyModel, Error> {
    let file = file.as_ref();
    match file.to_str().filter(|name| name.starts_with(HUB)) {
        Some(name) => OpenModel::new().name(name).open(device),
        None => OpenModel::new().weights(file).open(device),
    }
}

/// What the name of a repository of the Hugging Face hub starts with: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.
pub const HUB: &str = "hf:";

/// What is asked of a model that is to be opened, whatever its kind.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ModelRequest {
    /// Its name.
    pub name: Option<String>,
    /// Its file. [`OpenModel`] looks for it where a folder or a repository of the hub is asked for, before any [`Opener`] is asked.
    pub file: Option<PathBuf>,
    /// The file with the names of its classes, one per line.
    pub labels: Option<PathBuf>,
    /// Height and width of the images that it was made for.
    pub size: Option<[usize; 2]>,
    /// The mean of each channel, in the units of the model's range of values.
    pub mean: Option<Vec<f32>>,
    /// The deviation of each channel.
    pub std: Option<Vec<f32>>,
    /// How images of another shape are resized.
    pub resize: Option<Resize>,
    /// What its scores are the logits of.
    pub logits: Option<Logits>,
    /// The precision that it computes in.
    pub precision: Precision,
    /// The output that is explained, of a file with several.
    pub output: Option<String>,
    /// The values of the inputs that are not the images, by name.
    pub inputs: Vec<(String, TensorData)>,
    /// What it does: `classify`, `detect`, `segment`, `embed`, `regress`.
    pub task: Option<String>,
    /// The decoder of its output, such as `yolov8`: see [`HEADS`](crate::heads::HEADS).
    pub decoder: Option<String>,
    /// The least score of a box.
    pub min_score: Option<f32>,
    /// From which intersection over union on a box shows what is found already.
    pub overlap: Option<f32>,
}

/// Opens models from one kind of file. A program adds its own by [`Registry::with_opener`].
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::prelude::*;
/// use burn_cam::{AnyModel, Classify, Decoder, Error, ImageModel, Inspect, Model, ModelRequest, Nchw, OpenModel, Opener};
/// use burn_cam::{Preprocess, Registry, Taps};
///
/// /// Scores the mean color of an image.
/// #[derive(Module, Debug)]
/// struct Colors {
///     head: Linear,
/// }
///
/// impl Model for Colors {
///     fn module(&self) -> &dyn Inspect { self }
///
///     fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
///         let pixels = taps.layer("pixels", Nchw, || images);
///         self.head.forward(pixels.mean_dims(&[2, 3]).flatten(1, 3))
///     }
/// }
///
/// impl ImageModel for Colors {
///     fn device(&self) -> Device { self.head.weight.device() }
///     fn preprocess(&self) -> Preprocess { Preprocess::IMAGENET }
///     fn decoder(&self) -> Box<dyn Decoder> { Box::new(Classify::default()) }
/// }
///
/// /// Files that start with `COLORS`, and then have the number of classes.
/// struct ColorFiles;
///
/// impl Opener for ColorFiles {
///     fn kind(&self) -> &'static str { "files of colors" }
///
///     fn opens(&self, _request: &ModelRequest, head: &[u8]) -> bool { head.starts_with(b"COLORS") }
///
///     fn open(&self, model: &OpenModel<'_>, device: &Device) -> Result<AnyModel, Error> {
///         let file = model.request().file.as_ref().and_then(|file| std::fs::read(file).ok());
///         let classes = file.and_then(|bytes| bytes.get(6).copied()).unwrap_or(1);
///         Ok(AnyModel::new(Colors { head: LinearConfig::new(3, classes.into()).init(device) }))
///     }
/// }
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let file = folder.path().join("net.colors");
/// std::fs::write(&file, b"COLORS\x04").unwrap();
/// let registry = Registry::default().with_opener(ColorFiles);
/// let model = OpenModel::new().registry(&registry).weights(&file).open(&Device::flex())?;
/// let found = burn_cam::ImageExplainer::new(&model).explain(burn_cam::image::RgbImage::new(40, 30))?;
/// assert_eq!(found.predictions.len(), 4);
/// # Ok::<(), burn_cam::Error>(())
/// ```
pub trait Opener: Send + Sync {
    /// Returns what it opens, for messages: `ONNX files`.
    fn kind(&self) -> &'static str;

    /// Returns whether it opens what is asked for. `head` has the first bytes of the file, [`HEAD`] at most, and none without a file.
    fn opens(&self, request: &ModelRequest, head: &[u8]) -> bool;

    /// Opens the model, with everything that is asked of it.
    ///
    /// # Errors
    /// Why there is no such model.
    fn open(&self, model: &OpenModel<'_>, device: &Device) -> Result<AnyModel, Error>;
}

/// How many bytes of a file an [`Opener`] is shown.
pub const HEAD: usize = 512;

/// The kinds of model files, in the order in which they are asked.
pub(crate) const OPENERS: &[&dyn Opener] = &[
    #[cfg(feature = "onnx")]
    &crate::onnx::OnnxFiles,
    // It opens what no other does, and says what it is.
    #[cfg(feature = "zoo")]
    &crate::zoo::Networks,
];

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
    request: ModelRequest,
    registry: Option<&'a Registry>,
    #[cfg(feature = "zoo")]
    pub(crate) stated: crate::zoo::Stated<'a>,
}

impl<'a> OpenModel<'a> {
    /// Returns what opens this file instead, with all else that is asked.
    #[cfg(feature = "zoo")]
    pub(crate) fn at(&self, file: &Path) -> Self {
        let request = ModelRequest { name: None, file: Some(file.into()), ..self.request.clone() };
        Self { request, registry: self.registry, stated: self.stated.clone() }
    }

    /// Creates what opens the built-in model.
    pub fn new() -> Self {
        Self::default()
    }

    fn asking(mut self, ask: impl FnOnce(&mut ModelRequest)) -> Self {
        ask(&mut self.request);
        self
    }

    /// Sets the name of the model, as in torchvision or timm: see `ModelCard::all`; or a repository of the Hugging Face hub, with a
    /// branch, a tag or a commit where it is not the branch `main`: `hf:OWNER/NAME@REVISION`.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.asking(|request| request.name = Some(name.into()))
    }

    /// Sets the file of its weights, or a folder with them, as transformers and timm save one.
    pub fn weights(self, file: impl Into<PathBuf>) -> Self {
        self.asking(|request| request.file = Some(file.into()))
    }

    /// Sets the file with the names of its classes, one per line.
    pub fn labels(self, file: impl Into<PathBuf>) -> Self {
        self.asking(|request| request.labels = Some(file.into()))
    }

    /// States the height and width of the images that the model was made for.
    pub fn size(self, size: [usize; 2]) -> Self {
        self.asking(|request| request.size = Some(size))
    }

    /// States the mean of each channel, in the units of the range of values. Of fewer numbers the last one holds for all further channels.
    pub fn mean(self, mean: &[f32]) -> Self {
        self.asking(|request| request.mean = Some(mean.into()))
    }

    /// States the deviation of each channel, as the [`mean`](Self::mean).
    pub fn std(self, std: &[f32]) -> Self {
        self.asking(|request| request.std = Some(std.into()))
    }

    /// States how images of another shape are resized.
    pub fn resize(self, resize: Resize) -> Self {
        self.asking(|request| request.resize = Some(resize))
    }

    /// Sets what its logits stand for, whatever its model card says.
    pub fn logits(self, logits: Logits) -> Self {
        self.asking(|request| request.logits = Some(logits))
    }

    /// States what the model does, where its output does not show it: `classify`, `detect`, `segment`, `embed`, `regress`.
    pub fn task(self, task: impl Into<String>) -> Self {
        self.asking(|request| request.task = Some(task.into()))
    }

    /// States the decoder of its output, such as `yolov8`.
    pub fn decoder(self, name: impl Into<String>) -> Self {
        self.asking(|request| request.decoder = Some(name.into()))
    }

    /// Sets the least score of a box.
    pub fn min_score(self, score: f32) -> Self {
        self.asking(|request| request.min_score = Some(score))
    }

    /// Sets from which intersection over union on a box shows what is found already.
    pub fn overlap(self, overlap: f32) -> Self {
        self.asking(|request| request.overlap = Some(overlap))
    }

    /// Explains this output of a file with several, and not the first one.
    pub fn output(self, name: impl Into<String>) -> Self {
        self.asking(|request| request.output = Some(name.into()))
    }

    /// Sets the value of an input that is not the images. One of a single row is that of each image.
    pub fn input(self, name: impl Into<String>, value: TensorData) -> Self {
        self.asking(|request| request.inputs.push((name.into(), value)))
    }

    /// Sets the precision that the network computes in; maps are computed in f32.
    pub fn precision(self, precision: Precision) -> Self {
        self.asking(|request| request.precision = precision)
    }

    /// Sets where kinds of files and families of models are looked up.
    pub fn registry(self, registry: &'a Registry) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// Returns where kinds of files and families of models are looked up.
    pub fn known(&self) -> &Registry {
        static BUILTIN: LazyLock<Registry> = LazyLock::new(Registry::default);
        self.registry.unwrap_or(&BUILTIN)
    }

    /// Returns what is asked of the model.
    pub fn request(&self) -> &ModelRequest {
        &self.request
    }

    /// Opens the model, by the first [`Opener`] of the registry that opens it.
    ///
    /// Of a folder the weights are opened if they are of a network that is known, and an ONNX file in it otherwise.
    ///
    /// # Errors
    /// [`Error::NotOpened`] when there is none; else its own. Those of the shipped networks are `Error::Models`: an unknown name, weights
    /// that cannot be read, fetched or recognized, labels that do not fit, a precision that the device does not have.
    pub fn open(&self, device: &Device) -> Result<AnyModel, Error> {
        #[cfg(feature = "zoo")]
        if let Some(folder) = self.folder()? {
            return self.open_folder(&folder, device);
        }
        self.open_file(device)
    }

    pub(crate) fn open_file(&self, device: &Device) -> Result<AnyModel, Error> {
        let registry = self.known();
        let head = self.head();
        let bytes = head.as_deref().unwrap_or_default();
        let opens = |opener: &&&dyn Opener| opener.opens(&self.request, bytes);
        if let Some(opener) = registry.openers().iter().find(opens) {
            return Ok(opener.open(self, device)?.stated(&self.request));
        }
        let kinds: Vec<String> = registry.openers().iter().map(|opener| opener.kind().into()).collect();
        let reason = match head {
            Err(error) => error.to_string(),
            Ok(_) if kinds.is_empty() => {
                "this program opens no kind of model file (burn-cam without its feature `zoo`)".into()
            }
            Ok(_) => format!("this program opens {}", kinds.join(", ")),
        };
        let ModelRequest { name, file, .. } = &self.request;
        let asked = file.as_ref().map(|file| file.display().to_string()).or_else(|| name.clone());
        Err(Error::NotOpened { asked: asked.unwrap_or_default(), reason })
    }

    /// Returns the first bytes of the file; none without a file, or of a folder.
    fn head(&self) -> std::io::Result<Vec<u8>> {
        let mut head = Vec::new();
        if let Some(file) = self.request.file.as_ref().filter(|file| !file.is_dir()) {
            File::open(file)?.take(HEAD as u64).read_to_end(&mut head)?;
        }
        Ok(head)
    }
}
