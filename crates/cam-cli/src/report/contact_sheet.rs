//! Contact sheets: methods by classes, layers by methods, layers from shallow to deep.

use crate::report::failure::Failure;
use crate::report::format::Format;
use crate::report::painter::{Painter, std_color_bar};
use crate::run::images::Explained;
use burn_cam::draw::{self, Figure, Rgb, RgbImage, Sheet};
use burn_cam::{ImageMap, draw_predictions};
use std::borrow::Cow;

/// A drawing that is written to a file or shown.
pub enum Drawing {
    /// An overlay of the size of its image.
    Overlay(RgbImage),
    /// A contact sheet.
    Sheet(Sheet),
}

impl Drawing {
    /// Returns the bytes of its file.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, Failure> {
        match (self, format) {
            (Self::Overlay(image), Format::Svg) => Ok(Figure::new(image.clone()).sheet().svg()?.into_bytes()),
            (Self::Sheet(sheet), Format::Svg) => Ok(sheet.svg()?.into_bytes()),
            _ => Ok(draw::encode(&*self.pixels()?, format.extension())?),
        }
    }

    /// Returns the bytes of its file; a PNG has the record of what made it as text.
    pub fn encode_with_record(&self, format: Format, record: &str) -> Result<Vec<u8>, Failure> {
        Ok(draw::with_png_text(self.encode(format)?, KEYWORD, record))
    }

    /// Returns its pixels.
    pub fn pixels(&self) -> Result<Cow<'_, RgbImage>, Failure> {
        match self {
            Self::Overlay(image) => Ok(Cow::Borrowed(image)),
            Self::Sheet(sheet) => Ok(Cow::Owned(sheet.draw()?)),
        }
    }
}

/// The keyword of the text of a PNG that has what made it, as JSON.
pub const KEYWORD: &str = "cam";

/// The most figures in a row of boxes, which need room.
const PLACES_ACROSS: usize = 3;
/// The side of a figure with boxes.
const PLACES_TILE: u32 = 420;
/// The most figures in a row.
const ACROSS: usize = 7;
/// The note of a sheet with standard deviations.
const STD_NOTE: &str =
    "std: the standard deviation of a map over the views of its image, in the colors of the last bar.";
/// The longer side of a figure, in pixels.
const TILE: u32 = 256;

/// The caption of maps that are the same for every class.
const ANY_CLASS: &str = "any class";

/// Draws the maps of some images, one image below the other. With `std` the standard deviation of each map is beside it.
///
/// With several layers and several methods each row is a layer and each column a method; otherwise a row is a class. A long row
/// continues below.
pub fn draw(images: &[Explained], model: &str, painter: &Painter, std: bool) -> Result<Drawing, Failure> {
    let has_places = images.iter().any(|image| image.found.predictions.iter().any(|p| p.place.is_some()));
    let tile = if has_places { PLACES_TILE } else { TILE };
    let mut sheet = Sheet::new(title(images, model)).color_bar(painter.colors).tile(tile);
    let maps = images.iter().flat_map(|explained| &explained.found.maps);
    let stds = maps.filter_map(|map| map.std.as_ref()).filter(|_| std);
    let largest_std = stds.map(|std| std.peak().2).reduce(f32::max);
    if let Some(largest) = largest_std {
        sheet = sheet.color_bar(std_color_bar(largest)).note(STD_NOTE);
    }
    let rows = Rows { painter, named: images.len() > 1, largest_std };
    for explained in images {
        if explained.found.predictions.iter().any(|prediction| prediction.place.is_some()) {
            sheet = rows.places(sheet, explained)?;
            continue;
        }
        // Maps that are the same for every class are shown once.
        let several = explained.found.maps.chunk_by(|a, b| a.target == b.target).count() > 1;
        let (of_class, of_any): (Vec<&ImageMap>, Vec<&ImageMap>) =
            explained.found.maps.iter().partition(|map| !several || map.method.needs.class);
        for maps in of_class.chunk_by(|a, b| a.target == b.target) {
            sheet = rows.add(sheet, explained, &class_caption(maps[0]), maps)?;
        }
        let first: Vec<&ImageMap> =
            of_any.iter().copied().filter(|map| map.target == of_any[0].target).collect();
        if !first.is_empty() {
            sheet = rows.add(sheet, explained, ANY_CLASS, &first)?;
        }
    }
    Ok(Drawing::Sheet(sheet))
}

/// Returns what all maps have in common.
fn title(images: &[Explained], model: &str) -> String {
    let what = match images {
        [one] => one.title(),
        many => format!("{} images", many.len()),
    };
    let maps = || images.iter().flat_map(|explained| &explained.found.maps);
    let mut title = format!("{what}, explained with {model}");
    if let Some(method) = only(maps().map(|map| map.method.name)) {
        title += &format!(", by {method}");
    }
    let layered = maps().filter(|map| !map.is_of_network());
    if let Some(layer) = only(layered.map(|map| map.layer.as_str())) {
        title += &format!(", at {layer}");
    }
    title
}

/// How the rows of a sheet are drawn.
struct Rows<'a> {
    painter: &'a Painter,
    /// Whether each image has its name.
    named: bool,
    /// The largest of all standard deviations, when they are drawn.
    largest_std: Option<f32>,
}

