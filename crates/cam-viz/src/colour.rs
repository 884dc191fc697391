//! Colour maps: a value becomes one of 256 shades, `shade = round(255 * value)`.
//!
//! Viridis, inferno, magma and plasma are matplotlib's tables, cividis and turbo close polynomials (up to 18 and 32
//! of 255 off at the dark ends), all of the crate `colorous`. Jet is OpenCV's `COLORMAP_JET`, three tents over the
//! shade `i`, cut off at 0 and 255:
//!
//! ```text
//! red   = min(4 i - 382, 1148 - 4 i)
//! green = min(4 i - 128,  892 - 4 i)
//! blue  = min(4 i + 128,  638 - 4 i)
//! ```
//!
//! Red-blue is for signed values: white at zero, red above, blue below.

use crate::{Error, HeatMap};
use image::{Rgb, RgbImage};
use std::{fmt, str::FromStr};

/// How values become colours.
///
/// ```
/// use cam_viz::{ColourMap, Rgb};
///
/// let colours: ColourMap = "jet".parse()?;
/// assert_eq!(colours.colour(0.0), Rgb([0, 0, 128]));
/// assert_eq!(colours.colour(1.0), Rgb([128, 0, 0]));
/// assert_eq!(ColourMap::default().name(), "viridis");
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColourMap {
    /// Violet, green, yellow: perceptually even and safe for the colour-blind. The default.
    #[default]
    Viridis,
    /// Black, red, yellow, nearly white: perceptually even.
    Inferno,
    /// Black, magenta, nearly white: perceptually even.
    Magma,
    /// Blue, magenta, yellow: perceptually even.
    Plasma,
    /// Blue, grey, yellow: made to look the same to the colour-blind.
    Cividis,
    /// An even-tempered rainbow; not safe for the colour-blind.
    Turbo,
    /// OpenCV's rainbow, known from most papers; it shows edges where there are none.
    Jet,
    /// For signed values from -1 to 1: blue below zero, white at zero, red above.
    RedBlue,
}

impl ColourMap {
    /// All colour maps that there are.
    pub const ALL: [Self; 8] = [
        Self::Viridis,
        Self::Inferno,
        Self::Magma,
        Self::Plasma,
        Self::Cividis,
        Self::Turbo,
        Self::Jet,
        Self::RedBlue,
    ];

    /// The name by which it is parsed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Inferno => "inferno",
            Self::Magma => "magma",
            Self::Plasma => "plasma",
            Self::Cividis => "cividis",
            Self::Turbo => "turbo",
            Self::Jet => "jet",
            Self::RedBlue => "red-blue",
        }
    }

    /// Whether it is for signed values from -1 to 1, rather than for values from 0 to 1.
    pub fn is_diverging(self) -> bool {
        self == Self::RedBlue
    }

    /// The colour of a value from 0 to 1, or from -1 to 1 where the map [diverges](Self::is_diverging).
    /// Values beyond get the colour of the nearer end.
    pub fn colour(self, value: f32) -> Rgb<u8> {
        let shade = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let gradient = match self {
            Self::Viridis => colorous::VIRIDIS,
            Self::Inferno => colorous::INFERNO,
            Self::Magma => colorous::MAGMA,
            Self::Plasma => colorous::PLASMA,
            Self::Cividis => colorous::CIVIDIS,
            Self::Turbo => colorous::TURBO,
            Self::Jet => return jet(shade),
            Self::RedBlue => return red_blue(value),
        };
        Rgb(gradient.eval_rational(shade.into(), 256).as_array())
    }

    /// The map in colours alone, at its own size.
    ///
    /// ```
    /// use cam_viz::{ColourMap, HeatMap, Rgb};
    ///
    /// let signed = HeatMap::new(3, 1, [-1.0, 0.0, 1.0])?;
    /// let picture = ColourMap::RedBlue.paint(&signed);
    /// let [red, _, blue] = picture[(0, 0)].0;
    /// assert!(blue > red);
    /// assert_eq!(picture.dimensions(), (3, 1));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn paint(self, map: &HeatMap) -> RgbImage {
        RgbImage::from_fn(map.width(), map.height(), |x, y| {
            self.colour(map.values()[y as usize * map.width() as usize + x as usize])
        })
    }
}

/// OpenCV's table, whose blue at 159 is one less than the tent.
fn jet(shade: u8) -> Rgb<u8> {
    let i = i32::from(shade);
    let tent = |rise: i32, fall: i32| (4 * i + rise).min(fall - 4 * i).clamp(0, 255) as u8;
    Rgb([tent(-382, 1148), tent(-128, 892), tent(128, 638) - u8::from(shade == 159)])
}

fn red_blue(value: f32) -> Rgb<u8> {
    let from_red = (1.0 - f64::from(value.clamp(-1.0, 1.0))) / 2.0;
    Rgb(colorous::RED_BLUE.eval_continuous(from_red).as_array())
}

impl fmt::Display for ColourMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ColourMap {
    type Err = Error;

    /// The colour map of this name; capitals do not matter.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|map| map.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::UnknownColourMap { name: name.to_owned(), known }
        })
    }
}
