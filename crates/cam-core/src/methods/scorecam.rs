use crate::engine::noise::uniform;
use crate::{Cost, Error, Evidence, LayerContext, Method, MethodInfo, Sampling, Scale, UniqueCopies};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::softmax;

/// Score-CAM: the weight of a channel is the score of the input seen through it as a mask.
///
/// $$ w = \mathrm{softmax}_k \thinspace y(X \circ s(\mathrm{Up}(A_k))) $$
///
/// with $s$ the scaling of an enlarged mask to 0..1. The paper subtracts the score of a baseline input, which the softmax over the
/// channels cancels. With [`channels`](Self::channels) it is Faster-Score-CAM.
///
/// Wang et al., *Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks*, CVPRW 2020, equations 6
/// to 9.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, Nchw, ScoreCam, Taps};
///
/// // The score: the mean of the first channel minus half of that of the second.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x);
///     let mean: Tensor<2> = x.mean_dims(&[2, 3]).flatten(1, 3);
///     mean.clone().narrow(1, 0, 1) - mean.narrow(1, 1, 1) * 0.5
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0]], [[2.0, 2.0]]]], &Device::flex());
/// let faster = ScoreCam { channels: Some(1), ..ScoreCam::PAPER };
/// let explanation: Explanation = Explainer::new(&model).layer("x").method(faster).explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert_eq!(raw, [4.0, 0.0]); // the first channel alone: the second is the same everywhere
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ScoreCam {
    /// How masks are enlarged: half-pixel centers as in the authors' code, or aligned corners as in pytorch-grad-cam.
    pub sampling: Sampling,
    /// Only so many channels of each image are tried, those that vary most over the positions (by their standard deviation);
    /// by default all.
    pub channels: Option<usize>,
}

impl ScoreCam {
    /// The settings of the paper.
    pub const PAPER: Self = Self { sampling: Sampling::HalfPixel, channels: None };
}

impl Method for ScoreCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("scorecam", "Score-CAM", "https://arxiv.org/abs/1910.01279")
            .masked_inputs()
            .cost(Cost::PerChannel(1))
    }

    fn with_channels(&self, channels: usize) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { channels: Some(channels), ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = tried(layer.activation(), self.channels);
            let copies = unique_masks(&activation).await?;
            let scores =
                layer.scores_of_masked(activation.clone(), &copies, self.sampling, &|masks, _| {
                    Scale::PerMap.apply(masks)
                })?;
            Ok(weighted(scores, activation))
        })
    }
}

/// Finds the channels that are one mask, because they are the same when scaled to 0..1: all that are zero everywhere, and all that are
/// positive at the same single position.
///
/// The key of a channel is two sums over its positions, weighted at random.
pub(super) async fn unique_masks(activation: &Tensor<3>) -> Result<UniqueCopies, Error> {
    let [batch, channels, positions] = activation.dims();
    let masks = Scale::PerMap.apply(activation.clone().reshape([batch * channels, positions]));
    let weights: Tensor<2> = uniform([2, positions], &[[0, 0], [1, 0]], &masks.device());
    let sum = |row| (masks.clone() * weights.clone().narrow(0, row, 1)).sum_dim(1);
    UniqueCopies::from_keys_async(Tensor::cat(vec![sum(0), sum(1)], 1).reshape([batch, channels, 2])).await
}

/// Computes the evidence of channels with these scores, `[batch, channels]`.
pub(super) fn weighted(scores: Tensor<2>, activation: Tensor<3>) -> Tensor<3> {
    softmax(scores, 1).unsqueeze_dim::<3>(2) * activation
}

/// Selects the `count` channels of each image that vary most over the positions; without a count, all as they are.
pub(super) fn tried(activation: Tensor<3>, count: Option<usize>) -> Tensor<3> {
    let Some(count) = count else { return activation };
    let spread = (activation.clone() - activation.clone().mean_dim(2)).square().mean_dim(2);
    highest(activation, spread, count)
}

/// Selects the `count` channels of each image of which these values, `[batch, channels, 1]`, are highest.
pub(super) fn highest(activation: Tensor<3>, values: Tensor<3>, count: usize) -> Tensor<3> {
    let [batch, channels, positions] = activation.dims();
    let count = count.clamp(1, channels);
    let ranking: Tensor<3, Int> = values.argsort_descending(1).narrow(1, 0, count);
    activation.gather(1, ranking.expand([batch, count, positions]))
}