impl Rows<'_> {
    /// Adds the rows of an image whose predictions have places: all of them, and then a map of each that is explained, for each method.
    fn places(&self, mut sheet: Sheet, explained: &Explained) -> Result<Sheet, Failure> {
        let Explained { image, found, .. } = explained;
        let all = Figure::new(draw_predictions(image, &found.predictions));
        let name = if self.named {
            explained.title()
        } else {
            match &found.predictions[..] {
                [first] if first.mask.is_some() => "1 region".into(),
                [first, ..] if first.mask.is_some() => format!("{} regions", found.predictions.len()),
                [_] => "1 detection".into(),
                all => format!("{} detections", all.len()),
            }
        };
        let mut methods: Vec<&str> = found.maps.iter().map(|map| map.method.name).collect();
        methods.sort_unstable();
        methods.dedup();
        let one_method = methods.len() <= 1;
        let mut first = Some(all.above(name));
        for method in methods {
            let maps = found.maps.iter().filter(|map| map.method.name == method);
            let figures =
                maps.map(|map| self.figures(map, class_caption(map))).collect::<Result<Vec<_>, _>>()?;
            let row_of = if one_method { "" } else { method };
            let figures = first.take().into_iter().chain(figures.into_iter().flatten());
            let figures: Vec<Figure> = figures.collect();
            for (part, few) in figures.chunks(PLACES_ACROSS).enumerate() {
                sheet = sheet.row(if part == 0 { row_of } else { "" }, few.to_vec());
            }
        }
        Ok(match first {
            Some(all) => row(sheet, "", all, [], ACROSS),
            None => sheet,
        })
    }

    /// Adds the rows of one class of one image.
    fn add(
        &self,
        sheet: Sheet,
        explained: &Explained,
        class: &str,
        maps: &[&ImageMap],
    ) -> Result<Sheet, Failure> {
        let (whole, layered): (Vec<&ImageMap>, Vec<&ImageMap>) =
            maps.iter().partition(|map| map.is_of_network());
        let one_layer = layered.is_empty() || only(layered.iter().map(|map| map.layer.as_str())).is_some();
        let one_method = only(maps.iter().map(|map| map.method.name)).is_some();
        let caption = |map: &ImageMap| match (one_layer, one_method) {
            (false, true) => map.layer.clone(),
            (_, false) if map.is_of_network() => format!("{} ({})", map.method.name, map.layer),
            _ => map.method.name.into(),
        };
        let figures = |maps: &[&ImageMap]| {
            let figures = maps.iter().map(|map| self.figures(map, caption(map)));
            figures.collect::<Result<Vec<_>, Failure>>()
        };
        let name = if self.named { explained.title() } else { "image".into() };
        let image = Figure::new(explained.image.drawn().into_owned()).above(name);
        if one_layer || one_method {
            return Ok(row(sheet, class, image, figures(maps)?, ACROSS));
        }
        // Each row is a layer, and each column a method. Maps of the whole network are in a row of their own, before them.
        let mut image = Some(image.below(class));
        let mut first = || image.take().unwrap_or_else(blank);
        let sheet = match whole[..] {
            [] => sheet,
            _ => row(sheet, "", first(), figures(&whole)?, ACROSS),
        };
        layered
            .chunk_by(|a, b| a.layer == b.layer)
            .try_fold(sheet, |sheet, line| Ok(row(sheet, &line[0].layer, first(), figures(line)?, ACROSS)))
    }

    /// Returns a map with its heading, and its standard deviation when it is drawn.
    fn figures(&self, map: &ImageMap, caption: String) -> Result<Vec<Figure>, Failure> {
        let mut figures = vec![Figure::new(self.painter.paint(map)?).above(caption)];
        if let (Some(std), Some(largest)) = (&map.std, self.largest_std) {
            figures.push(Figure::new(self.painter.paint_std(map, std, largest)?).above("std"));
        }
        Ok(figures)
    }
}

/// Adds a row that starts with a figure and continues below when it is long: there the column of the first figure is empty, so that each
/// column keeps its meaning. What belongs together, as a map and its standard deviation, stays so. No row has more than `across`.
pub fn row(
    sheet: Sheet,
    caption: &str,
    first: Figure,
    figures: impl IntoIterator<Item = Vec<Figure>>,
    across: usize,
) -> Sheet {
    let mut parts = vec![vec![first]];
    for together in figures {
        if parts[parts.len() - 1].len() + together.len() > across {
            parts.push(vec![blank()]);
        }
        parts.last_mut().expect("one part at least").extend(together);
    }
    parts
        .into_iter()
        .enumerate()
        .fold(sheet, |sheet, (part, figures)| sheet.row(if part == 0 { caption } else { "" }, figures))
}

/// Returns a figure that is not seen on a sheet.
fn blank() -> Figure {
    Figure::new(RgbImage::from_pixel(1, 1, Rgb([255; 3])))
}

/// Returns the class of a map, and how confident the model is of it.
pub fn class_caption(map: &ImageMap) -> String {
    match map.probability {
        Some(probability) => format!("{} {:.1} %", map.label, 100.0 * probability),
        None => map.label.clone(),
    }
}

/// Returns the one name that all of them are; nothing when they differ.
fn only<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}
