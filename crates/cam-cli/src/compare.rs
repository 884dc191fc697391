//! `cam compare`: many methods on one sheet.

use crate::console::Console;
use crate::failure::Failure;
use crate::options::Asked;
use crate::report::{Map, Seconds};
use crate::sheets::Made;
use crate::studio::{Explained, Studio, explainers};
use crate::{looking, model, painting, sheet, sheets, words};
use burn::tensor::{Device, Tensor};
use cam_core::{Error, Explain, Explainer, METHODS, Method, Reads, Target};
use cam_models::Classifier;
use serde_json::json;

pub const EXAMPLES: &str = "\
Examples:
  cam compare scene.png
      Every method that is quick, for the top class
  cam compare dog_cat.jpg --model resnet50 --class 'bull mastiff' --class 'tiger cat'
      Methods by classes
  cam compare dog.jpg --model resnet50 --method gradcam,layercam,eigencam --layer all
      Layers by methods
  cam compare dog.jpg --weights my_finetuned.pth --slow --preview
      The slow ones too, and the sheet in the terminal";

/// The methods that are left out unless they are asked for: they run the whole network for every channel.
const SLOW: [&str; 3] = ["scorecam", "sscam", "iscam"];

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub sheets: sheets::Asked,
    #[command(flatten)]
    pub model: model::Asked,
    /// A method: see `cam methods`; several with commas between, or given several times [default: all that are quick]
    #[arg(long = "method", value_name = "NAME", value_delimiter = ',', value_parser = words::METHODS, hide_possible_values = true)]
    pub methods: Vec<String>,
    /// The slow methods too: scorecam, sscam and iscam run the network for every channel, the last two many times
    #[arg(long, conflicts_with = "methods")]
    pub slow: bool,
    #[command(flatten)]
    pub look: looking::Asked,
    #[command(flatten)]
    pub asked: Asked,
    #[command(flatten)]
    pub painting: painting::Asked,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let wanted = args.wanted()?;
    let painter = args.painting.painter(args.look.sign.is_signed())?;
    let sheets = args.sheets.open("compare", &args.model, console)?;
    let model = model::load(&args.model, &sheets.device, console)?;
    let targets = args.asked.targets(&model)?;
    let layers = args.look.layers(&model, &sheets.device)?;
    let (methods, left_out) = fitting(&model, &layers, &wanted, targets[0].as_ref(), &sheets.device)?;
    console.detail(format_args!("{} on {}", model.card().name, sheets.device_name));
    let explainers = explainers(&args.look, &model, &layers, &methods, console);
    let lookings: Vec<_> = explainers.iter().map(|explainer| args.look.looking(explainer)).collect();
    let mut studio = Studio {
        model: &model,
        targets: &targets,
        layers: &layers,
        methods: &methods,
        lookings: &lookings,
        seconds: Seconds::default(),
    };
    let speaker = sheets.console.clone();
    let options = json!({
        "model": args.model.identity(&model),
        "methods": methods.iter().map(|method| method.name()).collect::<Vec<_>>(),
        "layers": layers,
        "asked": args.asked,
        "look": args.look,
        "painting": args.painting,
    });
    let made = sheets.each(&model, options, |picture| {
        let explained = [studio.explain_one(picture)?];
        let drawing = sheet::of(&explained, &studio, &painter)?;
        let [Explained { picture, top, maps }] = explained;
        speaker.say(sheets::told(&picture, &maps))?;
        let maps = maps.iter().map(|map| Map::of(&picture, map, &painter)).collect::<Result<_, _>>()?;
        Ok(Made { drawing, predictions: top, maps })
    });
    console.detail(&studio.seconds);
    for (method, error) in left_out {
        console.warn(format_args!("left out {}: {error}", method.name()));
    }
    if args.methods.is_empty() && !args.slow {
        console.warn(format_args!("left out {}, which are slow: `--slow` takes them", SLOW.join(", ")));
    }
    made
}

impl Args {
    /// The methods asked for.
    fn wanted(&self) -> Result<Vec<&'static dyn Method>, Failure> {
        if !self.methods.is_empty() {
            return Ok(self.look.cost.methods(&self.methods)?);
        }
        let taken = |method: &&&'static dyn Method| self.slow || !SLOW.contains(&method.name());
        Ok(METHODS.iter().filter(taken).copied().collect())
    }
}

/// Methods that cannot explain a network, each with the reason.
type LeftOut = Vec<(&'static dyn Method, Error)>;

/// The methods that can explain this network, and those that cannot, each with the reason. Who needs more of a network than a
/// layer with a gradient is tried out on a blank picture.
fn fitting(
    model: &Classifier,
    layers: &[String],
    wanted: &[&'static dyn Method],
    target: &dyn Target,
    device: &Device,
) -> Result<(Vec<&'static dyn Method>, LeftOut), Failure> {
    let [height, width] = model.card().size;
    let (mut fitting, mut left_out) = (Vec::new(), Vec::new());
    for &method in wanted {
        if method.info().reads == Reads::Layer && method.name() != "cam" {
            fitting.push(method);
            continue;
        }
        let explainer = layers.iter().fold(Explainer::new(model).method(method), Explainer::layer);
        match explainer.explain(Tensor::<4>::zeros([1, 3, height, width], device), target) {
            Ok(_) => fitting.push(method),
            Err(error @ (Error::NotLinear { .. } | Error::NoBiases | Error::NoAttention)) => {
                left_out.push((method, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    match (fitting.is_empty(), left_out.pop()) {
        (true, Some((_, error))) => Err(error.into()),
        (_, last) => {
            left_out.extend(last);
            Ok((fitting, left_out))
        }
    }
}
