//! Class activation maps for models on the [Burn](https://burn.dev) framework.
//!
//! A model names its layers with [taps](Taps) in its own forward pass; an [`Explainer`] turns a [`Target`] (a class, or
//! any score) into heat maps that show where the network looked, by any [`Method`]. It runs on every Burn device.
//!
//! ```
//! use burn::nn::conv::{Conv2d, Conv2dConfig};
//! use burn::prelude::*;
//! use burn::tensor::activation::relu;
//! use cam_core::{Class, Explainer, GradCam, Inspect, Model, Nchw, Taps};
//!
//! #[derive(Module, Debug)]
//! struct Net {
//!     conv: Conv2d,
//! }
//!
//! impl Model for Net {
//!     fn module(&self) -> &dyn Inspect {
//!         self
//!     }
//!
//!     fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
//!         let x = taps.layer("conv", Nchw, || relu(self.conv.forward(images))); // the one changed line
//!         x.mean_dims(&[2, 3]).flatten(1, 3)
//!     }
//! }
//!
//! let device = Device::flex();
//! let net = Net { conv: Conv2dConfig::new([3, 10], [3, 3]).init(&device) };
//! let images = Tensor::ones([2, 3, 32, 32], &device);
//! let found = Explainer::new(&net).layer("conv").method(GradCam).explain(images, &Class(7))?;
//! assert_eq!(found.maps[0].heat.dims(), [2, 32, 32]);
//! # Ok::<(), cam_core::Error>(())
//! ```

mod alike;
mod choice;
mod concepts;
mod course;
mod error;
mod explainer;
mod explanation;
mod fusion;
mod guided;
mod inspect;
mod layout;
mod method;
pub mod methods;
mod model;
mod noise;
mod projection;
mod read;
mod resize;
mod scale;
mod seen;
mod send;
mod sess;
mod session;
mod smooth;
mod tap;
mod target;
mod warning;

pub use alike::{Alike, Chunk};
pub use choice::{RankedLayer, choose_layer, choose_layer_async, rank_layers, rank_layers_async};
pub use concepts::{Concepts, concepts, concepts_async};
pub use error::Error;
pub use explainer::{Explainer, Progress, layers};
pub use explanation::{Explanation, MapNumbers, Maps};
pub use fusion::Fusion;
pub use guided::{guided_backprop, guided_gradcam};
pub use inspect::{Inspect, NoModule};
pub use layout::{Attention, Layout, Ncdhw, Nchw, Ncl, Nhwc, Tokens};
pub use method::{Evidence, METHODS, Method, Sight, method_named};
pub use methods::*;
pub use model::{Companion, Input, Model, Tapped};
#[doc(hidden)]
pub use read::{now, read_backs, waits};
pub use resize::Sampling;
pub use scale::{Rectify, Scale};
pub use seen::{Edit, Finish, Seen};
#[doc(hidden)]
pub use send::uploads;
pub use sess::{Pool, Sess};
pub use smooth::{Brightness, Flip, Noise, Smooth, View};
pub use tap::{INPUT, LayerInfo, Rows, Taps};
pub use target::{
    BestBox, Binary, Class, Classes, Detections, Finer, Goal, LogOdds, Ranked, Region, Rivals, Similarity,
    Softmax, Target, Top, Value,
};
pub use warning::Warning;
