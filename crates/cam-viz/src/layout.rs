//! Where everything on a sheet goes.
//!
//! Each column is as wide as its widest picture (and the bar beside it), each row as high as its highest; pictures sit
//! in the middle of their place, with their captions right above and below. Captions are set in the width of their
//! column. Sums stop at the largest number, which is too large for a page.

use crate::page::Page;
use crate::{ColourBar, Figure, Sheet, text::Text};
use image::{Rgb, RgbImage, imageops};
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
    let columns = sizes.columns(sheet, &pictures, left);
    let right = columns.last().map_or(left, |column| column.place.end());
    let bar = right.saturating_add(2 * gap);
    let right = sheet.bar.map_or(right, |numbers| bar.saturating_add(sizes.bar_width(&numbers)));
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
    if let Some(numbers) = &sheet.bar {
        let rows = Place { start: top.min(bottom), length: bottom - top.min(bottom) };
        sizes.put_bar(&mut page, numbers, bar, rows);
    }
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
struct Place {
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

/// A column and how much of it bars at the right of its pictures take.
#[derive(Clone, Copy)]
struct Column {
    place: Place,
    bars: u32,
}

impl Column {
    /// Where its pictures are.
    fn pictures(&self) -> Place {
        Place { length: self.place.length.saturating_sub(self.bars), ..self.place }
    }
}

/// How large things are, in pixels. They grow with the pictures, where those are large.
struct Sizes {
    title: Text,
    caption: Text,
    number: Text,
    /// Around the sheet.
    margin: u32,
    /// Between neighbours.
    gap: u32,
    /// What captions before rows may take at most.
    gutter: u32,
    /// What a sheet is at least wide where its title needs it.
    title_room: u32,
    /// What a column is at least wide where its captions need it.
    column_room: u32,
    /// The width of a colour bar.
    bar: u32,
}

impl Sizes {
    /// For pictures whose longest side is this.
    fn of(longest: u32) -> Self {
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

    fn columns(&self, sheet: &Sheet, pictures: &[Vec<Cow<RgbImage>>], left: u32) -> Vec<Column> {
        let count = pictures.iter().map(Vec::len).fold(sheet.columns.len(), usize::max);
        let mut start = left;
        let place = |column: usize| {
            let figures = || sheet.rows.iter().filter_map(move |row| row.figures.get(column));
            let bars =
                most(figures().filter_map(|figure| figure.bar).map(|bar| self.gap + self.bar_width(&bar)));
            let widest =
                most(pictures.iter().filter_map(|row| row.get(column)).map(|picture| picture.width()));
            let above = sheet.columns.get(column).map(|caption| self.caption.width(caption));
            let captions = most(figures().map(|figure| self.captions(figure)).chain(above));
            let length = widest.saturating_add(bars).max(captions.min(self.column_room));
            let place = Place { start, length };
            start = place.end().saturating_add(self.gap);
            Column { place, bars }
        };
        (0..count).map(place).collect()
    }

    /// How wide the captions of a figure are, each in one line.
    fn captions(&self, figure: &Figure) -> u32 {
        let captions = figure.above.iter().chain(&figure.below).map(|caption| self.caption.width(caption));
        let key =
            figure.key.iter().map(|(_, meaning)| self.swatch().saturating_add(self.number.width(meaning)));
        most(captions.chain(key))
    }

    /// How high a colour and its meaning are, of which there may be none.
    fn key_row(&self, meaning: &Paragraph) -> u32 {
        meaning.height().max(self.number.height) + self.gap / 4
    }

    /// The square of a colour and the gap behind it.
    fn swatch(&self) -> u32 {
        self.number.height + self.gap / 2
    }

    /// How wide a colour bar and its numbers are.
    fn bar_width(&self, bar: &ColourBar) -> u32 {
        let numbers = bar.numbers();
        self.bar + self.gap / 2 + most(numbers.iter().map(|(_, number)| self.number.width(number)))
    }

    /// All colours from the largest value above to the smallest below, and its numbers where there is room for them.
    fn put_bar(&self, page: &mut Page, bar: &ColourBar, x: u32, rows: Place) {
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

/// A figure of which is known what its column is.
struct Block<'a> {
    picture: Cow<'a, RgbImage>,
    bar: Option<ColourBar>,
    column: Column,
    above: Vec<Paragraph>,
    below: Vec<Paragraph>,
    key: Vec<(Rgb<u8>, Paragraph)>,
}

impl<'a> Block<'a> {
    fn of(figure: &Figure, picture: Cow<'a, RgbImage>, column: Column, sizes: &Sizes) -> Self {
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
            key: key.map(|(colour, meaning)| (*colour, sizes.number.paragraph(meaning, beside, 3))).collect(),
        }
    }

    /// What it needs above its picture.
    fn above(&self, sizes: &Sizes) -> u32 {
        let lines: u32 = self.above.iter().map(Paragraph::height).sum();
        if lines > 0 { lines + sizes.gap / 2 } else { 0 }
    }

    /// What it needs below its picture.
    fn below(&self, sizes: &Sizes) -> u32 {
        let lines: u32 = self.below.iter().map(|caption| caption.height()).sum();
        let key: u32 = self.key.iter().map(|(_, meaning)| sizes.key_row(meaning)).sum();
        lines + key + if lines > 0 { sizes.gap / 2 } else { 0 } + if key > 0 { sizes.gap / 2 } else { 0 }
    }

    fn put(self, page: &mut Page<'a>, row: Place, sizes: &Sizes) {
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
        for (colour, meaning) in &self.key {
            let side = sizes.number.height * 3 / 4;
            let swatch = RgbImage::from_pixel(side, side, *colour);
            page.picture(self.column.place.start, y + (sizes.number.height - side) / 2, Cow::Owned(swatch));
            meaning.put(page, Align::Start, y);
            y = y.saturating_add(sizes.key_row(meaning));
        }
    }
}

/// Text in lines, and between which columns it stands.
struct Paragraph {
    text: Text,
    lines: Vec<String>,
    place: Place,
}

#[derive(Clone, Copy)]
enum Align {
    Start,
    End,
    /// As near to having this column in its middle as there is room.
    Around(u32),
}

impl Text {
    fn paragraph(self, words: &str, place: Place, lines: usize) -> Paragraph {
        Paragraph { text: self, lines: self.wrap(words, place.length, lines), place }
    }
}

impl Paragraph {
    fn height(&self) -> u32 {
        self.lines.len() as u32 * self.text.height
    }

    fn put(&self, page: &mut Page, align: Align, y: u32) {
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
