//! Layer normalization and its backward pass.

use crate::math::{dot, sum};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The number of rows per task.
const ROWS_PER_TASK: usize = 32;

/// Normalizes each row to mean 0 and variance 1, then scales and shifts it: $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$.
/// The result is written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x, output: `[rows, width]`
/// - gamma, beta: `[width]`
///
/// # Panics
/// Panics if `x` does not consist of whole rows, or gamma and beta differ in length.
pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, mut out: Vec<f32>) -> Vec<f32> {
    let width = gamma.len();
    assert!(beta.len() == width && (x.is_empty() || x.len().is_multiple_of(width)), "whole rows");
    out.resize(x.len(), 0.0);
    if x.is_empty() {
        return out;
    }
    let task = ROWS_PER_TASK * width;
    out.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(out, x)| {
        Arch::new().dispatch(Rows { x, gamma, beta, epsilon, out });
    });
    out
}

/// Returns the mean of a row and the reciprocal of its standard deviation.
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

/// Returns the gradient of the input of [`layer_norm`], given the gradient $g$ of its output:
/// $\big(h - \overline{h} - \hat x \overline{h \hat x}\big) / \sqrt{\sigma^2 + \epsilon}$, with $h = g \gamma$ and the normalized row
/// $\hat x$. The result is written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x, gradient, output: `[rows, width]`
/// - gamma: `[width]`
///
/// # Panics
/// Panics if `x` does not consist of whole rows, or the gradient has another shape.
pub fn layer_norm_backward(
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    gradient: &[f32],
    mut out: Vec<f32>,
) -> Vec<f32> {
    let width = gamma.len();
    assert!(x.is_empty() || x.len().is_multiple_of(width), "whole rows");
    assert_eq!(x.len(), gradient.len(), "length of the gradient");
    out.resize(x.len(), 0.0);
    if x.is_empty() {
        return out;
    }
    let task = ROWS_PER_TASK * width;
    let tasks = out.par_chunks_mut(task).zip(x.par_chunks(task)).zip(gradient.par_chunks(task));
    tasks.for_each(|((out, x), gradient)| {
        Arch::new().dispatch(RowsBackward { x, gamma, epsilon, gradient, out });
    });
    out
}

struct RowsBackward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    epsilon: f32,
    gradient: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for RowsBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, gamma, epsilon, gradient, out } = self;
        let width = gamma.len();
        let mut normalized = vec![0.0; width];
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for (out, (x, gradient)) in out.chunks_exact_mut(width).zip(rows) {
            let (mean, scale) = moments(x, epsilon);
            for (normalized, &x) in normalized.iter_mut().zip(x) {
                *normalized = (x - mean) * scale;
            }
            for ((out, &gradient), &gamma) in out.iter_mut().zip(gradient).zip(gamma) {
                *out = gradient * gamma;
            }
            let mean_gradient = sum(out, |x| x) / width as f32;
            let mean_product = dot(out, &normalized) / width as f32;
            for (out, &normalized) in out.iter_mut().zip(&normalized) {
                *out = (*out - mean_gradient - normalized * mean_product) * scale;
            }
        }
    }
}
