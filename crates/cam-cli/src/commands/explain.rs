//! `cam explain`: images in, maps out.

mod args;

pub use args::{Args, EXAMPLES, SHORT_EXAMPLES};

use crate::args::device;
use crate::args::model::ModelArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::report::console::{Console, heading, peak_memory, plain};
use crate::report::contact_sheet::{self, Drawing};
use crate::report::failure::{Failure, create_folder};
use crate::report::html::{self, Page};
use crate::report::json::{Json, Line, MapReport, MapSubject, Report, Seconds, StdReport};
use crate::report::json_path::JsonPath;
use crate::report::painter::{Painter, std_color_bar};
use crate::report::provenance::Provenance;
use crate::report::record::{self, Record};
use crate::run::images::{Explained, Part, warn_of_notes};
use crate::run::inputs::Inputs;
use crate::run::npy;
use crate::run::outputs::{self, Output, OutputName};
use crate::run::run_state::RunState;
use crate::run::sheets::{confidence, hottest};
use crate::run::sources::{Source, sources};
use crate::run::viewer;
use crate::run::workers::{self, ImageResult, WorkSpec};
use burn_cam::draw::Figure;
use burn_cam::{
    AnyModel, Device, HeatMap, ImageMap, ImageModel, Method, ModelInfo, Place, Prediction, Preprocess, Reads,
    Warning,
};
use clap::Parser;
use std::collections::HashMap;
use std::ffi::OsString;
use std::mem::{Discriminant, discriminant};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The most predictions that are listed for people.
const LISTED: usize = 10;

/// What the name of the sheet of an image ends with.
const SHEET: &str = "sheet";

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    match &args.from {
        None => explain(args, std::env::args_os().skip(1).collect(), None, console),
        Some(path) => {
            let record = Record::read(path)?;
            let line = record.arguments(&args.outputs());
            let again = crate::args::Args::try_parse_from(&line).map_err(|error| {
                let reason = format!("its command line is not understood: {}", error.kind());
                Failure::Record { path: path.clone(), reason }
            })?;
            match again.command {
                crate::args::Command::Explain(again) if again.from.is_none() => {
                    let arguments = line.into_iter().skip(1).collect();
                    explain(&again, arguments, Some(record), console)
                }
                _ => {
                    let reason = "it is of another command than `cam explain`".into();
                    Err(Failure::Record { path: path.clone(), reason })
                }
            }
        }
    }
}

