//! `cam compare --model A --model B`: two models on the same images, such as one before and after fine-tuning, a network and its quantized
//! file, or a `.pth` and its ONNX.

use crate::args::model::ModelArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::commands::compare::Args;
use crate::report::console::{Console, heading, plain};
use crate::report::contact_sheet::{Drawing, class_caption};
use crate::report::failure::Failure;
use crate::report::json::MapReport;
use crate::run::sheets::ImageSheet;
use burn_cam::draw::{ColorBar, Figure, Overlay, Sheet, enlarged};
use burn_cam::{
    AnyModel, ColorMap, Error, HeatMap, ImageExplainer, ImageExplanation, ImageInput, ImageMap, ImageModel,
    Method, Prediction,
};
use serde_json::json;
use std::collections::HashMap;

pub fn run(args: &Args, models: [ModelArgs; 2], console: &Console) -> Result<(), Failure> {
    let methods = args.strategy.budget.methods(&args.methods)?;
    let painter = args.overlay.painter(args.strategy.sign.is_signed())?;
    let sheets = args.sheets.open("compare", &models[0], console)?;
    let opened = [models[0].open(&sheets.device, console)?, models[1].open(&sheets.device, console)?];
    let names = [0, 1].map(|side| models[side].given_name().unwrap_or_else(|| opened[side].info().name));
    let options = json!({
        "models": [models[0].identity(&opened[0]), models[1].identity(&opened[1])],
        "methods": methods.iter().map(|method| method.name()).collect::<Vec<_>>(),
        "targets": args.targets,
        "strategy": args.strategy,
        "overlay": args.overlay,
    });
    let results = sheets.console.clone();
    // What is assumed of the first is said with its first image.
    ModelArgs::announce(&opened[1].info(), console);
    PreprocessArgs::announce(&opened[1].preprocess(), console)?;
    sheets.each(&opened[0], options, |image| {
        let both = explain(args, &opened, &methods, &image.image, console)?;
        let differences = LogitDifferences::new(&both);
        let mut text = heading(image.source.name());
        for (name, found) in names.iter().zip(&both) {
            let top = found.predictions.iter().take(3);
            let top = top.map(|one| format!("{} {:.1} %", plain(&one.label), 100.0 * one.probability));
            text += &format!("\n  {}: {}", plain(name), top.collect::<Vec<_>>().join(", "));
        }
        text += &format!("\n  {differences}");
        results.result(text)?;
        let title = format!("{}: {} and {}", image.source.title(), names[0], names[1]);
        let mut sheet = Sheet::new(title).color_bar(painter.colors).note(differences.to_string());
        let signed = ColorBar::from(ColorMap::RedBlue).range(-1.0, 1.0);
        sheet = sheet.color_bar(signed);
        let mut maps = Vec::new();
        for (first, second) in both[0].maps.iter().zip(&both[1].maps) {
            let figure = |map: &ImageMap, name: &str| {
                let figure = Figure::new(painter.paint(map)?).above(name).below(class_caption(map));
                Ok::<_, Failure>(figure.below(format!("at {}", map.layer)))
            };
            let mut row = vec![
                Figure::new(image.image.drawn().into_owned()).above("image"),
                figure(first, &names[0])?,
                figure(second, &names[1])?,
            ];
            row.extend(difference(first, second)?);
            sheet = sheet.row(first.method.name, row);
            for map in [first, second] {
                maps.push(MapReport::new(map, &painter)?);
            }
        }
        let [first, _] = both;
        Ok(ImageSheet { drawing: Drawing::Sheet(sheet), predictions: first.predictions, maps })
    })
}

/// Explains an image with both models: the classes that are asked for, or the top class of the first model.
fn explain(
    args: &Args,
    models: &[AnyModel; 2],
    methods: &[&'static dyn Method],
    image: &ImageInput,
    console: &Console,
) -> Result<[ImageExplanation; 2], Failure> {
    let explain = |model: &AnyModel, classes: &[String]| {
        let layers = args.strategy.layers(model)?;
        let targets = classes.iter().map(|name| args.targets.scored(model.decoder().target(name)?));
        let targets = targets.collect::<Result<Vec<_>, Error>>()?;
        let explainer: ImageExplainer<'_, AnyModel> =
            args.strategy.explainer(model, (&args.targets, &targets), methods, &layers, console);
        Ok::<_, Failure>(explainer.top_k(usize::MAX).explain(image)?)
    };
    let first = explain(&models[0], &args.targets.classes)?;
    let asked = match &args.targets.classes[..] {
        [] => first.maps.first().map(|map| map.label.clone()).into_iter().collect(),
        named => named.to_vec(),
    };
    let second = explain(&models[1], &asked)?;
    Ok([first, second])
}

/// Returns the difference of two maps over the image, if both models saw the same part of it: red where the second is hotter.
fn difference(first: &ImageMap, second: &ImageMap) -> Result<Option<Figure>, Failure> {
    if first.area != second.area {
        return Ok(None);
    }
    let (width, height) = (first.heatmap.width(), first.heatmap.height());
    let resized = second.heatmap.resize(width, height)?;
    let values: Vec<f32> = first.heatmap.values().iter().zip(resized.values()).map(|(a, b)| b - a).collect();
    let largest = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let (photo, factor) = enlarged(first.source.pixels());
    let overlay = Overlay::new(&photo).area(first.area.times(factor)).colors(ColorMap::RedBlue);
    let drawn = overlay.draw(&HeatMap::new(width, height, values)?)?;
    Ok(Some(Figure::new(drawn).above("difference").below(format!("{largest:.2} at most"))))
}

/// How far the outputs of two models are apart, for the classes that both have.
struct LogitDifferences {
    /// The classes that both have.
    common: usize,
    /// The name of the class with the largest difference, and its outputs.
    largest: Option<(String, [f32; 2])>,
    /// The mean of the absolute differences.
    mean: f32,
}

impl LogitDifferences {
    fn new([first, second]: &[ImageExplanation; 2]) -> Self {
        let key = |one: &Prediction| one.label.to_lowercase();
        let other: HashMap<String, f32> =
            second.predictions.iter().map(|one| (key(one), one.score)).collect();
        let pairs: Vec<(String, [f32; 2])> = first
            .predictions
            .iter()
            .filter_map(|one| Some((one.label.clone(), [one.score, *other.get(&key(one))?])))
            .collect();
        let distance = |(_, [a, b]): &(String, [f32; 2])| (a - b).abs();
        let mean = pairs.iter().map(distance).sum::<f32>() / pairs.len().max(1) as f32;
        let common = pairs.len();
        let largest = pairs.into_iter().max_by(|a, b| distance(a).total_cmp(&distance(b)));
        Self { common, largest, mean }
    }
}

impl std::fmt::Display for LogitDifferences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.largest {
            None => f.write_str("the models have no class of the same name"),
            Some((label, [a, b])) => write!(
                f,
                "the outputs of {} classes differ by {:.3e} on average and {:.3e} at most ({}: {a:.4} and {b:.4})",
                self.common,
                self.mean,
                (a - b).abs(),
                plain(label),
            ),
        }
    }
}
