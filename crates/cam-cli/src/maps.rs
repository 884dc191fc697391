//! Maps as numbers, read from the device.

use crate::failure::Failure;
use crate::picture::Picture;
use burn::Tensor;
use cam_core::{AttributionMaps, Explanation, MapNumbers};
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

    /// Its layer in the name of a file; of many that are fused the first and the last.
    pub fn layer_of_file(&self) -> String {
        match self.layer.split(" + ").collect::<Vec<_>>()[..] {
            [first, _, .., last] => format!("{first}+..+{last}"),
            ref few => few.join("+"),
        }
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

/// What was found in a batch, read from the device at once.
pub struct Batch<'a> {
    /// Row-major.
    pub logits: Vec<f32>,
    maps: &'a [AttributionMaps],
    numbers: Vec<MapNumbers>,
}

impl<'a> Batch<'a> {
    /// All of them in one read-back.
    pub fn read(found: &'a Explanation) -> Result<Self, cam_core::Error> {
        let (logits, numbers) = found.read()?;
        Ok(Self { logits, maps: &found.maps, numbers })
    }

    /// The maps of one image of the batch.
    pub fn of(&self, place: usize) -> Result<Vec<OneMap>, Failure> {
        self.maps.iter().zip(&self.numbers).map(|(maps, numbers)| one(maps, numbers, place)).collect()
    }
}

/// The map of the image at a place of the batch.
fn one(maps: &AttributionMaps, numbers: &MapNumbers, place: usize) -> Result<OneMap, Failure> {
    let ([_, height, width], [_, raw_height, raw_width]) = (maps.heatmap.dims(), maps.raw.dims());
    let of_image = |values: &[f32], length: usize| values[place * length..(place + 1) * length].to_vec();
    let map = |values: &Vec<f32>| heat_map(of_image(values, height * width), [height, width]);
    Ok(OneMap {
        method: maps.method,
        layer: maps.layer.clone(),
        target: maps.target,
        // Every target of the tool's is a class.
        class: numbers.classes.as_ref().map_or(0, |classes| classes[place]),
        label: String::new(),
        probability: 0.0,
        score: numbers.scores[place],
        heat: map(&numbers.heatmap)?,
        spread: numbers.std.as_ref().map(map).transpose()?,
        raw: of_image(&numbers.raw, raw_height * raw_width),
        raw_size: [raw_height, raw_width],
        warnings: numbers.warnings[place].iter().map(ToString::to_string).collect(),
    })
}

/// The maps of a tensor whose last two dimensions are height and width, read from the device.
pub fn heat_maps<const D: usize>(values: Tensor<D>) -> Result<Vec<HeatMap>, Failure> {
    let size = values.dims().last_chunk().copied().unwrap_or([1, 1]);
    let numbers: Vec<f32> = values.try_into_vec_as().map_err(cam_core::Error::from)?;
    let maps = numbers.chunks_exact(size.iter().product()).map(|values| heat_map(values.to_vec(), size));
    Ok(maps.collect::<Result<_, _>>()?)
}

fn heat_map(values: Vec<f32>, [height, width]: [usize; 2]) -> Result<HeatMap, cam_viz::Error> {
    HeatMap::new(width as u32, height as u32, values)
}
