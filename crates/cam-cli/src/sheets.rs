//! What commands have in common that make one sheet of each picture.

use crate::album::Album;
use crate::console::{Console, head};
use crate::failure::Failure;
use crate::files::Out;
use crate::format::Format;
use crate::maps::OneMap;
use crate::options::Preparing;
use crate::picture::{Part, Picture};
use crate::preview::Preview;
use crate::reads::Reads;
use crate::report::Map;
use crate::sheet::Drawing;
use crate::source::{Source, sources};
use crate::{device, model};
use burn::tensor::Device;
use cam_models::{Classifier, Prediction};
use std::path::PathBuf;

/// Pictures in, sheets out.
#[derive(clap::Args)]
#[group(id = "sheets")]
pub struct Asked {
    /// Pictures (PNG, JPEG, WebP), folders of them, `-` for standard input, or .npy arrays; a sheet is made of each
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,
    #[command(flatten)]
    pub preparing: Preparing,
    #[command(flatten)]
    pub place: device::Place,
    /// The folder that sheets go to; of one picture also a file (.png, .jpg, .webp, .svg), or `-` for standard output
    #[arg(long, value_name = "DIR|FILE|-", default_value = "cam-out")]
    pub out: PathBuf,
    /// What sheets are written as, in a folder and on standard output [default: png]
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// Make sheets again that the manifest of a folder says are there
    #[arg(long)]
    pub fresh: bool,
    /// Show the sheets in the terminal, as it is known to show them or as named: `--preview=sixel`
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub preview: Option<Preview>,
}

/// What is asked, made sure of before the weights are read.
pub struct Sheets<'a> {
    asked: &'a Asked,
    /// What sheets are called beside their pictures.
    kind: &'a str,
    sources: Vec<Source>,
    reads: Reads,
    out: Out,
    pub device: Device,
    pub device_name: String,
    /// Where the command speaks.
    pub console: Console,
}

/// A sheet of one picture, and what is told of it.
pub struct Made {
    pub drawing: Drawing,
    pub predictions: Vec<Prediction>,
    /// What is on the sheet.
    pub maps: Vec<Map>,
}

impl Asked {
    /// Makes sure of what is asked. A sheet is called after its picture and `kind`.
    pub fn open<'a>(
        &'a self,
        kind: &'a str,
        model: &model::Asked,
        console: &Console,
    ) -> Result<Sheets<'a>, Failure> {
        let (device, device_name) = device::named(&self.place.device, console)?;
        let sources = sources(&self.photos, &self.out)?;
        let reads = Reads::of(&sources, model);
        let out = Out::of(&self.out, self.format)?;
        out.spares(&reads, &sources, [kind])?;
        if matches!(out, Out::Stdout(_)) && self.preview.is_some() {
            return Err(Failure::Usage("standard output is for the sheet: leave `--preview` away".into()));
        }
        if !matches!(out, Out::Folder(_)) && sources.len() > 1 {
            return Err(Failure::Usage("sheets of several pictures need a folder: `--out DIR`".into()));
        }
        let console = if matches!(out, Out::Stdout(_)) { console.diverted() } else { console.clone() };
        Ok(Sheets { asked: self, kind, sources, reads, out, device, device_name, console })
    }
}

impl Sheets<'_> {
    /// Makes a sheet of each picture. The work says what it found, and draws it; `options` are all that decides what that is, beside
    /// how photos are prepared.
    pub fn each(
        mut self,
        model: &Classifier,
        options: serde_json::Value,
        mut work: impl FnMut(Picture) -> Result<Made, Failure>,
    ) -> Result<(), Failure> {
        let kind = self.kind;
        model.weights().into_iter().for_each(|weights| self.reads.add(weights));
        self.out.spares(&self.reads, &self.sources, [kind])?;
        let Asked { photos, preparing, format, fresh, .. } = self.asked;
        let preprocess = preparing.of(model);
        let format = format.unwrap_or_default();
        let options = serde_json::json!({ "command": kind, "preparing": preparing, "format": format, "options": options });
        let sources = std::mem::take(&mut self.sources);
        let mut album = Album::open(photos, sources, &mut self.out, options, *fresh)?;
        let left = album.left(&self.console)?;
        let bar = self.console.bar("pictures", left.len());
        for left in left {
            let source = &left.source;
            match left.read(&preprocess) {
                Ok(pictures) => {
                    for picture in pictures {
                        let part = picture.part;
                        match work(picture).and_then(|made| self.write(source, made)) {
                            Ok(Made { predictions, maps, .. }) => {
                                album.done(source, part, &predictions, &maps)?;
                            }
                            Err(failure) => album.failed(source, part, failure)?,
                        }
                    }
                }
                Err(failure) => album.failed(source, Part::default(), failure)?,
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        album.end(&self.console)
    }

    /// Shows and writes a sheet, and tells which file it is in.
    fn write(&mut self, source: &Source, mut made: Made) -> Result<Made, Failure> {
        if let Some(preview) = self.asked.preview {
            preview.show(&made.drawing, &self.console)?;
        }
        if let Out::Folder(files) = &mut self.out {
            let name = files.name(&source.below, &format!("{}_{}", source.stem(), self.kind))?;
            let path = name.draw("", &made.drawing)?;
            self.console.say(path.display())?;
            made.maps = made.maps.into_iter().map(|map| map.on(&path)).collect();
        }
        self.out.deliver(&made.drawing, &self.console)?;
        Ok(made)
    }
}

/// Where each method looks most.
pub fn told(picture: &Picture, maps: &[OneMap]) -> String {
    let mut text = head(picture.source.name());
    let longest = maps.iter().map(|map| map.method.len()).max().unwrap_or(0);
    let mut target = None;
    for map in maps {
        if target.replace(map.target) != Some(map.target) {
            text += &format!("\n  {} ({}) {:.1} %", map.label, map.class, 100.0 * map.probability);
        }
        text += &format!("\n    {:longest$}  at {}: {}", map.method, map.layer, map.hottest(picture));
        for warning in &map.warnings {
            text += &format!("; {warning}");
        }
    }
    text
}
