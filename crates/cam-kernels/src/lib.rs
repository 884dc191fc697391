//! CPU kernels: convolutions, linear layers, attention, norms and pooling, and the backward passes of the parts of transformers. Images
//! are in channels-last order, `[batch, height, width, channels]`.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! Every convolution and linear layer is a product of input rows with panels of weights. Panels are packed once; rows are read in
//! place, so no im2col matrix is built. Bias, residual and activation are applied while the result is still in registers. The widest
//! vectors of the machine (AVX-512, AVX2, NEON) are chosen at run time; rayon spreads the work over threads.
//!
//! ```
//! use cam_kernels::{Activation, Conv, ImageView, Window};
//!
//! let weight = [1.0, 2.0]; // two channels become one
//! let conv = Conv::new(&weight, [1, 2, 1, 1], Some(&[0.5]), Window::default(), 1);
//! let x = [1.0, 1.0, -4.0, 1.0]; // two pixels
//! let out = conv.forward(ImageView::nhwc(&x, [1, 1, 2, 2]), None, Activation::Relu, Vec::new());
//! assert_eq!(out, [3.5, 0.0]);
//! ```

mod aligned;
mod attention;
mod conv;
mod depthwise;
mod gate;
mod gelu;
mod gemv;
mod math;
mod norm;
mod normed;
mod packing;
mod partition;
mod pool;
mod threads;
mod tile;
mod view;
mod winograd;

pub use attention::Attention;

pub use conv::Conv;
pub use gate::gate;
pub use gelu::{gelu, gelu_backward};
pub use gemv::Gemv;
pub use norm::{layer_norm, layer_norm_backward};
pub use normed::Normed;
pub use pool::{max_pool, mean, mean_pool};
pub use threads::{keep_awake, on_computing_thread, use_this_thread};
pub use tile::Activation;
pub use view::{ImageView, Window};
