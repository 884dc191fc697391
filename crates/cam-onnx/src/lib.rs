//! Reads ONNX files as Burn modules, so that any exported network can be explained without code.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! An [`OnnxModule`] is an ordinary module whose forward pass interprets the file with Burn's operations. It is recorded like any other
//! ([`cam_graph`]), and a recording has no trace of the interpreter left: shapes and constants are computed while it is made.
//!
//! 1. `wire` and `proto` read the file without copying it.
//! 2. `program` makes nodes, constants and weights of it, `paths` finds the modules of the exported network, and `patterns` puts together what
//!    exporters take apart.
//! 3. `run` computes node by node what `operators` define, on `array`s that are known or recorded.

mod array;
mod data;
mod error;
mod module;
mod operators;
mod paths;
mod patterns;
mod program;
mod proto;
mod run;
mod wire;

pub use error::Error;
pub use module::{OnnxModule, OutputActivation, Outputs, Port};
