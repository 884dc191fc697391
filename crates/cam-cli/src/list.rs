//! What there is: layers, models, methods, devices.

use crate::args;
use crate::device::DEVICES;
use crate::failure::Failure;
use crate::model;
use burn::tensor::{Device, Tensor};
use cam_core::METHODS;
use cam_models::{Card, Classifier};

pub fn layers(args: &args::Layers) -> Result<(), Failure> {
    let device = Device::flex();
    let model = match (&args.model.name, &args.model.weights) {
        // Layers need no weights.
        (Some(name), None) => Classifier::untrained(name, &device)?,
        _ => model::load(&args.model, &device)?,
    };
    let [height, width] = model.card().size;
    let layers = cam_core::layers(&model, Tensor::zeros([1, 3, height, width], &device))?;
    let longest = layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in layers {
        let grid = layer.grid.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let default = if layer.name == model.card().layer { "  (default)" } else { "" };
        println!("{:longest$}  {:4} channels on {grid}{default}", layer.name, layer.channels);
    }
    Ok(())
}

pub fn models() -> Result<(), Failure> {
    for card in Card::all() {
        let [height, width] = card.size;
        let weights = match &card.hub {
            Some(repository) => format!("fetched from https://huggingface.co/{repository}"),
            None if card.url.is_empty() => "built in".into(),
            None => format!("a file, such as {}", card.url),
        };
        println!(
            "{}\n    {}\n    input {height} x {width}, layer {}, weights: {weights}",
            card.name, card.about, card.layer
        );
    }
    Ok(())
}

pub fn methods() -> Result<(), Failure> {
    let longest = METHODS.iter().map(|method| method.name().len()).max().unwrap_or(0);
    for method in METHODS {
        println!("{:longest$}  {}", method.name(), method.paper());
    }
    Ok(())
}

pub fn devices() -> Result<(), Failure> {
    for (name, what) in DEVICES {
        println!("{name}  {what}");
    }
    Ok(())
}
