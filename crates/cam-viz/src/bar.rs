//! The bar that says which color is which value, and how its numbers are written.

use crate::ColorMap;
use image::RgbImage;

/// Which color is which value, beside a [`Figure`](crate::Figure) or a [`Sheet`](crate::Sheet).
///
/// ```
/// use cam_viz::{ColorBar, ColorMap};
///
/// let bar = ColorBar::from(ColorMap::RedBlue).range(-7.25, 7.25);
/// assert_eq!(bar.numbers(), [(7.25, "+7.25".into()), (0.0, "0".into()), (-7.25, "−7.25".into())]);
/// let bar = ColorBar::from(ColorMap::Viridis);
/// assert_eq!(bar.numbers(), [(1.0, "1".into()), (0.5, "0.5".into()), (0.0, "0".into())]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorBar {
    colors: ColorMap,
    low: f32,
    high: f32,
}

impl From<ColorMap> for ColorBar {
    /// A bar with the map's own values: from 0 to 1, or from -1 to 1 where it diverges.
    fn from(colors: ColorMap) -> Self {
        Self { colors, low: if colors.is_diverging() { -1.0 } else { 0.0 }, high: 1.0 }
    }
}

impl ColorBar {
    /// With these values at its ends: those of the raw map that the colors stand for.
    pub fn range(self, low: f32, high: f32) -> Self {
        Self { low, high, ..self }
    }

    /// The values that are written beside it, from above: both ends, and zero where it lies between them or else the
    /// middle. Signs are shown where the colors diverge, three digits that count.
    pub fn numbers(&self) -> [(f32, String); 3] {
        let within = self.low.min(self.high) < 0.0 && self.low.max(self.high) > 0.0;
        let middle = if within { 0.0 } else { self.low / 2.0 + self.high / 2.0 };
        [self.high, middle, self.low].map(|value| (value, self.written(value)))
    }

    fn written(&self, value: f32) -> String {
        let digits = digits(value.abs());
        match value {
            _ if digits == "0" => digits,
            value if value < 0.0 => format!("−{digits}"),
            _ if self.colors.is_diverging() => format!("+{digits}"),
            _ => digits,
        }
    }

    /// How far down a value is: 0 at the top, 1 at the bottom.
    pub(crate) fn down(&self, value: f32) -> f32 {
        let share = (self.high - value) / (self.high - self.low);
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// All its colors, those of the largest values above.
    pub(crate) fn paint(&self, width: u32, height: u32) -> RgbImage {
        let low = if self.colors.is_diverging() { -1.0 } else { 0.0 };
        RgbImage::from_fn(width, height, |_, y| {
            let down = (y as f32 + 0.5) / height as f32;
            self.colors.color(1.0 + (low - 1.0) * down)
        })
    }
}

/// A number that is not negative, with three digits that count, and no zeros behind them.
fn digits(value: f32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // Rounded before it is asked how long it is: 999.9 has four digits.
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
    fn numbers_have_three_digits_that_count() {
        for (value, want) in [
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
            assert_eq!(digits(value), want, "{value}");
        }
    }
}
