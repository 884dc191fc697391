use crate::{Error, Method, Sampling, Scale, Seen};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::softmax;

/// Score-CAM: the weight of a channel is the score of the input seen through it.
///
/// $$ w = \mathrm{softmax}_k \, y(X \circ s(\mathrm{Up}(A_k))) $$
///
/// with $s$ the scaling of an enlarged mask to 0..1. The paper subtracts the score of a baseline input, which the softmax over the
/// channels cancels. With [`channels`](Self::channels) it is Faster-Score-CAM.
///
/// Wang et al., *Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks*, CVPRW 2020, equations 6
/// to 9.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScoreCam {
    /// How masks are enlarged: half-pixel centres as the authors' code has it, or aligned corners as pytorch-grad-cam.
    pub sampling: Sampling,
    /// Only so many channels of each image are tried, those that vary most over the places (by their standard deviation);
    /// all, where nothing is said.
    pub channels: Option<usize>,
}

impl ScoreCam {
    /// The settings of the paper.
    pub const PAPER: Self = Self { sampling: Sampling::HalfPixel, channels: None };
}

impl Method for ScoreCam {
    fn name(&self) -> &'static str {
        "scorecam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/1910.01279"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let activation = match self.channels {
            Some(count) => most_varied(seen.activation(), count),
            None => seen.activation(),
        };
        let scores =
            seen.scores_of_masked(activation.clone(), self.sampling, &|masks, _| Scale::PerMap.apply(masks))?;
        Ok(weighted(scores, activation))
    }
}

/// The evidence of channels with these scores, `[batch, channels]`.
pub(super) fn weighted(scores: Tensor<2>, activation: Tensor<3>) -> Tensor<3> {
    softmax(scores, 1).unsqueeze_dim::<3>(2) * activation
}

/// The `count` channels of each image that vary most over the places.
fn most_varied(activation: Tensor<3>, count: usize) -> Tensor<3> {
    let [batch, channels, positions] = activation.dims();
    let count = count.clamp(1, channels);
    let spread = (activation.clone() - activation.clone().mean_dim(2)).square().mean_dim(2);
    let ranking: Tensor<3, Int> = spread.argsort_descending(1).narrow(1, 0, count);
    activation.gather(1, ranking.expand([batch, count, positions]))
}
