use super::superpixels::{SuperpixelMasks, least_squares};
use crate::{Evidence, LayerContext, Method, MethodInfo};
use nalgebra::{DMatrix, DVector};

/// Kernel SHAP on superpixels: the Shapley values of the regions of an input, as the weights of a linear model of masked inputs.
///
/// $$ \phi = \arg\min_\phi \sum_{i=1}^n \left(y(X_{z_i}) - y(X_0) - z_i^\top \phi\right)^2, \qquad
///    \sum_s \phi_s = y(X) - y(X_0) $$
///
/// with $X_z$ the input whose superpixels are kept where $z$ is 1 and replaced elsewhere. The $z_i$ are drawn with the probability of the Shapley
/// kernel, $\propto (m - 1) / (\binom{m}{\lvert z \rvert} \lvert z \rvert (m - \lvert z \rvert))$ of $m$ superpixels, each with its complement. Each
/// place has the value of its superpixel. It needs no layer and no gradient.
///
/// Lundberg and Lee, *A Unified Approach to Interpreting Model Predictions*, NeurIPS 2017, theorem 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelShap {
    /// The superpixels and the masks.
    pub masks: SuperpixelMasks,
}

impl KernelShap {
    /// The settings of [`SuperpixelMasks`].
    pub const PAPER: Self = Self { masks: SuperpixelMasks::PAPER };
}

impl Default for KernelShap {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for KernelShap {
    fn info(&self) -> MethodInfo {
        self.masks.info("kernelshap", "Kernel SHAP", "https://arxiv.org/abs/1705.07874")
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { masks: SuperpixelMasks { seed, ..self.masks } }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(self.masks.weights(layer, shapley_kernel, |kept, scores, [none, all]| {
            // The last value is what the others leave of the sum.
            let (samples, last) = (kept.nrows(), kept.ncols() - 1);
            let design = DMatrix::from_fn(samples, last, |i, s| kept[(i, s)] - kept[(i, last)]);
            let rest = DVector::from_fn(samples, |i, _| scores[i] - none - kept[(i, last)] * (all - none));
            let found = least_squares(&design, &rest, None, 0.0);
            let sum: f64 = found.iter().sum();
            found.into_iter().chain([all - none - sum]).collect()
        }))
    }
}

/// Draws which superpixels are kept, by the Shapley kernel: how many, and then which.
fn shapley_kernel(shares: &[f32]) -> Vec<bool> {
    let (size, order) = (shares[0], &shares[1..]);
    let regions = order.len();
    let weight = |kept: usize| 1.0 / (kept * (regions - kept)) as f64;
    let mut left = f64::from(size) * (1..regions).map(weight).sum::<f64>();
    let mut kept = 1;
    while kept + 1 < regions && left > weight(kept) {
        left -= weight(kept);
        kept += 1;
    }
    let mut ranks: Vec<usize> = (0..regions).collect();
    ranks.sort_by(|&a, &b| order[a].total_cmp(&order[b]));
    let mut is_kept = vec![false; regions];
    ranks[..kept.min(regions)].iter().for_each(|&region| is_kept[region] = true);
    is_kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::noise::shares;

    #[test]
    fn the_shapley_kernel_prefers_few_and_nearly_all() {
        const REGIONS: usize = 5;
        let mut counts = [0.0f64; REGIONS + 1];
        for sample in 0..4000 {
            let mask = shapley_kernel(&shares(REGIONS + 1, [1, sample]));
            counts[mask.iter().filter(|is_kept| **is_kept).count()] += 1.0 / 4000.0;
        }
        // 1 / 4, 1 / 6, 1 / 6 and 1 / 4 of their sum; four deviations of a share are 0.03.
        for (count, expected) in counts.into_iter().zip([0.0, 0.3, 0.2, 0.2, 0.3, 0.0]) {
            assert!((count - expected).abs() < 0.03, "{counts:?}");
        }
    }
}
