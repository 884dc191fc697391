use crate::{Cost, Evidence, LayerContext, Method, MethodInfo, Reads};
use burn::Tensor;

/// Integrated Gradients: the gradient in the input, integrated on the way from a baseline.
///
/// $$ L = (x - x') \odot \int_0^1 \frac{\partial y}{\partial x} (x' + \alpha (x - x')) \thinspace d\alpha $$
///
/// The integral is the mean over the middles of equal steps. The evidence sums to $y(x) - y(x')$ (completeness). If it is farther from it than
/// a twentieth, because the gradient changes within a step, there is [`Warning::Incomplete`](crate::Warning::Incomplete): more steps help.
///
/// Sundararajan et al., *Axiomatic Attribution for Deep Networks*, ICML 2017, equation 1.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, IntegratedGradients, Nchw, Taps};
///
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("x", Nchw, || x).square().sum_dims(&[2, 3]).flatten(1, 3)
/// };
/// let image = Tensor::<4>::from_floats([[[[3.0, -1.0]]]], &Device::flex());
/// let explainer = Explainer::new(&model).method(IntegratedGradients::default());
/// let explanation: Explanation = explainer.explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert!((raw[0] - 9.0).abs() < 1e-4 && (raw[1] - 1.0).abs() < 1e-4); // of the score 10, from a baseline of zeros
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntegratedGradients {
    /// The steps of the integral.
    pub steps: usize,
    /// Each number of the baseline $x'$, in the units of the input as the network gets it: 0 is the mean color where inputs are normalized.
    pub baseline: f32,
}

impl IntegratedGradients {
    /// Fifty steps, in the range of 20 to 300 that the paper recommends, from zeros.
    pub const PAPER: Self = Self { steps: 50, baseline: 0.0 };
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for IntegratedGradients {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("integratedgradients", "Integrated Gradients", "https://arxiv.org/abs/1703.01365")
            .reads(Reads::Input)
            .gradient_under_noise()
            .cost(Cost::Passes(2 + 2 * self.steps as u32))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let steps = self.steps.max(1);
            let way: Tensor<3> = layer.activation() - self.baseline;
            let mut sum = way.zeros_like();
            for step in 0..steps {
                let back = 1.0 - (step as f32 + 0.5) / steps as f32;
                let [_, gradient] = layer.gradient_under_noise(|_| way.clone() * -back)?;
                sum = sum + gradient;
                layer.report(step + 1, steps);
            }
            let evidence = way.clone() * sum / steps as f32;
            let difference = layer.score()? - layer.score_under_noise(|_| way.clone().neg())?;
            let total = evidence.clone().sum_dim(2).sum_dim(1).reshape(difference.dims());
            let off = (total - difference.clone()).abs() / difference.abs().clamp_min(f32::MIN_POSITIVE);
            layer.leaves_out(off);
            Ok(evidence)
        })
    }
}
