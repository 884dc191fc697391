//! An image that is shown to a model, and what it is called.

use crate::{Area, Error, Preprocess};
use burn::Tensor;
use burn::tensor::Device;
use image::{DynamicImage, RgbImage};
use std::path::Path;
use std::sync::Arc;

/// An image that is shown to a model. Its pixels are shared, and not copied, by the results that show it.
///
/// ```
/// use burn_cam::ImageInput;
/// use burn_cam::image::DynamicImage;
///
/// let image = ImageInput::from(DynamicImage::new_rgba8(60, 40)).named("a black one");
/// assert_eq!(image.pixels().dimensions(), (60, 40));
/// assert_eq!(image.name(), Some("a black one"));
///
/// let error = ImageInput::decode("note.txt", b"no image").unwrap_err();
/// assert!(error.to_string().contains("note.txt"));
/// ```
#[derive(Debug, Clone)]
pub struct ImageInput {
    name: Option<String>,
    pixels: Arc<RgbImage>,
    /// What the model gets, when it is prepared already: `[1, channels, height, width]`.
    prepared: Option<Tensor<4>>,
}

impl ImageInput {
    /// Reads an image file, upright as its EXIF orientation says. Its name is its path.
    ///
    /// # Errors
    /// As [`cam_models::read_photo`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let image = Self::from(cam_models::read_photo(path)?);
        Ok(image.named(path.display().to_string()))
    }

    /// Decodes the bytes of an image file. Its name is the path, which need not exist.
    ///
    /// # Errors
    /// As [`cam_models::decode_photo`].
    pub fn decode(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self, Error> {
        let path = path.as_ref();
        let image = Self::from(cam_models::decode_photo(bytes, path)?);
        Ok(image.named(path.display().to_string()))
    }

    /// Takes inputs that are preprocessed already. Their images are drawn by undoing the mean and the standard deviation of `preprocess`.
    ///
    /// # Shapes
    /// - inputs: `[batch, channels, height, width]`, of any height and width that the model takes
    ///
    /// # Errors
    /// [`Error::Models`] when the numbers cannot be read.
    pub fn from_tensor(inputs: Tensor<4>, preprocess: &Preprocess) -> Result<Vec<Self>, Error> {
        let image = |place: usize| {
            let input = inputs.clone().narrow(0, place, 1);
            let pixels = preprocess.to_image(input.clone())?;
            Ok(Self { name: None, pixels: pixels.into(), prepared: Some(input) })
        };
        (0..inputs.dims()[0]).map(image).collect()
    }

    /// Sets the name, which its results carry.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Returns its name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns its pixels.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// Returns the input that was [prepared](Self::from_tensor) already, `[1, channels, height, width]`.
    pub fn prepared(&self) -> Option<&Tensor<4>> {
        self.prepared.as_ref()
    }

    /// Returns the height and width of the input that the model gets.
    pub fn input_size(&self, preprocess: &Preprocess) -> [usize; 2] {
        self.prepared.as_ref().map_or(preprocess.size, |input| [input.dims()[2], input.dims()[3]])
    }

    /// Returns the inputs of images of one [input size](Self::input_size), in one upload, and the area of each that the model sees.
    pub(crate) fn batch(
        images: &[&Self],
        preprocess: &Preprocess,
        device: &Device,
    ) -> Result<(Tensor<4>, Vec<Area>), Error> {
        let Some(home) = images.iter().find_map(|image| Some(image.prepared.as_ref()?.device())) else {
            let pixels = || images.iter().map(|image| image.pixels());
            let (input, views) = preprocess.apply_all(pixels(), device)?;
            let areas = pixels().zip(views).map(|(pixels, view)| Area::nearest(pixels, view.into()));
            return Ok((input, areas.collect()));
        };
        // Where the prepared inputs are, so that all of them are uploaded together.
        let one = |image: &&Self| match &image.prepared {
            Some(input) => Ok((input.clone().to_device(&home), Area::whole(image.pixels()))),
            None => {
                let (input, view) = preprocess.apply(image.pixels(), &home)?;
                Ok((input, Area::nearest(image.pixels(), view.into())))
            }
        };
        let both: Vec<_> = images.iter().map(one).collect::<Result<_, Error>>()?;
        let (inputs, areas): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        Ok((Tensor::cat(inputs, 0).to_device(device), areas))
    }
}

impl From<RgbImage> for ImageInput {
    fn from(pixels: RgbImage) -> Self {
        Self { name: None, pixels: pixels.into(), prepared: None }
    }
}

impl From<&RgbImage> for ImageInput {
    fn from(pixels: &RgbImage) -> Self {
        pixels.clone().into()
    }
}

impl From<DynamicImage> for ImageInput {
    /// Converts an image of any kind; transparency is dropped.
    fn from(image: DynamicImage) -> Self {
        image.into_rgb8().into()
    }
}

impl From<&DynamicImage> for ImageInput {
    /// Converts an image of any kind; transparency is dropped.
    fn from(image: &DynamicImage) -> Self {
        image.to_rgb8().into()
    }
}

impl From<&ImageInput> for ImageInput {
    fn from(image: &ImageInput) -> Self {
        image.clone()
    }
}
