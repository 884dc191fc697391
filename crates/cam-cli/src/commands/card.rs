//! `cam card`: what is known of a model, as a card that can be edited.

use crate::args::model::ModelArgs;
use crate::report::console::Console;
use crate::report::failure::Failure;
use burn_cam::{Device, ImageModel};

pub const EXAMPLES: &str = "\
Examples:
  cam card --weights my.pth > my.toml
      What was recognized, with a comment on where each field comes from; a card beside the weights is read with them
  cam card --model resnet50
  cam explain dog.jpg --weights my.pth --card other.toml";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let info = args.model.open_untrained(&Device::flex(), console)?.info();
    ModelArgs::announce(&info, console);
    console.print(info.card.unwrap_or_default().trim_end())
}
