//! `--html`: all that was found, on one page that needs nothing else, to hand to a colleague.
//!
//! The page is a template of HTML, CSS and JavaScript beside this file, and one block of data in it. The script draws the maps from
//! their numbers, so that a reader can move between photo and map and ask for the values at any place. Whatever comes from outside
//! (names of files and classes) reaches the page as data and is shown as text: it cannot become markup.

use crate::failure::Failure;
use crate::maps::OneMap;
use crate::painting::SPREAD;
use crate::report::About;
use crate::studio::Explained;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cam_core::{METHODS, Method};
use cam_models::{Classifier, Prediction};
use cam_viz::{ColorMap, HeatMap, RgbImage};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::imageops;
use serde::Serialize;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The most pictures on one page: more are slow to open and too much to look at.
pub const MOST: usize = 200;

/// The longer side of a photo on the page, in pixels, at most.
const SIDE: u32 = 1280;

/// The shades of a heat map on the page: 0 to 254, so that the middle of a signed map is one of them.
const SHADES: f32 = 254.0;

/// The version of Burn, as the manifest has it.
const BURN: &str = "0.22.1";

/// A page in the making.
#[derive(Serialize)]
pub struct Page {
    made: Made,
    /// What is explained: `logit`, `softmax`, ...
    score: String,
    /// The colors of the shades of heat.
    colors: String,
    /// The colors of spreads.
    spreads: String,
    /// The colors of raw evidence, from the lowest to the highest.
    diverging: String,
    pictures: Vec<Picture>,
    #[serde(skip)]
    signed: bool,
}

/// How the maps were made.
#[derive(Serialize)]
struct Made {
    /// Since 1970.
    seconds: u64,
    model: String,
    about: String,
    weights: String,
    published: String,
    sha256: String,
    license: String,
    methods: Vec<Paper>,
    options: Vec<(String, String)>,
    software: String,
    command: String,
}

#[derive(Serialize)]
struct Paper {
    name: &'static str,
    paper: &'static str,
}

/// One picture.
#[derive(Serialize)]
struct Picture {
    name: String,
    /// Height and width in pixels.
    size: [u32; 2],
    /// The part that the network saw: left, top, width, height in pixels.
    area: [u32; 4],
    /// A data URI.
    photo: String,
    top: Vec<Prediction>,
    maps: Vec<Map>,
}

/// One map.
#[derive(Serialize)]
struct Map {
    #[serde(flatten)]
    about: About,
    paper: &'static str,
    heat: Heat,
    spread: Option<Heat>,
    raw: Raw,
}

/// The heat or its spread, a byte a pixel of the input.
#[derive(Serialize)]
struct Heat {
    size: [u32; 2],
    /// What the lowest and the highest shade stand for.
    low: f32,
    high: f32,
    data: String,
}

impl Heat {
    /// In shades from the lowest value to the highest.
    fn of(map: &HeatMap, low: f32, high: f32) -> Self {
        let shade = |value: &f32| (SHADES * value).round().clamp(0.0, SHADES) as u8;
        let shades: Vec<u8> = map.scaled(low, high).values().iter().map(shade).collect();
        Self { size: [map.height(), map.width()], low, high, data: packed(&shades) }
    }
}

/// The raw evidence, a float32 a cell of the layer.
#[derive(Serialize)]
struct Raw {
    size: [usize; 2],
    data: String,
}

