use super::scorecam::{tried, weighted};
use crate::engine::noise::normal;
use crate::{Chunk, Cost, Evidence, LayerContext, Method, MethodInfo, Sampling, Scale, UniqueCopies};
use burn::Tensor;

/// SS-CAM: Score-CAM with the score of a channel averaged over noisy copies of its mask.
///
/// $$ w = \mathrm{softmax}\_k \thinspace \frac1N \sum\_{i=1}^N y(X \circ (s(\mathrm{Up}(A_k)) + \mathcal N(0, \sigma^2))) $$
///
/// The noise of a channel depends only on the seed and on its index among those tried.
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
    /// Only so many channels of each image are tried, as in [`ScoreCam`](crate::ScoreCam); by default all.
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
    fn info(&self) -> MethodInfo {
        MethodInfo::new("sscam", "SS-CAM", "https://arxiv.org/abs/2006.14255")
            .masked_inputs()
            .cost(Cost::PerChannel(self.samples as u32))
    }

    fn with_channels(&self, channels: usize) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { channels: Some(channels), ..*self }))
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { seed, ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = tried(layer.activation(), self.channels);
            let [batch, channels, _] = activation.dims();
            // Identical channels have different noise.
            let (samples, copies) = (self.samples.max(1), UniqueCopies::none(batch, channels));
            let noisy = |masks: Tensor<2>, chunk: &Chunk<'_>, sample: usize| {
                let stream = |&channel: &usize| [self.seed, (sample * channels + channel) as u64];
                let streams: Vec<_> = chunk.indices().iter().map(stream).collect();
                let noise = normal(masks.dims(), self.sigma, &streams, &masks.device());
                Scale::PerMap.apply(masks) + noise
            };
            let scores = layer.scores_of_masked_steps(
                activation.clone(),
                &copies,
                Sampling::HalfPixel,
                samples,
                &noisy,
            )?;
            let zeros = Tensor::zeros([batch, channels], &activation.device());
            let sum = scores.into_iter().fold(zeros, |sum, scores| sum + scores);
            Ok(weighted(sum / samples as f32, activation))
        })
    }
}
