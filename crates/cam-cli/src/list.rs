//! What there is: layers, models, methods, devices.

use crate::console::Console;
use crate::device;
use crate::failure::Failure;
use crate::{model, words};
use burn::tensor::{Device, Tensor};
use cam_core::{METHODS, Method, Top, rank_layers};
use cam_models::{Card, Classifier, Resize, read_photo};
use std::path::{Path, PathBuf};

pub const LAYERS_EXAMPLES: &str = "\
Examples:
  cam layers --model resnet50
  cam layers --weights my_finetuned.pth --rank dog.jpg
      The layers whose maps tell best where the network looks, the best first";

#[derive(clap::Args)]
pub struct LayersArgs {
    #[command(flatten)]
    pub model: model::Asked,
    /// Rank them by how well their maps of the top class of this picture explain its score
    #[arg(long, value_name = "PHOTO")]
    pub rank: Option<PathBuf>,
    /// The method of those maps: see `cam methods`
    #[arg(long, value_name = "NAME", default_value = METHODS[0].name(), requires = "rank", value_parser = words::METHODS, hide_possible_values = true)]
    pub method: String,
    /// Where they are ranked: `auto` takes the best device that works; see `cam devices`. A list alone is made by the processor
    #[arg(long, value_name = "NAME", default_value = "auto", requires = "rank")]
    pub device: String,
}

pub fn layers(args: &LayersArgs, console: &Console) -> Result<(), Failure> {
    let device = match args.rank {
        Some(_) => device::named(&args.device, console)?.0,
        None => Device::flex(),
    };
    let model = match (&args.model.name, &args.model.weights) {
        // Layers need no weights.
        (Some(name), None) if args.rank.is_none() => Classifier::untrained(name, &device)?,
        _ => model::load(&args.model, &device, console)?,
    };
    if let Some(photo) = &args.rank {
        return rank(&model, cam_core::method_named(&args.method)?, photo, &device, console);
    }
    let [height, width] = model.card().size;
    let layers = cam_core::layers(&model, Tensor::zeros([1, 3, height, width], &device))?;
    let longest = layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in layers {
        let grid = layer.grid.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let default = if layer.name == model.card().layer { "  (default)" } else { "" };
        console.print(format_args!(
            "{:longest$}  {:4} channels on {grid}{default}",
            layer.name, layer.channels
        ))?;
    }
    Ok(())
}

/// The layers by how well their maps explain the score of the top class of a photo, the best first.
fn rank(
    model: &Classifier,
    method: &'static dyn Method,
    photo: &Path,
    device: &Device,
    console: &Console,
) -> Result<(), Failure> {
    let (input, _) = model.card().preprocess(Resize::Squash).apply(&read_photo(photo)?, device);
    let ranked = rank_layers(model, method, input, &Top)?;
    let longest = ranked.iter().map(|layer| layer.layer.len()).max().unwrap_or(0);
    console.print(format_args!("{:longest$}  the score of what its map keeps, and of what it leaves", ""))?;
    for layer in ranked {
        console.print(format_args!("{:longest$}  {:8.3}  {:8.3}", layer.layer, layer.kept, layer.left))?;
    }
    Ok(())
}

pub fn models(console: &Console) -> Result<(), Failure> {
    for card in Card::all() {
        let [height, width] = card.size;
        let weights = match &card.hub {
            Some(repository) => format!("fetched from https://huggingface.co/{repository}"),
            None if card.url.is_empty() => "built in".into(),
            None => format!("a file, such as {}", card.url),
        };
        console.print(format_args!(
            "{}\n    {}\n    input {height} x {width}, layer {}, weights: {weights}",
            card.name, card.about, card.layer
        ))?;
    }
    Ok(())
}

pub fn methods(console: &Console) -> Result<(), Failure> {
    let longest = METHODS.iter().map(|method| method.name().len()).max().unwrap_or(0);
    for method in METHODS {
        console.print(format_args!("{:longest$}  {}", method.name(), method.info().paper))?;
    }
    Ok(())
}

pub fn devices(console: &Console) -> Result<(), Failure> {
    device::list(console)
}
