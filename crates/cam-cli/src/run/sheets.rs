//! Commands that make one sheet of each image.

use crate::args::device::{self, DeviceArgs};
use crate::args::model::ModelArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::report::console::{Console, heading, plain};
use crate::report::contact_sheet::Drawing;
use crate::report::failure::Failure;
use crate::report::format::Format;
use crate::report::json::MapReport;
use crate::report::json_path::JsonPath;
use crate::report::preview::Preview;
use crate::report::provenance::Provenance;
use crate::run::images::{Part, SourceImage, warn_of_notes};
use crate::run::inputs::Inputs;
use crate::run::outputs::Output;
use crate::run::run_state::RunState;
use crate::run::sources::{Source, sources};
use burn_cam::{AnyModel, Device, ImageMap, ImageModel, Prediction};
use clap::builder::Resettable;
use std::path::PathBuf;

/// Images in, sheets out.
#[derive(clap::Args)]
#[group(id = "sheets")]
pub struct SheetArgs {
    /// Images, folders of images, .npy arrays, or `-` for standard input
    ///
    /// Images are PNG, JPEG, WebP, TIFF, BMP or GIF. A sheet is made of each.
    #[arg(required = true, value_name = "IMAGE", help_heading = Resettable::Reset)]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
    #[command(flatten)]
    pub place: DeviceArgs,
    /// The folder or the one file that is written, or `-`
    ///
    /// A file, for one image, is .png, .jpg, .webp or .svg; `-` is standard output.
    #[arg(long, help_heading = "Output", value_name = "DIR|FILE|-", default_value = "cam-out")]
    pub out: PathBuf,
    /// The format of sheets in a folder and on standard output [default: png]
    #[arg(long, hide_short_help = true, help_heading = "Output", value_name = "NAME")]
    pub format: Option<Format>,
    /// Make sheets again that are done according to the manifest of a folder
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub fresh: bool,
    /// Show the sheets in the terminal
    ///
    /// In the best way that the terminal is known to support, or in this one: `--preview=sixel`.
    #[arg(long, hide_possible_values = true, help_heading = "Output", value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub preview: Option<Preview>,
}

/// A run that makes sheets, checked before the weights are read.
pub struct Sheets<'a> {
    args: &'a SheetArgs,
    /// What the names of sheets end with.
    kind: &'a str,
    sources: Vec<Source>,
    inputs: Inputs,
    output: Output,
    pub device: Device,
    pub device_name: String,
    /// Where the command prints.
    pub console: Console,
    /// Whether it is said what is assumed of the model, and how images become its input.
    pub announced: bool,
}

/// A sheet of one image, and what the manifest records of it.
pub struct ImageSheet {
    pub drawing: Drawing,
    pub predictions: Vec<Prediction>,
    /// What is on the sheet.
    pub maps: Vec<MapReport>,
}

impl SheetArgs {
    /// Checks the options. The name of a sheet is that of its image and `kind`.
    pub fn open<'a>(
        &'a self,
        kind: &'a str,
        model: &ModelArgs,
        console: &Console,
    ) -> Result<Sheets<'a>, Failure> {
        let (device, device_name) = device::named(&self.place.device, console)?;
        let sources = sources(&self.images, &self.out)?;
        let inputs = Inputs::new(&sources, model);
        let output = Output::open(&self.out, self.format)?;
        output.check(&inputs, &sources, [kind])?;
        if matches!(output, Output::Stdout(_)) && self.preview.is_some() {
            return Err(Failure::Usage("standard output is for the sheet: omit `--preview`".into()));
        }
        if !matches!(output, Output::Folder(_)) && sources.len() > 1 {
            return Err(Failure::Usage("sheets of several images need a folder: `--out DIR`".into()));
        }
        let console = if matches!(output, Output::Stdout(_)) { console.diverted() } else { console.clone() };
        Ok(Sheets {
            args: self,
            kind,
            sources,
            inputs,
            output,
            device,
            device_name,
            console,
            announced: false,
        })
    }
}

