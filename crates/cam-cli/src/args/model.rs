//! The model that a command line asks for.

use crate::args::completion;
use crate::registry;
use crate::report::console::Console;
use crate::report::failure::Failure;
use crate::run::manifest::Stamp;
use burn_cam::{AnyModel, Device, ImageModel, OpenModel, Precision};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which model, and where its weights come from.
#[derive(clap::Args)]
#[group(id = "model")]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// The model: see `cam models` [default: recognized from the weights; without weights the built-in model, which knows the ten
    /// object classes that `cam demo` draws, and no photos]
    #[arg(long = "model", value_name = "NAME", value_parser = completion::MODELS, hide_possible_values = true)]
    pub name: Option<String>,
    /// Its weights: a .safetensors, .pth or .pt file of torchvision or timm, or Burn's .bpk [default: from the cache of the
    /// Hugging Face hub, fetched on first use]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The names of the classes, one per line [default: ImageNet's if the model has 1000 classes]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// The precision that the network computes in: f32, f16, bf16; maps are computed in f32
    #[arg(long, value_name = "NAME", default_value_t, value_parser = Precision::from_str)]
    pub precision: Precision,
}

/// What of a model determines its maps.
#[derive(Serialize)]
pub struct Identity<'a> {
    model: String,
    weights: Option<(&'a Path, Stamp)>,
    labels: Option<(&'a Path, Stamp)>,
    precision: String,
}

impl ModelArgs {
    /// Returns what of the model that was opened determines its maps.
    pub fn identity<'a>(&'a self, model: &impl ImageModel) -> Identity<'a> {
        let stamped = |path: &'a Option<PathBuf>| path.as_deref().map(|path| (path, Stamp::of_file(path)));
        Identity {
            model: model.info().name,
            weights: stamped(&self.weights),
            labels: stamped(&self.labels),
            precision: self.precision.to_string(),
        }
    }

    /// Returns how the model is opened.
    fn spec(&self) -> OpenModel<'static> {
        let mut spec = OpenModel::new().registry(registry()).precision(self.precision);
        if let Some(name) = &self.name {
            spec = spec.name(name);
        }
        if let Some(weights) = &self.weights {
            spec = spec.weights(weights);
        }
        if let Some(labels) = &self.labels {
            spec = spec.labels(labels);
        }
        spec
    }

    /// Opens the model. Weights that are fetched have a progress bar.
    pub fn open(&self, device: &Device, console: &Console) -> Result<AnyModel, Failure> {
        let bar = self.name.as_ref().map(|name| console.download(name));
        let reported = bar.clone();
        let spec = self.spec().on_download(move |done, total| {
            if let Some(bar) = &reported {
                bar.set_length(total);
                bar.set_position(done);
            }
        });
        let model = spec.open(device);
        bar.inspect(|bar| bar.finish_and_clear());
        Ok(model?)
    }

    /// Opens the model, with random weights when only its name is given: for its layers and its speed no weights are needed.
    pub fn open_untrained(&self, device: &Device, console: &Console) -> Result<AnyModel, Failure> {
        match (&self.name, &self.weights) {
            (Some(_), None) => Ok(self.spec().random_weights().open(device)?),
            _ => self.open(device, console),
        }
    }
}
