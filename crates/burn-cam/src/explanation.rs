//! The explanation of an image, on the host: its predictions and its maps, each of which knows its image, class, layer and method.

use crate::input::Shown;
use crate::{
    Area, ColorMap, Error, HeatMap, ImageInput, Mask, MethodInfo, Overlay, Place, Prediction, Reads, Warning,
};
use burn::Tensor;
use cam_core::{AttributionMaps, INPUT, MapNumbers};
use image::RgbImage;
use serde::{Serialize, Serializer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a model predicts for an image, and where it looked. It serializes, with all numbers of the maps.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// use burn_cam::ImageExplainer;
///
/// # let model = Classifier::builtin(&Device::flex())?;
/// # let image = cam_scenes::Scene::draw(7, 200)?.image;
/// let found = ImageExplainer::new(&model).class("clock")?.explain(&image)?;
/// let json = serde_json::to_value(&found)?;
/// assert_eq!(json["maps"][0]["label"], "clock");
/// assert_eq!(json["maps"][0]["heatmap"]["width"], 128);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(bound = "")]
#[non_exhaustive]
pub struct ImageExplanation<O = Tensor<2>> {
    /// The name of the image.
    pub image: Option<String>,
    /// What the model predicts, the most confident first.
    pub predictions: Vec<Prediction<O>>,
    /// One map for each target, layer and method, in this order; maps of the whole network come after those of layers.
    pub maps: Vec<ImageMap>,
    /// Where the time went.
    pub timings: Timings,
}

/// The time that an image took: its share of the time of its batch. It serializes as seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Timings {
    /// Bringing the image to the model.
    #[serde(serialize_with = "seconds")]
    pub preprocess: Duration,
    /// The forward pass.
    #[serde(serialize_with = "seconds")]
    pub forward: Duration,
    /// The maps, beside the forward pass.
    #[serde(serialize_with = "seconds")]
    pub explain: Duration,
    /// What was run of the network, in forward passes of the image: see [`Explanation::passes`](crate::Explanation::passes).
    pub passes: f64,
}

/// The map of an image for one target, layer and method.
///
/// Serialized it has everything but the pixels of the image.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ImageMap {
    /// The name of the image.
    pub image: Option<String>,
    /// The place of its target among the targets.
    pub target: usize,
    /// The number of the class; `None` when the target is not a class.
    pub class: Option<usize>,
    /// The name of the class; when the target is not a class its name, or `score`.
    pub label: String,
    /// How confident the model is of the class; `None` when the target is not a class.
    pub probability: Option<f32>,
    /// The score that is explained.
    pub score: f32,
    /// The box of what is explained, in pixels of the image: left, top, right, bottom; `None` when it has no place. It serializes as left,
    /// top, width, height.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none", serialize_with = "as_area")]
    pub bounds: Option<[f32; 4]>,
    /// The region that is explained, one value for each pixel of the image; `None` when it has none.
    #[serde(skip)]
    pub mask: Option<Arc<Mask>>,
    /// The layer; `biases` or `attention` of methods that read the whole network.
    pub layer: String,
    /// The method. It serializes as its name.
    #[serde(serialize_with = "name_of_method")]
    pub method: MethodInfo,
    /// The map at the resolution of the input, of the part of it that shows the image: rectified, resized, scaled.
    pub heatmap: HeatMap,
    /// The signed evidence at the resolution of the layer, unscaled.
    pub raw: HeatMap,
    /// The standard deviation of the heat map over several views of the image; `None` when there was one view.
    pub std: Option<HeatMap>,
    /// The part of the image that the model saw, in pixels of the image.
    pub area: Area,
    /// What a reader of the map should know.
    pub warnings: Vec<Warning>,
    /// The image.
    #[serde(skip)]
    pub source: ImageInput,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn as_area<S: Serializer>(bounds: &Option<[f32; 4]>, serializer: S) -> Result<S::Ok, S::Error> {
    bounds.map(|bounds| Place { bounds, row: None }.area()).serialize(serializer)
}

