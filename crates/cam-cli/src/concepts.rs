//! `cam concepts`: what a layer sees in a picture, as a few concepts and where each of them is (deep feature factorization).

use crate::console::{Console, head};
use crate::failure::Failure;
use crate::maps::heat_maps;
use crate::picture::Picture;
use crate::report::{About, Map};
use crate::sheet::Drawing;
use crate::sheets::Made;
use crate::{model, sheets};
use burn::tensor::Tensor;
use cam_core::Concepts;
use cam_models::{Classifier, Prediction};
use cam_viz::{Figure, HeatMap, Mosaic, Overlay, Sheet};
use serde_json::json;

pub const EXAMPLES: &str = "\
Examples:
  cam concepts scene.png
  cam concepts dog_cat.jpg --model resnet50 --count 4
  cam concepts dog_cat.jpg --model resnet50 --layer layer3.5 --seed 1";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub sheets: sheets::Asked,
    #[command(flatten)]
    pub model: model::Asked,
    /// How many concepts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub count: u32,
    /// The layer: see `cam layers` [default: the one the model's card names]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// From where the search for concepts starts
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let sheets = args.sheets.open("concepts", &args.model, console)?;
    let model = model::load(&args.model, &sheets.device, console)?;
    let layer = args.layer.as_ref().unwrap_or(&model.card().layer);
    let speaker = sheets.console.clone();
    let options = json!({
        "model": args.model.identity(&model),
        "layer": layer,
        "count": args.count,
        "seed": args.seed,
    });
    sheets.each(&model, options, |picture| {
        let input = picture.input.clone().to_device(model.device());
        let count = args.count as usize;
        let found =
            picture.tried(&model, || Ok(cam_core::concepts(&model, layer, input, count, args.seed)?))?;
        let concepts = named(&model, found)?;
        speaker.say(head(picture.source.name()))?;
        for concept in &concepts {
            let (x, y) = picture.area.peak(&concept.heat);
            speaker.say(format_args!("  {}: {}, most at {x}, {y}", concept.number, concept.name()))?;
        }
        Ok(Made {
            drawing: sheet(&picture, &concepts, &format!("{} at {layer}", model.card().name))?,
            predictions: Vec::new(),
            maps: concepts.into_iter().map(|concept| concept.told(&picture, layer)).collect(),
        })
    })
}

/// A concept: its number, what the rest of the network says to it, and where it is.
struct Concept {
    number: usize,
    guess: Prediction,
    heat: HeatMap,
}

impl Concept {
    /// What the network says to it.
    fn name(&self) -> String {
        format!("{} {:.0} %", self.guess.label, 100.0 * self.guess.probability)
    }

    /// What is told of it.
    fn told(self, picture: &Picture, layer: &str) -> Map {
        let about = About {
            class: self.guess.class,
            label: self.guess.label,
            probability: self.guess.probability,
            score: self.guess.logit,
            layer: layer.into(),
            method: "concepts",
            peak: picture.area.peak(&self.heat).into(),
            warnings: Vec::new(),
        };
        about.into()
    }
}

fn named(model: &Classifier, found: Concepts) -> Result<Vec<Concept>, Failure> {
    let guesses = model.predictions(found.output, 1)?.into_iter().flatten();
    let concepts = (1..).zip(guesses).zip(heat_maps(Tensor::cat(found.heatmaps, 0))?);
    Ok(concepts.map(|((number, guess), heat)| Concept { number, guess, heat }).collect())
}

fn sheet(picture: &Picture, concepts: &[Concept], how: &str) -> Result<Drawing, Failure> {
    let mosaic = Mosaic::new(&picture.photo).area(picture.area);
    let mosaic = concepts.iter().fold(mosaic, |all, concept| {
        all.map(format!("{}: {}", concept.number, concept.name()), concept.heat.clone())
    });
    let mut figures =
        vec![Figure::new(picture.photo.clone()).above("photo"), mosaic.draw()?.above("all concepts")];
    for concept in concepts {
        let overlay = Overlay::new(&picture.photo).area(picture.area).draw(&concept.heat)?;
        let figure = Figure::new(overlay).above(format!("concept {}", concept.number));
        figures.push(figure.below(concept.name()));
    }
    let title = format!("What {how} sees in {}", picture.title());
    let note = "Deep feature factorization; below each concept what the network says to it alone";
    Ok(Drawing::Sheet(Sheet::new(title).flow(4, figures).note(note)))
}
