//! A picture with what belongs to it: captions, a key of colors, a color bar.

use crate::{ColorBar, Error, Sheet};
use image::{Rgb, RgbImage};

/// A picture with captions over and under it, and what its colors mean. It is drawn alone or on a [`Sheet`].
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
    pub(crate) picture: RgbImage,
    pub(crate) above: Vec<String>,
    pub(crate) below: Vec<String>,
    pub(crate) key: Vec<(Rgb<u8>, String)>,
    pub(crate) bar: Option<ColorBar>,
}

impl From<RgbImage> for Figure {
    fn from(picture: RgbImage) -> Self {
        Self::new(picture)
    }
}

impl Figure {
    /// The picture alone.
    pub fn new(picture: RgbImage) -> Self {
        Self { picture, above: vec![], below: vec![], key: vec![], bar: None }
    }

    /// With one more caption over the picture.
    pub fn above(mut self, caption: impl Into<String>) -> Self {
        self.above.push(caption.into());
        self
    }

    /// With one more caption under the picture.
    pub fn below(mut self, caption: impl Into<String>) -> Self {
        self.below.push(caption.into());
        self
    }

    /// With one more line under the captions that says what a color means.
    pub fn key(mut self, color: Rgb<u8>, meaning: impl Into<String>) -> Self {
        self.key.push((color, meaning.into()));
        self
    }

    /// With a color bar at its right.
    pub fn color_bar(self, bar: impl Into<ColorBar>) -> Self {
        Self { bar: Some(bar.into()), ..self }
    }

    /// The picture without what belongs to it.
    pub fn picture(&self) -> &RgbImage {
        &self.picture
    }

    /// All of it as one picture, at its own size: a [`Sheet`] with this figure alone.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        self.sheet().draw()
    }

    /// A sheet with this figure alone, at its own size.
    pub fn sheet(&self) -> Sheet {
        Sheet::new("").tile(u32::MAX).row("", [self.clone()])
    }
}
