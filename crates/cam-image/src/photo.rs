//! From the file of an image to its pixels, upright, opaque, and 8 bits each. What had to be decided on the way is a [`PhotoNote`].

mod bands;
mod samples;
#[cfg(all(test, feature = "formats"))]
mod tests;
#[cfg(feature = "formats")]
mod tiff;

pub use bands::Bands;

use crate::{Error, foreign};
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
#[cfg(feature = "formats")]
use image::{
    AnimationDecoder,
    codecs::{gif::GifDecoder, webp::WebPDecoder},
};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits, RgbImage};
use samples::{Alpha, Samples};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Cursor;
use std::path::Path;

/// The extensions of the images that are read.
#[cfg(feature = "formats")]
pub const PHOTO_EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif"];
/// The extensions of the images that are read.
#[cfg(not(feature = "formats"))]
pub const PHOTO_EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "bmp"];

/// The formats that are read, for messages.
const READ: &str = match cfg!(feature = "formats") {
    true => "PNG, JPEG, WebP, TIFF, BMP and GIF images are read",
    false => "PNG, JPEG and BMP images are read; others with the feature `formats` of burn-cam",
};

/// The sides of images that can be explained, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 8..=20_000;
/// The most pixels of an image that can be explained, width times height: 2^28.
pub const MOST_PIXELS: u64 = 1 << 28;
/// The most memory that decoding may take, in bytes.
const MEMORY: u64 = 1 << 30;

/// An image that was read from a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Photo {
    /// Its pixels, as they are drawn and as networks of colors see them.
    pub pixels: RgbImage,
    /// Its samples, where they are not those of a gray or a color image.
    pub bands: Option<Bands>,
    /// What was decided when it was read.
    pub notes: Vec<PhotoNote>,
}

/// What a reader of an image decided, and who looks at the result should know.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub enum PhotoNote {
    /// It is transparent in places, which show the background.
    Transparent {
        /// The share of its pixels that are not opaque, 0 to 1.
        share: f32,
        /// The color of the background.
        background: [u8; 3],
    },
    /// It is nearly black: its brightest value is under a tenth of what is shown as white.
    Dark {
        /// Its brightest value.
        brightest: f32,
        /// The value that is shown as white.
        white: f32,
    },
    /// Values are beyond what is shown as black and white, and were cut off there.
    Beyond {
        /// The least and the greatest value.
        values: [f32; 2],
        /// The values that are shown as black and white.
        shown: [f32; 2],
    },
    /// The file has several frames or pages, of which this is the first.
    First,
    /// It is an input that is said to be preprocessed, and has values that no preprocessed image has.
    Raw {
        /// Its greatest value, whatever its sign.
        greatest: f32,
        /// The greatest that a preprocessed image can have.
        expected: f32,
    },
    /// It has bands that are no colors.
    Bands {
        /// How many it has.
        count: usize,
        /// How many are drawn, from the first on.
        drawn: usize,
    },
}

impl fmt::Display for PhotoNote {
    /// Writes a phrase: `transparent in 38.1 % of its pixels, which show a background of #ffffff`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Transparent { share, background: [r, g, b] } => write!(
                f,
                "transparent in {:.1} % of its pixels, which show a background of #{r:02x}{g:02x}{b:02x}",
                100.0 * share
            ),
            Self::Dark { brightest, white } => {
                write!(f, "nearly black: its brightest value is {brightest}, and white is {white}")
            }
            Self::Beyond { values: [least, most], shown: [black, white] } => {
                write!(f, "its values of {least} to {most} are cut off at {black} and {white}")
            }
            Self::First => write!(f, "the first of several frames"),
            Self::Raw { greatest, expected } => write!(
                f,
                "taken as preprocessed, but its values reach {greatest}, and those of a preprocessed image {expected:.1}"
            ),
            Self::Bands { count, drawn: 1 } => write!(f, "the first of its {count} bands is drawn"),
            Self::Bands { count, drawn } => write!(f, "the first {drawn} of its {count} bands are drawn"),
        }
    }
}

