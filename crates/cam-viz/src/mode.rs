//! The ways in which a map lies over its photo.

use crate::Error;
use std::{fmt, str::FromStr};

/// How an [`Overlay`](crate::Overlay) shows a map over its photo.
///
/// ```
/// use cam_viz::Mode;
///
/// let mode: Mode = "contour".parse()?;
/// assert_eq!(mode, Mode::Contour);
/// assert_eq!(
///     "lines".parse::<Mode>().unwrap_err().to_string(),
///     r#"there is no overlay mode "lines", there are blend, heat, mask, alpha, contour, box"#,
/// );
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// The colors of the heat over the photo, everywhere equally opaque. The default.
    #[default]
    Blend,
    /// The colors of the heat alone.
    Heat,
    /// The photo where it is hot, and darkened elsewhere.
    Mask,
    /// The hotter a place, the more opaque are its colors; cold places show the photo.
    Alpha,
    /// Lines of equal heat on the photo, in the colors of their levels.
    Contour,
    /// Boxes around the hot regions.
    Box,
}

impl Mode {
    /// All modes that there are.
    pub const ALL: [Self; 6] = [Self::Blend, Self::Heat, Self::Mask, Self::Alpha, Self::Contour, Self::Box];

    /// The name by which it is parsed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blend => "blend",
            Self::Heat => "heat",
            Self::Mask => "mask",
            Self::Alpha => "alpha",
            Self::Contour => "contour",
            Self::Box => "box",
        }
    }

    /// What it shows, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Blend => "the colors of the heat over the photo",
            Self::Heat => "the colors of the heat alone",
            Self::Mask => "the photo where it is hot, darkened elsewhere",
            Self::Alpha => "colors where it is hot, the photo where it is cold",
            Self::Contour => "lines of equal heat on the photo",
            Self::Box => "boxes around the hot regions",
        }
    }

    /// How opaque is what lies over the photo, unless the overlay says otherwise.
    pub(crate) fn alpha(self) -> f32 {
        match self {
            Self::Blend => 0.5,
            Self::Mask => 0.75,
            Self::Alpha => 0.8,
            Self::Heat | Self::Contour | Self::Box => 1.0,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mode {
    type Err = Error;

    /// The mode of this name; capitals do not matter.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::UnknownMode { name: name.to_owned(), known }
        })
    }
}
