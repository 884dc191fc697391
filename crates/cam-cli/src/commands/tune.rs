//! `cam tune`: which method at which layer explains a model best, measured on a few photos.

use crate::args::candidates::CandidateArgs;
use crate::args::completion;
use crate::args::device::{self, DeviceArgs};
use crate::args::model::ModelArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::registry;
use crate::report::console::{Console, heading, plain};
use crate::report::contact_sheet::Drawing;
use crate::report::failure::{Failure, create_folder};
use crate::report::format::Format;
use crate::run::images::warn_of_notes;
use crate::run::interrupt;
use crate::run::sources::sources;
use burn_cam::draw::{self, Figure, Sheet};
use burn_cam::metrics::{MapEvaluator, Measurement, Metric, Summary, baselines, summarize};
use burn_cam::{ImageExplainer, ImageInput, ImageModel, Method, Reads, default_method};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  cam tune dog.jpg --model resnet50
      All quick methods at layers from shallow to deep, ranked by ROAD
  cam tune dog.jpg cat.jpg bird.jpg --weights my_finetuned.pth --metric insertion
  cam tune photos --methods gradcam,layercam --layers layer3.5,layer4.2";

/// How many of the best are printed.
const PRINTED: usize = 12;

/// How many of the best are drawn.
const DRAWN: usize = 5;

#[derive(clap::Args)]
pub struct Args {
    /// Photos, or folders of them: a few that are like those to be explained
    #[arg(required = true, value_name = "PHOTO")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
    #[command(flatten)]
    pub place: DeviceArgs,
    #[command(flatten)]
    pub candidates: CandidateArgs,
    /// What makes a map good: a metric that needs no truth, see `cam metrics`
    #[arg(long, help_heading = "Search", value_name = "NAME", default_value = "road", value_parser = completion::METRICS, hide_possible_values = true)]
    pub metric: String,
    /// The sheet of the best maps
    #[arg(long, help_heading = "Output", value_name = "FILE", default_value = "cam-out/tune.png")]
    pub out: PathBuf,
}

/// A method at a layer, and what its maps are worth.
struct Candidate {
    method: &'static str,
    layer: String,
    summary: Summary,
}

impl Candidate {
    fn is_baseline(&self) -> bool {
        baselines().iter().any(|method| method.name() == self.method)
    }

    fn name(&self) -> String {
        format!("{} at {}", self.method, plain(&self.layer))
    }

    fn value(&self) -> String {
        let Summary { value, interval, .. } = &self.summary;
        let interval = interval.map(|interval| format!(", {:.3} .. {:.3}", interval.low, interval.high));
        value.map_or("none".into(), |value| format!("{value:.3}{}", interval.unwrap_or_default()))
    }
}

