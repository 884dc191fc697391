//! The border of a mask: its pixels with a neighbour (left, right, above, below) that is not of the mask. It has its own contrast
//! beside it, and so shows on every color.

use crate::Error;
use crate::pixel::{BLACK, WHITE};
use image::{Rgb, RgbImage};

/// Draws the border of a mask: a line of this color just inside, and a black (around dark colors white) one just
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
pub fn outline(picture: &mut RgbImage, mask: &[bool], color: Rgb<u8>) -> Result<(), Error> {
    let (width, height) = picture.dimensions();
    if mask.len() as u64 != u64::from(width) * u64::from(height) {
        return Err(Error::Length { width, height, length: mask.len() });
    }
    let outside: Vec<bool> = mask.iter().map(|inside| !inside).collect();
    let contrast = if color.0.iter().all(|&part| part < 96) { WHITE } else { BLACK };
    for (side, frame, paint) in [(mask, false, color), (&outside, true, contrast)] {
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
