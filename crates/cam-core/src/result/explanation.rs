//! The output of a model and the maps over its inputs.

use super::MapStats;
use crate::engine::read::{Reading, floats};
use crate::{Error, MethodInfo, Warning, block_on};
use burn::Tensor;
use burn::tensor::{Int, TensorData};
use std::time::Duration;

/// The output of the model and the maps over its inputs; all of it is on the device until it is read.
#[non_exhaustive]
pub struct Explanation<T = Tensor<3>, O = Tensor<2>> {
    /// The output of the model for the batch.
    pub output: O,
    /// The time that the forward pass took; on a device that computes in the background, the time to queue it.
    pub forward: Duration,
    /// What was run of the network, in forward passes of the batch: 1 for the plain one; a replay of the part after a layer counts
    /// with its share of the layers, and a backward pass like the forward pass that it goes back. The search for a layer
    /// if none is named is not counted.
    pub passes: f64,
    /// One entry for each target, layer and method, in this order.
    pub maps: Vec<AttributionMaps<T>>,
}

/// The maps of a batch for one target, layer and method.
#[non_exhaustive]
pub struct AttributionMaps<T = Tensor<3>> {
    /// The layer; of methods that read the whole network `biases`, `attention` or `input`, of fused maps all layers.
    pub layer: String,
    /// What the method is called, what it needs, and its paper.
    pub method: MethodInfo,
    /// The index of the target.
    pub target: usize,
    /// The class of each image, if the target is a class: `[batch]`.
    pub classes: Option<Tensor<1, Int>>,
    /// What the target is called, if it is no class and has a name.
    pub name: Option<String>,
    /// The score that is explained, of each image: `[batch]`.
    pub scores: Tensor<1>,
    /// The signed evidence at the resolution of the layer, unscaled: `[batch, height, width]`. Of fused maps the fused values at
    /// the resolution of the input, before they are scaled.
    pub raw: T,
    /// The map at the resolution of the input: rectified, resized, scaled. `[batch, height, width]`.
    pub heatmap: T,
    /// The standard deviation of the heatmap over the views of [`Smooth`](crate::Smooth): `[batch, height, width]`.
    pub std: Option<T>,
    pub(super) stats: MapStats,
}

impl<T> AttributionMaps<T> {
    /// Returns what a reader of each map should know; empty if there is nothing to report.
    ///
    /// # Errors
    /// [`Error::Device`] if the numbers cannot be read.
    pub fn warnings(&self) -> Result<Vec<Vec<Warning>>, Error> {
        block_on(self.warnings_async())
    }

    /// Like [`warnings`](Self::warnings), without blocking.
    ///
    /// # Errors
    /// Those of [`warnings`](Self::warnings).
    pub async fn warnings_async(&self) -> Result<Vec<Vec<Warning>>, Error> {
        let mut data = self.stats.add_to(Reading::default()).read().await?;
        self.stats.warnings(&mut data)
    }
}

/// The numbers of [`AttributionMaps`] on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MapNumbers {
    /// The class of each image, if the target is a class.
    pub classes: Option<Vec<usize>>,
    /// The score of each image.
    pub scores: Vec<f32>,
    /// As [`AttributionMaps::raw`].
    pub raw: Vec<f32>,
    /// As [`AttributionMaps::heatmap`].
    pub heatmap: Vec<f32>,
    /// As [`AttributionMaps::std`].
    pub std: Option<Vec<f32>>,
    /// What a reader of each map should know; empty if there is nothing to report.
    pub warnings: Vec<Vec<Warning>>,
}

impl<const D: usize> AttributionMaps<Tensor<D>> {
    /// Reads all numbers at once.
    ///
    /// # Errors
    /// [`Error::Device`] if the numbers cannot be read.
    pub fn read(&self) -> Result<MapNumbers, Error> {
        block_on(self.read_async())
    }

    /// Like [`read`](Self::read), without blocking.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub async fn read_async(&self) -> Result<MapNumbers, Error> {
        self.take_numbers(&mut self.add_to(Reading::default()).read().await?)
    }

    fn add_to(&self, mut reading: Reading) -> Reading {
        if let Some(classes) = &self.classes {
            reading = reading.add(classes.clone());
        }
        if let Some(std) = &self.std {
            reading = reading.add(std.clone());
        }
        let reading = reading.add(self.scores.clone()).add(self.raw.clone());
        self.stats.add_to(reading.add(self.heatmap.clone()))
    }

    fn take_numbers(&self, data: &mut impl Iterator<Item = TensorData>) -> Result<MapNumbers, Error> {
        let classes = self.classes.as_ref().and_then(|_| data.next());
        Ok(MapNumbers {
            classes: classes.map(|data| data.iter::<i64>().map(|class| class as usize).collect()),
            std: self.std.as_ref().map(|_| floats(data)).transpose()?,
            scores: floats(data)?,
            raw: floats(data)?,
            heatmap: floats(data)?,
            warnings: self.stats.warnings(data)?,
        })
    }
}

impl<const D: usize, O> Explanation<Tensor<D>, O> {
    /// Reads these parts of the output, row-major, and the numbers of all maps, in one transfer. The parts need not be on the device of the
    /// maps.
    ///
    /// # Errors
    /// [`Error::Device`] if the numbers cannot be read.
    pub async fn read_with_async<const E: usize>(
        &self,
        parts: Vec<Tensor<E>>,
    ) -> Result<(Vec<Vec<f32>>, Vec<MapNumbers>), Error> {
        let count = parts.len();
        let reading = parts.into_iter().fold(Reading::default(), |reading, part| reading.add(part.inner()));
        let reading = self.maps.iter().fold(reading, |reading, maps| maps.add_to(reading));
        let mut data = reading.read().await?;
        let parts = (0..count).map(|_| floats(&mut data)).collect::<Result<_, _>>()?;
        let maps = self.maps.iter().map(|maps| maps.take_numbers(&mut data));
        Ok((parts, maps.collect::<Result<_, _>>()?))
    }
}

impl<const D: usize, const E: usize> Explanation<Tensor<D>, Tensor<E>> {
    /// Reads the output of the model, row-major, and the numbers of all maps at once.
    ///
    /// # Errors
    /// [`Error::Device`] if the numbers cannot be read.
    pub fn read(&self) -> Result<(Vec<f32>, Vec<MapNumbers>), Error> {
        block_on(self.read_async())
    }

    /// Like [`read`](Self::read), without blocking.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub async fn read_async(&self) -> Result<(Vec<f32>, Vec<MapNumbers>), Error> {
        let (mut parts, maps) = self.read_with_async(vec![self.output.clone()]).await?;
        Ok((parts.pop().unwrap_or_default(), maps))
    }
}
