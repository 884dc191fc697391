//! Antialiased lines with a thin contrasting line on both sides, so that they are visible on every color.
//!
//! A line is drawn by the distance of each pixel's center from it: it covers `half the width + 0.5 - distance` of a pixel, clamped to 0 to
//! 1.

use crate::Area;
use crate::pixel::{blend, luma};
use image::{Rgb, RgbImage};

/// A straight line between two points, in pixels; the center of the first pixel is at `(0.5, 0.5)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment {
    pub from: [f32; 2],
    pub to: [f32; 2],
}

impl Segment {
    /// Returns the distance of a point from the segment.
    fn distance(&self, [x, y]: [f32; 2]) -> f32 {
        let [along_x, along_y] = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        let [right, down] = [x - self.from[0], y - self.from[1]];
        let length = along_x * along_x + along_y * along_y;
        let along = if length > 0.0 { (right * along_x + down * along_y) / length } else { 0.0 };
        let along = along.clamp(0.0, 1.0);
        (right - along * along_x).hypot(down - along * along_y)
    }
}

/// Draws segments as one line of this color and opacity, clipped to the image.
pub(crate) fn draw(image: &mut RgbImage, segments: &[Segment], color: Rgb<u8>, opacity: f32) {
    let half = thickness(image) / 2.0;
    let edge = half + (half * 0.5).max(0.75);
    let reach = edge + 0.5;
    // The pixels along one axis whose centers are within reach.
    let near = |segments: &[Segment], axis: usize, size: u32| {
        let ends = segments.iter().flat_map(|segment| [segment.from[axis], segment.to[axis]]);
        let (low, high) =
            ends.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
        let first = (low - reach - 0.5).ceil().max(0.0) as u32;
        first..((high + reach + 0.5).floor().max(0.0) as u32).min(size)
    };
    let (width, height) = image.dimensions();
    let (columns, rows) = (near(segments, 0, width), near(segments, 1, height));
    let mut distances = vec![f32::INFINITY; columns.len() * rows.len()];
    for segment in segments {
        for y in near(&[*segment], 1, height) {
            for x in near(&[*segment], 0, width) {
                let at = (y - rows.start) as usize * columns.len() + (x - columns.start) as usize;
                distances[at] = distances[at].min(segment.distance([x as f32 + 0.5, y as f32 + 0.5]));
            }
        }
    }
    let contrast = contrast(color);
    let pixels = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
    for ((x, y), distance) in pixels.zip(distances).filter(|(_, distance)| *distance < reach) {
        let cover = |half: f32| opacity * (half + 0.5 - distance).clamp(0.0, 1.0);
        let pixel = image.get_pixel_mut(x, y);
        *pixel = blend(*pixel, contrast, 0.6 * cover(edge));
        *pixel = blend(*pixel, color, cover(half));
    }
}

/// Returns a box through the outermost pixels of an area.
pub(crate) fn frame(area: Area) -> [Segment; 4] {
    let [left, top] = [area.x as f32 + 0.5, area.y as f32 + 0.5];
    let [right, bottom] = [left + (area.width - 1) as f32, top + (area.height - 1) as f32];
    let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
    std::array::from_fn(|i| Segment { from: corners[i], to: corners[(i + 1) % 4] })
}

/// Returns the thickness of a line on this image, in pixels.
fn thickness(image: &RgbImage) -> f32 {
    let shorter = image.width().min(image.height());
    (shorter as f32 / 160.0).max(1.75)
}

/// Returns black for light colors and white for dark ones.
fn contrast(color: Rgb<u8>) -> Rgb<u8> {
    if luma(color) < 96 { Rgb([255; 3]) } else { Rgb([0; 3]) }
}
