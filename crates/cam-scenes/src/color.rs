//! Colors by hue, saturation and lightness.

use tiny_skia::Color;

use crate::dice::Dice;

/// Returns the color of hue `h` in degrees (any number), saturation `s` and lightness `l` in `[0, 1]`.
pub(crate) fn hsl(h: f32, s: f32, l: f32) -> Color {
    let (s, l) = (s.clamp(0.0, 1.0), l.clamp(0.0, 1.0));
    let part = |n: f32| {
        let k = (n + h.rem_euclid(360.0) / 30.0).rem_euclid(12.0);
        let value = l - s * l.min(1.0 - l) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0 + 0.5) as u8
    };
    Color::from_rgba8(part(0.0), part(8.0), part(4.0), 255)
}

/// Returns `color` with an opacity in `[0, 1]`.
pub(crate) fn with_alpha(mut color: Color, alpha: f32) -> Color {
    color.set_alpha(alpha);
    color
}

/// A color by its hue in degrees, saturation and lightness, which is easy to shade.
#[derive(Clone, Copy)]
pub(crate) struct Tint {
    pub(crate) h: f32,
    pub(crate) s: f32,
    pub(crate) l: f32,
}

impl Tint {
    /// Returns a random tint near (`h`, `s`, `l`): the hue differs by up to `spread` degrees, saturation and lightness slightly.
    pub(crate) fn near(dice: &mut Dice, h: f32, s: f32, l: f32, spread: f32) -> Self {
        Self { h: dice.jitter(h, spread), s: dice.jitter(s, 0.1), l: dice.jitter(l, 0.05) }
    }

    /// Returns the color.
    pub(crate) fn color(self) -> Color {
        hsl(self.h, self.s, self.l)
    }

    /// Returns the color made lighter (`by` above 0) or darker (`by` below 0).
    pub(crate) fn lighter(self, by: f32) -> Color {
        hsl(self.h, self.s, self.l + by)
    }

    /// Returns the tint with its hue rotated by `degrees`.
    pub(crate) fn rotated(self, degrees: f32) -> Self {
        Self { h: self.h + degrees, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_hues_are_pure() {
        for (h, rgb) in
            [(0.0, [255, 0, 0]), (120.0, [0, 255, 0]), (240.0, [0, 0, 255]), (-360.0, [255, 0, 0])]
        {
            let c = hsl(h, 1.0, 0.5).to_color_u8();
            assert_eq!([c.red(), c.green(), c.blue()], rgb, "hue {h}");
        }
    }
}