/// Explains what a command line asks for. With the record of an earlier run it says how the results differ.
fn explain(
    args: &Args,
    arguments: Vec<OsString>,
    record: Option<Record>,
    console: &Console,
) -> Result<(), Failure> {
    let named = args.strategy.methods(&args.methods)?;
    args.overlay.painter(args.strategy.asks_for_both())?;
    let devices = device::all(&args.place.device, console)?;
    let device = &devices[0].device;
    let device_name = device::names(&devices);
    let sources = sources(&args.images, args.out())?;
    let mut inputs = Inputs::new(&sources, &args.model);
    args.targets.files().for_each(|path| inputs.add(path));
    let mut output = Output::open(args.out(), args.format)?;
    let check = |output: &Output, inputs: &Inputs, methods: &[&'static dyn Method]| {
        args.html.iter().try_for_each(|html| inputs.check_output(html))?;
        output.check(inputs, &sources, methods.iter().map(|method| method.name()).chain([SHEET]))
    };
    check(&output, &inputs, &named)?;
    args.check(&output, sources.len())?;
    let console = &match (args.json, &output) {
        (Some(_), _) => console.without_results(),
        (_, Output::Stdout(_)) => console.diverted(),
        _ => console.clone(),
    };

    let started = Instant::now();
    let model = args.open(device, console)?;
    let load = started.elapsed().as_secs_f64();
    let info = model.info();
    info.weights.iter().for_each(|weights| inputs.add_model(weights));
    let methods = args.strategy.methods_of(&args.methods, &model)?;
    check(&output, &inputs, &methods)?;
    let painter = args.overlay.painter(args.strategy.sign(&model).is_signed())?;
    let has_places = model.decoder().has_places();
    let targets = args.targets.targets(&model, console)?;
    let layers = args.strategy.layers(&model)?;
    let reader = args.preprocess.reader(&model);
    warn_without_layer(args, &methods, console);
    console.detail(format_args!(
        "{} on {device_name}, by {} at {}",
        info.name,
        methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", "),
        if layers.is_empty() { "the layers that are chosen".into() } else { layers.join(", ") },
    ));

    let options =
        serde_json::to_value(args.options(&model, &methods, &layers)).expect("options are plain data");
    let arguments = arguments.into_iter().map(JsonPath::from).collect();
    let provenance = Provenance::new(&model, &device_name, options.clone(), arguments)?;
    let page = args.html.as_ref().map(|_| Page::new(&model, &provenance, &methods, painter.colors));
    if let Some(record) = &record {
        for change in provenance.changes(&record.run) {
            console.note(format_args!("changed since: {change}"));
        }
    }
    let several = sources.len() > 1;
    let state = RunState::open(&args.images, sources, &mut output, options, args.fresh)?;
    let mut run = Run {
        args,
        console,
        painter,
        report: Report::default(),
        several,
        provenance,
        record,
        differing: 0,
        written: Vec::new(),
        repeated: HashMap::new(),
        model: info.name.clone(),
        sheets: args.sheet || has_places,
        output,
        state,
        page,
        kept: Vec::new(),
        lines: Vec::new(),
        warned: false,
        assumed: info.clone(),
        preprocess: reader.preprocess.clone(),
        count: 0,
        seconds: Seconds { load, ..Seconds::default() },
    };
    if let ((None, Some(_)), Some(recognized)) = (args.model.source(), &info.recognized) {
        console.result(format_args!("recognized {recognized}"))?;
    }
    let pending = run.state.pending(console)?;
    if pending.len() < run.state.sources() && (args.html.is_some() || args.json.is_some()) {
        console.warn("`--html` and `--json` report only the images that are explained now; `--fresh` explains all again");
    }
    let bar = console.bar("images", pending.len());
    let spec =
        WorkSpec { args, targets: &targets, methods: &methods, layers: &layers, reader: &reader, console };
    let seconds = workers::explain(spec, &devices, &model, &pending, |results| {
        for result in results {
            match result {
                ImageResult::Explained(explained) => run.explained(*explained)?,
                ImageResult::Failed(source, part, failure) => run.failed(&source, part, failure)?,
            }
        }
        bar.set_position(run.state.finished() as u64);
        Ok(())
    })?;
    run.seconds += seconds;
    bar.finish_and_clear();
    run.end()
}

impl Args {
    /// Opens the model: with `--like` as one of embeddings.
    pub fn open(&self, device: &Device, console: &Console) -> Result<AnyModel, Failure> {
        self.model.open_for(self.targets.like.as_ref().map(|_| "embed"), device, console)
    }

