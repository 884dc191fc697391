//! Where everything on a sheet goes.
//!
//! Each column is as wide as its widest picture (and the bar beside it), each row as high as its highest; pictures sit
//! in the middle of their place, with their captions right above and below. Captions are set in the width of their
//! column. Sums stop at the largest number, which is too large for a page.

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

/// The sheet as marks on a page.
pub(crate) fn page(sheet: &Sheet) -> Page<'_> {
    let rows = sheet.rows.iter();
    let pictures: Vec<Vec<Cow<RgbImage>>> =
        rows.map(|row| row.figures.iter().map(|figure| fit(&figure.picture, sheet.tile)).collect()).collect();
    let longest = most(pictures.iter().flatten().map(|picture| picture.width().max(picture.height())));
    let sizes = Sizes::of(longest);
    let (margin, gap) = (sizes.margin, sizes.gap);

    // From left to right.
    let widest = most(sheet.rows.iter().map(|row| sizes.caption.width(&row.caption)));
    let gutter = Place { start: margin, length: widest.min(sizes.gutter) };
    let left = if gutter.length > 0 { gutter.end() + gap } else { margin };
    let columns = column::columns(sheet, &pictures, left, &sizes);
    let mut right = columns.last().map_or(left, |column| column.place.end());
    let mut bars = Vec::new();
    for bar in &sheet.bars {
        let x = right.saturating_add(2 * gap);
        bars.push((x, bar));
        right = x.saturating_add(sizes.bar_width(bar));
    }
    let title = sizes.title.width(&sheet.title).min(sizes.title_room);
    let across = Place { start: margin, length: right.max(margin + title) - margin };

    // From top to bottom.
    let mut page = Page {
        width: across.end().saturating_add(margin),
        height: 0,
        paper: sheet.background.paper(),
        ink: sheet.background.ink(),
        marks: vec![],
    };
    let title = sizes.title.paragraph(&sheet.title, across, 2);
    title.put(&mut page, Align::Start, margin);
    let captions = sheet.columns.iter().zip(&columns);
    let captions: Vec<_> =
        captions.map(|(caption, column)| sizes.caption.paragraph(caption, column.place, 2)).collect();
    let deepest = most(captions.iter().map(Paragraph::height));
    let mut y = margin + title.height() + if title.height() > 0 { gap } else { 0 } + deepest;
    for (caption, column) in captions.iter().zip(&columns) {
        caption.put(&mut page, Align::Around(column.pictures().middle(0)), y - caption.height());
    }
    y += if deepest > 0 { gap / 2 } else { 0 };

    let (mut top, mut bottom, mut end) = (u32::MAX, y, y);
    for (row, pictures) in sheet.rows.iter().zip(pictures) {
        let caption = sizes.caption.paragraph(&row.caption, gutter, 3);
        let blocks = row.figures.iter().zip(pictures).zip(&columns);
        let blocks: Vec<_> =
            blocks.map(|((figure, picture), column)| Block::of(figure, picture, *column, &sizes)).collect();
        let above = most(blocks.iter().map(|block| block.above(&sizes)));
        let below = most(blocks.iter().map(|block| block.below(&sizes)));
        let length = most(blocks.iter().map(|block| block.picture.height())).max(caption.height());
        let place = Place { start: y.saturating_add(above), length };
        caption.put(&mut page, Align::End, place.middle(caption.height()));
        blocks.into_iter().for_each(|block| block.put(&mut page, place, &sizes));
        top = top.min(place.start);
        bottom = place.end();
        end = bottom.saturating_add(below);
        y = end.saturating_add(if above.max(below) > 0 { 2 * gap } else { gap });
    }
    let rows = Place { start: top.min(bottom), length: bottom - top.min(bottom) };
    bars.into_iter().for_each(|(x, bar)| sizes.put_bar(&mut page, bar, x, rows));
    let note = sizes.number.paragraph(&sheet.note, across, 6);
    if note.height() > 0 {
        end = end.saturating_add(2 * gap);
        note.put(&mut page, Align::Start, end);
    }
    page.height = end.saturating_add(note.height()).saturating_add(margin);
    page
}

/// The largest, or nothing where there is none.
fn most(lengths: impl Iterator<Item = u32>) -> u32 {
    lengths.max().unwrap_or(0)
}

/// The picture, shrunk where it is larger than a tile of this side.
fn fit(picture: &RgbImage, side: u32) -> Cow<'_, RgbImage> {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if longer <= side || width.min(height) == 0 {
        return Cow::Borrowed(picture);
    }
    let shrink =
        |length: u32| (f64::from(length) * f64::from(side) / f64::from(longer)).round().max(1.0) as u32;
    Cow::Owned(imageops::resize(picture, shrink(width), shrink(height), imageops::FilterType::Triangle))
}

/// A stretch of the sheet along one axis, in pixels.
#[derive(Clone, Copy)]
pub struct Place {
    start: u32,
    length: u32,
}

impl Place {
    /// Where something of this length starts that sits in the middle.
    fn middle(&self, length: u32) -> u32 {
        self.start.saturating_add(self.length.saturating_sub(length) / 2)
    }

    fn end(&self) -> u32 {
        self.start.saturating_add(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{MOST_PIXELS, check_size};
    use crate::{ColorMap, Figure};

    /// Half of the pixels of a page are a photo's, as where photos are read.
    #[test]
    fn the_largest_photo_has_room_for_captions_and_a_bar() {
        let most = MOST_PIXELS / 2;
        for width in [16_384, 18_000, 20_000] {
            let height = most / width;
            for (width, height) in [(width, height), (height, width)] {
                // Its zeros take no memory as long as nobody looks at them.
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
