//! The card of a model that its file describes entirely, such as an ONNX file: the network needs no recognition, and only how images
//! become its input has to be found out.

use crate::card_layers::{CardLayers, Origin, table};
use crate::card_text::card_text;
use crate::labels::labels;
use crate::model_card::shortest;
use crate::{Error, Labels, ModelCard, folder};
use cam_image::{InputLayout, Logits, Preprocess, ValueRange};
use std::path::Path;
use toml::{Table, Value};

/// What a source states of a model.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Facts {
    /// The name of the model.
    pub name: Option<String>,
    /// Height and width of its input in pixels.
    pub size: Option<[usize; 2]>,
    /// Channels of its input.
    pub channels: Option<usize>,
    /// The order of the axes of its input.
    pub layout: Option<InputLayout>,
    /// Whether pixels go in from 0 to 1, without a mean and a deviation.
    pub is_unnormalized: bool,
    /// The names of its classes.
    pub labels: Option<Labels>,
    /// What its logits stand for.
    pub logits: Option<Logits>,
    /// What it does.
    pub task: Option<String>,
    /// The decoder of its output.
    pub decoder: Option<String>,
    /// How an image becomes its input, without its size and channels.
    pub preprocess: Option<Preprocess>,
}

impl Facts {
    fn fields(&self) -> Table {
        let mut fields = Table::new();
        let mut put =
            |field: &str, value: Option<Value>| fields.extend(value.map(|value| (field.into(), value)));
        let word = |value: Result<Value, toml::ser::Error>| value.expect("it is a word");
        put("name", self.name.clone().map(Value::from));
        put("size", self.size.map(|size| size.map(|side| side as i64).to_vec().into()));
        put("channels", self.channels.map(|channels| Value::Integer(channels as i64)));
        put("layout", self.layout.map(|layout| word(Value::try_from(layout))));
        put("labels", self.labels.as_ref().map(|labels| word(Value::try_from(labels))));
        put("task", self.task.clone().map(Value::from));
        put("decoder", self.decoder.clone().map(Value::from));
        if let Some(Preprocess { order, range, mean, std, crop, resize, filter, .. }) = &self.preprocess {
            let numbers = |numbers: &[f32]| numbers.iter().copied().map(shortest).collect::<Vec<_>>().into();
            put("order", Some(word(Value::try_from(order))));
            put("range", Some(word(Value::try_from(range))));
            put("mean", Some(numbers(mean)));
            put("std", Some(numbers(std)));
            put("crop", Some(shortest(*crop).into()));
            put("resize", Some(word(Value::try_from(resize))));
            put("filter", Some(word(Value::try_from(filter))));
        }
        put("logits", self.logits.map(|logits| word(Value::try_from(logits))));
        if self.is_unnormalized {
            put("mean", Some(vec![0.0].into()));
            put("std", Some(vec![1.0].into()));
            put("range", Some(word(Value::try_from(ValueRange::Unit))));
        }
        fields
    }
}

/// The card of a model file, and where it comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FileCard {
    /// The card.
    pub card: ModelCard,
    /// The names of the classes; numbers if they have none.
    pub labels: Vec<String>,
    /// What nothing states, in a few words each.
    pub assumed: Vec<String>,
    /// The card as text, with a comment at each field on where it comes from.
    pub text: String,
}

/// What is known of a model file, before it runs.
#[derive(Debug, Clone)]
pub struct FileFacts {
    layers: CardLayers,
    /// What a configuration beside the file does not say.
    assumed: Option<String>,
}

