//! What `cam explain` can be asked.

use crate::format::Format;
use crate::options::{Asked, Preparing};
use crate::preview::Preview;
use crate::report::Json;
use crate::studio::Studio;
use crate::{device, looking, model, painting, words};
use serde::Serialize;
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  cam explain scene.png
      The top class of the built-in model, by Grad-CAM
  cam explain dog.jpg --model resnet50 --class 'bull mastiff' --class tabby
      Two classes of one photo; the weights are fetched on first use
  cam explain leaf.jpg --weights my_finetuned.pth --labels my_classes.txt
      A model of one's own: the file tells its architecture, size and number of classes
  cam explain photos --weights resnet18.safetensors --method gradcam,layercam --top 3
      Two methods, the three likeliest classes of every photo in a folder and below. When it
      is interrupted, the same command goes on: cam-out/manifest.jsonl says what is done
  cam explain dog.jpg --model resnet50 --layer all --sheet
      From shallow to deep on one sheet
  cam explain dog.jpg --model resnet50 --layer layer3.5,layer4.2 --fuse product --aug-smooth
      One map of two layers, averaged over six views
  cam explain dog.jpg --model resnet50 --noise 16 --spread --sheet
      How sure is the map? Beside it, how far it varies over 16 noisy views
  cam explain dog.jpg --model resnet50 --method gradcam,layercam --html dog.html
      A page to hand to a colleague
  cam explain dog.jpg --overlay box --threshold otsu --sign both --preview
      Other ways to see it
  cam explain input.npy --weights resnet50.pth --class 243 --npy --json
      An array that is preprocessed already; the numbers of the maps beside the pictures
  cam explain photos --json=lines | jq -r '[.image, .maps[0].label] | @tsv'
      A line of JSON a photo, as soon as it is done
  curl -s https://example.org/dog.jpg | cam explain - --out - > where.png
      In a pipe";

#[derive(clap::Args)]
pub struct Args {
    /// Pictures (PNG, JPEG, WebP), folders of them, `-` for standard input, or .npy arrays (3,H,W) or (N,3,H,W) of float32
    /// that are preprocessed already
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,
    #[command(flatten)]
    pub model: model::Asked,
    /// A method: see `cam methods`; several with commas between, or given several times [default: gradcam]
    #[arg(long = "method", value_name = "NAME", value_delimiter = ',', value_parser = words::METHODS, hide_possible_values = true)]
    pub methods: Vec<String>,
    #[command(flatten)]
    pub look: looking::Asked,
    #[command(flatten)]
    pub asked: Asked,
    #[command(flatten)]
    pub preparing: Preparing,
    #[command(flatten)]
    pub painting: painting::Asked,
    #[command(flatten)]
    pub place: device::Place,
    /// Pictures in one pass
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// The folder that pictures and arrays go to, as the photos lie in their folder; or one picture for all, as a file (.png,
    /// .jpg, .webp, .svg) or `-` for standard output
    #[arg(long, value_name = "DIR|FILE|-", default_value = "cam-out")]
    pub out: PathBuf,
    /// What pictures are written as, in a folder and on standard output [default: png]
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// One sheet of all maps of a picture, in place of a picture a map
    #[arg(long)]
    pub sheet: bool,
    /// Write each map beside its picture as a float32 .npy (H,W): input-sized, 0 to 1
    #[arg(long)]
    pub npy: bool,
    /// Write each map as a float32 .npy (h,w): signed, unscaled, of the layer's resolution
    #[arg(long)]
    pub raw: bool,
    /// Explain again what the manifest of a folder says is done
    #[arg(long)]
    pub fresh: bool,
    /// Print JSON on standard output, and nothing else there: one object at the end, or with `--json=lines` a line a picture as
    /// soon as it is done
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "object")]
    pub json: Option<Json>,
    /// One page of all that was found, whole in one file, to hand to a colleague: photos, maps, values under the pointer, and how
    /// they were made
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show the pictures in the terminal, as it is known to show them or as named: `--preview=sixel`
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto", conflicts_with = "json")]
    pub preview: Option<Preview>,
}

/// All that decides what is found: pictures with the same are not explained again.
#[derive(Serialize)]
pub struct Options<'a> {
    #[serde(flatten)]
    model: model::Identity<'a>,
    methods: Vec<&'a str>,
    layers: &'a [String],
    #[serde(flatten)]
    asked: &'a Asked,
    #[serde(flatten)]
    look: &'a looking::Asked,
    #[serde(flatten)]
    preparing: &'a Preparing,
    #[serde(flatten)]
    painting: &'a painting::Asked,
    format: Format,
    sheet: bool,
    npy: bool,
    raw: bool,
}

impl Args {
    /// All that decides what this studio finds.
    pub fn options<'a>(&'a self, studio: &Studio<'a>) -> Options<'a> {
        Options {
            model: self.model.identity(studio.model),
            methods: studio.methods.iter().map(|method| method.name()).collect(),
            layers: studio.layers,
            asked: &self.asked,
            look: &self.look,
            preparing: &self.preparing,
            painting: &self.painting,
            format: self.format.unwrap_or_default(),
            sheet: self.sheet,
            npy: self.npy,
            raw: self.raw,
        }
    }
}
