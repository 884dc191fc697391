//! Layer normalization.

use crate::math::sum;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The rows that one task normalizes.
const ROWS: usize = 32;

/// Each row brought to mean 0 and variance 1, then scaled and shifted: $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$. It is
/// written into `out`, whatever that held.
///
/// # Shapes
/// - x, output: `[rows, width]`
/// - gamma, beta: `[width]`
///
/// # Panics
/// Where `x` is not of whole rows, or gamma and beta differ in width.
pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, mut out: Vec<f32>) -> Vec<f32> {
    let width = gamma.len();
    assert!(beta.len() == width && (x.is_empty() || x.len().is_multiple_of(width)), "floats of a row");
    out.resize(x.len(), 0.0);
    if x.is_empty() {
        return out;
    }
    let task = ROWS * width;
    out.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(out, x)| {
        Arch::new().dispatch(Rows { x, gamma, beta, epsilon, out });
    });
    out
}

struct Rows<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, gamma, beta, epsilon, out } = self;
        let width = gamma.len();
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for (((out, &x), &gamma), &beta) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
                *out = (x - mean) * scale * gamma + beta;
            }
        }
    }
}
