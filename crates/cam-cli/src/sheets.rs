//! What commands have in common that make one sheet of each picture.

use crate::console::Console;
use crate::failure::Failure;
use crate::files::{self, Out};
use crate::options::Preparing;
use crate::picture::Picture;
use crate::sheet::Drawing;
use crate::source::{Source, sources};
use crate::{device, interrupt, preview};
use burn::tensor::Device;
use cam_models::Classifier;
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
    /// Show the sheets in the terminal
    #[arg(long)]
    pub preview: bool,
}

/// What is asked, made sure of before the weights are read.
pub struct Sheets<'a> {
    asked: &'a Asked,
    sources: Vec<Source>,
    out: Out,
    pub device: Device,
    pub device_name: String,
    /// Where the command speaks.
    pub console: Console,
}

impl Asked {
    pub fn open(&self, console: &Console) -> Result<Sheets<'_>, Failure> {
        let (device, device_name) = device::named(&self.place.device, console)?;
        let sources = sources(&self.photos, &self.out)?;
        let out = Out::of(&self.out)?;
        if matches!(out, Out::Stdout) && self.preview {
            return Err(Failure::Usage("standard output is for the sheet: leave `--preview` away".into()));
        }
        if !matches!(out, Out::Folder(_)) && sources.len() > 1 {
            return Err(Failure::Usage("sheets of several pictures need a folder: `--out DIR`".into()));
        }
        interrupt::watch("all files are whole");
        let console = if matches!(out, Out::Stdout) { console.diverted() } else { console.clone() };
        Ok(Sheets { asked: self, sources, out, device, device_name, console })
    }
}

impl Sheets<'_> {
    /// Makes a sheet of each picture, called after it and `kind`. The work says what it found, and draws it.
    pub fn each(
        mut self,
        model: &Classifier,
        kind: &str,
        mut work: impl FnMut(Picture) -> Result<Drawing, Failure>,
    ) -> Result<(), Failure> {
        let preprocess = self.asked.preparing.of(model);
        let bar = self.console.bar("pictures", self.sources.len());
        for source in &self.sources {
            for picture in Picture::read(source, &preprocess, &self.device)? {
                let drawn = work(picture)?;
                if self.asked.preview {
                    preview::show(&drawn, &self.console)?;
                }
                if let Out::Folder(files) = &mut self.out {
                    let name = files.name(&source.below, &format!("{}_{kind}", source.stem()))?;
                    let path = files::write(&name, ".png", &drawn.encode("png")?)?;
                    self.console.say(path.display())?;
                }
                self.out.deliver(&drawn, &self.console)?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }
}
