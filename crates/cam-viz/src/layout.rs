//! The layout of a sheet.
//!
//! Each column is as wide as its widest image (and the bar beside it), each row as high as its highest image. Images are centered in
//! their cells, with captions directly above and below. Captions are wrapped to the width of their column. Sums saturate: the largest
//! number is too large for a page.

mod block;
mod column;
mod paragraph;
mod sizes;

use crate::{Sheet, page::Page};
use block::Block;
use image::{RgbImage, imageops};
use paragraph::{Align, Paragraph};
use sizes::Sizes;
use std::borrow::Cow;

/// Lays out a sheet as a page.
pub(crate) fn page(sheet: &Sheet) -> Page<'_> {
    let rows = sheet.rows.iter();
    let images: Vec<Vec<Cow<RgbImage>>> =
        rows.map(|row| row.figures.iter().map(|figure| fit(&figure.image, sheet.tile)).collect()).collect();
    let longest = max_or_zero(images.iter().flatten().map(|image| image.width().max(image.height())));
    let sizes = Sizes::new(longest);
    let (margin, gap) = (sizes.margin, sizes.gap);

    // Horizontally.
    let widest = max_or_zero(sheet.rows.iter().map(|row| sizes.caption.width(&row.caption)));
    let gutter = Span { start: margin, length: widest.min(sizes.gutter) };
    let left = if gutter.length > 0 { gutter.end() + gap } else { margin };
    let columns = column::columns(sheet, &images, left, &sizes);
    let mut right = columns.last().map_or(left, |column| column.span.end());
    let mut bars = Vec::new();
    for bar in &sheet.bars {
        let x = right.saturating_add(2 * gap);
        bars.push((x, bar));
        right = x.saturating_add(sizes.bar_width(bar));
    }
    let title = sizes.title.width(&sheet.title).min(sizes.title_room);
    let across = Span { start: margin, length: right.max(margin + title) - margin };

    // Vertically.
    let mut page = Page {
        width: across.end().saturating_add(margin),
        height: 0,
        paper: sheet.background.paper(),
        ink: sheet.background.ink(),
        items: vec![],
    };
    let title = sizes.title.paragraph(&sheet.title, across, 2);
    title.put(&mut page, Align::Start, margin);
    let captions = sheet.columns.iter().zip(&columns);
    let captions: Vec<_> =
        captions.map(|(caption, column)| sizes.caption.paragraph(caption, column.span, 2)).collect();
    let deepest = max_or_zero(captions.iter().map(Paragraph::height));
    let mut y = margin + title.height() + if title.height() > 0 { gap } else { 0 } + deepest;
    for (caption, column) in captions.iter().zip(&columns) {
        caption.put(&mut page, Align::Center(column.image_span().center(0)), y - caption.height());
    }
    y += if deepest > 0 { gap / 2 } else { 0 };

    let (mut top, mut bottom, mut end) = (u32::MAX, y, y);
    for (row, images) in sheet.rows.iter().zip(images) {
        let caption = sizes.caption.paragraph(&row.caption, gutter, 3);
        let blocks = row.figures.iter().zip(images).zip(&columns);
        let blocks: Vec<_> =
            blocks.map(|((figure, image), column)| Block::new(figure, image, *column, &sizes)).collect();
        let above = max_or_zero(blocks.iter().map(|block| block.above(&sizes)));
        let below = max_or_zero(blocks.iter().map(|block| block.below(&sizes)));
        let length = max_or_zero(blocks.iter().map(|block| block.image.height())).max(caption.height());
        let span = Span { start: y.saturating_add(above), length };
        caption.put(&mut page, Align::End, span.center(caption.height()));
        blocks.into_iter().for_each(|block| block.put(&mut page, span, &sizes));
        top = top.min(span.start);
        bottom = span.end();
        end = bottom.saturating_add(below);
        y = end.saturating_add(if above.max(below) > 0 { 2 * gap } else { gap });
    }
    let rows = Span { start: top.min(bottom), length: bottom - top.min(bottom) };
    bars.into_iter().for_each(|(x, bar)| sizes.put_bar(&mut page, bar, x, rows));
    let note = sizes.number.paragraph(&sheet.note, across, 6);
    if note.height() > 0 {
        end = end.saturating_add(2 * gap);
        note.put(&mut page, Align::Start, end);
    }
    page.height = end.saturating_add(note.height()).saturating_add(margin);
    page
}

/// Returns the largest length, or zero if there is none.
fn max_or_zero(lengths: impl Iterator<Item = u32>) -> u32 {
    lengths.max().unwrap_or(0)
}

/// Returns the image, shrunk if it is larger than a tile of this side.
fn fit(image: &RgbImage, side: u32) -> Cow<'_, RgbImage> {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    if longer <= side || width.min(height) == 0 {
        return Cow::Borrowed(image);
    }
    let shrink =
        |length: u32| (f64::from(length) * f64::from(side) / f64::from(longer)).round().max(1.0) as u32;
    Cow::Owned(imageops::resize(image, shrink(width), shrink(height), imageops::FilterType::Triangle))
}

/// An interval of the sheet along one axis, in pixels.
#[derive(Clone, Copy)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Returns the start of something of this length that is centered.
    fn center(&self, length: u32) -> u32 {
        self.start.saturating_add(self.length.saturating_sub(length) / 2)
    }

    fn end(&self) -> u32 {
        self.start.saturating_add(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{MAX_PIXELS, check_size};
    use crate::{ColorMap, Figure};

    /// A photo may have half of the pixels of a page, which is the limit for reading photos.
    #[test]
    fn the_largest_photo_has_room_for_captions_and_a_bar() {
        for width in [16_384, 18_000, 20_000] {
            let height = MAX_PIXELS / 2 / width;
            for (width, height) in [(width, height), (height, width)] {
                // The zeros take no memory as long as nothing reads them.
                let photo = RgbImage::new(width as u32, height as u32);
                let figure = Figure::new(photo).above("spread").below("below").color_bar(ColorMap::Viridis);
                let sheet = Sheet::new("").tile(u32::MAX).row("", [figure]).color_bar(ColorMap::Viridis);
                let page = page(&sheet);
                assert!(page.width as u64 > width && page.height as u64 > height);
                check_size(page.width.into(), page.height.into()).unwrap();
            }
        }
    }
}
