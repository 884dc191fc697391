//! What pictures are written as.

use clap::ValueEnum;
use serde::Serialize;
use std::path::Path;

/// What a picture is written as.
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
    /// The format that the name of a file says.
    pub fn of(path: &Path) -> Option<Self> {
        Self::from_str(path.extension()?.to_str()?, true).ok()
    }

    /// How its files end.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Svg => "svg",
        }
    }
}
