//! Where did the network look? An image in, a map over it out.
//!
//! ```
//! use burn_cam::{Classifier, Device, ImageInput};
//!
//! # let folder = tempfile::tempdir()?;
//! # let [image, out] = ["photo.png", "out.png"].map(|name| folder.path().join(name));
//! # cam_scenes::Scene::draw(7, 200)?.image.save(&image)?;
//! let model = Classifier::builtin(&Device::flex())?;
//! let image = ImageInput::open(image)?;
//! let map = burn_cam::explain(&model, &image)?;
//! map.save(out)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`explain`] explains the top class by the [default method](default_method) of the model. An [`ImageExplainer`] does more:
//!
//! ```
//! # use burn_cam::{Classifier, Device};
//! use burn_cam::{GradCam, ImageExplainer, LayerCam};
//!
//! # let model = Classifier::builtin(&Device::flex())?;
//! # let image = cam_scenes::Scene::draw(7, 200)?.image;
//! let found = ImageExplainer::new(&model)
//!     .class("clock")?
//!     .class("fish")?
//!     .method(GradCam)
//!     .method(LayerCam)
//!     .layer("layer3.0")
//!     .explain(&image)?;
//! for map in &found.maps {
//!     println!("{} by {} at {}: hottest at {:?}", map.label, map.method.title, map.layer, map.peak());
//! }
//! assert_eq!(found.maps.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A Burn module of your own is explained as it is, with no changed line: see [`record`]. A model that cannot be recorded names its layers
//! by hand and implements [`ImageModel`]. A weight file of torchvision or timm is opened by [`open`].
//!
//! # The crates behind it
//!
//! `burn-cam` is the crate whose API is promised. The others are its parts and may change with any release:
//!
//! - [`cam_core`]: attribution for tensors of any rank: taps, methods, targets, wrappers,
//! - [`cam_graph`]: any Burn module as a model: its forward pass recorded, its layers found,
//! - [`cam_image`]: images from files, the inputs made of them, and the predictions that scores stand for,
//! - [`cam_models`]: ResNet, ViT, Swin and others, and their weights,
//! - [`cam_viz`]: heat maps, color maps, overlays, contact sheets.
//!
//! # Features
//!
//! The feature `metrics` measures how good maps are, see the module `metrics`.
//!
//! The feature `zoo`, on by default, has the shipped networks, their weights and their model cards; `hub` fetches weights by name. A
//! program with a model of its own needs neither: `default-features = false, features = ["cpu"]`. `onnx`, on by default, opens ONNX files;
//! `formats`, on by default, reads GIF, TIFF and WebP, and writes WebP.
//!
//! # Devices
//!
//! The feature `cpu`, on by default, has Burn's CPU backend; `gpu`, `vulkan`, `metal`, `wgpu` and `cuda` have GPUs, and the crate
//! `cam_device`, which finds them and opens the best that works, `cam_device::open("auto".parse()?)?`.
//!
//! # Threads
//!
//! Models, explainers and results are `Send` and `Sync`: several threads may explain with one model at a time, and get the same maps
//! to the bit as one thread would.

mod applies;
mod ask;
mod concepts;
mod decoder;
mod default_method;
mod detect;
mod embed;
mod error;
mod explainer;
mod explanation;
mod guided;
pub mod heads;
mod input;
mod layers;
#[cfg(feature = "metrics")]
pub mod metrics;
mod model;
#[cfg(feature = "onnx")]
mod onnx;
mod open;
mod recorded;
mod registry;
mod segment;
mod texts;
#[cfg(feature = "zoo")]
mod zoo;

pub use applies::applies;
pub use ask::{Ask, Aspect};
pub use concepts::Concept;
pub use decoder::{AnyTarget, Classify, Decoder, Mask, Place, Prediction};
pub use default_method::default_method;
pub use detect::{BoxOutput, Detect, Suppression};
pub use embed::{Embed, Regress};
pub use error::{Error, ErrorKind, UnknownName};
pub use explainer::{ImageExplainer, explain};
pub use explanation::{ImageExplanation, ImageMap, Timings, draw_predictions, heat_maps};
pub use input::ImageInput;
pub use layers::{layer_sweep, layers, rank_layers};
pub use model::{AnyModel, ImageModel, ModelInfo};
pub use open::{HEAD, HUB, ModelRequest, OpenModel, Opener, open};
pub use recorded::{RecordedModel, record, record_with};
pub use registry::Registry;
pub use segment::{MapOutput, Segment};
pub use texts::Texts;

pub use burn::tensor::Device;
pub use cam_core::{
    AnyOf, At, Attention, AttributionMaps, BestBox, Binary, Brightness, Class, Classes, Companion, Cost,
    Detection, DetectionRow, Detections, Evidence, Explain, Explainer, Explanation, Finer, Flip, Fusion,
    Goal, Inspect, LayerContext, LayerInfo, Layout, LikelierSide, LogOdds, METHODS, MapNumbers, Method,
    MethodInfo, Model, Ncdhw, Nchw, Ncl, Needs, Nhwc, NoModule, Noise, Part, Pool, Progress, Ranked,
    RankedLayer, Reads, Rectify, Region, Rise, Rivals, Rows, Sampling, Scale, Sess, Sigmoid, SimilarBox,
    Similarity, Smooth, Softmax, TARGETS, Tapped, Taps, Target, TargetInfo, Tokens, Top, UniqueCopies, Value,
    View, Warning, Wrapped, Wrapper, WrapperInfo, choose_layer, guided_backprop, guided_gradcam,
    method_named, methods::*,
};
#[cfg(feature = "device")]
pub use cam_device;
pub use cam_graph::{
    Input, LayerNode, LayerTree, MapTensor, Precision, Tensors, on_computing_thread, use_this_thread,
};
pub use cam_image::{
    Bands, ChannelOrder, Cropping, Filter, InputLayout, Logits, MOST_PIXELS, PHOTO_EXTENSIONS, Photo,
    PhotoNote, PhotoReader, Preprocess, Resize, ValueRange, check_photo_size,
};
#[cfg(feature = "zoo")]
pub use cam_models::{
    self, Activation, Antialias, AnyArchitecture, Architecture, ArchitectureOptions, Classifier, Family,
    HeadLayer, ModelCard, TensorShapes, TokenPool, sha256,
};
pub use cam_viz::{Area, ColorMap, HeatMap, Overlay};
pub use {burn, cam_core, cam_graph, cam_image, cam_viz, image};

/// Drawing: what [`cam_viz`] makes of maps and images.
pub mod draw {
    pub use cam_viz::{
        ColorBar, ColorMap, Error, Figure, Gradient, Marker, Mode, Mosaic, Overlay, Region, Rgb, RgbImage,
        Sheet, Threshold, class_color, draw_box, encode, enlarged, outline, png_text, remove_stale, save,
        with_png_text, write,
    };
}

/// What can be read can be drawn: an image takes half of a page at most, beside captions and a color bar.
const _: () = assert!(2 * cam_image::MOST_PIXELS <= cam_viz::MAX_PIXELS);

/// The code of the documents is tested here.
#[cfg(all(doctest, feature = "zoo"))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/your-model.md")]
    struct YourModel;
    #[doc = include_str!("../../../docs/detection.md")]
    struct Detection;
    #[doc = include_str!("../../../docs/methods.md")]
    #[cfg(feature = "metrics")]
    struct Methods;
    #[doc = include_str!("../../../docs/gpu.md")]
    #[cfg(feature = "device")]
    struct Gpu;
}
