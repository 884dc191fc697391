//! `cam demo`: a drawn scene, explained by the built-in model, on one sheet.

use crate::console::Console;
use crate::device;
use crate::failure::{Failure, folder};
use crate::looking::Looking;
use crate::picture::Picture;
use crate::report::Seconds;
use crate::source::Source;
use crate::studio::{Explained, Studio};
use cam_core::{Class, Explainer, Target};
use cam_models::{Classifier, Resize};
use cam_scenes::{Object, Scene};
use cam_viz::{ColorMap, Figure, Marker, Overlay, Rgb, RgbImage, Sheet, outline};
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
const METHODS: [&str; 9] = [
    "gradcam",
    "gradcam++",
    "hirescam",
    "layercam",
    "eigencam",
    "segeigencam",
    "ablationcam",
    "scorecam",
    "fullgrad",
];

/// The pictures in a row: so few that captions can be read where the sheet is shown small, as on a page.
const ACROSS: usize = 5;

/// The side of a picture on the sheet, in pixels.
const TILE: u32 = 240;

/// The side of the drawn picture in pixels.
const SIDE: u32 = 384;

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let (device, _) = device::named(&args.place.device, console)?;
    folder(&args.out)?;
    let model = Classifier::builtin(&device)?;
    let scene = Scene::with_classes(args.seed, SIDE, &two_classes(args.seed))?;
    let layers = [model.card().layer.clone()];
    let methods = METHODS.map(cam_core::method_named).into_iter().collect::<Result<Vec<_>, _>>()?;
    let explainer = Explainer::new(&model).layer(&layers[0]);
    let explainer = methods.iter().fold(explainer, |all, method| all.method(*method));
    let classes = scene.objects.iter().map(|object| Class(object.class.index()));
    let mut studio = Studio {
        model: &model,
        targets: &classes.map(|class| Box::new(class) as Box<dyn Target>).collect::<Vec<_>>(),
        layers: &layers,
        methods: &methods,
        lookings: &[Looking::once(&explainer)],
        seconds: Seconds::default(),
    };
    let source = Source { path: "scene".into(), below: PathBuf::new() };
    let preprocess = model.card().preprocess(Resize::Squash);
    let Explained { picture, maps, .. } =
        studio.explain_one(Picture::of(source, scene.picture, &preprocess))?;

    let title = format!(
        "Where the built-in model sees a {} and a {}",
        scene.objects[0].class, scene.objects[1].class
    );
    let mut sheet = Sheet::new(title).color_bar(ColorMap::default()).tile(TILE);
    for (object, maps) in scene.objects.iter().zip(maps.chunk_by(|a, b| a.target == b.target)) {
        let sure = 100.0 * maps[0].probability;
        console.say(format_args!("{}: {sure:.1} % sure", object.class))?;
        let mut figures = vec![Figure::new(outlined(&picture.photo, object)?).above("the object")];
        for map in maps {
            let overlay = Overlay::new(&picture.photo).peak(Marker::Cross).draw(&map.heat)?;
            figures.push(Figure::new(overlay).above(map.method));
            let (x, y) = picture.area.peak(&map.heat);
            let verdict = if object.mask.contains(x, y) { "on the object" } else { "beside the object" };
            console.say(format_args!("    {:12} {}: {verdict}", map.method, map.hottest(&picture)))?;
        }
        let mut caption = format!("{} {sure:.0} %", object.class);
        for row in figures.chunks(ACROSS) {
            sheet = sheet.row(std::mem::take(&mut caption), row.iter().cloned());
        }
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
