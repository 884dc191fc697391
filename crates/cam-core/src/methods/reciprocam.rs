use crate::engine::upload;
use crate::{Chunk, Cost, Evidence, LayerContext, Method, MethodInfo, UniqueCopies};
use burn::Tensor;
use burn::tensor::Device;

/// Recipro-CAM and ViT-Recipro-CAM: the evidence of a place is the score of the features of this place alone.
///
/// $$ L_p = y(A \odot M_p) - \min_q y(A \odot M_q) $$
///
/// with $M_p$ a mask of the positions that is one at $p$ and zero elsewhere, or a Gaussian of 3 x 3 positions around it. Only the part of
/// the network after the layer is run, once for each position and for all targets together. Tokens of no place, like the class token, stay as
/// they are. The papers scale the scores from their lowest to their highest, whatever their sign; so that rectifying leaves them, the lowest
/// is zero here. They take probabilities, which [`Softmax`](crate::Softmax) asks for.
///
/// In the last block of a vision transformer with a class token the shortcut around the norm does not change the score, so that at the output
/// of its first norm the map is that of the whole block's input, masked behind its norm.
///
/// Byun and Lee, *Recipro-CAM: Fast gradient-free visual explanations for convolutional neural networks*, 2022, section 3.2; *ViT-ReciproCAM:
/// Gradient and Attention-Free Visual Explanations for Vision Transformer*, 2023, section 3.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, Nchw, ReciproCam, Taps};
///
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("x", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0], [8.0, -4.0]]]], &Device::flex());
/// let explainer = Explainer::new(&model).layer("x").method(ReciproCam::PAPER);
/// let explanation: Explanation = explainer.explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert_eq!(raw, [2.0, 1.0, 3.0, 0.0]); // a quarter of each, from the lowest
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReciproCam {
    /// What is left of the features around a place.
    pub kept: Kept,
}

/// What is left of the features around a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    /// The place alone.
    #[default]
    Place,
    /// The place and its neighbors along each axis, by the weights 1/4, 1/2, 1/4: in two dimensions a Gaussian of 3 x 3.
    Gaussian,
}

impl ReciproCam {
    /// Recipro-CAM: each place alone.
    pub const PAPER: Self = Self { kept: Kept::Place };
    /// ViT-Recipro-CAM: each place under a Gaussian.
    pub const VIT: Self = Self { kept: Kept::Gaussian };
}

impl Kept {
    /// Returns what is left at a distance along one axis.
    fn weight(self, distance: usize) -> f32 {
        match (self, distance) {
            (Self::Place, 0) => 1.0,
            (Self::Gaussian, 0) => 0.5,
            (Self::Gaussian, 1) => 0.25,
            _ => 0.0,
        }
    }

    /// Returns the masks of these places, `[places, positions]`.
    fn masks(self, places: &[usize], grid: &[usize], device: &Device) -> Tensor<2> {
        let positions: usize = grid.iter().product();
        let weight = |mut place: usize, mut other: usize| {
            let mut weight = 1.0;
            for size in grid.iter().rev() {
                weight *= self.weight((place % size).abs_diff(other % size));
                (place, other) = (place / size, other / size);
            }
            weight
        };
        let masks = places.iter().flat_map(|&place| (0..positions).map(move |other| weight(place, other)));
        upload::floats(masks.collect(), [places.len(), positions], device)
    }
}

impl Method for ReciproCam {
    fn info(&self) -> MethodInfo {
        let info = match self.kept {
            Kept::Place => MethodInfo::new("reciprocam", "Recipro-CAM", "https://arxiv.org/abs/2209.14074"),
            Kept::Gaussian => {
                MethodInfo::new("vitreciprocam", "ViT-Recipro-CAM", "https://arxiv.org/abs/2310.02588")
            }
        };
        info.replay().cost(Cost::PerPosition(1))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let [batch, _, positions] = layer.activation().dims();
            let copies = UniqueCopies::none(batch, positions);
            let alone = |activation: Tensor<3>, chunk: &Chunk<'_>| {
                let masks = self.kept.masks(chunk.indices(), layer.grid(), &activation.device());
                activation * masks.unsqueeze_dim(1)
            };
            let scores = layer.scores_of_edited(&copies, &alone)?;
            Ok((scores.clone() - scores.min_dim(1)).unsqueeze_dim(1))
        })
    }
}
