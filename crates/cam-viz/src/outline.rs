//! The border of a mask: its pixels with a neighbor (left, right, above, below) outside of the mask. A contrasting line beside it makes
//! it visible on every color.

use crate::Error;
use crate::pixel::{BLACK, WHITE};
use image::{Rgb, RgbImage};

/// Draws the border of a mask: a line of this color just inside, and a black one (white for dark colors) just outside. The thickness of
/// the lines is the shorter side of the image divided by 200, rounded up.
///
/// The mask has one value per pixel of the image, row by row.
///
/// ```
/// use cam_viz::{Rgb, RgbImage, outline};
///
/// let mut image = RgbImage::new(5, 1);
/// outline(&mut image, &[false, true, true, true, false], Rgb([255, 0, 0]))?;
/// assert_eq!(image[(1, 0)], Rgb([255, 0, 0]));
/// # Ok::<(), cam_viz::Error>(())
/// ```
pub fn outline(image: &mut RgbImage, mask: &[bool], color: Rgb<u8>) -> Result<(), Error> {
    let (width, height) = image.dimensions();
    if mask.len() as u64 != u64::from(width) * u64::from(height) {
        return Err(Error::Length { width, height, length: mask.len() });
    }
    let outside: Vec<bool> = mask.iter().map(|inside| !inside).collect();
    let contrast = if color.0.iter().all(|&part| part < 96) { WHITE } else { BLACK };
    for (side, frame, paint) in [(mask, false, color), (&outside, true, contrast)] {
        let mut left = side.to_vec();
        for _ in 0..stroke(image) {
            let edge = edge(&left, width as usize, frame);
            for at in (0..edge.len()).filter(|&at| edge[at]) {
                left[at] = false;
                image.put_pixel((at % width as usize) as u32, (at / width as usize) as u32, paint);
            }
        }
    }
    Ok(())
}

/// Returns the pixels of a mask that have a neighbor outside of it; `beyond` is the value outside of the image.
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

/// Returns the thickness of a line on this image, in pixels.
fn stroke(image: &RgbImage) -> u32 {
    let shorter = image.width().min(image.height());
    shorter.div_ceil(200)
}
