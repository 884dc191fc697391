//! `cam bench`: what an explanation costs compared with plain inference.

use crate::args::budget::BudgetArgs;
use crate::args::completion;
use crate::args::device::{self, DeviceArgs};
use crate::args::model::ModelArgs;
use crate::args::target::MOST_CLASSES;
use crate::registry;
use crate::report::console::Console;
use crate::report::failure::Failure;
use burn_cam::burn::Tensor;
use burn_cam::{
    AnyModel, Class, Device, Error, ErrorKind, Explain, Explainer, Explanation, ImageInput, ImageModel,
    Method, Model, Reads, Taps, Target, Top,
};
use bytesize::ByteSize;
use cam_scenes::Scene;
use indicatif::{ProgressBar, ProgressStyle};
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};
use serde::Serialize;
use std::alloc::System;
use std::time::{Duration, Instant};

/// The first of the examples, which `-h` shows.
pub const SHORT_EXAMPLES: &str = "\
Example, and all options with `--help`:
  cam bench --model resnet50 --method all --batch 8";

pub const EXAMPLES: &str = "\
Examples:
  cam bench --model resnet50
      Grad-CAM and plain inference of the full-size network with random weights; nothing is fetched
  cam bench --model resnet50 --method all --batch 8 --repeat 20
      Every method that applies to the network; Score-CAM and similar methods run it once per channel and more
  cam bench --model resnet50 --method gradcam,layercam --layer layer3.5,layer4.2 --classes 5 --together
      Two methods at two layers for five classes, in one forward pass
  cam bench --model vit_tiny_patch16_224 --method scorecam --channels 20 --memory 1GiB --json
      Score-CAM of the 20 channels that vary most, with larger chunks, as JSON

RAYON_NUM_THREADS sets the number of threads on the CPU.";

/// The allocator of the program, which counts how much memory is in use.
#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Plain inference and explanations run in turn on drawn scenes, after one of each that is not counted; their numbers are read back
/// each time. A model without `--weights` has random weights.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A method, several, or `all` that apply: see `cam methods` [default: gradcam]
    ///
    /// Several are separated by commas, or given several times.
    #[arg(long = "method", help_heading = "Method", value_name = "NAME", value_delimiter = ',', value_parser = completion::METHODS, hide_possible_values = true)]
    pub methods: Vec<String>,
    /// A layer, or several: see `cam layers` [default: that of the card]
    ///
    /// Several are separated by commas, or given several times.
    #[arg(long = "layer", help_heading = "Method", value_name = "NAME", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Explain the first N classes of each image in one call [default: the top class]
    #[arg(long, help_heading = "Method", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_CLASSES))]
    pub classes: Option<u32>,
    /// Explain by all methods at all layers in one call, which is one row
    #[arg(long, help_heading = "Method")]
    pub together: bool,
    /// Images in one pass, 4096 at most
    #[arg(long, help_heading = "Measurement", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// How often each is measured; the medians are reported
    #[arg(long, help_heading = "Measurement", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    #[command(flatten)]
    pub place: DeviceArgs,
    #[command(flatten)]
    pub budget: BudgetArgs,
    /// Print one JSON list on standard output, and nothing else there
    ///
    /// An object for each layer and method has `model`, `method`,
    /// `layer`, `classes`, `batch`, `device`, `threads`; `forward`, the seconds of a plain forward pass; `explain`, those from the
    /// input on the device to the map read back, forward pass included; `forwards`, what was run, in forward passes of the batch (a
    /// replay of the part after the layer counts with its share of the layers, a backward pass as much as its forward pass); `peak_memory`, the peak memory of an explanation in bytes, beside the model and its input (null where it
    /// is not known, as on GPUs); `warm_up`, the seconds of the first forward pass and explanation
    /// together, which are not counted: on GPUs they compile and choose kernels
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// What one method costs at one layer.
#[derive(Serialize)]
struct Row {
    model: String,
    method: String,
    classes: usize,
    batch: usize,
    device: String,
    threads: usize,
    #[serde(flatten)]
    measured: Measured,
}

