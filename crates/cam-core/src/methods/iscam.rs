use super::scorecam::{tried, unique_masks, weighted};
use crate::{Chunk, Cost, Evidence, LayerContext, Method, MethodInfo, Sampling, Scale};
use burn::Tensor;

/// IS-CAM: Score-CAM with the score of a channel integrated as its mask is faded in.
///
/// $$ w = \mathrm{softmax}\_k \thinspace \frac1N \sum\_{i=1}^N y(c_i\thinspace X \circ s(\mathrm{Up}(A_k))), \qquad c_i = \frac{i}{N} $$
///
/// Naidu et al., *IS-CAM: Integrated Score-CAM for axiomatic-based explanations*, 2020, section 3.
#[derive(Debug, Clone, Copy)]
pub struct IsCam {
    /// $N$
    pub steps: usize,
    /// How the mask is faded in.
    pub fading: Fading,
    /// Only so many channels of each image are tried, as in [`ScoreCam`](crate::ScoreCam); by default all.
    pub channels: Option<usize>,
}

/// How IS-CAM fades a mask in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fading {
    /// Evenly, $c_i = i / N$: the sum of an integral from nothing to the mask.
    Even,
    /// As in torch-cam, which adds the steps up, $c_i = \sum_{j \le i} j / N$, and ends beyond the mask.
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
    fn info(&self) -> MethodInfo {
        MethodInfo::new("iscam", "IS-CAM", "https://arxiv.org/abs/2010.03023")
            .masked_inputs()
            .cost(Cost::PerChannel(self.steps as u32))
    }

    fn with_channels(&self, channels: usize) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { channels: Some(channels), ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = tried(layer.activation(), self.channels);
            let [batch, channels, _] = activation.dims();
            let (steps, copies) = (self.steps.max(1), unique_masks(&activation).await?);
            let faded = |masks, _: &Chunk<'_>, step: usize| {
                let count = match self.fading {
                    Fading::Even => step + 1,
                    Fading::Accumulated => (step + 1) * (step + 2) / 2,
                };
                Scale::PerMap.apply(masks) * (count as f32 / steps as f32)
            };
            let scores = layer.scores_of_masked_steps(
                activation.clone(),
                &copies,
                Sampling::HalfPixel,
                steps,
                &faded,
            )?;
            let zeros = Tensor::zeros([batch, channels], &activation.device());
            let sum = scores.into_iter().fold(zeros, |sum, scores| sum + scores);
            Ok(weighted(sum / steps as f32, activation))
        })
    }
}
