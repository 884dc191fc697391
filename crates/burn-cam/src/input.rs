//! An image that is shown to a model, and what it is called.

use crate::{Area, Error, HeatMap, Preprocess};
use burn::Tensor;
use burn::tensor::Device;
use cam_image::{Bands, Photo, PhotoNote, PhotoReader, View};
use image::{DynamicImage, RgbImage};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Where an image is in the input of a model, and which part of it the model sees.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    /// The part of the image that the model sees, in pixels of the image.
    pub area: Area,
    /// The part of the input that shows it, in pixels of the input; `None` for all of it.
    inner: Option<Area>,
}

impl Shown {
    /// Returns the part of a map of the input that shows the image.
    pub fn crop(&self, map: HeatMap) -> Result<HeatMap, Error> {
        match self.inner {
            Some(inner) => Ok(map.crop(inner)?),
            None => Ok(map),
        }
    }
}

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
    /// Its samples, where they are no colors.
    bands: Option<Arc<Bands>>,
    notes: Vec<PhotoNote>,
    /// What the model gets, when it is prepared already: `[1, channels, height, width]`.
    prepared: Option<Tensor<4>>,
}

impl ImageInput {
    /// Reads an image file, upright as its EXIF orientation says, with white behind transparent pixels; a [`PhotoReader`] can do
    /// otherwise, and what it returns becomes an `ImageInput` too. Its name is its path.
    ///
    /// # Errors
    /// As [`PhotoReader::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let image = Self::from(PhotoReader::default().open(path)?);
        Ok(image.named(path.display().to_string()))
    }

    /// Decodes the bytes of an image file. Its name is the path, which need not exist.
    ///
    /// # Errors
    /// As [`PhotoReader::decode`].
    pub fn decode(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self, Error> {
        let path = path.as_ref();
        let image = Self::from(PhotoReader::default().decode(bytes, path)?);
        Ok(image.named(path.display().to_string()))
    }

    /// Takes inputs that are preprocessed already. Their images are drawn by undoing the mean and the standard deviation of `preprocess`.
    ///
    /// # Shapes
    /// - inputs: `[batch, channels, height, width]`, of any height and width that the model takes
    ///
    /// # Errors
    /// [`Error::Image`] when the numbers cannot be read.
    pub fn from_tensor(inputs: Tensor<4>, preprocess: &Preprocess) -> Result<Vec<Self>, Error> {
        let image = |place: usize| {
            let input = inputs.clone().narrow(0, place, 1);
            let pixels = preprocess.to_image(input.clone())?;
            Ok(Self { prepared: Some(input), ..pixels.into() })
        };
        (0..inputs.dims()[0]).map(image).collect()
    }

    /// Adds what was decided when it was read.
    pub fn noted(mut self, note: PhotoNote) -> Self {
        self.notes.push(note);
        self
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

    /// Returns its pixels as they are drawn: a small image is [enlarged](cam_viz::enlarged).
    pub fn drawn(&self) -> Cow<'_, RgbImage> {
        cam_viz::enlarged(&self.pixels).0
    }

    /// Returns what was decided when it was read.
    pub fn notes(&self) -> &[PhotoNote] {
        &self.notes
    }

    /// Returns the input that was [prepared](Self::from_tensor) already, `[1, channels, height, width]`.
    pub fn prepared(&self) -> Option<&Tensor<4>> {
        self.prepared.as_ref()
    }

    /// Returns the height and width of the input that the model gets.
    pub fn input_size(&self, preprocess: &Preprocess) -> [usize; 2] {
        let (width, height) = self.pixels.dimensions();
        let prepared = self.prepared.as_ref().map(|input| [input.dims()[2], input.dims()[3]]);
        prepared.unwrap_or_else(|| preprocess.input_size(width, height))
    }

    /// Returns what of the image a model sees, and where.
    fn shown(&self, view: View, preprocess: &Preprocess) -> Shown {
        let [x, y, width, height] = preprocess.inner(self.pixels.width(), self.pixels.height());
        let [rows, columns] = self.input_size(preprocess).map(|side| side as u32);
        let is_surrounded = [width, height] != [columns, rows];
        let inner = is_surrounded.then_some(Area { x, y, width, height });
        Shown { area: Area::nearest(&self.pixels, view.into()), inner }
    }

    /// Returns the inputs of images of one [input size](Self::input_size), in one upload, and what of each the model sees.
    pub(crate) fn batch(
        images: &[&Self],
        preprocess: &Preprocess,
        device: &Device,
    ) -> Result<(Tensor<4>, Vec<Shown>), Error> {
        let is_of_colors = |image: &&Self| image.prepared.is_none() && image.bands_for(preprocess).is_none();
        if images.iter().all(is_of_colors) {
            let pixels = || images.iter().map(|image| image.pixels());
            let (input, views) =
                preprocess.apply_all(pixels(), device).map_err(|error| images[0].of_channels(error))?;
            let shown = images.iter().zip(views).map(|(image, view)| image.shown(view, preprocess));
            return Ok((input, shown.collect()));
        }
        // Where the prepared inputs are, so that all of them are uploaded together.
        let home = images.iter().find_map(|image| Some(image.prepared.as_ref()?.device()));
        let home = home.unwrap_or_else(|| device.clone());
        let one = |image: &&Self| {
            if let Some(input) = &image.prepared {
                let shown = Shown { area: Area::whole(image.pixels()), inner: None };
                return Ok((input.clone().to_device(&home), shown));
            }
            let applied = match image.bands_for(preprocess) {
                Some(bands) => preprocess.apply_bands(bands, &home),
                None => preprocess.apply(image.pixels(), &home),
            };
            let (input, view) = applied.map_err(|error| image.of_channels(error))?;
            Ok((input, image.shown(view, preprocess)))
        };
        let both: Vec<_> = images.iter().map(one).collect::<Result<_, Error>>()?;
        let (inputs, shown): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        Ok((Tensor::cat(inputs, 0).to_device(device), shown))
    }

    /// Returns the bands that a model sees of the image; `None` if it sees gray or colors.
    fn bands_for(&self, preprocess: &Preprocess) -> Option<&Bands> {
        self.bands.as_deref().filter(|_| !matches!(preprocess.channels, 1 | 3))
    }

    /// Returns an error with the name of the image, if it is of its channels.
    fn of_channels(&self, error: cam_image::Error) -> Error {
        match error {
            cam_image::Error::Channels { needed, found } => {
                Error::Channels { name: self.name.clone(), needed, found }
            }
            other => other.into(),
        }
    }
}

impl From<RgbImage> for ImageInput {
    fn from(pixels: RgbImage) -> Self {
        Self { name: None, pixels: pixels.into(), bands: None, notes: Vec::new(), prepared: None }
    }
}

impl From<Photo> for ImageInput {
    fn from(Photo { pixels, bands, notes, .. }: Photo) -> Self {
        Self { bands: bands.map(Arc::new), notes, ..pixels.into() }
    }
}

impl From<&RgbImage> for ImageInput {
    fn from(pixels: &RgbImage) -> Self {
        pixels.clone().into()
    }
}

impl From<DynamicImage> for ImageInput {
    /// Converts an image of any kind as [`PhotoReader::convert`] does by default.
    fn from(image: DynamicImage) -> Self {
        Self::from(&image)
    }
}

impl From<&DynamicImage> for ImageInput {
    /// Converts an image of any kind as [`PhotoReader::convert`] does by default.
    fn from(image: &DynamicImage) -> Self {
        PhotoReader::default().convert(image).into()
    }
}

impl From<&ImageInput> for ImageInput {
    fn from(image: &ImageInput) -> Self {
        image.clone()
    }
}
