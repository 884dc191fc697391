//! Where did the network look? A photo in, a map over it out.
//!
//! ```
//! use burn_cam::{Classifier, Device, Photo};
//!
//! # let folder = tempfile::tempdir()?;
//! # let [photo, out] = ["photo.png", "out.png"].map(|name| folder.path().join(name));
//! # cam_scenes::Scene::draw(7, 200)?.picture.save(&photo)?;
//! let model = Classifier::builtin(&Device::flex())?;
//! let photo = Photo::open(photo)?;
//! let map = burn_cam::explain(&model, &photo)?;
//! map.save(out)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`explain`] asks for the top class by Grad-CAM. Ask for more with a [`PhotoExplainer`]:
//!
//! ```
//! # use burn_cam::{Classifier, Device};
//! use burn_cam::{GradCam, LayerCam, PhotoExplainer};
//!
//! # let model = Classifier::builtin(&Device::flex())?;
//! # let photo = cam_scenes::Scene::draw(7, 200)?.picture;
//! let found = PhotoExplainer::new(&model)
//!     .class("clock")?
//!     .class("fish")?
//!     .method(GradCam)
//!     .method(LayerCam)
//!     .layer("layer3.0")
//!     .explain(&photo)?;
//! for map in &found.maps {
//!     println!("{} by {} at {}: hottest at {:?}", map.label, map.method, map.layer, map.peak());
//! }
//! assert_eq!(found.maps.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A Burn module of your own is explained as it is, with no changed line: see [`record`]. One that cannot be recorded names its layers
//! by hand and joins in with [`PhotoModel`].
//!
//! # What is where
//!
//! This crate is the glue between four that can be used alone, and holds what most programs need of them:
//!
//! - [`cam_core`]: taps, methods, targets; tensors in, tensors out, of any rank,
//! - [`cam_graph`]: any Burn module as a model, its forward pass recorded and its layers found,
//! - [`cam_models`]: ResNet, ViT, Swin and others with their weights and preprocessing,
//! - [`cam_viz`]: heat maps, colors, overlays, sheets.
//!
//! # Devices
//!
//! The feature `cpu`, on by default, brings Burn's CPU backend; `gpu`, `vulkan`, `metal`, `wgpu` and `cuda` bring graphics cards,
//! and the crate `cam_device`, which finds them and starts the best that works, `cam_device::open("auto".parse()?)?`.
//!
//! # Threads
//!
//! Models, explainers and results are `Send` and `Sync`: several threads may explain with one model at a time, and get the same
//! maps to the bit as one thread would.

mod error;
mod explainer;
mod found;
mod model;
mod photo;
mod recorded;

pub use error::Error;
pub use explainer::{PhotoExplainer, explain};
pub use found::{Found, PhotoMap, heat_maps};
pub use model::PhotoModel;
pub use photo::Photo;
pub use recorded::{RecordedModel, record};

pub use burn::tensor::Device;
pub use cam_core::{
    Class, Explain, Explainer, Finer, Inspect, Layout, LogOdds, Method, Model, Nchw, Nhwc, NoModule, Ranked,
    Rectify, Scale, Smooth, Softmax, Tapped, Taps, Target, Tokens, Top, Warning, method_named, methods::*,
};
#[cfg(feature = "device")]
pub use cam_device;
pub use cam_models::{Card, Classifier, Logits, Prediction, Preprocess, Resize};
pub use cam_viz::{Area, ColorMap, HeatMap, Overlay};
pub use {cam_core, cam_graph, cam_models, cam_viz, image};

/// What can be read can be drawn: a photo takes half of a page at most, beside captions and a color bar.
const _: () = assert!(2 * cam_models::MOST_PIXELS <= cam_viz::MOST_PIXELS);

/// The code of the README is tested here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
