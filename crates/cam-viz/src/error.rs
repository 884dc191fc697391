//! Everything that can go wrong in this crate.

use crate::Area;
use std::path::PathBuf;

/// Why an image could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A map or an image without pixels.
    #[error("an image of {width} x {height} has no pixels")]
    Empty {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
    },

    /// The number of values is not width times height.
    #[error("{width} x {height} pixels need {} values, got {length}", u64::from(*.width) * u64::from(*.height))]
    Length {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The number of values.
        length: usize,
    },

    /// The number of values is not three times width times height.
    #[error("three planes of {width} x {height} need {} values, got {length}", 3 * u64::from(*.width) * u64::from(*.height))]
    Planes {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The number of values.
        length: usize,
    },

    /// A value of a map is infinite or NaN.
    #[error("the map holds {value} at ({x}, {y}); all values must be finite")]
    NotFinite {
        /// The column of the value.
        x: u32,
        /// The row of the value.
        y: u32,
        /// The value.
        value: f32,
    },

    /// A map or an image has too many pixels.
    #[error("{width} x {height} pixels are too many, the limit is {limit} pixels")]
    TooLarge {
        /// The requested width in pixels.
        width: u64,
        /// The requested height in pixels.
        height: u64,
        /// The largest product of both.
        limit: u64,
    },

    /// An opacity is not between 0 and 1.
    #[error("alpha is {alpha}, it must be from 0 (only the photo) to 1 (only the heat)")]
    Alpha {
        /// The given opacity.
        alpha: f32,
    },

    /// An area is empty or does not lie within its photo.
    #[error("the area {area} does not lie within the photo of {width} x {height}")]
    AreaOutside {
        /// The given area, in pixels of the photo.
        area: Area,
        /// The width of the photo in pixels.
        width: u32,
        /// The height of the photo in pixels.
        height: u32,
    },

    /// A threshold or the level of a contour is infinite or NaN.
    #[error("a threshold or level is {level}, it must be finite")]
    Level {
        /// The given level.
        level: f32,
    },

    /// A threshold cannot be parsed.
    #[error("invalid threshold {given:?}, expected a number or otsu")]
    UnknownThreshold {
        /// The given text.
        given: String,
    },

    /// No overlay mode has the name.
    #[error("unknown overlay mode {name:?}, expected one of {known}")]
    UnknownMode {
        /// The given name.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },

    /// No color map has the name.
    #[error("unknown color map {name:?}, expected one of {known}")]
    UnknownColorMap {
        /// The given name.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },

    /// The extension of a file name is not that of a supported format.
    #[error("cannot write images as {extension:?}, only as {known}")]
    UnknownFormat {
        /// The given extension without the dot; empty if there is none.
        extension: String,
        /// The supported extensions, separated by commas.
        known: String,
    },

    /// An image has a longer side than its format can have.
    #[error(
        "the image of {width} x {height} is too long for {format}, whose sides have at most {longest} pixels: write a PNG"
    )]
    TooLong {
        /// The extension of the format.
        format: &'static str,
        /// The width of the image in pixels.
        width: u32,
        /// The height of the image in pixels.
        height: u32,
        /// The longest side of the format in pixels.
        longest: u32,
    },

    /// The encoder of a format rejected an image.
    #[error("the image of {width} x {height} cannot be written as {format}: {source}")]
    Encode {
        /// The extension of the format.
        format: &'static str,
        /// The width of the image in pixels.
        width: u32,
        /// The height of the image in pixels.
        height: u32,
        /// The error of the encoder.
        source: image::ImageError,
    },

    /// A file could not be written. A file that was there before is unchanged.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}
