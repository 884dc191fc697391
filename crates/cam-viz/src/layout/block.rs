//! A figure with its captions, key and bar in its column.

use super::Place;
use super::column::Column;
use super::paragraph::{Align, Paragraph};
use super::sizes::Sizes;
use crate::{ColorBar, Figure, page::Page};
use image::{Rgb, RgbImage};
use std::borrow::Cow;

/// A figure of which is known what its column is.
pub struct Block<'a> {
    pub picture: Cow<'a, RgbImage>,
    bar: Option<ColorBar>,
    column: Column,
    above: Vec<Paragraph>,
    below: Vec<Paragraph>,
    key: Vec<(Rgb<u8>, Paragraph)>,
}

impl<'a> Block<'a> {
    pub fn of(figure: &Figure, picture: Cow<'a, RgbImage>, column: Column, sizes: &Sizes) -> Self {
        let Place { start, length } = column.place;
        let set = |captions: &[String]| {
            captions.iter().map(|caption| sizes.caption.paragraph(caption, column.place, 3)).collect()
        };
        let beside = Place {
            start: start.saturating_add(sizes.swatch()),
            length: length.saturating_sub(sizes.swatch()),
        };
        let key = figure.key.iter();
        Self {
            picture,
            bar: figure.bar,
            column,
            above: set(&figure.above),
            below: set(&figure.below),
            key: key.map(|(color, meaning)| (*color, sizes.number.paragraph(meaning, beside, 3))).collect(),
        }
    }

    /// What it needs above its picture.
    pub fn above(&self, sizes: &Sizes) -> u32 {
        let lines: u32 = self.above.iter().map(Paragraph::height).sum();
        if lines > 0 { lines + sizes.gap / 2 } else { 0 }
    }

    /// What it needs below its picture.
    pub fn below(&self, sizes: &Sizes) -> u32 {
        let lines: u32 = self.below.iter().map(|caption| caption.height()).sum();
        let key: u32 = self.key.iter().map(|(_, meaning)| sizes.key_row(meaning)).sum();
        lines + key + if lines > 0 { sizes.gap / 2 } else { 0 } + if key > 0 { sizes.gap / 2 } else { 0 }
    }

    pub fn put(self, page: &mut Page<'a>, row: Place, sizes: &Sizes) {
        let (width, height) = self.picture.dimensions();
        let (x, top) = (self.column.pictures().middle(width), row.middle(height));
        let middle = Align::Around(x.saturating_add(width / 2));
        let mut y = top.saturating_sub(self.above(sizes));
        for caption in &self.above {
            caption.put(page, middle, y);
            y += caption.height();
        }
        if let Some(bar) = &self.bar {
            sizes.put_bar(
                page,
                bar,
                x.saturating_add(width + sizes.gap),
                Place { start: top, length: height },
            );
        }
        page.picture(x, top, self.picture);
        y = top.saturating_add(height).saturating_add(sizes.gap / 2);
        for caption in &self.below {
            caption.put(page, middle, y);
            y = y.saturating_add(caption.height());
        }
        y = y.saturating_add(if self.below.is_empty() { 0 } else { sizes.gap / 2 });
        for (color, meaning) in &self.key {
            let side = sizes.number.height * 3 / 4;
            let swatch = RgbImage::from_pixel(side, side, *color);
            page.picture(self.column.place.start, y + (sizes.number.height - side) / 2, Cow::Owned(swatch));
            meaning.put(page, Align::Start, y);
            y = y.saturating_add(sizes.key_row(meaning));
        }
    }
}
