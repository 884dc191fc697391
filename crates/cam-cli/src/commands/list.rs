//! What there is: layers, models, methods, devices.

use crate::args::completion;
use crate::args::device;
use crate::args::model::ModelArgs;
use crate::registry;
use crate::report::console::{Console, plain};
use crate::report::failure::Failure;
use crate::run::images::warn_of_notes;
use burn_cam::metrics::{Better, MapEvaluator};
use burn_cam::{Device, ImageInput, ImageModel, Method, rank_layers};
use std::path::PathBuf;

pub const LAYERS_EXAMPLES: &str = "\
Examples:
  cam layers --model resnet50
  cam layers --weights my_finetuned.pth --rank dog.jpg
      The layers ranked by what their maps keep of the score: first the one with the largest difference
      between the score of the image times the map and that of the image times the rest";

#[derive(clap::Args)]
pub struct LayersArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Rank the layers by how well their maps of the top class of this image explain the score of that class
    #[arg(long, help_heading = "Ranking", value_name = "IMAGE")]
    pub rank: Option<PathBuf>,
    /// What makes their maps good: a metric that needs no truth, see `cam metrics` [default: the score of what a map keeps, less that of what it
    /// leaves out]
    #[arg(long, help_heading = "Ranking", value_name = "NAME", requires = "rank", value_parser = completion::METRICS, hide_possible_values = true)]
    pub metric: Option<String>,
    /// The method of those maps: see `cam methods`
    #[arg(long, help_heading = "Ranking", value_name = "NAME", default_value = registry().methods()[0].name(), requires = "rank", value_parser = completion::METHODS, hide_possible_values = true)]
    pub method: String,
    /// Where they are ranked: `auto` takes the best device that works; see `cam devices`. A list without a rank is made on the CPU
    #[arg(long, help_heading = "Ranking", value_name = "NAME", default_value = "auto", requires = "rank")]
    pub device: String,
}

pub fn layers(args: &LayersArgs, console: &Console) -> Result<(), Failure> {
    let Some(image) = &args.rank else { return list_layers(args, console) };
    let (device, _) = device::named(&args.device, console)?;
    let model = args.model.open(&device, console)?;
    let image = ImageInput::open(image)?;
    warn_of_notes(&image, console);
    if let Some(metric) = &args.metric {
        return rank_by(metric, args, &model, image, console);
    }
    let ranked = rank_layers(&model, registry().method(&args.method)?, image)?;
    let longest = ranked.iter().map(|layer| layer.layer.len()).max().unwrap_or(0);
    console
        .print(format_args!("{:longest$}  the score of what its map keeps, and of what it removes", ""))?;
    for layer in ranked {
        console.print(format_args!("{:longest$}  {:8.3}  {:8.3}", layer.layer, layer.kept, layer.left))?;
    }
    Ok(())
}

/// Ranks the layers by a metric.
fn rank_by(
    metric: &str,
    args: &LayersArgs,
    model: &burn_cam::AnyModel,
    image: ImageInput,
    console: &Console,
) -> Result<(), Failure> {
    let metric = registry().metric(metric)?;
    if metric.info().needs.truth {
        let reason =
            format!("`{}` needs to know where objects are: `cam evaluate --truth` does", metric.name());
        return Err(Failure::Usage(reason));
    }
    let layers = burn_cam::layers(model)?;
    let with_grid =
        layers.iter().filter(|layer| !layer.attention && layer.grid.iter().product::<usize>() > 1);
    let evaluator = MapEvaluator::new(model).method(registry().method(&args.method)?).metric(metric);
    let evaluator = with_grid.fold(evaluator, |evaluator, layer| evaluator.layer(&layer.name));
    let maps = evaluator.of_top(image, None)?.maps;
    let mut ranked: Vec<(String, Option<f64>)> =
        maps.into_iter().map(|map| (map.layer, map.measured[0].value())).collect();
    let better = metric.info().better;
    // What has no value comes last.
    ranked.sort_by(|(_, a), (_, b)| match (a, b) {
        (Some(a), Some(b)) if better == Better::Higher => b.total_cmp(a),
        (Some(a), Some(b)) => a.total_cmp(b),
        _ => b.is_some().cmp(&a.is_some()),
    });
    let longest = ranked.iter().map(|(layer, _)| layer.len()).max().unwrap_or(0);
    console.print(format_args!("{:longest$}  {} {}", "", metric.name(), better.arrow()))?;
    for (layer, value) in ranked {
        let value = value.map_or("none".into(), |value| format!("{value:.4}"));
        console.print(format_args!("{:longest$}  {value:>8}", plain(&layer)))?;
    }
    Ok(())
}

