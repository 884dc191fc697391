use super::scorecam::{tried, weighted};
use crate::noise::normal;
use crate::{Alike, Chunk, Error, Method, Sampling, Scale, Seen};
use burn::Tensor;

/// SS-CAM: Score-CAM with the score of a channel averaged over noisy copies of its mask.
///
/// $$ w = \mathrm{softmax}_k \, \frac1N \sum_{i=1}^N y(X \circ (s(\mathrm{Up}(A_k)) + \mathcal N(0, \sigma^2))) $$
///
/// The noise of a channel depends on the seed and its number among those tried alone.
///
/// Wang et al., *SS-CAM: Smoothed Score-CAM for Sharper Visual Feature Localization*, 2020, the variant with noise on the
/// activation.
#[derive(Debug, Clone, Copy)]
pub struct SsCam {
    /// $N$
    pub samples: usize,
    /// $\sigma$, of a mask that goes from 0 to 1.
    pub sigma: f64,
    /// Which noise is drawn.
    pub seed: u64,
    /// Only so many channels of each image are tried, as in [`ScoreCam`](crate::ScoreCam); all, where nothing is said.
    pub channels: Option<usize>,
}

impl SsCam {
    /// The settings of the paper: 35 samples, deviation 2.
    pub const PAPER: Self = Self { samples: 35, sigma: 2.0, seed: 0, channels: None };
}

impl Default for SsCam {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for SsCam {
    fn name(&self) -> &'static str {
        "sscam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/2006.14255"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let activation = tried(seen.activation(), self.channels);
        let [batch, channels, _] = activation.dims();
        // Channels that are alike have noise of their own.
        let (samples, alike) = (self.samples.max(1), Alike::none(batch, channels));
        let mut sum = Tensor::zeros([batch, channels], &activation.device());
        for sample in 0..samples {
            let noisy = |masks: Tensor<2>, chunk: &Chunk<'_>| {
                let stream = |&channel: &usize| [self.seed, (sample * channels + channel) as u64];
                let streams: Vec<_> = chunk.numbers().iter().map(stream).collect();
                let noise = normal(masks.dims(), self.sigma, &streams, &masks.device());
                Scale::PerMap.apply(masks) + noise
            };
            sum = sum + seen.scores_of_masked(activation.clone(), &alike, Sampling::HalfPixel, &noisy)?;
        }
        Ok(weighted(sum / samples as f32, activation))
    }
}
