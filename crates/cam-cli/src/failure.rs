//! Why a run ended early: one line for the person, one exit code for the script.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Everything that ends a run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Core(#[from] cam_core::Error),
    #[error(transparent)]
    Models(#[from] cam_models::Error),
    #[error("cannot read the array `{}`: {reason}", .path.display())]
    Array { path: PathBuf, reason: String },
    #[error("the output of `{model}` for `{image}` holds NaN or infinity: its weights or this picture do")]
    NonFinite { model: String, image: String },
    #[error("cannot write to `{}`: {reason}", .path.display())]
    Output { path: PathBuf, reason: String },
    #[error("cannot write to standard output: {reason}")]
    Stdout { reason: String },
    #[error("writing to `{}` would overwrite `{}`, which is read here: name another place", .output.display(), .input.display())]
    Overwrites { output: PathBuf, input: PathBuf },
    #[error(transparent)]
    Device(#[from] cam_device::Error),
    #[error("`{device}` failed: {reason}")]
    Lost { device: String, reason: String },
    #[error("cannot read the folder `{}`: {reason}", .path.display())]
    Folder { path: PathBuf, reason: String },
    #[error("there are no pictures in the folder `{}` ({known})", .path.display())]
    NoPictures { path: PathBuf, known: String },
    /// The command line asks for what does not go together.
    #[error("{0}")]
    Usage(String),
    /// A mistake in the tool or in what it is made of.
    #[error("something unforeseen: {0}; `--verbose` says where")]
    Unforeseen(String),
    #[error("{failed} of {all} pictures could not be explained")]
    Some { failed: usize, all: usize },
    #[error(transparent)]
    Picture(#[from] cam_viz::Error),
    #[error(transparent)]
    Scene(#[from] cam_scenes::Error),
}

/// The exit codes, as the tool's help lists them.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  something unforeseen
   2  the command line is not understood
   3  unknown layer
   4  unknown class
   5  unknown method, or one that has nothing to look at in this model or layer
   6  unknown model, or a model without its weights
   7  a picture or array that cannot be read
   8  a picture too small or too large
   9  a weight file that cannot be read
  10  a weight file of another model, or of none that is known
  11  NaN or infinity in weights or input
  12  output that cannot be written
  13  unknown or failing device
  14  a list of class names that cannot be read or does not fit
  15  weights that could not be fetched
  16  fetched weights that are not those that were published
  17  some pictures could not be explained, and the others were
 130  interrupted by Ctrl-C";

impl Failure {
    fn code(&self) -> u8 {
        use cam_core::Error as Core;
        use cam_models::Error as Models;
        match self {
            Self::Usage(_) | Self::Overwrites { .. } => 2,
            Self::Core(Core::UnknownLayer { .. } | Core::NoLayer { .. }) => 3,
            Self::Core(Core::UnknownClass { .. }) | Self::Models(Models::UnknownLabel { .. }) => 4,
            Self::Core(
                Core::UnknownMethod { .. }
                | Core::NotLinear { .. }
                | Core::NoBiases
                | Core::NoAttention
                | Core::NoRelu
                | Core::NotGuided { .. }
                | Core::NotConnected { .. },
            ) => 5,
            Self::Models(Models::UnknownModel { .. } | Models::NoWeights { .. } | Models::Offline { .. }) => {
                6
            }
            Self::Models(Models::UnreadablePhoto { .. })
            | Self::Array { .. }
            | Self::Folder { .. }
            | Self::NoPictures { .. } => 7,
            Self::Models(Models::PhotoSize { .. }) => 8,
            Self::Models(Models::UnreadableWeights { .. }) => 9,
            Self::Models(
                Models::WrongWeights { .. } | Models::NearMiss { .. } | Models::UnknownNetwork { .. },
            ) => 10,
            Self::NonFinite { .. }
            | Self::Core(Core::NonFinite { .. })
            | Self::Picture(cam_viz::Error::NotFinite { .. }) => 11,
            Self::Output { .. }
            | Self::Stdout { .. }
            | Self::Picture(
                cam_viz::Error::Write { .. }
                | cam_viz::Error::Encode { .. }
                | cam_viz::Error::TooLarge { .. },
            ) => 12,
            Self::Device(_)
            | Self::Lost { .. }
            | Self::Core(Core::Device { .. })
            | Self::Models(Models::Precision { .. } | Models::Device { .. }) => 13,
            Self::Models(Models::UnreadableLabels { .. } | Models::LabelCount { .. }) => 14,
            Self::Models(Models::Fetch { .. }) => 15,
            Self::Models(Models::WrongHash { .. }) => 16,
            Self::Some { .. } => 17,
            Self::Unforeseen(_) | Self::Core(_) | Self::Models(_) | Self::Picture(_) | Self::Scene(_) => 1,
        }
    }

    /// Whether it concerns one picture, in being read, explained, drawn or written, so that others can be explained.
    pub fn is_of_one_picture(&self) -> bool {
        use cam_core::Error as Core;
        let of_its_grid = matches!(
            self,
            Self::Core(Core::EmptyInput { .. } | Core::WrongGrid { .. } | Core::WrongLayout { .. })
        );
        let of_its_files = matches!(self, Self::Picture(_) | Self::Output { .. });
        of_its_grid || of_its_files || matches!(self.code(), 7 | 8 | 11)
    }

    /// The same, with the name of the device where that is what failed.
    pub fn of_device(self, device: &str) -> Self {
        match self {
            Self::Core(cam_core::Error::Device { reason })
            | Self::Models(cam_models::Error::Device { reason }) => {
                Self::Lost { device: device.into(), reason }
            }
            other => other,
        }
    }

    /// The failure and what caused it, in one line.
    pub fn told(&self) -> String {
        use cam_core::Error as Core;
        use cam_models::Error as Models;
        let mut line = match self {
            Self::Core(Core::UnknownLayer { asked, known }) => unknown("layer", asked, known),
            Self::Core(Core::UnknownMethod { asked, known }) => unknown("method", asked, known),
            Self::Models(Models::UnknownModel { asked, known }) => unknown("model", asked, known),
            _ => self.to_string(),
        };
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // Some errors tell their cause themselves.
            let told = error.to_string();
            if !line.contains(&told) {
                line = format!("{line}: {told}");
            }
            cause = error.source();
        }
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        self.code().into()
    }
}

/// That a name is none of those known: the nearest are told, or all where they are few.
fn unknown(what: &str, asked: &str, known: &[String]) -> String {
    const FEW: usize = 8;
    let mut near: Vec<(f64, &str)> =
        known.iter().map(|name| (strsim::jaro_winkler(name, asked), name.as_str())).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.retain(|(nearness, _)| *nearness > 0.7);
    let said = match (known.len(), near.len()) {
        (0..=FEW, _) => format!("there are {}", known.join(", ")),
        (all, 0) => format!("`cam {what}s` lists all {all}"),
        (all, _) => {
            let near: Vec<&str> = near.into_iter().take(5).map(|(_, name)| name).collect();
            format!("near it are {}; `cam {what}s` lists all {all}", near.join(", "))
        }
    };
    format!("no {what} is called `{asked}`; {said}")
}

/// Makes sure of the folder that a run writes to, before it works for nothing.
pub fn folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|e| Failure::Output { path: path.into(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        let listed: Vec<u8> =
            EXIT_CODES.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        assert_eq!(listed, (0..=17).chain([130]).collect::<Vec<_>>());
    }
}
