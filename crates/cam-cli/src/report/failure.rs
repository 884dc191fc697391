//! Why a run ended early: one line for people, one exit code for scripts.

use crate::registry;
use burn_cam::cam_core::Error as CoreError;
use burn_cam::{Error, ErrorKind, Reads, UnknownName, draw};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Everything that ends a run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Cam(#[from] burn_cam::Error),
    #[error("cannot read the array `{}`: {reason}", .path.display())]
    Array { path: PathBuf, reason: String },
    #[error("the array `{}` holds NaN or infinity", .path.display())]
    NonFinite { path: PathBuf },
    /// What `--from` names is no result.
    #[error("cannot make `{}` again: {reason}", .path.display())]
    Record { path: PathBuf, reason: String },
    #[error("cannot write to `{}`: {reason}", .path.display())]
    Output { path: PathBuf, reason: String },
    #[error("cannot write to standard output: {reason}")]
    Stdout { reason: String },
    /// Who reads standard output has gone away (`| head`) and needs no more.
    #[error("nobody reads standard output")]
    NoReader,
    #[error("writing to `{}` would overwrite `{}`, which is an input: choose another output", .output.display(), .input.display())]
    Overwrites { output: PathBuf, input: PathBuf },
    #[error(transparent)]
    Device(#[from] cam_device::Error),
    #[error("`{device}` failed: {reason}")]
    Lost { device: String, reason: String },
    #[error("cannot read the folder `{}`: {reason}", .path.display())]
    Folder { path: PathBuf, reason: String },
    #[error("there are no images in the folder `{}` ({known})", .path.display())]
    NoImages { path: PathBuf, known: String },
    #[error("cannot merge `{}`: {reason}", .path.display())]
    Shards { path: PathBuf, reason: String },
    #[error("the truth `{}`: {reason}", .path.display())]
    Truth { path: PathBuf, reason: String },
    /// The command line combines options that exclude each other.
    #[error("{0}")]
    Usage(String),
    /// A mistake in the tool or in one of its dependencies.
    #[error("internal error: {0}; `--verbose` shows where")]
    Internal(String),
    #[error("{failed} of {all} images could not be explained")]
    Some { failed: usize, all: usize },
    #[error(transparent)]
    Scene(#[from] cam_scenes::Error),
}

impl From<draw::Error> for Failure {
    fn from(error: draw::Error) -> Self {
        Self::Cam(error.into())
    }
}

impl From<burn_cam::cam_core::Error> for Failure {
    fn from(error: burn_cam::cam_core::Error) -> Self {
        Self::Cam(error.into())
    }
}

/// The exit codes, as in the help of the tool.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  success
   1  internal error
   2  invalid command line
   3  unknown layer
   4  unknown class
   5  unknown method or metric, or a method that finds nothing to read in this model or layer
   6  unknown model, or a model without its weights
   7  an image, an array or a result that cannot be read
   8  an image that is too small or too large
   9  a weight file that cannot be read
  10  a weight file of another model, or of no model that is known
  11  NaN or infinity in weights or input
  12  output that cannot be written
  13  unknown or failing device
  14  class names or a model card that cannot be read or do not fit
  15  weights that cannot be fetched
  16  fetched weights that are not the published ones
  17  some images could not be explained, the others were
 129  interrupted by a terminal that was closed
 130  interrupted by Ctrl-C
 143  interrupted by a request to end";

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Overwrites { .. } => 2,
            Self::Record { .. }
            | Self::Truth { .. }
            | Self::Shards { .. }
            | Self::Array { .. }
            | Self::Folder { .. }
            | Self::NoImages { .. } => 7,
            Self::NonFinite { .. } => 11,
            Self::Output { .. } | Self::Stdout { .. } => 12,
            Self::Device(_) | Self::Lost { .. } => 13,
            Self::Some { .. } => 17,
            Self::NoReader => 0,
            Self::Internal(_) | Self::Scene(_) => 1,
            Self::Cam(error) => match error.kind() {
                ErrorKind::Target => 2,
                ErrorKind::Layer => 3,
                ErrorKind::Class => 4,
                ErrorKind::Method => 5,
                ErrorKind::Model => 6,
                ErrorKind::Image => 7,
                ErrorKind::ImageSize => 8,
                ErrorKind::Weights => 9,
                ErrorKind::WrongWeights => 10,
                ErrorKind::NonFinite => 11,
                ErrorKind::Output => 12,
                ErrorKind::Device => 13,
                ErrorKind::Labels | ErrorKind::Card => 14,
                ErrorKind::Download => 15,
                ErrorKind::Checksum => 16,
                _ => 1,
            },
        }
    }

    /// Returns whether it concerns one image, in being read, explained, drawn or written, so that others can be explained.
    pub fn is_of_one_image(&self) -> bool {
        match self {
            Self::Cam(error) => error.is_of_one_image(),
            Self::Output { .. } => true,
            _ => matches!(self.code(), 7 | 8 | 11),
        }
    }

    /// Returns the same failure with the name of the device, when it is the device that failed.
    pub fn of_device(self, device: &str) -> Self {
        match &self {
            Self::Cam(error) => match error.device_failure() {
                Some(reason) => Self::Lost { device: device.into(), reason: reason.into() },
                None => self,
            },
            _ => self,
        }
    }

    /// Returns the failure and its causes, in one line.
    pub fn message(&self) -> String {
        let mut line = match self {
            Self::Cam(error) => error.unknown_name().map_or_else(|| of_methods(error), unknown),
            _ => self.to_string(),
        };
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // Some errors include their cause.
            let text = error.to_string();
            if !line.contains(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        self.code().into()
    }
}

/// Returns that a name is unknown, with similar names, or with all names when they are few.
fn unknown(unknown: UnknownName<'_>) -> String {
    let UnknownName { what, name, .. } = unknown;
    let other = match what {
        "layer" => ", values with positions in the image, and not what follows a pooling",
        "model" => "; any other network is opened from its file, as ONNX or weights: `--model FILE`",
        _ => "",
    };
    format!("no {what} is called `{name}`; {} (`cam {what}s` lists them){other}", unknown.choices())
}

/// Returns what is wrong, with the methods that the error is of.
fn of_methods(error: &Error) -> String {
    let reads = match error {
        Error::Core(CoreError::NoAttention) => Reads::Attention,
        Error::Core(CoreError::NoBiases) => Reads::Biases,
        _ => return error.to_string(),
    };
    let methods = registry().methods().iter().map(|method| method.info());
    let names: Vec<_> = methods.filter(|info| info.reads == reads).map(|info| info.name).collect();
    format!("{} cannot be used here: {error}", names.join(" and "))
}

/// Creates the folder that a run writes to, before it works for nothing.
pub fn create_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|e| Failure::Output { path: path.into(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        let listed: Vec<u8> =
            EXIT_CODES.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        assert_eq!(listed, (0..=17).chain([129, 130, 143]).collect::<Vec<_>>());
    }
}