    /// Refuses options that exclude each other, and creates the folder of the page.
    fn check(&self, output: &Output, files: usize) -> Result<(), Failure> {
        if !matches!(output, Output::Folder(_)) && (self.npy || self.raw) {
            return Err(Failure::Usage("`--npy` and `--raw` need a folder to write to: `--out DIR`".into()));
        }
        if !matches!(output, Output::Folder(_)) && self.fresh {
            return Err(Failure::Usage("`--fresh` needs a folder with a manifest: `--out DIR`".into()));
        }
        if self.images.iter().filter(|path| *path == Path::new("-")).count() > 1 {
            return Err(Failure::Usage("standard input, `-`, can be named once".into()));
        }
        if matches!(output, Output::Stdout(_)) && self.open && self.html.is_none() {
            return Err(Failure::Usage("`--open` needs a file or a folder: omit `--out -`".into()));
        }
        if matches!(output, Output::Stdout(_)) && (self.json.is_some() || self.preview.is_some()) {
            let reason = "standard output is for the image: omit `--json` and `--preview`";
            return Err(Failure::Usage(reason.into()));
        }
        let Some(page) = &self.html else { return Ok(()) };
        if files > html::MOST {
            let most = html::MOST;
            return Err(Failure::Usage(format!(
                "`--html` has room for {most} images on a page, not {files}"
            )));
        }
        let absolute = |path: &Path| std::path::absolute(path).ok();
        if matches!(output, Output::File(path, _) if absolute(path) == absolute(page)) {
            return Err(Failure::Usage("`--out` and `--html` name the same file".into()));
        }
        create_folder(page.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }
}

/// A run under way.
struct Run<'a> {
    args: &'a Args,
    console: &'a Console,
    painter: Painter,
    /// The name of the model.
    model: String,
    /// Whether all maps of an image are on one sheet.
    sheets: bool,
    output: Output,
    state: RunState,
    /// What `--html` writes.
    page: Option<Page>,
    /// What waits for the one image that all maps are drawn in.
    kept: Vec<Explained>,
    /// The lines of JSON that name it.
    lines: Vec<String>,
    /// Whether it was said that the built-in model is not for such images, or that outputs are not what is stated.
    warned: bool,
    /// What is assumed of the model, and how images become its input: said before the first result.
    assumed: ModelInfo,
    preprocess: Preprocess,
    /// Images explained.
    count: usize,
    seconds: Seconds,
    /// What `--json` prints at the end.
    report: Report,
    /// Whether there are several files: then each is reported in one line.
    several: bool,
    /// What makes the results.
    provenance: Provenance,
    /// The earlier run that is made again, and in how many ways the results differ.
    record: Option<Record>,
    differing: usize,
    /// The images that were written, for `--open`.
    written: Vec<PathBuf>,
    /// How often each kind of warning came after it was printed.
    repeated: HashMap<Discriminant<Warning>, (usize, String)>,
}

