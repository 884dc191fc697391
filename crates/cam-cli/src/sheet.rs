//! Many maps on one sheet: methods by classes, layers by methods, a strip from shallow to deep.

use crate::failure::Failure;
use crate::format::Format;
use crate::maps::OneMap;
use crate::painting::{Painter, spread_bar};
use crate::picture::Picture;
use crate::studio::{Explained, Studio};
use cam_viz::{Figure, RgbImage, Sheet};
use std::borrow::Cow;

/// A picture that is to be written.
pub enum Drawing {
    /// An overlay of the size of its photo.
    Picture(RgbImage),
    /// A sheet.
    Sheet(Sheet),
}

impl Drawing {
    /// The bytes of its file.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, Failure> {
        match (self, format) {
            (Self::Picture(picture), Format::Svg) => {
                Ok(Figure::new(picture.clone()).sheet().svg()?.into_bytes())
            }
            (Self::Sheet(sheet), Format::Svg) => Ok(sheet.svg()?.into_bytes()),
            _ => Ok(cam_viz::encode(&*self.pixels()?, format.ending())?),
        }
    }

    /// The picture itself.
    pub fn pixels(&self) -> Result<Cow<'_, RgbImage>, Failure> {
        match self {
            Self::Picture(picture) => Ok(Cow::Borrowed(picture)),
            Self::Sheet(sheet) => Ok(Cow::Owned(sheet.draw()?)),
        }
    }
}

/// The most pictures in a row.
const ACROSS: usize = 7;
/// What a sheet with spreads says of them.
const SPREAD_NOTE: &str = "Spread: how far the heat of a map varies over the views, as standard deviation; its colors are those of the last bar.";
/// The longer side of a picture on a sheet with many, in pixels.
const TILE: u32 = 256;

/// The maps of some pictures, a picture below the other.
///
/// With several layers and several methods each row is a layer and each column a method; else a row is a class. A row goes on below
/// where it is long.
pub fn of(pictures: &[Explained], studio: &Studio<'_>, painter: &Painter) -> Result<Drawing, Failure> {
    // One map needs no paper around it.
    if let [Explained { picture, maps, .. }] = pictures
        && let [map @ OneMap { spread: None, .. }] = &maps[..]
    {
        return Ok(Drawing::Picture(painter.paint(picture, map)?));
    }
    let mut sheet = Sheet::new(title(pictures, studio)).color_bar(painter.colors).tile(TILE);
    let spreads = pictures.iter().flat_map(|explained| &explained.maps).filter_map(|map| map.spread.as_ref());
    let widest = spreads.map(|spread| spread.peak().2).reduce(f32::max);
    if let Some(widest) = widest {
        sheet = sheet.color_bar(spread_bar(widest)).note(SPREAD_NOTE);
    }
    let rows = Rows { painter, named: pictures.len() > 1, widest: widest.unwrap_or(0.0) };
    for explained in pictures {
        for maps in explained.maps.chunk_by(|a, b| a.target == b.target) {
            sheet = rows.of(sheet, &explained.picture, maps)?;
        }
    }
    Ok(Drawing::Sheet(sheet))
}

/// What all maps have in common.
fn title(pictures: &[Explained], studio: &Studio<'_>) -> String {
    let (what, them) = match pictures {
        [one] => (one.picture.title(), "it"),
        many => (format!("{} pictures", many.len()), "them"),
    };
    let maps = || pictures.iter().flat_map(|explained| &explained.maps);
    let mut title = format!("{what}, as {} sees {them}", studio.model.card().name);
    if let Some(method) = only(maps().map(|map| map.method)) {
        title += &format!(", by {method}");
    }
    let layered = maps().filter(|map| !map.is_of_whole());
    if let Some(layer) = only(layered.map(|map| map.layer.as_str())) {
        title += &format!(", at {layer}");
    }
    title
}

/// How the rows of a sheet are drawn.
struct Rows<'a> {
    painter: &'a Painter,
    /// Whether each photo is called by its name.
    named: bool,
    /// The largest of all spreads.
    widest: f32,
}

impl Rows<'_> {
    /// With the rows of one class of one picture.
    fn of(&self, sheet: Sheet, picture: &Picture, maps: &[OneMap]) -> Result<Sheet, Failure> {
        let Some(first) = maps.first() else { return Ok(sheet) };
        let class = class_caption(first);
        let (whole, layered): (Vec<&OneMap>, Vec<&OneMap>) = maps.iter().partition(|map| map.is_of_whole());
        let one_layer = layered.is_empty() || only(layered.iter().map(|map| map.layer.as_str())).is_some();
        let one_method = only(maps.iter().map(|map| map.method)).is_some();
        let caption = |map: &OneMap| match (one_layer, one_method) {
            (true, true) => None,
            (false, true) => Some(map.layer.clone()),
            _ if map.is_of_whole() => Some(format!("{} ({})", map.method, map.layer)),
            _ => Some(map.method.into()),
        };
        let figures = |maps: &[&OneMap]| {
            let figures = maps.iter().map(|map| self.figures(picture, map, caption(map)));
            figures.collect::<Result<Vec<_>, Failure>>()
        };
        let name = if self.named { picture.title() } else { "photo".into() };
        let photo = vec![vec![Figure::new(picture.photo.clone()).above(name)]];
        if one_layer || one_method {
            let maps: Vec<&OneMap> = maps.iter().collect();
            return Ok(row(sheet, &class, [photo, figures(&maps)?].concat()));
        }
        // Beside the photo stands what has no layer; below it each row is a layer, and each column a method.
        let mut sheet = row(sheet, &class, [photo, figures(&whole)?].concat());
        for line in layered.chunk_by(|a, b| a.layer == b.layer) {
            sheet = row(sheet, &line[0].layer, figures(line)?);
        }
        Ok(sheet)
    }

    /// A map, and its spread where there is one.
    fn figures(
        &self,
        picture: &Picture,
        map: &OneMap,
        caption: Option<String>,
    ) -> Result<Vec<Figure>, Failure> {
        let figure = Figure::new(self.painter.paint(picture, map)?);
        let mut figures = vec![caption.into_iter().fold(figure, Figure::above)];
        if let Some(spread) = &map.spread {
            let painted = self.painter.paint_spread(picture, spread, self.widest)?;
            figures.push(Figure::new(painted).above("spread"));
        }
        Ok(figures)
    }
}

/// A row that goes on below where it is long; a map and its spread stay together.
fn row(sheet: Sheet, caption: &str, figures: Vec<Vec<Figure>>) -> Sheet {
    let mut parts = vec![Vec::new()];
    for together in figures {
        if parts[parts.len() - 1].len() + together.len() > ACROSS {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("one part at least").extend(together);
    }
    parts
        .into_iter()
        .enumerate()
        .fold(sheet, |sheet, (part, figures)| sheet.row(if part == 0 { caption } else { "" }, figures))
}

/// The class of a map, and how sure the model is of it.
pub fn class_caption(map: &OneMap) -> String {
    format!("{} {:.1} %", map.label, 100.0 * map.probability)
}

/// What all are, where all are the same.
fn only<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}
