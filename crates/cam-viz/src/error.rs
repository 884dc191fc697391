//! Everything that can go wrong, and in each case what there is instead.

use crate::Area;
use std::path::PathBuf;

/// Why a picture could not be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A map or a picture without a single pixel.
    #[error("a picture of {width} x {height} has no pixels")]
    Empty {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },

    /// A list of values that does not fill its width and height.
    #[error("{width} x {height} pixels need {} values, there are {length}", u64::from(*.width) * u64::from(*.height))]
    Length {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// How many values there are.
        length: usize,
    },

    /// A list of values that does not fill three planes of its width and height.
    #[error("three planes of {width} x {height} need {} values, there are {length}", 3 * u64::from(*.width) * u64::from(*.height))]
    Planes {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// How many values there are.
        length: usize,
    },

    /// A value of a map that is infinite or not a number.
    #[error("the map holds {value} at ({x}, {y}); all its values have to be finite")]
    NotFinite {
        /// Its column.
        x: u32,
        /// Its row.
        y: u32,
        /// What stands there.
        value: f32,
    },

    /// A map or picture that would take an unreasonable amount of memory.
    #[error("{width} x {height} pixels are too many, the limit is {limit} pixels")]
    TooLarge {
        /// The asked-for width in pixels.
        width: u64,
        /// The asked-for height in pixels.
        height: u64,
        /// The largest product of both.
        limit: u64,
    },

    /// An opacity that is not between 0 and 1.
    #[error("alpha is {alpha}, it has to be from 0 (only the photo) to 1 (only the heat)")]
    Alpha {
        /// The given opacity.
        alpha: f32,
    },

    /// An area that is empty or does not lie within its photo.
    #[error("the area {area} does not lie within the photo of {width} x {height}")]
    AreaOutside {
        /// The given area, in pixels of the photo.
        area: Area,
        /// The photo's width in pixels.
        width: u32,
        /// The photo's height in pixels.
        height: u32,
    },

    /// A threshold or the level of a line that is infinite or not a number.
    #[error("a threshold or level is {level}, it has to be finite")]
    Level {
        /// The given level.
        level: f32,
    },

    /// A threshold that cannot be read.
    #[error("{given:?} is no threshold, it is a number or otsu")]
    UnknownThreshold {
        /// What was given.
        given: String,
    },

    /// An overlay mode by a name that there is not.
    #[error("there is no overlay mode {name:?}, there are {known}")]
    UnknownMode {
        /// The given name.
        name: String,
        /// The names that there are, separated by commas.
        known: String,
    },

    /// A color map by a name that there is not.
    #[error("there is no color map {name:?}, there are {known}")]
    UnknownColorMap {
        /// The given name.
        name: String,
        /// The names that there are, separated by commas.
        known: String,
    },

    /// A file name whose extension names no format that can be written.
    #[error("cannot write pictures as {extension:?}, only as {known}")]
    UnknownFormat {
        /// The given extension, without the dot; empty where there is none.
        extension: String,
        /// The extensions that there are, separated by commas.
        known: String,
    },

    /// A picture that its format cannot hold.
    #[error("the picture of {width} x {height} cannot be written as {format}")]
    Encode {
        /// The format's extension.
        format: &'static str,
        /// The picture's width in pixels.
        width: u32,
        /// The picture's height in pixels.
        height: u32,
        /// What the encoder says.
        source: image::ImageError,
    },

    /// A file that could not be written. What was there before is still there.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file's path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
