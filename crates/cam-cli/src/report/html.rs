//! `--html`: all results on one page that needs nothing else.
//!
//! The page is a template of HTML, CSS and JavaScript beside this file, and one block of data in it. The script draws the maps from
//! their numbers, so that a reader can move between image and map and read the values at any pixel. Whatever comes from outside
//! (names of files and classes) reaches the page as data and is shown as text: it cannot become markup.

use crate::report::failure::Failure;
use crate::report::json::MapSubject;
use crate::report::painter::STD_COLORS;
use crate::report::provenance::Provenance;
use crate::run::images::Explained;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn_cam::draw::{self, RgbImage};
use burn_cam::image::imageops;
use burn_cam::{ColorMap, HeatMap, ImageMap, ImageModel, Method, Prediction};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The most images on one page: more are slow to open and too many to look at.
pub const MOST: usize = 200;

/// The longer side of an image on the page, in pixels, at most.
const SIDE: u32 = 1280;

/// The shades of a heat map on the page: 0 to 254, so that the middle of a signed map is one of them.
const SHADES: f32 = 254.0;

/// A page that images are added to.
#[derive(Serialize)]
pub struct Page {
    made: Made,
    /// What is explained: `logit`, `softmax`, ...
    score: String,
    /// The colors of the shades of heat.
    colors: String,
    /// The colors of standard deviations.
    stds: String,
    /// The colors of raw evidence, from the lowest to the highest.
    diverging: String,
    images: Vec<PageImage>,
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
    /// How images become the input of the model.
    preprocess: String,
    options: Vec<(String, String)>,
    software: String,
    command: String,
}

#[derive(Serialize)]
struct Paper {
    name: &'static str,
    paper: &'static str,
}

/// One image.
#[derive(Serialize)]
struct PageImage {
    name: String,
    /// Height and width in pixels.
    size: [u32; 2],
    /// The area that the model saw: left, top, width, height in pixels.
    area: [u32; 4],
    /// A data URI.
    photo: String,
    top: Vec<Prediction>,
    maps: Vec<PageMap>,
}

/// One map.
#[derive(Serialize)]
struct PageMap {
    #[serde(flatten)]
    subject: MapSubject,
    paper: &'static str,
    heat: Heat,
    std: Option<Heat>,
    raw: Raw,
}

/// A heat map or its standard deviation, one byte per pixel of the input.
#[derive(Serialize)]
struct Heat {
    size: [u32; 2],
    /// The values of the lowest and the highest shade.
    low: f32,
    high: f32,
    data: String,
}

impl Heat {
    /// Encodes a map in shades from the lowest value to the highest.
    fn new(map: &HeatMap, low: f32, high: f32) -> Self {
        let shade = |value: &f32| (SHADES * value).round().clamp(0.0, SHADES) as u8;
        let shades: Vec<u8> = map.scaled(low, high).values().iter().map(shade).collect();
        Self { size: [map.height(), map.width()], low, high, data: compressed(&shades) }
    }
}

/// The raw evidence, one float32 per cell of the layer.
#[derive(Serialize)]
struct Raw {
    size: [u32; 2],
    data: String,
}

