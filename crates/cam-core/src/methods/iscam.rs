use super::scorecam::{alike, tried, weighted};
use crate::method::Evidence;
use crate::read::now;
use crate::{Chunk, Error, Method, Sampling, Scale, Seen};
use burn::Tensor;

/// IS-CAM: Score-CAM with the score of a channel integrated as its mask is faded in.
///
/// $$ w = \mathrm{softmax}_k \, \frac1N \sum_{i=1}^N y(c_i\, X \circ s(\mathrm{Up}(A_k))), \qquad c_i = \frac{i}{N} $$
///
/// Naidu et al., *IS-CAM: Integrated Score-CAM for axiomatic-based explanations*, 2020, section 3.
#[derive(Debug, Clone, Copy)]
pub struct IsCam {
    /// $N$
    pub steps: usize,
    /// How the mask is faded in.
    pub fading: Fading,
    /// Only so many channels of each image are tried, as in [`ScoreCam`](crate::ScoreCam); all, where nothing is said.
    pub channels: Option<usize>,
}

/// How IS-CAM fades a mask in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fading {
    /// Evenly, $c_i = i / N$: the sum of an integral from nothing to the mask.
    Even,
    /// As torch-cam, which adds the steps up, $c_i = \sum_{j \le i} j / N$, and ends beyond the mask.
    Accumulated,
}

impl IsCam {
    /// The settings of the paper: 10 steps.
    pub const PAPER: Self = Self { steps: 10, fading: Fading::Even, channels: None };
}

impl Default for IsCam {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for IsCam {
    fn name(&self) -> &'static str {
        "iscam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/2010.03023"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        now(self.evidence_async(seen))
    }

    fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = tried(seen.activation(), self.channels);
            let [batch, channels, _] = activation.dims();
            let (steps, alike) = (self.steps.max(1), alike(&activation).await?);
            let mut sum = Tensor::zeros([batch, channels], &activation.device());
            for step in 1..=steps {
                let count = match self.fading {
                    Fading::Even => step,
                    Fading::Accumulated => step * (step + 1) / 2,
                };
                let share = count as f32 / steps as f32;
                let faded = |masks, _: &Chunk<'_>| Scale::PerMap.apply(masks) * share;
                sum = sum + seen.scores_of_masked(activation.clone(), &alike, Sampling::HalfPixel, &faded)?;
            }
            Ok(weighted(sum / steps as f32, activation))
        })
    }
}