fn list_layers(args: &LayersArgs, console: &Console) -> Result<(), Failure> {
    let model = args.model.open_untrained(&Device::flex(), console)?;
    ModelArgs::announce(&model.info(), console);
    let layers = burn_cam::layers(&model)?;
    let longest = layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in layers {
        let grid = layer.grid.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let default = if Some(&*layer.name) == model.default_layer() { "  (default)" } else { "" };
        let channels = layer.channels;
        console.print(format_args!(
            "{:longest$}  {channels:4} channels on {grid}{default}",
            plain(&layer.name)
        ))?;
    }
    Ok(())
}

pub fn models(console: &Console) -> Result<(), Failure> {
    for (place, (family, cards)) in registry().models().by_family().into_iter().enumerate() {
        let blank = if place == 0 { "" } else { "\n" };
        console.print(format_args!("{blank}{family}"))?;
        for card in cards {
            let [height, width] = card.size;
            let weights = match &card.hub {
                Some(repository) => {
                    let pinned = match &card.sha256 {
                        Some(sha256) => format!("sha256 {sha256}"),
                        None => "not pinned to a sha256".into(),
                    };
                    format!("fetched from https://huggingface.co/{repository}, {pinned}")
                }
                None if card.url.is_empty() => "built in".into(),
                None => format!("a file, such as {}", card.url),
            };
            let accuracy = card.accuracy.map_or(String::new(), |share| format!(", accuracy {share:.1} %"));
            console.print(format_args!(
                "  {}\n      {}\n      input {height} x {width}, layer {}{accuracy}\n      weights: {weights}\n      license: {}",
                card.name, card.about, card.layer, card.license
            ))?;
        }
    }
    Ok(())
}

pub fn methods(console: &Console) -> Result<(), Failure> {
    let infos: Vec<_> = registry().methods().iter().map(|method| method.info()).collect();
    let longest = |text: fn(&burn_cam::MethodInfo) -> String| {
        infos.iter().map(|info| text(info).len()).max().unwrap_or(0)
    };
    let (name, title) = (longest(|info| info.name.into()), longest(|info| info.title.into()));
    let cost = longest(|info| info.cost.describe());
    for info in &infos {
        console.print(format_args!(
            "{:name$}  {:title$}  {:cost$}  {}",
            info.name,
            info.title,
            info.cost.describe(),
            info.paper
        ))?;
    }
    Ok(())
}

pub fn metrics(console: &Console) -> Result<(), Failure> {
    let rows: Vec<[String; 5]> = registry()
        .metrics()
        .iter()
        .map(|metric| {
            let info = metric.info();
            let needs = [
                (info.needs.truth && !info.needs.others, "truth"),
                (info.needs.others, "truth of two classes"),
                (info.needs.randomized, "random parameters"),
                (info.needs.peers, "other methods"),
            ];
            let needs: Vec<&str> =
                needs.iter().filter(|(needed, _)| *needed).map(|(_, word)| *word).collect();
            let passes = match metric.passes() {
                0 => "no pass".into(),
                1 => "one pass".into(),
                count => format!("{count} passes"),
            };
            let cost = if needs.is_empty() { passes } else { format!("{passes}; {}", needs.join(", ")) };
            [
                format!("{} {}", info.name, info.better.arrow()),
                info.title.into(),
                info.group.to_string(),
                cost,
                info.paper.into(),
            ]
        })
        .collect();
    let widths =
        [0, 1, 2, 3].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for [name, title, group, cost, paper] in &rows {
        let [a, b, c, d] = widths;
        console.print(format_args!("{name:a$}  {title:b$}  {group:c$}  {cost:d$}  {paper}"))?;
    }
    Ok(())
}

pub fn devices(console: &Console) -> Result<(), Failure> {
    device::list(console)
}
