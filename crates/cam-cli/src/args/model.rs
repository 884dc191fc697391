//! The model that a command line asks for.

use crate::args::completion;
use crate::args::overlay::share;
use crate::args::preprocess::{Numbers, ResizeArg, deviations, numbers};
use crate::registry;
use crate::report::console::Console;
use crate::report::failure::Failure;
use crate::report::json_path::JsonPath;
use crate::run::manifest::Stamp;
use crate::run::npy;
use burn_cam::heads::HEADS;
use burn_cam::{
    AnyModel, ArchitectureOptions, Device, HUB, HeadLayer, ImageModel, Logits, ModelInfo, OpenModel,
    Precision, Preprocess, TokenPool,
};
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which model, and where its weights come from.
#[derive(clap::Args, Clone)]
#[group(id = "model")]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// The model: a name of `cam models`, a file, a folder, or hf:OWNER/NAME
    ///
    /// A file is an ONNX file or one of weights, which are recognized. A folder, such as `save_pretrained` writes, has its preprocessing and the names of its classes with it; so has
    /// a repository of the hub: `--model hf:timm/resnet50.a1_in1k`, or `--model hf:OWNER/NAME@REVISION` for a branch, a tag or a commit. By
    /// default it is the built-in model, which knows the ten object classes that `cam demo` draws, and no photos.
    #[arg(long = "model", value_name = "NAME|FILE", value_parser = completion::MODELS, hide_possible_values = true)]
    pub names: Vec<String>,
    /// Its weights: .safetensors, .pth, .pt or .bpk [default: from the hub]
    ///
    /// Names of torchvision, timm and transformers are known, and Burn's own. By default they come from the cache of the Hugging Face hub,
    /// and are fetched on first use.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The names of the classes, one per line [default: ImageNet's]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// A model card in TOML: what the weights do not say
    ///
    /// `cam card` writes one. By default it is the one beside the weights, `net.toml` for `net.pth`.
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub card: Option<PathBuf>,
    /// Height and width of the images that it was trained on, in pixels
    #[arg(long, hide_short_help = true, value_name = "H,W", value_parser = size)]
    pub size: Option<Size>,
    /// Heads of each attention of a vision transformer
    #[arg(long, hide_short_help = true, value_name = "N")]
    pub heads: Option<usize>,
    /// What the classifier of a transformer reads: its class token, or the mean or maximum of its patches
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub pool: Option<PoolArg>,
    /// The output to explain, of an ONNX file with several [default: the first]
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub output: Option<String>,
    /// The value of an input of an ONNX file that is not the images, such as a mask or a scale
    ///
    /// May be given several times. One of a single row is that of each image.
    #[arg(long = "input", hide_short_help = true, value_name = "NAME=FILE.npy", value_parser = named_file)]
    pub inputs: Vec<NamedFile>,
    /// Strides of a ResNet's stem and stages
    #[arg(long, hide_short_help = true, value_name = "STEM,S1,S2,S3,S4", value_delimiter = ',')]
    pub strides: Option<Vec<usize>>,
    /// Whether a pooling follows the convolution of a ResNet's stem
    #[arg(long, hide_short_help = true, value_name = "true|false", hide_possible_values = true)]
    pub stem_pool: Option<bool>,
    /// Dilations of a ResNet's stages
    #[arg(long, hide_short_help = true, value_name = "D1,D2,D3,D4", value_delimiter = ',')]
    pub dilations: Option<Vec<usize>>,
    /// The network in a file of several: what the names of its tensors start with
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub prefix: Option<String>,
    /// The head of a network with several, as its tensors are called, such as head_dist
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub classifier: Option<String>,
    /// The layers of a head of several, with the activations between, which have no tensors, such as linear,relu,batch-norm,linear
    #[arg(long, hide_short_help = true, value_name = "LAYER,...", value_delimiter = ',', value_parser = HeadLayer::from_str)]
    pub head_layers: Option<Vec<HeadLayer>>,
    /// What the outputs stand for: one class of all (softmax), each class or not (sigmoid), or probabilities already (none) [default:
    /// from the model card; softmax]. One output alone is a sigmoid
    #[arg(long, hide_short_help = true, value_name = "softmax|sigmoid|none", value_parser = Logits::from_str)]
    pub logits: Option<Logits>,
    /// What the model does, where its outputs do not show it [default: auto]
    #[arg(long, hide_short_help = true, value_name = "NAME", value_parser = PossibleValuesParser::new(TASKS))]
    pub task: Option<String>,
    /// The decoder of a detector's outputs, where their shapes do not show it
    #[arg(long, hide_short_help = true, value_name = "NAME", value_parser = PossibleValuesParser::new(HEADS.iter().map(|head| PossibleValue::new(head.name()).help(head.shapes()))))]
    pub decoder: Option<String>,
    /// The least score of a box, 0 to 1 [default: that of the detector's package]
    #[arg(long, hide_short_help = true, value_name = "S", value_parser = share)]
    pub min_score: Option<f32>,
    /// From which intersection over union on a box shows what is found already [default: that of the detector's package]
    #[arg(long, hide_short_help = true, value_name = "IOU", value_parser = share)]
    pub overlap: Option<f32>,
    /// The precision that the network computes in: f32, f16, bf16; maps are computed in f32
    #[arg(long, hide_short_help = true, value_name = "NAME", default_value_t, value_parser = Precision::from_str)]
    pub precision: Precision,
    /// How an image becomes the input of the model [default: squash]
    ///
    /// It is squeezed whole (`squash`), its center is cut out (`crop`), it is scaled whole between gray bars (`letterbox`), or scaled to its
    /// shorter side, the input as long as the image (`short-side`).
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub resize: Option<ResizeArg>,
    /// The mean of each channel, in the units of the model card's range [default: from the model card]
    #[arg(long, hide_short_help = true, value_name = "R,G,B", value_parser = numbers)]
    pub mean: Option<Numbers>,
    /// The standard deviation of each channel [default: from the model card]
    #[arg(long, hide_short_help = true, value_name = "R,G,B", value_parser = deviations)]
    pub std: Option<Numbers>,
}