/// Reads images: PNG, JPEG, WebP, TIFF, BMP, and the first frame of a GIF.
///
/// ```
/// use cam_image::{PhotoNote, PhotoReader};
/// use image::{DynamicImage, ImageBuffer, Luma};
///
/// // 12 bits in an image of 16
/// let dark = DynamicImage::ImageLuma16(ImageBuffer::from_pixel(9, 9, Luma([4095])));
/// let photo = PhotoReader::default().convert(&dark);
/// assert_eq!(photo.notes, [PhotoNote::Dark { brightest: 4095.0, white: 65535.0 }]);
/// let photo = PhotoReader { window: Some([0.0, 4095.0]), ..PhotoReader::default() }.convert(&dark);
/// assert_eq!((photo.pixels.get_pixel(0, 0).0, photo.notes.len()), ([255; 3], 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhotoReader {
    /// The color behind transparent pixels; white by default.
    pub background: [u8; 3],
    /// The values of the file that are shown as black and white. By default 0 and the largest integer of the file's type, or 0 and 1.
    pub window: Option<[f32; 2]>,
}

impl Default for PhotoReader {
    fn default() -> Self {
        Self { background: [255; 3], window: None }
    }
}

/// Reads an image as [`PhotoReader::open`] does by default, and returns its pixels alone.
///
/// # Errors
/// Those of [`PhotoReader::open`].
pub fn read_photo(path: &Path) -> Result<RgbImage, Error> {
    Ok(PhotoReader::default().open(path)?.pixels)
}

impl PhotoReader {
    /// Reads an image, rotated as its EXIF orientation requires.
    ///
    /// # Errors
    /// [`Error::UnreadablePhoto`] for a file that is missing, corrupt, cut short, or of another format, which is named;
    /// [`Error::PhotoSize`] as for [`check_photo_size`], before its pixels are decoded.
    pub fn open(&self, path: &Path) -> Result<Photo, Error> {
        let bytes = std::fs::read(path)
            .map_err(|e| Error::UnreadablePhoto { path: path.into(), reason: e.to_string() })?;
        self.decode(&bytes, path)
    }

