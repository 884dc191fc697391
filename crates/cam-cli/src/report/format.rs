//! File formats of images.

use clap::ValueEnum;
use serde::Serialize;
use std::path::Path;

/// A file format of images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    #[default]
    Png,
    #[value(alias = "jpg")]
    Jpeg,
    /// Without loss
    Webp,
    /// With captions that can be searched
    Svg,
}

impl Format {
    /// Returns the format that the extension of a file names.
    pub fn from_path(path: &Path) -> Option<Self> {
        Self::from_str(path.extension()?.to_str()?, true).ok()
    }

    /// Returns the extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Svg => "svg",
        }
    }
}
