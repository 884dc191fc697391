use crate::method::Evidence;
use crate::projection::first_component;
use crate::read::now;
use crate::{Error, Method, Seen};
use burn::Tensor;

/// Eigen-CAM: the first principal component of the activation; it asks for no class.
///
/// $$ L = A v_1, \qquad A = U \Sigma V^\top $$
///
/// with $A$ the positions by channels, each channel less its mean (as the reference library has it), and the sign such
/// that the map is positive where the activation stands out from its mean.
///
/// Muhammad and Yeasin, *Eigen-CAM: Class Activation Map using Principal Components*, IJCNN 2020, equations 1 to 3.
#[derive(Debug, Clone, Copy, Default)]
pub struct EigenCam;

impl Method for EigenCam {
    fn name(&self) -> &'static str {
        "eigencam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/2008.00299"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        now(self.evidence_async(seen))
    }

    fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(first_component(seen.activation()).await?.unsqueeze_dim(1)) })
    }
}
