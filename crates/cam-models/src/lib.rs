//! Image classifiers on the Burn framework, each an ordinary module: ResNet, VGG, DenseNet, MNASNet, ViT and DeiT, Swin, ConvNeXt, their weights
//! from torchvision and timm files, and a small built-in model.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! ```
//! use burn::tensor::Device;
//! use cam_core::{Explain, Explainer, GradCam, Top};
//! use cam_models::Classifier;
//!
//! let device = Device::flex();
//! let model = Classifier::builtin(&device)?;
//! let photo = image::RgbImage::from_pixel(300, 200, image::Rgb([90, 120, 60]));
//! let (input, _) = model.card().preprocess().apply(&photo, &device)?;
//! let found = Explainer::new(&model).layer(&model.card().layer).method(GradCam).explain(input, &Top)?;
//! assert_eq!(found.maps[0].heatmap.dims(), [1, 128, 128]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod card_layers;
mod card_text;
mod classifier;
mod detection;
mod digest;
mod erased;
mod error;
mod family;
mod file_card;
mod folder;
#[cfg(feature = "hub")]
mod hub;
mod labels;
mod model_card;
mod options;
mod registry;
mod text_file;
mod weights;
pub mod zoo;

pub use card_layers::{CardLayers, Origin};
pub use classifier::Classifier;
pub use detection::{Basis, Detection};
pub use digest::sha256;
pub use erased::{AnyArchitecture, AnyNetwork, RecordedNetwork};
pub use error::{Error, Mismatch};
pub use family::{Architecture, Family, TensorShapes};
pub use file_card::{Facts, FileCard, FileFacts};
pub use folder::Folder;
#[cfg(feature = "hub")]
pub use hub::Hub;
pub use labels::class_names;
pub use model_card::{Labels, ModelCard};
pub use options::{Activation, Antialias, ArchitectureOptions, HeadLayer, TokenPool};
pub use registry::Registry;
pub use weights::{Shapes, Weights};
