//! The positions and widths of columns.

use super::sizes::Sizes;
use super::{Span, max_or_zero};
use crate::{Figure, Sheet};
use image::RgbImage;
use std::borrow::Cow;

/// A column, and the width that bars at the right of its images take.
#[derive(Clone, Copy)]
pub struct Column {
    pub span: Span,
    bars: u32,
}

impl Column {
    /// Returns the span of its images.
    pub fn image_span(&self) -> Span {
        Span { length: self.span.length.saturating_sub(self.bars), ..self.span }
    }
}

/// Returns the columns of a sheet from left to right; the first starts at `left`.
pub fn columns(sheet: &Sheet, images: &[Vec<Cow<RgbImage>>], left: u32, sizes: &Sizes) -> Vec<Column> {
    let count = images.iter().map(Vec::len).fold(sheet.columns.len(), usize::max);
    let mut start = left;
    let next = |column: usize| {
        let figures = || sheet.rows.iter().filter_map(move |row| row.figures.get(column));
        let bars = max_or_zero(
            figures().filter_map(|figure| figure.bar).map(|bar| sizes.gap + sizes.bar_width(&bar)),
        );
        let widest = max_or_zero(images.iter().filter_map(|row| row.get(column)).map(|image| image.width()));
        let above = sheet.columns.get(column).map(|caption| sizes.caption.width(caption));
        let captions = max_or_zero(figures().map(|figure| captions(figure, sizes)).chain(above));
        let length = widest.saturating_add(bars).max(captions.min(sizes.column_room));
        let span = Span { start, length };
        start = span.end().saturating_add(sizes.gap);
        Column { span, bars }
    };
    (0..count).map(next).collect()
}

/// Returns the width of the widest caption of a figure, each in one line.
fn captions(figure: &Figure, sizes: &Sizes) -> u32 {
    let captions = figure.above.iter().chain(&figure.below).map(|caption| sizes.caption.width(caption));
    let key =
        figure.key.iter().map(|(_, meaning)| sizes.swatch().saturating_add(sizes.number.width(meaning)));
    max_or_zero(captions.chain(key))
}
