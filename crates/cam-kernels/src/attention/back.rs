//! The way back through attention.
//!
//! With the weights $P$, what is seen $O = P V$, and a gradient $G$ at $O$:
//!
//! $$ \frac{\partial}{\partial V} = P^\top G, \quad S = P \odot \big(G V^\top - \mathrm{rowsum}(P \odot G V^\top)\big), \quad
//! \frac{\partial}{\partial Q} = \frac{S K}{\sqrt d}, \quad \frac{\partial}{\partial K} = \frac{S^\top Q}{\sqrt d} $$
//!
//! The weights are computed again, which is cheaper than to keep them.

use super::{Attention, product};
use crate::math::dot;
use crate::panel::Panels;
use crate::tile::Run;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A window, for one head.
struct Task<'a> {
    /// Image, window and head.
    place: [usize; 3],
    /// Of queries, keys and values the gradient at each token.
    out: [Vec<&'a mut [f32]>; 3],
}

impl Attention<'_> {
    /// The gradient at queries, keys and values of something whose gradient at what [`forward`](Self::forward) makes of them is given.
    /// It is written into `out`, whatever that held.
    ///
    /// # Shapes
    /// - qkv, output: `[batch, tokens, 3, heads, size]`
    /// - gradient: `[batch, tokens, heads, size]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes.
    pub fn backward(&self, qkv: &[f32], gradient: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let Self { heads, size, tokens, windows, .. } = *self;
        let image = tokens * heads * size;
        assert!(image > 0 && qkv.len().is_multiple_of(3 * image), "floats of queries, keys and values");
        assert_eq!(3 * gradient.len(), qkv.len(), "floats of a gradient");
        out.clear();
        out.resize(qkv.len(), 0.0);

        let mut rows: Vec<Option<&mut [f32]>> = out.chunks_exact_mut(size).map(Some).collect();
        let mut tasks = Vec::new();
        for image in 0..qkv.len() / (3 * image) {
            for (window, members) in windows.iter().enumerate() {
                for head in 0..heads {
                    let out = [0, 1, 2].map(|part| {
                        let mut row = |token: &usize| {
                            let row = self.place(image, head, *token, part) / size;
                            rows[row].take().expect("a token in two windows")
                        };
                        members.iter().map(&mut row).collect()
                    });
                    tasks.push(Task { place: [image, window, head], out });
                }
            }
        }
        tasks.into_par_iter().for_each(|task| self.task_back(qkv, gradient, task));
        out
    }

    fn task_back(&self, qkv: &[f32], gradient: &[f32], task: Task<'_>) {
        let Self { heads, size, tokens, windows, .. } = *self;
        let Task { place: place @ [image, window, head], out: [mut to_queries, mut to_keys, mut to_values] } =
            task;
        let members = &windows[window];
        let keys = members.len();
        let mut weights = Vec::new();
        let stride = self.weigh(qkv, place, 0, keys, &mut weights);

        // The gradient at the weights, then at how queries fit keys, times what both are divided by.
        let seen = |token: &usize| ((image * tokens + token) * heads + head) * size;
        let bases: Vec<usize> = members.iter().map(seen).collect();
        let value = |key: usize| &qkv[self.place(image, head, members[key], 2)..][..size];
        let values = Panels::columns(size, keys, None, 1.0, value);
        let mut fits = vec![0.0; keys * stride];
        let mut rows: Vec<&mut [f32]> = fits.chunks_exact_mut(stride).map(|row| &mut row[..keys]).collect();
        let whole = [Run { offset: 0, length: size }];
        product(gradient, &bases, &values, &whole, None, &mut rows);
        let scale = 1.0 / (size as f32).sqrt();
        Arch::new().dispatch(SoftmaxBack { weights: &weights, scale, rows: &mut fits, stride });

        let rows = |stride: usize| (0..keys).map(|row| row * stride).collect::<Vec<_>>();
        let all = [Run { offset: 0, length: keys }];
        let [queries_of, keys_of] = [0, 1].map(|part| self.packed(qkv, place, part));
        let given = Panels::rows(keys, size, None, |query| &gradient[bases[query]..][..size]);
        product(&fits, &rows(stride), &keys_of, &all, None, &mut to_queries);
        product(&transposed(&fits, keys, stride), &rows(keys), &queries_of, &all, None, &mut to_keys);
        product(&transposed(&weights, keys, stride), &rows(keys), &given, &all, None, &mut to_values);
    }
}

/// The first columns of a matrix whose rows have `stride` floats, as rows.
fn transposed(matrix: &[f32], columns: usize, stride: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix[column..].iter().step_by(stride).copied()).collect()
}

/// From the gradient at each row of weights to that at what the softmax makes them of, times a factor. Beyond its numbers a row of
/// weights is zero.
struct SoftmaxBack<'a> {
    weights: &'a [f32],
    scale: f32,
    rows: &'a mut [f32],
    stride: usize,
}

impl WithSimd for SoftmaxBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { weights, scale, rows, stride } = self;
        for (row, weights) in rows.chunks_exact_mut(stride).zip(weights.chunks_exact(stride)) {
            let mean = dot(row, weights);
            for (gradient, &weight) in row.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - mean) * scale;
            }
        }
    }
}
