//! Objects drawn on separate layers, which are composed on the image with their shadows.

use tiny_skia::{Pixmap, Transform};

use crate::class::Class;
use crate::dice::Dice;
use crate::layout::Placement;
use crate::mask::Mask;
use crate::objects;
use crate::pen::Pen;

/// The alpha value from which on a pixel counts as covered: half.
const COVERED: u8 = 128;
/// The offset of a shadow, right and down, as fractions of the side.
const SHADOW_OFFSET: (f32, f32) = (0.010, 0.016);
/// The fraction of light that a shadow removes.
const SHADOW_DEPTH: f32 = 0.42;
/// How much the lit side of an object is brightened and the other side darkened.
const LIGHT: f32 = 0.2;

/// An object drawn alone on a transparent layer that covers its bounding box in the image.
pub(crate) struct Layer {
    pixmap: Pixmap,
    left: i32,
    top: i32,
}

impl Layer {
    /// Draws an object of `class` for an image of `side` pixels. Returns `None` if its bounding box has no pixels.
    pub(crate) fn new(class: Class, placement: Placement, side: u32, dice: &mut Dice) -> Option<Self> {
        let scale = side as f32;
        let reach = placement.r * 1.06 * scale + 1.0;
        let range = |middle: f32| {
            let from = (middle * scale - reach).floor().max(0.0);
            let to = (middle * scale + reach).ceil().min(scale);
            (from as i32, (to - from).max(0.0) as u32)
        };
        let ((left, width), (top, height)) = (range(placement.x), range(placement.y));
        let mut pixmap = Pixmap::new(width, height)?;
        let (sin, cos) = placement.turn.sin_cos();
        let (sin, cos) = (sin * placement.r * scale, cos * placement.r * scale);
        let (x, y) = (placement.x * scale - left as f32, placement.y * scale - top as f32);
        objects::draw(
            class,
            &mut Pen::new(&mut pixmap, Transform::from_row(cos, sin, -sin, cos, x, y)),
            dice,
        );
        let mut layer = Self { pixmap, left, top };
        layer.light(x, y, placement.r * scale);
        Some(layer)
    }

