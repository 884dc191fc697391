use crate::method::Evidence;
use crate::read::now;
use crate::{Alike, Chunk, Error, Method, Seen};
use burn::Tensor;
use burn::tensor::Int;

/// Ablation-CAM: the weight of a channel is the share of the score that is lost without it.
///
/// $$ w_k = \frac{y - y_k}{|y|} $$
///
/// with $y_k$ the score when channel $k$ is replaced. Only the part of the network after the layer is run again, and once for
/// all channels that hold their replacement already, as the dead ones behind a ReLU do. $y$ is the score of a copy in which nothing
/// is replaced and which goes the same way as the others: one channel of thousands changes the score by little more than
/// rounding does, and what rounding has in common cancels. The paper divides by $y$, which turns the map inside out where the
/// score is negative; the magnitude does not.
///
/// Desai and Ramaswamy, *Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization*,
/// WACV 2020, equation 2.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Ablated, AblationCam, Class, Explainer, Explanation, Nchw, Taps};
///
/// // The score: the mean of the first channel less half of that of the second.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x);
///     let mean: Tensor<2> = x.mean_dims(&[2, 3]).flatten(1, 3);
///     mean.clone().narrow(1, 0, 1) - mean.narrow(1, 1, 1) * 0.5
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0]], [[2.0, 2.0]]]], &Device::flex());
/// let forgetting_places = AblationCam { ablated: Ablated::Mean };
/// let explainer = Explainer::new(&model).layer("x").method(AblationCam::PAPER).method(forgetting_places);
/// let found: Explanation = explainer.explain(image, &Class(0))?;
/// let raw = |map: usize| found.maps[map].raw.to_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(raw(0), [6.0, -2.0]); // of a score of 1, 2 is lost without the first channel, and 1 won without the second
/// assert_eq!(raw(1), [0.0, 0.0]); // this score does not ask where a channel is strong
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
    /// Zero, as the paper has it.
    Zero,
    /// Its mean over the positions: its place is forgotten, its strength is kept.
    Mean,
    /// Its least value over the positions.
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
    fn name(&self) -> &'static str {
        "ablationcam"
    }

    fn paper(&self) -> &'static str {
        "https://openaccess.thecvf.com/content_WACV_2020/html/Desai_Ablation-CAM_Visual_Explanations_for_Deep_Convolutional_Network_via_Gradient-free_Localization_WACV_2020_paper.html"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        now(self.evidence_async(seen))
    }

    fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
        Box::pin(self.lost(seen))
    }
}

impl AblationCam {
    async fn lost(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let activation = seen.activation();
        let [batch, channels, _] = activation.dims();
        let unchanged = (activation.clone() - self.ablated.of(&activation)).abs().max_dim(2).equal_elem(0.0);
        let each = Tensor::<1, Int>::arange(0..channels as i64, &activation.device()).float();
        let labels = each.reshape([1, channels, 1]).expand([batch, channels, 1]).mask_fill(unchanged, -1.0);
        let whole = labels.clone().narrow(1, 0, 1).full_like(-1.0);
        let alike = Alike::labeled_async(Tensor::cat(vec![labels, whole], 1)).await?;
        let scores = seen.scores_of_edited(&alike, &|activation, chunk| {
            let channel = one_hot(chunk, channels);
            let kept = activation.clone() * (channel.clone().neg() + 1.0);
            match self.ablated {
                Ablated::Zero => kept,
                _ => kept + channel * self.ablated.of(&activation.narrow(0, 0, 1)),
            }
        })?;
        let (without, score) = (scores.clone().narrow(1, 0, channels), scores.narrow(1, channels, 1));
        let lost = (score.clone() - without) / score.abs().clamp_min(f32::MIN_POSITIVE);
        Ok(lost.reshape([batch, channels, 1]) * activation)
    }
}

impl Ablated {
    /// What each channel of an activation is replaced with: `[batch, channels, 1]`.
    fn of(self, activation: &Tensor<3>) -> Tensor<3> {
        let constant = |value| activation.clone().narrow(2, 0, 1).full_like(value);
        match self {
            Ablated::Zero => constant(0.0),
            Ablated::Mean => activation.clone().mean_dim(2),
            Ablated::Min => activation.clone().min_dim(2),
            Ablated::Value(value) => constant(value),
        }
    }
}

/// For each copy the channel of its number: 1 there, 0 beside it. `[copies, channels, 1]`
fn one_hot(chunk: &Chunk<'_>, channels: usize) -> Tensor<3> {
    let (copies, numbers) = (chunk.numbers().len(), chunk.places());
    let each = Tensor::<1, Int>::arange(0..channels as i64, &numbers.device()).reshape([1, channels]);
    let numbers = numbers.reshape([copies, 1]).expand([copies, channels]);
    let same = each.expand([copies, channels]).equal(numbers);
    same.float().reshape([copies, channels, 1])
}