/// What was measured.
#[derive(Serialize)]
struct Measured {
    /// The layers.
    layer: String,
    /// Seconds of a plain forward pass, median.
    forward: f64,
    /// Seconds from the input on the device to the map on the host, median.
    explain: f64,
    /// What was run, in forward passes of the batch.
    forwards: f64,
    /// The peak memory of an explanation in bytes, beside the model and its input.
    peak_memory: Option<usize>,
    /// Seconds of the first forward pass and explanation, in which devices compile and choose their kernels.
    warm_up: f64,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let (device, device_name) = device::named(&args.place.device, console)?;
    let all = args.methods.iter().any(|name| name == "all");
    let methods = match all {
        true => registry().methods().iter().map(|method| args.budget.limited(*method)).collect(),
        false => args.budget.methods(&args.methods)?,
    };
    let model = args.model.open_untrained(&device, console)?;
    let input = scenes(&model, args.batch as usize, &device)?;
    let default_layer: Vec<String> = model.default_layer().map(String::from).into_iter().collect();
    let layers = if args.layers.is_empty() { &default_layer } else { &args.layers };

    let targets: Vec<Box<dyn Target>> = match args.classes {
        None => vec![Box::new(Top)],
        Some(count) => (0..count as usize).map(|class| Box::new(Class(class)) as Box<dyn Target>).collect(),
    };
    let on_cpu = device_name.starts_with("cpu");
    let bench = Bench { model: &model, input, targets, repeat: args.repeat, on_cpu };
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}").expect("the template is valid");
    let bar = console.add(ProgressBar::no_length().with_style(style));
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut rows: Vec<Row> = Vec::new();
    for (layers, methods) in calls(layers, methods, args.together) {
        let names = methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(" + ");
        bar.set_message(format!("{names} at {}", layers.join(", ")));
        let explainer = args.budget.limit(Explainer::new(&model));
        let explainer = layers.iter().fold(explainer, |explainer, layer| explainer.layer(layer));
        let explainer = methods.into_iter().fold(explainer, |explainer, method| explainer.method(method));
        match bench.measure(&explainer) {
            Ok(measured) => rows.push(Row {
                model: model.info().name,
                method: names,
                classes: bench.targets.len(),
                batch: args.batch as usize,
                device: device_name.to_string(),
                threads: rayon::current_num_threads(),
                measured,
            }),
            Err(error) if all && error.kind() == ErrorKind::Method => {
                console.warn(format_args!("skipped {names}: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    bar.finish_and_clear();
    match args.json {
        true => console.print(serde_json::to_string_pretty(&rows).expect("rows are plain data")),
        false => print(&rows, console),
    }
}

/// Returns the layers and methods of each call that is measured.
fn calls<'l>(
    layers: &'l [String],
    methods: Vec<&'static dyn Method>,
    together: bool,
) -> Vec<(&'l [String], Vec<&'static dyn Method>)> {
    if together {
        return vec![(layers, methods)];
    }
    let each = layers.chunks(1).enumerate().flat_map(|(place, layer)| {
        // A method that reads the whole network is one row, whatever the layers.
        let fits = move |method: &&&'static dyn Method| place == 0 || method.info().reads == Reads::Layer;
        methods.iter().filter(fits).map(move |method| (layer, vec![*method]))
    });
    each.collect()
}

/// Returns drawn scenes as the input of the model, `[count, 3, height, width]`.
fn scenes(model: &AnyModel, count: usize, device: &Device) -> Result<Tensor<4>, Failure> {
    let preprocess = model.preprocess();
    let side = preprocess.size[0].max(preprocess.size[1]) as u32;
    let scenes = (0..count as u64).map(|seed| Ok(ImageInput::from(Scene::draw(seed, side)?.image)));
    let scenes = scenes.collect::<Result<Vec<_>, Failure>>()?;
    Ok(preprocess.apply_all(scenes.iter().map(ImageInput::pixels), device).map_err(burn_cam::Error::from)?.0)
}

struct Bench<'a> {
    model: &'a AnyModel,
    input: Tensor<4>,
    targets: Vec<Box<dyn Target>>,
    repeat: u32,
    on_cpu: bool,
}

impl Bench<'_> {
    /// Returns the medians of a plain forward pass and of an explanation, which run in turn.
    fn measure(&self, explainer: &Explainer<'_, AnyModel>) -> Result<Measured, Error> {
        // The first call checks that the model is in inference mode, and devices compile what they run.
        let started = Instant::now();
        self.forward()?;
        self.explain(explainer)?;
        let warm_up = started.elapsed().as_secs_f64();
        let (mut forward, mut explain) = (Vec::new(), Vec::new());
        let mut peak = 0;
        let mut found = None;
        for _ in 0..self.repeat {
            let started = Instant::now();
            self.forward()?;
            forward.push(started.elapsed().as_secs_f64());
            drop(found.take());
            MEMORY.reset_peak_memory();
            let started = Instant::now();
            found = Some(self.explain(explainer)?);
            explain.push(started.elapsed().as_secs_f64());
            peak = peak.max(MEMORY.get_peak_memory());
        }
        let found = found.expect("it is measured once at least");
        let mut layers: Vec<&str> = Vec::new();
        for maps in &found.maps {
            if !layers.contains(&&*maps.layer) {
                layers.push(&maps.layer);
            }
        }
        Ok(Measured {
            layer: layers.join(", "),
            forward: median(forward),
            explain: median(explain),
            forwards: found.passes,
            peak_memory: self.on_cpu.then_some(peak),
            warm_up,
        })
    }

    /// Runs plain inference; reading the logits waits for the device.
    fn forward(&self) -> Result<(), Error> {
        let logits = self.model.forward(self.input.clone(), &Taps::off());
        logits.try_into_vec_as::<f32>().map_err(burn_cam::cam_core::Error::from)?;
        Ok(())
    }

    /// Runs an explanation and reads its maps.
    fn explain(&self, explainer: &Explainer<'_, AnyModel>) -> Result<Explanation, Error> {
        let targets: Vec<&dyn Target> = self.targets.iter().map(|target| &**target).collect();
        let found: Explanation = explainer.explain_each(self.input.clone(), &targets)?;
        found.read()?;
        Ok(found)
    }
}

/// Returns the median; of an even number of values the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Prints a table for people.
fn print(rows: &[Row], console: &Console) -> Result<(), Failure> {
    let Some(Row { model, batch, device, threads, .. }) = rows.first() else { return Ok(()) };
    console.print(format_args!("{model}, batch of {batch}, {device}, {threads} threads; medians"))?;
    let longest = |text: fn(&Row) -> &str| rows.iter().map(|row| text(row).len()).max().unwrap_or(0);
    let (method, layer) = (longest(|row| &row.method).max(6), longest(|row| &row.measured.layer).max(5));
    console.print(format_args!(
        "{:method$}  {:layer$}  {:>10}  {:>10}  {:>8}  {:>9}  {:>10}  {:>8}",
        "method", "layer", "forward", "explain", "ratio", "passes", "memory", "warm-up"
    ))?;
    for Row { method: name, measured, .. } in rows {
        let milliseconds = |seconds: f64| format!("{:.2} ms", 1e3 * seconds);
        console.print(format_args!(
            "{:method$}  {:layer$}  {:>10}  {:>10}  {:>8.2}  {:>9.2}  {:>10}  {:>8}",
            name,
            measured.layer,
            milliseconds(measured.forward),
            milliseconds(measured.explain),
            measured.explain / measured.forward,
            measured.forwards,
            measured.peak_memory.map_or("unknown".into(), |bytes| ByteSize(bytes as u64).to_string()),
            format!("{:.2} s", measured.warm_up),
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!((median(vec![3.0, 1.0, 9.0]), median(vec![4.0, 1.0, 2.0, 9.0])), (2.0 + 1.0, 3.0));
    }
}
