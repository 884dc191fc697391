//! A folder with a model, as transformers and timm save one and as the hub has it: which of its files are the weights, and what lies
//! beside a weight file, and what its name says.

mod config;
mod processor;

use crate::card_layers::{CardLayers, Origin};
use crate::weights::Index;
use crate::{Error, text_file};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The configuration of a network.
pub(crate) const CONFIG: &str = "config.json";

/// How an image becomes its input.
pub(crate) const PROCESSOR: &str = "preprocessor_config.json";

/// The same, beside what belongs to texts.
pub(crate) const PROCESSORS: &str = "processor_config.json";

/// The weight files of repositories, which have a configuration beside them, in the order in which they are looked for.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The ONNX files of repositories.
pub(crate) const ONNX: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// The endings of other files with a model.
const ENDINGS: [&str; 6] = ["safetensors", "pth", "pt", "bin", "bpk", "onnx"];

/// The most bytes of a configuration. One that names 20,000 classes has two million.
const LONGEST: u64 = 4 << 20;

/// A folder with a model.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    config: Option<Json>,
    weights: Vec<PathBuf>,
}

impl Folder {
    /// Looks what there is in a folder.
    ///
    /// # Errors
    /// [`Error::Folder`] if it has no model, or several; [`Error::Config`] for a configuration that cannot be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Folder { path: path.into(), reason };
        let config = match path.join(CONFIG) {
            file if file.is_file() => Some(parsed(&file)?),
            _ => None,
        };
        for file in [PROCESSOR, PROCESSORS].map(|name| path.join(name)) {
            if file.is_file() {
                parsed(&file)?;
            }
        }
        let named = WEIGHTS.iter().chain(&ONNX).map(|name| path.join(name)).filter(|file| file.is_file());
        let mut weights: Vec<PathBuf> = named.collect();
        if weights.is_empty() {
            let entries = std::fs::read_dir(path).map_err(|error| refuse(error.to_string()))?;
            weights = entries.flatten().map(|entry| entry.path()).filter(|file| is_model(file)).collect();
            weights.sort();
        }
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match &weights[..] {
            [] => Err(refuse(format!("there is none of {}, {}", WEIGHTS.join(", "), ONNX.join(", ")))),
            [first, others @ ..] if !others.is_empty() && !is_of_repository(first) => {
                let names: Vec<String> = weights.iter().map(name).collect();
                Err(refuse(format!("there are several: name one of {}", names.join(", "))))
            }
            _ => Ok(Self { path: path.into(), config, weights }),
        }
    }

    /// Returns the files of its model, the one to open first: the networks here need its weights, any other one an ONNX file.
    pub fn models(&self) -> &[PathBuf] {
        &self.weights
    }

    /// Returns the error for a model whose weights are of no network that is known, and for which there is no ONNX file: what it is, what
    /// there is, and what to do. Another error stays as it is.
    pub fn unknown(&self, error: Error, families: Vec<&'static str>) -> Error {
        if !error.is_of_another_network() {
            return error;
        }
        let word = |field: &str| self.config.as_ref()?.get(field)?.as_str().map(String::from);
        let Some(network) = word("model_type").or(word("architecture")) else { return error };
        if config::TRANSFORMERS.contains(&network.as_str()) {
            return error;
        }
        let known = families.into_iter().map(String::from).collect();
        Error::UnknownModelType { path: self.path.clone(), network, known }
    }
}

/// Returns whether a file is one with a model, by its name.
fn is_model(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // What a trainer leaves beside a model.
    let is_other = ["training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt"].contains(&name);
    ENDINGS.contains(&ending) && !is_other && !name.starts_with('.') && file.is_file()
}

/// Returns whether a file is called as repositories call theirs.
fn is_of_repository(file: &Path) -> bool {
    WEIGHTS.iter().chain(&ONNX).any(|name| file.ends_with(name))
}

/// Returns where the configuration of a weight file lies, if it is the file of a repository.
fn home(weights: &Path) -> Option<&Path> {
    let folder = weights.parent()?;
    match is_of_repository(weights) {
        true if weights.ends_with(ONNX[0]) && !folder.join(CONFIG).is_file() => folder.parent(),
        true => Some(folder),
        false => None,
    }
}

