//! Images as inputs of networks: read from files, made inputs as in Python; and scores as predictions.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! ```
//! use burn::tensor::Device;
//! use cam_image::Preprocess;
//!
//! let photo = image::RgbImage::from_pixel(300, 200, image::Rgb([90, 120, 60]));
//! let (input, view) = Preprocess::IMAGENET.apply(&photo, &Device::flex())?;
//! assert_eq!(input.dims(), [1, 3, 224, 224]);
//! assert_eq!((view.width, view.height), (300.0, 200.0)); // the whole photo is seen
//! # Ok::<(), cam_image::Error>(())
//! ```

mod error;
pub mod foreign;
mod labels;
mod linear;
mod logits;
mod photo;
mod pillow;
mod prediction;
mod preprocess;

pub use error::Error;
pub use labels::{class_named, classes_matching};
pub use logits::Logits;
pub use photo::{
    Bands, MOST_PIXELS, PHOTO_EXTENSIONS, Photo, PhotoNote, PhotoReader, check_photo_size, read_photo,
};
pub use prediction::Prediction;
pub use preprocess::{ChannelOrder, Cropping, Filter, InputLayout, Preprocess, Resize, ValueRange, View};
