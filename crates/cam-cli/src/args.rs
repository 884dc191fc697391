//! The command line.

use crate::failure::EXIT_CODES;
use cam_core::{Fusion, METHODS, Rectify};
use cam_models::{Precision, Resize};
use cam_viz::ColourMap;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Shows where an image classifier looked: class activation maps over a picture.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Draw a scene, explain its two objects with the built-in model, and write one sheet of pictures
    #[command(after_help = "Examples:\n  cam demo\n  cam demo --seed 12 --out pictures")]
    Demo(Demo),
    /// Explain what a model sees in pictures
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<Explain>),
    /// List the layers of a model that can be looked at
    #[command(after_help = LAYERS_EXAMPLES)]
    Layers(Layers),
    /// List the models
    Models,
    /// List the methods and where they are published
    Methods,
    /// List the devices that this build can compute on
    Devices,
}

const LAYERS_EXAMPLES: &str = "\
Examples:
  cam layers --model resnet50
  cam layers --weights my_finetuned.pth --rank dog.jpg
      The layers whose maps tell best where the network looks, the best first";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  cam explain scene.png
      The top class of the built-in model, by Grad-CAM
  cam explain dog.jpg --model resnet50 --class 'bull mastiff' --class tabby
      Two classes of one photo; the weights are fetched on first use
  cam explain leaf.jpg --weights my_finetuned.pth --labels my_classes.txt
      A model of one's own: its architecture, size and number of classes are recognised from the file
  cam explain *.jpg --weights resnet18.safetensors --method gradcam --method scorecam --top 3
      Two methods for the three likeliest classes of many photos
  cam explain dog.jpg --model resnet50 --layer layer3.5 --layer layer4.2 --fuse product --aug-smooth
      One map of two layers, averaged over six views
  cam explain input.npy --weights resnet50.pth --class 243 --npy --json
      An array that is preprocessed already; the numbers of the maps beside the pictures";

#[derive(clap::Args)]
pub struct Demo {
    /// Which scene is drawn
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// The folder that the sheet goes to
    #[arg(long, value_name = "DIR", default_value = "cam-out")]
    pub out: PathBuf,
    /// Where to compute: `auto` takes the best device that works; see `cam devices`
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub device: String,
}

#[derive(clap::Args)]
pub struct Explain {
    /// Pictures (PNG, JPEG), or .npy arrays (3,H,W) or (N,3,H,W) of float32 that are preprocessed already
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,
    #[command(flatten)]
    pub model: Model,
    /// The names of the classes, one a line [default: ImageNet's where there are as many]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// A method: see `cam methods`; may be given several times [default: gradcam]
    #[arg(long = "method", value_name = "NAME")]
    pub methods: Vec<String>,
    /// A layer: see `cam layers`; may be given several times; `auto` takes the last with a grid and a gradient, `input` the
    /// pixels [default: the one the model's card names]
    #[arg(long = "layer", value_name = "NAME")]
    pub layers: Vec<String>,
    /// A class, by number or name; may be given several times [default: the top class of each picture]
    #[arg(long = "class", value_name = "ID|NAME")]
    pub classes: Vec<String>,
    /// Explain the K likeliest classes of each picture
    #[arg(long, value_name = "K", default_value_t = 1, conflicts_with = "classes", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Which score of a class is explained
    #[arg(long, value_name = "NAME", default_value = "logit")]
    pub score: ScoreArg,
    /// Which evidence is shown: for the class, against it, or both
    #[arg(long, value_name = "SIGN", default_value = "positive")]
    pub sign: SignArg,
    /// Combine channels by their first principal component instead of their sum
    #[arg(long)]
    pub eigen_smooth: bool,
    /// Average over six views: plain and mirrored, each in three brightnesses
    #[arg(long)]
    pub aug_smooth: bool,
    /// Average over N views with noise
    #[arg(long, value_name = "N", conflicts_with = "aug_smooth", value_parser = clap::value_parser!(u32).range(1..))]
    pub noise: Option<u32>,
    /// The deviation of that noise, of inputs as the model gets them (normalised)
    #[arg(long, value_name = "SIGMA", default_value_t = 0.3, requires = "noise", value_parser = positive)]
    pub sigma: f64,
    /// Make one map of all layers
    #[arg(long, value_name = "HOW")]
    pub fuse: Option<FuseArg>,
    /// How a photo of another shape is brought to the model: squeezed whole, or its middle cut out
    #[arg(long, value_name = "squash|crop", default_value = "squash")]
    pub resize: ResizeArg,
    /// The mean of each colour, of values in 0..1 [default: from the model's card]
    #[arg(long, value_name = "R,G,B", value_parser = colour)]
    pub mean: Option<[f32; 3]>,
    /// The deviation of each colour [default: from the model's card]
    #[arg(long, value_name = "R,G,B", value_parser = deviation)]
    pub std: Option<[f32; 3]>,
    /// Where to compute: `auto` takes the best device that works; see `cam devices`
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub device: String,
    /// What the network computes in: f32, f16, bf16; maps are computed in f32
    #[arg(long, value_name = "NAME", default_value_t, value_parser = Precision::from_str)]
    pub precision: Precision,
    /// Pictures in one pass
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// The folder that pictures and arrays go to
    #[arg(long, value_name = "DIR", default_value = "cam-out")]
    pub out: PathBuf,
    /// Write each map beside its picture as a float32 .npy (H,W): input-sized, 0 to 1
    #[arg(long)]
    pub npy: bool,
    /// Write each map as a float32 .npy (h,w): signed, unscaled, of the layer's resolution
    #[arg(long)]
    pub raw: bool,
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
    /// The colours of the maps
    #[arg(long, value_name = "NAME", default_value = ColourMap::default().name(), value_parser = PossibleValuesParser::new(ColourMap::ALL.map(ColourMap::name)))]
    pub colormap: String,
}

