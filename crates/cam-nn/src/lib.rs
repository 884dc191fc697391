//! Layers of networks on the CPU, computed by [`cam_kernels`] from Burn's tensors, forwards and back.
//!
//! It is an inner part of `cam-models` and `cam-graph`, and may change with them.

#![allow(clippy::result_large_err, reason = "an input that cannot be taken is given back as it was")]

mod cpu;

pub use cpu::*;
