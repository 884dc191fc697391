use crate::{Evidence, LayerContext, Method, MethodInfo};

/// Grad-CAM element-wise: each element counts with its own gradient, and what speaks against the score counts for nothing.
///
/// $$ E_{kij} = \mathrm{relu}\left(\frac{\partial y}{\partial A_{kij}} A_{kij}\right) $$
///
/// Pillai and Pirsiavash, *Explainable Models with Consistent Interpretations*, AAAI 2021, equation 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct GradCamElementWise;

impl Method for GradCamElementWise {
    fn info(&self) -> MethodInfo {
        MethodInfo::new(
            "gradcamelementwise",
            "Grad-CAM element-wise",
            "https://ojs.aaai.org/index.php/AAAI/article/view/16344",
        )
        .gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok((layer.gradient()? * layer.activation()).clamp_min(0.0)) })
    }
}
