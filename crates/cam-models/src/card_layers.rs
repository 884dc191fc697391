//! What is known of a model, layer by layer: each source states some fields of a model card, and the first source that states a field is
//! believed.

use crate::model_card::shortest;
use crate::{ArchitectureOptions, Error, ModelCard, text_file};
use cam_image::{Logits, Resize};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The most bytes of a card: its table takes up to a hundred times as many.
const LONGEST: u64 = 2 << 20;

/// Where a field of a model card comes from, the strongest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// The user stated it.
    Flag,
    /// A card that the user named, or one beside the weights.
    Card(PathBuf),
    /// The weight file says so beside its tensors.
    Metadata,
    /// A configuration beside the weights, or the name of the file or of its repository.
    Folder(String),
    /// The tensors determine it.
    Tensors,
    /// The package that its output is recognized as that of.
    Package(String),
    /// The card of a published variant.
    Shipped(String),
    /// Nothing states it.
    Assumed,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("stated"),
            Self::Card(path) => write!(f, "the card {}", path.display()),
            Self::Metadata => f.write_str("the metadata of the file"),
            Self::Folder(source) => f.write_str(source),
            Self::Tensors => f.write_str("the tensors"),
            Self::Package(name) => write!(f, "assumed, as {name} does it"),
            Self::Shipped(model) => write!(f, "the card of {model}"),
            Self::Assumed => f.write_str("assumed"),
        }
    }
}

/// What is known of a model, by source: fields of a model card, of which each source states some.
#[derive(Debug, Clone, Default)]
pub struct CardLayers {
    /// The strongest first.
    layers: Vec<(Origin, Table)>,
}

/// The table of a card whose fields are counted one by one.
const ARCHITECTURE: &str = "architecture";

impl CardLayers {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a source states. The order of calls does not matter: a stronger [`Origin`] comes first.
    ///
    /// What torchvision, timm and transformers call the `interpolation` is the field `filter`.
    pub fn with(mut self, origin: Origin, mut fields: Table) -> Self {
        if let Some(filter) = fields.remove("interpolation") {
            fields.entry("filter").or_insert(filter);
        }
        let place = self.layers.partition_point(|(other, _)| *other <= origin);
        self.layers.insert(place, (origin, fields));
        self
    }

    /// Adds a field, as stated by the user.
    fn with_stated(self, field: &str, value: impl Into<Value>) -> Self {
        self.with(Origin::Flag, Table::from_iter([(field.into(), value.into())]))
    }

    /// Adds a field that is a word, as stated by the user.
    pub fn with_word(self, field: &str, word: &str) -> Self {
        self.with_stated(field, word)
    }

    /// Adds a field that is a number, as stated by the user.
    pub fn with_number(self, field: &str, number: f32) -> Self {
        self.with_stated(field, shortest(number))
    }

    /// Adds the size of images, as stated by the user.
    pub fn with_size(self, size: [usize; 2]) -> Self {
        self.with_stated("size", size.map(|side| side as i64).to_vec())
    }

    /// Adds the mean of each channel, as stated by the user, in the units of the range of values.
    pub fn with_mean(self, mean: &[f32]) -> Self {
        self.with_stated("mean", numbers(mean))
    }

    /// Adds the deviation of each channel, as stated by the user.
    pub fn with_std(self, std: &[f32]) -> Self {
        self.with_stated("std", numbers(std))
    }

    /// Adds how images of another shape are resized, as stated by the user.
    pub fn with_resize(self, resize: Resize) -> Self {
        self.with_stated("resize", word(&resize))
    }

    /// Adds what the logits stand for, as stated by the user.
    pub fn with_logits(self, logits: Logits) -> Self {
        self.with_stated("logits", word(&logits))
    }

    /// Adds options of the architecture, as stated by the user.
    pub fn with_options(self, options: &ArchitectureOptions) -> Self {
        self.with_stated(ARCHITECTURE, options.stated())
    }

    /// Adds the prefix of the network's tensors, as stated by the user: see [`Weights::under`](crate::Weights::under).
    pub fn with_prefix(self, prefix: &str) -> Self {
        self.with_stated("prefix", prefix)
    }

    /// Adds the head that is used, as stated by the user: the name of its tensors, without the last part.
    pub fn with_classifier(self, name: &str) -> Self {
        self.with_stated("classifier", name)
    }

