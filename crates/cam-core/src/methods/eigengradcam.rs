use crate::method::Evidence;
use crate::projection::first_component;
use crate::read::now;
use crate::{Error, Method, Seen};
use burn::Tensor;

/// Eigen-Grad-CAM: the first principal component of gradient times activation, which makes Eigen-CAM ask for a class.
///
/// $$ L = M v_1, \qquad M_{nk} = \frac{\partial y}{\partial A_{kn}} A_{kn} = (U \Sigma V^\top)_{nk} $$
///
/// each channel less its mean, and the sign such that the map is positive where the evidence stands out from its mean.
///
/// Gildenblat, *PyTorch library for CAM methods*, 2021, after Muhammad and Yeasin, *Eigen-CAM*, IJCNN 2020.
#[derive(Debug, Clone, Copy, Default)]
pub struct EigenGradCam;

impl Method for EigenGradCam {
    fn name(&self) -> &'static str {
        "eigengradcam"
    }

    fn paper(&self) -> &'static str {
        "https://github.com/jacobgil/pytorch-grad-cam"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        now(self.evidence_async(seen))
    }

    fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
        Box::pin(
            async move { Ok(first_component(seen.gradient()? * seen.activation()).await?.unsqueeze_dim(1)) },
        )
    }
}