impl Sheets<'_> {
    /// Makes a sheet of each image, by `work`. `options` are all that determines the result, beside how images are preprocessed.
    pub fn each(
        mut self,
        model: &AnyModel,
        options: serde_json::Value,
        mut work: impl FnMut(SourceImage) -> Result<ImageSheet, Failure>,
    ) -> Result<(), Failure> {
        let kind = self.kind;
        model.info().weights.iter().for_each(|weights| self.inputs.add_model(weights));
        self.output.check(&self.inputs, &self.sources, [kind])?;
        let SheetArgs { images, preprocess: asked, format, fresh, .. } = self.args;
        let reader = asked.reader(model);
        let format = format.unwrap_or_default();
        let options =
            serde_json::json!({ "command": kind, "preprocess": asked, "format": format, "options": options });
        let arguments = std::env::args_os().skip(1).map(JsonPath::from).collect();
        let made = Provenance::new(model, &self.device_name, options.clone(), arguments)?;
        let made = serde_json::json!({ "run": made }).to_string();
        let sources = std::mem::take(&mut self.sources);
        let mut state = RunState::open(images, sources, &mut self.output, options, *fresh)?;
        let pending = state.pending(&self.console)?;
        let bar = self.console.bar("images", pending.len());
        for file in pending {
            let source = &file.source;
            match file.read(&reader) {
                Ok(images) => {
                    for image in images {
                        let part = image.part;
                        warn_of_notes(&image.image, &self.console);
                        match work(image).and_then(|sheet| {
                            if !std::mem::replace(&mut self.announced, true) {
                                ModelArgs::announce(&model.info(), &self.console);
                                PreprocessArgs::announce(&reader.preprocess, &self.console)?;
                            }
                            self.write(source, sheet, &made)
                        }) {
                            Ok(ImageSheet { predictions, maps, .. }) => {
                                state.done(source, part, &predictions, &maps)?;
                            }
                            Err(failure) => state.failed(source, part, failure)?,
                        }
                    }
                }
                Err(failure) => state.failed(source, Part::default(), failure)?,
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        state.end(&self.console)
    }

    /// Shows and writes a sheet, with what made it, and records which file it is in.
    fn write(&mut self, source: &Source, mut sheet: ImageSheet, made: &str) -> Result<ImageSheet, Failure> {
        if let Some(preview) = self.args.preview {
            preview.show(&sheet.drawing, &self.console)?;
        }
        if let Output::Folder(folder) = &mut self.output {
            let name = folder.name(&source.below, &format!("{}_{}", source.stem(), self.kind))?;
            let path = name.draw("", &sheet.drawing, made)?;
            self.console.result(plain(path.display()))?;
            sheet.maps = sheet.maps.into_iter().map(|map| map.drawn_in(&path)).collect();
        }
        self.output.deliver(&sheet.drawing, made, &self.console)?;
        Ok(sheet)
    }
}

/// Returns where each map of an image is hottest, for people.
pub fn summary(source: &Source, maps: &[ImageMap]) -> String {
    let mut text = heading(source.name());
    let longest = maps.iter().map(|map| map.method.name.len()).max().unwrap_or(0);
    let mut target = None;
    for map in maps {
        if target.replace(map.target) != Some(map.target) {
            text += &format!("\n  {}", subject(map));
        }
        text += &format!("\n    {:longest$}  at {}: {}", map.method.name, map.layer, hottest(map));
        for warning in &map.warnings {
            text += &format!("; {warning}");
        }
    }
    text
}

/// Returns the class of a map, its number and its probability, for people.
fn subject(map: &ImageMap) -> String {
    match (map.class, map.probability) {
        (Some(class), Some(probability)) => {
            format!("{} ({class}) {:.1} %", plain(&map.label), 100.0 * probability)
        }
        _ => plain(&map.label),
    }
}

/// Returns how sure the model is of a prediction, for people: a share, or its output where that is none.
pub fn confidence(found: &Prediction) -> String {
    match &found.unit {
        Some(unit) => format!("{:.4} {}", found.score, plain(unit)).trim_end().into(),
        None => format!("{:.1} %", 100.0 * found.probability),
    }
}

/// Returns where a map is hottest, for people.
pub fn hottest(map: &ImageMap) -> String {
    let (x, y) = map.peak();
    if map.is_blank() { "zero everywhere".into() } else { format!("hottest at {x}, {y}") }
}
