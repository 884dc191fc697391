use crate::{Chunk, Cost, Error, Evidence, LayerContext, Method, MethodInfo, UniqueCopies};
use burn::Tensor;
use burn::tensor::Int;

/// Ablation-CAM: the weight of a channel is the share of the score that is lost without it.
///
/// $$ w_k = \frac{y - y_k}{|y|} $$
///
/// with $y_k$ the score with channel $k$ replaced. Only the part of the network after the layer is run again, and once for
/// all channels that already equal their replacement, like the dead ones after a ReLU. $y$ is the score of a copy in which nothing
/// is replaced, computed with the others: one channel of thousands changes the score by little more than
/// rounding does, and the rounding that they have in common cancels. The paper divides by $y$, which inverts the map if the
/// score is negative; the magnitude does not.
///
/// Desai and Ramaswamy, *Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization*,
/// WACV 2020, equation 2.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Ablated, AblationCam, Class, Explain, Explainer, Explanation, Nchw, Taps};
///
/// // The score: the mean of the first channel minus half of that of the second.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x);
///     let mean: Tensor<2> = x.mean_dims(&[2, 3]).flatten(1, 3);
///     mean.clone().narrow(1, 0, 1) - mean.narrow(1, 1, 1) * 0.5
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0]], [[2.0, 2.0]]]], &Device::flex());
/// let by_the_mean = AblationCam { ablated: Ablated::Mean };
/// let explainer = Explainer::new(&model).layer("x").method(AblationCam::PAPER).method(by_the_mean);
/// let explanation: Explanation = explainer.explain(image, &Class(0))?;
/// let raw = |map: usize| explanation.maps[map].raw.to_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(raw(0), [6.0, -2.0]); // the score 1 falls by 2 without the first channel, and rises by 1 without the second
/// assert_eq!(raw(1), [0.0, 0.0]); // this score does not depend on where a channel is strong
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AblationCam {
    /// What an ablated channel is replaced with.
    pub ablated: Ablated,
}

/// What an ablated channel is replaced with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ablated {
    /// Zero, as in the paper.
    Zero,
    /// Its mean over the positions: the channel loses where it is strong, but not how strong it is.
    Mean,
    /// Its lowest value over the positions.
    Min,
    /// A number.
    Value(f32),
}

impl AblationCam {
    /// The settings of the paper.
    pub const PAPER: Self = Self { ablated: Ablated::Zero };
}

impl Default for AblationCam {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for AblationCam {
    fn info(&self) -> MethodInfo {
        const PAPER: &str = "https://openaccess.thecvf.com/content_WACV_2020/html/Desai_Ablation-CAM_Visual_Explanations_for_Deep_Convolutional_Network_via_Gradient-free_Localization_WACV_2020_paper.html";
        MethodInfo::new("ablationcam", "Ablation-CAM", PAPER).replay().cost(Cost::PerChannel(1))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(self.lost_shares(layer))
    }
}

impl AblationCam {
    async fn lost_shares(&self, layer: &LayerContext<'_>) -> Result<Tensor<3>, Error> {
        let activation = layer.activation();
        let [batch, channels, _] = activation.dims();
        let is_unchanged =
            (activation.clone() - self.ablated.replacement(&activation)).abs().max_dim(2).equal_elem(0.0);
        let channel = Tensor::<1, Int>::arange(0..channels as i64, &activation.device()).float();
        let keys =
            channel.reshape([1, channels, 1]).expand([batch, channels, 1]).mask_fill(is_unchanged, -1.0);
        let whole = keys.clone().narrow(1, 0, 1).full_like(-1.0);
        let copies = UniqueCopies::from_keys_async(Tensor::cat(vec![keys, whole], 1)).await?;
        let scores = layer.scores_of_edited(&copies, &|activation, chunk| {
            let channel = one_hot(chunk, channels);
            let kept = activation.clone() * (channel.clone().neg() + 1.0);
            match self.ablated {
                Ablated::Zero => kept,
                _ => kept + channel * self.ablated.replacement(&activation.narrow(0, 0, 1)),
            }
        })?;
        let (without, score) = (scores.clone().narrow(1, 0, channels), scores.narrow(1, channels, 1));
        let lost = (score.clone() - without) / score.abs().clamp_min(f32::MIN_POSITIVE);
        Ok(lost.reshape([batch, channels, 1]) * activation)
    }
}

impl Ablated {
    /// Returns what each channel of an activation is replaced with: `[batch, channels, 1]`.
    fn replacement(self, activation: &Tensor<3>) -> Tensor<3> {
        let constant = |value| activation.clone().narrow(2, 0, 1).full_like(value);
        match self {
            Ablated::Zero => constant(0.0),
            Ablated::Mean => activation.clone().mean_dim(2),
            Ablated::Min => activation.clone().min_dim(2),
            Ablated::Value(value) => constant(value),
        }
    }
}

/// For each copy, 1 at the channel of its index and 0 elsewhere: `[copies, channels, 1]`.
fn one_hot(chunk: &Chunk<'_>, channels: usize) -> Tensor<3> {
    let (copies, indices) = (chunk.indices().len(), chunk.indices_tensor());
    let channel = Tensor::<1, Int>::arange(0..channels as i64, &indices.device()).reshape([1, channels]);
    let indices = indices.reshape([copies, 1]).expand([copies, channels]);
    channel.expand([copies, channels]).equal(indices).float().reshape([copies, channels, 1])
}
