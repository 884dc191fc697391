//! Layer normalization, and its way back.

use crate::math::{dot, sum};
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

/// The mean of a row, and what brings its variance to 1.
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let width = x.len() as f32;
    let mean = sum(x, |x| x) / width;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / width;
    (mean, 1.0 / (variance + epsilon).sqrt())
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
            let (mean, scale) = moments(x, epsilon);
            for (((out, &x), &gamma), &beta) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
                *out = (x - mean) * scale * gamma + beta;
            }
        }
    }
}

/// The gradient at the input of [`layer_norm`] of something whose gradient $g$ at its output is given:
/// $\big(h - \overline{h} - \hat x\,\overline{h \hat x}\big) / \sqrt{\sigma^2 + \epsilon}$, with $h = g \gamma$ and the normalized row
/// $\hat x$. It is written into `out`, whatever that held.
///
/// # Shapes
/// - x, gradient, output: `[rows, width]`
/// - gamma: `[width]`
///
/// # Panics
/// Where `x` is not of whole rows, or the gradient is of another shape.
pub fn layer_norm_back(
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    gradient: &[f32],
    mut out: Vec<f32>,
) -> Vec<f32> {
    let width = gamma.len();
    assert!(x.is_empty() || x.len().is_multiple_of(width), "floats of a row");
    assert_eq!(x.len(), gradient.len(), "floats of a gradient");
    out.resize(x.len(), 0.0);
    if x.is_empty() {
        return out;
    }
    let task = ROWS * width;
    let tasks = out.par_chunks_mut(task).zip(x.par_chunks(task)).zip(gradient.par_chunks(task));
    tasks.for_each(|((out, x), gradient)| {
        Arch::new().dispatch(RowsBack { x, gamma, epsilon, gradient, out });
    });
    out
}

struct RowsBack<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    epsilon: f32,
    gradient: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for RowsBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, gamma, epsilon, gradient, out } = self;
        let width = gamma.len();
        let mut normal = vec![0.0; width];
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for (out, (x, gradient)) in out.chunks_exact_mut(width).zip(rows) {
            let (mean, scale) = moments(x, epsilon);
            for (normal, &x) in normal.iter_mut().zip(x) {
                *normal = (x - mean) * scale;
            }
            for ((out, &gradient), &gamma) in out.iter_mut().zip(gradient).zip(gamma) {
                *out = gradient * gamma;
            }
            let even = sum(out, |x| x) / width as f32;
            let along = dot(out, &normal) / width as f32;
            for (out, &normal) in out.iter_mut().zip(&normal) {
                *out = (*out - even - normal * along) * scale;
            }
        }
    }
}
