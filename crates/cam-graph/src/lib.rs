//! Burn modules recorded as a graph.

mod attention;
mod axes;
mod biases;
mod capture;
mod error;
mod graph;
mod layers;
mod lower;
mod operators;
mod recorded;
mod run;
mod tensors;
mod values;

pub use error::Error;
pub use recorded::{Recorded, record};
pub use tensors::{MapTensor, Tensors};
