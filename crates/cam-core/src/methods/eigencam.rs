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
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{EigenCam, Explainer, Explanation, Nchw, Taps, Top};
///
/// # let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     taps.layer("x", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// // Two channels that vary as 3 to 4: the component is (0.6, 0.8), and the first place is farthest from the mean.
/// let image = Tensor::<4>::from_floats([[[[9.0, 0.0, 0.0]], [[12.0, 0.0, 0.0]]]], &Device::flex());
/// let found: Explanation = Explainer::new(&model).layer("x").method(EigenCam).explain(image, &Top)?;
/// let raw: Vec<f32> = found.maps[0].raw.to_data().try_to_vec().unwrap();
/// // Less their means, 3 and 4, the places are (6, 8), (-3, -4) and (-3, -4).
/// assert!(raw.iter().zip([10.0, -5.0, -5.0]).all(|(found, exact)| (found - exact).abs() < 1e-5));
/// # Ok::<(), cam_core::Error>(())
/// ```
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
