//! A contact sheet: pictures in a grid, with a title, a caption over each column and before each row.
//!
//! Each column is as wide as its widest picture and each row as high as its highest; pictures sit in the middle of
//! their place. Pictures larger than a tile are shrunk to fit it, smaller ones stay as they are.
//!
//! ```text
//! +-----------------------------------+
//! |  title                            |
//! |            column     column      |
//! |      row  [picture]  [picture]  1 |
//! |      row  [picture]  [picture]  0 |
//! +-----------------------------------+
//! ```

use crate::{ColourMap, Error, map::check_size, text::Text};
use image::{Rgb, RgbImage, imageops};

const TITLE: Text = Text { height: 24 };
const CAPTION: Text = Text { height: 17 };
const NUMBER: Text = Text { height: 14 };
/// Around the sheet, and below its title.
const MARGIN: u32 = 24;
/// Between neighbours.
const GAP: u32 = 10;
/// What captions before rows may take at most.
const GUTTER: u32 = 264;
/// What a sheet is at least wide where its title needs it.
const TITLE_ROOM: u32 = 480;
/// What a column is at least wide where its caption needs it.
const COLUMN_ROOM: u32 = 96;
/// The width of the colour bar.
const BAR: u32 = 14;

/// The paper that a sheet is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Background {
    /// Black on white. The default.
    #[default]
    White,
    /// Light grey on nearly black.
    Dark,
}

impl Background {
    fn paper(self) -> Rgb<u8> {
        match self {
            Self::White => Rgb([255; 3]),
            Self::Dark => Rgb([24; 3]),
        }
    }

    fn ink(self) -> Rgb<u8> {
        match self {
            Self::White => Rgb([32; 3]),
            Self::Dark => Rgb([224; 3]),
        }
    }
}

/// Pictures in rows, with a title and captions. What is too wide for its place ends in an ellipsis.
///
/// ```
/// use cam_viz::{ColourMap, Rgb, RgbImage, Sheet};
///
/// let picture = RgbImage::from_pixel(64, 48, Rgb([200, 80, 40]));
/// let sheet = Sheet::new("Where does it look?")
///     .columns(["photo", "Grad-CAM"])
///     .row("bull mastiff", [picture.clone(), picture.clone()])
///     .row("tiger cat", [picture.clone(), picture])
///     .colour_bar(ColourMap::Viridis)
///     .draw()?;
/// assert!(sheet.width() > 2 * 64 && sheet.height() > 2 * 48);
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sheet {
    title: String,
    columns: Vec<String>,
    rows: Vec<Row>,
    background: Background,
    bar: Option<ColourMap>,
    tile: u32,
}

#[derive(Clone, Debug)]
struct Row {
    caption: String,
    pictures: Vec<RgbImage>,
}

impl Sheet {
    /// A sheet without rows on a white background; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        let background = Background::default();
        Self { title: title.into(), columns: vec![], rows: vec![], background, bar: None, tile: 320 }
    }

    /// The captions over the columns, from left to right.
    pub fn columns<C: Into<String>>(mut self, captions: impl IntoIterator<Item = C>) -> Self {
        self.columns = captions.into_iter().map(Into::into).collect();
        self
    }

    /// One more row below, of any number of pictures.
    pub fn row(mut self, caption: impl Into<String>, pictures: impl IntoIterator<Item = RgbImage>) -> Self {
        self.rows.push(Row { caption: caption.into(), pictures: pictures.into_iter().collect() });
        self
    }

    /// On this background.
    pub fn background(self, background: Background) -> Self {
        Self { background, ..self }
    }

    /// With a bar at the right that says which colour is which value.
    pub fn colour_bar(self, colours: ColourMap) -> Self {
        Self { bar: Some(colours), ..self }
    }

    /// With pictures of at most this many pixels on their longer side; at first 320.
    pub fn tile(self, side: u32) -> Self {
        Self { tile: side.max(1), ..self }
    }

    /// The sheet as one picture.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        let fitted = |row: &Row| row.pictures.iter().map(|picture| fit(picture, self.tile)).collect();
        let tiles: Vec<Vec<RgbImage>> = self.rows.iter().map(fitted).collect();
        let layout = Layout::of(self, &tiles);
        let (width, height) = check_size(layout.width.into(), layout.height.into())?;
        let ink = self.background.ink();
        let mut sheet = RgbImage::from_pixel(width, height, self.background.paper());

        let title = TITLE.shorten(&self.title, width - 2 * MARGIN);
        TITLE.draw(&mut sheet, MARGIN, MARGIN, &title, ink);
        for (column, caption) in layout.columns.iter().zip(&self.columns) {
            let caption = CAPTION.shorten(caption, column.length);
            let x = column.middle(CAPTION.width(&caption));
            CAPTION.draw(&mut sheet, x, layout.captions, &caption, ink);
        }
        for ((place, row), pictures) in layout.rows.iter().zip(&self.rows).zip(&tiles) {
            let caption = CAPTION.shorten(&row.caption, layout.gutter);
            let x = MARGIN + layout.gutter - CAPTION.width(&caption);
            CAPTION.draw(&mut sheet, x, place.middle(CAPTION.height), &caption, ink);
            for (column, picture) in layout.columns.iter().zip(pictures) {
                let (x, y) = (column.middle(picture.width()), place.middle(picture.height()));
                imageops::replace(&mut sheet, picture, x.into(), y.into());
            }
        }
        if let Some(colours) = self.bar {
            bar(&mut sheet, colours, layout.bar, layout.all_rows(), ink);
        }
        Ok(sheet)
    }
}

