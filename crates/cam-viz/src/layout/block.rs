//! A figure with its captions, key and bar in a column.

use super::Span;
use super::column::Column;
use super::paragraph::{Align, Paragraph};
use super::sizes::Sizes;
use crate::{ColorBar, Figure, page::Page};
use image::{Rgb, RgbImage};
use std::borrow::Cow;

/// A figure whose column is known.
pub struct Block<'a> {
    pub image: Cow<'a, RgbImage>,
    bar: Option<ColorBar>,
    column: Column,
    above: Vec<Paragraph>,
    below: Vec<Paragraph>,
    key: Vec<(Rgb<u8>, Paragraph)>,
}

impl<'a> Block<'a> {
    pub fn new(figure: &Figure, image: Cow<'a, RgbImage>, column: Column, sizes: &Sizes) -> Self {
        let Span { start, length } = column.span;
        let wrap = |captions: &[String]| {
            captions.iter().map(|caption| sizes.caption.paragraph(caption, column.span, 3)).collect()
        };
        let beside = Span {
            start: start.saturating_add(sizes.swatch()),
            length: length.saturating_sub(sizes.swatch()),
        };
        let key = figure.key.iter();
        Self {
            image,
            bar: figure.bar,
            column,
            above: wrap(&figure.above),
            below: wrap(&figure.below),
            key: key.map(|(color, meaning)| (*color, sizes.number.paragraph(meaning, beside, 3))).collect(),
        }
    }

    /// Returns the height that it needs above its image.
    pub fn above(&self, sizes: &Sizes) -> u32 {
        let lines: u32 = self.above.iter().map(Paragraph::height).sum();
        if lines > 0 { lines + sizes.gap / 2 } else { 0 }
    }

    /// Returns the height that it needs below its image.
    pub fn below(&self, sizes: &Sizes) -> u32 {
        let lines: u32 = self.below.iter().map(|caption| caption.height()).sum();
        let key: u32 = self.key.iter().map(|(_, meaning)| sizes.key_row(meaning)).sum();
        lines + key + if lines > 0 { sizes.gap / 2 } else { 0 } + if key > 0 { sizes.gap / 2 } else { 0 }
    }

    pub fn put(self, page: &mut Page<'a>, row: Span, sizes: &Sizes) {
        let (width, height) = self.image.dimensions();
        let (x, top) = (self.column.image_span().center(width), row.center(height));
        let center = Align::Center(x.saturating_add(width / 2));
        let mut y = top.saturating_sub(self.above(sizes));
        for caption in &self.above {
            caption.put(page, center, y);
            y += caption.height();
        }
        if let Some(bar) = &self.bar {
            sizes.put_bar(
                page,
                bar,
                x.saturating_add(width + sizes.gap),
                Span { start: top, length: height },
            );
        }
        page.image(x, top, self.image);
        y = top.saturating_add(height).saturating_add(sizes.gap / 2);
        for caption in &self.below {
            caption.put(page, center, y);
            y = y.saturating_add(caption.height());
        }
        y = y.saturating_add(if self.below.is_empty() { 0 } else { sizes.gap / 2 });
        for (color, meaning) in &self.key {
            let side = sizes.number.height * 3 / 4;
            let swatch = RgbImage::from_pixel(side, side, *color);
            page.image(self.column.span.start, y + (sizes.number.height - side) / 2, Cow::Owned(swatch));
            meaning.put(page, Align::Start, y);
            y = y.saturating_add(sizes.key_row(meaning));
        }
    }
}
