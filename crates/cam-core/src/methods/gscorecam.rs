use super::scorecam::{highest, unique_masks, weighted};
use crate::{Cost, Evidence, LayerContext, Method, MethodInfo, Sampling, Scale};

/// gScoreCAM: Score-CAM of the channels whose mean gradient is highest.
///
/// $$ w = \mathrm{softmax}_{k \in K} \thinspace y(X \circ s(\mathrm{Up}(A_k))), \qquad
///    K = \mathrm{top}_n \frac{1}{HW} \sum_{ij} \frac{\partial y}{\partial A_{kij}} $$
///
/// The gradient knows the class, so that few channels are enough: Score-CAM's own choice of some, those that vary most, is the same for every
/// class. Each class has masks of its own.
///
/// Chen et al., *gScoreCAM: What objects is CLIP looking at?*, ACCV 2022, section 3.2.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, GScoreCam, Nchw, Taps};
///
/// // The score: the mean of the first channel minus half of that of the second.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x);
///     let mean: Tensor<2> = x.mean_dims(&[2, 3]).flatten(1, 3);
///     mean.clone().narrow(1, 0, 1) - mean.narrow(1, 1, 1) * 0.5
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0]], [[0.0, 9.0]]]], &Device::flex());
/// let one = GScoreCam { channels: 1, ..GScoreCam::PAPER };
/// let explanation: Explanation = Explainer::new(&model).layer("x").method(one).explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert_eq!(raw, [4.0, 0.0]); // the first channel: the gradient of the second is negative
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GScoreCam {
    /// $n$, the channels that are tried.
    pub channels: usize,
    /// How masks are enlarged.
    pub sampling: Sampling,
}

impl GScoreCam {
    /// The settings of the paper: 300 channels, or all if there are fewer.
    pub const PAPER: Self = Self { channels: 300, sampling: Sampling::HalfPixel };
}

impl Default for GScoreCam {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for GScoreCam {
    fn info(&self) -> MethodInfo {
        const PAPER: &str = "https://openaccess.thecvf.com/content/ACCV2022/html/Chen_gScoreCAM_What_objects_is_CLIP_looking_at_ACCV_2022_paper.html";
        MethodInfo::new("gscorecam", "gScoreCAM", PAPER)
            .gradient()
            .masked_inputs()
            .cost(Cost::Passes(self.channels as u32 + 2))
    }

    fn with_channels(&self, channels: usize) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { channels, ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = highest(layer.activation(), layer.gradient()?.mean_dim(2), self.channels);
            let copies = unique_masks(&activation).await?;
            let scores =
                layer.scores_of_masked(activation.clone(), &copies, self.sampling, &|masks, _| {
                    Scale::PerMap.apply(masks)
                })?;
            Ok(weighted(scores, activation))
        })
    }
}
