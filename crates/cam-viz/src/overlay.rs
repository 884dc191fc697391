//! A heat map over the photo it explains, at the photo's own resolution. Colours are blended:
//!
//! `rgb = (1 - alpha) * photo + alpha * colour(heat)`, rounded to nearest,
//!
//! where `alpha` is the same everywhere or, in [`Mode::Alpha`], grows with `|heat|`. The other modes leave the photo its
//! colours and draw the hot region: by darkening what is not of it, by lines, by boxes.
//!
//! The map covers an [`Area`] of the photo and is resized bilinearly to it. What lies outside was cut away before
//! the model looked, so the photo is shown dim and grey there.

use crate::contour::contour;
use crate::line::{self, Segment};
use crate::{ColourMap, Error, HeatMap, Marker, Mode, Region, Threshold};
use image::{Rgb, RgbImage};
use std::fmt;

const WHITE: Rgb<u8> = Rgb([255; 3]);
const BLACK: Rgb<u8> = Rgb([0; 3]);

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

    /// The whole pixels of a picture that are nearest to a rectangle: left, top, width, height. It is a pixel wide and high at least,
    /// and within the picture.
    ///
    /// ```
    /// use cam_viz::{Area, RgbImage};
    ///
    /// let picture = RgbImage::new(101, 50);
    /// let area = Area::nearest(&picture, [25.5, 0.0, 50.0, 50.0]);
    /// assert_eq!(area, Area { x: 26, y: 0, width: 50, height: 50 });
    /// ```
    pub fn nearest(picture: &RgbImage, [x, y, width, height]: [f32; 4]) -> Self {
        let along = |start: f32, length: f32, whole: u32| {
            let start = (start.round() as u32).min(whole.saturating_sub(1));
            (start, (length.round() as u32).clamp(1, (whole - start).max(1)))
        };
        let ((x, width), (y, height)) =
            (along(x, width, picture.width()), along(y, height, picture.height()));
        Self { x, y, width, height }
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

    /// What becomes of a photo within the area, whose pixels are counted row by row, and outside of it.
    pub(crate) fn over(
        &self,
        photo: &RgbImage,
        seen: impl Fn(Rgb<u8>, usize) -> Rgb<u8>,
        unseen: impl Fn(Rgb<u8>) -> Rgb<u8>,
    ) -> RgbImage {
        let mut picture = photo.clone();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            *pixel = match self.contains(x, y) {
                true => seen(*pixel, (y - self.y) as usize * self.width as usize + (x - self.x) as usize),
                false => unseen(*pixel),
            };
        }
        picture
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
/// use cam_viz::{ColourMap, HeatMap, Mode, Overlay, Rgb, RgbImage};
///
/// let photo = RgbImage::from_pixel(2, 1, Rgb([101, 101, 101]));
/// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
/// let picture = Overlay::new(&photo).colours(ColourMap::Jet).alpha(0.5).draw(&heat)?;
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
    colours: ColourMap,
    alpha: Option<f32>,
    threshold: Threshold,
    levels: Option<Vec<f32>>,
    area: Area,
    marker: Option<Marker>,
}

impl<'a> Overlay<'a> {
    /// Over the whole photo, [blended](Mode::Blend), in the default colours.
    pub fn new(photo: &'a RgbImage) -> Self {
        Self {
            photo,
            mode: Mode::default(),
            colours: ColourMap::default(),
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

    /// In these colours.
    pub fn colours(self, colours: ColourMap) -> Self {
        Self { colours, ..self }
    }

    /// With this opacity, from 0 (only the photo) to 1, of what lies over the photo: the colours (at first 0.5, and
    /// 0.8 at the hottest in [`Mode::Alpha`]), the dark of [`Mode::Mask`] (at first 0.75), the lines (at first 1).
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha: Some(alpha), ..self }
    }

    /// With these values and those above as hot, for [`Mode::Mask`] and [`Mode::Box`].
    pub fn threshold(self, threshold: Threshold) -> Self {
        Self { threshold, ..self }
    }

    /// With lines at these values, for [`Mode::Contour`]; at first 0.2, 0.4, 0.6 and 0.8, and where the colours
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
        let heat = fitted(map, self.area, self.photo)?;
        let mut picture = match self.mode {
            Mode::Blend | Mode::Heat => self.coloured(&heat, |_| alpha),
            Mode::Alpha => self.coloured(&heat, |value| alpha * value.abs().min(1.0)),
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
        self.regions_of(&fitted(map, self.area, self.photo)?)
    }

    /// The colours of the heat over the photo, as opaque as their value says.
    fn coloured(&self, heat: &HeatMap, alpha: impl Fn(f32) -> f32) -> RgbImage {
        let colour = self.colours.of_many();
        let seen = |photo, at: usize| {
            let value = heat.values()[at];
            blend(photo, colour(value), alpha(value))
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
        let usual: &[f32] = match self.colours.is_diverging() {
            true => &[-0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8],
            false => &[0.2, 0.4, 0.6, 0.8],
        };
        for &level in self.levels.as_deref().unwrap_or(usual) {
            let lines = self.contour(heat, finite(level)?);
            line::draw(&mut picture, &lines, self.line_colour(level), alpha);
        }
        Ok(picture)
    }

    /// The colour of a level; near zero, where colours that diverge are all but white, one that shows the sign.
    fn line_colour(&self, level: f32) -> Rgb<u8> {
        match self.colours.is_diverging() && level != 0.0 {
            true => self.colours.colour((level + level.signum()) / 2.0),
            false => self.colours.colour(level),
        }
    }

    /// The photo with boxes around the hot regions.
    fn boxes(&self, heat: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
        let mut picture = self.area.over(self.photo, |photo, _| photo, unseen);
        let regions = self.regions_of(heat)?;
        let frames: Vec<Segment> = regions.iter().flat_map(|region| line::frame(region.area)).collect();
        line::draw(&mut picture, &frames, self.colours.colour(1.0), alpha);
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

/// The map, one value for each pixel of an area of the photo.
pub(crate) fn fitted(map: &HeatMap, area: Area, photo: &RgbImage) -> Result<HeatMap, Error> {
    let (width, height) = photo.dimensions();
    if !area.lies_within(photo) {
        return Err(Error::AreaOutside { area, width, height });
    }
    map.resize(area.width, area.height)
}

/// `(1 - share) * under + share * over`, rounded to nearest.
pub(crate) fn blend(under: Rgb<u8>, over: Rgb<u8>, share: f32) -> Rgb<u8> {
    let mix = |i: usize| ((1.0 - share) * f32::from(under[i]) + share * f32::from(over[i]) + 0.5) as u8;
    Rgb([mix(0), mix(1), mix(2)])
}

/// Half of the brightness and no colour.
pub(crate) fn unseen(photo: Rgb<u8>) -> Rgb<u8> {
    Rgb([luma(photo) / 2; 3])
}

/// The brightness, by Rec. 601.
pub(crate) fn luma(Rgb([red, green, blue]): Rgb<u8>) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000) as u8
}
