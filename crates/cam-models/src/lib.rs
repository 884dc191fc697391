//! Image classifiers on the Burn framework, each an ordinary module: ResNet, VGG, DenseNet, MNASNet, ViT and DeiT, Swin, their weights
//! from torchvision and timm files, and a small model that is built in. [`Network::record`] makes a model to explain of each, as of
//! anybody's module.
//!
//! ```
//! use burn::tensor::Device;
//! use cam_core::{Explain, Explainer, GradCam, Top};
//! use cam_models::{Classifier, Resize};
//!
//! let device = Device::flex();
//! let model = Classifier::builtin(&device)?;
//! let photo = image::RgbImage::from_pixel(300, 200, image::Rgb([90, 120, 60]));
//! let (input, _) = model.card().preprocess(Resize::Squash).apply(&photo, &device);
//! let found = Explainer::new(&model).layer(&model.card().layer).method(GradCam).explain(input, &Top)?;
//! assert_eq!(found.maps[0].heatmap.dims(), [1, 128, 128]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod card;
mod classifier;
mod detection;
mod digest;
mod error;
#[cfg(feature = "hub")]
mod hub;
mod labels;
mod precision;
mod prediction;
mod preprocess;
mod weights;
pub mod zoo;

pub use card::{Card, Labels, Logits};
pub use classifier::{Classifier, SCENES};
pub use error::{Error, Mismatch};
#[cfg(feature = "hub")]
pub use hub::Hub;
pub use labels::class_named;
pub use precision::Precision;
pub use prediction::Prediction;
pub use preprocess::{
    Filter, MOST_PIXELS, Preprocess, Resize, View, check_photo_size, decode_photo, read_photo,
};
pub use weights::Weights;
pub use zoo::{Config, Network, RecordedNetwork, TensorShapes};
