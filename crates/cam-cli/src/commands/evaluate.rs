//! `cam evaluate`: how good the maps of methods are, on many images.

mod charts;
mod class_map;
mod extremes;
mod shards;
mod table;
mod truth;

use crate::args::candidates::CandidateArgs;
use crate::args::completion;
use crate::args::device::{self, DeviceArgs};
use crate::args::model::ModelArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::commands::runs_often;
use crate::registry;
use crate::report::console::{Console, plain};
use crate::report::failure::{Failure, create_folder};
use crate::run::images::{SourceImage, warn_of_notes};
use crate::run::manifest::{self, Manifest};
use crate::run::run_state::RunState;
use crate::run::sources::{Source, sources};
use burn_cam::metrics::{Baseline, LikeliestOf, MapEvaluator, Metric};
use burn_cam::{AnyModel, AnyTarget, ImageModel, Method};
use bytesize::ByteSize;
use clap::ValueEnum;
use class_map::ClassMap;
use serde::Serialize;
use serde_json::json;
use shards::Shard;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use table::{Question, Table};
use truth::{Object, TruthSet, truth_of};

/// The first of the examples, which `-h` shows.
pub const SHORT_EXAMPLES: &str = "\
Example, and all options with `--help`:
  cam evaluate photos --model resnet50 --truth instances.json --class-map coco_to_imagenet.csv";

pub const EXAMPLES: &str = "\
Examples:
  cam evaluate photos --model resnet50
      How faithful the maps of all quick methods are, by deletion, insertion, ROAD and others
  cam evaluate photos --model resnet50 --methods gradcam,layercam --layers layer3.5,layer4.2
      Two methods at two layers
  cam evaluate val2017 --model resnet50 --truth instances_val2017.json --class-map coco_to_imagenet.csv
      Whether maps are on the objects, too
  cam evaluate photos --metrics sanity
      Whether maps depend on the parameters of the model at all
  cam evaluate photos --shard 2/8 --out shard2
      Every eighth image from the second on, on one of eight machines
  cam evaluate --merge shard1 shard2 .. shard8 --out whole
      The numbers of all of them";

/// What an evaluation prints and writes.
const FILES: [&str; 3] = ["summary.csv", "values.csv", "values.jsonl"];

#[derive(clap::Args)]
pub struct Args {
    /// Images, folders of them, or the manifest (.jsonl) of a run
    ///
    /// Of a manifest the images are taken. With `--merge` it is the folders of all shards.
    #[arg(required = true, value_name = "FOLDER|MANIFEST")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
    #[command(flatten)]
    pub place: DeviceArgs,
    #[command(flatten)]
    pub candidates: CandidateArgs,
    /// Metrics, groups of them, or `all`: see `cam metrics`
    ///
    /// The groups are faithfulness, localization, form, sanity and stability. By default it is those of faithfulness that share most passes,
    /// and with a truth those of localization.
    #[arg(long, help_heading = "Evaluation", value_name = "NAMES", value_delimiter = ',', value_parser = completion::METRICS, hide_possible_values = true)]
    pub metrics: Vec<String>,
    /// Where the objects are: COCO's JSON, VOC's XML, a CSV, or a folder of masks
    ///
    /// The XML of Pascal VOC may be in a folder, the CSV has the columns image, class, left, top, right, bottom, and masks may be in folders named after classes.
    #[arg(long, help_heading = "Evaluation", value_name = "FILE|FOLDER")]
    pub truth: Option<PathBuf>,
    /// What is explained: the top class, or all of the truth [default: truth, if named]
    ///
    /// The top prediction, or each class that the truth names for the image; the latter by default if it names them.
    #[arg(
        long,
        hide_possible_values = true,
        help_heading = "Evaluation",
        value_name = "top|truth",
        requires_if("truth", "truth")
    )]
    pub explain: Option<ExplainArg>,
    /// Which classes of the model are which of the truth [default: by name]
    ///
    /// A CSV of a name of the truth and a number, name or pattern of the model, of which the likeliest one is explained.
    #[arg(long, help_heading = "Evaluation", value_name = "FILE", requires = "truth")]
    pub class_map: Option<PathBuf>,
    /// Measure only images whose top prediction is none of their objects
    #[arg(long, help_heading = "Evaluation", requires = "truth")]
    pub only_wrong: bool,
    /// Steps of insertion and deletion
    #[arg(long, hide_short_help = true, help_heading = "Evaluation", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=50176))]
    pub steps: u32,
    /// What insertion and deletion put where pixels are missing [default: blurred for insertion, zero for deletion]
    #[arg(long, hide_short_help = true, help_heading = "Evaluation", value_name = "zero|blurred")]
    pub baseline: Option<BaselineArg>,
    /// The highest rank correlation with the map of random parameters that a method may reach
    #[arg(
        long,
        hide_short_help = true,
        help_heading = "Evaluation",
        value_name = "X",
        default_value_t = 0.3
    )]
    pub sanity: f64,
    /// The seed of the intervals
    #[arg(long, hide_short_help = true, help_heading = "Evaluation", value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Memory for the changed copies of an image, such as 256MiB or 2GB; copies run in chunks of about this size [default: 256MiB]
    #[arg(long, hide_short_help = true, help_heading = "Cost", value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Measure every Nth image from the Ith on: one machine of many
    #[arg(long, help_heading = "Output", value_name = "I/N", conflicts_with = "merge")]
    pub shard: Option<Shard>,
    /// Merge the results of all shards, whose folders are named
    #[arg(long, help_heading = "Output")]
    pub merge: bool,
    /// The folder of results
    ///
    /// An interrupted run continues from it.
    #[arg(long, help_heading = "Output", value_name = "DIR", default_value = "cam-evaluation")]
    pub out: PathBuf,
    /// Measure again what is measured already
    #[arg(long, help_heading = "Output")]
    pub fresh: bool,
}

