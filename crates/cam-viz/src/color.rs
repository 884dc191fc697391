//! Color maps. A value becomes one of 256 shades, `shade = round(255 * value)`, and a signed one one of 511.
//!
//! A new color map is a row here, its shades if no gradient of `colorous` has them, and its test.
//!
//! Viridis, inferno, magma and plasma are matplotlib's tables. Cividis and turbo are close polynomials (up to 18 and 32 of 255 off at the
//! dark ends). All six are from the crate `colorous`. Jet is OpenCV's `COLORMAP_JET`, three tents over the shade `i`, clipped at 0 and
//! 255:
//!
//! ```text
//! red   = min(4 i - 382, 1148 - 4 i)
//! green = min(4 i - 128,  892 - 4 i)
//! blue  = min(4 i + 128,  638 - 4 i)
//! ```
//!
//! Red-blue and orange-purple (ColorBrewer's, also from `colorous`) are for signed values: white at zero.

use crate::{HeatMap, table::table};
use image::{Rgb, RgbImage};

/// What is known about a color map.
struct ColorMapRow {
    name: &'static str,
    help: &'static str,
    shades: Shades,
}

/// How the shades of a color map are made.
enum Shades {
    /// A gradient for values from 0 to 1.
    Sequential(colorous::Gradient),
    /// A gradient for values from -1 to 1, and the end of the gradient (0 or 1) that is the color of 1.
    Diverging(colorous::Gradient, f64),
    /// A formula for values from 0 to 1.
    Formula(fn(u8) -> Rgb<u8>),
}

table! {
    /// How values become colors.
    ///
    /// ```
    /// use cam_viz::{ColorMap, Rgb};
    ///
    /// let colors: ColorMap = "jet".parse()?;
    /// assert_eq!(colors.color(0.0), Rgb([0, 0, 128]));
    /// assert_eq!(colors.color(1.0), Rgb([128, 0, 0]));
    /// assert_eq!(ColorMap::default().name(), "turbo");
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ColorMap: ColorMapRow, unknown: UnknownColorMap {
        /// Violet, green, yellow: perceptually uniform and safe for color-blind readers.
        Viridis => {
            name: "viridis",
            help: "violet, green, yellow: perceptually uniform, safe for color-blind readers",
            shades: Shades::Sequential(colorous::VIRIDIS),
        },
        /// Black, red, yellow, nearly white: perceptually uniform.
        Inferno => {
            name: "inferno",
            help: "black, red, yellow, nearly white: perceptually uniform",
            shades: Shades::Sequential(colorous::INFERNO),
        },
        /// Black, magenta, nearly white: perceptually uniform.
        Magma => {
            name: "magma",
            help: "black, magenta, nearly white: perceptually uniform",
            shades: Shades::Sequential(colorous::MAGMA),
        },
        /// Blue, magenta, yellow: perceptually uniform.
        Plasma => {
            name: "plasma",
            help: "blue, magenta, yellow: perceptually uniform",
            shades: Shades::Sequential(colorous::PLASMA),
        },
        /// Blue, gray, yellow: looks the same to color-blind readers.
        Cividis => {
            name: "cividis",
            help: "blue, gray, yellow: looks the same to color-blind readers",
            shades: Shades::Sequential(colorous::CIVIDIS),
        },
        /// A rainbow as most papers have it, without the edges of JET that are not in the data; not safe for color-blind readers. The
        /// default.
        #[default]
        Turbo => {
            name: "turbo",
            help: "a rainbow without the false edges of jet; not safe for color-blind readers",
            shades: Shades::Sequential(colorous::TURBO),
        },
        /// OpenCV's rainbow, known from most papers; it shows edges that are not in the data.
        Jet => {
            name: "jet",
            help: "OpenCV's rainbow, known from most papers; shows edges that are not in the data",
            shades: Shades::Formula(jet),
        },
        /// Black to white.
        Gray => {
            name: "gray",
            help: "black to white",
            shades: Shades::Formula(|shade| Rgb([shade; 3])),
        },
        /// For signed values from -1 to 1: blue below zero, white at zero, red above; safe for color-blind readers.
        RedBlue => {
            name: "red-blue",
            help: "for signed values: blue below zero, white at zero, red above",
            shades: Shades::Diverging(colorous::RED_BLUE, 0.0),
        },
        /// For signed values from -1 to 1: purple below zero, white at zero, orange above; safe for color-blind readers.
        OrangePurple => {
            name: "orange-purple",
            help: "for signed values: purple below zero, white at zero, orange above",
            shades: Shades::Diverging(colorous::PURPLE_ORANGE, 1.0),
        },
    }
}

impl ColorMap {
    /// Reports whether the map is for signed values from -1 to 1, rather than for values from 0 to 1.
    pub fn is_diverging(self) -> bool {
        matches!(self.row().shades, Shades::Diverging(..))
    }

    /// Returns the color of a value from 0 to 1, or from -1 to 1 if the map [diverges](Self::is_diverging). Values out of range get the
    /// color of the nearer end.
    pub fn color(self, value: f32) -> Rgb<u8> {
        self.shade(shade(value))
    }

    /// Returns [`color`](Self::color) as a lookup table, which is fast for many values.
    pub(crate) fn lookup(self) -> impl Fn(f32) -> Rgb<u8> {
        let shades: Vec<_> = (-255..=255).map(|at| self.shade(at)).collect();
        move |value| shades[(shade(value) + 255) as usize]
    }

    /// Returns the color of a shade from 0 to 255, or from -255 to 255 if the map diverges.
    fn shade(self, shade: i32) -> Rgb<u8> {
        let positive = shade.max(0) as u8;
        match self.row().shades {
            Shades::Sequential(gradient) => Rgb(gradient.eval_rational(positive.into(), 256).as_array()),
            Shades::Diverging(gradient, end) => {
                Rgb(gradient.eval_continuous(0.5 + (end - 0.5) * f64::from(shade) / 255.0).as_array())
            }
            Shades::Formula(formula) => formula(positive),
        }
    }

    /// Returns a map in these colors alone, at the size of the map.
    ///
    /// ```
    /// use cam_viz::{ColorMap, HeatMap, Rgb};
    ///
    /// let signed = HeatMap::new(3, 1, [-1.0, 0.0, 1.0])?;
    /// let image = ColorMap::RedBlue.paint(&signed);
    /// let [red, _, blue] = image[(0, 0)].0;
    /// assert!(blue > red);
    /// assert_eq!(image.dimensions(), (3, 1));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn paint(self, map: &HeatMap) -> RgbImage {
        let color = self.lookup();
        let mut image = RgbImage::new(map.width(), map.height());
        for (pixel, value) in image.pixels_mut().zip(map.values()) {
            *pixel = color(*value);
        }
        image
    }
}

/// Returns a value as a shade from -255 to 255.
fn shade(value: f32) -> i32 {
    // Rounds like `round`, which is slow on a CPU without an instruction for it.
    (value.clamp(-1.0, 1.0) * 255.0 + 255.5) as i32 - 255
}

/// Returns a color of OpenCV's table, whose blue at 159 is one less than the tent.
fn jet(shade: u8) -> Rgb<u8> {
    let i = i32::from(shade);
    let tent = |rise: i32, fall: i32| (4 * i + rise).min(fall - 4 * i).clamp(0, 255) as u8;
    Rgb([tent(-382, 1148), tent(-128, 892), tent(128, 638) - u8::from(shade == 159)])
}
