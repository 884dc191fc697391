//! The part of a photo that a map covers.

use crate::{Error, HeatMap};
use image::{Rgb, RgbImage};
use std::fmt;

/// A rectangle in pixels of a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Area {
    /// The left column.
    pub x: u32,
    /// The top row.
    pub y: u32,
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
}

impl Area {
    /// Returns the area of a whole image.
    pub fn whole(image: &RgbImage) -> Self {
        Self { x: 0, y: 0, width: image.width(), height: image.height() }
    }

    /// Returns the area of whole pixels that is nearest to a rectangle (left, top, width, height). It lies within the image and is at least
    /// one pixel wide and high.
    ///
    /// ```
    /// use cam_viz::{Area, RgbImage};
    ///
    /// let image = RgbImage::new(101, 50);
    /// let area = Area::nearest(&image, [25.5, 0.0, 50.0, 50.0]);
    /// assert_eq!(area, Area { x: 26, y: 0, width: 50, height: 50 });
    /// ```
    pub fn nearest(image: &RgbImage, [x, y, width, height]: [f32; 4]) -> Self {
        let along = |start: f32, length: f32, whole: u32| {
            let start = (start.round() as u32).min(whole.saturating_sub(1));
            (start, (length.round() as u32).clamp(1, (whole - start).max(1)))
        };
        let ((x, width), (y, height)) = (along(x, width, image.width()), along(y, height, image.height()));
        Self { x, y, width, height }
    }

    /// Returns the same area of an image that is enlarged by this factor.
    pub fn times(self, factor: u32) -> Self {
        let Self { x, y, width, height } = self;
        Self { x: x * factor, y: y * factor, width: width * factor, height: height * factor }
    }

    /// Returns the number of its pixels.
    pub(crate) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Returns the number of pixels that it shares with another area.
    pub(crate) fn shared_pixels(self, other: Self) -> u64 {
        let along = |start: u32, length: u32, other_start: u32, other_length: u32| {
            let end = (start + length).min(other_start + other_length);
            u64::from(end.saturating_sub(start.max(other_start)))
        };
        along(self.x, self.width, other.x, other.width) * along(self.y, self.height, other.y, other.height)
    }

    /// Returns the smallest area that contains this one and another.
    pub(crate) fn around(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// Reports whether the pixel `(x, y)` lies within the area.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        let within = |at: u32, start: u32, length: u32| at >= start && at - start < length;
        within(x, self.x, self.width) && within(y, self.y, self.height)
    }

    /// Returns the photo pixel at the center of the peak of a map that covers this area.
    ///
    /// ```
    /// use cam_viz::{Area, HeatMap};
    ///
    /// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
    /// let area = Area { x: 100, y: 0, width: 40, height: 20 };
    /// assert_eq!(area.peak(&heat), (130, 10));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn peak(&self, map: &HeatMap) -> (u32, u32) {
        let middle = |start: u32, length: u32, at: u32, count: u32| {
            let along = (2 * u64::from(at) + 1) * u64::from(length) / (2 * u64::from(count));
            start.saturating_add(along as u32)
        };
        let (x, y, _) = map.peak();
        (middle(self.x, self.width, x, map.width()), middle(self.y, self.height, y, map.height()))
    }

    /// Maps the pixels of a photo, row by row: `inside` gets those within the area with their index in the area, `outside` the others.
    pub(crate) fn map_pixels(
        &self,
        photo: &RgbImage,
        mut inside: impl FnMut(Rgb<u8>, usize) -> Rgb<u8>,
        outside: impl Fn(Rgb<u8>) -> Rgb<u8>,
    ) -> RgbImage {
        let mut image = photo.clone();
        for (x, y, pixel) in image.enumerate_pixels_mut() {
            *pixel = match self.contains(x, y) {
                true => inside(*pixel, (y - self.y) as usize * self.width as usize + (x - self.x) as usize),
                false => outside(*pixel),
            };
        }
        image
    }

    /// Resizes a map to one value per pixel of the area.
    ///
    /// # Errors
    /// [`Error::AreaOutside`] if the area does not lie within the photo.
    pub(crate) fn fit(&self, map: &HeatMap, photo: &RgbImage) -> Result<HeatMap, Error> {
        self.check(photo)?;
        map.resize(self.width, self.height)
    }

    /// Makes sure that it lies within a photo.
    ///
    /// # Errors
    /// [`Error::AreaOutside`] if it does not.
    pub(crate) fn check(&self, photo: &RgbImage) -> Result<(), Error> {
        let (width, height) = photo.dimensions();
        match self.lies_within(width, height) {
            true => Ok(()),
            false => Err(Error::AreaOutside { area: *self, width, height }),
        }
    }

    /// Reports whether it has pixels, all of them within an image of this size.
    pub(crate) fn lies_within(&self, columns: u32, rows: u32) -> bool {
        let fits =
            |start: u32, length: u32, whole: u32| length > 0 && start < whole && length <= whole - start;
        fits(self.x, self.width, columns) && fits(self.y, self.height, rows)
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} at ({}, {})", self.width, self.height, self.x, self.y)
    }
}