/// Which model, and where its weights come from.
#[derive(clap::Args)]
pub struct Model {
    /// The model: see `cam models` [default: the one that the weights are of, or else the built-in one]
    #[arg(long = "model", value_name = "NAME")]
    pub name: Option<String>,
    /// Its weights: a .safetensors, .pth or .pt file of torchvision or timm, or Burn's .bpk [default: from the cache of the
    /// Hugging Face hub, fetched on first use]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Layers {
    #[command(flatten)]
    pub model: Model,
    /// Rank them by how well their maps of the top class of this picture explain its score
    #[arg(long, value_name = "PHOTO")]
    pub rank: Option<PathBuf>,
    /// The method of those maps: see `cam methods`
    #[arg(long, value_name = "NAME", default_value = METHODS[0].name(), requires = "rank")]
    pub method: String,
}

/// Which score of a class is explained.
#[derive(Clone, Copy, ValueEnum)]
pub enum ScoreArg {
    /// The output of the network for the class
    Logit,
    /// Its probability
    Softmax,
    /// The logit plus the log-probability, which does not saturate
    LogOdds,
    /// What sets the class apart from the three that are most like it (Finer-CAM)
    Finer,
}

/// Which evidence is shown.
#[derive(Clone, Copy, ValueEnum)]
pub enum SignArg {
    /// What speaks for the class
    Positive,
    /// What speaks against it
    Negative,
    /// How much there is of either
    Absolute,
}

impl From<SignArg> for Rectify {
    fn from(sign: SignArg) -> Self {
        match sign {
            SignArg::Positive => Rectify::Positive,
            SignArg::Negative => Rectify::Negative,
            SignArg::Absolute => Rectify::Absolute,
        }
    }
}

/// How the maps of several layers become one.
#[derive(Clone, Copy, ValueEnum)]
pub enum FuseArg {
    Mean,
    Max,
    /// What all layers agree on (RefineCAM)
    Product,
    /// The largest, with weak evidence of shallow layers lifted (LayerCAM)
    Tanh,
}

impl From<FuseArg> for Fusion {
    fn from(fuse: FuseArg) -> Self {
        match fuse {
            FuseArg::Mean => Fusion::Mean,
            FuseArg::Max => Fusion::Max,
            FuseArg::Product => Fusion::Product,
            FuseArg::Tanh => Fusion::TanhMax(2.0),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ResizeArg {
    Squash,
    Crop,
}

impl From<ResizeArg> for Resize {
    fn from(resize: ResizeArg) -> Self {
        match resize {
            ResizeArg::Squash => Resize::Squash,
            ResizeArg::Crop => Resize::Crop,
        }
    }
}

fn colour(text: &str) -> Result<[f32; 3], String> {
    let numbers: Vec<f32> = text
        .split(',')
        .map(|number| number.trim().parse().ok().filter(|x: &f32| x.is_finite()))
        .collect::<Option<_>>()
        .ok_or("three numbers with commas between, as in 0.485,0.456,0.406")?;
    numbers.try_into().map_err(|_| "one number for each of red, green and blue".into())
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "a number above 0".into())
}

fn deviation(text: &str) -> Result<[f32; 3], String> {
    colour(text).and_then(|std| {
        if std.iter().all(|x| *x > 0.0) { Ok(std) } else { Err("a deviation is above 0".into()) }
    })
}

/// The methods of these names; Grad-CAM where there are none.
pub fn methods(names: &[String]) -> Result<Vec<&'static dyn cam_core::Method>, cam_core::Error> {
    if names.is_empty() {
        Ok(vec![METHODS[0]])
    } else {
        names.iter().map(|name| cam_core::method_named(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn colours_are_three_numbers() {
        assert_eq!(colour("0.5, 0.25,1"), Ok([0.5, 0.25, 1.0]));
        assert!(colour("0.5,0.25").is_err() && colour("a,b,c").is_err() && colour("nan,0,0").is_err());
        assert!(deviation("0.5,0,1").is_err());
    }
}
