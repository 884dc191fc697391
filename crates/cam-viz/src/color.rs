//! Color maps: a value becomes one of 256 shades, `shade = round(255 * value)`, and a signed one one of 511.
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
//! Red-blue and orange-purple (ColorBrewer's, of `colorous` too) are for signed values: white at zero.

use crate::{Error, HeatMap};
use image::{Rgb, RgbImage};
use std::{fmt, str::FromStr};

/// How values become colors.
///
/// ```
/// use cam_viz::{ColorMap, Rgb};
///
/// let colors: ColorMap = "jet".parse()?;
/// assert_eq!(colors.color(0.0), Rgb([0, 0, 128]));
/// assert_eq!(colors.color(1.0), Rgb([128, 0, 0]));
/// assert_eq!(ColorMap::default().name(), "viridis");
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColorMap {
    /// Violet, green, yellow: perceptually even and safe for the color-blind. The default.
    #[default]
    Viridis,
    /// Black, red, yellow, nearly white: perceptually even.
    Inferno,
    /// Black, magenta, nearly white: perceptually even.
    Magma,
    /// Blue, magenta, yellow: perceptually even.
    Plasma,
    /// Blue, gray, yellow: made to look the same to the color-blind.
    Cividis,
    /// An even-tempered rainbow; not safe for the color-blind.
    Turbo,
    /// OpenCV's rainbow, known from most papers; it shows edges where there are none.
    Jet,
    /// Black to white.
    Gray,
    /// For signed values from -1 to 1: blue below zero, white at zero, red above; safe for the color-blind.
    RedBlue,
    /// For signed values from -1 to 1: purple below zero, white at zero, orange above; safe for the color-blind.
    OrangePurple,
}

/// What a map is made of.
enum Shades {
    /// From 0 to 1.
    Sequential(colorous::Gradient),
    /// From -1 to 1, and the end of the gradient (0 or 1) that is the color of 1.
    Diverging(colorous::Gradient, f64),
    /// A shade by a formula.
    Formula(fn(u8) -> Rgb<u8>),
}

impl ColorMap {
    /// All color maps that there are.
    pub const ALL: [Self; 10] = [
        Self::Viridis,
        Self::Inferno,
        Self::Magma,
        Self::Plasma,
        Self::Cividis,
        Self::Turbo,
        Self::Jet,
        Self::Gray,
        Self::RedBlue,
        Self::OrangePurple,
    ];

    /// The name by which it is parsed.
    pub fn name(self) -> &'static str {
        self.data().0
    }

    /// Whether it is for signed values from -1 to 1, rather than for values from 0 to 1.
    pub fn is_diverging(self) -> bool {
        matches!(self.data().1, Shades::Diverging(..))
    }

    /// The color of a value from 0 to 1, or from -1 to 1 where the map [diverges](Self::is_diverging).
    /// Values beyond get the color of the nearer end.
    pub fn color(self, value: f32) -> Rgb<u8> {
        self.shade(shade(value))
    }

    /// What [`color`](Self::color) gives, made quick for many values.
    pub(crate) fn of_many(self) -> impl Fn(f32) -> Rgb<u8> {
        let shades: Vec<_> = (-255..=255).map(|at| self.shade(at)).collect();
        move |value| shades[(shade(value) + 255) as usize]
    }

    /// The color of a shade from 0 to 255, or from -255 to 255 where the map diverges.
    fn shade(self, shade: i32) -> Rgb<u8> {
        let above = shade.max(0) as u8;
        match self.data().1 {
            Shades::Sequential(gradient) => Rgb(gradient.eval_rational(above.into(), 256).as_array()),
            Shades::Diverging(gradient, end) => {
                Rgb(gradient.eval_continuous(0.5 + (end - 0.5) * f64::from(shade) / 255.0).as_array())
            }
            Shades::Formula(formula) => formula(above),
        }
    }

    fn data(self) -> (&'static str, Shades) {
        use Shades::{Diverging, Formula, Sequential};
        match self {
            Self::Viridis => ("viridis", Sequential(colorous::VIRIDIS)),
            Self::Inferno => ("inferno", Sequential(colorous::INFERNO)),
            Self::Magma => ("magma", Sequential(colorous::MAGMA)),
            Self::Plasma => ("plasma", Sequential(colorous::PLASMA)),
            Self::Cividis => ("cividis", Sequential(colorous::CIVIDIS)),
            Self::Turbo => ("turbo", Sequential(colorous::TURBO)),
            Self::Jet => ("jet", Formula(jet)),
            Self::Gray => ("gray", Formula(|shade| Rgb([shade; 3]))),
            Self::RedBlue => ("red-blue", Diverging(colorous::RED_BLUE, 0.0)),
            Self::OrangePurple => ("orange-purple", Diverging(colorous::PURPLE_ORANGE, 1.0)),
        }
    }

    /// The map in colors alone, at its own size.
    ///
    /// ```
    /// use cam_viz::{ColorMap, HeatMap, Rgb};
    ///
    /// let signed = HeatMap::new(3, 1, [-1.0, 0.0, 1.0])?;
    /// let picture = ColorMap::RedBlue.paint(&signed);
    /// let [red, _, blue] = picture[(0, 0)].0;
    /// assert!(blue > red);
    /// assert_eq!(picture.dimensions(), (3, 1));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn paint(self, map: &HeatMap) -> RgbImage {
        let color = self.of_many();
        let mut picture = RgbImage::new(map.width(), map.height());
        for (pixel, value) in picture.pixels_mut().zip(map.values()) {
            *pixel = color(*value);
        }
        picture
    }
}

/// A value as a shade from -255 to 255.
fn shade(value: f32) -> i32 {
    // As `round` does, which is slow where the processor has no instruction for it.
    (value.clamp(-1.0, 1.0) * 255.0 + 255.5) as i32 - 255
}

/// OpenCV's table, whose blue at 159 is one less than the tent.
fn jet(shade: u8) -> Rgb<u8> {
    let i = i32::from(shade);
    let tent = |rise: i32, fall: i32| (4 * i + rise).min(fall - 4 * i).clamp(0, 255) as u8;
    Rgb([tent(-382, 1148), tent(-128, 892), tent(128, 638) - u8::from(shade == 159)])
}

impl fmt::Display for ColorMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ColorMap {
    type Err = Error;

    /// The color map of this name; capitals do not matter.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|map| map.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::UnknownColorMap { name: name.to_owned(), known }
        })
    }
}
