//! `cam demo`: a drawn scene, explained by the built-in model, on one sheet.

use crate::console::Console;
use crate::device;
use crate::failure::{Failure, folder};
use cam_core::{Class, Explainer, Explanation, Target};
use cam_models::{Classifier, Prediction, Resize};
use cam_scenes::{Object, Scene};
use cam_viz::{ColourMap, HeatMap, Marker, Overlay, Rgb, RgbImage, Sheet, outline};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  cam demo
  cam demo --seed 12 --out pictures";

#[derive(clap::Args)]
pub struct Args {
    /// Which scene is drawn
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// The folder that the sheet goes to
    #[arg(long, value_name = "DIR", default_value = "cam-out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub place: device::Place,
}

/// The methods on the sheet: one of each kind.
const METHODS: [&str; 8] =
    ["gradcam", "gradcam++", "hirescam", "layercam", "eigencam", "ablationcam", "scorecam", "fullgrad"];

/// The side of the drawn picture in pixels.
const SIDE: u32 = 384;

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let (device, _) = device::named(&args.place.device, console)?;
    folder(&args.out)?;
    let model = Classifier::builtin(&device)?;
    let scene = Scene::with_classes(args.seed, SIDE, &two_classes(args.seed))?;
    let (input, _) = model.card().preprocess(Resize::Squash).apply(&scene.picture, &device);

    let layer = &model.card().layer;
    let mut explainer = Explainer::new(&model).layer(layer);
    for method in METHODS {
        explainer = explainer.method(cam_core::method_named(method)?);
    }
    let targets: Vec<Class> = scene.objects.iter().map(|object| Class(object.class.index())).collect();
    let targets: Vec<&dyn Target> = targets.iter().map(|class| class as &dyn Target).collect();
    let found: Explanation = explainer.explain_each(input, &targets)?;

    let columns = std::iter::once("the object").chain(METHODS);
    let title = format!(
        "Where the built-in model sees a {} and a {}",
        scene.objects[0].class, scene.objects[1].class
    );
    let mut sheet = Sheet::new(title).columns(columns).colour_bar(ColourMap::default());
    let (logits, numbers) = found.read()?;
    let (classes, kind) = (model.labels().len(), model.card().logits);
    let predictions = Prediction::of_numbers(&logits, classes, kind, model.labels(), classes);
    for (target, object) in scene.objects.iter().enumerate() {
        let maps = found.maps.iter().zip(&numbers).filter(|(map, _)| map.target == target);
        let probability = predictions[0]
            .iter()
            .find(|guess| guess.class == object.class.index())
            .map_or(0.0, |guess| guess.probability);
        console.say(format_args!("{}: {:.1} % sure", object.class, 100.0 * probability))?;
        let mut row = vec![outlined(&scene.picture, object)?];
        for (map, numbers) in maps {
            let [_, height, width] = map.heat.dims();
            let heat = HeatMap::new(width as u32, height as u32, &*numbers.heat)?;
            let overlay = Overlay::new(&scene.picture).peak(Marker::Cross);
            row.push(overlay.draw(&heat)?);
            let (x, y) = cam_viz::Area::whole(&scene.picture).peak(&heat);
            let verdict = if object.mask.contains(x, y) { "on the object" } else { "beside the object" };
            console.say(format_args!("    {:12} hottest at {x}, {y}: {verdict}", map.method))?;
        }
        sheet = sheet.row(format!("{} {:.0} %", object.class, 100.0 * probability), row);
    }
    let path = args.out.join("demo.png");
    cam_viz::save(&sheet.draw()?, &path)?;
    console.say(path.display())
}

/// Two classes of the scene of a seed.
fn two_classes(seed: u64) -> [cam_scenes::Class; 2] {
    let all = cam_scenes::Class::ALL;
    let first = seed as usize % all.len();
    let step = 1 + (seed as usize / all.len()) % (all.len() - 1);
    [all[first], all[(first + step) % all.len()]]
}

/// The scene with the border of one object drawn.
fn outlined(picture: &RgbImage, object: &Object) -> Result<RgbImage, Failure> {
    let mut picture = picture.clone();
    outline(&mut picture, object.mask.as_slice(), Rgb([255, 255, 255]))?;
    Ok(picture)
}