/// The method, the layer, and the measurement of each image.
type ValuesOfMethod = (&'static str, String, Vec<(usize, Option<Measurement>)>);

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let metric = registry().metric(&args.metric)?;
    if metric.info().needs.truth {
        let reason =
            format!("`{}` needs to know where objects are: `cam evaluate --truth` does", args.metric);
        return Err(Failure::Usage(reason));
    }
    let asked = args.candidates.methods(|method| !method.info().cost.is_slow())?;
    let (device, device_name) = device::named(&args.place.device, console)?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), create_folder)?;
    let model = args.model.open(&device, console)?;
    let layers = args.candidates.layers(&model, true)?;
    let (methods, skipped) = MapEvaluator::applicable(&model, &asked, &layers)?;
    for (method, error) in skipped {
        console.detail(format_args!("skipped {}: {error}", method.name));
    }
    console.detail(format_args!("{} on {device_name}", model.info().name));
    ModelArgs::announce(&model.info(), console);
    let reader = args.preprocess.reader(&model);
    PreprocessArgs::announce(&reader.preprocess, console)?;
    let mut images: Vec<ImageInput> = Vec::new();
    for source in sources(&args.images, &args.out)? {
        for image in reader.read(&source)? {
            warn_of_notes(&image.image, console);
            images.push(image.image);
        }
    }
    let mut evaluator = MapEvaluator::new(&model).preprocess(reader.preprocess.clone()).metric(metric);
    evaluator = methods.iter().fold(evaluator, |evaluator, method| evaluator.method(*method)).baselines();
    evaluator = layers.iter().fold(evaluator, MapEvaluator::layer);
    let passes = console.passes("this image");
    let shown = passes.clone();
    evaluator = evaluator.configure(|evaluator| {
        evaluator.omit_outliers(args.candidates.omit_outliers).on_progress(move |progress| {
            shown.set_length(progress.total as u64);
            shown.set_position(progress.done as u64);
        })
    });
    let bar = console.bar("images", images.len());
    let mut values: Vec<ValuesOfMethod> = Vec::new();
    for (number, image) in images.iter().enumerate() {
        for map in evaluator.of_top(image, None)?.maps {
            let value = map.measured.into_iter().next().and_then(|measured| measured.result.ok());
            let known = values
                .iter()
                .position(|(method, layer, _)| *method == map.method.name && *layer == map.layer);
            match known {
                Some(place) => values[place].2.push((number, value)),
                None => values.push((map.method.name, map.layer, vec![(number, value)])),
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    passes.finish_and_clear();
    let mut candidates: Vec<Candidate> = values
        .into_iter()
        .map(|(method, layer, values)| Candidate { method, layer, summary: summarize(metric, &values, 0) })
        .collect();
    let better = metric.info().better;
    candidates.sort_by(|a, b| match (a.summary.value, b.summary.value) {
        (Some(a), Some(b)) if better.prefers(a, b) => std::cmp::Ordering::Less,
        (Some(a), Some(b)) if better.prefers(b, a) => std::cmp::Ordering::Greater,
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    report(args, metric, &candidates, &model, console)?;
    draw(args, &model, &candidates, &methods, &images[0], console)
}

/// Prints the best, and where the default and the baselines are among them.
fn report(
    args: &Args,
    metric: &dyn Metric,
    candidates: &[Candidate],
    model: &impl ImageModel,
    console: &Console,
) -> Result<(), Failure> {
    let info = metric.info();
    let default = registry().method(default_method(model))?.info();
    let is_default = |one: &Candidate| {
        let is_layer = default.reads != Reads::Layer || model.default_layer() == Some(&*one.layer);
        one.method == default.name && is_layer
    };
    console.result(heading(format_args!("{} {}", info.title, info.better.arrow())))?;
    let longest = candidates.iter().map(|one| one.name().chars().count()).max().unwrap_or(0);
    for (place, one) in candidates.iter().enumerate() {
        let mark = match (is_default(one), one.is_baseline()) {
            (true, _) => "  (default)",
            (_, true) => "  (baseline)",
            _ => "",
        };
        if place < PRINTED || !mark.is_empty() {
            console.result(format_args!(
                "#{:<3} {:longest$}  {}{mark}",
                place + 1,
                one.name(),
                one.value()
            ))?;
        }
    }
    let best = candidates.iter().find(|one| !one.is_baseline() && one.summary.value.is_some());
    let Some(best) = best else {
        return console.result(format_args!("no map has a value of {}", args.metric));
    };
    console.result(format_args!(
        "the best is {}: `--method {} --layer {}`",
        best.name(),
        best.method,
        plain(&best.layer)
    ))?;
    let of_chance = candidates.iter().find(|one| one.is_baseline()).and_then(|one| one.summary.value);
    if let (Some(value), Some(chance)) = (best.summary.value, of_chance)
        && !info.better.prefers(value, chance)
    {
        console.warn("it is no better than a baseline: none of these maps explains the model");
    }
    if candidates.iter().any(|one| one.summary.count == 1) {
        console.note("of one photo there is no interval: name some that are like those to be explained");
    }
    Ok(())
}

/// Draws the best maps of the first photo, and that of the default.
fn draw(
    args: &Args,
    model: &burn_cam::AnyModel,
    candidates: &[Candidate],
    methods: &[&'static dyn Method],
    image: &ImageInput,
    console: &Console,
) -> Result<(), Failure> {
    let best = candidates.iter().filter(|one| !one.is_baseline() && one.summary.value.is_some()).take(DRAWN);
    let mut figures = vec![Figure::new(image.drawn().into_owned()).above("image")];
    for one in best {
        let Some(&method) = methods.iter().find(|method| method.name() == one.method) else { continue };
        let explainer = ImageExplainer::new(model)
            .configure(|explainer| explainer.omit_outliers(args.candidates.omit_outliers))
            .method(method);
        let explainer = if method.info().reads == burn_cam::Reads::Layer {
            explainer.layer(&one.layer)
        } else {
            explainer
        };
        for map in explainer.explain(image)?.maps.iter().take(1) {
            figures.push(Figure::new(map.overlay()?).above(one.name()).below(one.value()));
        }
    }
    let metric = registry().metric(&args.metric)?.info().title;
    let title = format!("The best maps of {} by {metric}", model.info().name);
    let sheet = Drawing::Sheet(Sheet::new(title).flow(3, figures));
    let format = Format::from_path(&args.out).unwrap_or_default();
    let bytes = sheet.encode(format)?;
    interrupt::whole(|| draw::write(&args.out, &bytes))?;
    console.result(plain(args.out.display()))
}
