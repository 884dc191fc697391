use crate::{Evidence, LayerContext, Method, MethodInfo};

/// Grad-CAM: the weight of a channel is its mean gradient.
///
/// $$ w_k = \frac{1}{HW} \sum_{i,j} \frac{\partial y}{\partial A_{kij}} $$
///
/// Selvaraju et al., *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization*, ICCV 2017,
/// equation 1.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, GradCam, Nchw, Taps};
///
/// // The score: the mean of the first channel minus half of that of the second.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x);
///     let mean: Tensor<2> = x.mean_dims(&[2, 3]).flatten(1, 3);
///     mean.clone().narrow(1, 0, 1) - mean.narrow(1, 1, 1) * 0.5
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0]], [[2.0, 2.0]]]], &Device::flex());
/// let explanation: Explanation = Explainer::new(&model).layer("x").method(GradCam).explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert_eq!(raw, [1.5, -0.5]); // the weights are 1/2 and -1/4: 4/2 - 2/4, 0/2 - 2/4
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct GradCam;

impl Method for GradCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("gradcam", "Grad-CAM", "https://arxiv.org/abs/1610.02391").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(layer.gradient()?.mean_dim(2) * layer.activation()) })
    }
}
