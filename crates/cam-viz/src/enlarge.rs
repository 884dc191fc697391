//! Small images, drawn enlarged.

use image::RgbImage;
use image::imageops::{FilterType, resize};
use std::borrow::Cow;

/// Images with a longer side below this are enlarged, in pixels.
const SMALL: u32 = 100;
/// The longer side that they get at least, in pixels.
const LEGIBLE: u32 = 224;

/// Returns an image as it is drawn, and by which whole factor it is enlarged: one of fewer than 100 pixels on its longer side (digits,
/// CIFAR) gets at least 224, each pixel of it a square.
///
/// ```
/// use cam_viz::{RgbImage, enlarged};
///
/// let digit = RgbImage::new(28, 20);
/// let (digit, factor) = enlarged(&digit);
/// assert_eq!((digit.dimensions(), factor), ((224, 160), 8));
/// assert_eq!(enlarged(&RgbImage::new(100, 20)).1, 1);
/// ```
pub fn enlarged(image: &RgbImage) -> (Cow<'_, RgbImage>, u32) {
    let (width, height) = image.dimensions();
    match width.max(height) {
        longer @ 1..SMALL => {
            let factor = LEGIBLE.div_ceil(longer);
            (Cow::Owned(resize(image, width * factor, height * factor, FilterType::Nearest)), factor)
        }
        _ => (Cow::Borrowed(image), 1),
    }
}
