//! A photo and what it is called.

use crate::Error;
use image::{DynamicImage, RgbImage};
use std::path::Path;
use std::sync::Arc;

/// A photo, shared and not copied by the results that show it.
///
/// ```
/// use burn_cam::Photo;
/// use burn_cam::image::DynamicImage;
///
/// let photo = Photo::from(DynamicImage::new_rgba8(60, 40)).named("a black one");
/// assert_eq!(photo.pixels().dimensions(), (60, 40));
/// assert_eq!(photo.name(), Some("a black one"));
///
/// let error = Photo::decode("note.txt", b"no picture").unwrap_err();
/// assert!(error.to_string().contains("note.txt"));
/// ```
#[derive(Debug, Clone)]
pub struct Photo {
    name: Option<String>,
    pixels: Arc<RgbImage>,
}

impl Photo {
    /// Reads a photo, upright as its EXIF orientation says; it is called by its path.
    ///
    /// # Errors
    /// As [`cam_models::read_photo`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let photo = Self::from(cam_models::read_photo(path)?);
        Ok(photo.named(path.display().to_string()))
    }

    /// The photo in the bytes of a file, where there are no files; it is called by this name.
    ///
    /// # Errors
    /// As [`cam_models::decode_photo`].
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::from(cam_models::decode_photo(bytes, Path::new(name))?).named(name))
    }

    /// The photo by another name, which its results know.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// What it is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its pixels.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }
}

impl From<RgbImage> for Photo {
    fn from(pixels: RgbImage) -> Self {
        Self { name: None, pixels: pixels.into() }
    }
}

impl From<&RgbImage> for Photo {
    fn from(pixels: &RgbImage) -> Self {
        pixels.clone().into()
    }
}

impl From<DynamicImage> for Photo {
    /// Transparent pixels are taken as if they were not.
    fn from(picture: DynamicImage) -> Self {
        picture.into_rgb8().into()
    }
}

impl From<&DynamicImage> for Photo {
    /// Transparent pixels are taken as if they were not.
    fn from(picture: &DynamicImage) -> Self {
        picture.to_rgb8().into()
    }
}

impl From<&Photo> for Photo {
    fn from(photo: &Photo) -> Self {
        photo.clone()
    }
}
