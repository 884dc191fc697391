//! What `cam explain` tells as JSON.

use crate::console::Console;
use crate::failure::Failure;
use crate::maps::OneMap;
use crate::painting::Painter;
use crate::picture::{Part, Picture};
use cam_models::{Classifier, Prediction};
use cam_viz::HeatMap;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::SpooledTempFile;

/// How it is told.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Json {
    /// One object of the whole run, at its end
    Object,
    /// A line a picture, as soon as it is done
    Lines,
}

/// The whole run. What grows with the pictures does not wait in memory.
pub struct Report {
    /// The model's name.
    model: String,
    /// Where it ran; of several devices, with commas between.
    device: String,
    /// One entry a picture, in the order of the command line: [`Predictions`].
    pub predictions: Spool,
    /// One entry for each picture, target, layer and method: [`MapOf`].
    pub maps: Spool,
}

impl Report {
    pub fn new(model: &Classifier, device: String) -> Self {
        let model = model.card().name.clone();
        Self { model, device, predictions: Spool::default(), maps: Spool::default() }
    }

    /// Prints it, with the pictures that could not be explained and where the time went.
    pub fn print(mut self, failures: &[Failed], seconds: &Seconds, console: &Console) -> Result<(), Failure> {
        console.write(|out| {
            write!(out, "{{\n  \"model\": {},\n  \"device\": {}", json(&self.model), json(&self.device))?;
            for (name, items) in [("predictions", &mut self.predictions), ("maps", &mut self.maps)] {
                write!(out, ",\n  \"{name}\": [")?;
                items.copy_to(out)?;
                write!(out, "\n  ]")?;
            }
            writeln!(out, ",\n  \"failures\": {},\n  \"seconds\": {}\n}}", json(&failures), json(seconds))
        })
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a report is plain data")
}

/// JSON values that wait for the end of a run: few in memory, many in a file.
pub struct Spool(SpooledTempFile);

/// How much of a spool is held in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;

impl Default for Spool {
    fn default() -> Self {
        Self(SpooledTempFile::new(IN_MEMORY))
    }
}

impl Spool {
    pub fn add(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.append(&json(value))
            .map_err(|error| Failure::Output { path: std::env::temp_dir(), reason: error.to_string() })
    }

    fn append(&mut self, value: &str) -> io::Result<()> {
        let comma = if self.0.stream_position()? == 0 { "" } else { "," };
        write!(self.0, "{comma}\n    {value}")
    }

    fn copy_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.0.rewind()?;
        io::copy(&mut self.0, out).map(drop)
    }
}

/// One picture, whole on one line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// The file.
    pub image: &'a str,
    /// Of an array of several, which picture.
    #[serde(skip_serializing_if = "Part::is_all")]
    pub part: Part,
    /// Its likeliest classes.
    pub predictions: &'a [Prediction],
    pub maps: &'a [Map],
    /// Why there are none.
    pub error: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// The line of a picture that could not be explained.
    pub fn failed(Failed { image, part, error }: &'a Failed) -> Self {
        Self { image, part: *part, predictions: &[], maps: &[], error: Some(error) }
    }

    /// The line itself.
    pub fn text(&self) -> String {
        json(self)
    }
}

/// What the model makes of one picture.
#[derive(Debug, Serialize)]
pub struct Predictions<'a> {
    /// The file.
    pub image: &'a str,
    /// Its likeliest classes.
    pub top: &'a [Prediction],
}

/// A map of one of the pictures.
#[derive(Debug, Serialize)]
pub struct MapOf<'a> {
    /// The file of the picture.
    pub image: &'a str,
    /// Which of the predictions it belongs to.
    pub index: usize,
    #[serde(flatten)]
    pub map: Map,
}

/// One map.
#[derive(Debug, Clone, Serialize)]
pub struct Map {
    #[serde(flatten)]
    pub about: About,
    /// The overlay, or with `--sheet` the sheet: a PNG where nothing else is asked for.
    pub png: Option<PathBuf>,
    /// The numbers, with `--npy`.
    pub npy: Option<PathBuf>,
    /// The raw numbers, with `--raw`.
    pub raw: Option<PathBuf>,
    /// With `--spread` how far the map varies over the views.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// With `--overlay box` the boxes, the largest first: left, top, width, height in pixels of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<Vec<[u32; 4]>>,
}

