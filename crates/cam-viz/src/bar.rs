//! The color bar and the formatting of its labels.

use crate::ColorMap;
use image::RgbImage;

/// A color bar beside a [`Figure`](crate::Figure) or a [`Sheet`](crate::Sheet): it shows which color is which value.
///
/// ```
/// use cam_viz::{ColorBar, ColorMap};
///
/// let bar = ColorBar::from(ColorMap::RedBlue).range(-7.25, 7.25);
/// assert_eq!(bar.labels(), [(7.25, "+7.25".into()), (0.0, "0".into()), (-7.25, "−7.25".into())]);
/// let bar = ColorBar::from(ColorMap::Viridis);
/// assert_eq!(bar.labels(), [(1.0, "1".into()), (0.5, "0.5".into()), (0.0, "0".into())]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorBar {
    colors: ColorMap,
    low: f32,
    high: f32,
}

impl From<ColorMap> for ColorBar {
    /// Makes a bar from 0 to 1, or from -1 to 1 if the color map diverges.
    fn from(colors: ColorMap) -> Self {
        Self { colors, low: if colors.is_diverging() { -1.0 } else { 0.0 }, high: 1.0 }
    }
}

impl ColorBar {
    /// Sets the values at its ends, in units of the raw map.
    pub fn range(self, low: f32, high: f32) -> Self {
        Self { low, high, ..self }
    }

    /// Returns the values and labels beside the bar, from top to bottom: the upper end, zero (or the middle if zero is not between the ends),
    /// the lower end. Labels have three significant digits, and a sign if the colors diverge.
    pub fn labels(&self) -> [(f32, String); 3] {
        let within = self.low.min(self.high) < 0.0 && self.low.max(self.high) > 0.0;
        let middle = if within { 0.0 } else { self.low / 2.0 + self.high / 2.0 };
        [self.high, middle, self.low].map(|value| (value, self.label(value)))
    }

    fn label(&self, value: f32) -> String {
        let digits = digits(value.abs());
        match value {
            _ if digits == "0" => digits,
            value if value < 0.0 => format!("−{digits}"),
            _ if self.colors.is_diverging() => format!("+{digits}"),
            _ => digits,
        }
    }

    /// Returns the position of a value: 0 at the top, 1 at the bottom.
    pub(crate) fn position(&self, value: f32) -> f32 {
        let share = (self.high - value) / (self.high - self.low);
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Draws all colors, the largest value at the top.
    pub(crate) fn paint(&self, width: u32, height: u32) -> RgbImage {
        let low = if self.colors.is_diverging() { -1.0 } else { 0.0 };
        RgbImage::from_fn(width, height, |_, y| {
            let down = (y as f32 + 0.5) / height as f32;
            self.colors.color(1.0 + (low - 1.0) * down)
        })
    }
}

/// Formats a nonnegative number with three significant digits and no trailing zeros.
fn digits(value: f32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // The length is that of the rounded number: 999.9 has four digits.
    let rounded = format!("{value:.2e}");
    let (figures, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shorten = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -3..=4 => {
            let rounded: f64 = rounded.parse().unwrap_or(value.into());
            shorten(&format!("{rounded:.*}", (2 - exponent).max(0) as usize))
        }
        _ => format!("{}e{exponent}", shorten(figures)).replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (0.123_456, "0.123"),
            (9.996, "10"),
            (99.96, "100"),
            (999.9, "1000"),
            (12_345.0, "12300"),
            (0.001, "0.001"),
            (0.001_234, "0.00123"),
            (0.000_123_4, "1.23e−4"),
            (123_456.0, "1.23e5"),
            (f32::MAX, "3.4e38"),
            (f32::INFINITY, "inf"),
        ] {
            assert_eq!(digits(value), expected, "{value}");
        }
    }
}
