//! A contact sheet: pictures in a grid, with a title, a caption over each column and before each row.
//!
//! Pictures larger than a tile are shrunk to fit it, smaller ones stay as they are.
//!
//! ```text
//! +-----------------------------------+
//! |  title                            |
//! |            column     column      |
//! |      row  [picture]  [picture]  1 |
//! |      row  [picture]  [picture]  0 |
//! |  note                             |
//! +-----------------------------------+
//! ```

use crate::{ColorBar, Error, Figure, file, layout};
use image::{Rgb, RgbImage};
use std::path::Path;

/// The paper that a sheet is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Background {
    /// Black on white. The default.
    #[default]
    White,
    /// Light gray on nearly black.
    Dark,
}

impl Background {
    pub(crate) fn paper(self) -> Rgb<u8> {
        match self {
            Self::White => Rgb([255; 3]),
            Self::Dark => Rgb([24; 3]),
        }
    }

    pub(crate) fn ink(self) -> Rgb<u8> {
        match self {
            Self::White => Rgb([32; 3]),
            Self::Dark => Rgb([224; 3]),
        }
    }
}

/// Pictures in rows, with a title and captions. Captions go on in a next line where their place is too narrow, and end
/// in an ellipsis where there is no room for that.
///
/// ```
/// use cam_viz::{ColorMap, Figure, Rgb, RgbImage, Sheet};
///
/// let picture = RgbImage::from_pixel(64, 48, Rgb([200, 80, 40]));
/// let sheet = Sheet::new("Where does it look?")
///     .columns(["photo", "Grad-CAM"])
///     .row("bull mastiff", [picture.clone(), picture.clone()])
///     .row("tiger cat", [Figure::new(picture.clone()).below("1 %"), picture.into()])
///     .note("resnet50 at layer4.2")
///     .color_bar(ColorMap::Viridis)
///     .draw()?;
/// assert!(sheet.width() > 2 * 64 && sheet.height() > 2 * 48);
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sheet {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) background: Background,
    pub(crate) bars: Vec<ColorBar>,
    pub(crate) tile: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub caption: String,
    pub figures: Vec<Figure>,
}

impl Sheet {
    /// A sheet without rows on a white background; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            columns: vec![],
            rows: vec![],
            background: Background::default(),
            bars: vec![],
            tile: 320,
        }
    }

    /// The captions over the columns, from left to right.
    pub fn columns<C: Into<String>>(mut self, captions: impl IntoIterator<Item = C>) -> Self {
        self.columns = captions.into_iter().map(Into::into).collect();
        self
    }

    /// One more row below, of any number of pictures or figures.
    pub fn row<F: Into<Figure>>(
        mut self,
        caption: impl Into<String>,
        figures: impl IntoIterator<Item = F>,
    ) -> Self {
        let figures = figures.into_iter().map(Into::into).collect();
        self.rows.push(Row { caption: caption.into(), figures });
        self
    }

    /// Figures one after the other, in as many rows without captions as they need, at most `columns` in each.
    ///
    /// ```
    /// # use cam_viz::{Figure, RgbImage, Sheet};
    /// let layers = ["layer1", "layer2", "layer3", "layer4", "layer5"];
    /// let strip = layers.map(|layer| Figure::new(RgbImage::new(40, 40)).above(layer));
    /// let sheet = Sheet::new("From shallow to deep").flow(3, strip).draw()?; // three, and two below
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn flow<F: Into<Figure>>(self, columns: usize, figures: impl IntoIterator<Item = F>) -> Self {
        let figures: Vec<Figure> = figures.into_iter().map(Into::into).collect();
        let rows = figures.chunks(columns.max(1));
        rows.fold(self, |sheet, row| sheet.row("", row.iter().cloned()))
    }

    /// With a small text at the foot, such as how the pictures were made.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// On this background.
    pub fn background(self, background: Background) -> Self {
        Self { background, ..self }
    }

    /// With one more bar at the right that says which color is which value.
    pub fn color_bar(mut self, bar: impl Into<ColorBar>) -> Self {
        self.bars.push(bar.into());
        self
    }

    /// With pictures of at most this many pixels on their longer side; at first 320.
    pub fn tile(self, side: u32) -> Self {
        Self { tile: side.max(1), ..self }
    }

    /// The sheet as one picture.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        layout::page(self).draw()
    }

    /// The sheet as an SVG document: pictures are within it, captions are text that can be searched.
    ///
    /// ```
    /// # use cam_viz::{RgbImage, Sheet};
    /// let svg = Sheet::new("Where?").row("cats & dogs", [RgbImage::new(9, 9)]).svg()?;
    /// assert!(svg.starts_with("<svg") && svg.contains("cats &amp; dogs"));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn svg(&self) -> Result<String, Error> {
        layout::page(self).svg()
    }

    /// Writes the sheet as [`save`](crate::save) does, or as SVG where that is the path's extension.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("svg") => {
                file::write(path, self.svg()?.as_bytes())
            }
            _ => file::save(&self.draw()?, path),
        }
    }
}
