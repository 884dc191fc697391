//! What warnings are made from.

use crate::engine::read::{Reading, floats};
use crate::post::outliers;
use crate::{Error, Warning};
use burn::Tensor;
use burn::tensor::TensorData;

/// The numbers of a map that its warnings are made from.
pub(super) const NUMBERS: usize = 6;

/// Statistics of the maps of a batch, from which their warnings are made. They are on the device until they are read.
#[derive(Clone)]
pub struct MapStats {
    /// `[batch, NUMBERS]`
    pub(super) numbers: Tensor<2>,
    channels: usize,
    /// The kept evidence, and the norms of the tokens and of those that the layer reads: `[2 or 3, batch, positions]`. `None` without tokens,
    /// and of maps that are put together from others.
    pub(super) tokens: Option<Tensor<3>>,
    /// The warnings that do not depend on numbers.
    known: Vec<Warning>,
}

impl MapStats {
    /// Collects the statistics of maps.
    ///
    /// # Shapes
    /// - raw, kept: `[batch, positions]`
    /// - activation: `[batch, channels, positions]`
    /// - scores: `[batch]`
    /// - norms: `[batch, positions]` each
    pub(crate) fn new(
        raw: &Tensor<2>,
        kept: &Tensor<2>,
        (activation, norms): (Tensor<3>, &[Tensor<2>]),
        scores: &Tensor<1>,
        is_probability: bool,
        known: Vec<Warning>,
    ) -> Self {
        let [_, channels, _] = activation.dims();
        let dead = dead_channels(activation);
        let finite = (raw.clone() * 0.0).sum_dim(1);
        let range = raw.clone().max_dim(1) - raw.clone().min_dim(1);
        let certainty = scores.clone().unsqueeze_dim(1) * f32::from(u8::from(is_probability));
        let nothing = range.zeros_like();
        let parts = vec![finite, range, kept.clone().max_abs_dim(1), dead, certainty, nothing];
        let numbers = Tensor::cat(parts, 1);
        let tokens = || Tensor::stack([std::slice::from_ref(kept), norms].concat(), 0);
        let tokens = (!norms.is_empty()).then(tokens);
        Self { numbers, channels, tokens, known }
    }

    /// Adds the share of the score that the evidence leaves out, `[batch]`, if a method states it.
    pub(crate) fn leaving_out(self, share: Option<Tensor<1>>) -> Self {
        let Some(share) = share else { return self };
        let numbers = Tensor::cat(vec![self.numbers.narrow(1, 0, NUMBERS - 1), share.unsqueeze_dim(1)], 1);
        Self { numbers, ..self }
    }

    /// Averages the statistics of several views of the same images: those of their mean map.
    ///
    /// # Panics
    /// If there are no views.
    pub fn mean<'a>(views: impl IntoIterator<Item = &'a Self>) -> Self {
        let views: Vec<&Self> = views.into_iter().collect();
        let channels = views.iter().map(|view| view.channels).max().unwrap_or(0);
        let all: Tensor<3> = Tensor::stack(views.iter().map(|view| view.numbers.clone()).collect(), 0);
        let numbers = all.mean_dim(0).squeeze_dim(0);
        Self { numbers, channels, tokens: None, known: known_of(&views) }
    }

    /// Averages the statistics over the batch: those of one map that is put together from the maps of the batch.
    pub fn batch_mean(self) -> Self {
        Self { numbers: self.numbers.mean_dim(0), tokens: None, ..self }
    }

    /// Joins the statistics of several images to those of a batch.
    ///
    /// # Panics
    /// If there are no images.
    pub fn join<'a>(images: impl IntoIterator<Item = &'a Self>) -> Self {
        let images: Vec<&Self> = images.into_iter().collect();
        let channels = images.iter().map(|image| image.channels).max().unwrap_or(0);
        let numbers = Tensor::cat(images.iter().map(|image| image.numbers.clone()).collect(), 0);
        Self { numbers, channels, tokens: None, known: known_of(&images) }
    }

    /// Adds what the warnings are made from to what is read.
    pub(super) fn add_to(&self, reading: Reading) -> Reading {
        let reading = reading.add(self.numbers.clone());
        match &self.tokens {
            Some(tokens) => reading.add(tokens.clone()),
            None => reading,
        }
    }

    /// Makes the warnings of each map from what was read.
    pub(super) fn warnings(
        &self,
        data: &mut impl Iterator<Item = TensorData>,
    ) -> Result<Vec<Vec<Warning>>, Error> {
        let numbers = floats(data)?;
        let outlying = self.outlying_tokens(data)?;
        let warnings = |(index, row): (usize, &[f32])| {
            let mut found = Warning::from_stats(row.try_into().expect("it has as many"), self.channels);
            found.extend(outlying.get(index).copied().flatten());
            found.extend(&self.known);
            found
        };
        Ok(numbers.chunks_exact(NUMBERS).enumerate().map(warnings).collect())
    }

    /// Makes the warning of outlying tokens of each map, if there are tokens.
    fn outlying_tokens(
        &self,
        data: &mut impl Iterator<Item = TensorData>,
    ) -> Result<Vec<Option<Warning>>, Error> {
        let Some(tokens) = &self.tokens else { return Ok(Vec::new()) };
        let [kinds, batch, positions] = tokens.dims();
        let numbers = floats(data)?;
        let row = |kind: usize, image: usize| &numbers[(kind * batch + image) * positions..][..positions];
        let warning = |image: usize| {
            let mut outlying = vec![false; positions];
            for norms in (1..kinds).map(|kind| outliers::outlying(row(kind, image))) {
                outlying.iter_mut().zip(norms).for_each(|(all, one)| *all |= one);
            }
            Warning::of_outlying_tokens(row(0, image), &outlying)
        };
        Ok((0..batch).map(warning).collect())
    }
}

/// Returns the warnings that do not depend on numbers, which all maps of one layer and target have.
fn known_of(stats: &[&MapStats]) -> Vec<Warning> {
    stats.first().map(|stats| stats.known.clone()).unwrap_or_default()
}

/// Counts the channels that are zero everywhere, `[batch, 1]`: those whose magnitudes sum to zero. Burn's CPU backend sums
/// several times as fast as it finds the largest.
///
/// # Shapes
/// - activation: `[batch, channels, positions]`
fn dead_channels(activation: Tensor<3>) -> Tensor<2> {
    activation.abs().sum_dim(2).equal_elem(0.0).float().sum_dim(1).squeeze_dim(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_channel_is_dead_if_it_is_zero_everywhere() {
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
        // The positions of a channel may be apart in memory, like those of tokens.
        let last = first.clone().swap_dims(1, 2).mul_scalar(1.0).swap_dims(1, 2);
        let both = Tensor::cat(vec![first.clone(), last.clone()], 0);
        for (activation, expected) in [(first, vec![2.0]), (last, vec![2.0]), (both, vec![2.0; 2])] {
            assert_eq!(dead_channels(activation).into_data().try_to_vec::<f32>().unwrap(), expected);
        }
    }
}
