//! The model that a command line asks for.

use crate::args;
use crate::failure::Failure;
use burn::tensor::Device;
use cam_models::Classifier;

/// The model with its weights: those of the file named, those built in, or those that the hub has.
pub fn load(asked: &args::Model, device: &Device) -> Result<Classifier, Failure> {
    let model = match (&asked.name, &asked.weights) {
        (Some(name), Some(weights)) => Classifier::load(name, weights, device),
        (None, Some(weights)) => Classifier::load_file(weights, device),
        (Some(name), None) => by_name(name, device),
        (None, None) => Classifier::builtin(device),
    };
    Ok(model?)
}

/// A model by its name alone.
#[cfg(feature = "hub")]
fn by_name(name: &str, device: &Device) -> Result<Classifier, cam_models::Error> {
    use cam_models::{Card, Hub};
    use indicatif::{ProgressBar, ProgressStyle};

    let card = Card::named(name)?;
    if card.hub.is_none() {
        return Classifier::without_file(name, device);
    }
    let template = format!("{name} {{bar:40}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("a template of ours");
    let bar = ProgressBar::no_length().with_style(style);
    let weights = Hub::from_env().weights(&card, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Classifier::load(name, &weights?, device)
}

/// A model by its name alone.
#[cfg(not(feature = "hub"))]
fn by_name(name: &str, device: &Device) -> Result<Classifier, cam_models::Error> {
    Classifier::without_file(name, device)
}