impl Page {
    /// Starts a page. `signed` maps have values below zero.
    pub fn new(
        model: &impl ImageModel,
        provenance: &Provenance,
        methods: &[&'static dyn Method],
        colors: ColorMap,
    ) -> Self {
        let info = model.info();
        let weights = info.weights.as_ref().and_then(|path| path.file_name());
        let made = Made {
            seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            model: info.name.clone(),
            about: info.about.clone(),
            weights: weights.map_or("built in".into(), |name| name.to_string_lossy().into()),
            published: info.url.clone(),
            sha256: provenance.sha256.clone().unwrap_or_default(),
            license: info.license.clone(),
            methods: methods
                .iter()
                .map(|method| method.info())
                .map(|info| Paper { name: info.name, paper: info.paper })
                .collect(),
            preprocess: model.preprocess().to_string(),
            options: relevant(&provenance.options),
            software: provenance.software(),
            command: command(std::env::args_os().map(|word| word.to_string_lossy().into_owned())),
        };
        let signed = colors.is_diverging();
        Self {
            made,
            score: provenance.options["score"].as_str().unwrap_or("score").into(),
            colors: palette(colors),
            stds: palette(STD_COLORS),
            diverging: palette(ColorMap::RedBlue),
            images: Vec::new(),
            signed,
        }
    }

    /// Adds an image with its explanation. With `std` the standard deviations of its maps are on the page.
    pub fn add(&mut self, explained: &Explained, std: bool) -> Result<(), Failure> {
        let found = &explained.found;
        let pixels = explained.image.pixels();
        let (width, height) = pixels.dimensions();
        let Some(area) = found.maps.first().map(|map| map.area) else { return Ok(()) };
        self.images.push(PageImage {
            name: explained.title(),
            size: [height, width],
            area: [area.x, area.y, area.width, area.height],
            photo: data_uri(pixels)?,
            top: found.predictions.clone(),
            maps: found.maps.iter().map(|map| self.map(map, std)).collect(),
        });
        Ok(())
    }

    fn map(&self, map: &ImageMap, std: bool) -> PageMap {
        let (low, high) = if self.signed { (-1.0, 1.0) } else { (0.0, 1.0) };
        let last = map.last_color();
        let raw: Vec<u8> = map.raw.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        let std = map.std.as_ref().filter(|_| std);
        PageMap {
            subject: MapSubject::from(map),
            paper: map.method.paper,
            heat: Heat::new(&map.heatmap, low * last, high * last),
            std: std.map(|std| Heat::new(std, 0.0, std.peak().2)),
            raw: Raw { size: [map.raw.height(), map.raw.width()], data: compressed(&raw) },
        }
    }

    /// Returns the file.
    pub fn html(&self) -> String {
        // Within a script only `</script` and `<!--` end the data, and both start with what no string of JSON needs to hold.
        let data = serde_json::to_string(self).expect("a page is plain data").replace('<', "\\u003c");
        let page = TEMPLATE.replace("{{style}}", STYLE.trim_end()).replace("{{script}}", SCRIPT.trim_end());
        // Last, so that nothing in the data is taken for a place of the template.
        page.replacen("{{data}}", &data, 1)
    }
}

/// Returns 255 colors, three bytes each.
fn palette(colors: ColorMap) -> String {
    let low = if colors.is_diverging() { -1.0 } else { 0.0 };
    let shades = (0..=SHADES as u8).map(|shade| low + (1.0 - low) * f32::from(shade) / SHADES);
    STANDARD.encode(shades.flat_map(|value| colors.color(value).0).collect::<Vec<u8>>())
}

/// Encodes bytes for the page: zlib, then base64.
fn compressed(bytes: &[u8]) -> String {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory can be written");
    STANDARD.encode(packer.finish().expect("memory can be written"))
}

/// Encodes an image, no larger than a screen needs; as PNG when that is the smaller file, as for drawings.
fn data_uri(photo: &RgbImage) -> Result<String, Failure> {
    let (width, height) = photo.dimensions();
    let shrink = f64::from(SIDE) / f64::from(width.max(height).max(SIDE));
    let side = |length: u32| (shrink * f64::from(length)).round().max(1.0) as u32;
    let shrunk = imageops::resize(photo, side(width), side(height), imageops::FilterType::Triangle);
    let (jpeg, png) = (draw::encode(&shrunk, "jpg")?, draw::encode(&shrunk, "png")?);
    let (kind, bytes) = if png.len() < jpeg.len() { ("png", png) } else { ("jpeg", jpeg) };
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

/// Returns the options of a run that are set and matter, for people.
fn relevant(options: &serde_json::Value) -> Vec<(String, String)> {
    use serde_json::Value;
    fn text(value: &Value) -> Option<String> {
        match value {
            Value::Null | Value::Bool(false) => None,
            Value::Bool(true) => Some("yes".into()),
            Value::String(text) => Some(text.trim_end().into()),
            Value::Array(all) => {
                let all: Vec<String> = all.iter().filter_map(text).collect();
                (!all.is_empty()).then(|| all.join(", "))
            }
            // When a file was changed is for the tool.
            Value::Object(fields) if fields.contains_key("modified") => None,
            Value::Number(_) | Value::Object(_) => Some(value.to_string()),
        }
    }
    let elsewhere = ["model", "weights", "methods", "preprocess", "format", "sheet", "npy", "raw"];
    let idle = |name: &str| match name {
        "sigma" => options["noise"].is_null(),
        "tolerance" => options["masks"].is_null(),
        "top" => options["classes"].as_array().is_some_and(|classes| !classes.is_empty()),
        _ => elsewhere.contains(&name),
    };
    let all = options.as_object().into_iter().flatten();
    all.filter(|(name, _)| !idle(name))
        .filter_map(|(name, value)| Some((name.replace('_', " "), text(value)?)))
        .collect()
}

/// Returns a command line as it could be typed again.
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
