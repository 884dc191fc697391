//! The sizes of the parts of a sheet.

use super::paragraph::Paragraph;
use super::{Span, max_or_zero};
use crate::{ColorBar, page::Page, text::Text};
use std::borrow::Cow;

/// The sizes of the parts of a sheet in pixels. They grow with large images.
pub struct Sizes {
    pub title: Text,
    pub caption: Text,
    pub number: Text,
    /// The margin around the sheet.
    pub margin: u32,
    /// The gap between neighbors.
    pub gap: u32,
    /// The maximum width of captions before rows.
    pub gutter: u32,
    /// The width that a long title may add to a narrow sheet.
    pub title_room: u32,
    /// The width that long captions may add to a narrow column.
    pub column_room: u32,
    /// The width of a color bar.
    pub bar: u32,
}

impl Sizes {
    /// Returns the sizes for images with this longest side.
    pub fn new(longest: u32) -> Self {
        let scale = (f64::from(longest) / 640.0).clamp(1.0, 100.0);
        let px = |size: f64| (scale * size).round() as u32;
        Self {
            title: Text { height: px(24.0) },
            caption: Text { height: px(17.0) },
            number: Text { height: px(14.0) },
            margin: px(24.0),
            gap: px(10.0),
            gutter: px(200.0),
            title_room: px(480.0),
            column_room: px(96.0),
            bar: px(14.0),
        }
    }

    /// Returns the height of a line of the key.
    pub fn key_row(&self, meaning: &Paragraph) -> u32 {
        meaning.height().max(self.number.height) + self.gap / 4
    }

    /// Returns the width of a color swatch and the gap behind it.
    pub fn swatch(&self) -> u32 {
        self.number.height + self.gap / 2
    }

    /// Returns the width of a color bar and its labels.
    pub fn bar_width(&self, bar: &ColorBar) -> u32 {
        let numbers = bar.labels();
        self.bar + self.gap / 2 + max_or_zero(numbers.iter().map(|(_, number)| self.number.width(number)))
    }

    /// Draws a color bar, the largest value at the top, and its labels where there is room for them.
    pub fn put_bar(&self, page: &mut Page, bar: &ColorBar, x: u32, rows: Span) {
        page.image(x, rows.start, Cow::Owned(bar.paint(self.bar, rows.length)));
        let high = self.number.height;
        let Some(room) = rows.length.checked_sub(high).filter(|room| *room >= high) else { return };
        let [top, middle, bottom] = bar.labels();
        let down = (bar.position(middle.0) * room as f32).round() as u32;
        let between = (high..=room.saturating_sub(high)).contains(&down);
        let shown = [Some((0, top)), between.then_some((down, middle)), Some((room, bottom))];
        for (down, (_, number)) in shown.into_iter().flatten() {
            page.line(x + self.bar + self.gap / 2, rows.start + down, self.number, number);
        }
    }
}
