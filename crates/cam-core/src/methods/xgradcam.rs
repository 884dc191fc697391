use crate::{Evidence, LayerContext, Method, MethodInfo};

/// XGrad-CAM: the weight of a channel is its mean gradient, each position weighted by its share of the channel's activation.
///
/// $$ w_k = \sum_{i,j} \frac{A_{kij}}{\sum_{l,m} A_{klm}} \frac{\partial y}{\partial A_{kij}} $$
///
/// A channel that sums to zero gets the weight zero; the paper's layers end in a ReLU, so such a channel is dead.
///
/// Fu et al., *Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs*, BMVC 2020, equation 8.
#[derive(Debug, Clone, Copy, Default)]
pub struct XGradCam;

impl Method for XGradCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("xgradcam", "XGrad-CAM", "https://arxiv.org/abs/2008.02312").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let (activation, gradient) = (layer.activation(), layer.gradient()?);
            let sum = activation.clone().sum_dim(2);
            let dead = sum.clone().equal_elem(0.0);
            let weighted = (gradient * activation.clone()).sum_dim(2) / sum.mask_fill(dead.clone(), 1.0);
            Ok(weighted.mask_fill(dead, 0.0) * activation)
        })
    }
}
