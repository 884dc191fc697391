//! Paragraphs: wrapped text.

use super::Span;
use crate::{page::Page, text::Text};

/// Wrapped text and its horizontal span.
pub struct Paragraph {
    text: Text,
    lines: Vec<String>,
    span: Span,
}

#[derive(Clone, Copy)]
pub enum Align {
    Start,
    End,
    /// Centered at this column, as far as there is room.
    Center(u32),
}

impl Text {
    pub fn paragraph(self, words: &str, span: Span, lines: usize) -> Paragraph {
        Paragraph { text: self, lines: self.wrap(words, span.length, lines), span }
    }
}

impl Paragraph {
    pub fn height(&self) -> u32 {
        self.lines.len() as u32 * self.text.height
    }

    pub fn put(&self, page: &mut Page, align: Align, y: u32) {
        for (line, down) in self.lines.iter().zip((0..).step_by(self.text.height as usize)) {
            let left = self.span.length.saturating_sub(self.text.width(line));
            let before = match align {
                Align::Start => 0,
                Align::End => left,
                Align::Center(x) => {
                    let half = self.text.width(line) / 2;
                    x.saturating_sub(self.span.start.saturating_add(half)).min(left)
                }
            };
            page.line(
                self.span.start.saturating_add(before),
                y.saturating_add(down),
                self.text,
                line.clone(),
            );
        }
    }
}
