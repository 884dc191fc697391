//! Layers of networks of fixed parameters, each with its ways inside: by [`cam_kernels`] on the CPU, forwards and back, and by Burn's
//! operations where those cannot be used.
//!
//! It is an inner part of `cam-graph`, and may change with it.

#![allow(clippy::result_large_err, reason = "an input that a kernel cannot take is given back as it was")]

mod activation;
mod attention;
mod conv;
mod cpu;
mod linear;
mod norm;
mod pool;

pub use activation::gelu;
pub use attention::{FusedAttention, attention_of_first};
pub use cam_kernels::{Activation, Window};
pub use conv::FusedConv;
pub use cpu::computes_on;
pub use linear::{FusedLinear, by_outputs};
pub use norm::FusedNorm;
pub use pool::max_pool;
