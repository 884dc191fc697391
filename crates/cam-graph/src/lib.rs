//! Any Burn module as a model to explain: its forward pass is recorded as a graph of operators, and run again with taps.
//!
//! [`record`] has an example. The way of a recording:
//!
//! 1. `capture` runs the forward pass on Burn's capture device, with weights and inputs that hold no numbers, and gets its operators.
//! 2. `graph` leaves out what nothing reads, computes once what no input changes, and makes a kernel of each operator (`operators`).
//! 3. `axes` follows what the axes of each value stand for, and `layers` finds the values that can be looked at, and their names.
//! 4. `lower` finds the operators that the kernels of the CPU compute together.
//! 5. `run` computes the graph on demand, layer by layer, through the taps of [`cam_core`].

#![allow(clippy::result_large_err, reason = "a tensor that a kernel cannot take is given back as it was")]

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
mod tree;
mod values;

pub use cam_graph_derive::Tensors;
pub use error::Error;
pub use recorded::{Recorded, record};
pub use tensors::{MapTensor, Tensors};
pub use tree::{LayerNode, LayerTree};
