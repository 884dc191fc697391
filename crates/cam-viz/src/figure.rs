//! An image with captions, a color key and a color bar.

use crate::{ColorBar, Error, Sheet};
use image::{Rgb, RgbImage};

/// An image with captions above and below it, a color key and a color bar. It is drawn alone or on a [`Sheet`].
///
/// ```
/// use cam_viz::{ColorMap, Figure, RgbImage};
///
/// let figure = Figure::new(RgbImage::new(224, 224))
///     .above("bull mastiff 57 %")
///     .below("gradcam at layer4.2")
///     .color_bar(ColorMap::Viridis);
/// assert!(figure.draw()?.height() > 224);
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Figure {
    pub(crate) image: RgbImage,
    pub(crate) above: Vec<String>,
    pub(crate) below: Vec<String>,
    pub(crate) key: Vec<(Rgb<u8>, String)>,
    pub(crate) bar: Option<ColorBar>,
}

impl From<RgbImage> for Figure {
    fn from(image: RgbImage) -> Self {
        Self::new(image)
    }
}

impl Figure {
    /// Makes a figure of an image alone.
    pub fn new(image: RgbImage) -> Self {
        Self { image, above: vec![], below: vec![], key: vec![], bar: None }
    }

    /// Adds a caption above the image.
    pub fn above(mut self, caption: impl Into<String>) -> Self {
        self.above.push(caption.into());
        self
    }

    /// Adds a caption below the image.
    pub fn below(mut self, caption: impl Into<String>) -> Self {
        self.below.push(caption.into());
        self
    }

    /// Adds a line to the key below the captions: a color and its meaning.
    pub fn key(mut self, color: Rgb<u8>, meaning: impl Into<String>) -> Self {
        self.key.push((color, meaning.into()));
        self
    }

    /// Adds a color bar at the right.
    pub fn color_bar(self, bar: impl Into<ColorBar>) -> Self {
        Self { bar: Some(bar.into()), ..self }
    }

    /// Returns the image without captions, key and bar.
    pub fn image(&self) -> &RgbImage {
        &self.image
    }

    /// Draws the figure at its own size: a [`Sheet`] of this figure alone.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        self.sheet().draw()
    }

    /// Returns a sheet of this figure alone, at its own size.
    pub fn sheet(&self) -> Sheet {
        Sheet::new("").tile(u32::MAX).row("", [self.clone()])
    }
}