impl Run<'_> {
    /// Writes and reports the explanation of an image.
    fn explained(&mut self, explained: Explained) -> Result<(), Failure> {
        let started = Instant::now();
        let written = self.write(&explained);
        self.seconds.write += started.elapsed().as_secs_f64();
        let Explained { source, part, found, .. } = &explained;
        let maps = match written {
            Ok(maps) => maps,
            Err(failure) => return self.failed(source, *part, failure),
        };
        self.state.done(source, *part, &found.predictions, &maps)?;
        if let Some(page) = &mut self.page {
            page.add(&explained, self.args.strategy.show_std)?;
        }
        if self.count == 0 {
            ModelArgs::announce(&self.assumed, self.console);
            PreprocessArgs::announce(&self.preprocess, self.console)?;
        }
        let (image, name) = (JsonPath::from(source.path.as_path()), source.name());
        let console = self.console;
        warn_of_notes(&explained.image, console);
        self.warn_of_maps(&name, &found.maps);
        if let Some(record) = &self.record {
            let subjects: Vec<MapSubject> = maps.iter().map(|map| map.subject.clone()).collect();
            for difference in record.differences(&source.path, &explained.sha256, &subjects) {
                self.differing += 1;
                console.warn(difference);
            }
        }
        let predictions = &found.predictions;
        let line = Line {
            image: &image,
            part: *part,
            sha256: Some(&explained.sha256),
            predictions,
            maps: &maps,
            error: None,
        };
        match self.args.json {
            Some(Json::Object) => self.report.add(&line)?,
            Some(Json::Lines) => self.line(line.text())?,
            None if self.several && !self.console.is_verbose() => {
                self.print_line(&name, &explained, &maps)?
            }
            None => self.print(&name, &explained, &maps)?,
        }
        self.written.extend(maps.iter().filter_map(|map| map.png.as_ref()).map(|png| png.to_path_buf()));
        self.warn_wrong_model(&name, &found.predictions);
        self.count += 1;
        if !matches!(self.output, Output::Folder(_)) {
            self.kept.push(explained);
        }
        Ok(())
    }

    /// Warns, once, that an image needs another model, when none was named and the built-in one is not confident.
    fn warn_wrong_model(&mut self, image: &str, top: &[Prediction]) {
        const CONFIDENT: f32 = 0.5;
        let named = !self.args.model.names.is_empty() || self.args.model.weights.is_some();
        if !named && !self.warned && top.iter().all(|prediction| prediction.probability < CONFIDENT) {
            self.warned = true;
            self.console.warn(format_args!(
                "the built-in model recognizes nothing in `{image}`: it knows only what `cam demo` draws; for real photos, pass `--model` or `--weights`"
            ));
        }
    }

    /// Prints the warnings of the maps of an image. Of many images each kind is printed once, and counted from then on.
    fn warn_of_maps(&mut self, image: &str, maps: &[ImageMap]) {
        for map in maps {
            for warning in &map.warnings {
                let text = format!("{image}, {}, {} at {}: {warning}", map.label, map.method.name, map.layer);
                match self.repeated.get_mut(&discriminant(warning)) {
                    Some((count, _)) if self.several && !self.console.is_verbose() => *count += 1,
                    _ => {
                        self.repeated.insert(discriminant(warning), (0, warning.to_string()));
                        self.console.warn(text);
                    }
                }
            }
        }
    }

    /// Records an image that could not be explained.
    fn failed(&mut self, source: &Source, part: Part, failure: Failure) -> Result<(), Failure> {
        self.state.failed(source, part, failure)?;
        match (self.args.json, self.state.failures.last()) {
            (Some(Json::Lines), Some(failed)) => self.line(Line::failed(failed).text()),
            (Some(Json::Object), Some(failed)) => self.report.add(&Line::failed(failed)),
            _ => Ok(()),
        }
    }

    /// Prints a line of JSON, once the files that it names exist.
    fn line(&mut self, line: String) -> Result<(), Failure> {
        if let Output::File(..) = self.output {
            self.lines.push(line);
            return Ok(());
        }
        self.console.print(line)
    }

    /// Prints the explanation of an image in one line: its two most likely predictions, and where its maps are.
    fn print_line(&self, image: &str, explained: &Explained, maps: &[MapReport]) -> Result<(), Failure> {
        let predictions = &explained.found.predictions;
        let top = predictions.iter().take(2);
        let top = top.map(|found| format!("{} {}", plain(&found.label), confidence(found)));
        let mut text = format!("{}  {}", heading(image), top.collect::<Vec<_>>().join(", "));
        let in_folder = matches!(self.output, Output::Folder(_));
        if let Some(png) = maps.first().and_then(|map| map.png.as_ref()).filter(|_| in_folder) {
            text += &format!("  {}", plain(png.display()));
            let others = maps.iter().filter(|map| map.png.as_ref() != Some(png)).count();
            if others > 0 {
                text += &format!(" and {others} more");
            }
        }
        self.console.result(text)
    }

    /// Prints the explanation of an image for people.
    fn print(&self, image: &str, explained: &Explained, maps: &[MapReport]) -> Result<(), Failure> {
        let mut text = heading(image);
        let (predictions, maps_of) = (&explained.found.predictions, &explained.found.maps);
        for found in predictions.iter().take(LISTED) {
            let confidence = confidence(found);
            let width = if found.unit.is_some() { 10 } else { 7 };
            text += &format!("\n    {confidence:>width$}  {} ({})", plain(&found.label), found.class);
            if let Some(Place { bounds: [left, top, right, bottom], .. }) = found.place {
                text += &format!(" at {left:.0}, {top:.0}, {:.0} x {:.0}", right - left, bottom - top);
            }
        }
        if predictions.len() > LISTED {
            text += &format!("\n    and {} more", predictions.len() - LISTED);
        }
        if self.sheets && predictions.is_empty() {
            text += "\n  nothing is detected";
        } else if maps_of.is_empty() {
            text += "\n  nothing of what is asked for is detected";
        }
        let explained_boxes = maps_of.iter().map(|map| map.target + 1).max().unwrap_or(0);
        if self.args.targets.asks_nothing()
            && explained_boxes > 0
            && explained_boxes < predictions.len()
            && predictions[0].place.is_some()
        {
            text += &format!(
                "\n  the {explained_boxes} most confident of {} are explained: `--top {}` explains all",
                predictions.len(),
                predictions.len()
            );
        }
        // The one file of all maps is named at the end.
        let own_files = !self.sheets && matches!(self.output, Output::Folder(_));
        for (report, map) in maps.iter().zip(&explained.found.maps) {
            let MapSubject { label, method, layer, .. } = &report.subject;
            let is_shown = |found: &Prediction| Some(found.class) == map.class;
            let probability = map.probability.filter(|_| !explained.found.predictions.iter().any(is_shown));
            let probability = probability.map_or(String::new(), |p| format!(" ({:.1} %)", 100.0 * p));
            text += &format!(
                "\n  {}{probability} by {method} at {}: {}",
                plain(label),
                plain(layer),
                hottest(map)
            );
            if let Some(png) = report.png.as_ref().filter(|_| own_files) {
                text += &format!(": {}", plain(png.display()));
            }
            if let Some(std) = &report.std {
                let ([x, y], max) = (std.peak, std.max);
                text += &format!("\n    standard deviation up to {max:.2}, at {x}, {y}");
                if let Some(png) = std.png.as_ref().filter(|_| own_files) {
                    text += &format!(": {}", plain(png.display()));
                }
            }
        }
        let in_folder = self.sheets && matches!(self.output, Output::Folder(_));
        if let Some(sheet) = maps.first().and_then(|map| map.png.as_ref()).filter(|_| in_folder) {
            text += &format!("\n  {}", plain(sheet.display()));
        }
        self.console.result(text)
    }

    /// Writes the files of an image, when they go into a folder.
    fn write(&mut self, explained: &Explained) -> Result<Vec<MapReport>, Failure> {
        let stem = explained.source.stem();
        let below = &explained.source.below;
        let sheet = match &mut self.output {
            Output::Folder(folder) if self.sheets && !explained.found.maps.is_empty() => {
                let name = folder.name(below, &format!("{stem}_{SHEET}"))?;
                let drawn = self.sheet(std::slice::from_ref(explained))?;
                self.show(&drawn)?;
                let made = record::text(&self.provenance, [(explained, &explained.found.maps[..])]);
                Some(name.draw("", &drawn, &made)?)
            }
            _ => None,
        };
        explained
            .found
            .maps
            .iter()
            .map(|map| {
                let report = MapReport::new(map, &self.painter)?;
                let mut report = if self.args.strategy.show_std { report.with_std(map) } else { report };
                let folder = match &mut self.output {
                    Output::Folder(folder) => folder,
                    Output::File(path, _) => return Ok(report.drawn_in(path)),
                    Output::Stdout(_) => return Ok(report),
                };
                let (method, layer) = (map.method.name, layer_in_name(&map.layer));
                let class = map.class.map_or_else(|| in_name(&map.label), |class| class.to_string());
                let name = folder.name(below, &format!("{stem}_{method}_{layer}_{class}"))?;
                if self.args.npy {
                    report.npy = Some(name.write(".npy", &npy::encode(&map.heatmap))?.into());
                }
                if self.args.raw {
                    report.raw = Some(name.write("_raw.npy", &npy::encode(&map.raw))?.into());
                }
                let made = record::text(&self.provenance, [(explained, std::slice::from_ref(map))]);
                report.png = match &sheet {
                    Some(sheet) => Some(sheet.clone().into()),
                    None => {
                        let overlay = Drawing::Overlay(self.painter.paint(map)?);
                        self.show(&overlay)?;
                        Some(name.draw("", &overlay, &made)?.into())
                    }
                };
                if let (Some(std), Some(report)) = (&map.std, &mut report.std) {
                    self.write_std(map, std, &name, (sheet.as_ref(), &made), report)?;
                }
                Ok(report)
            })
            .collect()
    }

    /// Writes a standard deviation beside the map of this name; its image, with what made it, unless that is on a sheet.
    fn write_std(
        &self,
        map: &ImageMap,
        std: &HeatMap,
        name: &OutputName,
        (sheet, made): (Option<&PathBuf>, &str),
        report: &mut StdReport,
    ) -> Result<(), Failure> {
        if self.args.npy {
            report.npy = Some(name.write("_std.npy", &npy::encode(std))?.into());
        }
        report.png = match sheet {
            Some(sheet) => Some(sheet.clone().into()),
            None => {
                let largest = std.peak().2;
                let drawn = Figure::new(self.painter.paint_std(map, std, largest)?);
                let drawing = Drawing::Sheet(drawn.above("std").color_bar(std_color_bar(largest)).sheet());
                self.show(&drawing)?;
                Some(name.draw("_std", &drawing, made)?.into())
            }
        };
        Ok(())
    }

    /// Draws a sheet of these images.
    fn sheet(&self, images: &[Explained]) -> Result<Drawing, Failure> {
        contact_sheet::draw(images, &self.model, &self.painter, self.args.strategy.show_std)
    }

    /// Shows a drawing in the terminal, with `--preview`.
    fn show(&self, drawing: &Drawing) -> Result<(), Failure> {
        self.args.preview.map_or(Ok(()), |preview| preview.show(drawing, self.console))
    }

    /// Writes and prints what waits for the end.
    fn end(mut self) -> Result<(), Failure> {
        if !self.kept.is_empty() {
            let drawn = match only_map(&self.kept).filter(|_| !self.sheets && !self.args.strategy.show_std) {
                Some(map) => Drawing::Overlay(self.painter.paint(map)?),
                None => self.sheet(&self.kept)?,
            };
            self.show(&drawn)?;
            let maps = self.kept.iter().map(|explained| (explained, &explained.found.maps[..]));
            self.output.deliver(&drawn, &record::text(&self.provenance, maps), self.console)?;
        }
        self.lines.iter().try_for_each(|line| self.console.print(line))?;
        if let (Some(page), Some(html)) = (&self.page, &self.args.html) {
            let html = outputs::write(html.clone(), page.html().as_bytes())?;
            self.console.result(plain(html.display()))?;
        }
        self.console.detail(&self.seconds);
        if let Some(bytes) = peak_memory() {
            self.console.detail(format_args!("{:.2} GB of memory at peak", bytes as f64 / 1e9));
        }
        if let Some(Json::Object) = self.args.json {
            self.report.print(&self.provenance, &self.seconds, self.console)?;
        }
        for (count, warning) in self.repeated.values().filter(|(count, _)| *count > 0) {
            self.console.warn(format_args!("{count} more maps like this (`--verbose` shows all): {warning}"));
        }
        if self.record.is_some() && self.differing == 0 && self.count > 0 {
            self.console.note("the maps are the same to the bit");
        }
        if self.args.open {
            self.open();
        }
        self.state.end(self.console)
    }

    /// Opens what was written in the program that the system has for it: the page, the one image, or the folder.
    fn open(&self) {
        let path = match (&self.args.html, &self.output) {
            (Some(page), _) => page,
            (None, Output::File(path, _)) => path,
            (None, Output::Folder(folder)) => match &self.written[..] {
                [first, rest @ ..] if rest.iter().all(|other| other == first) => first,
                _ => folder.path(),
            },
            (None, Output::Stdout(_)) => return,
        };
        if let Err(error) = viewer::open(path) {
            self.console.warn(format_args!("cannot open `{}`: {error}", path.display()));
        }
    }
}

