//! What stands on a page and where, before it becomes pixels or SVG.

use crate::{Error, encode, map::check_size, text::Text};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{Rgb, RgbImage, imageops};
use std::{borrow::Cow, fmt::Write};

/// One thing on a page, with its upper left corner in pixels.
pub(crate) struct Mark<'a> {
    pub x: u32,
    pub y: u32,
    pub what: What<'a>,
}

pub(crate) enum What<'a> {
    Picture(Cow<'a, RgbImage>),
    Line(Text, String),
}

/// A page of one color with marks of pictures and text on it.
pub(crate) struct Page<'a> {
    pub width: u32,
    pub height: u32,
    pub paper: Rgb<u8>,
    pub ink: Rgb<u8>,
    pub marks: Vec<Mark<'a>>,
}

impl<'a> Page<'a> {
    pub fn picture(&mut self, x: u32, y: u32, picture: Cow<'a, RgbImage>) {
        self.marks.push(Mark { x, y, what: What::Picture(picture) });
    }

    pub fn line(&mut self, x: u32, y: u32, text: Text, line: String) {
        self.marks.push(Mark { x, y, what: What::Line(text, line) });
    }

    /// The page in pixels.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        let (width, height) = check_size(self.width.into(), self.height.into())?;
        let mut page = RgbImage::from_pixel(width, height, self.paper);
        for Mark { x, y, what } in &self.marks {
            match what {
                What::Picture(picture) => imageops::replace(&mut page, &**picture, (*x).into(), (*y).into()),
                What::Line(text, line) => text.draw(&mut page, *x, *y, line, self.ink),
            }
        }
        Ok(page)
    }

    /// The page as an SVG document: pictures are PNG within it, text is text, as wide as it is in pixels.
    pub fn svg(&self) -> Result<String, Error> {
        let (width, height) = check_size(self.width.into(), self.height.into())?;
        let hex = |Rgb([red, green, blue]): Rgb<u8>| format!("#{red:02x}{green:02x}{blue:02x}");
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"Hack, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" fill=\"{}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n",
            hex(self.ink),
            hex(self.paper),
        );
        for Mark { x, y, what } in &self.marks {
            match what {
                What::Picture(picture) if picture.is_empty() => Ok(()),
                What::Line(_, line) if line.is_empty() => Ok(()),
                What::Picture(picture) => writeln!(
                    svg,
                    "<image x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" href=\"data:image/png;base64,{}\"/>",
                    picture.width(),
                    picture.height(),
                    BASE64_STANDARD.encode(encode(picture, "png")?),
                ),
                What::Line(text, line) => writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{}\" font-size=\"{:.2}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\" \
                     xml:space=\"preserve\">{}</text>",
                    y + text.baseline(),
                    text.em(),
                    text.width(line),
                    escaped(line),
                ),
            }
            .expect("a string takes all that is written to it");
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }
}

/// The text as XML holds it. Control characters are spaces, as in pixels.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => text.push(' '),
            letter => text.push(letter),
        }
    }
    text
}
