use crate::{Evidence, LayerContext, Method, MethodInfo};

/// HiResCAM: each element counts with its own gradient.
///
/// $$ w_{kij} = \frac{\partial y}{\partial A_{kij}} $$
///
/// Draelos and Carin, *Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks*, 2020,
/// equation 6.
#[derive(Debug, Clone, Copy, Default)]
pub struct HiResCam;

impl Method for HiResCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("hirescam", "HiResCAM", "https://arxiv.org/abs/2011.08891").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(layer.gradient()? * layer.activation()) })
    }
}
