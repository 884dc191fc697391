//! Ordinary modules over Burn's layers, written as users write them, recorded and compared with themselves.
//!
//! See [`support::Case`] for what is compared.

mod support;

mod activations;
mod attention;
mod convolutions;
mod inputs;
mod networks;
mod norms;
mod places;
mod recurrent;
mod refusals;
mod transformers;
mod unchanged;
