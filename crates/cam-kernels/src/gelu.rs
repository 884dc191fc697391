//! GELU and its backward pass.

use crate::math::{gelu as gelu_of_vectors, gelu_derivative};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The number of floats per task.
const TASK: usize = 8192;

/// Returns the exact GELU $x \Phi(x)$ of each element. The result is written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x, output: any, the same
pub fn gelu(x: &[f32], mut out: Vec<f32>) -> Vec<f32> {
    out.resize(x.len(), 0.0);
    let tasks = out.par_chunks_mut(TASK).zip(x.par_chunks(TASK));
    tasks.for_each(|(out, x)| Arch::new().dispatch(Gelu { x, gradient: None, out }));
    out
}

/// Returns the gradient of the input of [`gelu`], given the gradient $g$ of its output: $g (\Phi(x) + x \varphi(x))$. The result is
/// written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x, gradient, output: any, the same
///
/// # Panics
/// Panics if `x` and the gradient differ in length.
pub fn gelu_backward(x: &[f32], gradient: &[f32], mut out: Vec<f32>) -> Vec<f32> {
    assert_eq!(x.len(), gradient.len(), "length of the gradient");
    out.resize(x.len(), 0.0);
    let tasks = out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).zip(gradient.par_chunks(TASK));
    tasks.for_each(|((out, x), gradient)| {
        Arch::new().dispatch(Gelu { x, gradient: Some(gradient), out });
    });
    out
}

struct Gelu<'a> {
    x: &'a [f32],
    /// The gradient of the output in a backward pass; `None` in a forward pass.
    gradient: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, gradient, out } = self;
        // The last vector may be partial.
        for (place, out) in (0..).step_by(S::F32_LANES).zip(out.chunks_mut(S::F32_LANES)) {
            let load = |floats: &[f32]| simd.partial_load_f32s(&floats[place..][..out.len()]);
            let [y] = match gradient {
                None => gelu_of_vectors(simd, [load(x)]),
                Some(gradient) => [simd.mul_f32s(gelu_derivative(simd, [load(x)])[0], load(gradient))],
            };
            simd.partial_store_f32s(out, y);
        }
    }
}
