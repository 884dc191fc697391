//! An image in the terminal: by the graphics protocols of Kitty or iTerm, as sixels, or by half blocks in 24-bit colors.
//!
//! The code is our own: the crate that does all of it depends on one under the LGPL, and encoders of sixels bring a dozen crates of color
//! science.

use crate::report::console::Console;
use crate::report::contact_sheet::Drawing;
use crate::report::failure::Failure;
use crate::report::format::Format;
use crate::report::sixel;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn_cam::draw::RgbImage;
use burn_cam::image::imageops::{FilterType, resize};
use clap::ValueEnum;
use std::env;
use std::fmt::Write;
use std::io::IsTerminal;
use terminal_size::{Width, terminal_size};

/// The most columns that an image takes.
const COLUMNS: u16 = 100;

/// The assumed width of a column for sixels, in pixels: most terminals have wider ones.
const COLUMN: u32 = 8;

/// The most of an image that one of Kitty's sequences holds, in characters.
const PIECE: usize = 4096;

/// How images are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preview {
    /// What the terminal is known to support
    Auto,
    /// The graphics of Kitty and Ghostty
    Kitty,
    /// The graphics of iTerm and WezTerm
    Iterm,
    /// Sixels: foot, mlterm, mintty, Konsole, Windows Terminal, xterm
    Sixel,
    /// Half blocks in 24-bit colors
    Blocks,
}

impl Preview {
    /// Shows a drawing on standard output.
    pub fn show(self, drawing: &Drawing, console: &Console) -> Result<(), Failure> {
        let columns = terminal_size().map_or(COLUMNS, |(Width(columns), _)| columns.clamp(1, COLUMNS));
        let png = || Ok::<_, Failure>(STANDARD.encode(drawing.encode(Format::Png)?));
        let how = if self == Self::Auto { Self::known() } else { self };
        let text = match how {
            Self::Kitty => kitty(&png()?, columns),
            Self::Iterm => iterm(&png()?, columns),
            Self::Sixel => sixel(&*drawing.pixels()?, columns),
            Self::Auto | Self::Blocks => blocks(&*drawing.pixels()?, columns),
        };
        console.aside(|| console.bytes(format!("{text}\n").as_bytes()))
    }

    /// Returns what the terminal supports by its name; half blocks when output goes elsewhere.
    fn known() -> Self {
        let is = |name: &str, values: &[&str]| {
            env::var(name).is_ok_and(|found| values.iter().any(|value| found.contains(value)))
        };
        match std::io::stdout().is_terminal() {
            true if is("TERM", &["kitty", "ghostty"]) => Self::Kitty,
            true if is("TERM_PROGRAM", &["iTerm", "WezTerm"]) => Self::Iterm,
            true if is("TERM", &["foot", "mlterm", "yaft", "sixel"]) => Self::Sixel,
            true if is("TERM_PROGRAM", &["mintty"]) => Self::Sixel,
            _ => Self::Blocks,
        }
    }
}

/// Encodes sixels, which have no size in columns.
fn sixel(picture: &RgbImage, columns: u16) -> String {
    let width = picture.width().clamp(1, COLUMN * u32::from(columns));
    let height = u64::from(picture.height().max(1)) * u64::from(width) / u64::from(picture.width().max(1));
    sixel::encode(&resize(picture, width, height.max(1) as u32, FilterType::Triangle))
}

/// <https://sw.kovidgoyal.net/kitty/graphics-protocol/>
fn kitty(png: &str, columns: u16) -> String {
    let mut text = String::new();
    let mut control = format!("a=T,f=100,c={columns},");
    for start in (0..png.len()).step_by(PIECE) {
        let end = png.len().min(start + PIECE);
        let more = u8::from(end < png.len());
        let _ = write!(text, "\x1b_G{control}m={more};{}\x1b\\", &png[start..end]);
        control.clear();
    }
    text
}

/// <https://iterm2.com/documentation-images.html>
fn iterm(png: &str, columns: u16) -> String {
    format!("\x1b]1337;File=inline=1;width={columns};preserveAspectRatio=1:{png}\x07")
}