impl Page {
    /// A page without pictures.
    ///
    /// # Errors
    /// When the weights are not there any more, whose sha256 is told.
    pub fn new(
        model: &Classifier,
        device: &str,
        methods: &[&'static dyn Method],
        options: &serde_json::Value,
        colors: ColorMap,
    ) -> Result<Self, Failure> {
        let card = model.card();
        let weights = model.weights().and_then(|path| path.file_name());
        let made = Made {
            seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            model: card.name.clone(),
            about: card.about.clone(),
            weights: weights.map_or("built in".into(), |name| name.to_string_lossy().into()),
            published: card.url.clone(),
            sha256: model.sha256()?.unwrap_or_default(),
            license: card.license.clone(),
            methods: methods
                .iter()
                .map(|method| Paper { name: method.name(), paper: method.info().paper })
                .collect(),
            options: told(options),
            software: format!(
                "cam {}, Burn {BURN}, {device}, {} {}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS,
                std::env::consts::ARCH
            ),
            command: command(std::env::args()),
        };
        let signed = colors.is_diverging();
        Ok(Self {
            made,
            score: options["score"].as_str().unwrap_or("score").into(),
            colors: palette(colors),
            spreads: palette(SPREAD),
            diverging: palette(ColorMap::RedBlue),
            pictures: Vec::new(),
            signed,
        })
    }

    /// Puts a picture on the page, with all that was found in it.
    pub fn add(&mut self, explained: &Explained) -> Result<(), Failure> {
        let Explained { picture, top, maps } = explained;
        let (width, height) = picture.photo.dimensions();
        let area = picture.area;
        self.pictures.push(Picture {
            name: picture.title(),
            size: [height, width],
            area: [area.x, area.y, area.width, area.height],
            photo: data_uri(&picture.photo)?,
            top: top.clone(),
            maps: maps.iter().map(|map| self.map(map, About::of(picture, map))).collect(),
        });
        Ok(())
    }

    fn map(&self, map: &OneMap, about: About) -> Map {
        let (low, high) = if self.signed { (-1.0, 1.0) } else { (0.0, 1.0) };
        let raw: Vec<u8> = map.raw.iter().flat_map(|value| value.to_le_bytes()).collect();
        Map {
            about,
            paper: METHODS
                .iter()
                .find(|method| method.name() == map.method)
                .map_or("", |method| method.info().paper),
            heat: Heat::of(&map.heat, low, high),
            spread: map.spread.as_ref().map(|spread| Heat::of(spread, 0.0, spread.peak().2)),
            raw: Raw { size: map.raw_size, data: packed(&raw) },
        }
    }

    /// The file.
    pub fn html(&self) -> String {
        // Within a script only `</script` and `<!--` end the data, and both start with what no string of JSON needs to hold.
        let data = serde_json::to_string(self).expect("a page is plain data").replace('<', "\\u003c");
        let page = TEMPLATE.replace("{{style}}", STYLE.trim_end()).replace("{{script}}", SCRIPT.trim_end());
        // Last, so that nothing in the data is taken for a place of the template.
        page.replacen("{{data}}", &data, 1)
    }
}

/// 255 colors, three bytes each.
fn palette(colors: ColorMap) -> String {
    let low = if colors.is_diverging() { -1.0 } else { 0.0 };
    let shades = (0..=SHADES as u8).map(|shade| low + (1.0 - low) * f32::from(shade) / SHADES);
    STANDARD.encode(shades.flat_map(|value| colors.color(value).0).collect::<Vec<u8>>())
}

/// Bytes as they stand on the page: zlib, then base64.
fn packed(bytes: &[u8]) -> String {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory can be written");
    STANDARD.encode(packer.finish().expect("memory can be written"))
}

/// The photo, no larger than a screen needs it; a PNG where that is the smaller file, as of drawings.
fn data_uri(photo: &RgbImage) -> Result<String, Failure> {
    let (width, height) = photo.dimensions();
    let shrink = f64::from(SIDE) / f64::from(width.max(height).max(SIDE));
    let side = |length: u32| (shrink * f64::from(length)).round().max(1.0) as u32;
    let shrunk = imageops::resize(photo, side(width), side(height), imageops::FilterType::Triangle);
    let (jpeg, png) = (cam_viz::encode(&shrunk, "jpg")?, cam_viz::encode(&shrunk, "png")?);
    let (kind, bytes) = if png.len() < jpeg.len() { ("png", png) } else { ("jpeg", jpeg) };
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

/// The options of a run that are set and matter, for a person.
fn told(options: &serde_json::Value) -> Vec<(String, String)> {
    use serde_json::Value;
    fn text(value: &Value) -> Option<String> {
        match value {
            Value::Null | Value::Bool(false) => None,
            Value::Bool(true) => Some("yes".into()),
            Value::String(text) => Some(text.clone()),
            Value::Array(all) => {
                let all: Vec<String> = all.iter().filter_map(text).collect();
                (!all.is_empty()).then(|| all.join(", "))
            }
            Value::Number(_) | Value::Object(_) => Some(value.to_string()),
        }
    }
    let elsewhere = ["model", "weights", "methods", "format", "sheet", "npy", "raw"];
    let idle = |name: &str| match name {
        "sigma" => options["noise"].is_null(),
        "top" => options["classes"].as_array().is_some_and(|classes| !classes.is_empty()),
        _ => elsewhere.contains(&name),
    };
    let all = options.as_object().into_iter().flatten();
    all.filter(|(name, _)| !idle(name))
        .filter_map(|(name, value)| Some((name.replace('_', " "), text(value)?)))
        .collect()
}

/// A command line as one could type it again.
fn command(words: impl Iterator<Item = String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    let quoted = |word: String| match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let mut words = words.map(quoted);
    let program = words.next().map(|_| "cam".to_string());
    program.into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::BURN;

    #[test]
    fn the_version_of_burn_is_that_of_the_manifest() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"{BURN}\"")));
    }
}
