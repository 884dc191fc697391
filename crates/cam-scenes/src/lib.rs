//! Draws images with ground truth: two or three objects over a cluttered background, from a seed.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! A [`Scene`] is a square image, the [`Class`] of each object in it, and the [`Mask`] of the pixels where that object is visible. Scenes
//! train a small classifier, and then show whether its class activation maps are on the objects.
//!
//! ```
//! use cam_scenes::{Class, Scene};
//!
//! let scene = Scene::with_classes(42, 128, &[Class::Ladybird, Class::Pizza])?;
//! let ladybird = &scene.objects[0];
//! assert_eq!(ladybird.class.name(), "ladybird");
//!
//! // The mask of a class covers exactly its objects.
//! let hot = scene.mask_of(Class::Ladybird);
//! assert_eq!(hot.iou(&ladybird.mask), 1.0);
//! assert!(hot.fraction() > 0.01 && hot.fraction() < 0.15);
//! # Ok::<(), cam_scenes::Error>(())
//! ```
//!
//! The same seed always gives the same scene: all random numbers come from ChaCha with eight rounds. On another CPU a few pixels may
//! differ by a gray level.

mod backdrop;
mod class;
mod clutter;
mod color;
mod dice;
mod error;
mod layer;
mod layout;
mod mask;
mod noise;
mod objects;
mod pen;
mod scene;
mod shapes;

pub use class::Class;
pub use error::Error;
pub use image::RgbImage;
pub use mask::Mask;
pub use scene::{MAX_OBJECTS, MAX_SIDE, MIN_SIDE, Object, Scene};
