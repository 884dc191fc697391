//! Words that shells complete. Any other word is accepted, too: what is wrong with it is reported where it is used, with similar names.

use crate::registry;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// Accepts any word, and completes these.
#[derive(Clone)]
pub struct Completed(fn() -> Vec<String>);

/// The names of methods.
pub const METHODS: Completed =
    Completed(|| registry().methods().iter().map(|method| method.name().into()).collect());

/// The names of metrics, and of groups of them.
pub const METRICS: Completed = Completed(|| {
    let mut names: Vec<String> = registry().metrics().iter().map(|metric| metric.name().into()).collect();
    let mut groups: Vec<String> =
        registry().metrics().iter().map(|metric| metric.info().group.to_string()).collect();
    groups.dedup();
    names.extend(groups);
    names.push("all".into());
    names
});

/// The names of models.
pub const MODELS: Completed =
    Completed(|| registry().models().cards().map(|card| card.name.clone()).collect());

impl TypedValueParser for Completed {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, word: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, argument, word)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}
