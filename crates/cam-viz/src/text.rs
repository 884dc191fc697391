//! Single lines of text in Hack Regular, set glyph by glyph from left to right.
//!
//! The font has Latin, Greek and Cyrillic letters; others are drawn as a box.

use crate::pixel::blend;
use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};
use std::sync::LazyLock;

static HACK: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).expect("the embedded font is valid")
});

/// A text style.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    /// From the top of the highest letter to the bottom of the lowest, in pixels.
    pub height: u32,
}

impl Text {
    /// Returns the width of a line in pixels.
    pub fn width(self, line: &str) -> u32 {
        self.glyphs(line).1.ceil() as u32
    }

    /// Returns the line if it is at most `width` pixels wide, else as much of its beginning as fits, with an ellipsis.
    pub fn shorten(self, line: &str, width: u32) -> String {
        if self.width(line) <= width {
            return line.to_owned();
        }
        let mut room = width as f32 - self.glyphs("…").1;
        if room < 0.0 {
            return String::new();
        }
        let font = HACK.as_scaled(self.height as f32);
        let fits = |letter: &char| {
            room -= font.h_advance(glyph(*letter));
            room >= 0.0
        };
        let kept: String = line.chars().take_while(fits).collect();
        format!("{}…", kept.trim_end())
    }

    /// Wraps words into at most `lines` lines of at most `width` pixels. An ellipsis replaces what does not fit.
    pub fn wrap(self, words: &str, width: u32, lines: usize) -> Vec<String> {
        let mut rest = words.trim();
        let mut wrapped = Vec::new();
        while wrapped.len() + 1 < lines && self.width(rest) > width {
            let fits = |end: &usize| self.width(&rest[..*end]) <= width;
            let breaks = |end: &usize| !rest[*end..].starts_with(" %"); // a percent sign stays with its number
            let ends = rest.match_indices(' ').map(|(end, _)| end).take_while(fits);
            let Some(end) = ends.filter(breaks).last() else { break };
            wrapped.push(rest[..end].trim_end().to_owned());
            rest = rest[end..].trim_start();
        }
        if !rest.is_empty() {
            wrapped.push(self.shorten(rest, width));
        }
        wrapped
    }

    /// Returns the distance of the baseline from the upper edge of a line, in pixels.
    pub fn baseline(self) -> u32 {
        HACK.as_scaled(self.height as f32).ascent().round() as u32
    }

    /// Returns the font size as browsers define it, in pixels.
    pub fn em(self) -> f32 {
        self.height as f32 * HACK.units_per_em().unwrap_or(2048.0) / HACK.height_unscaled()
    }

    /// Draws a line with its upper left corner at `(x, y)`, clipped to the image.
    pub fn draw(self, image: &mut RgbImage, x: u32, y: u32, line: &str, color: Rgb<u8>) {
        for outlined in self.glyphs(line).0.into_iter().filter_map(|glyph| HACK.outline_glyph(glyph)) {
            let corner = outlined.px_bounds().min;
            outlined.draw(|right, down, cover| {
                let column = i64::from(x) + corner.x as i64 + i64::from(right);
                let row = i64::from(y) + corner.y as i64 + i64::from(down);
                let pixel = u32::try_from(column).ok().zip(u32::try_from(row).ok());
                if let Some(pixel) = pixel.and_then(|(column, row)| image.get_pixel_mut_checked(column, row))
                {
                    *pixel = blend(*pixel, color, cover.clamp(0.0, 1.0));
                }
            });
        }
    }

    /// Returns the positioned glyphs of a line and its width in pixels.
    fn glyphs(self, line: &str) -> (Vec<Glyph>, f32) {
        let scale = PxScale::from(self.height as f32);
        let font = HACK.as_scaled(scale);
        let baseline = font.ascent().round();
        let mut x = 0.0;
        let glyphs = line.chars().map(|letter| {
            let id = glyph(letter);
            let glyph = id.with_scale_and_position(scale, point(x, baseline));
            x += font.h_advance(id);
            glyph
        });
        (glyphs.collect(), x)
    }
}

/// Returns the glyph of a letter; that of a space for line breaks and other control characters.
fn glyph(letter: char) -> GlyphId {
    HACK.glyph_id(if letter.is_control() { ' ' } else { letter })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Text = Text { height: 16 };

    #[test]
    fn a_line_that_fits_is_unchanged() {
        assert_eq!(TEXT.shorten("bull mastiff", TEXT.width("bull mastiff")), "bull mastiff");
    }

    #[test]
    fn a_line_that_is_too_wide_ends_in_an_ellipsis_and_fits() {
        for width in TEXT.width("…")..TEXT.width("Bärenhund – größer") {
            let short = TEXT.shorten("Bärenhund – größer", width);
            assert!(short.ends_with('…'), "{short}");
            assert!(TEXT.width(&short) <= width, "{short}");
        }
    }

    #[test]
    fn there_is_no_space_before_the_ellipsis() {
        assert_eq!(TEXT.shorten("bull mastiff", TEXT.width("bull …")), "bull…");
    }

    #[test]
    fn without_room_for_an_ellipsis_the_line_is_empty() {
        assert_eq!(TEXT.shorten("bull mastiff", 1), "");
    }

    #[test]
    fn long_text_is_wrapped() {
        let width = TEXT.width("American");
        assert_eq!(TEXT.wrap("an American dog", width, 3), ["an", "American", "dog"]);
        assert_eq!(TEXT.wrap("an American dog", width, 2), ["an", "America…"]);
        assert_eq!(TEXT.wrap(" an  American", TEXT.width("an American"), 2), ["an", "American"]);
        assert_eq!(TEXT.wrap("sure to 57 %", TEXT.width("sure to 57"), 2), ["sure to", "57 %"]);
        assert_eq!(TEXT.wrap("Americans are", width, 2), ["America…"]);
        assert_eq!(TEXT.wrap("  ", width, 2), [""; 0]);
    }

    #[test]
    fn the_font_has_the_letters_of_western_greek_and_cyrillic_captions() {
        for letter in "Grad-CAM++ … – − × äöüßéñçøÅ αβγ Ωλ собака".chars().filter(|letter| *letter != ' ')
        {
            assert_ne!(HACK.glyph_id(letter).0, 0, "{letter}");
        }
    }

    #[test]
    fn text_is_clipped_to_the_image() {
        let mut image = RgbImage::new(10, 10);
        TEXT.draw(&mut image, 5, 0, "wide\nline", Rgb([255; 3]));
        TEXT.draw(&mut image, u32::MAX, u32::MAX, "far", Rgb([255; 3]));
        assert!(image.pixels().any(|pixel| pixel[0] > 0));
    }
}
