//! A heat map over the photo it explains, at the photo's own resolution:
//!
//! `rgb = (1 - alpha) * photo + alpha * colour(heat)`, rounded to nearest.
//!
//! The map covers an [`Area`] of the photo and is resized bilinearly to it. What lies outside was cut away before
//! the model looked, so the photo is shown dim and grey there.

use crate::{ColourMap, Error, HeatMap, Marker};
use image::{Rgb, RgbImage};
use std::fmt;

/// A rectangle in pixels of a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Area {
    /// Its left column.
    pub x: u32,
    /// Its top row.
    pub y: u32,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
}

impl Area {
    /// All of a picture.
    pub fn whole(picture: &RgbImage) -> Self {
        Self { x: 0, y: 0, width: picture.width(), height: picture.height() }
    }

    /// Whether the pixel `(x, y)` lies within.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        let within = |at: u32, start: u32, length: u32| at >= start && at - start < length;
        within(x, self.x, self.width) && within(y, self.y, self.height)
    }

    /// The photo pixel in the middle of the peak of a map that covers this area.
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

    fn lies_within(&self, picture: &RgbImage) -> bool {
        let fits =
            |start: u32, length: u32, whole: u32| length > 0 && start < whole && length <= whole - start;
        fits(self.x, self.width, picture.width()) && fits(self.y, self.height, picture.height())
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} at ({}, {})", self.width, self.height, self.x, self.y)
    }
}

/// Draws heat maps over one photo.
///
/// ```
/// use cam_viz::{ColourMap, HeatMap, Overlay, Rgb, RgbImage};
///
/// let photo = RgbImage::from_pixel(2, 1, Rgb([101, 101, 101]));
/// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
/// let picture = Overlay::new(&photo).colours(ColourMap::Jet).alpha(0.5).draw(&heat)?;
/// assert_eq!(picture[(0, 0)], Rgb([51, 51, 115])); // 50.5, 50.5, 114.5
/// assert_eq!(picture[(1, 0)], Rgb([115, 51, 51]));
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    photo: &'a RgbImage,
    colours: ColourMap,
    alpha: f32,
    area: Area,
    marker: Option<Marker>,
}

impl<'a> Overlay<'a> {
    /// Over the whole photo, half transparent, in the default colours.
    pub fn new(photo: &'a RgbImage) -> Self {
        Self { photo, colours: ColourMap::default(), alpha: 0.5, area: Area::whole(photo), marker: None }
    }

    /// In these colours.
    pub fn colours(self, colours: ColourMap) -> Self {
        Self { colours, ..self }
    }

    /// With this opacity, from 0 (only the photo) to 1 (only the heat).
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    /// Over this area of the photo, the only part that the model saw.
    pub fn area(self, area: Area) -> Self {
        Self { area, ..self }
    }

    /// With a marker at the map's peak.
    pub fn peak(self, marker: Marker) -> Self {
        Self { marker: Some(marker), ..self }
    }

    /// The photo under the map, as large as the photo.
    pub fn draw(&self, map: &HeatMap) -> Result<RgbImage, Error> {
        let (width, height) = self.photo.dimensions();
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(Error::Alpha { alpha: self.alpha });
        }
        if !self.area.lies_within(self.photo) {
            return Err(Error::AreaOutside { area: self.area, width, height });
        }
        let heat = self.colours.paint(&map.resize(self.area.width, self.area.height)?);
        let mut picture = RgbImage::from_fn(width, height, |x, y| {
            let photo = self.photo[(x, y)];
            if self.area.contains(x, y) {
                blend(photo, heat[(x - self.area.x, y - self.area.y)], self.alpha)
            } else {
                unseen(photo)
            }
        });
        if let Some(marker) = self.marker {
            let (x, y) = self.area.peak(map);
            marker.draw(&mut picture, x, y);
        }
        Ok(picture)
    }
}

/// `(1 - share) * under + share * over`, rounded to nearest.
pub(crate) fn blend(under: Rgb<u8>, over: Rgb<u8>, share: f32) -> Rgb<u8> {
    let mix = |i: usize| ((1.0 - share) * f32::from(under[i]) + share * f32::from(over[i])).round() as u8;
    Rgb([mix(0), mix(1), mix(2)])
}

/// Half of the brightness (Rec. 601) and no colour.
fn unseen(Rgb([red, green, blue]): Rgb<u8>) -> Rgb<u8> {
    let luma = (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000;
    Rgb([(luma / 2) as u8; 3])
}