fn name_of_method<S: Serializer>(method: &MethodInfo, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.name)
}

impl ImageMap {
    /// Returns the map over its image, at the resolution of the image, with the default settings of [`Overlay`]; signed maps are
    /// drawn in red and blue. Small images are drawn enlarged, see [`enlarged`](cam_viz::enlarged).
    ///
    /// # Errors
    /// Those of [`Overlay::draw`]; none that a user can cause.
    pub fn overlay(&self) -> Result<RgbImage, Error> {
        self.paint(|overlay| overlay)
    }

    /// Returns the map over its image, drawn as `style` says.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::ColorMap;
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let image = cam_scenes::Scene::draw(7, 200)?.image;
    /// let map = burn_cam::explain(&model, &image)?;
    /// let drawn = map.paint(|overlay| overlay.colors(ColorMap::Inferno).alpha(0.7))?;
    /// assert_eq!(drawn.dimensions(), (200, 200));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Overlay::draw`].
    pub fn paint(&self, style: impl for<'a> FnOnce(Overlay<'a>) -> Overlay<'a>) -> Result<RgbImage, Error> {
        let signed = self.heatmap.values().iter().any(|value| *value < 0.0);
        let colors = if signed { ColorMap::RedBlue } else { ColorMap::default() };
        let (photo, factor) = cam_viz::enlarged(self.source.pixels());
        let overlay = Overlay::new(&photo).area(self.area.times(factor)).colors(colors);
        let mut drawn = style(overlay).draw(&self.heatmap.saturated(self.last_color()))?;
        let color = cam_viz::class_color(self.class.unwrap_or_default());
        match (&self.mask, self.bounds) {
            (Some(mask), _) => cam_viz::outline(&mut drawn, &enlarged(mask, factor), color)?,
            (None, Some(bounds)) => {
                cam_viz::draw_box(&mut drawn, bounds.map(|edge| edge * factor as f32), color, "");
            }
            (None, None) => {}
        }
        Ok(drawn)
    }

    /// Writes [`overlay`](Self::overlay) as a PNG, JPEG or WebP file, whole or not at all.
    ///
    /// # Errors
    /// [`cam_viz::Error::UnknownFormat`] and [`cam_viz::Error::Write`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(cam_viz::save(&self.overlay()?, path)?)
    }

    /// Returns the value that is drawn in the last color, as are larger ones: 1, but in a map of single pixels the 99.5th percentile.
    pub fn last_color(&self) -> f32 {
        let high = if self.layer == INPUT { self.heatmap.high_abs() } else { 1.0 };
        if high > 0.0 { high } else { 1.0 }
    }

    /// Returns the hottest pixel of the image: x, y.
    pub fn peak(&self) -> (u32, u32) {
        self.area.peak(&self.heatmap)
    }

    /// Returns whether the map is zero everywhere: there is no evidence of the sign that is shown.
    pub fn is_blank(&self) -> bool {
        self.heatmap.values().iter().all(|value| *value == 0.0)
    }

    /// Returns whether the map is of the whole network, and not of one layer.
    pub fn is_of_network(&self) -> bool {
        matches!(self.method.reads, Reads::Biases | Reads::Attention)
    }
}

/// Returns a mask of an image that is drawn enlarged by this factor.
fn enlarged(mask: &Mask, factor: u32) -> Vec<bool> {
    let factor = factor as usize;
    let rows = (0..mask.height * factor).map(|y| y / factor);
    rows.flat_map(|y| (0..mask.width * factor).map(move |x| mask.inside[y * mask.width + x / factor]))
        .collect()
}

