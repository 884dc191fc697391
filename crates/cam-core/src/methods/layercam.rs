use crate::{Evidence, LayerContext, Method, MethodInfo};

/// LayerCAM: each element counts with its own gradient, if that is positive.
///
/// $$ w_{kij} = \mathrm{relu}\left(\frac{\partial y}{\partial A_{kij}}\right) $$
///
/// Jiang et al., *LayerCAM: Exploring Hierarchical Class Activation Maps for Localization*, IEEE TIP 2021, equation 6.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, LayerCam, Nchw, Taps};
///
/// // The score: the left pixel of the image minus three times the right one.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x: Tensor<2> = taps.layer("x", Nchw, || x).flatten(1, 3);
///     x.clone().narrow(1, 0, 1) - x.narrow(1, 1, 1) * 3.0
/// };
/// let image = Tensor::<4>::from_floats([[[[2.0, 1.0]]]], &Device::flex());
/// let explanation: Explanation = Explainer::new(&model).layer("x").method(LayerCam).explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert_eq!(raw, [2.0, 0.0]); // the gradients are 1 and -3, and Grad-CAM would take their mean, -1, for both
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LayerCam;

impl Method for LayerCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("layercam", "LayerCAM", "https://ieeexplore.ieee.org/document/9462463").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(layer.gradient()?.clamp_min(0.0) * layer.activation()) })
    }
}
