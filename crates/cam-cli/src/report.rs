//! What `cam explain` tells, as one JSON object.

use serde::Serialize;
use std::path::PathBuf;

/// The whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Where it ran.
    pub device: String,
    /// One entry a picture, in the order of the command line.
    pub predictions: Vec<Predictions>,
    /// One entry for each picture, target, layer and method.
    pub maps: Vec<Map>,
    /// Where the time went.
    pub seconds: Seconds,
}

/// What the model makes of one picture.
#[derive(Debug, Serialize)]
pub struct Predictions {
    /// The file.
    pub image: String,
    /// Its likeliest classes.
    pub top: Vec<Guess>,
}

/// A class and how sure the model is.
#[derive(Debug, Serialize)]
pub struct Guess {
    pub class: usize,
    pub label: String,
    pub logit: f32,
    pub probability: f32,
}

/// One map.
#[derive(Debug, Serialize)]
pub struct Map {
    /// The file of the picture.
    pub image: String,
    /// Which of the predictions it belongs to.
    pub index: usize,
    pub class: usize,
    pub label: String,
    /// The score that is explained.
    pub score: f32,
    pub layer: String,
    pub method: &'static str,
    /// The overlay.
    pub png: PathBuf,
    /// The numbers, with `--npy`.
    pub npy: Option<PathBuf>,
    /// The raw numbers, with `--raw`.
    pub raw: Option<PathBuf>,
    /// The hottest pixel of the picture: x, y.
    pub peak: [u32; 2],
    pub warnings: Vec<String>,
}

/// Seconds of each part of a run.
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
