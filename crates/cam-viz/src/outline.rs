//! Lines on a picture that show on every colour: each has its own contrast beside it.
//!
//! The border of a mask are its pixels with a neighbour (left, right, above, below) that is not of the mask. A marker
//! is drawn from its distance function: white within half a stroke, black up to a stroke further, smooth edges.

use crate::{Error, overlay::blend};
use image::{Rgb, RgbImage};

const WHITE: Rgb<u8> = Rgb([255; 3]);
const BLACK: Rgb<u8> = Rgb([0; 3]);

/// Draws the border of a mask: a line of this colour just inside, and a black (around dark colours white) one just
/// outside. The lines get thicker with the picture: one pixel for each begun 200 of its shorter side.
///
/// The mask has one value for each pixel of the picture, row by row.
///
/// ```
/// use cam_viz::{Rgb, RgbImage, outline};
///
/// let mut picture = RgbImage::new(5, 1);
/// outline(&mut picture, &[false, true, true, true, false], Rgb([255, 0, 0]))?;
/// assert_eq!(picture[(1, 0)], Rgb([255, 0, 0]));
/// # Ok::<(), cam_viz::Error>(())
/// ```
pub fn outline(picture: &mut RgbImage, mask: &[bool], colour: Rgb<u8>) -> Result<(), Error> {
    let (width, height) = picture.dimensions();
    if mask.len() as u64 != u64::from(width) * u64::from(height) {
        return Err(Error::Length { width, height, length: mask.len() });
    }
    let outside: Vec<bool> = mask.iter().map(|inside| !inside).collect();
    let contrast = if colour.0.iter().all(|&part| part < 96) { WHITE } else { BLACK };
    for (side, frame, paint) in [(mask, false, colour), (&outside, true, contrast)] {
        let mut left = side.to_vec();
        for _ in 0..stroke(picture) {
            let edge = edge(&left, width as usize, frame);
            for at in (0..edge.len()).filter(|&at| edge[at]) {
                left[at] = false;
                picture.put_pixel((at % width as usize) as u32, (at / width as usize) as u32, paint);
            }
        }
    }
    Ok(())
}

/// The pixels of a mask that have a neighbour outside of it; `beyond` says what lies beyond the picture.
fn edge(mask: &[bool], width: usize, beyond: bool) -> Vec<bool> {
    let last = mask.len().saturating_sub(width);
    (0..mask.len())
        .map(|at| {
            let column = at % width;
            let left = if column > 0 { mask[at - 1] } else { beyond };
            let right = if column + 1 < width { mask[at + 1] } else { beyond };
            let above = if at >= width { mask[at - width] } else { beyond };
            let below = if at < last { mask[at + width] } else { beyond };
            mask[at] && !(left && right && above && below)
        })
        .collect()
}

/// How thick a line is on this picture, in pixels.
fn stroke(picture: &RgbImage) -> u32 {
    let shorter = picture.width().min(picture.height());
    shorter.div_ceil(200)
}

/// A sign for one pixel of a picture, such as the peak of a map: white with black edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Marker {
    /// A circle around the pixel, which leaves the pixel itself to be seen.
    Ring,
    /// An upright cross through the pixel.
    Cross,
}

impl Marker {
    /// Draws the marker around the pixel `(x, y)`; what falls outside of the picture is left away.
    /// Its radius is a thirtieth of the picture's shorter side, and at least 4 pixels.
    ///
    /// ```
    /// use cam_viz::{Marker, Rgb, RgbImage};
    ///
    /// let mut picture = RgbImage::from_pixel(32, 32, Rgb([9, 99, 9]));
    /// Marker::Cross.draw(&mut picture, 16, 16);
    /// assert_eq!(picture[(16, 16)], Rgb([255, 255, 255]));
    /// ```
    pub fn draw(self, picture: &mut RgbImage, x: u32, y: u32) {
        let shorter = picture.width().min(picture.height());
        let radius = (shorter as f32 / 30.0).max(4.0);
        let stroke = (radius / 5.0).max(1.0);
        let reach = (radius + 2.0 * stroke).ceil() as u32;
        let span = |at: u32, size: u32| at.saturating_sub(reach)..at.saturating_add(reach + 1).min(size);
        for row in span(y, picture.height()) {
            for column in span(x, picture.width()) {
                let right = column.abs_diff(x) as f32;
                let down = row.abs_diff(y) as f32;
                let distance = self.distance(right, down, radius);
                let within = |reach: f32| (reach + 0.5 - distance).clamp(0.0, 1.0);
                let pixel = picture.get_pixel_mut(column, row);
                *pixel = blend(*pixel, BLACK, within(1.5 * stroke));
                *pixel = blend(*pixel, WHITE, within(0.5 * stroke));
            }
        }
    }

    /// How far a pixel is from the marker's line, all in pixels.
    fn distance(self, right: f32, down: f32, radius: f32) -> f32 {
        let arm = |along: f32, across: f32| (along - radius).max(0.0).hypot(across);
        match self {
            Self::Ring => (right.hypot(down) - radius).abs(),
            Self::Cross => arm(right, down).min(arm(down, right)),
        }
    }
}
