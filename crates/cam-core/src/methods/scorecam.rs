use crate::{Error, Method, Sampling, Scale, Seen};
use burn::Tensor;
use burn::tensor::activation::softmax;

/// Score-CAM: the weight of a channel is the score of the input seen through it.
///
/// $$ w = \mathrm{softmax}_k \, y(X \circ s(\mathrm{Up}(A_k))) $$
///
/// with $s$ the scaling of an enlarged mask to 0..1. The paper subtracts the score of a baseline input, which the softmax over the
/// channels cancels.
///
/// Wang et al., *Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks*, CVPRW 2020, equations 6
/// to 9.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScoreCam {
    /// How masks are enlarged: half-pixel centres as the authors' code has it, or aligned corners as pytorch-grad-cam.
    pub sampling: Sampling,
}

impl ScoreCam {
    /// The settings of the paper.
    pub const PAPER: Self = Self { sampling: Sampling::HalfPixel };
}

impl Method for ScoreCam {
    fn name(&self) -> &'static str {
        "scorecam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/1910.01279"
    }

    fn weights(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let [batch, channels, _] = seen.activation().dims();
        let scores =
            seen.scores_of_masked(seen.activation(), self.sampling, &|masks| Scale::PerMap.apply(masks))?;
        Ok(softmax(scores, 1).reshape([batch, channels, 1]))
    }
}
