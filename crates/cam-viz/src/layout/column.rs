//! How wide columns are, and where they start.

use super::sizes::Sizes;
use super::{Place, most};
use crate::{Figure, Sheet};
use image::RgbImage;
use std::borrow::Cow;

/// A column and how much of it bars at the right of its pictures take.
#[derive(Clone, Copy)]
pub struct Column {
    pub place: Place,
    bars: u32,
}

impl Column {
    /// Where its pictures are.
    pub fn pictures(&self) -> Place {
        Place { length: self.place.length.saturating_sub(self.bars), ..self.place }
    }
}

/// The columns of a sheet from left to right, the first of which starts at `left`.
pub fn columns(sheet: &Sheet, pictures: &[Vec<Cow<RgbImage>>], left: u32, sizes: &Sizes) -> Vec<Column> {
    let count = pictures.iter().map(Vec::len).fold(sheet.columns.len(), usize::max);
    let mut start = left;
    let place = |column: usize| {
        let figures = || sheet.rows.iter().filter_map(move |row| row.figures.get(column));
        let bars =
            most(figures().filter_map(|figure| figure.bar).map(|bar| sizes.gap + sizes.bar_width(&bar)));
        let widest = most(pictures.iter().filter_map(|row| row.get(column)).map(|picture| picture.width()));
        let above = sheet.columns.get(column).map(|caption| sizes.caption.width(caption));
        let captions = most(figures().map(|figure| captions(figure, sizes)).chain(above));
        let length = widest.saturating_add(bars).max(captions.min(sizes.column_room));
        let place = Place { start, length };
        start = place.end().saturating_add(sizes.gap);
        Column { place, bars }
    };
    (0..count).map(place).collect()
}

/// How wide the captions of a figure are, each in one line.
fn captions(figure: &Figure, sizes: &Sizes) -> u32 {
    let captions = figure.above.iter().chain(&figure.below).map(|caption| sizes.caption.width(caption));
    let key =
        figure.key.iter().map(|(_, meaning)| sizes.swatch().saturating_add(sizes.number.width(meaning)));
    most(captions.chain(key))
}