/// Adds what lies beside a weight file. Returns what is assumed of it, too.
///
/// # Errors
/// [`Error::ModelCard`] for a card that cannot be read; [`Error::Config`] for a configuration that asks for what is not known here.
pub(crate) fn stated(mut layers: CardLayers, weights: &Path) -> Result<(CardLayers, Option<String>), Error> {
    let card = weights.with_extension("toml");
    if card.is_file() {
        layers = layers.with_file(&card)?;
    }
    let mut assumed = None;
    if let Some(home) = home(weights) {
        let [config, processor, processors] = [CONFIG, PROCESSOR, PROCESSORS].map(|name| home.join(name));
        let network = json(&config);
        let mut of_network = match &network {
            Some(network) => config::fields(network, &config)?,
            None => Table::new(),
        };
        let kind = network.as_ref().and_then(|network| network.get("model_type")?.as_str());
        let of_image = json(&processor).map(|json| (processor, PROCESSOR, json)).or_else(|| {
            let mut all = json(&processors)?;
            Some((processors, PROCESSORS, all.get_mut("image_processor")?.take()))
        });
        if let Some((path, name, json)) = of_image {
            let (fields, guess) = processor::fields(&json, kind, &path)?;
            // What an image becomes counts, not what a network would take as well.
            fields.keys().for_each(|field| _ = of_network.remove(field));
            layers = layers.with(Origin::Folder(name.into()), fields);
            assumed = guess;
        }
        if !of_network.is_empty() {
            layers = layers.with(Origin::Folder(CONFIG.into()), of_network);
        }
    }
    Ok((layers, assumed))
}

/// Returns the text that names a weight file: its own name, that of its folder, and that of its repository in the cache of the hub, in
/// lower case.
pub(crate) fn names(weights: &Path) -> String {
    let parts: Vec<String> = weights.iter().map(|part| part.to_string_lossy().to_lowercase()).rev().collect();
    let named = parts.iter().enumerate().filter(|(place, part)| *place < 2 || part.starts_with("models--"));
    named.map(|(_, part)| part.as_str()).collect::<Vec<_>>().join("/")
}

/// Returns the options that the name of a weight file tells of, see [`Family::naming`](crate::Family::naming).
pub(crate) fn named_options(naming: &[(&str, &str)], names: &str) -> Option<Table> {
    let (_, options) = naming.iter().find(|(part, _)| names.contains(part))?;
    let options: Table = toml::from_str(options).expect("the options of a name are TOML");
    Some(Table::from_iter([("architecture".into(), Value::Table(options))]))
}

/// Returns the files that a weight file consists of: those of an index, or itself.
///
/// # Errors
/// [`Error::UnreadableWeights`] for an index that cannot be read.
pub(crate) fn parts(weights: &Path) -> Result<Vec<PathBuf>, Error> {
    match Index::is(weights) {
        true => Ok(Index::open(weights)?.files()),
        false => Ok(vec![weights.into()]),
    }
}

/// Returns what a configuration of transformers calls the network.
#[cfg(feature = "hub")]
pub(crate) fn kind(config: &Path) -> Option<String> {
    Some(json(config)?.get("model_type")?.as_str()?.into())
}

/// Returns whether transformers' networks of this kind are known here, or may be: timm's can be of any family.
#[cfg(feature = "hub")]
pub(crate) fn is_known(kind: &str) -> bool {
    kind == "timm_wrapper" || config::TRANSFORMERS.contains(&kind)
}

/// Returns a file in JSON; what cannot be read counts as not there.
fn json(path: &Path) -> Option<Json> {
    parsed(path).ok()
}

/// Returns a file in JSON.
///
/// # Errors
/// [`Error::Config`] if it cannot be read.
pub(crate) fn parsed(path: &Path) -> Result<Json, Error> {
    let text = text_file::read(path, LONGEST).map_err(|error| refused(path, error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| refused(path, error.to_string()))
}

fn refused(path: &Path, reason: String) -> Error {
    Error::Config { path: path.into(), reason }
}

fn numbers(json: &Json) -> Option<Value> {
    let numbers: Option<Vec<f64>> = json.as_array()?.iter().map(Json::as_f64).collect();
    numbers.map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_in_the_cache_of_the_hub_names_its_weights() {
        let path = "/cache/models--timm--DeiT_tiny_patch16_224.fb_in1k/snapshots/0123/model.safetensors";
        let names = names(Path::new(path));
        assert_eq!(names, "model.safetensors/0123/models--timm--deit_tiny_patch16_224.fb_in1k");
    }
}
