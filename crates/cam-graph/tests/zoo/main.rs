//! Ordinary Burn modules, recorded and compared with themselves.
//!
//! [`support::Case`] describes what is compared.

mod support;

mod activations;
mod attention;
mod convolutions;
mod inputs;
mod networks;
mod norms;
mod positions;
mod recurrent;
mod refusals;
mod stated;
mod transformers;
mod unchanged;
