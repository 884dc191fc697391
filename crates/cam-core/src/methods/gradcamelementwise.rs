use crate::{Error, Method, Seen};
use burn::Tensor;

/// Grad-CAM element-wise: each element counts with its own gradient, and what speaks against the score counts for nothing.
///
/// $$ E_{kij} = \mathrm{relu}\left(\frac{\partial y}{\partial A_{kij}} A_{kij}\right) $$
///
/// Pillai and Pirsiavash, *Explainable Models with Consistent Interpretations*, AAAI 2021, equation 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct GradCamElementWise;

impl Method for GradCamElementWise {
    fn name(&self) -> &'static str {
        "gradcamelementwise"
    }

    fn paper(&self) -> &'static str {
        "https://ojs.aaai.org/index.php/AAAI/article/view/16344"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        Ok((seen.gradient()? * seen.activation()).clamp_min(0.0))
    }
}
