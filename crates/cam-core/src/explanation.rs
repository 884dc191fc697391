//! What an explainer gives back: the output of the model and the maps over its inputs.

use crate::read::{Reading, floats, now};
use crate::{Error, Input, Warning};
use burn::Tensor;
use burn::tensor::{Int, TensorData};
use std::time::Duration;

/// The output of the model and the maps over its inputs; all of it is on the device until it is read.
pub struct Explanation<T = Tensor<3>, O = Tensor<2>> {
    /// The output of the model for the batch.
    pub output: O,
    /// The time that the forward pass took; on a device that computes in the background, the time to queue it.
    pub forward: Duration,
    /// What was run of the network, in forward passes of the batch: 1 for the plain one; a replay of the part after a layer counts
    /// with its share of the layers, and a backward walk as the forward pass that it goes back. Looking for a layer
    /// where none is named is not counted.
    pub passes: f64,
    /// One entry for each target, layer and method, in this order.
    pub maps: Vec<Maps<T>>,
}

/// The maps of a batch for one target, layer and method.
pub struct Maps<T = Tensor<3>> {
    /// The layer; of methods that look at the whole network `biases` or `attention`, of fused maps all layers.
    pub layer: String,
    /// The method.
    pub method: &'static str,
    /// Which of the targets.
    pub target: usize,
    /// The class of each image, where the target is a class: `[batch]`.
    pub classes: Option<Tensor<1, Int>>,
    /// The score that is explained, of each image: `[batch]`.
    pub scores: Tensor<1>,
    /// The signed evidence at the resolution of the layer, unscaled: `[batch, height, width]`. Of fused maps the fused values at
    /// the resolution of the input, before they are scaled.
    pub raw: T,
    /// The map at the resolution of the input: rectified, resized, scaled. `[batch, height, width]`.
    pub heat: T,
    /// The standard deviation of the heat over the views of a [`Smooth`](crate::Smooth) explainer: `[batch, height, width]`.
    pub spread: Option<T>,
    health: Health,
}

impl<T> Maps<T> {
    /// What a reader of each map should know; empty where there is nothing to say.
    ///
    /// # Errors
    /// [`Error::Device`] when the numbers cannot be read.
    pub fn warnings(&self) -> Result<Vec<Vec<Warning>>, Error> {
        now(self.warnings_async())
    }

    /// As [`warnings`](Self::warnings), without blocking.
    ///
    /// # Errors
    /// As [`warnings`](Self::warnings).
    pub async fn warnings_async(&self) -> Result<Vec<Vec<Warning>>, Error> {
        let mut read = Reading::default().add(self.health.numbers.clone()).read().await?;
        self.health.warnings(&mut read)
    }
}

/// The numbers of [`Maps`] on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct MapNumbers {
    /// The class of each image, where the target is a class.
    pub classes: Option<Vec<usize>>,
    /// The score of each image.
    pub scores: Vec<f32>,
    /// As [`Maps::raw`].
    pub raw: Vec<f32>,
    /// As [`Maps::heat`].
    pub heat: Vec<f32>,
    /// As [`Maps::spread`].
    pub spread: Option<Vec<f32>>,
    /// What a reader of each map should know; empty where there is nothing to say.
    pub warnings: Vec<Vec<Warning>>,
}

impl<const D: usize> Maps<Tensor<D>> {
    /// All numbers in one read-back.
    ///
    /// # Errors
    /// [`Error::Device`] when the numbers cannot be read.
    pub fn read(&self) -> Result<MapNumbers, Error> {
        now(self.read_async())
    }

    /// As [`read`](Self::read), without blocking.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async(&self) -> Result<MapNumbers, Error> {
        self.unpacked(&mut self.added(Reading::default()).read().await?)
    }

    fn added(&self, mut reading: Reading) -> Reading {
        if let Some(classes) = &self.classes {
            reading = reading.add(classes.clone());
        }
        if let Some(spread) = &self.spread {
            reading = reading.add(spread.clone());
        }
        let reading = reading.add(self.scores.clone()).add(self.raw.clone());
        reading.add(self.heat.clone()).add(self.health.numbers.clone())
    }

    fn unpacked(&self, read: &mut impl Iterator<Item = TensorData>) -> Result<MapNumbers, Error> {
        let classes = self.classes.as_ref().and_then(|_| read.next());
        Ok(MapNumbers {
            classes: classes.map(|data| data.iter::<i64>().map(|class| class as usize).collect()),
            spread: self.spread.as_ref().map(|_| floats(read)).transpose()?,
            scores: floats(read)?,
            raw: floats(read)?,
            heat: floats(read)?,
            warnings: self.health.warnings(read)?,
        })
    }
}

impl<const D: usize, const E: usize> Explanation<Tensor<D>, Tensor<E>> {
    /// The output of the model, row-major, and the numbers of all maps, in one read-back.
    ///
    /// # Errors
    /// [`Error::Device`] when the numbers cannot be read.
    pub fn read(&self) -> Result<(Vec<f32>, Vec<MapNumbers>), Error> {
        now(self.read_async())
    }