/// Warns that layers are named for methods that have none.
fn warn_without_layer(args: &Args, methods: &[&'static dyn Method], console: &Console) {
    let whole = methods.iter().map(|method| method.info()).filter(|info| info.reads != Reads::Layer);
    let names: Vec<&str> = whole.map(|info| info.name).collect();
    if !names.is_empty() && !args.strategy.layers.is_empty() {
        let names = names.join(", ");
        console.warn(format_args!("`--layer` does not apply to {names}: the whole network is read"));
    }
}

/// Returns the only map of some images, if there is only one.
fn only_map(images: &[Explained]) -> Option<&ImageMap> {
    match images {
        [Explained { found, .. }] => found.maps.first().filter(|_| found.maps.len() == 1),
        _ => None,
    }
}

/// Returns the layer of a map for the name of its file; of many that are fused the first and the last.
fn layer_in_name(layer: &str) -> String {
    match layer.split(" + ").collect::<Vec<_>>()[..] {
        [first, _, .., last] => format!("{first}+..+{last}"),
        ref few => few.join("+"),
    }
}

/// Returns a label without what the names of files cannot have on all systems.
fn in_name(label: &str) -> String {
    let allowed = |c: char| !c.is_control() && !r#"/\:*?"<>|"#.contains(c);
    label.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}
