//! The model that a command line asks for.

use crate::console::Console;
use crate::failure::Failure;
use crate::manifest::Stamp;
use crate::words;
use burn::tensor::Device;
use cam_models::{Classifier, Precision};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which model, and where its weights come from.
#[derive(clap::Args)]
#[group(id = "model")]
pub struct Asked {
    /// The model: see `cam models` [default: the one that the weights are of, or else the built-in one, which knows ten things
    /// that `cam demo` draws, and no photos]
    #[arg(long = "model", value_name = "NAME", value_parser = words::MODELS, hide_possible_values = true)]
    pub name: Option<String>,
    /// Its weights: a .safetensors, .pth or .pt file of torchvision or timm, or Burn's .bpk [default: from the cache of the
    /// Hugging Face hub, fetched on first use]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The names of the classes, one a line [default: ImageNet's where there are as many]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// What the network computes in: f32, f16, bf16; maps are computed in f32
    #[arg(long, value_name = "NAME", default_value_t, value_parser = Precision::from_str)]
    pub precision: Precision,
}

/// What decides, of a model, what is found.
#[derive(Serialize)]
pub struct Identity<'a> {
    model: &'a str,
    weights: Option<(&'a Path, Stamp)>,
    labels: Option<(&'a Path, Stamp)>,
    precision: String,
}

impl Asked {
    /// What decides, of the model that was loaded, what is found.
    pub fn identity<'a>(&'a self, model: &'a Classifier) -> Identity<'a> {
        let stamped = |path: &'a Option<PathBuf>| path.as_deref().map(|path| (path, Stamp::of(path)));
        Identity {
            model: &model.card().name,
            weights: stamped(&self.weights),
            labels: stamped(&self.labels),
            precision: self.precision.to_string(),
        }
    }
}

/// The model with its weights and the names of its classes. The weights are those of the file named, those built in, or those that the hub has.
pub fn load(asked: &Asked, device: &Device, console: &Console) -> Result<Classifier, Failure> {
    let model: Classifier = match (&asked.name, &asked.weights) {
        (Some(name), Some(weights)) => Classifier::load(name, weights, device),
        (None, Some(weights)) => Classifier::load_file(weights, device),
        (Some(name), None) => by_name(name, device, console),
        (None, None) => Classifier::builtin(device),
    }?
    .in_precision(asked.precision)?;
    Ok(match &asked.labels {
        Some(labels) => model.with_labels(labels)?,
        None => model,
    })
}

/// A model by its name alone.
#[cfg(feature = "hub")]
fn by_name(name: &str, device: &Device, console: &Console) -> Result<Classifier, cam_models::Error> {
    use cam_models::{Hub, ModelCard};
    use indicatif::{ProgressBar, ProgressStyle};

    let card = ModelCard::named(name)?;
    if card.hub.is_none() {
        return Classifier::without_file(name, device);
    }
    let template = format!("{name} {{bar:40}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("a template of ours");
    let bar = console.add(ProgressBar::no_length().with_style(style));
    let weights = Hub::from_env().weights(&card, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Classifier::load(name, &weights?, device)
}

/// A model by its name alone.
#[cfg(not(feature = "hub"))]
fn by_name(name: &str, device: &Device, _: &Console) -> Result<Classifier, cam_models::Error> {
    Classifier::without_file(name, device)
}
