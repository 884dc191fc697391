//! `cam guided`: guided backpropagation and Guided Grad-CAM beside the map, on one sheet.

use crate::args::model::ModelArgs;
use crate::args::overlay::OverlayArgs;
use crate::args::target::TargetArgs;
use crate::report::console::Console;
use crate::report::contact_sheet::{Drawing, class_caption};
use crate::report::failure::Failure;
use crate::report::json::MapReport;
use crate::run::images::title;
use crate::run::sheets::{ImageSheet, SheetArgs, summary};
use burn_cam::draw::{RgbImage, Sheet, enlarged};
use burn_cam::{ImageExplainer, ImageModel};
use serde_json::json;

pub const EXAMPLES: &str = "\
Examples:
  cam guided cam-out/scene.png
  cam guided dog_cat.jpg --model resnet50 --class 'bull mastiff' --class 'tiger cat'";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
    #[command(flatten)]
    pub overlay: OverlayArgs,
    #[command(flatten)]
    pub sheets: SheetArgs,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    args.overlay.painter(false)?;
    let sheets = args.sheets.open("guided", &args.model, console)?;
    let model = args.model.open(&sheets.device, console)?;
    let painter = args.overlay.painter(model.decoder().is_signed())?;
    let name = model.info().name;
    let targets = args.targets.targets(&model, console)?;
    let explainer = ImageExplainer::new(&model);
    let explainer = args.targets.explainer(explainer);
    let explainer = targets.into_iter().fold(explainer, ImageExplainer::target);
    let options = json!({
        "model": args.model.identity(&model),
        "targets": args.targets,
        "overlay": args.overlay,
    });
    let results = sheets.console.clone();
    sheets.each(&model, options, |image| {
        let (mut found, gradients) = explainer.guided(&image.image)?;
        args.targets.set_probabilities(&model, &mut found);
        let title = format!("{}, explained with {name}", title(&image.source, image.part));
        let columns = ["image", "Grad-CAM", "guided backpropagation", "Guided Grad-CAM"];
        let mut sheet = Sheet::new(title).columns(columns);
        let (shown, factor) = enlarged(image.image.pixels());
        let as_large = |drawn: RgbImage| if factor > 1 { enlarged(&drawn).0.into_owned() } else { drawn };
        for map in &found.maps {
            let gradient = &gradients[map.target];
            let images = [
                shown.clone().into_owned(),
                painter.paint(map)?,
                as_large(gradient.color()),
                as_large(gradient.times(&map.heatmap)?.color()),
            ];
            sheet = sheet.row(class_caption(map), images);
        }
        results.result(summary(&image.source, &found.maps))?;
        let maps = found.maps.iter().map(|map| MapReport::new(map, &painter)).collect::<Result<_, _>>()?;
        Ok(ImageSheet { drawing: Drawing::Sheet(sheet), predictions: found.predictions, maps })
    })
}
