//! A contact sheet: images in a grid, with a title, a caption above each column and before each row.
//!
//! Images larger than a tile are shrunk to fit; smaller ones keep their size.
//!
//! ```text
//! +-----------------------------------+
//! |  title                            |
//! |            column     column      |
//! |      row   [image]    [image]   1 |
//! |      row   [image]    [image]   0 |
//! |  note                             |
//! +-----------------------------------+
//! ```

use crate::{ColorBar, Error, Figure, file, layout};
use image::{Rgb, RgbImage};
use std::path::Path;

/// The background of a sheet.
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

/// Images in rows, with a title and captions. Long captions are wrapped, and end in an ellipsis if there is no room for another line.
///
/// ```
/// use cam_viz::{ColorMap, Figure, Rgb, RgbImage, Sheet};
///
/// let image = RgbImage::from_pixel(64, 48, Rgb([200, 80, 40]));
/// let sheet = Sheet::new("Where does it look?")
///     .columns(["photo", "Grad-CAM"])
///     .row("bull mastiff", [image.clone(), image.clone()])
///     .row("tiger cat", [Figure::new(image.clone()).below("1 %"), image.into()])
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
    /// Makes a sheet without rows on a white background. An empty title takes no room.
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

    /// Sets the captions above the columns, from left to right.
    pub fn columns<C: Into<String>>(mut self, captions: impl IntoIterator<Item = C>) -> Self {
        self.columns = captions.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a row of any number of images or figures.
    pub fn row<F: Into<Figure>>(
        mut self,
        caption: impl Into<String>,
        figures: impl IntoIterator<Item = F>,
    ) -> Self {
        let figures = figures.into_iter().map(Into::into).collect();
        self.rows.push(Row { caption: caption.into(), figures });
        self
    }

    /// Adds figures in as many rows without captions as they need, at most `columns` in each.
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

    /// Sets a small text at the bottom, such as how the images were made.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Sets the background.
    pub fn background(self, background: Background) -> Self {
        Self { background, ..self }
    }

    /// Adds a color bar at the right.
    pub fn color_bar(mut self, bar: impl Into<ColorBar>) -> Self {
        self.bars.push(bar.into());
        self
    }

    /// Sets the maximum length of the longer side of images, in pixels. The default is 320.
    pub fn tile(self, side: u32) -> Self {
        Self { tile: side.max(1), ..self }
    }

    /// Draws the sheet.
    pub fn draw(&self) -> Result<RgbImage, Error> {
        layout::page(self).draw()
    }

    /// Returns the sheet as an SVG document with embedded images and searchable captions.
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

    /// Writes the sheet like [`save`](crate::save), or as SVG if that is the extension of the path.
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
