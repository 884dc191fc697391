use super::superpixels::{SuperpixelMasks, least_squares};
use crate::{Evidence, LayerContext, Method, MethodInfo};
use nalgebra::{DMatrix, DVector};

/// LIME on superpixels: the weights of a linear model of masked inputs near the input.
///
/// $$ w = \arg\min_{w, b} \sum_{i=1}^n \exp\left(-\frac{(1 - \cos(z_i, 1))^2}{\sigma^2}\right)
///    \left(y(X_{z_i}) - b - z_i^\top w\right)^2 + \lambda \lVert w \rVert^2 $$
///
/// with $X_z$ as in [`KernelShap`](crate::KernelShap), and $z_i$ even draws. The settings are those of the authors' code, $\sigma = 0.25$ and $\lambda = 1$; its
/// superpixels are other ones, of quickshift.
///
/// Ribeiro et al., *"Why Should I Trust You?": Explaining the Predictions of Any Classifier*, KDD 2016, section 3.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lime {
    /// The superpixels and the masks.
    pub masks: SuperpixelMasks,
    /// $\sigma$
    pub width: f64,
    /// $\lambda$
    pub ridge: f64,
}

impl Lime {
    /// The settings of the authors' code.
    pub const PAPER: Self = Self { masks: SuperpixelMasks::PAPER, width: 0.25, ridge: 1.0 };
}

impl Default for Lime {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for Lime {
    fn info(&self) -> MethodInfo {
        self.masks.info("lime", "LIME", "https://arxiv.org/abs/1602.04938")
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { masks: SuperpixelMasks { seed, ..self.masks }, ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        let is_kept = |shares: &[f32]| shares[1..].iter().map(|share| *share < 0.5).collect();
        Box::pin(self.masks.weights(layer, is_kept, |kept, scores, _| {
            let near = |i: usize| {
                let cosine = (kept.row(i).sum() / kept.ncols() as f64).sqrt();
                (-((1.0 - cosine) / self.width).powi(2)).exp()
            };
            let near = DVector::from_fn(kept.nrows(), |i, _| near(i));
            // Without their weighted means the data need no intercept, which is not held small.
            let total = near.sum();
            let mean = kept.tr_mul(&near) / total;
            let middle = scores.dot(&near) / total;
            let design = DMatrix::from_fn(kept.nrows(), kept.ncols(), |i, s| kept[(i, s)] - mean[s]);
            least_squares(&design, &scores.add_scalar(-middle), Some(&near), self.ridge)
        }))
    }
}
