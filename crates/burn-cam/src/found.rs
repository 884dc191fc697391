//! What was found in a photo, on the host and ready to be kept: it knows its photo, class, layer and method.

use crate::{Area, ColorMap, Error, HeatMap, Overlay, Photo, Prediction, Warning};
use burn::Tensor;
use cam_core::{AttributionMaps, Explanation, MapNumbers};
use image::RgbImage;
use serde::Serialize;
use std::path::Path;

/// What was found in one photo. It serializes, with all numbers of the maps.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// use burn_cam::PhotoExplainer;
///
/// # let model = Classifier::builtin(&Device::flex())?;
/// # let photo = cam_scenes::Scene::draw(7, 200)?.picture;
/// let found = PhotoExplainer::new(&model).class("clock")?.explain(&photo)?;
/// let json = serde_json::to_value(&found)?;
/// assert_eq!(json["maps"][0]["label"], "clock");
/// assert_eq!(json["maps"][0]["heat"]["width"], 128);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// What the photo is called.
    pub image: Option<String>,
    /// The likeliest classes, the likeliest first.
    pub predictions: Vec<Prediction>,
    /// One map for each target, layer and method, in this order.
    pub maps: Vec<PhotoMap>,
}

/// The map of one photo for one target, layer and method.
///
/// Serialized it has all but the pixels of the photo.
#[derive(Debug, Clone, Serialize)]
pub struct PhotoMap {
    /// What the photo is called.
    pub image: Option<String>,
    /// The number of the class, where the target is one.
    pub class: Option<usize>,
    /// The name of the class; `score` where the target is none.
    pub label: String,
    /// The score that is explained.
    pub score: f32,
    /// The layer.
    pub layer: String,
    /// The method.
    pub method: &'static str,
    /// The map at the resolution of the network's input: rectified, resized, scaled.
    pub heat: HeatMap,
    /// The signed evidence at the resolution of the layer, unscaled.
    pub raw: HeatMap,
    /// How far the heat varies over the views, where there are several: its standard deviation.
    pub spread: Option<HeatMap>,
    /// The part of the photo that the network saw, in pixels of the photo.
    pub area: Area,
    /// What a reader of the map should know.
    pub warnings: Vec<Warning>,
    /// The photo.
    #[serde(skip)]
    pub photo: Photo,
}

impl PhotoMap {
    /// The map over the photo, at the photo's resolution, as [`Overlay`] draws it where nothing is said; a signed map in red and
    /// blue.
    ///
    /// # Errors
    /// Those of [`Overlay::draw`]; none that a user can cause.
    pub fn overlay(&self) -> Result<RgbImage, Error> {
        self.paint(|overlay| overlay)
    }

    /// The map over the photo, drawn as one likes.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::ColorMap;
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let photo = cam_scenes::Scene::draw(7, 200)?.picture;
    /// let map = burn_cam::explain(&model, &photo)?;
    /// let picture = map.paint(|overlay| overlay.colors(ColorMap::Inferno).alpha(0.7))?;
    /// assert_eq!(picture.dimensions(), (200, 200));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Overlay::draw`].
    pub fn paint(&self, style: impl for<'a> FnOnce(Overlay<'a>) -> Overlay<'a>) -> Result<RgbImage, Error> {
        let signed = self.heat.values().iter().any(|value| *value < 0.0);
        let colors = if signed { ColorMap::RedBlue } else { ColorMap::default() };
        let overlay = Overlay::new(self.photo.pixels()).area(self.area).colors(colors);
        Ok(style(overlay).draw(&self.heat)?)
    }

    /// Writes [`overlay`](Self::overlay) as a PNG, JPEG or WebP file, whole or not at all.
    ///
    /// # Errors
    /// [`cam_viz::Error::UnknownFormat`] and [`cam_viz::Error::Write`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Ok(cam_viz::save(&self.overlay()?, path)?)
    }

    /// The hottest pixel of the photo: x, y.
    pub fn peak(&self) -> (u32, u32) {
        self.area.peak(&self.heat)
    }
}

/// The maps of a batch, read from the device.
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

/// The maps of a batch of photos, a photo at a time, from the numbers that were read.
pub(crate) fn of_photos(
    found: &Explanation,
    numbers: &[MapNumbers],
    photos: &[Photo],
    areas: &[Area],
    labels: &[String],
) -> Result<Vec<Vec<PhotoMap>>, Error> {
    let maps = || found.maps.iter().zip(numbers);
    let of_photo = |(place, (photo, area)): (usize, (&Photo, &Area))| {
        maps().map(|(maps, numbers)| one(maps, numbers, place, photo, *area, labels)).collect()
    };
    photos.iter().zip(areas).enumerate().map(of_photo).collect()
}

/// The map of the photo at a place of the batch.
fn one(
    maps: &AttributionMaps,
    numbers: &MapNumbers,
    place: usize,
    photo: &Photo,
    area: Area,
    labels: &[String],
) -> Result<PhotoMap, Error> {
    let map = |[_, height, width]: [usize; 3], values: &[f32]| {
        let length = height * width;
        HeatMap::new(width as u32, height as u32, &values[place * length..(place + 1) * length])
    };
    let class = numbers.classes.as_ref().map(|classes| classes[place]);
    let named = |class: usize| labels.get(class).cloned().unwrap_or_else(|| class.to_string());
    let spread = numbers.std.as_ref().map(|std| map(maps.heatmap.dims(), std));
    Ok(PhotoMap {
        image: photo.name().map(String::from),
        class,
        label: class.map_or_else(|| "score".into(), named),
        score: numbers.scores[place],
        layer: maps.layer.clone(),
        method: maps.method,
        heat: map(maps.heatmap.dims(), &numbers.heatmap)?,
        raw: map(maps.raw.dims(), &numbers.raw)?,
        spread: spread.transpose()?,
        area,
        warnings: numbers.warnings[place].clone(),
        photo: photo.clone(),
    })
}
