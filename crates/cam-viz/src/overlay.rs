//! A heat map over the photo it explains, at the photo's own resolution. Colors are blended:
//!
//! `rgb = (1 - alpha) * photo + alpha * color(heat)`, rounded to nearest,
//!
//! where `alpha` is constant or, in [`Mode::Alpha`], grows with `|heat|` from the median `m` of all `|heat|` on, at most 0.8:
//!
//! `alpha = largest alpha * max(0, (|heat| - m) / (1 - m))`.
//!
//! The other modes keep the colors of the photo and show the hot
//! regions by darkening the rest, by lines, or by boxes.
//!
//! The map covers an [`Area`] of the photo and is resized bilinearly to it. The model did not see the rest of the photo, which is drawn dim
//! and gray.

use crate::{Area, ColorMap, Error, HeatMap, Marker, Mode, Region, Threshold, region};
use image::RgbImage;

/// Draws heat maps over one photo.
///
/// ```
/// use cam_viz::{ColorMap, HeatMap, Mode, Overlay, Rgb, RgbImage};
///
/// let photo = RgbImage::from_pixel(2, 1, Rgb([101, 101, 101]));
/// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
/// let image = Overlay::new(&photo).draw(&heat)?;
/// assert_eq!(image[(0, 0)], photo[(0, 0)]);
/// let image = Overlay::new(&photo).mode(Mode::Blend).colors(ColorMap::Jet).draw(&heat)?;
/// assert_eq!(image[(0, 0)], Rgb([51, 51, 115])); // 50.5, 50.5, 114.5
/// assert_eq!(image[(1, 0)], Rgb([115, 51, 51]));
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    pub(crate) photo: &'a RgbImage,
    mode: Mode,
    pub(crate) colors: ColorMap,
    alpha: Option<f32>,
    pub(crate) threshold: Threshold,
    pub(crate) levels: Option<Vec<f32>>,
    pub(crate) area: Area,
    marker: Option<Marker>,
}

impl<'a> Overlay<'a> {
    /// Makes an overlay over the whole photo, in the default mode, [`Mode::Alpha`], and the default colors.
    pub fn new(photo: &'a RgbImage) -> Self {
        Self {
            photo,
            mode: Mode::default(),
            colors: ColorMap::default(),
            alpha: None,
            threshold: Threshold::default(),
            levels: None,
            area: Area::whole(photo),
            marker: None,
        }
    }

    /// Sets the mode.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Sets the color map.
    pub fn colors(self, colors: ColorMap) -> Self {
        Self { colors, ..self }
    }

    /// Sets the opacity of what is drawn over the photo, from 0 (only the photo) to 1. By default it is 0.7 at the largest value in
    /// [`Mode::Alpha`], 0.5 for the colors of [`Mode::Blend`], 0.75 for the darkening of [`Mode::Mask`], and 1 for lines.
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha: Some(alpha), ..self }
    }

    /// Sets the threshold from which on values are hot, for [`Mode::Mask`] and [`Mode::Box`].
    pub fn threshold(self, threshold: Threshold) -> Self {
        Self { threshold, ..self }
    }

    /// Sets the levels of the lines of [`Mode::Contour`]. The default is 0.2, 0.4, 0.6 and 0.8, and their negatives if the colors diverge.
    pub fn levels(self, levels: impl Into<Vec<f32>>) -> Self {
        Self { levels: Some(levels.into()), ..self }
    }

    /// Sets the area of the photo that the map covers, which is the part that the model saw. The default is the whole photo.
    pub fn area(self, area: Area) -> Self {
        Self { area, ..self }
    }

    /// Adds a marker at the peak of the map.
    pub fn peak(self, marker: Marker) -> Self {
        Self { marker: Some(marker), ..self }
    }

    /// Draws a map over the photo, at the size of the photo.
    pub fn draw(&self, map: &HeatMap) -> Result<RgbImage, Error> {
        let alpha = self.alpha.unwrap_or(self.mode.alpha());
        if !(0.0..=1.0).contains(&alpha) {
            return Err(Error::Alpha { alpha });
        }
        self.area.check(self.photo)?;
        let mut image = self.mode.painter()(self, map, alpha)?;
        if let Some(marker) = self.marker {
            let (x, y) = self.area.peak(map);
            marker.draw(&mut image, x, y);
        }
        Ok(image)
    }

    /// Returns the hot regions of a map in pixels of the photo, the largest first, as in [`Mode::Box`]: regions smaller than 1/20 of the
    /// largest are omitted, and those whose boxes share more than half of the smaller box are one.
    pub fn regions(&self, map: &HeatMap) -> Result<Vec<Region>, Error> {
        self.hot_regions(&self.area.fit(map, self.photo)?)
    }

    /// Returns the regions of a map that is resized to the area.
    pub(crate) fn hot_regions(&self, heat: &HeatMap) -> Result<Vec<Region>, Error> {
        let mut regions = region::without_islands(heat.regions(self.threshold.finite_value(heat)?));
        region::merge(&mut regions);
        for Region { area, .. } in &mut regions {
            (area.x, area.y) = (area.x + self.area.x, area.y + self.area.y);
        }
        Ok(regions)
    }
}
