//! Neural network layers with fixed parameters. On the CPU they use [`cam_kernels`] for the forward and the backward pass, elsewhere Burn's
//! operations.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.

#![allow(clippy::result_large_err, reason = "an input that a kernel cannot take is returned unchanged")]

mod activation;
mod attention;
mod channel_norm;
mod conv;
mod cpu;
mod gate;
mod linear;
mod norm;
mod pool;

pub use activation::gelu;
pub use attention::{FusedAttention, first_token_attention};
pub use cam_kernels::{Activation, Window, on_computing_thread, use_this_thread};
pub use channel_norm::ChannelNorm;
pub use conv::FusedConv;
pub use cpu::{computes_on, has_channels_last};
pub use gate::gated_channels;
pub use linear::{FusedLinear, to_output_major};
pub use norm::FusedNorm;
pub use pool::{max_pool, mean_of_images, mean_pool};