/// What a model may do; by default that is found out.
const TASKS: [&str; 6] = ["auto", "classify", "detect", "segment", "embed", "regress"];

/// A height and a width in pixels.
#[derive(Clone, Copy)]
pub struct Size([usize; 2]);

fn size(text: &str) -> Result<Size, String> {
    let sides: Option<Vec<usize>> =
        text.split(['x', ',']).map(|side| side.trim().parse().ok().filter(|side| *side > 0)).collect();
    match sides.as_deref() {
        Some(&[side]) => Ok(Size([side, side])),
        Some(&[height, width]) => Ok(Size([height, width])),
        _ => Err("one side of a square, or height and width, as in 224 or 256,192".into()),
    }
}

/// A file with the value of an input.
#[derive(Clone)]
pub struct NamedFile {
    pub name: String,
    pub path: PathBuf,
}

impl NamedFile {
    fn stamped(&self) -> (String, JsonPath, Stamp) {
        (self.name.clone(), JsonPath::from(self.path.as_path()), Stamp::of_file(&self.path))
    }
}

fn named_file(text: &str) -> Result<NamedFile, String> {
    let (name, path) = text.split_once('=').ok_or("the name of an input and a file, as in mask=mask.npy")?;
    Ok(NamedFile { name: name.into(), path: path.into() })
}

/// What the classifier of a transformer reads.
#[derive(Clone, Copy, ValueEnum)]
pub enum PoolArg {
    Token,
    Avg,
    Max,
    #[value(name = "avgmax")]
    AvgMax,
}

impl From<PoolArg> for TokenPool {
    fn from(pool: PoolArg) -> Self {
        match pool {
            PoolArg::Token => TokenPool::Token,
            PoolArg::Avg => TokenPool::Avg,
            PoolArg::Max => TokenPool::Max,
            PoolArg::AvgMax => TokenPool::AvgMax,
        }
    }
}

/// What of a model determines its maps.
#[derive(Serialize)]
pub struct Identity {
    model: String,
    weights: Option<(JsonPath, Stamp)>,
    labels: Option<(JsonPath, Stamp)>,
    card: Option<String>,
    preprocess: Preprocess,
    logits: Option<Logits>,
    output: Option<String>,
    inputs: Vec<(String, JsonPath, Stamp)>,
    precision: String,
}

impl ModelArgs {
    /// Returns the name of the model and its file or folder. What `--model` names is a file if there is one, or if it can be no name.
    pub fn source(&self) -> (Option<&str>, Option<&Path>) {
        let is_file = |name: &&String| {
            let path = Path::new(name.as_str());
            let is_known = || registry().models().cards().any(|card| card.name == **name);
            let may_be_none = path.extension().is_some() || path.is_dir();
            path.components().count() > 1 || path.is_file() || (may_be_none && !is_known())
        };
        match (self.names.first(), &self.weights) {
            (Some(name), None) if !name.starts_with(HUB) && is_file(&name) => (None, Some(Path::new(name))),
            (name, weights) => (name.map(String::as_str), weights.as_deref()),
        }
    }

    /// Returns what `--model` names.
    pub fn given_name(&self) -> Option<String> {
        self.names.first().cloned()
    }

    /// Returns the options of two models, if two are named.
    ///
    /// # Errors
    /// [`Failure::Usage`] for more than two.
    pub fn pair(&self) -> Result<Option<[Self; 2]>, Failure> {
        let named = |name: &String| Self { names: vec![name.clone()], ..self.clone() };
        match &self.names[..] {
            [] | [_] => Ok(None),
            [first, second] if self.weights.is_none() => Ok(Some([named(first), named(second)])),
            [_, _] => {
                Err(Failure::Usage("of two models, `--model` names the files: omit `--weights`".into()))
            }
            more => Err(Failure::Usage(format!("two models can be compared, not {}", more.len()))),
        }
    }

