//! From the samples of a file to opaque colors of 8 bits.

use super::{Photo, PhotoNote, PhotoReader};
use image::RgbImage;

/// Whether the last sample of a pixel is its opacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpha {
    None,
    Straight,
    /// The colors are multiplied by it already.
    Premultiplied,
}

/// The samples of an image, pixel by pixel.
pub struct Samples<'a, T> {
    /// Width and height.
    pub size: [u32; 2],
    /// The samples of a pixel.
    pub count: usize,
    pub alpha: Alpha,
    pub values: &'a [T],
    /// The value that is shown as white.
    pub white: f32,
}

/// Returns a photo of colors that need no change.
pub fn as_they_are(pixels: RgbImage) -> Photo {
    let brightest = pixels.as_raw().iter().copied().max().unwrap_or(255).into();
    let notes = range_note([0.0, brightest], [0.0, 255.0]).into_iter().collect();
    Photo { pixels, bands: None, notes }
}

impl<T: Copy + Into<f32>> Samples<'_, T> {
    /// Draws the samples: gray, or the first three of them as red, green and blue.
    pub fn draw(&self, reader: &PhotoReader) -> Photo {
        let [black, white] = reader.window.unwrap_or([0.0, self.white]);
        let [width, height] = self.size;
        let colors = self.count - usize::from(self.alpha != Alpha::None);
        let (mut least, mut most, mut clear) = (f32::INFINITY, f32::NEG_INFINITY, 0usize);
        let mut bytes = Vec::with_capacity(3 * width as usize * height as usize);
        for pixel in self.values.chunks_exact(self.count) {
            let opacity = match self.alpha {
                Alpha::None => 1.0,
                _ => (pixel[colors].into() / self.white).clamp(0.0, 1.0),
            };
            clear += usize::from(opacity < 1.0);
            for channel in 0..3 {
                let value: f32 = pixel[if colors < 3 { 0 } else { channel }].into();
                // The color of a pixel that is not visible says nothing of the image.
                if opacity > 0.0 {
                    (least, most) = (least.min(value), most.max(value));
                }
                let color = ((value - black) / (white - black) * 255.0).clamp(0.0, 255.0);
                let shown = if self.alpha == Alpha::Premultiplied { color } else { color * opacity };
                let behind = f32::from(reader.background[channel]) * (1.0 - opacity);
                bytes.push((shown + behind).round() as u8);
            }
        }
        let pixels =
            RgbImage::from_raw(width, height, bytes).expect("there are as many samples as the size says");
        let mut notes = Vec::new();
        if clear > 0 {
            let share = clear as f32 / (self.values.len() / self.count) as f32;
            notes.push(PhotoNote::Transparent { share, background: reader.background });
        }
        let beyond_is_meant = reader.window.is_some();
        let values = if beyond_is_meant { [least.max(black), most.min(white)] } else { [least, most] };
        notes.extend(range_note(values, [black, white]));
        if !matches!(colors, 1 | 3) {
            notes.push(PhotoNote::Bands { count: colors, drawn: if colors < 3 { 1 } else { 3 } });
        }
        Photo { pixels, bands: None, notes }
    }
}

/// Returns what there is to know of an image of these least and greatest values, where these are shown as black and white.
fn range_note([least, most]: [f32; 2], [black, white]: [f32; 2]) -> Option<PhotoNote> {
    /// The share of the range that the brightest value of an image is expected to reach.
    const DARK: f32 = 0.1;
    if least < black || most > white {
        return Some(PhotoNote::Beyond { values: [least, most], shown: [black, white] });
    }
    (most - black < DARK * (white - black)).then_some(PhotoNote::Dark { brightest: most, white })
}
