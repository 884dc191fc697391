//! Pictures on their way to the model.

use crate::failure::Failure;
use crate::source::{Source, no_pictures};
use crate::{array, panics};
use burn::tensor::{Device, Tensor};
use cam_models::{Classifier, Error, Preprocess, decode_photo};
use cam_viz::{Area, RgbImage};
use serde::{Deserialize, Serialize};

/// A picture, as the model and as a person sees it.
pub struct Picture {
    pub source: Source,
    /// In main memory, from where pictures go to a device together: `[1, 3, height, width]`
    pub input: Tensor<4>,
    pub photo: RgbImage,
    /// The part of the photo that the input shows.
    pub area: Area,
    pub part: Part,
}

/// Which picture of its file it is, from 0 on: an array may have several.
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
    /// Whether the file has no other.
    pub fn is_all(&self) -> bool {
        self.of == 1
    }
}

impl Picture {
    /// Does work on pictures of the size of this one, of which one is told that cannot be done. A picture that is too small for a network
    /// cannot be recorded, or panics: of an array of its own size that is a failure of the array, of others one of the device.
    pub fn tried<T>(
        &self,
        model: &Classifier,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let [_, _, height, width] = self.input.dims();
        if [height, width] == model.card().size {
            return work();
        }
        let refused = || Failure::Array {
            path: self.source.path.clone(),
            reason: format!("the model takes no pictures of {width} x {height}; `--verbose` says why"),
        };
        panics::caught(work, |_| refused()).map_err(|failure| match failure {
            Failure::Core(cam_core::Error::Recording { .. }) => refused(),
            other => other,
        })
    }

    /// A photo.
    pub fn of(source: Source, photo: RgbImage, preprocess: &Preprocess) -> Self {
        let (input, view) = preprocess.apply(&photo, &Device::flex());
        let area = Area::nearest(&photo, view.into());
        Self { source, input, photo, area, part: Part::default() }
    }

    /// How many pixels its photo has.
    pub fn pixels(&self) -> u64 {
        u64::from(self.photo.width()) * u64::from(self.photo.height())
    }

    /// What a sheet calls it.
    pub fn title(&self) -> String {
        let (file, Part { place, of }) = (self.source.title(), self.part);
        if self.part.is_all() { file } else { format!("{file}, {} of {of}", place + 1) }
    }

    /// The pictures of a file: one of a photo, any number of an array.
    pub fn read(source: &Source, preprocess: &Preprocess) -> Result<Vec<Self>, Failure> {
        let path = &source.path;
        if path.is_dir() {
            return Err(no_pictures(path));
        }
        let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        let bytes = source.bytes().map_err(|error| match named {
            true => Failure::Array { path: path.clone(), reason: error.to_string() },
            false => Error::UnreadablePhoto { path: path.clone(), reason: error.to_string() }.into(),
        })?;
        if !named && !array::is_array(&bytes) {
            return Ok(vec![Self::of(source.clone(), decode_photo(&bytes, path)?, preprocess)]);
        }
        let inputs = array::decode(&bytes, path, &Device::flex())?;
        let of = inputs.dims()[0];
        let pictures = (0..of).map(|place| -> Result<Self, Failure> {
            let input = inputs.clone().narrow(0, place, 1);
            let photo = preprocess.to_image(input.clone())?;
            let part = Part { place, of };
            Ok(Self { source: source.clone(), input, area: Area::whole(&photo), photo, part })
        });
        pictures.collect()
    }
}
