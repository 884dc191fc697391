//! Errors of images, and of names of classes.

use std::path::PathBuf;

/// An error of an image, or of the name of a class.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image could not be read.
    #[error("cannot read the image `{}`: {reason}", .path.display())]
    UnreadablePhoto {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An image has other channels than the network needs.
    #[error("the model needs images of {needed} channels, and this one has {found}")]
    Channels {
        /// The channels of the network's input.
        needed: usize,
        /// The channels of the image.
        found: usize,
    },
    /// The images of one batch have inputs of several sizes.
    #[error("the images of a batch need inputs of one size")]
    InputSizes,
    /// The size of an image is out of range.
    #[error("the image `{}` has {width} x {height} pixels; each side needs {least} to {most}, and there may be {pixels} in all", .path.display())]
    PhotoSize {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The shortest side in pixels.
        least: u32,
        /// The longest side in pixels.
        most: u32,
        /// The largest product of both.
        pixels: u64,
    },
    /// There are several classes of this name.
    #[error("several classes are called `{asked}`: give the number of one of them, {}", .classes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))]
    AmbiguousLabel {
        /// The name asked for.
        asked: String,
        /// The numbers of the classes.
        classes: Vec<usize>,
    },
    /// There is no class of this name.
    #[error("no class is called `{asked}`{}", suggestion(.names, *.known))]
    UnknownLabel {
        /// The name asked for.
        asked: String,
        /// Similar names; all names if they are few and none is similar.
        names: Vec<String>,
        /// How many classes have names.
        known: usize,
    },
    /// The device did not return its results.
    #[error("the device failed: {reason}")]
    Device {
        /// What it reported.
        reason: String,
    },
}

impl From<burn::tensor::ExecutionError> for Error {
    fn from(error: burn::tensor::ExecutionError) -> Self {
        Self::Device { reason: error.to_string() }
    }
}

impl From<burn::tensor::TensorReadError> for Error {
    fn from(error: burn::tensor::TensorReadError) -> Self {
        Self::Device { reason: error.to_string() }
    }
}

fn suggestion(names: &[String], known: usize) -> String {
    match (names, known) {
        ([], 0) => "; the classes of this model have numbers and no names".into(),
        ([], _) => format!("; there are {known}, numbered 0 to {}", known - 1),
        (all, _) if all.len() == known => format!("; there are {}", all.join(", ")),
        _ => format!("; did you mean {}?", names.join(", ")),
    }
}
