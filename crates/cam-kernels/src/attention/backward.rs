//! The backward pass of attention.
//!
//! With the weights $P$, the output $O = P V$, and the gradient $G$ of $O$:
//!
//! $$ \frac{\partial}{\partial V} = P^\top G, \quad S = P \odot \big(G V^\top - \mathrm{rowsum}(P \odot G V^\top)\big), \quad
//! \frac{\partial}{\partial Q} = \frac{S K}{\sqrt d}, \quad \frac{\partial}{\partial K} = \frac{S^\top Q}{\sqrt d} $$
//!
//! The weights are recomputed, which is cheaper than keeping them.

use super::{Attention, multiply};
use crate::math::dot;
use crate::packing::PackedMatrix;
use crate::tile::Run;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A window and a head.
struct Task<'a> {
    /// The image, the window and the head.
    index: [usize; 3],
    /// The gradients of queries, keys and values at each token.
    out: [Vec<&'a mut [f32]>; 3],
}

impl Attention<'_> {
    /// Returns the gradient of queries, keys and values, packed_gradient the gradient of the output of [`forward`](Self::forward). The result is
    /// written into `out`, whose contents are ignored.
    ///
    /// # Shapes
    /// - qkv, output: `[batch, tokens, 3, heads, size]`
    /// - gradient: `[batch, tokens, heads, size]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape.
    pub fn backward(&self, qkv: &[f32], gradient: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let Self { heads, size, tokens, windows, .. } = *self;
        let image = tokens * heads * size;
        assert!(image > 0 && qkv.len().is_multiple_of(3 * image), "length of qkv");
        assert_eq!(3 * gradient.len(), qkv.len(), "length of the gradient");
        out.clear();
        out.resize(qkv.len(), 0.0);

        let mut rows: Vec<Option<&mut [f32]>> = out.chunks_exact_mut(size).map(Some).collect();
        let mut tasks = Vec::new();
        for image in 0..qkv.len() / (3 * image) {
            for (window, members) in windows.iter().enumerate() {
                for head in 0..heads {
                    let out = [0, 1, 2].map(|part| {
                        let mut row = |token: &usize| {
                            let row = self.offset(image, head, *token, part) / size;
                            rows[row].take().expect("a token in two windows")
                        };
                        members.iter().map(&mut row).collect()
                    });
                    tasks.push(Task { index: [image, window, head], out });
                }
            }
        }
        tasks.into_par_iter().for_each(|task| self.backward_task(qkv, gradient, task));
        out
    }

    fn backward_task(&self, qkv: &[f32], gradient: &[f32], task: Task<'_>) {
        let Self { heads, size, tokens, windows, .. } = *self;
        let Task { index: index @ [image, window, head], out: [mut to_queries, mut to_keys, mut to_values] } =
            task;
        let members = &windows[window];
        let keys = members.len();
        let mut weights = Vec::new();
        let stride = self.attention_weights(qkv, index, 0, keys, &mut weights);

        // The gradient of the weights, then that of the scores, times the scale of the scores.
        let output_offset = |token: &usize| ((image * tokens + token) * heads + head) * size;
        let bases: Vec<usize> = members.iter().map(output_offset).collect();
        let value = |key: usize| &qkv[self.offset(image, head, members[key], 2)..][..size];
        let values = PackedMatrix::from_columns(size, keys, None, 1.0, value);
        let mut scores = vec![0.0; keys * stride];
        let mut rows: Vec<&mut [f32]> = scores.chunks_exact_mut(stride).map(|row| &mut row[..keys]).collect();
        let whole = [Run { offset: 0, length: size }];
        multiply(gradient, &bases, &values, &whole, None, &mut rows);
        let scale = 1.0 / (size as f32).sqrt();
        Arch::new().dispatch(SoftmaxBackward { weights: &weights, scale, rows: &mut scores, stride });

        let rows = |stride: usize| (0..keys).map(|row| row * stride).collect::<Vec<_>>();
        let all = [Run { offset: 0, length: keys }];
        let [packed_queries, packed_keys] = [0, 1].map(|part| self.pack(qkv, index, part));
        let packed_gradient =
            PackedMatrix::from_rows(keys, size, None, |query| &gradient[bases[query]..][..size]);
        multiply(&scores, &rows(stride), &packed_keys, &all, None, &mut to_queries);
        multiply(&transpose(&scores, keys, stride), &rows(keys), &packed_queries, &all, None, &mut to_keys);
        multiply(
            &transpose(&weights, keys, stride),
            &rows(keys),
            &packed_gradient,
            &all,
            None,
            &mut to_values,
        );
    }
}

/// Returns the transpose of the first `columns` columns of a matrix whose rows have `stride` floats.
fn transpose(matrix: &[f32], columns: usize, stride: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix[column..].iter().step_by(stride).copied()).collect()
}

/// Turns the gradient of each row of weights into that of the scores before the softmax, times a factor. The padding of a row of
/// weights is zero.
struct SoftmaxBackward<'a> {
    weights: &'a [f32],
    scale: f32,
    rows: &'a mut [f32],
    stride: usize,
}

impl WithSimd for SoftmaxBackward<'_> {
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
