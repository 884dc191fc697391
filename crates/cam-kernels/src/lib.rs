//! What inference spends its time on, on the CPU: convolutions, linear layers, attention, norms and pooling, and the ways back
//! through what transformers are made of, for pictures whose channels lie side by side (`[batch, height, width, channels]`).
//!
//! Everything is a product of rows of the input with a panel of weights. Panels are packed once; rows are read where they lie, so that
//! no matrix of patches is built. A bias, a residual and an activation are applied while the result is still in registers. Vectors
//! are as wide as the machine has them (AVX-512, AVX2, NEON; found at run time), work is shared out by rayon.
//!
//! ```
//! use cam_kernels::{Activation, Conv, Picture, Window};
//!
//! let weight = [1.0, 2.0]; // two channels become one
//! let conv = Conv::new(&weight, [1, 2, 1, 1], Some(&[0.5]), Window::default(), 1);
//! let x = [1.0, 1.0, -4.0, 1.0]; // two pixels
//! let out = conv.forward(Picture::nhwc(&x, [1, 1, 2, 2]), None, Activation::Relu, Vec::new());
//! assert_eq!(out, [3.5, 0.0]);
//! ```

mod aligned;
mod attention;
mod conv;
mod depthwise;
mod gelu;
mod math;
mod norm;
mod outputs;
mod panel;
mod picture;
mod pool;
mod share;
mod tile;
mod winograd;

pub use attention::Attention;
pub use conv::Conv;
pub use gelu::{gelu, gelu_back};
pub use norm::{layer_norm, layer_norm_back};
pub use outputs::Outputs;
pub use picture::{Picture, Window};
pub use pool::max_pool;
pub use tile::Activation;
