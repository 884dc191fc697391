//! `cam concepts`: what a layer sees in a picture, as a few concepts and where each of them is (deep feature factorization).

use crate::console::{Console, head};
use crate::failure::Failure;
use crate::picture::Picture;
use crate::sheet::Drawing;
use crate::{model, sheets};
use cam_core::Concepts;
use cam_models::Classifier;
use cam_viz::{Figure, HeatMap, Mosaic, Overlay, Sheet};

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
    let sheets = args.sheets.open(console)?;
    let model = model::load(&args.model, &sheets.device, console)?;
    let layer = args.layer.as_ref().unwrap_or(&model.card().layer);
    let speaker = sheets.console.clone();
    sheets.each(&model, "concepts", |picture| {
        let found = cam_core::concepts(&model, layer, picture.input.clone(), args.count as usize, args.seed)?;
        let concepts = named(&model, found)?;
        speaker.say(head(picture.source.name()))?;
        for (concept, name, heat) in &concepts {
            let (x, y) = picture.area.peak(heat);
            speaker.say(format_args!("  {concept}: {name}, most at {x}, {y}"))?;
        }
        sheet(&picture, &concepts, &format!("{} at {layer}", model.card().name))
    })
}

/// Each concept with its number, what the rest of the network says to it, and where it is.
fn named(model: &Classifier, found: Concepts) -> Result<Vec<(usize, String, HeatMap)>, Failure> {
    let guesses = model.predictions(found.output, 1)?;
    let concepts = found.heat.into_iter().zip(guesses).enumerate();
    concepts
        .map(|(place, (heat, guess))| {
            let [_, height, width] = heat.dims();
            let values: Vec<f32> = heat.try_into_vec_as().map_err(cam_core::Error::from)?;
            let name = format!("{} {:.0} %", guess[0].label, 100.0 * guess[0].probability);
            Ok((place + 1, name, HeatMap::new(width as u32, height as u32, values)?))
        })
        .collect()
}

fn sheet(picture: &Picture, concepts: &[(usize, String, HeatMap)], how: &str) -> Result<Drawing, Failure> {
    let mosaic =
        concepts.iter().fold(Mosaic::new(&picture.photo).area(picture.area), |all, (_, name, heat)| {
            all.map(name.as_str(), heat.clone())
        });
    let mut figures =
        vec![Figure::new(picture.photo.clone()).above("photo"), mosaic.draw()?.above("all concepts")];
    for (concept, name, heat) in concepts {
        let overlay = Overlay::new(&picture.photo).area(picture.area).draw(heat)?;
        figures.push(Figure::new(overlay).above(format!("concept {concept}")).below(name.as_str()));
    }
    let title = format!("What {how} sees in {}", picture.source.title());
    let note = "Deep feature factorization; below each concept what the network says to it alone";
    Ok(Drawing::Sheet(Sheet::new(title).flow(4, figures).note(note)))
}
