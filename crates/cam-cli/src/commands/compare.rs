//! `cam compare`: many methods on one sheet.

use crate::args::completion;
use crate::args::model::ModelArgs;
use crate::args::overlay::OverlayArgs;
use crate::args::strategy::StrategyArgs;
use crate::args::target::TargetArgs;
use crate::commands::{compare_models, runs_often, why_not};
use crate::registry;
use crate::report::console::Console;
use crate::report::contact_sheet;
use crate::report::failure::Failure;
use crate::report::json::{MapReport, Seconds};
use crate::run::sheets::{ImageSheet, SheetArgs, summary};
use burn_cam::{AnyModel, AnyTarget, Error, ImageModel, Method};
use serde_json::json;

/// The first of the examples, which `-h` shows.
pub const SHORT_EXAMPLES: &str = "\
Examples, and all options with `--help`:
  cam compare dog_cat.jpg --model resnet50 --class 'bull mastiff' --class 'tiger cat'
  cam compare dog.jpg --model before.pth --model after.pth";

pub const EXAMPLES: &str = "\
Examples:
  cam compare cam-out/scene.png
      Every quick method, for the top class
  cam compare dog_cat.jpg --model resnet50 --class 'bull mastiff' --class 'tiger cat'
      Methods by classes
  cam compare dog.jpg --model resnet50 --method gradcam,layercam,eigencam --layer all
      Layers by methods
  cam compare dog.jpg --weights my_finetuned.pth --slow --preview
      The slow methods, too, and the sheet in the terminal
  cam compare dog.jpg --model before.pth --model after.pth
      Two models: their maps, the difference, and how far their outputs are apart";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub targets: TargetArgs,
    /// A method, or several: see `cam methods` [default: all quick ones]
    ///
    /// Several are separated by commas, or given several times.
    #[arg(long = "method", help_heading = "Method", value_name = "NAME", value_delimiter = ',', value_parser = completion::METHODS, hide_possible_values = true)]
    pub methods: Vec<String>,
    /// The slow methods, too: those that run the whole network for every channel
    #[arg(long, help_heading = "Method", conflicts_with = "methods")]
    pub slow: bool,
    #[command(flatten)]
    pub strategy: StrategyArgs,
    #[command(flatten)]
    pub overlay: OverlayArgs,
    #[command(flatten)]
    pub sheets: SheetArgs,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    if args.targets.files().next().is_some() {
        return Err(Failure::Usage("`--mask` and `--like` are for `cam explain`".into()));
    }
    if let Some(models) = args.model.pair()? {
        return compare_models::run(args, models, console);
    }
    let requested = args.methods()?;
    args.overlay.painter(args.strategy.asks_for_both())?;
    let sheets = args.sheets.open("compare", &args.model, console)?;
    let model = args.model.open(&sheets.device, console)?;
    let sign = args.strategy.sign(&model);
    let painter = args.overlay.painter(sign.is_signed())?;
    let targets = args.targets.targets(&model, console)?;
    let first = targets.first().cloned();
    let first = first.map_or_else(|| args.targets.scored(model.decoder().ranked(0)), Ok)?;
    let layers = args.strategy.layers(&model)?;
    let (methods, skipped) = applicable(&model, &layers, &requested, &first)?;
    let name = model.info().name;
    console.detail(format_args!("{name} on {}", sheets.device_name));
    let explainer =
        args.strategy.explainer(&model, (&args.targets, &targets), &methods, &layers, &sheets.console);
    let options = json!({
        "model": args.model.identity(&model),
        "methods": methods.iter().map(|method| method.name()).collect::<Vec<_>>(),
        "layers": layers,
        "targets": args.targets,
        "sign": sign,
        "strategy": args.strategy,
        "overlay": args.overlay,
    });
    let mut seconds = Seconds::default();
    let results = sheets.console.clone();
    let done = sheets.each(&model, options, |image| {
        let mut found = explainer.explain(&image.image)?;
        args.targets.set_probabilities(&model, &mut found);
        seconds += found.timings;
        results.result(summary(&image.source, &found.maps))?;
        let explained = [image.explained(found)];
        let drawing = contact_sheet::draw(&explained, &name, &painter, args.strategy.show_std)?;
        let [explained] = explained;
        let maps = explained.found.maps.iter().map(|map| MapReport::new(map, &painter));
        let maps = maps.collect::<Result<_, _>>()?;
        Ok(ImageSheet { drawing, predictions: explained.found.predictions, maps })
    });
    console.detail(&seconds);
    for (method, error) in skipped {
        console.warn(format_args!("skipped {}: {error}", method.name()));
    }
    if args.methods.is_empty() && !args.slow {
        let slow =
            registry().methods().iter().filter(|method| runs_often(**method)).map(|method| method.name());
        let slow = slow.collect::<Vec<_>>().join(", ");
        console.warn(format_args!("skipped the slow methods {slow}: `--slow` includes them"));
    }
    done
}

impl Args {
    /// Returns the methods that are asked for.
    fn methods(&self) -> Result<Vec<&'static dyn Method>, Failure> {
        if !self.methods.is_empty() {
            return self.strategy.methods(&self.methods);
        }
        let methods = registry().methods().iter().filter(|method| self.slow || !runs_often(**method));
        Ok(methods.map(|method| self.strategy.seeded(self.strategy.budget.limited(*method))).collect())
    }
}

/// Methods that cannot explain a network, each with the reason.
type Skipped = Vec<(&'static dyn Method, Error)>;

/// Returns the methods that can explain this network, and those that cannot.
fn applicable(
    model: &AnyModel,
    layers: &[String],
    methods: &[&'static dyn Method],
    target: &AnyTarget,
) -> Result<(Vec<&'static dyn Method>, Skipped), Error> {
    let (mut applicable, mut skipped) = (Vec::new(), Vec::new());
    for &method in methods {
        match why_not(model, method, layers, target)? {
            None => applicable.push(method),
            Some(error) => skipped.push((method, error)),
        }
    }
    match (applicable.is_empty(), skipped.pop()) {
        (true, Some((_, error))) => Err(error),
        (_, last) => {
            skipped.extend(last);
            Ok((applicable, skipped))
        }
    }
}