impl FileFacts {
    /// Collects what is known: stated by the user, by a card or a configuration beside the file, by the file's own metadata, and by its
    /// tensors, in this order of precedence. ImageNet's preprocessing is assumed where nothing else is known.
    ///
    /// # Errors
    /// [`Error::ModelCard`] and [`Error::ModelCards`] for cards that cannot be read.
    pub fn new(stated: CardLayers, file: &Path, metadata: &Facts, tensors: &Facts) -> Result<Self, Error> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut default = table(&ModelCard {
            crop: Preprocess::IMAGENET.crop,
            ..ModelCard::new(name, Preprocess::IMAGENET.size, "")
        });
        let (stated, assumed) = folder::stated(stated, file)?;
        let mut layers =
            stated.with(Origin::Metadata, metadata.fields()).with(Origin::Tensors, tensors.fields());
        if layers.read::<usize>("channels")?.is_some_and(|channels| channels != 3) {
            default.extend([("mean".into(), vec![0.5].into()), ("std".into(), vec![0.5].into())]);
        }
        layers = layers.with(Origin::Assumed, default);
        Ok(Self { layers, assumed })
    }

    /// Adds what is known of a package whose files have such outputs; what the file states is stronger.
    pub fn of_package(mut self, name: &str, facts: &Facts) -> Self {
        self.layers = self.layers.with(Origin::Package(name.into()), facts.fields());
        self
    }

    /// Returns the card as far as it is known.
    ///
    /// # Errors
    /// [`Error::ModelCards`].
    pub fn card(&self) -> Result<ModelCard, Error> {
        self.layers.card()
    }

    /// Returns the card of the model, given its number of classes.
    ///
    /// # Errors
    /// [`Error::ModelCards`]; [`Error::Stated`] if the names of classes do not fit their number.
    pub fn with_classes(self, classes: usize, file: &Path) -> Result<FileCard, Error> {
        let Self { mut layers, assumed } = self;
        let mut assumed = Vec::from_iter(assumed);
        let is_stated = |layers: &CardLayers, field: &str| {
            layers.get(field).is_some_and(|(origin, _)| *origin != Origin::Assumed)
        };
        let known = match (layers.read::<String>("task")?.as_deref(), classes) {
            (None | Some("classify"), IMAGENET_CLASSES) => Some(("imagenet", "ImageNet")),
            (Some("detect"), COCO_CLASSES) => Some(("coco", "COCO")),
            _ => None,
        };
        if let Some((labels, dataset)) = known.filter(|_| !is_stated(&layers, "labels")) {
            layers = layers.with(Origin::Tensors, Table::from_iter([("labels".into(), labels.into())]));
            assumed.push(format!("the classes of {dataset}"));
        }
        let card = layers.card()?;
        if let Labels::Names(names) = &card.labels
            && names.len() != classes
        {
            let reason = format!("there are {} names of classes, and it has {classes} classes", names.len());
            return Err(Error::Stated { path: file.into(), model: card.name, reason });
        }
        if !is_stated(&layers, "size") {
            let [height, width] = card.size;
            assumed.push(format!("images of {height} x {width} pixels"));
        }
        let package = layers.get("resize").and_then(|(origin, _)| match origin {
            Origin::Package(name) => Some(name.clone()),
            _ => None,
        });
        if let Some(name) = &package {
            assumed.push(format!("images prepared as {name} does"));
        }
        if package.is_none() && !is_stated(&layers, "mean") && !is_stated(&layers, "std") {
            assumed.push(match card.channels {
                3 => "colors normalized as for ImageNet".into(),
                _ => "values normalized by a mean and a deviation of 0.5".into(),
            });
        }
        // Of one channel alone nothing has to be assumed.
        let classifies = card.task.as_deref().is_none_or(|task| task == "classify");
        if classifies && !is_stated(&layers, "logits") && classes > 1 {
            assumed.push("classes that exclude each other (softmax)".into());
        }
        let labels = labels(&card.labels, classes);
        let text = card_text(&card, &labels, &layers.origins(&card), false);
        Ok(FileCard { card, labels, assumed, text })
    }
}

/// The number of classes of COCO's boxes.
const COCO_CLASSES: usize = 80;
/// The number of classes of ImageNet-1k.
const IMAGENET_CLASSES: usize = 1000;
