//! A heat map over the photo it explains, at the photo's own resolution. Colors are blended:
//!
//! `rgb = (1 - alpha) * photo + alpha * color(heat)`, rounded to nearest,
//!
//! where `alpha` is the same everywhere or, in [`Mode::Alpha`], grows with `|heat|`. The other modes leave the photo its
//! colors and draw the hot region: by darkening what is not of it, by lines, by boxes.
//!
//! The map covers an [`Area`] of the photo and is resized bilinearly to it. What lies outside was cut away before
//! the model looked, so the photo is shown dim and gray there.

use crate::contour::contour;
use crate::line::{self, Segment};
use crate::pixel::{BLACK, WHITE, blend, unseen};
use crate::{Area, ColorMap, Error, HeatMap, Marker, Mode, Region, Threshold};
use image::{Rgb, RgbImage};

/// Draws heat maps over one photo.
///
/// ```
/// use cam_viz::{ColorMap, HeatMap, Mode, Overlay, Rgb, RgbImage};
///
/// let photo = RgbImage::from_pixel(2, 1, Rgb([101, 101, 101]));
/// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
/// let picture = Overlay::new(&photo).colors(ColorMap::Jet).alpha(0.5).draw(&heat)?;
/// assert_eq!(picture[(0, 0)], Rgb([51, 51, 115])); // 50.5, 50.5, 114.5
/// assert_eq!(picture[(1, 0)], Rgb([115, 51, 51]));
/// let picture = Overlay::new(&photo).mode(Mode::Alpha).draw(&heat)?;
/// assert_eq!(picture[(0, 0)], photo[(0, 0)]);
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    photo: &'a RgbImage,
    mode: Mode,
    colors: ColorMap,
    alpha: Option<f32>,
    threshold: Threshold,
    levels: Option<Vec<f32>>,
    area: Area,
    marker: Option<Marker>,
}

impl<'a> Overlay<'a> {
    /// Over the whole photo, [blended](Mode::Blend), in the default colors.
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

    /// In this way.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// In these colors.
    pub fn colors(self, colors: ColorMap) -> Self {
        Self { colors, ..self }
    }

    /// With this opacity, from 0 (only the photo) to 1, of what lies over the photo: the colors (at first 0.5, and
    /// 0.8 at the hottest in [`Mode::Alpha`]), the dark of [`Mode::Mask`] (at first 0.75), the lines (at first 1).
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha: Some(alpha), ..self }
    }

    /// With these values and those above as hot, for [`Mode::Mask`] and [`Mode::Box`].
    pub fn threshold(self, threshold: Threshold) -> Self {
        Self { threshold, ..self }
    }

    /// With lines at these values, for [`Mode::Contour`]; at first 0.2, 0.4, 0.6 and 0.8, and where the colors
    /// diverge also their negatives.
    pub fn levels(self, levels: impl Into<Vec<f32>>) -> Self {
        Self { levels: Some(levels.into()), ..self }
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
        let alpha = self.alpha.unwrap_or(self.mode.alpha());
        if !(0.0..=1.0).contains(&alpha) {
            return Err(Error::Alpha { alpha });
        }
        let heat = self.area.fit(map, self.photo)?;
        let mut picture = match self.mode {
            Mode::Blend | Mode::Heat => self.colored(&heat, |_| alpha),
            Mode::Alpha => self.colored(&heat, |value| alpha * value.abs().min(1.0)),
            Mode::Mask => self.darkened(&heat, alpha)?,
            Mode::Contour => self.contours(&heat, alpha)?,
            Mode::Box => self.boxes(&heat, alpha)?,
        };
        if let Some(marker) = self.marker {
            let (x, y) = self.area.peak(map);
            marker.draw(&mut picture, x, y);
        }
        Ok(picture)
    }

    /// The hot regions of a map in pixels of the photo, the largest first, as [`Mode::Box`] shows them: without those
    /// that are smaller than a twentieth of the largest.
    pub fn regions(&self, map: &HeatMap) -> Result<Vec<Region>, Error> {
        self.regions_of(&self.area.fit(map, self.photo)?)
    }

    /// The colors of the heat over the photo, as opaque as their value says.
    fn colored(&self, heat: &HeatMap, alpha: impl Fn(f32) -> f32) -> RgbImage {
        let color = self.colors.of_many();
        let seen = |photo, at: usize| {
            let value = heat.values()[at];
            blend(photo, color(value), alpha(value))
        };
        self.area.over(self.photo, seen, unseen)
    }

    /// The photo where it is hot, with a line around it, and darkened elsewhere.
    fn darkened(&self, heat: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
        let threshold = self.hot_from(heat)?;
        let dark = |photo| blend(photo, BLACK, alpha);
        let seen = |photo, at: usize| if heat.values()[at] >= threshold { photo } else { dark(photo) };
        let mut picture = self.area.over(self.photo, seen, |photo| dark(unseen(photo)));
        line::draw(&mut picture, &self.contour(heat, threshold), WHITE, alpha);
        Ok(picture)
    }

    /// The photo with lines of equal heat.
    fn contours(&self, heat: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
        let mut picture = self.area.over(self.photo, |photo, _| photo, unseen);
        let usual: &[f32] = match self.colors.is_diverging() {
            true => &[-0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8],
            false => &[0.2, 0.4, 0.6, 0.8],
        };
        for &level in self.levels.as_deref().unwrap_or(usual) {
            let lines = self.contour(heat, finite(level)?);
            line::draw(&mut picture, &lines, self.line_color(level), alpha);
        }
        Ok(picture)
    }

    /// The color of a level; near zero, where colors that diverge are all but white, one that shows the sign.
    fn line_color(&self, level: f32) -> Rgb<u8> {
        match self.colors.is_diverging() && level != 0.0 {
            true => self.colors.color((level + level.signum()) / 2.0),
            false => self.colors.color(level),
        }
    }

    /// The photo with boxes around the hot regions.
    fn boxes(&self, heat: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
        let mut picture = self.area.over(self.photo, |photo, _| photo, unseen);
        let regions = self.regions_of(heat)?;
        let frames: Vec<Segment> = regions.iter().flat_map(|region| line::frame(region.area)).collect();
        line::draw(&mut picture, &frames, self.colors.color(1.0), alpha);
        Ok(picture)
    }

    fn regions_of(&self, heat: &HeatMap) -> Result<Vec<Region>, Error> {
        let mut regions = heat.regions(self.hot_from(heat)?);
        let largest = regions.first().map_or(0, |region| region.pixels);
        regions.retain(|region| region.pixels >= largest.div_ceil(20));
        for Region { area, .. } in &mut regions {
            (area.x, area.y) = (area.x + self.area.x, area.y + self.area.y);
        }
        Ok(regions)
    }

    /// The line at which a fitted map reaches a level, in pixels of the photo.
    fn contour(&self, heat: &HeatMap, level: f32) -> Vec<Segment> {
        let place = |[x, y]: [f32; 2]| [x + self.area.x as f32, y + self.area.y as f32];
        let placed = |line: Segment| Segment { from: place(line.from), to: place(line.to) };
        contour(heat, level).into_iter().map(placed).collect()
    }

    fn hot_from(&self, heat: &HeatMap) -> Result<f32, Error> {
        finite(self.threshold.of(heat))
    }
}

fn finite(level: f32) -> Result<f32, Error> {
    if level.is_finite() { Ok(level) } else { Err(Error::Level { level }) }
}
