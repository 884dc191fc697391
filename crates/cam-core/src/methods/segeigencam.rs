use crate::post::projection::{first_component, largest_positive};
use crate::{Evidence, LayerContext, Method, MethodInfo};

/// Seg-Eigen-CAM: the first principal component of the activation weighted by the magnitude of its gradient.
///
/// $$ L = \pm M v_1, \qquad M_{nk} = \left|\frac{\partial y}{\partial A_{kn}}\right| A_{kn} $$
///
/// each channel minus its mean. The sign is the paper's: the value of largest magnitude is positive.
///
/// Chung et al., *Seg-Eigen-CAM: Eigen-Value-Based Visual Explanations for Semantic Segmentation Models*, Applied Sciences
/// 15(13), 2025, section 3.
#[derive(Debug, Clone, Copy, Default)]
pub struct SegEigenCam;

impl Method for SegEigenCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("segeigencam", "Seg-Eigen-CAM", "https://www.mdpi.com/2076-3417/15/13/7562")
            .gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let weighted = layer.gradient()?.abs() * layer.activation();
            Ok(largest_positive(first_component(weighted).await?).unsqueeze_dim(1))
        })
    }
}
