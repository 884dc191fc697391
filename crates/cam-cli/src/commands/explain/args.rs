//! The options of `cam explain`.

use crate::args::completion;
use crate::args::device::DeviceArgs;
use crate::args::model::{Identity, ModelArgs};
use crate::args::overlay::OverlayArgs;
use crate::args::preprocess::PreprocessArgs;
use crate::args::strategy::{SignArg, StrategyArgs};
use crate::args::target::TargetArgs;
use crate::report::format::Format;
use crate::report::json::Json;
use crate::report::preview::Preview;
use burn_cam::{ImageModel, Method, sha256};
use clap::ValueEnum;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The first of the examples, which `-h` shows.
pub const SHORT_EXAMPLES: &str = "\
Example, and all options with `--help`:
  cam explain photos --model net.onnx --method gradcam,layercam --sheet --open";

pub const EXAMPLES: &str = "\
Examples:
  cam explain cam-out/scene.png
      The top class of the built-in model, by Grad-CAM
  cam explain dog.jpg --model resnet50 --class 'bull mastiff' --class tabby
      Two classes of one image; the weights are fetched on first use
  cam explain leaf.jpg --weights my_finetuned.pth --labels my_classes.txt
      Your own model: its architecture, size and number of classes are recognized from the file
  cam explain leaf.jpg --model my-finetune
      A folder that transformers or timm saved: its preprocessing and its labels are those of the folder.
      `--model hf:OWNER/NAME` takes one from the Hugging Face hub
  cam explain photos --weights resnet18.safetensors --method gradcam,layercam --top 3
      Two methods, the three most confident predictions of every image in and below a folder. After
      an interruption the same command continues: cam-out/manifest.jsonl records what is done
  cam explain dog.jpg --model resnet50 --layer all --sheet
      From shallow to deep on one sheet
  cam explain dog.jpg --model resnet50 --layer layer3.5,layer4.2 --fuse product --aug-smooth
      One map of two layers, averaged over six views
  cam explain dog.jpg --model resnet50 --noise 16 --show-std --sheet
      How reliable is the map? Beside it, its standard deviation over 16 noisy views
  cam explain dog.jpg --model resnet50 --method gradcam,layercam --html dog.html
      One HTML page with all results
  cam explain dog.jpg --overlay box --threshold otsu --sign both --preview
      Other overlays
  cam explain input.npy --weights resnet50.pth --class 243 --npy --json
      An array that is preprocessed already; the numbers of the maps beside the images
  cam explain photos --json=lines | jq -r '[.image, .maps[0].label] | @tsv'
      One line of JSON per image, as soon as it is done
  curl -s https://example.org/dog.jpg | cam explain - --out - > where.png
      In a pipe";