    /// Like [`open`](Self::open), from the bytes of a file; errors call it `path`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn decode(&self, bytes: &[u8], path: &Path) -> Result<Photo, Error> {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        let unreadable = |reason: String| Error::UnreadablePhoto { path: path.into(), reason };
        let failed = |e: image::ImageError| unreadable(e.to_string().trim_end().into());
        #[cfg(feature = "formats")]
        if tiff::is_big(bytes) {
            return tiff::decode(self, bytes, path);
        }
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| unreadable(e.to_string()))?;
        let format = reader.format();
        match format {
            #[cfg(feature = "formats")]
            Some(Tiff) => return tiff::decode(self, bytes, path),
            #[cfg(not(feature = "formats"))]
            Some(Gif | Tiff | WebP) => return Err(unreadable(READ.into())),
            Some(Jpeg) if !is_complete(bytes) => {
                return Err(unreadable("its JPEG data is cut short".into()));
            }
            #[cfg(feature = "formats")]
            Some(Gif | WebP) => {}
            Some(Bmp | Jpeg | Png) => {}
            _ => return Err(unreadable(foreign::unread(bytes, READ))),
        }
        reader.limits(limits());
        let mut decoder = reader.into_decoder().map_err(failed)?;
        let (width, height) = decoder.dimensions();
        check_photo_size(path, width, height)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut photo = DynamicImage::from_decoder(decoder).map_err(failed)?;
        photo.apply_orientation(orientation);
        let mut photo = match photo {
            // No copy of a large photo.
            DynamicImage::ImageRgb8(pixels) if self.window.is_none() => samples::as_they_are(pixels),
            other => self.convert(&other),
        };
        if format.is_some_and(|format| has_frames(bytes, format).unwrap_or(false)) {
            photo.notes.push(PhotoNote::First);
        }
        Ok(photo)
    }

    /// Takes samples that are no colors, pixel by pixel: `count` of each pixel of an image of this width and height. `white` is the
    /// largest that there can be. The first three are drawn.
    ///
    /// # Panics
    /// For more or fewer samples than that.
    pub fn bands(&self, size: [u32; 2], count: usize, samples: &[f32], white: f32) -> Photo {
        let photo = Samples { size, count, alpha: Alpha::None, values: samples, white }.draw(self);
        let range = self.window.unwrap_or([0.0, white]);
        Photo { bands: Some(Bands::new(size, count, samples, range)), ..photo }
    }

    /// Converts an image to opaque pixels of 8 bits.
    pub fn convert(&self, image: &DynamicImage) -> Photo {
        use DynamicImage::*;
        let size = [image.width(), image.height()];
        let eight = |values, count, alpha| Samples { size, count, alpha, values, white: 255.0 }.draw(self);
        let sixteen =
            |values, count, alpha| Samples { size, count, alpha, values, white: 65_535.0 }.draw(self);
        let floats = |values, count, alpha| Samples { size, count, alpha, values, white: 1.0 }.draw(self);
        match image {
            ImageLuma8(pixels) => eight(pixels.as_raw(), 1, Alpha::None),
            ImageLumaA8(pixels) => eight(pixels.as_raw(), 2, Alpha::Straight),
            ImageRgb8(pixels) if self.window.is_none() => samples::as_they_are(pixels.clone()),
            ImageRgb8(pixels) => eight(pixels.as_raw(), 3, Alpha::None),
            ImageRgba8(pixels) => eight(pixels.as_raw(), 4, Alpha::Straight),
            ImageLuma16(pixels) => sixteen(pixels.as_raw(), 1, Alpha::None),
            ImageLumaA16(pixels) => sixteen(pixels.as_raw(), 2, Alpha::Straight),
            ImageRgb16(pixels) => sixteen(pixels.as_raw(), 3, Alpha::None),
            ImageRgba16(pixels) => sixteen(pixels.as_raw(), 4, Alpha::Straight),
            ImageRgb32F(pixels) => floats(pixels.as_raw(), 3, Alpha::None),
            ImageRgba32F(pixels) => floats(pixels.as_raw(), 4, Alpha::Straight),
            other => eight(other.to_rgba8().as_raw(), 4, Alpha::Straight),
        }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    limits
}

/// Returns whether an image moves.
fn has_frames(bytes: &[u8], format: ImageFormat) -> ImageResult<bool> {
    let bytes = Cursor::new(bytes);
    match format {
        #[cfg(feature = "formats")]
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(bytes)?;
            decoder.set_limits(limits())?;
            Ok(decoder.into_frames().nth(1).is_some())
        }
        ImageFormat::Png => PngDecoder::with_limits(bytes, limits())?.is_apng(),
        #[cfg(feature = "formats")]
        ImageFormat::WebP => Ok(WebPDecoder::new(bytes)?.has_animation()),
        _ => Ok(false),
    }
}

/// Makes sure that an image of this size can be explained and drawn; errors call it `path`.
///
/// # Errors
/// [`Error::PhotoSize`] for a side of less than 8 or more than 20,000 pixels, and for more than [`MOST_PIXELS`].
pub fn check_photo_size(path: &Path, width: u32, height: u32) -> Result<(), Error> {
    let all = u64::from(width) * u64::from(height);
    if SIDES.contains(&width) && SIDES.contains(&height) && all <= MOST_PIXELS {
        return Ok(());
    }
    let (least, most) = (*SIDES.start(), *SIDES.end());
    Err(Error::PhotoSize { path: path.into(), width, height, least, most, pixels: MOST_PIXELS })
}

/// Returns whether the scans of a JPEG are complete: decoders fill missing parts with gray and report no error.
fn is_complete(jpeg: &[u8]) -> bool {
    // Segments, each a marker of two bytes and a length that counts itself, up to the first scan (0xda).
    let mut place = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(place..place + 4) {
        if marker == 0xda {
            // In a scan 0xff is followed by 0, so the end of the image (0xd9) cannot be mistaken.
            return jpeg[place..].windows(2).any(|pair| pair == [0xff, 0xd9]);
        }
        place += match marker {
            0xff => 1, // padding
            _ => 2 + usize::from(u16::from_be_bytes([high, low])),
        };
    }
    false
}
