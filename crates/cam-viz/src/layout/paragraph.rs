//! Text in lines.

use super::Place;
use crate::{page::Page, text::Text};

/// Text in lines, and between which columns it stands.
pub struct Paragraph {
    text: Text,
    lines: Vec<String>,
    place: Place,
}

#[derive(Clone, Copy)]
pub enum Align {
    Start,
    End,
    /// As near to having this column in its middle as there is room.
    Around(u32),
}

impl Text {
    pub fn paragraph(self, words: &str, place: Place, lines: usize) -> Paragraph {
        Paragraph { text: self, lines: self.wrap(words, place.length, lines), place }
    }
}

impl Paragraph {
    pub fn height(&self) -> u32 {
        self.lines.len() as u32 * self.text.height
    }

    pub fn put(&self, page: &mut Page, align: Align, y: u32) {
        for (line, down) in self.lines.iter().zip((0..).step_by(self.text.height as usize)) {
            let left = self.place.length.saturating_sub(self.text.width(line));
            let before = match align {
                Align::Start => 0,
                Align::End => left,
                Align::Around(x) => {
                    let half = self.text.width(line) / 2;
                    x.saturating_sub(self.place.start.saturating_add(half)).min(left)
                }
            };
            page.line(
                self.place.start.saturating_add(before),
                y.saturating_add(down),
                self.text,
                line.clone(),
            );
        }
    }
}
