//! The JSON reports of `cam explain`.

use crate::report::console::Console;
use crate::report::failure::Failure;
use crate::report::json_path::JsonPath;
use crate::report::painter::Painter;
use crate::report::provenance::Provenance;
use crate::run::images::Part;
use burn_cam::{Area, HeatMap, ImageMap, Place, Prediction, Timings};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Seek, Write};
use std::path::Path;
use tempfile::SpooledTempFile;

/// How a run is reported.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Json {
    /// One object of the whole run, at its end
    Object,
    /// One line per image, as soon as it is done
    Lines,
}

/// The whole run, as one object. What grows with the number of images does not wait in memory.
#[derive(Default)]
pub struct Report {
    /// One [`Line`] for each image.
    images: Spool,
}

impl Report {
    /// Adds an image.
    pub fn add(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        self.images.add(line)
    }

    /// Prints it, with what made it and where the time went.
    pub fn print(&mut self, run: &Provenance, seconds: &Seconds, console: &Console) -> Result<(), Failure> {
        console.write(|out| {
            write!(out, "{{\n  \"images\": [")?;
            self.images.copy_to(out)?;
            writeln!(out, "\n  ],\n  \"run\": {},\n  \"seconds\": {}\n}}", json(run), json(seconds))
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

/// One image: a line of `--json=lines`, and an entry of the one object.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// The file.
    pub image: &'a JsonPath,
    /// Which image of the file; of an array with several.
    #[serde(skip_serializing_if = "Part::is_all")]
    pub part: Part,
    /// The sha256 of the file; of one that failed there is none.
    pub sha256: Option<&'a str>,
    /// Its most confident predictions.
    pub predictions: &'a [Prediction],
    pub maps: &'a [MapReport],
    /// Why there are none.
    pub error: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Returns the line of an image that failed.
    pub fn failed(FailedImage { image, part, error }: &'a FailedImage) -> Self {
        Self { image, part: *part, sha256: None, predictions: &[], maps: &[], error: Some(error) }
    }

    /// Returns the line.
    pub fn text(&self) -> String {
        json(self)
    }
}

/// One map.
#[derive(Debug, Clone, Serialize)]
pub struct MapReport {
    #[serde(flatten)]
    pub subject: MapSubject,
    /// The overlay, or with `--sheet` the sheet; a PNG by default.
    pub png: Option<JsonPath>,
    /// The numbers, with `--npy`.
    pub npy: Option<JsonPath>,
    /// The raw numbers, with `--raw`.
    pub raw: Option<JsonPath>,
    /// With `--show-std` the standard deviation of the map over the views.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<StdReport>,
    /// With `--overlay box` the boxes, the largest first: left, top, width, height in pixels of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<Vec<[u32; 4]>>,
}

/// The standard deviation of a map over the views of its image.
#[derive(Debug, Clone, Serialize)]
pub struct StdReport {
    /// The largest standard deviation.
    pub max: f32,
    /// Where that is, as a pixel of the image: x, y.
    pub peak: [u32; 2],
    /// The image of it, or with `--sheet` the sheet.
    pub png: Option<JsonPath>,
    /// The numbers, with `--npy`.
    pub npy: Option<JsonPath>,
}

impl StdReport {
    /// Returns the report of a standard deviation over this area of the image, before any file is written.
    pub fn new(area: Area, std: &HeatMap) -> Self {
        Self { max: std.peak().2, peak: area.peak(std).into(), png: None, npy: None }
    }
}

/// What a map is of.
#[derive(Debug, Clone, Serialize)]
pub struct MapSubject {
    /// The number of the class; of a target that is no class there is none.
    pub class: Option<usize>,
    pub label: String,
    /// How confident the model is of the class.
    pub probability: Option<f32>,
    /// The score that is explained.
    pub score: f32,
    /// The box that is explained: left, top, width, height in pixels of the image.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f32; 4]>,
    pub layer: String,
    pub method: &'static str,
    /// The hottest pixel of the image: x, y.
    pub peak: [u32; 2],
    /// The sha256 of the values of the map, 32-bit floats with the lowest byte first, row by row.
    pub digest: String,
    pub warnings: Vec<String>,
}

/// Returns the sha256 of the values of a map.
pub fn digest(map: &HeatMap) -> String {
    let bytes: Vec<u8> = map.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    burn_cam::sha256(&bytes[..]).expect("memory can be read")
}

impl From<&ImageMap> for MapSubject {
    fn from(map: &ImageMap) -> Self {
        Self {
            class: map.class,
            label: map.label.clone(),
            probability: map.probability,
            score: map.score,
            bounds: map.bounds.map(|bounds| Place { bounds, row: None }.area()),
            layer: map.layer.clone(),
            method: map.method.name,
            peak: map.peak().into(),
            digest: digest(&map.heatmap),
            warnings: map.warnings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<MapSubject> for MapReport {
    /// Returns the report before any file is written.
    fn from(subject: MapSubject) -> Self {
        Self { subject, png: None, npy: None, raw: None, std: None, boxes: None }
    }
}

impl MapReport {
    /// Returns the report of a map, before any file is written.
    pub fn new(map: &ImageMap, painter: &Painter) -> Result<Self, Failure> {
        Ok(Self { boxes: painter.boxes(map)?, ..MapSubject::from(map).into() })
    }

    /// Adds the standard deviation of the map.
    pub fn with_std(self, map: &ImageMap) -> Self {
        Self { std: map.std.as_ref().map(|std| StdReport::new(map.area, std)), ..self }
    }

    /// Returns the report of a map that is drawn in this file, with all that belongs to it.
    pub fn drawn_in(mut self, file: &Path) -> Self {
        self.png = Some(file.into());
        if let Some(std) = &mut self.std {
            std.png = Some(file.into());
        }
        self
    }
}

/// An image that could not be explained.
#[derive(Debug, Serialize)]
pub struct FailedImage {
    /// The file.
    pub image: JsonPath,
    /// Which image of the file; of an array with several.
    #[serde(skip_serializing_if = "Part::is_all")]
    pub part: Part,
    /// Why.
    pub error: String,
}

/// The seconds of each part of a run; of several devices, those of all together.
#[derive(Debug, Default, Serialize)]
pub struct Seconds {
    /// Opening the model.
    pub load: f64,
    /// Reading images and preprocessing them.
    pub preprocess: f64,
    /// The forward pass.
    pub forward: f64,
    /// The maps, beside the forward pass.
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

impl std::ops::AddAssign<Timings> for Seconds {
    fn add_assign(&mut self, more: Timings) {
        self.preprocess += more.preprocess.as_secs_f64();
        self.forward += more.forward.as_secs_f64();
        self.explain += more.explain.as_secs_f64();
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
