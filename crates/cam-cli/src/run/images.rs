//! The images of a file, read.

use crate::report::console::Console;
use crate::report::failure::Failure;
use crate::run::npy;
use crate::run::sources::{Source, no_images};
use burn_cam::{ImageExplanation, ImageInput, PhotoNote, PhotoReader, Preprocess};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// An image of a file.
pub struct SourceImage {
    pub source: Source,
    pub part: Part,
    pub image: ImageInput,
    /// The sha256 of its file.
    pub sha256: String,
}

/// An image with its explanation.
pub struct Explained {
    pub source: Source,
    pub part: Part,
    pub image: ImageInput,
    /// The sha256 of its file.
    pub sha256: String,
    pub found: ImageExplanation,
}

/// Which image of its file it is, counted from 0: an array may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    pub place: usize,
    /// How many the file has.
    pub of: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { place: 0, of: 1 }
    }
}

impl Part {
    /// Returns whether the file has no other.
    pub fn is_all(&self) -> bool {
        self.of == 1
    }
}

/// How the files of images are read.
pub struct SourceReader {
    pub preprocess: Preprocess,
    pub photos: PhotoReader,
}

impl SourceReader {
    /// Reads the first image of a file.
    pub fn one(&self, path: &Path) -> Result<ImageInput, Failure> {
        let images = self.read(&Source { path: path.into(), below: PathBuf::new() })?;
        images.into_iter().next().map(|first| first.image).ok_or_else(|| no_images(path))
    }

    /// Reads the images of a file: one of an image file, any number of an array.
    pub fn read(&self, source: &Source) -> Result<Vec<SourceImage>, Failure> {
        let path = &source.path;
        if path.is_dir() {
            return Err(no_images(path));
        }
        let is_array = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        let unreadable = |error: std::io::Error| match is_array {
            true => Failure::Array { path: path.clone(), reason: error.to_string() },
            false => {
                let (path, reason) = (path.clone(), error.to_string());
                Failure::Cam(burn_cam::cam_image::Error::UnreadablePhoto { path, reason }.into())
            }
        };
        let bytes = source.bytes().map_err(unreadable)?;
        let sha256 = burn_cam::sha256(&bytes[..]).map_err(unreadable)?;
        let images = match is_array || npy::is_array(&bytes) {
            true => npy::decode(&bytes, path, self)?,
            false => vec![self.photos.decode(&bytes, path).map_err(burn_cam::Error::from)?.into()],
        };
        let of = images.len();
        let image = |(place, image): (usize, ImageInput)| SourceImage {
            source: source.clone(),
            part: Part { place, of },
            image: image.named(source.name()),
            sha256: sha256.clone(),
        };
        Ok(images.into_iter().enumerate().map(image).collect())
    }
}

/// Prints what was decided when an image was read, and how to decide otherwise.
pub fn warn_of_notes(image: &ImageInput, console: &Console) {
    for note in image.notes() {
        let hint = match note {
            PhotoNote::Transparent { .. } => "; `--background COLOR` sets another",
            PhotoNote::Dark { .. } | PhotoNote::Beyond { .. } => {
                "; `--window LOW,HIGH` sets the values that are shown as black and white"
            }
            PhotoNote::Raw { .. } => "; an array of uint8 is taken as an image and preprocessed",
            _ => "",
        };
        console.warn(format_args!("{}: {note}{hint}", image.name().unwrap_or_default()));
    }
}

impl SourceImage {
    /// Returns how many pixels it has.
    pub fn pixels(&self) -> u64 {
        let (width, height) = self.image.pixels().dimensions();
        u64::from(width) * u64::from(height)
    }

    /// Returns the image with its explanation.
    pub fn explained(self, found: ImageExplanation) -> Explained {
        Explained { source: self.source, part: self.part, image: self.image, sha256: self.sha256, found }
    }
}

impl Explained {
    /// Returns its name on a contact sheet.
    pub fn title(&self) -> String {
        title(&self.source, self.part)
    }
}

/// Returns the name of an image on a contact sheet.
pub fn title(source: &Source, part: Part) -> String {
    let (file, Part { place, of }) = (source.title(), part);
    if part.is_all() { file } else { format!("{file}, {} of {of}", place + 1) }
}