/// Mixes a color into a region.
fn tint(image: &mut RgbImage, inside: &[bool], color: cam_viz::Rgb<u8>) {
    for (pixel, _) in image.pixels_mut().zip(inside).filter(|(_, inside)| **inside) {
        for (channel, part) in pixel.0.iter_mut().zip(color.0) {
            *channel = u16::midpoint(u16::from(*channel), u16::from(part)) as u8;
        }
    }
}

/// Returns an image with the boxes or regions of its predictions and their names, each in the color of its class. Small images are drawn enlarged.
pub fn draw_predictions<O>(image: &ImageInput, predictions: &[Prediction<O>]) -> RgbImage {
    let (photo, factor) = cam_viz::enlarged(image.pixels());
    let mut drawn = photo.into_owned();
    // The most confident last, on top of the others.
    for prediction in predictions.iter().rev() {
        let color = cam_viz::class_color(prediction.class);
        if let Some(mask) = &prediction.mask {
            tint(&mut drawn, &enlarged(mask, factor), color);
        } else if let Some(place) = &prediction.place {
            let name = format!("{} {:.0} %", prediction.label, 100.0 * prediction.probability);
            cam_viz::draw_box(&mut drawn, place.bounds.map(|edge| edge * factor as f32), color, &name);
        }
    }
    drawn
}

/// Reads the maps of a batch from the device.
///
/// # Shapes
/// - maps: `[batch, height, width]`
///
/// ```
/// use burn::prelude::*;
///
/// let maps = Tensor::from_floats([[[0.0, 1.0]], [[0.5, 0.0]]], &Device::flex());
/// let heat = burn_cam::heat_maps(&maps)?;
/// assert_eq!(heat[1].values(), [0.5, 0.0]);
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// # Errors
/// [`cam_core::Error::Device`] when the numbers cannot be read, and [`cam_viz::Error::NotFinite`].
pub fn heat_maps(maps: &Tensor<3>) -> Result<Vec<HeatMap>, Error> {
    let [_, height, width] = maps.dims();
    let values: Vec<f32> = maps.try_to_vec_as().map_err(cam_core::Error::from)?;
    let map = |values: &[f32]| Ok(HeatMap::new(width as u32, height as u32, values)?);
    values.chunks_exact(height * width).map(map).collect()
}

/// The maps of a batch, read from the device.
pub(crate) struct BatchMaps<'a> {
    pub maps: &'a [AttributionMaps],
    pub numbers: &'a [MapNumbers],
}

impl BatchMaps<'_> {
    /// Returns the maps of the image at a place of the batch. Each is completed by `name`, which gets its class.
    pub fn of_image(
        &self,
        place: usize,
        image: &ImageInput,
        shown: Shown,
        name: impl Fn(usize) -> (String, Option<f32>),
    ) -> Result<Vec<ImageMap>, Error> {
        let maps = self.maps.iter().zip(self.numbers).map(|(maps, numbers)| {
            let map = |[_, height, width]: [usize; 3], values: &[f32]| {
                let length = height * width;
                HeatMap::new(width as u32, height as u32, &values[place * length..(place + 1) * length])
            };
            let class = numbers.classes.as_ref().map(|classes| classes[place]);
            let unnamed = || (maps.name.clone().unwrap_or_else(|| "score".into()), None);
            let (label, probability) = class.map_or_else(unnamed, &name);
            let std = numbers.std.as_ref().map(|std| map(maps.heatmap.dims(), std));
            Ok(ImageMap {
                image: image.name().map(String::from),
                target: maps.target,
                class,
                label,
                probability,
                score: numbers.scores[place],
                bounds: None,
                mask: None,
                layer: maps.layer.clone(),
                method: maps.method,
                heatmap: shown.crop(map(maps.heatmap.dims(), &numbers.heatmap)?)?,
                raw: map(maps.raw.dims(), &numbers.raw)?,
                std: std.transpose()?.map(|std| shown.crop(std)).transpose()?,
                area: shown.area,
                warnings: numbers.warnings[place].clone(),
                source: image.clone(),
            })
        });
        maps.collect()
    }
}
