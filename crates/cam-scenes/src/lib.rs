//! Pictures with known truth: two or three drawn objects over a cluttered background, from a seed.
//!
//! A [`Scene`] is a square picture, the [`Class`] of each object in it, and the [`Mask`] of the pixels
//! where that object is seen. Scenes teach a small model to name what is in a picture, and then say
//! whether a class activation map lies where the object is.
//!
//! ```
//! use cam_scenes::{Class, Scene};
//!
//! let scene = Scene::with_classes(42, 128, &[Class::Ladybird, Class::Pizza])?;
//! let ladybird = &scene.objects[0];
//! assert_eq!(ladybird.class.name(), "ladybird");
//!
//! // A map that is hot on the object covers it; the rest of the picture is not the object.
//! let hot = scene.mask_of(Class::Ladybird);
//! assert_eq!(hot.iou(&ladybird.mask), 1.0);
//! assert!(hot.share() > 0.01 && hot.share() < 0.15);
//! # Ok::<(), cam_scenes::Error>(())
//! ```
//!
//! The same seed gives the same scene for ever: the random numbers come from ChaCha with eight rounds and
//! nothing else. On another kind of processor a few pixels may differ by a gray level.

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