#[derive(clap::Args)]
pub struct Args {
    /// Images, folders of images, .npy arrays, or `-` for standard input
    ///
    /// Images are PNG, JPEG, WebP, TIFF, BMP or GIF. Arrays are (3,H,W), (H,W,3) or several such: floats are preprocessed already, uint8 and
    /// uint16 are images.
    #[arg(required_unless_present = "from", value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Make a result again: what `--json` printed, or a PNG file of this tool
    ///
    /// Its command line is run again, and what has changed is printed: the version, the weights, the images, the maps. `--out`, `--html`,
    /// `--json` and `--open` may be given beside it.
    #[arg(long, hide_short_help = true, value_name = "RESULT", conflicts_with = "images")]
    pub from: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub place: DeviceArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
    /// A method, or several: see `cam methods` [default: gradcam; legrad for a ViT]
    ///
    /// Several are separated by commas, or given several times. By default it is legrad for a vision transformer, hirescam for boxes, and
    /// gradcam for all others.
    #[arg(long = "method", help_heading = "Method", value_name = "NAME", value_delimiter = ',', value_parser = completion::METHODS, hide_possible_values = true)]
    pub methods: Vec<String>,
    #[command(flatten)]
    pub strategy: StrategyArgs,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
    #[command(flatten)]
    pub overlay: OverlayArgs,
    /// Images in one pass
    #[arg(long, hide_short_help = true, help_heading = "Model", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// The folder or the one file that is written, or `-` [default: cam-out]
    ///
    /// A folder gets images and arrays, in the subfolders of the inputs. A file (.png, .jpg, .webp, .svg), or `-` for standard output, gets
    /// one image of all maps.
    #[arg(long, help_heading = "Output", value_name = "DIR|FILE|-", overrides_with = "out")]
    pub out: Option<PathBuf>,
    /// The format of images in a folder and on standard output [default: png]
    #[arg(long, hide_short_help = true, help_heading = "Output", value_name = "NAME")]
    pub format: Option<Format>,
    /// Draw one sheet of all maps of an image, instead of one image per map
    #[arg(long, help_heading = "Output")]
    pub sheet: bool,
    /// Write each map as a float32 .npy (H,W) beside its image: at the resolution of the input, 0 to 1, or
    /// -1 to 1 of both signs
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub npy: bool,
    /// Write the raw evidence of each map as a float32 .npy (h,w): signed, unscaled, at the resolution of the layer
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub raw: bool,
    /// Explain again what is done according to the manifest of a folder
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub fresh: bool,
    /// Print JSON on standard output, and nothing else there
    ///
    /// One object at the end, or with `--json=lines` one line per image as soon as it is done.
    #[arg(long, hide_possible_values = true, overrides_with = "json", help_heading = "Output", value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "object")]
    pub json: Option<Json>,
    /// Write one HTML page with all results
    ///
    /// It has images, maps, values under the pointer, and how they were made.
    #[arg(long, help_heading = "Output", value_name = "FILE", overrides_with = "html")]
    pub html: Option<PathBuf>,
    /// Open the result when it is done: the page, the one image, or the folder
    #[arg(long, help_heading = "Output", overrides_with = "open")]
    pub open: bool,
    /// Show the images in the terminal
    ///
    /// In the best way that the terminal is known to support, or in this one: `--preview=sixel`.
    #[arg(long, hide_short_help = true, help_heading = "Output", value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto", conflicts_with = "json")]
    pub preview: Option<Preview>,
}

/// All that determines the results: images that were explained with the same options are not explained again.
#[derive(Serialize)]
pub struct Options<'a> {
    #[serde(flatten)]
    model: Identity,
    methods: Vec<&'a str>,
    layers: &'a [String],
    #[serde(flatten)]
    targets: &'a TargetArgs,
    /// The sha256 of the files that are read beside the images.
    files: Vec<String>,
    sign: SignArg,
    #[serde(flatten)]
    strategy: &'a StrategyArgs,
    #[serde(flatten)]
    preprocess: &'a PreprocessArgs,
    #[serde(flatten)]
    overlay: &'a OverlayArgs,
    format: Format,
    sheet: bool,
    npy: bool,
    raw: bool,
}

impl Args {
    /// Returns the options of outputs that are given beside `--from`.
    pub fn outputs(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(out) = &self.out {
            words.extend(["--out".into(), out.into()]);
        }
        if let Some(html) = &self.html {
            words.extend(["--html".into(), html.into()]);
        }
        if let Some(json) = self.json.and_then(|json| json.to_possible_value()) {
            words.push(format!("--json={}", json.get_name()).into());
        }
        if self.open {
            words.push("--open".into());
        }
        words
    }

    /// Returns where results go.
    pub fn out(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new("cam-out"))
    }

    /// Returns all that determines the results.
    pub fn options<'a>(
        &'a self,
        model: &impl ImageModel,
        methods: &[&'static dyn Method],
        layers: &'a [String],
    ) -> Options<'a> {
        Options {
            model: self.model.identity(model),
            methods: methods.iter().map(|method| method.name()).collect(),
            layers,
            targets: &self.targets,
            files: self.targets.files().filter_map(|path| sha256(File::open(path).ok()?).ok()).collect(),
            sign: self.strategy.sign(model),
            strategy: &self.strategy,
            preprocess: &self.preprocess,
            overlay: &self.overlay,
            format: self.format.unwrap_or_default(),
            sheet: self.sheet,
            npy: self.npy,
            raw: self.raw,
        }
    }
}