/// What is explained of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExplainArg {
    /// The top prediction
    Top,
    /// Each class of the truth
    Truth,
}

/// What is put where pixels are missing.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineArg {
    /// The mean color
    Zero,
    /// The blurred image
    Blurred,
}

impl From<BaselineArg> for Baseline {
    fn from(baseline: BaselineArg) -> Self {
        match baseline {
            BaselineArg::Zero => Baseline::Zero,
            BaselineArg::Blurred => Baseline::Blurred,
        }
    }
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    if args.merge {
        return merge(args, console);
    }
    let metrics = args.metrics()?;
    let asked = args.candidates.methods(|method| !runs_often(method))?;
    let (device, device_name) = device::named(&args.place.device, console)?;
    let truth = args.truth.as_deref().map(TruthSet::open).transpose()?;
    create_folder(&args.out)?;
    let mut sources = args.sources()?;
    if let Some(shard) = args.shard {
        sources = shard.select(sources, &args.out)?;
    }
    let model = args.model.open(&device, console)?;
    let class_map = args.class_map.as_deref().map(|path| ClassMap::open(path, &model)).transpose()?;
    let layers = args.candidates.layers(&model, false)?;
    let (methods, skipped) = MapEvaluator::applicable(&model, &asked, &layers)?;
    let reader = args.preprocess.reader(&model);
    console.detail(format_args!("{} on {device_name}", model.info().name));
    ModelArgs::announce(&model.info(), console);
    PreprocessArgs::announce(&reader.preprocess, console)?;
    for (method, error) in skipped {
        console.warn(format_args!("skipped {}: {error}", method.name));
    }
    let explained = args.explained(truth.as_ref());
    let options = json!({
        "command": "evaluate",
        "model": args.model.identity(&model),
        "preprocess": args.preprocess,
        "methods": methods.iter().map(|method| method.name()).collect::<Vec<_>>(),
        "layers": layers,
        "metrics": metrics.iter().map(|metric| metric.name()).collect::<Vec<_>>(),
        "truth": args.truth.as_deref().map(stamped),
        "class_map": args.class_map.as_deref().map(stamped),
        "explain": explained,
        "only_wrong": args.only_wrong,
        "omit_outliers": args.candidates.omit_outliers,
        "steps": args.steps,
        "baseline": args.baseline,
    });
    let manifest = Manifest::open(&args.out, options.clone(), args.fresh)?;
    let mut state = RunState::with_manifest(sources, Some(manifest));
    let pending = state.pending(console)?;
    let mut evaluator = MapEvaluator::new(&model).preprocess(reader.preprocess.clone());
    evaluator = methods.iter().fold(evaluator, |evaluator, method| evaluator.method(*method)).baselines();
    evaluator = layers.iter().fold(evaluator, MapEvaluator::layer);
    evaluator = metrics.iter().fold(evaluator, |evaluator, metric| evaluator.metric(*metric));
    let passes = console.passes("this image");
    let shown = passes.clone();
    evaluator = evaluator.configure(|evaluator| {
        let evaluator = evaluator.omit_outliers(args.candidates.omit_outliers);
        let evaluator = match args.memory {
            Some(size) => evaluator.memory(usize::try_from(size.as_u64()).unwrap_or(usize::MAX)),
            None => evaluator,
        };
        evaluator.on_progress(move |progress| {
            shown.set_length(progress.total as u64);
            shown.set_position(progress.done as u64);
        })
    });
    let mut asker = Asker {
        model: &model,
        evaluator: &evaluator,
        truth: truth.as_ref(),
        class_map: class_map.as_ref(),
        explained,
        only_wrong: args.only_wrong,
        left_out: LeftOut::default(),
    };
    let bar = console.bar("images", pending.len());
    for file in pending {
        match file.read(&reader) {
            Ok(images) => {
                for image in images {
                    warn_of_notes(&image.image, console);
                    match asker.measure(&image) {
                        Ok(questions) => {
                            let measured = serde_json::to_value(&questions).expect("values are plain data");
                            state.measured(&file.source, image.part, &measured)?;
                        }
                        Err(failure) => state.failed(&file.source, image.part, failure)?,
                    }
                }
            }
            Err(failure) => state.failed(&file.source, Default::default(), failure)?,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    passes.finish_and_clear();
    asker.left_out.print(console);
    report(args, &metrics, &options, console)?;
    let lines = manifest::measured(&args.out, &options)?;
    if let Some(path) = extremes::write(lines, &metrics, (&model, &reader), &methods, &args.out)? {
        console.result(plain(path.display()))?;
    }
    state.end(console)
}

/// Merges the folders of shards, and reports all of it.
fn merge(args: &Args, console: &Console) -> Result<(), Failure> {
    create_folder(&args.out)?;
    let options = shards::merge(&args.images, &args.out)?;
    let names = options["metrics"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    let metrics = names.map(|name| registry().metric(name)).collect::<Result<Vec<_>, _>>()?;
    report(args, &metrics, &options, console)
}

/// Summarizes all that is in the folder of results, and prints and writes it.
fn report(
    args: &Args,
    metrics: &[&'static dyn Metric],
    options: &serde_json::Value,
    console: &Console,
) -> Result<(), Failure> {
    let lines = || -> Result<Box<dyn Iterator<Item = _>>, Failure> {
        Ok(Box::new(manifest::measured(&args.out, options)?))
    };
    let table = Table::new(&lines, metrics, args.seed)?;
    let [summary, csv, json] = FILES.map(|name| args.out.join(name));
    table.write_csv(&summary)?;
    table::write_values(&lines, &json, &csv)?;
    table.print(console)?;
    let missing: usize =
        table.columns.iter().flat_map(|column| &column.summaries).map(|summary| summary.missing).sum();
    if missing > 0 {
        console
            .note(format_args!("* some maps have no value, and are left out: `{}` says why", csv.display()));
    }
    for column in table.columns.iter().filter(|column| column.metric.is_limited) {
        for (row, summary) in table.rows.iter().zip(&column.summaries) {
            let high = summary.interval.map(|interval| interval.high).or(summary.value);
            if let Some(high) = high.filter(|high| *high > args.sanity) {
                console.result(format_args!(
                    "{} fails the sanity check: its maps correlate with those of random parameters, {high:.2} is above {}",
                    row.method, args.sanity
                ))?;
            }
        }
    }
    console.result(format_args!(
        "{} images; value, 95 % interval over images, rank; arrows show which direction is better",
        table.images
    ))?;
    let charts = charts::write(&table, &args.out)?;
    [summary, csv, json].iter().chain(&charts).try_for_each(|path| console.result(plain(path.display())))
}

/// Returns a file and what shows that it has changed.
fn stamped(path: &Path) -> serde_json::Value {
    json!({ "path": path.display().to_string(), "stamp": manifest::Stamp::of_file(path) })
}

impl Args {
    /// Returns the metrics that are asked for, each once, in the order of the registry.
    fn metrics(&self) -> Result<Vec<&'static dyn Metric>, Failure> {
        let all = registry().metrics();
        let is_group = |word: &str| all.iter().any(|metric| metric.info().group.to_string() == word);
        let mut names: HashSet<&str> = HashSet::new();
        let asked: Vec<&str> = match self.metrics.is_empty() {
            true => {
                let default = all.iter().map(|metric| metric.info()).filter(|info| info.by_default);
                default
                    .filter(|info| self.truth.is_some() || !info.needs.truth)
                    .map(|info| info.name)
                    .collect()
            }
            false => self.metrics.iter().map(String::as_str).collect(),
        };
        for word in asked {
            if word == "all" || is_group(word) {
                let of_group =
                    |metric: &&&dyn Metric| word == "all" || metric.info().group.to_string() == word;
                let possible = |metric: &&&dyn Metric| {
                    self.truth.is_some() || !metric.info().needs.truth || word != "all"
                };
                names.extend(all.iter().filter(of_group).filter(possible).map(|metric| metric.name()));
            } else {
                names.insert(registry().metric(word)?.name());
            }
        }
        let chosen = all.iter().copied().filter(|metric| names.contains(metric.name()));
        let chosen: Vec<&'static dyn Metric> = chosen.map(|metric| self.with_options(metric)).collect();
        match chosen.iter().find(|metric| metric.info().needs.truth && self.truth.is_none()) {
            Some(metric) => {
                let name = metric.name();
                Err(Failure::Usage(format!("`{name}` needs to know where objects are: `--truth`")))
            }
            None => Ok(chosen),
        }
    }

    fn with_options(&self, metric: &'static dyn Metric) -> &'static dyn Metric {
        let metric = metric.with_steps(self.steps as usize).map_or(metric, |metric| Box::leak(metric));
        let changed = self.baseline.and_then(|baseline| metric.with_baseline(baseline.into()));
        changed.map_or(metric, |metric| Box::leak(metric))
    }

    fn explained(&self, truth: Option<&TruthSet>) -> ExplainArg {
        let by_default =
            if truth.is_some_and(TruthSet::has_names) { ExplainArg::Truth } else { ExplainArg::Top };
        self.explain.unwrap_or(by_default)
    }

    /// Returns the images: those that are named, in folders, or in manifests.
    fn sources(&self) -> Result<Vec<Source>, Failure> {
        let is_manifest = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
        let (manifests, named): (Vec<&PathBuf>, Vec<&PathBuf>) = self.images.iter().partition(is_manifest);
        let mut all = sources(&named.into_iter().cloned().collect::<Vec<_>>(), &self.out)?;
        let mut known: HashSet<PathBuf> = all.iter().map(|source| source.path.clone()).collect();
        for manifest in manifests {
            for path in manifest::inputs(manifest)? {
                if known.insert(path.clone()) {
                    all.push(Source { path, below: PathBuf::new() });
                }
            }
        }
        Ok(all)
    }
}

/// Asks a model about the classes of images.
struct Asker<'a, 'm> {
    model: &'a AnyModel,
    evaluator: &'a MapEvaluator<'m, AnyModel>,
    truth: Option<&'a TruthSet>,
    class_map: Option<&'a ClassMap>,
    explained: ExplainArg,
    only_wrong: bool,
    left_out: LeftOut,
}

/// What is not measured, and why.
#[derive(Default)]
struct LeftOut {
    /// Images that the truth does not know, or in which it has no object.
    without_truth: usize,
    /// Classes of images that the model lacks.
    classes: BTreeMap<String, usize>,
    /// Images whose top prediction is none of their objects.
    wrong: usize,
    /// Images whose top prediction is one of their objects, where only the others are asked for.
    right: usize,
}

impl LeftOut {
    fn print(&self, console: &Console) {
        if self.without_truth > 0 {
            console.warn(format_args!("{} images have no object in the truth", self.without_truth));
        }
        if self.wrong > 0 {
            console.warn(format_args!(
                "the top prediction of {} images is none of their objects: they have no values of localization",
                self.wrong
            ));
        }
        if self.right > 0 {
            console
                .note(format_args!("{} images are left out, because the model gets them right", self.right));
        }
        if !self.classes.is_empty() {
            let all: usize = self.classes.values().sum();
            let names: Vec<String> =
                self.classes.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            console.warn(format_args!(
                "{all} classes of images are left out, because the model or the class map lacks them: {}",
                names.join(", ")
            ));
        }
    }
}

impl Asker<'_, '_> {
    /// Measures the maps of an image: of its top class, or of each class of the truth that the model has.
    fn measure(&mut self, image: &SourceImage) -> Result<Vec<Question>, Failure> {
        let size: [u32; 2] = image.image.pixels().dimensions().into();
        let objects = self.truth.and_then(|truth| truth.of(&image.source)).unwrap_or_default();
        if self.truth.is_some() && objects.is_empty() {
            self.left_out.without_truth += 1;
        }
        let stated = self.truth.and_then(|truth| truth.size_of(&image.source));
        if let Some([width, height]) = stated.filter(|stated| *stated != size) {
            let reason = format!(
                "it says that `{}` has {width} x {height} pixels, and it has {} x {}",
                image.source.name(),
                size[0],
                size[1]
            );
            return Err(Failure::Truth { path: image.source.path.clone(), reason });
        }
        if self.only_wrong && self.is_right(image, objects)? {
            self.left_out.right += 1;
            return Ok(Vec::new());
        }
        if self.explained == ExplainArg::Top {
            return Ok(vec![self.of_top(image, size, objects)?]);
        }
        let mut names: Vec<&str> = Vec::new();
        for name in objects.iter().filter_map(|object| object.class.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut questions = Vec::new();
        for name in names {
            let Some(target) = self.target(name) else {
                *self.left_out.classes.entry(name.into()).or_default() += 1;
                continue;
            };
            let (asked, others): (Vec<&Object>, Vec<&Object>) =
                objects.iter().partition(|object| object.class.as_deref() == Some(name));
            let truth = truth_of(size, &asked, &others)?;
            let measured = self.evaluator.of_target(&image.image, target, Some(&truth))?;
            questions.push(Question::new(&measured, Some(name.into())));
        }
        Ok(questions)
    }

    fn of_top(
        &mut self,
        image: &SourceImage,
        size: [u32; 2],
        objects: &[Object],
    ) -> Result<Question, Failure> {
        let decoder = self.model.decoder();
        let class = self.evaluator.top_class(&image.image)?;
        let is_asked = |object: &&Object| match (&object.class, class) {
            (Some(name), Some(class)) => self.classes(name).contains(&class),
            _ => true,
        };
        let (asked, others): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(is_asked);
        self.left_out.wrong += usize::from(!objects.is_empty() && asked.is_empty());
        let truth = match asked.is_empty() {
            true => None,
            false => Some(truth_of(size, &asked, &others)?),
        };
        let name = asked.first().and_then(|object| object.class.clone());
        let measured = self.evaluator.of_target(&image.image, decoder.ranked(0), truth.as_ref())?;
        Ok(Question::new(&measured, name))
    }

    /// Returns whether the top prediction is one of the objects, or nobody knows.
    fn is_right(&self, image: &SourceImage, objects: &[Object]) -> Result<bool, Failure> {
        let class = self.evaluator.top_class(&image.image)?;
        let mut names = objects.iter().filter_map(|object| object.class.as_deref()).peekable();
        Ok(names.peek().is_none()
            || names.any(|name| class.is_some_and(|class| self.classes(name).contains(&class))))
    }

    /// Returns the classes of the model that a name of the truth means.
    fn classes(&self, name: &str) -> Vec<usize> {
        match self.class_map {
            Some(map) => map.classes(name).to_vec(),
            None => {
                let decoder = self.model.decoder();
                let is_named = |class: &usize| decoder.label(*class).eq_ignore_ascii_case(name);
                (0..decoder.classes().unwrap_or(0)).filter(is_named).collect()
            }
        }
    }

    /// Returns what asks for a class of the truth; nothing if the model lacks it.
    fn target(&self, name: &str) -> Option<AnyTarget> {
        let decoder = self.model.decoder();
        match &self.classes(name)[..] {
            [] if self.class_map.is_none() => decoder.target(name).ok(),
            [] => None,
            [class] => decoder.target(&class.to_string()).ok(),
            classes => Some(AnyTarget::new(LikeliestOf(classes.to_vec()))),
        }
    }
}
