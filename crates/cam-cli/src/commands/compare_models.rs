//! `cam compare --model A --model B`: two models on the same images, such as one before and after fine-tuning, a network and its quantized
//! file, or a `.pth` and its ONNX.

use crate::args::model::ModelArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::args::target::TargetArgs;
use crate::commands::compare::Args;
use crate::report::console::{Console, heading, plain};
use crate::report::contact_sheet::{Drawing, class_caption};
use crate::report::failure::Failure;
use crate::report::json::MapReport;
use crate::run::sheets::{ImageSheet, confidence};
use burn_cam::draw::{ColorBar, Figure, Overlay, Sheet, enlarged};
use burn_cam::{
    AnyModel, ColorMap, HeatMap, ImageExplainer, ImageExplanation, ImageInput, ImageMap, ImageModel, Method,
    Prediction, Preprocess,
};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub fn run(args: &Args, models: [ModelArgs; 2], console: &Console) -> Result<(), Failure> {
    args.strategy.methods(&args.methods)?;
    args.overlay.painter(args.strategy.asks_for_both())?;
    let mut sheets = args.sheets.open("compare", &models[0], console)?;
    let opened = [models[0].open(&sheets.device, console)?, models[1].open(&sheets.device, console)?];
    // Maps of two methods say nothing of two models: without a default that both have it is Grad-CAM.
    let mut methods = args.strategy.methods_of(&args.methods, &opened[0])?;
    let other = args.strategy.methods_of(&args.methods, &opened[1])?;
    if !methods.iter().map(|method| method.name()).eq(other.iter().map(|method| method.name())) {
        methods = args.strategy.methods(&[])?;
    }
    let sign = args.strategy.sign(&opened[0]);
    let painter = args.overlay.painter(sign.is_signed())?;
    let names = names([0, 1].map(|side| models[side].given_name().unwrap_or_default()));
    let (preprocess, shared) = inputs(&opened);
    let options = json!({
        "models": [models[0].identity(&opened[0]), models[1].identity(&opened[1])],
        "methods": methods.iter().map(|method| method.name()).collect::<Vec<_>>(),
        "targets": args.targets,
        "sign": sign,
        "strategy": args.strategy,
        "overlay": args.overlay,
    });
    let results = sheets.console.clone();
    sheets.announced = true;
    for (side, model) in opened.iter().enumerate() {
        console.note(format_args!("{}:", names[side]));
        let mut info = model.info();
        if shared == Some(side) {
            info.assumed.retain(|assumed| !assumed.starts_with("colors"));
        }
        ModelArgs::announce(&info, console);
        match shared == Some(side) {
            true => console.note(format_args!(
                "images are prepared as for {}, because nothing states how: `--mean` and `--std`, or a card, do for both",
                names[1 - side]
            )),
            false => PreprocessArgs::announce(&preprocess[side], console)?,
        }
    }
    sheets.each(&opened[0], options, |image| {
        let both = explain(args, (&opened, &preprocess), &methods, &image.image, console)?;
        let differences = LogitDifferences::new(&both);
        let mut text = heading(image.source.name());
        for (name, found) in names.iter().zip(&both) {
            let top = found.predictions.iter().take(3);
            let top = top.map(|one| format!("{} {}", plain(&one.label), confidence(one)));
            text += &format!("\n  {}: {}", plain(name), top.collect::<Vec<_>>().join(", "));
        }
        text += &format!("\n  {differences}");
        results.result(text)?;
        let title = format!("{}: {} and {}", image.source.title(), names[0], names[1]);
        let mut sheet = Sheet::new(title).color_bar(painter.colors).note(differences.to_string());
        let pairs = || both[0].maps.iter().zip(&both[1].maps);
        let differing = pairs().map(|(first, second)| difference(first, second));
        let differing: Vec<Option<HeatMap>> = differing.collect::<Result<_, _>>()?;
        let largest = differing.iter().flatten().map(largest).fold(FAINT, f32::max);
        sheet = sheet.color_bar(ColorBar::from(ColorMap::RedBlue).range(-largest, largest));
        let mut maps = Vec::new();
        for ((first, second), difference) in pairs().zip(&differing) {
            let figure = |map: &ImageMap, name: &str| {
                let figure = Figure::new(painter.paint(map)?).above(name).below(class_caption(map));
                Ok::<_, Failure>(figure.below(format!("at {}", map.layer)))
            };
            let mut row = vec![
                Figure::new(image.image.drawn().into_owned()).above("image"),
                figure(first, &names[0])?,
                figure(second, &names[1])?,
            ];
            if let Some(difference) = difference {
                row.push(drawn(first, difference, largest)?);
            }
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
    (models, preprocess): (&[AnyModel; 2], &[Preprocess; 2]),
    methods: &[&'static dyn Method],
    image: &ImageInput,
    console: &Console,
) -> Result<[ImageExplanation; 2], Failure> {
    let explain = |side: usize, asked: &TargetArgs| {
        let model = &models[side];
        let layers = args.strategy.layers(model)?;
        let targets = asked.targets(model, console)?;
        let explainer: ImageExplainer<'_, AnyModel> =
            args.strategy.explainer(model, (asked, &targets), methods, &layers, console);
        let explainer = explainer.preprocess(preprocess[side].clone());
        let mut found = explainer.top_k(usize::MAX).explain(image)?;
        asked.set_probabilities(model, &mut found);
        Ok::<_, Failure>(found)
    };
    let first = explain(0, &args.targets)?;
    let mut asked = args.targets.clone();
    if asked.classes.is_empty() {
        let other = models[1].decoder();
        // Of several classes with this name it is the one of the same number.
        let name = |map: &ImageMap| match map.class {
            Some(class) if other.classes() > Some(class) && other.label(class) == map.label => {
                class.to_string()
            }
            _ => map.label.clone(),
        };
        asked.classes = first.maps.chunk_by(|a, b| a.target == b.target).map(|maps| name(&maps[0])).collect();
        asked.top = None;
    }
    let second = explain(1, &asked)?;
    Ok([first, second])
}

/// Returns how the models are called: by their files, without folders where the names differ.
fn names(given: [String; 2]) -> [String; 2] {
    let short = given.clone().map(|name| {
        let file = Path::new(&name).file_name().map(|file| file.to_string_lossy().into_owned());
        file.unwrap_or(name)
    });
    if short[0] == short[1] { given } else { short }
}

/// Returns how the images are prepared for each model, and the model, if there is one, of which that is not known. Its images are prepared as
/// for the other one, so that a network and its ONNX file, which does not say how, see the same.
fn inputs(models: &[AnyModel; 2]) -> ([Preprocess; 2], Option<usize>) {
    let mut all = [models[0].preprocess(), models[1].preprocess()];
    let is_guessed = |model: &AnyModel| {
        let card = model.info().card.unwrap_or_default();
        card.lines().any(|line| line.starts_with("mean = ") && line.ends_with("# assumed"))
    };
    let shared = match [is_guessed(&models[0]), is_guessed(&models[1])] {
        [true, false] => Some(0),
        [false, true] => Some(1),
        _ => None,
    };
    let fits = all[0].size == all[1].size && all[0].channels == all[1].channels;
    let shared = shared.filter(|_| fits && models.iter().all(|model| !model.decoder().has_places()));
    if let Some(side) = shared {
        all[side] = Preprocess { layout: all[side].layout, ..all[1 - side].clone() };
    }
    (all, shared)
}

/// The range of colors for differences is no smaller, so that rounding is not seen.
const FAINT: f32 = 0.05;

/// Returns the largest magnitude of a map.
fn largest(map: &HeatMap) -> f32 {
    map.values().iter().fold(0.0, |most: f32, value| most.max(value.abs()))
}

/// Returns the difference of two maps, if both models saw the same part of the image: positive where the second is hotter.
fn difference(first: &ImageMap, second: &ImageMap) -> Result<Option<HeatMap>, Failure> {
    if first.area != second.area {
        return Ok(None);
    }
    let (width, height) = (first.heatmap.width(), first.heatmap.height());
    let resized = second.heatmap.resize(width, height)?;
    let values: Vec<f32> = first.heatmap.values().iter().zip(resized.values()).map(|(a, b)| b - a).collect();
    Ok(Some(HeatMap::new(width, height, values)?))
}

/// Draws a difference over the image, in colors that go up to `most`: red where the second model is hotter.
fn drawn(first: &ImageMap, difference: &HeatMap, most: f32) -> Result<Figure, Failure> {
    let (photo, factor) = enlarged(first.source.pixels());
    let overlay = Overlay::new(&photo).area(first.area.times(factor)).colors(ColorMap::RedBlue);
    let figure = Figure::new(overlay.draw(&difference.scaled(0.0, most))?);
    Ok(figure.above("difference").below(format!("{} at most", short(largest(difference)))))
}

/// Returns a number with three digits that count.
fn short(number: f32) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if size < 1e-3 => format!("{number:.1e}"),
        size if size < 10.0 => format!("{number:.3}"),
        _ => format!("{number:.1}"),
    }
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
        // Names may be those of several classes, so that they count only where the classes differ: ImageNet has two cranes.
        let names = |found: &ImageExplanation| -> BTreeMap<usize, String> {
            found.predictions.iter().map(|one| (one.class, one.label.to_lowercase())).collect()
        };
        let same = names(first) == names(second);
        let key = |one: &Prediction| match same {
            true => one.class.to_string(),
            false => one.label.to_lowercase(),
        };
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
                "the outputs of {} classes differ by {} on average and {} at most ({}: {a:.4} and {b:.4})",
                self.common,
                short(self.mean),
                short((a - b).abs()),
                plain(label),
            ),
        }
    }
}
