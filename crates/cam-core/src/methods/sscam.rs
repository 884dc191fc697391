use super::scorecam::weighted;
use crate::noise::normal;
use crate::{Error, Method, Sampling, Scale, Seen};
use burn::Tensor;

/// SS-CAM: Score-CAM with the score of a channel averaged over noisy copies of its mask.
///
/// $$ w = \mathrm{softmax}_k \, \frac1N \sum_{i=1}^N y(X \circ (s(\mathrm{Up}(A_k)) + \mathcal N(0, \sigma^2))) $$
///
/// The noise of a channel depends on the seed and its number alone.
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
}

impl SsCam {
    /// The settings of the paper: 35 samples, deviation 2.
    pub const PAPER: Self = Self { samples: 35, sigma: 2.0, seed: 0 };
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
        let activation = seen.activation();
        let [batch, channels, _] = activation.dims();
        let samples = self.samples.max(1);
        let mut sum = Tensor::zeros([batch, channels], &activation.device());
        for sample in 0..samples {
            let noisy = |masks: Tensor<2>, range: std::ops::Range<usize>| {
                let ([_, places], device) = (masks.dims(), masks.device());
                let noise = |channel: usize| {
                    let stream = (sample * channels + channel) as u64;
                    normal([1, places], self.sigma, [self.seed, stream], &device)
                };
                Scale::PerMap.apply(masks) + Tensor::cat(range.map(noise).collect(), 0)
            };
            sum = sum + seen.scores_of_masked(activation.clone(), Sampling::HalfPixel, &noisy)?;
        }
        Ok(weighted(sum / samples as f32, activation))
    }
}