/// A character for two pixels: the upper one behind a lower half block of the color of the lower one.
fn blocks(picture: &RgbImage, columns: u16) -> String {
    let width = picture.width().clamp(1, u32::from(columns));
    let rows =
        (u64::from(picture.height()) * u64::from(width)).div_ceil(2 * u64::from(picture.width().max(1)));
    let small = resize(picture, width, 2 * (rows.max(1) as u32), FilterType::Triangle);
    let mut text = String::new();
    for y in (0..small.height()).step_by(2) {
        for x in 0..width {
            let ([r, g, b], [red, green, blue]) = (small[(x, y)].0, small[(x, y + 1)].0);
            let _ = write!(text, "\x1b[48;2;{r};{g};{b};38;2;{red};{green};{blue}m\u{2584}");
        }
        text += "\x1b[0m\n";
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_cam::image::Rgb;
    use icy_sixel::SixelImage;

    #[test]
    fn two_pixels_are_one_half_block() {
        let picture = RgbImage::from_fn(2, 2, |x, y| Rgb([x as u8, y as u8, 9]));
        let rows = "\x1b[48;2;0;0;9;38;2;0;1;9m\u{2584}\x1b[48;2;1;0;9;38;2;1;1;9m\u{2584}\x1b[0m";
        assert_eq!(blocks(&picture, 80), rows);
        assert_eq!(blocks(&RgbImage::new(300, 100), 30).lines().count(), 5);
    }

    #[test]
    fn sixels_show_what_they_were_made_of() {
        let picture = RgbImage::from_fn(1200, 300, |x, y| Rgb([(x / 5) as u8, (255 * (y / 150)) as u8, 90]));
        let sent = sixel(&picture, 60);
        assert!(sent.starts_with("\x1bP") && sent.ends_with("\x1b\\"));
        let seen = SixelImage::decode(sent.as_bytes()).unwrap();
        assert_eq!(seen.dimensions(), (480, 120), "as wide as 60 columns");
        let shrunk = resize(&picture, 480, 120, FilterType::Triangle);
        let apart = shrunk.pixels().zip(seen.pixels.chunks_exact(4));
        let apart: u64 = apart.flat_map(|(a, b)| (0..3).map(move |i| u64::from(a.0[i].abs_diff(b[i])))).sum();
        assert!(apart < 4 * 3 * 480 * 120, "few shades off, as 256 colors are: {apart}");
        let small = SixelImage::decode(sixel(&RgbImage::new(9, 7), 60).as_bytes()).unwrap();
        assert_eq!(small.dimensions().0, 9, "not enlarged");
    }

    /// What a terminal would decode: the picture in the payload of the sequences.
    fn shown(payload: &str) -> RgbImage {
        burn_cam::image::load_from_memory(&STANDARD.decode(payload).unwrap()).unwrap().into_rgb8()
    }

    #[test]
    fn kitty_and_iterm_show_the_picture_itself() {
        let picture = RgbImage::from_fn(90, 60, |x, y| Rgb([x as u8, (x * y) as u8, (7 * x + 3 * y) as u8]));
        let png = STANDARD.encode(burn_cam::draw::encode(&picture, "png").unwrap());
        assert!(png.len() > 2 * PIECE, "in several pieces");
        let sent = kitty(&png, 40);
        let pieces: Vec<&str> = sent
            .split_terminator("\x1b\\")
            .map(|piece| piece.strip_prefix("\x1b_G").unwrap().split_once(';').unwrap().1)
            .collect();
        let (last, others) = pieces.split_last().unwrap();
        assert!(
            others.iter().all(|piece| piece.len() % 4 == 0 && piece.len() <= PIECE) && last.len() <= PIECE
        );
        assert_eq!(shown(&pieces.concat()), picture);
        let sent = iterm(&png, 40);
        let payload = sent.strip_prefix("\x1b]1337;File=").unwrap().strip_suffix('\x07').unwrap();
        assert_eq!(shown(payload.split_once(':').unwrap().1), picture);
    }

    #[test]
    fn a_long_picture_goes_in_pieces_of_which_the_last_says_so() {
        let sent = kitty(&"A".repeat(PIECE + 4), 40);
        assert!(sent.starts_with("\x1b_Ga=T,f=100,c=40,m=1;AAAA"));
        assert!(sent.ends_with("\x1b_Gm=0;AAAA\x1b\\"));
        assert!(iterm("AAAA", 40).ends_with(":AAAA\x07"));
    }
}
