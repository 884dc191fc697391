//! Words that shells complete. Any other is taken too: what is wrong with it is told where it is used, with the names near it.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// Takes any word, and knows these.
#[derive(Clone)]
pub struct Words(fn() -> Vec<String>);

/// The names of methods.
pub const METHODS: Words =
    Words(|| cam_core::METHODS.iter().map(|method| cam_core::Method::name(method).into()).collect());

/// The names of models.
pub const MODELS: Words = Words(|| cam_models::ModelCard::all().into_iter().map(|card| card.name).collect());

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, word: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, argument, word)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}
