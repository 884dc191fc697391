//! The drawings of the overlay modes. Each draws a map, resized to the area of an overlay, at an opacity from 0 to 1.

use crate::contour::contour;
use crate::labels::Labels;
use crate::line::{self, Segment};
use crate::pixel::{BLACK, WHITE, blend, dim};
use crate::{Area, Error, HeatMap, Overlay};
use image::{Rgb, RgbImage};

/// Draws the colors of the map, equally opaque everywhere.
pub(crate) fn colors(overlay: &Overlay<'_>, map: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
    colored(overlay, map, |_| alpha)
}

/// The largest value that is drawn transparent, whatever the median: where most of a map is hot, it is drawn.
const MOST_TRANSPARENT: f32 = 0.8;

/// Draws the colors of the map, with an opacity that grows with the absolute value from the median on: half of the photo is unchanged.
pub(crate) fn colors_by_value(overlay: &Overlay<'_>, map: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
    let cold = map.median_abs().min(MOST_TRANSPARENT);
    colored(overlay, map, |value| alpha * ((value.abs() - cold) / (1.0 - cold)).clamp(0.0, 1.0))
}

/// Resizes the map row by row: the whole would take more memory than the photo.
fn colored(overlay: &Overlay<'_>, map: &HeatMap, alpha: impl Fn(f32) -> f32) -> Result<RgbImage, Error> {
    let color = overlay.colors.lookup();
    let Area { width, height, .. } = overlay.area;
    let (mut rows, mut row) = (map.resized_rows(width, height)?, Vec::new());
    let inside = |photo, at: usize| {
        let column = at % width as usize;
        if column == 0 {
            row = rows.next().unwrap_or_default();
        }
        let value = row[column];
        blend(photo, color(value), alpha(value))
    };
    Ok(overlay.area.map_pixels(overlay.photo, inside, dim))
}

/// Darkens the photo except in the hot regions, and draws a line around these.
pub(crate) fn mask(overlay: &Overlay<'_>, map: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
    let heat = overlay.area.fit(map, overlay.photo)?;
    let threshold = overlay.threshold.finite_value(&heat)?;
    let darken = |photo| blend(photo, BLACK, alpha);
    let inside = |photo, at: usize| if heat.values()[at] >= threshold { photo } else { darken(photo) };
    let mut image = overlay.area.map_pixels(overlay.photo, inside, |photo| darken(dim(photo)));
    line::draw(&mut image, &contour_on_photo(overlay, &heat, threshold), WHITE, alpha);
    Ok(image)
}

/// Draws lines of equal value.
pub(crate) fn contours(overlay: &Overlay<'_>, map: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
    let heat = overlay.area.fit(map, overlay.photo)?;
    let mut image = overlay.area.map_pixels(overlay.photo, |photo, _| photo, dim);
    let default_levels: &[f32] = match overlay.colors.is_diverging() {
        true => &[-0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8],
        false => &[0.2, 0.4, 0.6, 0.8],
    };
    let mut labels = Labels::new(&image);
    for &level in overlay.levels.as_deref().unwrap_or(default_levels) {
        if !level.is_finite() {
            return Err(Error::Level { level });
        }
        let lines = contour_on_photo(overlay, &heat.without_islands(level), level);
        line::draw(&mut image, &lines, level_color(overlay, level), alpha);
        labels.place(level, &lines);
    }
    labels.draw(&mut image, alpha);
    Ok(image)
}

/// Returns the color of a level. Near zero, where diverging colors are almost white, it is one that shows the sign.
fn level_color(overlay: &Overlay<'_>, level: f32) -> Rgb<u8> {
    match overlay.colors.is_diverging() && level != 0.0 {
        true => overlay.colors.color((level + level.signum()) / 2.0),
        false => overlay.colors.color(level),
    }
}

/// The value whose color boxes have. The color of the largest is dark in some color maps.
const FRAME: f32 = 0.85;

/// Draws boxes around the hot regions.
pub(crate) fn boxes(overlay: &Overlay<'_>, map: &HeatMap, alpha: f32) -> Result<RgbImage, Error> {
    let heat = overlay.area.fit(map, overlay.photo)?;
    let mut image = overlay.area.map_pixels(overlay.photo, |photo, _| photo, dim);
    let regions = overlay.hot_regions(&heat)?;
    let frames: Vec<Segment> = regions.iter().flat_map(|region| line::frame(region.area)).collect();
    line::draw(&mut image, &frames, overlay.colors.color(FRAME), alpha);
    Ok(image)
}

/// Returns the contour of a map at a level, in pixels of the photo.
fn contour_on_photo(overlay: &Overlay<'_>, heat: &HeatMap, level: f32) -> Vec<Segment> {
    let shift = |[x, y]: [f32; 2]| [x + overlay.area.x as f32, y + overlay.area.y as f32];
    let shifted = |line: Segment| Segment { from: shift(line.from), to: shift(line.to) };
    contour(heat, level).into_iter().map(shifted).collect()
}
