//! `cam concepts`: what a layer sees in an image, as a few concepts and where each of them is (deep feature factorization).

use crate::args::model::ModelArgs;
use crate::report::console::{Console, heading};
use crate::report::contact_sheet::Drawing;
use crate::report::failure::Failure;
use crate::report::json::{MapSubject, digest};
use crate::run::images::title;
use crate::run::sheets::{ImageSheet, SheetArgs};
use burn_cam::draw::{Figure, Mosaic, Overlay, Sheet, enlarged};
use burn_cam::image::RgbImage;
use burn_cam::{Concept, ImageExplainer, ImageModel, Prediction};
use serde_json::json;

pub const EXAMPLES: &str = "\
Examples:
  cam concepts cam-out/scene.png
  cam concepts dog_cat.jpg --model resnet50 --count 4
  cam concepts dog_cat.jpg --model resnet50 --layer layer3.5 --seed 1";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The number of concepts
    #[arg(long, help_heading = "Concepts", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub count: u32,
    /// The layer: see `cam layers` [default: the one in the model card]
    #[arg(long, help_heading = "Concepts", value_name = "NAME")]
    pub layer: Option<String>,
    /// The seed of the search for concepts
    #[arg(long, help_heading = "Concepts", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub sheets: SheetArgs,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let sheets = args.sheets.open("concepts", &args.model, console)?;
    let model = args.model.open(&sheets.device, console)?;
    let name = model.info().name;
    let layer = args.layer.as_deref().or(model.default_layer()).unwrap_or("auto");
    let explainer = ImageExplainer::new(&model);
    let results = sheets.console.clone();
    let options = json!({
        "model": args.model.identity(&model),
        "layer": layer,
        "count": args.count,
        "seed": args.seed,
    });
    sheets.each(&model, options, |image| {
        let concepts =
            explainer.concepts(&image.image, args.layer.as_deref(), args.count as usize, args.seed)?;
        results.result(heading(image.source.name()))?;
        for (concept, number) in concepts.iter().zip(1..) {
            let (x, y) = concept.area.peak(&concept.heatmap);
            results.result(format_args!("  {number}: {}, hottest at {x}, {y}", caption(concept)))?;
        }
        let title = format!("What {name} sees at {layer} in {}", title(&image.source, image.part));
        Ok(ImageSheet {
            drawing: sheet(image.image.pixels(), &concepts, title)?,
            predictions: Vec::new(),
            maps: concepts.iter().map(|concept| subject(concept, layer).into()).collect(),
        })
    })
}

/// The least probability that names a concept alone.
const LIKELY: f32 = 0.5;

/// The least probability of two classes together that name a concept.
const LIKELY_TOGETHER: f32 = 0.25;

/// Returns what the network predicts for a concept: the class if it is likely, else the two likeliest, or nothing if these are unlikely,
/// too.
fn caption(concept: &Concept) -> String {
    let named = |found: &Prediction| format!("{} {:.0} %", found.label, 100.0 * found.probability);
    let first = &concept.prediction;
    match &concept.second {
        _ if first.probability >= LIKELY => named(first),
        Some(second) if first.probability + second.probability >= LIKELY_TOGETHER => {
            format!("{} or {}", named(first), named(second))
        }
        _ => "no likely name".into(),
    }
}

/// Returns what the manifest records of a concept.
fn subject(concept: &Concept, layer: &str) -> MapSubject {
    let prediction = &concept.prediction;
    MapSubject {
        bounds: None,
        class: Some(prediction.class),
        label: prediction.label.clone(),
        probability: Some(prediction.probability),
        score: prediction.score,
        layer: layer.into(),
        method: "concepts",
        peak: concept.area.peak(&concept.heatmap).into(),
        digest: digest(&concept.heatmap),
        warnings: Vec::new(),
    }
}

fn sheet(image: &RgbImage, concepts: &[Concept], title: String) -> Result<Drawing, Failure> {
    let (image, factor) = enlarged(image);
    let mut mosaic = Mosaic::new(&image);
    let mut figures = Vec::new();
    for (concept, number) in concepts.iter().zip(1..) {
        let caption = caption(concept);
        let area = concept.area.times(factor);
        mosaic = mosaic.area(area).map(format!("{number}: {caption}"), concept.heatmap.clone());
        let overlay = Overlay::new(&image).area(area).draw(&concept.heatmap)?;
        figures.push(Figure::new(overlay).above(format!("concept {number}")).below(caption));
    }
    let first =
        [Figure::new(image.clone().into_owned()).above("image"), mosaic.draw()?.above("all concepts")];
    let note = "Deep feature factorization; below each concept what the network predicts for it alone";
    Ok(Drawing::Sheet(Sheet::new(title).flow(4, first.into_iter().chain(figures)).note(note)))
}