    /// Returns what of the model that was opened determines its maps.
    pub fn identity(&self, model: &impl ImageModel) -> Identity {
        let stamped = |path: Option<&Path>| path.map(|path| (JsonPath::from(path), Stamp::of_file(path)));
        let info = model.info();
        Identity {
            model: info.name,
            card: info.card,
            preprocess: model.preprocess(),
            weights: match self.source() {
                (Some(name), None) if name.starts_with(HUB) => stamped(info.weights.as_deref()),
                (_, Some(folder)) if folder.is_dir() => stamped(info.weights.as_deref()),
                (_, file) => stamped(file),
            },
            labels: stamped(self.labels.as_deref()),
            logits: self.logits,
            output: self.output.clone(),
            inputs: self.inputs.iter().map(NamedFile::stamped).collect(),
            precision: self.precision.to_string(),
        }
    }

    /// Returns how the model is opened.
    fn spec(&self) -> Result<OpenModel<'static>, Failure> {
        let mut spec = OpenModel::new().registry(registry()).precision(self.precision);
        if let Some(output) = &self.output {
            spec = spec.output(output);
        }
        for NamedFile { name, path } in &self.inputs {
            spec = spec.input(name, npy::tensor(path)?);
        }
        let (name, file) = self.source();
        if let Some(name) = name {
            spec = spec.name(name);
        }
        if let Some(file) = file {
            spec = spec.weights(file);
        }
        if let Some(labels) = &self.labels {
            spec = spec.labels(labels);
        }
        if let Some(card) = &self.card {
            spec = spec.card(card);
        }
        if let Some(Size(size)) = self.size {
            spec = spec.size(size);
        }
        if let Some(prefix) = &self.prefix {
            spec = spec.prefix(prefix);
        }
        if let Some(name) = &self.classifier {
            spec = spec.classifier(name);
        }
        if let Some(resize) = self.resize {
            spec = spec.resize(resize.into());
        }
        if let Some(Numbers(mean)) = &self.mean {
            spec = spec.mean(mean);
        }
        if let Some(Numbers(std)) = &self.std {
            spec = spec.std(std);
        }
        let mut options = ArchitectureOptions::default();
        options.heads = self.heads;
        options.pool = self.pool.map(TokenPool::from);
        options.strides.clone_from(&self.strides);
        options.stem_pool = self.stem_pool;
        options.dilations.clone_from(&self.dilations);
        options.head_layers.clone_from(&self.head_layers);
        spec = spec.architecture(&options);
        if let Some(logits) = self.logits {
            spec = spec.logits(logits);
        }
        if let Some(task) = self.task.as_ref().filter(|task| *task != TASKS[0]) {
            spec = spec.task(task);
        }
        if let Some(decoder) = &self.decoder {
            spec = spec.decoder(decoder);
        }
        if let Some(score) = self.min_score {
            spec = spec.min_score(score);
        }
        if let Some(overlap) = self.overlap {
            spec = spec.overlap(overlap);
        }
        Ok(spec)
    }

    /// Opens the model. Weights that are fetched have a progress bar.
    pub fn open(&self, device: &Device, console: &Console) -> Result<AnyModel, Failure> {
        self.open_for(None, device, console)
    }

    /// Opens the model for a task, unless another one is stated.
    pub fn open_for(
        &self,
        task: Option<&str>,
        device: &Device,
        console: &Console,
    ) -> Result<AnyModel, Failure> {
        if self.names.len() > 1 {
            let reason = "`--model` is given once: only `cam compare` takes two models";
            return Err(Failure::Usage(reason.into()));
        }
        let (name, file) = self.source();
        let bar = name.filter(|_| file.is_none()).map(|name| console.download(name));
        let reported = bar.clone();
        let spec = self.spec()?;
        let spec = match task.filter(|_| self.task.is_none()) {
            Some(task) => spec.task(task),
            None => spec,
        };
        let spec = spec.on_download(move |done, total| {
            if let Some(bar) = &reported {
                bar.set_length(total);
                bar.set_position(done);
            }
        });
        let model = spec.open(device);
        bar.inspect(|bar| bar.finish_and_clear());
        Ok(model?)
    }

    /// Says what is assumed of a model, and with `--verbose` where each field of its card comes from.
    pub fn announce(info: &ModelInfo, console: &Console) {
        if !info.assumed.is_empty() {
            let assumed = info.assumed.join("; ");
            console.note(format_args!("assuming {assumed} (`cam card` writes a card to state what differs)"));
        }
        for line in info.card.iter().flat_map(|card| card.lines()) {
            console.detail(line);
        }
    }

    /// Opens the model, with random weights when only its name is given: for its layers and its speed no weights are needed.
    pub fn open_untrained(&self, device: &Device, console: &Console) -> Result<AnyModel, Failure> {
        match self.source() {
            (Some(name), None) if !name.starts_with(HUB) => Ok(self.spec()?.random_weights().open(device)?),
            _ => self.open(device, console),
        }
    }
}
