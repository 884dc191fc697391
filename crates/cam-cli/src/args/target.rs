//! Which scores are explained.

use crate::registry;
use crate::report::console::Console;
use burn_cam::{AnyTarget, Error, ImageExplainer, ImageModel, TargetInfo};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

/// The most classes that a network can have: the longest side of a tensor that is recognized.
pub const MOST_CLASSES: i64 = 1 << 17;

/// Which scores of each image are explained.
#[derive(clap::Args, Serialize)]
#[group(id = "targets")]
#[command(next_help_heading = "What to explain")]
pub struct TargetArgs {
    /// A class, by number or name, or several [default: the top class]
    ///
    /// The option may be given several times. By default it is the top class of each image; of classes that do not exclude each other all with a probability of at least a half.
    #[arg(long = "class", value_name = "ID|NAME", allow_negative_numbers = true)]
    pub classes: Vec<String>,
    /// Explain the K most confident predictions of each image
    #[arg(long, value_name = "K", conflicts_with = "classes", value_parser = clap::value_parser!(u32).range(1..=MOST_CLASSES), allow_negative_numbers = true)]
    pub top: Option<u32>,
    /// Which score of a class is explained
    #[arg(long, hide_short_help = true, value_name = "NAME", default_value = registry().targets()[0].name, value_parser = scores())]
    pub score: String,
}

/// Returns the names of the scores, with their help.
fn scores() -> PossibleValuesParser {
    let value = |target: &burn_cam::TargetInfo| PossibleValue::new(target.name).help(target.about);
    PossibleValuesParser::new(registry().targets().iter().map(value))
}

impl TargetArgs {
    /// Returns the targets that are asked for; none for those that are explained by default.
    pub fn targets(&self, model: &impl ImageModel, console: &Console) -> Result<Vec<AnyTarget>, Error> {
        let decoder = model.decoder();
        if self.info().is_some_and(|score| score.exclusive) && decoder.explains_several() {
            console.warn(format_args!(
                "`--score {}` is for classes that exclude each other, and those of this model do not",
                self.score
            ));
        }
        if let Some(top) = self.top {
            let (top, classes) = (top as usize, decoder.classes().unwrap_or(usize::MAX));
            if top > classes {
                console.warn(format_args!(
                    "`--top {top}`: the model has {classes} classes, and all are explained"
                ));
            }
            return (0..top.min(classes)).map(|rank| self.scored(decoder.ranked(rank))).collect();
        }
        self.classes.iter().map(|name| self.scored(decoder.target(name)?)).collect()
    }

    fn info(&self) -> Option<&'static TargetInfo> {
        registry().targets().iter().find(|target| target.name == self.score)
    }

    /// Returns the score of a target that is asked for.
    pub fn scored(&self, target: AnyTarget) -> Result<AnyTarget, Error> {
        registry().target(&self.score, target)
    }

    /// Returns an explainer that explains this score by default.
    pub fn explainer<'m, M: ImageModel>(&self, explainer: ImageExplainer<'m, M>) -> ImageExplainer<'m, M> {
        match self.info() {
            Some(target) => explainer.default_score(target.build),
            None => explainer,
        }
    }
}
