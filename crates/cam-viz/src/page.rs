//! A page of images and text, before it is rendered to pixels or SVG.

use crate::{Error, encode, map::check_size, text::Text};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{Rgb, RgbImage, imageops};
use std::{borrow::Cow, fmt::Write};

/// An item on a page, with its upper left corner in pixels.
pub(crate) struct Item<'a> {
    pub x: u32,
    pub y: u32,
    pub content: Content<'a>,
}

pub(crate) enum Content<'a> {
    Image(Cow<'a, RgbImage>),
    Line(Text, String),
}

/// A page of images and text on one background color.
pub(crate) struct Page<'a> {
    pub width: u32,
    pub height: u32,
    pub paper: Rgb<u8>,
    pub ink: Rgb<u8>,
    pub items: Vec<Item<'a>>,
}

impl<'a> Page<'a> {
    pub fn image(&mut self, x: u32, y: u32, image: Cow<'a, RgbImage>) {
        self.items.push(Item { x, y, content: Content::Image(image) });
    }

    pub fn line(&mut self, x: u32, y: u32, text: Text, line: String) {
        self.items.push(Item { x, y, content: Content::Line(text, line) });
    }

    /// Renders the page to pixels.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        let (width, height) = check_size(self.width.into(), self.height.into())?;
        let mut page = RgbImage::from_pixel(width, height, self.paper);
        for Item { x, y, content } in &self.items {
            match content {
                Content::Image(image) => imageops::replace(&mut page, &**image, (*x).into(), (*y).into()),
                Content::Line(text, line) => text.draw(&mut page, *x, *y, line, self.ink),
            }
        }
        Ok(page)
    }

    /// Renders the page as an SVG document with embedded PNG images. Text stays text, as wide as in pixels.
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
        for Item { x, y, content } in &self.items {
            match content {
                Content::Image(image) if image.is_empty() => Ok(()),
                Content::Line(_, line) if line.is_empty() => Ok(()),
                Content::Image(image) => writeln!(
                    svg,
                    "<image x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" href=\"data:image/png;base64,{}\"/>",
                    image.width(),
                    image.height(),
                    BASE64_STANDARD.encode(encode(image, "png")?),
                ),
                Content::Line(text, line) => writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{}\" font-size=\"{:.2}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\" \
                     xml:space=\"preserve\">{}</text>",
                    y + text.baseline(),
                    text.em(),
                    text.width(line),
                    escape(line),
                ),
            }
            .expect("writing to a string cannot fail");
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }
}

/// Escapes text for XML. Control characters become spaces, as in pixels.
fn escape(line: &str) -> String {
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
