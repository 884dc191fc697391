//! `cam guided`: guided backpropagation and Guided Grad-CAM beside the map, on one sheet.

use crate::console::Console;
use crate::failure::Failure;
use crate::looking::Looking;
use crate::maps::{OneMap, heat_maps};
use crate::options::Asked;
use crate::report::{Map, Seconds};
use crate::sheet::{Drawing, class_caption};
use crate::sheets::Made;
use crate::studio::Studio;
use crate::{model, painting, sheets};
use burn::tensor::Tensor;
use cam_core::{Explainer, GradCam, Method, guided_backprop};
use cam_viz::{Area, Gradient, HeatMap, Sheet};
use serde_json::json;

pub const EXAMPLES: &str = "\
Examples:
  cam guided scene.png
  cam guided dog_cat.jpg --model resnet50 --class 'bull mastiff' --class 'tiger cat'";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub sheets: sheets::Asked,
    #[command(flatten)]
    pub model: model::Asked,
    #[command(flatten)]
    pub asked: Asked,
    #[command(flatten)]
    pub painting: painting::Asked,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let painter = args.painting.painter(false)?;
    let sheets = args.sheets.open("guided", &args.model, console)?;
    let model = model::load(&args.model, &sheets.device, console)?;
    let targets = args.asked.targets(&model)?;
    let layer = [model.card().layer.clone()];
    let methods: [&'static dyn Method; 1] = [&GradCam];
    let explainer = Explainer::new(&model).layer(&layer[0]).method(GradCam);
    let mut studio = Studio {
        model: &model,
        targets: &targets,
        layers: &layer,
        methods: &methods,
        lookings: &[Looking::once(&explainer)],
        seconds: Seconds::default(),
    };
    let options = json!({
        "model": args.model.identity(&model),
        "asked": args.asked,
        "painting": args.painting,
    });
    let speaker = sheets.console.clone();
    sheets.each(&model, options, |mut picture| {
        let input: Tensor<4> = picture.input.to_device(model.device());
        picture.input = input.clone();
        let explained = studio.explain_one(picture)?;
        let title = format!("{}, as {} sees it", explained.picture.title(), model.card().name);
        let columns = ["photo", "Grad-CAM", "guided backpropagation", "Guided Grad-CAM"];
        let mut sheet = Sheet::new(title).columns(columns);
        let guided = |map: &OneMap| guided_backprop(&model, &input, targets[map.target].as_ref());
        let gradients = explained.maps.iter().map(guided).collect::<Result<Vec<_>, _>>()?;
        // Read together, so that the device is waited for once.
        let planes = heat_maps(Tensor::cat(gradients, 0))?;
        for (map, planes) in explained.maps.iter().zip(planes.chunks_exact(3)) {
            let gradient = on_photo(planes, explained.picture.area)?;
            let pictures = [
                explained.picture.photo.clone(),
                painter.paint(&explained.picture, map)?,
                gradient.color(),
                gradient.times(&map.heat)?.color(),
            ];
            sheet = sheet.row(class_caption(map), pictures);
        }
        speaker.say(sheets::told(&explained.picture, &explained.maps))?;
        let told = explained.maps.iter().map(|map| Map::of(&explained.picture, map, &painter));
        let maps = told.collect::<Result<_, _>>()?;
        Ok(Made { drawing: Drawing::Sheet(sheet), predictions: explained.top, maps })
    })
}

/// The gradient at the size of the part of the photo that it is of.
fn on_photo(planes: &[HeatMap], area: Area) -> Result<Gradient, Failure> {
    let mut values = Vec::new();
    for plane in planes {
        values.extend_from_slice(plane.resize(area.width, area.height)?.values());
    }
    Ok(Gradient::new(area.width, area.height, values)?)
}
