use crate::post::projection::first_component;
use crate::{Evidence, LayerContext, Method, MethodInfo};

/// Eigen-CAM: the first principal component of the activation; it needs no class.
///
/// $$ L = A v_1, \qquad A = U \Sigma V^\top $$
///
/// with $A$ the positions by channels, each channel minus its mean (as in the reference library), and the sign such
/// that the map is positive where the activation stands out from its mean.
///
/// Muhammad and Yeasin, *Eigen-CAM: Class Activation Map using Principal Components*, IJCNN 2020, equations 1 to 3.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{EigenCam, Explain, Explainer, Explanation, Nchw, Taps, Top};
///
/// # let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     taps.layer("x", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// // Two channels that vary as 3 to 4: the component is (0.6, 0.8), and the first position is farthest from the mean.
/// let image = Tensor::<4>::from_floats([[[[9.0, 0.0, 0.0]], [[12.0, 0.0, 0.0]]]], &Device::flex());
/// let explanation: Explanation = Explainer::new(&model).layer("x").method(EigenCam).explain(image, &Top)?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// // Minus their means, 3 and 4, the positions are (6, 8), (-3, -4) and (-3, -4).
/// assert!(raw.iter().zip([10.0, -5.0, -5.0]).all(|(found, exact)| (found - exact).abs() < 1e-5));
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct EigenCam;

impl Method for EigenCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("eigencam", "Eigen-CAM", "https://arxiv.org/abs/2008.00299").without_class()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(first_component(layer.activation()).await?.unsqueeze_dim(1)) })
    }
}