    /// Adds what a card in TOML states, as the user's: any of the fields of [`ModelCard`].
    ///
    /// # Errors
    /// [`Error::ModelCard`] for a file that cannot be read, is not TOML, or has unknown fields or fields of another type.
    pub fn with_file(self, path: &Path) -> Result<Self, Error> {
        let refused = |reason: String| Error::ModelCard { path: path.into(), reason };
        let text = text_file::read(path, LONGEST).map_err(|e| refused(e.to_string()))?;
        let fields: Table =
            toml::from_str(&text).map_err(|e: toml::de::Error| refused(e.message().into()))?;
        // Read over a whole card, so that what is wrong with a field is said of this file.
        let whole = Self::new().with(Origin::Assumed, table(&ModelCard::new("", [1, 1], "")));
        let checked = whole.with(Origin::Flag, fields.clone()).card();
        checked.map_err(|e| match e {
            Error::ModelCards { reason } => refused(reason),
            other => other,
        })?;
        Ok(self.with(Origin::Card(path.into()), fields))
    }

    /// Returns the value of a field, `size` or `architecture.heads`, and where it comes from.
    pub fn get(&self, field: &str) -> Option<(&Origin, &Value)> {
        let (parent, field) = field.rsplit_once('.').unwrap_or(("", field));
        self.layers.iter().find_map(|(origin, fields)| {
            let fields = if parent.is_empty() { fields } else { fields.get(parent)?.as_table()? };
            Some((origin, fields.get(field)?))
        })
    }

    /// Returns a field as its own type.
    ///
    /// # Errors
    /// [`Error::ModelCards`] for a value of another type.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, field: &str) -> Result<Option<T>, Error> {
        let Some((origin, value)) = self.get(field) else { return Ok(None) };
        let wrong = |e: toml::de::Error| Error::ModelCards {
            reason: format!("{field}, from {origin}: {}", e.message()),
        };
        value.clone().try_into().map(Some).map_err(wrong)
    }

    /// Returns the options of the architecture that are stated.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn options(&self) -> Result<ArchitectureOptions, Error> {
        let names = |(_, fields): &(Origin, Table)| {
            fields.get(ARCHITECTURE).and_then(Value::as_table).map(|t| t.keys().cloned().collect::<Vec<_>>())
        };
        let mut options = Table::new();
        for name in self.layers.iter().filter_map(names).flatten() {
            if let Some((_, value)) = self.get(&format!("{ARCHITECTURE}.{name}")) {
                options.insert(name, value.clone());
            }
        }
        let wrong =
            |e: toml::de::Error| Error::ModelCards { reason: format!("[architecture]: {}", e.message()) };
        options.try_into().map_err(wrong)
    }

    /// Returns the card that the layers make together.
    ///
    /// # Errors
    /// [`Error::ModelCards`] for missing and unknown fields, and for those of another type.
    pub fn card(&self) -> Result<ModelCard, Error> {
        let mut all = Table::new();
        for (_, fields) in self.layers.iter().rev() {
            for (field, value) in fields {
                match (all.get_mut(field), value) {
                    (Some(Value::Table(below)), Value::Table(above)) => below.extend(above.clone()),
                    _ => _ = all.insert(field.clone(), value.clone()),
                }
            }
        }
        let wrong = |e: toml::de::Error| Error::ModelCards { reason: e.message().into() };
        all.try_into().map_err(wrong)
    }

    /// Returns where each field of a card comes from, `size` or `architecture.heads`.
    pub(crate) fn origins(&self, card: &ModelCard) -> BTreeMap<String, Origin> {
        let origin = |field: &str| self.get(field).map_or(Origin::Assumed, |(origin, _)| origin.clone());
        let mut origins = BTreeMap::new();
        for (field, value) in table(card) {
            match value.as_table().filter(|_| field == ARCHITECTURE) {
                Some(options) => origins.extend(options.keys().map(|option| {
                    let field = format!("{ARCHITECTURE}.{option}");
                    let from = origin(&field);
                    (field, from)
                })),
                None => {
                    let from = origin(&field);
                    origins.insert(field, from);
                }
            }
        }
        origins
    }
}

fn numbers(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(shortest).collect()
}

/// Returns a choice as the word that a card has for it.
fn word(choice: &impl Serialize) -> Value {
    Value::try_from(choice).expect("a choice is a word")
}

/// Returns a card as its fields.
pub(crate) fn table(card: &ModelCard) -> Table {
    Table::try_from(card).expect("a card consists of numbers, words and lists")
}
