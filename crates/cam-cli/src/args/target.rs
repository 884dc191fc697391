//! Which scores are explained.

use crate::registry;
use burn_cam::{AnyTarget, Error, ImageModel};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

/// Which scores of each image are explained.
#[derive(clap::Args, Serialize)]
#[group(id = "targets")]
#[command(next_help_heading = "Classes")]
pub struct TargetArgs {
    /// A class, by number or name; may be given several times [default: the top class of each image]
    #[arg(long = "class", value_name = "ID|NAME")]
    pub classes: Vec<String>,
    /// Explain the K most confident predictions of each image
    #[arg(long, value_name = "K", default_value_t = 1, conflicts_with = "classes", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Which score of a class is explained
    #[arg(long, value_name = "NAME", default_value = registry().targets()[0].name, value_parser = scores())]
    pub score: String,
}

/// Returns the names of the scores, with their help.
fn scores() -> PossibleValuesParser {
    let value = |target: &burn_cam::TargetInfo| PossibleValue::new(target.name).help(target.about);
    PossibleValuesParser::new(registry().targets().iter().map(value))
}

impl TargetArgs {
    /// Returns the targets that are asked for.
    pub fn targets(&self, model: &impl ImageModel) -> Result<Vec<AnyTarget>, Error> {
        let decoder = model.decoder();
        let scored = |target| registry().target(&self.score, target);
        match &self.classes[..] {
            [] => (0..self.top as usize).map(|rank| scored(decoder.ranked(rank))).collect(),
            names => names.iter().map(|name| scored(decoder.target(name)?)).collect(),
        }
    }
}
