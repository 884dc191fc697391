//! Smooth lines with a thin line of contrast along both sides, so that they show on every color.
//!
//! A line is drawn from the distance of each pixel's middle to it: how much of the pixel it covers is
//! `half the width + 0.5 - distance`, kept within 0 and 1.

use crate::Area;
use crate::pixel::{blend, luma};
use image::{Rgb, RgbImage};

/// A straight line between two points, in pixels; the middle of the first pixel is at `(0.5, 0.5)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment {
    pub from: [f32; 2],
    pub to: [f32; 2],
}

impl Segment {
    /// How far a point is from the nearest one of the segment.
    fn distance(&self, [x, y]: [f32; 2]) -> f32 {
        let [along_x, along_y] = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        let [right, down] = [x - self.from[0], y - self.from[1]];
        let length = along_x * along_x + along_y * along_y;
        let share = if length > 0.0 { (right * along_x + down * along_y) / length } else { 0.0 };
        let share = share.clamp(0.0, 1.0);
        (right - share * along_x).hypot(down - share * along_y)
    }
}

/// Draws segments as one line of this color and opacity; what falls outside of the picture is left away.
pub(crate) fn draw(picture: &mut RgbImage, segments: &[Segment], color: Rgb<u8>, opacity: f32) {
    let half = thickness(picture) / 2.0;
    let edge = half + (half * 0.5).max(0.75);
    let reach = edge + 0.5;
    // The pixels along one axis whose middles are within reach.
    let near = |segments: &[Segment], axis: usize, size: u32| {
        let ends = segments.iter().flat_map(|segment| [segment.from[axis], segment.to[axis]]);
        let (low, high) =
            ends.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
        let first = (low - reach - 0.5).ceil().max(0.0) as u32;
        first..((high + reach + 0.5).floor().max(0.0) as u32).min(size)
    };
    let (width, height) = picture.dimensions();
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
    let places = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
    for ((x, y), distance) in places.zip(distances).filter(|(_, distance)| *distance < reach) {
        let cover = |half: f32| opacity * (half + 0.5 - distance).clamp(0.0, 1.0);
        let pixel = picture.get_pixel_mut(x, y);
        *pixel = blend(*pixel, contrast, 0.6 * cover(edge));
        *pixel = blend(*pixel, color, cover(half));
    }
}

/// A box through the outermost pixels of an area.
pub(crate) fn frame(area: Area) -> [Segment; 4] {
    let [left, top] = [area.x as f32 + 0.5, area.y as f32 + 0.5];
    let [right, bottom] = [left + (area.width - 1) as f32, top + (area.height - 1) as f32];
    let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
    std::array::from_fn(|i| Segment { from: corners[i], to: corners[(i + 1) % 4] })
}

/// How thick a line is on this picture, in pixels.
fn thickness(picture: &RgbImage) -> f32 {
    let shorter = picture.width().min(picture.height());
    (shorter as f32 / 160.0).max(1.75)
}

/// Black beside light colors, white beside dark ones.
fn contrast(color: Rgb<u8>) -> Rgb<u8> {
    if luma(color) < 96 { Rgb([255; 3]) } else { Rgb([0; 3]) }
}
