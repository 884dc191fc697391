//! How large things on a sheet are.

use super::paragraph::Paragraph;
use super::{Place, most};
use crate::{ColorBar, page::Page, text::Text};
use std::borrow::Cow;

/// How large things are, in pixels. They grow with the pictures, where those are large.
pub struct Sizes {
    pub title: Text,
    pub caption: Text,
    pub number: Text,
    /// Around the sheet.
    pub margin: u32,
    /// Between neighbours.
    pub gap: u32,
    /// What captions before rows may take at most.
    pub gutter: u32,
    /// What a sheet is at least wide where its title needs it.
    pub title_room: u32,
    /// What a column is at least wide where its captions need it.
    pub column_room: u32,
    /// The width of a color bar.
    pub bar: u32,
}

impl Sizes {
    /// For pictures whose longest side is this.
    pub fn of(longest: u32) -> Self {
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

    /// How high a color and its meaning are, of which there may be none.
    pub fn key_row(&self, meaning: &Paragraph) -> u32 {
        meaning.height().max(self.number.height) + self.gap / 4
    }

    /// The square of a color and the gap behind it.
    pub fn swatch(&self) -> u32 {
        self.number.height + self.gap / 2
    }

    /// How wide a color bar and its numbers are.
    pub fn bar_width(&self, bar: &ColorBar) -> u32 {
        let numbers = bar.numbers();
        self.bar + self.gap / 2 + most(numbers.iter().map(|(_, number)| self.number.width(number)))
    }

    /// All colors from the largest value above to the smallest below, and its numbers where there is room for them.
    pub fn put_bar(&self, page: &mut Page, bar: &ColorBar, x: u32, rows: Place) {
        page.picture(x, rows.start, Cow::Owned(bar.paint(self.bar, rows.length)));
        let high = self.number.height;
        let Some(room) = rows.length.checked_sub(high).filter(|room| *room >= high) else { return };
        let [top, middle, bottom] = bar.numbers();
        let down = (bar.down(middle.0) * room as f32).round() as u32;
        let between = (high..=room.saturating_sub(high)).contains(&down);
        let shown = [Some((0, top)), between.then_some((down, middle)), Some((room, bottom))];
        for (down, (_, number)) in shown.into_iter().flatten() {
            page.line(x + self.bar + self.gap / 2, rows.start + down, self.number, number);
        }
    }
}
