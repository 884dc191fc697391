//! Pictures on their way to the model.

use crate::array;
use crate::failure::Failure;
use crate::source::Source;
use burn::tensor::{Device, Tensor};
use cam_models::{Error, Preprocess, View, decode_photo};
use cam_viz::{Area, RgbImage};

/// A picture, as the model and as a person sees it.
pub struct Picture {
    pub source: Source,
    /// `[1, 3, height, width]`
    pub input: Tensor<4>,
    pub photo: RgbImage,
    /// The part of the photo that the input shows.
    pub area: Area,
}

impl Picture {
    /// The pictures of a file: one of a photo, any number of an array.
    pub fn read(source: &Source, preprocess: &Preprocess, device: &Device) -> Result<Vec<Self>, Failure> {
        let path = &source.path;
        let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        let bytes = source.bytes().map_err(|error| match named {
            true => Failure::Array { path: path.clone(), reason: error.to_string() },
            false => Error::UnreadablePhoto { path: path.clone(), reason: error.to_string() }.into(),
        })?;
        if !named && !array::is_array(&bytes) {
            let photo = decode_photo(&bytes, path)?;
            let (input, view) = preprocess.apply(&photo, device);
            let area = area(view, &photo);
            return Ok(vec![Self { source: source.clone(), input, photo, area }]);
        }
        let inputs = array::decode(&bytes, path, device)?;
        let pictures = (0..inputs.dims()[0]).map(|place| -> Result<Self, Failure> {
            let input = inputs.clone().narrow(0, place, 1);
            let photo = preprocess.picture(input.clone())?;
            Ok(Self { source: source.clone(), input, area: Area::whole(&photo), photo })
        });
        pictures.collect()
    }
}

/// The whole pixels of a view.
fn area(view: View, photo: &RgbImage) -> Area {
    let (x, y) = (view.x.round() as u32, view.y.round() as u32);
    let width = (view.width.round() as u32).clamp(1, photo.width() - x);
    let height = (view.height.round() as u32).clamp(1, photo.height() - y);
    Area { x, y, width, height }
}
