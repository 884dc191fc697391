//! `cam demo`: a drawn scene, explained by the built-in model, on one sheet.

use crate::args::device::{self, DeviceArgs};
use crate::commands::why_not;
use crate::registry;
use crate::report::console::Console;
use crate::report::contact_sheet;
use crate::report::failure::{Failure, create_folder};
use crate::run::sheets::hottest;
use burn_cam::draw::{self, Figure, Marker, Rgb, RgbImage, Sheet};
use burn_cam::{AnyModel, Class, ColorMap, Cost, ImageExplainer, Method, OpenModel};
use cam_scenes::{Object, Scene};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  cam demo
  cam demo --seed 12 --out sheets";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub place: DeviceArgs,
    /// The seed of the scene
    #[arg(long, help_heading = "Output", value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// The folder that the sheet is written to
    #[arg(long, help_heading = "Output", value_name = "DIR", default_value = "cam-out")]
    pub out: PathBuf,
}

/// The figures in a row: so few that captions can be read when the sheet is shown small, as on a web page.
const ACROSS: usize = 6;

/// The side of a figure, in pixels.
const TILE: u32 = 280;

/// The side of the scene, in pixels.
const SIDE: u32 = 384;

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let (device, _) = device::named(&args.place.device, console)?;
    create_folder(&args.out)?;
    let scene = Scene::with_classes(args.seed, SIDE, &two_classes(args.seed))?;
    let model = OpenModel::new().registry(registry()).open(&device)?;
    let mut explainer = ImageExplainer::new(&model);
    for object in &scene.objects {
        explainer = explainer.target(Class(object.class.index()));
    }
    for method in one_of_each_kind(&model)? {
        explainer = explainer.method(method);
    }
    let found = explainer.explain(&scene.image)?;

    let title = format!(
        "Where the built-in model sees a {} and a {}",
        scene.objects[0].class, scene.objects[1].class
    );
    let mut sheet = Sheet::new(title).color_bar(ColorMap::default()).tile(TILE);
    for (object, maps) in scene.objects.iter().zip(found.maps.chunk_by(|a, b| a.target == b.target)) {
        let percent = 100.0 * maps.first().and_then(|map| map.probability).unwrap_or_default();
        console.result(format_args!("{}: {percent:.1} %", object.class))?;
        let first = Figure::new(outlined(&scene.image, object)?).above("the object");
        let mut figures = Vec::new();
        for map in maps {
            let overlay = map.paint(|overlay| overlay.peak(Marker::Cross))?;
            figures.push(vec![Figure::new(overlay).above(map.method.title)]);
            let (x, y) = map.peak();
            let verdict = if object.mask.contains(x, y) { "on the object" } else { "beside the object" };
            console.result(format_args!("    {:17} {}: {verdict}", map.method.title, hottest(map)))?;
        }
        let caption = format!("{} {percent:.0} %", object.class);
        sheet = contact_sheet::row(sheet, &caption, first, figures, ACROSS);
    }
    draw::save(&scene.image, args.out.join("scene.png"))?;
    let path = args.out.join("demo.png");
    draw::save(&sheet.draw()?, &path)?;
    console.result(path.display())
}

/// Returns the first method of each kind: the methods that read the same, need the same and cost the same are of one kind. The slowest,
/// and those that find nothing to read in the built-in model, are skipped.
fn one_of_each_kind(model: &AnyModel) -> Result<Vec<&'static dyn Method>, Failure> {
    let mut methods: Vec<&'static dyn Method> = Vec::new();
    for &method in registry().methods() {
        let info = method.info();
        let kind = |info: burn_cam::MethodInfo| (info.reads, info.needs, info.cost);
        let slowest = match info.cost {
            Cost::PerChannel(passes) => passes > 1,
            cost @ Cost::Passes(_) => cost.is_slow(),
            _ => false,
        };
        if slowest || methods.iter().any(|other| kind(other.info()) == kind(info)) {
            continue;
        }
        if why_not(model, method, &[], &Class(0))?.is_none() {
            methods.push(method);
        }
    }
    Ok(methods)
}

/// Returns two classes for the scene of a seed.
fn two_classes(seed: u64) -> [cam_scenes::Class; 2] {
    let all = cam_scenes::Class::ALL;
    let first = seed as usize % all.len();
    let step = 1 + (seed as usize / all.len()) % (all.len() - 1);
    [all[first], all[(first + step) % all.len()]]
}

/// Returns the scene with the outline of one object.
fn outlined(picture: &RgbImage, object: &Object) -> Result<RgbImage, Failure> {
    let mut picture = picture.clone();
    draw::outline(&mut picture, object.mask.as_slice(), Rgb([255, 255, 255]))?;
    Ok(picture)
}
