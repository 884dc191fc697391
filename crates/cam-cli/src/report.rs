//! What `cam explain` tells, as one JSON object.

use cam_models::Prediction;
use serde::Serialize;
use std::path::PathBuf;

/// The whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Where it ran; of several devices, with commas between.
    pub device: String,
    /// One entry a picture, in the order of the command line.
    pub predictions: Vec<Predictions>,
    /// One entry for each picture, target, layer and method.
    pub maps: Vec<MapOf>,
    /// The pictures that could not be explained.
    pub failures: Vec<Failed>,
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
#[derive(Debug, Clone, Serialize)]
pub struct Guess {
    pub class: usize,
    pub label: String,
    pub logit: f32,
    pub probability: f32,
}

impl From<Prediction> for Guess {
    fn from(Prediction { class, label, logit, probability }: Prediction) -> Self {
        Self { class, label, logit, probability }
    }
}

/// A map of one of the pictures.
#[derive(Debug, Serialize)]
pub struct MapOf {
    /// The file of the picture.
    pub image: String,
    /// Which of the predictions it belongs to.
    pub index: usize,
    #[serde(flatten)]
    pub map: Map,
}

/// One map.
#[derive(Debug, Clone, Serialize)]
pub struct Map {
    pub class: usize,
    pub label: String,
    /// How sure the model is of the class.
    pub probability: f32,
    /// The score that is explained.
    pub score: f32,
    pub layer: String,
    pub method: &'static str,
    /// The overlay, or with `--sheet` the sheet.
    pub png: Option<PathBuf>,
    /// The numbers, with `--npy`.
    pub npy: Option<PathBuf>,
    /// The raw numbers, with `--raw`.
    pub raw: Option<PathBuf>,
    /// The hottest pixel of the picture: x, y.
    pub peak: [u32; 2],
    /// With `--overlay box` the boxes, the largest first: left, top, width, height in pixels of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<Vec<[u32; 4]>>,
    pub warnings: Vec<String>,
}

/// A picture that could not be explained.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// The file.
    pub image: String,
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
