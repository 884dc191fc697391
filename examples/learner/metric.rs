//! What does not depend on the network: a metric of burn-train that plays the pointing game, and draws a sheet of maps for each epoch.

use burn::tensor::TensorReadError;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_cam::draw::{Figure, RgbImage, Sheet};
use std::path::PathBuf;

/// A map over its image, what it explains, and whether its hottest pixel is on its object.
#[derive(Clone)]
pub struct Pointed {
    pub overlay: RgbImage,
    pub label: String,
    pub hit: bool,
}

/// The share of maps that point at their object, in percent. It writes the maps that it gets first in an epoch as `maps_EPOCH.png`.
#[derive(Clone)]
pub struct PointingGame {
    state: NumericMetricState,
    folder: PathBuf,
    figures: Vec<Figure>,
    epoch: usize,
}

/// Maps on a sheet.
const SHOWN: usize = 8;

impl PointingGame {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { state: NumericMetricState::default(), folder: folder.into(), figures: Vec::new(), epoch: 1 }
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(self.name()).unit("%").precision(1)
    }
}

impl Metric for PointingGame {
    type Input = Vec<Pointed>;

    fn update(&mut self, maps: &Vec<Pointed>, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let hits = maps.iter().filter(|map| map.hit).count();
        self.state.update(100.0 * hits as f64 / maps.len().max(1) as f64, maps.len());
        for map in maps.iter().take(SHOWN - self.figures.len()) {
            let mark = if map.hit { "on it" } else { "beside it" };
            self.figures.push(Figure::new(map.overlay.clone()).above(map.label.as_str()).below(mark));
        }
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        let sheet = Sheet::new(format!("Epoch {}", self.epoch)).row("", std::mem::take(&mut self.figures));
        if let Err(error) = sheet.save(self.folder.join(format!("maps_{}.png", self.epoch))) {
            eprintln!("no sheet: {error}");
        }
        self.epoch += 1;
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }

    fn name(&self) -> MetricName {
        MetricName::new("Pointing game".into())
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: Some("%".into()), higher_is_better: true }.into()
    }
}

impl Numeric for PointingGame {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}
