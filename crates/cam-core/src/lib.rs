//! Class activation maps for models on the [Burn](https://burn.dev) framework.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! A model names its layers with [taps](Taps) in its own forward pass; an [`Explainer`] turns a [`Target`] (a class, or
//! any score) into heatmaps that show where the network looked, with any [`Method`]. It runs on every Burn device.
//!
//! ```
//! use burn::nn::conv::{Conv2d, Conv2dConfig};
//! use burn::prelude::*;
//! use burn::tensor::activation::relu;
//! use cam_core::{Class, Explain, Explainer, GradCam, Inspect, Model, Nchw, Taps};
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
//! let explanation = Explainer::new(&net).layer("conv").method(GradCam).explain(images, &Class(7))?;
//! assert_eq!(explanation.maps[0].heatmap.dims(), [2, 32, 32]);
//! # Ok::<(), cam_core::Error>(())
//! ```

mod concepts;
mod engine;
mod error;
mod explainer;
mod guided;
mod input;
mod inspect;
mod layer_selection;
mod layout;
pub mod methods;
mod model;
mod names;
mod post;
mod result;
mod tap;
mod targets;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(not(feature = "testing"))]
mod testing;
mod wrap;

pub use concepts::{Concepts, concepts, concepts_async};
pub use engine::read::block_on;
pub use engine::unique_copies::{Chunk, UniqueCopies};
pub use error::Error;
pub use explainer::{AtLayers, Explainer, Progress};
pub use guided::{guided_backprop, guided_gradcam};
pub use input::{At, Companion, Input};
pub use inspect::{Inspect, NoModule};
pub use layer_selection::{
    Levels, RankedLayer, choose_layer, choose_layer_async, choose_levels_async, layers, rank_layers,
    rank_layers_async,
};
pub use layout::{Attention, Layout, Ncdhw, Nchw, Ncl, Nhwc, Tokens};
pub use methods::context::{LayerContext, MaskFn, Perturb};
pub use methods::info::{Cost, MethodInfo, Needs, Reads};
pub use methods::method::{Evidence, Method};
pub use methods::registry::{METHODS, method_named};
pub use methods::*;
pub use model::{Model, Tapped};
pub use names::choices;
pub use post::{Rectify, Sampling, Scale};
pub use result::{AttributionMaps, Explanation, FlatMaps, MapNumbers, MapStats, Run, Warning};
pub use tap::{INPUT, LayerInfo, Rows, Taps};
pub use targets::{
    AnyOf, BestBox, Binary, BoxedTarget, Class, Classes, Detection, DetectionRow, Detections, Finer, Goal,
    LikelierSide, LogOdds, Part, Ranked, Region, Rivals, Sigmoid, SimilarBox, Similarity, Softmax, TARGETS,
    Target, TargetInfo, Top, Value, target_named,
};
pub use wrap::{
    Brightness, Explain, Explaining, Flip, Fusion, Inference, Noise, Pool, Rise, Running, Sess, Smooth, View,
    Wrapped, Wrapper, WrapperInfo,
};