/// How far a map varies over views of its picture.
#[derive(Debug, Clone, Serialize)]
pub struct Spread {
    /// The largest standard deviation of its heat.
    pub most: f32,
    /// Where that is, as a pixel of the picture: x, y.
    pub peak: [u32; 2],
    /// The picture of it, or with `--sheet` the sheet.
    pub png: Option<PathBuf>,
    /// The numbers, with `--npy`.
    pub npy: Option<PathBuf>,
}

impl Spread {
    /// What is told of it before any file is written.
    pub fn of(picture: &Picture, spread: &HeatMap) -> Self {
        let peak = picture.area.peak(spread).into();
        Self { most: spread.peak().2, peak, png: None, npy: None }
    }
}

/// What a map is of.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    pub class: usize,
    pub label: String,
    /// How sure the model is of the class.
    pub probability: f32,
    /// The score that is explained.
    pub score: f32,
    pub layer: String,
    pub method: &'static str,
    /// The hottest pixel of the picture: x, y.
    pub peak: [u32; 2],
    pub warnings: Vec<String>,
}

impl About {
    pub fn of(picture: &Picture, map: &OneMap) -> Self {
        Self {
            class: map.class,
            label: map.label.clone(),
            probability: map.probability,
            score: map.score,
            layer: map.layer.clone(),
            method: map.method,
            peak: picture.area.peak(&map.heat).into(),
            warnings: map.warnings.clone(),
        }
    }
}

impl From<About> for Map {
    /// Before any file is written.
    fn from(about: About) -> Self {
        Self { about, png: None, npy: None, raw: None, spread: None, boxes: None }
    }
}

impl Map {
    /// The same, all of it on one picture.
    pub fn on(mut self, picture: &Path) -> Self {
        self.png = Some(picture.into());
        if let Some(spread) = &mut self.spread {
            spread.png = Some(picture.into());
        }
        self
    }

    /// What is told of a map, before any file is written.
    pub fn of(picture: &Picture, map: &OneMap, painter: &Painter) -> Result<Self, Failure> {
        Ok(Self {
            spread: map.spread.as_ref().map(|spread| Spread::of(picture, spread)),
            boxes: painter.boxes(picture, map)?,
            ..About::of(picture, map).into()
        })
    }
}

/// A picture that could not be explained.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// The file.
    pub image: String,
    /// Of an array of several, which picture.
    #[serde(skip_serializing_if = "Part::is_all")]
    pub part: Part,
    /// Why.
    pub error: String,
}

/// Seconds of each part of a run; of several devices, those of all together.
#[derive(Debug, Default, Serialize)]
pub struct Seconds {
    /// Reading the weights.
    pub load: f64,
    /// Reading pictures and bringing them to the model.
    pub preprocess: f64,
    /// The forward pass.
    pub forward: f64,
    /// What the maps take beside it.
    pub explain: f64,
    /// Painting and writing files.
    pub write: f64,
}

impl std::ops::AddAssign for Seconds {
    fn add_assign(&mut self, more: Self) {
        self.load += more.load;
        self.preprocess += more.preprocess;
        self.forward += more.forward;
        self.explain += more.explain;
        self.write += more.write;
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { load, preprocess, forward, explain, write } = self;
        write!(
            f,
            "seconds: load {load:.2}, preprocess {preprocess:.2}, forward {forward:.2}, explain {explain:.2}, write {write:.2}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_in_a_file_comes_out_as_it_went_in() {
        let mut spool = Spool::default();
        let values: Vec<String> = (0..3).map(|digit| digit.to_string().repeat(IN_MEMORY / 2)).collect();
        values.iter().for_each(|value| spool.add(value).unwrap());
        assert!(spool.0.is_rolled());
        let mut out = b"[".to_vec();
        spool.copy_to(&mut out).unwrap();
        out.push(b']');
        assert_eq!(serde_json::from_slice::<Vec<String>>(&out).unwrap(), values);
    }
}
