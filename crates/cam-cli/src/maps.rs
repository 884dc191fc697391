//! Maps as numbers, read from the device.

use crate::failure::Failure;
use crate::picture::Picture;
use cam_core::{Explanation, MapNumbers, Maps};
use cam_viz::HeatMap;

/// One map of one picture.
#[derive(Clone)]
pub struct OneMap {
    pub method: &'static str,
    pub layer: String,
    /// Which of the targets.
    pub target: usize,
    pub class: usize,
    /// The name of the class.
    pub label: String,
    /// How sure the model is of the class.
    pub probability: f32,
    /// The score that is explained.
    pub score: f32,
    /// Of the size of the input.
    pub heat: HeatMap,
    /// How far the heat varies over several views, where that is asked for: its standard deviation.
    pub spread: Option<HeatMap>,
    /// Signed, unscaled, of the layer's resolution.
    pub raw: Vec<f32>,
    /// Height and width of the raw map.
    pub raw_size: [usize; 2],
    pub warnings: Vec<String>,
}

impl OneMap {
    /// Whether it is of the whole network, and not of a layer.
    pub fn is_of_whole(&self) -> bool {
        ["biases", "attention"].contains(&self.layer.as_str())
    }

    /// Where in its picture it is hottest, for a person.
    pub fn hottest(&self, picture: &Picture) -> String {
        let (x, y) = picture.area.peak(&self.heat);
        match self.heat.values().iter().all(|value| *value == 0.0) {
            true => "zero everywhere".into(),
            false => format!("hottest at {x}, {y}"),
        }
    }
}

/// The maps of a batch, read from the device.
pub struct Batch<'a>(Vec<Numbers<'a>>);

struct Numbers<'a> {
    maps: &'a Maps,
    heat: Vec<f32>,
    spread: Option<Vec<f32>>,
    raw: Vec<f32>,
    scores: Vec<f32>,
    classes: Vec<usize>,
    warnings: Vec<Vec<cam_core::Warning>>,
}

impl<'a> Batch<'a> {
    pub fn read(found: &'a Explanation) -> Result<Self, cam_core::Error> {
        Ok(Self(found.maps.iter().map(Numbers::read).collect::<Result<_, _>>()?))
    }

    /// The maps of one image of the batch.
    pub fn of(&self, place: usize) -> Result<Vec<OneMap>, Failure> {
        self.0.iter().map(|numbers| numbers.of(place)).collect()
    }
}

impl<'a> Numbers<'a> {
    fn read(maps: &'a Maps) -> Result<Self, cam_core::Error> {
        let MapNumbers { heat, spread, raw, scores, classes, warnings } = maps.read()?;
        Ok(Self { maps, heat, spread, raw, scores, classes: classes.unwrap_or_default(), warnings })
    }

    fn of(&self, place: usize) -> Result<OneMap, Failure> {
        let ([_, height, width], [_, raw_height, raw_width]) = (self.maps.heat.dims(), self.maps.raw.dims());
        let (many, few) = (height * width, raw_height * raw_width);
        let map = |values: &Vec<f32>| {
            HeatMap::new(width as u32, height as u32, &values[place * many..(place + 1) * many])
        };
        Ok(OneMap {
            method: self.maps.method,
            layer: self.maps.layer.clone(),
            target: self.maps.target,
            class: self.classes[place],
            label: String::new(),
            probability: 0.0,
            score: self.scores[place],
            heat: map(&self.heat)?,
            spread: self.spread.as_ref().map(map).transpose()?,
            raw: self.raw[place * few..(place + 1) * few].to_vec(),
            raw_size: [raw_height, raw_width],
            warnings: self.warnings[place].iter().map(ToString::to_string).collect(),
        })
    }
}
