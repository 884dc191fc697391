//! GELU by itself, and its way back.

use crate::math::{gelu as of, gelu_slope};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The floats of a task.
const TASK: usize = 8192;

/// $x\,\Phi(x)$, exact. It is written into `out`, whatever that held.
///
/// # Shapes
/// - x, output: any, the same
pub fn gelu(x: &[f32], mut out: Vec<f32>) -> Vec<f32> {
    out.resize(x.len(), 0.0);
    let tasks = out.par_chunks_mut(TASK).zip(x.par_chunks(TASK));
    tasks.for_each(|(out, x)| Arch::new().dispatch(Each { x, gradient: None, out }));
    out
}

/// The gradient at the input of [`gelu`] of something whose gradient at its output is given: $g\,(\Phi(x) + x\,\varphi(x))$. It is
/// written into `out`, whatever that held.
///
/// # Shapes
/// - x, gradient, output: any, the same
///
/// # Panics
/// Where `x` and the gradient differ in length.
pub fn gelu_back(x: &[f32], gradient: &[f32], mut out: Vec<f32>) -> Vec<f32> {
    assert_eq!(x.len(), gradient.len(), "floats of a gradient");
    out.resize(x.len(), 0.0);
    let tasks = out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).zip(gradient.par_chunks(TASK));
    tasks.for_each(|((out, x), gradient)| {
        Arch::new().dispatch(Each { x, gradient: Some(gradient), out });
    });
    out
}

struct Each<'a> {
    x: &'a [f32],
    /// The way back of this, or forwards.
    gradient: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl WithSimd for Each<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, gradient, out } = self;
        // Vectors, the last of which may be a part of one.
        for (place, out) in (0..).step_by(S::F32_LANES).zip(out.chunks_mut(S::F32_LANES)) {
            let load = |floats: &[f32]| simd.partial_load_f32s(&floats[place..][..out.len()]);
            let [y] = match gradient {
                None => of(simd, [load(x)]),
                Some(gradient) => [simd.mul_f32s(gelu_slope(simd, [load(x)])[0], load(gradient))],
            };
            simd.partial_store_f32s(out, y);
        }
    }
}
