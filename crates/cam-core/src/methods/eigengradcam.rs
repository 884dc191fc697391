use crate::post::projection::first_component;
use crate::{Evidence, LayerContext, Method, MethodInfo};

/// Eigen-Grad-CAM: the first principal component of gradient times activation, which makes Eigen-CAM depend on a class.
///
/// $$ L = M v_1, \qquad M_{nk} = \frac{\partial y}{\partial A_{kn}} A_{kn} = (U \Sigma V^\top)_{nk} $$
///
/// each channel minus its mean, and the sign such that the map is positive where the evidence stands out from its mean.
///
/// Gildenblat, *PyTorch library for CAM methods*, 2021, after Muhammad and Yeasin, *Eigen-CAM*, IJCNN 2020.
#[derive(Debug, Clone, Copy, Default)]
pub struct EigenGradCam;

impl Method for EigenGradCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("eigengradcam", "Eigen-Grad-CAM", "https://github.com/jacobgil/pytorch-grad-cam")
            .gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            Ok(first_component(layer.gradient()? * layer.activation()).await?.unsqueeze_dim(1))
        })
    }
}