    /// As [`read`](Self::read), without blocking.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async(&self) -> Result<(Vec<f32>, Vec<MapNumbers>), Error> {
        self.unpacked(self.reading().read().await?)
    }

    fn reading(&self) -> Reading {
        let output = Reading::default().add(self.output.clone().inner());
        self.maps.iter().fold(output, |reading, maps| maps.added(reading))
    }

    fn unpacked(
        &self,
        mut read: impl Iterator<Item = TensorData>,
    ) -> Result<(Vec<f32>, Vec<MapNumbers>), Error> {
        let output = floats(&mut read)?;
        let maps = self.maps.iter().map(|maps| maps.unpacked(&mut read));
        Ok((output, maps.collect::<Result<_, _>>()?))
    }
}

/// The maps of a batch, whatever the rank of the input.
#[derive(Clone)]
pub(crate) struct Flat {
    pub layer: String,
    pub method: &'static str,
    pub target: usize,
    pub classes: Option<Tensor<1, Int>>,
    pub scores: Tensor<1>,
    /// `[batch, positions of raw_grid]`
    pub raw: Tensor<2>,
    pub raw_grid: Vec<usize>,
    /// `[batch, positions of the input]`
    pub heat: Tensor<2>,
    /// `[batch, positions of the input]`
    pub spread: Option<Tensor<2>>,
    pub health: Health,
}

impl Flat {
    pub fn maps<I: Input>(self, grid: &[usize]) -> Maps<I::Map> {
        Maps {
            layer: self.layer,
            method: self.method,
            target: self.target,
            classes: self.classes,
            scores: self.scores,
            raw: I::to_map(self.raw, &self.raw_grid),
            heat: I::to_map(self.heat, grid),
            spread: self.spread.map(|spread| I::to_map(spread, grid)),
            health: self.health,
        }
    }
}

/// What warnings are made of, on the device until it is read: `[batch, 5]`.
#[derive(Clone)]
pub(crate) struct Health {
    numbers: Tensor<2>,
    channels: usize,
}

impl Health {
    /// # Shapes
    /// - raw, kept: `[batch, positions]`
    /// - activation: `[batch, channels, positions]`
    /// - scores: `[batch]`
    pub fn of(
        raw: &Tensor<2>,
        kept: &Tensor<2>,
        activation: Tensor<3>,
        scores: &Tensor<1>,
        probability: bool,
    ) -> Self {
        let [_, channels, _] = activation.dims();
        let dead = silent(activation);
        let finite = (raw.clone() * 0.0).sum_dim(1);
        let range = raw.clone().max_dim(1) - raw.clone().min_dim(1);
        let certainty = scores.clone().unsqueeze_dim(1) * f32::from(u8::from(probability));
        let numbers = Tensor::cat(vec![finite, range, kept.clone().max_abs_dim(1), dead, certainty], 1);
        Self { numbers, channels }
    }

    /// That of a mean map.
    pub fn mean<'a>(views: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let channels = views.clone().map(|view| view.channels).max().unwrap_or(0);
        let all: Tensor<3> = Tensor::stack(views.map(|view| view.numbers.clone()).collect(), 0);
        Self { numbers: all.mean_dim(0).squeeze_dim(0), channels }
    }

    /// That of a map put together from those of the batch.
    pub fn mean_row(self) -> Self {
        Self { numbers: self.numbers.mean_dim(0), ..self }
    }

    /// Those of several images, as a batch.
    pub fn batch<'a>(images: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let channels = images.clone().map(|image| image.channels).max().unwrap_or(0);
        Self { numbers: Tensor::cat(images.map(|image| image.numbers.clone()).collect(), 0), channels }
    }

    fn warnings(&self, read: &mut impl Iterator<Item = TensorData>) -> Result<Vec<Vec<Warning>>, Error> {
        let numbers = floats(read)?;
        let warnings = |row: &[f32]| Warning::of([row[0], row[1], row[2], row[3], row[4]], self.channels);
        Ok(numbers.chunks_exact(5).map(warnings).collect())
    }
}

/// How many channels are zero everywhere: those whose magnitudes sum to zero. Burn's CPU backend sums
/// several times as fast as it looks for the largest.
///
/// # Shapes
/// - activation: `[batch, channels, positions]`
/// - output: `[batch, 1]`
fn silent(activation: Tensor<3>) -> Tensor<2> {
    activation.abs().sum_dim(2).equal_elem(0.0).float().sum_dim(1).squeeze_dim(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_channel_is_silent_where_nothing_of_it_is_left() {
        let tiny = f32::MIN_POSITIVE;
        let channels = [
            [0.0, -0.0, 0.0],
            [1.0, -1.0, 0.0],
            [0.0, 0.0, tiny],
            [-1.0, 2.0, -1.0],
            [f32::NAN, 0.0, 0.0],
            [0.0; 3],
        ];
        let first = Tensor::<2>::from_floats(channels, &Device::flex()).unsqueeze::<3>();
        // The places of a channel may lie apart, as those of tokens do.
        let last = first.clone().swap_dims(1, 2).mul_scalar(1.0).swap_dims(1, 2);
        let both = Tensor::cat(vec![first.clone(), last.clone()], 0);
        for (activation, expected) in [(first, vec![2.0]), (last, vec![2.0]), (both, vec![2.0; 2])] {
            assert_eq!(silent(activation).into_data().try_to_vec::<f32>().unwrap(), expected);
        }
    }
}
