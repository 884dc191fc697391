//! One object on a sheet of its own, and how the sheet is laid on the picture.

use tiny_skia::{Pixmap, Transform};

use crate::class::Class;
use crate::dice::Dice;
use crate::layout::Place;
use crate::mask::Mask;
use crate::objects;
use crate::pen::Pen;

/// The alpha from which a pixel counts as covered: half.
const COVERED: u8 = 128;
/// How far a shadow falls, right and down, in shares of the side.
const FALL: (f32, f32) = (0.010, 0.016);
/// How much light a shadow takes.
const DEPTH: f32 = 0.42;
/// How much the lit side of an object brightens, and its far side darkens.
const LIGHT: f32 = 0.2;

/// An object drawn alone on a clear sheet that covers its box of the picture.
pub(crate) struct Layer {
    sheet: Pixmap,
    left: i32,
    top: i32,
}

impl Layer {
    /// The object of `class` at `place` of a picture of `side` pixels; `None` when its box has no pixels.
    pub(crate) fn new(class: Class, place: Place, side: u32, dice: &mut Dice) -> Option<Self> {
        let scale = side as f32;
        let reach = place.r * 1.06 * scale + 1.0;
        let range = |middle: f32| {
            let from = (middle * scale - reach).floor().max(0.0);
            let to = (middle * scale + reach).ceil().min(scale);
            (from as i32, (to - from).max(0.0) as u32)
        };
        let ((left, width), (top, height)) = (range(place.x), range(place.y));
        let mut sheet = Pixmap::new(width, height)?;
        let (sin, cos) = place.turn.sin_cos();
        let (sin, cos) = (sin * place.r * scale, cos * place.r * scale);
        let (x, y) = (place.x * scale - left as f32, place.y * scale - top as f32);
        objects::draw(class, &mut Pen::new(&mut sheet, Transform::from_row(cos, sin, -sin, cos, x, y)), dice);
        let mut layer = Self { sheet, left, top };
        layer.light(x, y, place.r * scale);
        Some(layer)
    }

    /// Lights the object from the upper left of the picture, whatever way it is turned.
    fn light(&mut self, x: f32, y: f32, r: f32) {
        let width = self.sheet.width() as usize;
        for (row, line) in self.sheet.data_mut().chunks_exact_mut(width * 4).enumerate() {
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

    /// Lays the object with its shadow on the opaque square `picture`.
    pub(crate) fn lay_on(&self, picture: &mut Pixmap) {
        self.lay_shadow_on(picture);
        let (side, width) = (picture.width() as usize, self.sheet.width() as usize);
        let picture = picture.data_mut();
        for (row, line) in self.sheet.data().chunks_exact(width * 4).enumerate() {
            let start = ((self.top as usize + row) * side + self.left as usize) * 4;
            let below = &mut picture[start..start + width * 4];
            for (to, from) in below.chunks_exact_mut(4).zip(line.chunks_exact(4)) {
                let through = 255 - u32::from(from[3]);
                for (to, &from) in to[..3].iter_mut().zip(from) {
                    *to = (u32::from(from) + (u32::from(*to) * through + 127) / 255).min(255) as u8;
                }
            }
        }
    }

    fn lay_shadow_on(&self, picture: &mut Pixmap) {
        let side = picture.width() as i32;
        let soft = (0.011 * side as f32).round().max(1.0) as usize;
        let (dx, dy) = ((FALL.0 * side as f32).round() as i32, (FALL.1 * side as f32).round() as i32);
        let (width, height) =
            (self.sheet.width() as usize + 2 * soft, self.sheet.height() as usize + 2 * soft);
        let mut shade = vec![0_u8; width * height];
        for (row, line) in self.sheet.data().chunks_exact(self.sheet.width() as usize * 4).enumerate() {
            let start = (row + soft) * width + soft;
            for (to, from) in shade[start..].iter_mut().zip(line.chunks_exact(4)) {
                *to = from[3];
            }
        }
        blur(&mut shade, width, soft);
        let (left, top) = (self.left + dx - soft as i32, self.top + dy - soft as i32);
        let data = picture.data_mut();
        for (row, line) in shade.chunks_exact(width).enumerate() {
            let y = top + row as i32;
            if !(0..side).contains(&y) {
                continue;
            }
            // The columns of the shade that fall into the picture.
            let (from, to) = ((-left).max(0), (side - left).min(width as i32));
            let start = (y * side + left + from) as usize * 4;
            for (pixel, &dark) in data[start..].chunks_exact_mut(4).zip(&line[from as usize..to as usize]) {
                let keep = 256 - (u32::from(dark) as f32 * DEPTH) as u32;
                pixel[..3].iter_mut().for_each(|channel| *channel = (u32::from(*channel) * keep / 256) as u8);
            }
        }
    }

    /// The pixels that the object covers at least half, on a picture of `side` pixels.
    pub(crate) fn mask(&self, side: u32) -> Mask {
        let mut mask = Mask::empty(side, side);
        let (left, width) = (self.left as usize, self.sheet.width() as usize);
        for (row, line) in self.sheet.data().chunks_exact(width * 4).enumerate() {
            let inside = &mut mask.row_mut(self.top as u32 + row as u32)[left..left + width];
            for (inside, pixel) in inside.iter_mut().zip(line.chunks_exact(4)) {
                *inside = pixel[3] >= COVERED;
            }
        }
        mask
    }

    /// Takes what this object covers away from the mask of one below it.
    pub(crate) fn hide(&self, below: &mut Mask) {
        let (left, width) = (self.left as usize, self.sheet.width() as usize);
        for (row, line) in self.sheet.data().chunks_exact(width * 4).enumerate() {
            let inside = &mut below.row_mut(self.top as u32 + row as u32)[left..left + width];
            for (inside, pixel) in inside.iter_mut().zip(line.chunks_exact(4)) {
                *inside &= pixel[3] < COVERED;
            }
        }
    }
}

/// Two passes of a running mean over `2 * radius + 1` values, along the rows and along the columns.
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
