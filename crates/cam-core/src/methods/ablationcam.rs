use crate::{Error, Method, Seen};
use burn::Tensor;

/// Ablation-CAM: the weight of a channel is the share of the score that is lost without it.
///
/// $$ w_k = \frac{y - y_k}{|y|} $$
///
/// with $y_k$ the score when channel $k$ is replaced. Only the part of the network after the layer is run again. The paper
/// divides by $y$, which turns the map inside out where the score is negative; the magnitude does not.
///
/// Desai and Ramaswamy, *Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization*,
/// WACV 2020, equation 2.
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
        let [batch, channels, _] = seen.activation().dims();
        let score = seen.score()?.reshape([batch, 1]);
        let without = seen.scores_of_edited(channels, &|activation, range| {
            let copies = range.len();
            let channel = Tensor::<2>::eye(channels, &activation.device()).slice([range, 0..channels]);
            let channel = channel.reshape([copies, channels, 1]);
            let kept = activation.clone() * (channel.clone().neg() + 1.0);
            match self.ablated {
                Ablated::Zero => kept,
                Ablated::Mean => kept + channel * activation.mean_dim(2),
                Ablated::Min => kept + channel * activation.min_dim(2),
                Ablated::Value(value) => kept + channel * value,
            }
        })?;
        let lost = (score.clone() - without) / score.abs().clamp_min(f32::MIN_POSITIVE);
        Ok(lost.reshape([batch, channels, 1]) * seen.activation())
    }
}
