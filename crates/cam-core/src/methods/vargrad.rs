use super::smoothgrad::InputNoise;
use crate::{Evidence, LayerContext, Method, MethodInfo};

/// VarGrad: the variance of the gradient in the input, over noisy copies of it.
///
/// $$ L = \mathrm{Var}_i \thinspace \frac{\partial y}{\partial x} (x + \mathcal N(0, \sigma^2)) $$
///
/// The noise is that of [`SmoothGrad`](crate::SmoothGrad).
///
/// Adebayo et al., *Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values*, 2018, section 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VarGrad {
    /// Which noise.
    pub noise: InputNoise,
}

impl VarGrad {
    /// The noise of SmoothGrad's paper.
    pub const PAPER: Self = Self { noise: InputNoise::PAPER };
}

impl Default for VarGrad {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for VarGrad {
    fn info(&self) -> MethodInfo {
        self.noise.info("vargrad", "VarGrad", "https://arxiv.org/abs/1810.03307")
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { noise: InputNoise { seed, ..self.noise } }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let [mean, square] = self.noise.moments(layer)?;
            Ok((square - mean.square()).clamp_min(0.0))
        })
    }
}