/// The picture, shrunk where it is larger than a tile of this side.
fn fit(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if longer <= side || width.min(height) == 0 {
        return picture.clone();
    }
    let shrink =
        |length: u32| (f64::from(length) * f64::from(side) / f64::from(longer)).round().max(1.0) as u32;
    imageops::resize(picture, shrink(width), shrink(height), imageops::FilterType::Triangle)
}

/// All colours from the largest value above to the smallest below, and the numbers of both ends (and of zero).
fn bar(sheet: &mut RgbImage, colours: ColourMap, x: u32, rows: Place, ink: Rgb<u8>) {
    let smallest = if colours.is_diverging() { -1.0 } else { 0.0 };
    for y in 0..rows.length {
        let from_top = (y as f32 + 0.5) / rows.length as f32;
        let colour = colours.colour(1.0 + (smallest - 1.0) * from_top);
        (x..x + BAR).for_each(|x| sheet.put_pixel(x, rows.start + y, colour));
    }
    let numbers: &[&str] = if colours.is_diverging() { &["+1", "0", "−1"] } else { &["1", "0"] };
    if rows.length >= numbers.len() as u32 * NUMBER.height {
        for (i, number) in (0..).zip(numbers) {
            let down = (rows.length - NUMBER.height) * i / (numbers.len() as u32 - 1);
            NUMBER.draw(sheet, x + BAR + GAP / 2, rows.start + down, number, ink);
        }
    }
}

/// A stretch of the sheet along one axis, in pixels.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    length: u32,
}

impl Place {
    /// Where something of this length starts that sits in the middle.
    fn middle(self, length: u32) -> u32 {
        self.start + self.length.saturating_sub(length) / 2
    }

    fn end(self) -> u32 {
        self.start.saturating_add(self.length)
    }
}

/// Where everything goes on a sheet, in pixels. Sums stop at the largest number, which is too large for a sheet.
struct Layout {
    gutter: u32,
    captions: u32,
    columns: Vec<Place>,
    rows: Vec<Place>,
    bar: u32,
    width: u32,
    height: u32,
}

impl Layout {
    fn of(sheet: &Sheet, tiles: &[Vec<RgbImage>]) -> Self {
        let widest =
            |text: Text, lines: &mut dyn Iterator<Item = &String>| lines.map(|line| text.width(line)).max();
        let captions_of_rows = widest(CAPTION, &mut sheet.rows.iter().map(|row| &row.caption));
        let gutter = captions_of_rows.unwrap_or(0).min(GUTTER);
        let left = MARGIN + if gutter > 0 { gutter + GAP } else { 0 };

        let count = tiles.iter().map(Vec::len).chain([sheet.columns.len()]).max().unwrap_or(0);
        let columns = places(
            left,
            (0..count).map(|column| {
                let caption = sheet.columns.get(column).map_or(0, |caption| CAPTION.width(caption));
                let pictures = tiles.iter().filter_map(|row| row.get(column)).map(RgbImage::width);
                pictures.max().unwrap_or(0).max(caption.min(COLUMN_ROOM))
            }),
        );

        let captions = MARGIN + if sheet.title.is_empty() { 0 } else { TITLE.height + GAP };
        let top = captions + if sheet.columns.is_empty() { 0 } else { CAPTION.height + GAP / 2 };
        let rows = places(
            top,
            tiles.iter().map(|row| row.iter().map(RgbImage::height).max().unwrap_or(0).max(CAPTION.height)),
        );

        let right = columns.last().map_or(left, |column| column.end());
        let bar = right.saturating_add(2 * GAP);
        let numbers = BAR + GAP / 2 + NUMBER.width("+1");
        let right = if sheet.bar.is_some() { bar.saturating_add(numbers) } else { right };
        let title = MARGIN + TITLE.width(&sheet.title).min(TITLE_ROOM);
        let width = right.max(title).saturating_add(MARGIN);
        let height = rows.last().map_or(top, |row| row.end()).saturating_add(MARGIN);
        Self { gutter, captions, columns, rows, bar, width, height }
    }

    /// From the top of the first row to the bottom of the last.
    fn all_rows(&self) -> Place {
        match (self.rows.first(), self.rows.last()) {
            (Some(first), Some(last)) => Place { start: first.start, length: last.end() - first.start },
            _ => Place { start: 0, length: 0 },
        }
    }
}

/// Stretches of these lengths one after the other, with a gap between neighbours.
fn places(start: u32, lengths: impl Iterator<Item = u32>) -> Vec<Place> {
    let mut next = start;
    lengths
        .map(|length| {
            let place = Place { start: next, length };
            next = place.end().saturating_add(GAP);
            place
        })
        .collect()
}
