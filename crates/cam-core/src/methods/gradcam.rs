use crate::{Error, Method, Seen};
use burn::Tensor;

/// Grad-CAM: the weight of a channel is its mean gradient.
///
/// $$ w_k = \frac{1}{HW} \sum_{i,j} \frac{\partial y}{\partial A_{kij}} $$
///
/// Selvaraju et al., *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization*, ICCV 2017,
/// equation 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct GradCam;

impl Method for GradCam {
    fn name(&self) -> &'static str {
        "gradcam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/1610.02391"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        Ok(seen.gradient()?.mean_dim(2) * seen.activation())
    }
}