    /// Lights the object from the upper left of the image, however it is rotated.
    fn light(&mut self, x: f32, y: f32, r: f32) {
        let width = self.pixmap.width() as usize;
        for (row, line) in self.pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
            for (column, pixel) in line.chunks_exact_mut(4).enumerate() {
                let alpha = f32::from(pixel[3]);
                if alpha > 0.0 {
                    let far = ((column as f32 - x) + (row as f32 - y) * 1.2) / (1.6 * r) * LIGHT;
                    for channel in &mut pixel[..3] {
                        let value = f32::from(*channel);
                        let lit = if far < 0.0 { value - (alpha - value) * far } else { value - value * far };
                        *channel = (lit + 0.5).clamp(0.0, alpha) as u8;
                    }
                }
            }
        }
    }

    /// Draws the object with its shadow on the opaque square `image`.
    pub(crate) fn draw_on(&self, image: &mut Pixmap) {
        self.draw_shadow_on(image);
        let (side, width) = (image.width() as usize, self.pixmap.width() as usize);
        let image = image.data_mut();
        for (row, line) in self.pixmap.data().chunks_exact(width * 4).enumerate() {
            let start = ((self.top as usize + row) * side + self.left as usize) * 4;
            let below = &mut image[start..start + width * 4];
            for (to, from) in below.chunks_exact_mut(4).zip(line.chunks_exact(4)) {
                let through = 255 - u32::from(from[3]);
                for (to, &from) in to[..3].iter_mut().zip(from) {
                    *to = (u32::from(from) + (u32::from(*to) * through + 127) / 255).min(255) as u8;
                }
            }
        }
    }

    fn draw_shadow_on(&self, image: &mut Pixmap) {
        let side = image.width() as i32;
        let blur_radius = (0.011 * side as f32).round().max(1.0) as usize;
        let (dx, dy) =
            ((SHADOW_OFFSET.0 * side as f32).round() as i32, (SHADOW_OFFSET.1 * side as f32).round() as i32);
        let (width, height) =
            (self.pixmap.width() as usize + 2 * blur_radius, self.pixmap.height() as usize + 2 * blur_radius);
        let mut shadow = vec![0_u8; width * height];
        for (row, line) in self.pixmap.data().chunks_exact(self.pixmap.width() as usize * 4).enumerate() {
            let start = (row + blur_radius) * width + blur_radius;
            for (to, from) in shadow[start..].iter_mut().zip(line.chunks_exact(4)) {
                *to = from[3];
            }
        }
        blur(&mut shadow, width, blur_radius);
        let (left, top) = (self.left + dx - blur_radius as i32, self.top + dy - blur_radius as i32);
        let data = image.data_mut();
        for (row, line) in shadow.chunks_exact(width).enumerate() {
            let y = top + row as i32;
            if !(0..side).contains(&y) {
                continue;
            }
            // The columns of the shadow within the image.
            let (from, to) = ((-left).max(0), (side - left).min(width as i32));
            let start = (y * side + left + from) as usize * 4;
            for (pixel, &dark) in data[start..].chunks_exact_mut(4).zip(&line[from as usize..to as usize]) {
                let keep = 256 - (u32::from(dark) as f32 * SHADOW_DEPTH) as u32;
                pixel[..3].iter_mut().for_each(|channel| *channel = (u32::from(*channel) * keep / 256) as u8);
            }
        }
    }

    /// Returns the pixels that the object covers by at least half, in an image of `side` pixels.
    pub(crate) fn mask(&self, side: u32) -> Mask {
        let mut mask = Mask::empty(side, side);
        let (left, width) = (self.left as usize, self.pixmap.width() as usize);
        for (row, line) in self.pixmap.data().chunks_exact(width * 4).enumerate() {
            let inside = &mut mask.row_mut(self.top as u32 + row as u32)[left..left + width];
            for (inside, pixel) in inside.iter_mut().zip(line.chunks_exact(4)) {
                *inside = pixel[3] >= COVERED;
            }
        }
        mask
    }

    /// Removes what this object covers from the mask of an object below it.
    pub(crate) fn hide(&self, below: &mut Mask) {
        let (left, width) = (self.left as usize, self.pixmap.width() as usize);
        for (row, line) in self.pixmap.data().chunks_exact(width * 4).enumerate() {
            let inside = &mut below.row_mut(self.top as u32 + row as u32)[left..left + width];
            for (inside, pixel) in inside.iter_mut().zip(line.chunks_exact(4)) {
                *inside &= pixel[3] < COVERED;
            }
        }
    }
}

/// Blurs by a moving average over `2 * radius + 1` values, along the rows and then along the columns.
fn blur(values: &mut [u8], width: usize, radius: usize) {
    let height = values.len() / width;
    let mut line = vec![0_u8; width.max(height)];
    for row in values.chunks_exact_mut(width) {
        line[..width].copy_from_slice(row);
        mean(&line[..width], radius, |at, value| row[at] = value);
    }
    for column in 0..width {
        for (row, value) in line[..height].iter_mut().enumerate() {
            *value = values[row * width + column];
        }
        mean(&line[..height], radius, |at, value| values[at * width + column] = value);
    }
}

fn mean(line: &[u8], radius: usize, mut set: impl FnMut(usize, u8)) {
    let size = 2 * radius as u32 + 1;
    let mut sum: u32 = line.iter().take(radius).map(|&value| u32::from(value)).sum();
    for at in 0..line.len() {
        sum += line.get(at + radius).map_or(0, |&value| u32::from(value));
        set(at, (sum / size) as u8);
        sum -= at.checked_sub(radius).map_or(0, |gone| u32::from(line[gone]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_a_flat_line_is_flat_away_from_its_ends() {
        let mut out = vec![0; 9];
        mean(&[90; 9], 2, |at, value| out[at] = value);
        assert_eq!(out, [54, 72, 90, 90, 90, 90, 90, 72, 54]);
    }

    #[test]
    fn a_blur_spreads_one_spot_evenly() {
        let mut values = vec![0; 25];
        values[12] = 90;
        blur(&mut values, 5, 1);
        assert_eq!(values[6..9], [10, 10, 10]);
        assert_eq!(values.iter().map(|&value| u32::from(value)).sum::<u32>(), 90);
    }
}
