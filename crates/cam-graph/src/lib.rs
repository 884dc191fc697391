//! Makes any Burn module a model that can be explained: its forward pass is recorded as a graph of operators and run again with taps.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! [`record`] has an example. The steps of a recording:
//!
//! 1. `capture` runs the forward pass on Burn's capture device, with weights and inputs without data, and collects its operators.
//! 2. `graph` removes unused operators, folds constants, and makes a kernel of each operator (`operators`).
//! 3. `axes` tracks the meaning of the axes of each value, and `layers` finds the values that can be tapped and their names.
//! 4. `lower` finds operators that CPU kernels compute together.
//! 5. `run` computes the graph on demand, layer by layer, through the taps of [`cam_core`].

#![allow(clippy::result_large_err, reason = "a tensor that a kernel cannot take is returned unchanged")]

mod attention;
mod axes;
mod biases;
mod capture;
mod error;
mod graph;
mod layers;
mod lower;
mod operators;
mod precision;
mod randomize;
mod recorded;
mod run;
mod tensors;
mod tree;
mod values;

pub use cam_graph_derive::{Input, Tensors};
pub use cam_nn::{on_computing_thread, use_this_thread};
pub use capture::{detached, enter_module, straight_through};
pub use error::Error;
pub use precision::Precision;
pub use randomize::randomized;
pub use recorded::{Fallible, Forward, Recorded, record, record_fallible};
pub use tensors::{MapTensor, Tensors};
pub use tree::{LayerNode, LayerTree};
/// What the derive macros name.
#[doc(hidden)]
pub use {
    burn,
    cam_core::{Companion, Input},
};
