//! Attention within windows of tokens.
//!
//! $$ \text{out}_q = \sum_k \mathrm{softmax}_k\Big(\frac{Q_q \cdot K_k}{\sqrt{d}} + b_{qk}\Big) V_k $$
//!
//! The keys and values of a window are packed like weights, so both products run in the same kernel. Tokens are read and written in
//! place, whatever tokens form a window: nothing is rolled, split or concatenated.

mod backward;

use crate::math::exp;
use crate::packing::{PackedMatrix, lanes};
use crate::partition::TASKS_PER_THREAD;
use crate::tile::{Activation, Run, Tiles};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;

/// The number of queries per task where there are few windows and heads.
const QUERIES_PER_TASK: usize = 100;

/// Multi-head attention within windows of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// The number of heads.
    pub heads: usize,
    /// The number of channels per head.
    pub size: usize,
    /// The number of tokens per image.
    pub tokens: usize,
    /// The tokens of each window, as indices within an image. The tokens of a window attend to each other. All windows have the same
    /// number of tokens.
    pub windows: &'a [Vec<usize>],
    /// A bias added to the scores before the softmax: `[windows, heads, window tokens, window tokens]`, or
    /// `[1, heads, window tokens, window tokens]` if all windows share it.
    pub bias: Option<&'a [f32]>,
}

/// Some queries of a window, for one head.
struct Task<'a> {
    image: usize,
    window: usize,
    head: usize,
    /// The index of the first query.
    first: usize,
    out: Vec<&'a mut [f32]>,
}

impl Attention<'_> {
    /// Returns the attention of each head. The result is written into `out`; tokens in no window keep what it held.
    ///
    /// # Shapes
    /// - qkv: `[batch, tokens, 3, heads, size]`
    /// - output: `[batch, tokens, heads, size]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape.
    pub fn forward(&self, qkv: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let Self { heads, size, tokens, windows, .. } = *self;
        let image = tokens * heads * size;
        assert!(image > 0 && qkv.len().is_multiple_of(3 * image), "length of qkv");
        let batch = qkv.len() / (3 * image);
        let keys = windows.first().map_or(0, Vec::len);
        let square = heads * keys * keys;
        let biases = self.bias.map_or(1, |bias| bias.len() / square.max(1));
        assert!(self.bias.is_none_or(|bias| bias.len() == biases * square), "length of the bias");
        assert!(biases == 1 || biases == windows.len(), "windows of the bias");
        out.resize(batch * image, 0.0);

        let few = batch * windows.len() * heads < TASKS_PER_THREAD * rayon::current_num_threads();
        let queries_per_task = if few { QUERIES_PER_TASK } else { keys };

        let mut rows: Vec<Option<&mut [f32]>> = out.chunks_exact_mut(size).map(Some).collect();
        let mut tasks = Vec::new();
        for image in 0..batch {
            for (window, members) in windows.iter().enumerate() {
                for head in 0..heads {
                    for (part, queries_here) in members.chunks(queries_per_task).enumerate() {
                        let mut row = |token: &usize| {
                            rows[(image * tokens + token) * heads + head]
                                .take()
                                .expect("a token in two windows")
                        };
                        let out = queries_here.iter().map(&mut row).collect();
                        tasks.push(Task { image, window, head, first: part * queries_per_task, out });
                    }
                }
            }
        }
        tasks.into_par_iter().for_each(|task| self.task(qkv, task));
        out
    }

    fn task(&self, qkv: &[f32], mut task: Task<'_>) {
        let members = &self.windows[task.window];
        let queries = task.out.len();
        let mut weights = WEIGHTS.take();
        let stride = self.attention_weights(
            qkv,
            [task.image, task.window, task.head],
            task.first,
            queries,
            &mut weights,
        );
        let packed_values = self.pack(qkv, [task.image, task.window, task.head], 2);
        let bases: Vec<usize> = (0..queries).map(|row| row * stride).collect();
        let run = [Run { offset: 0, length: members.len() }];
        multiply(&weights, &bases, &packed_values, &run, None, &mut task.out);
        WEIGHTS.set(weights);
    }

    /// Returns the offset of a token's query (part 0), key (1) or value (2) for a head.
    fn offset(&self, image: usize, head: usize, token: usize, part: usize) -> usize {
        (((image * self.tokens + token) * 3 + part) * self.heads + head) * self.size
    }

    /// Packs the queries (part 0), keys (1) or values (2) of a window as a matrix `[window tokens, size]`.
    fn pack(&self, qkv: &[f32], [image, window, head]: [usize; 3], part: usize) -> PackedMatrix {
        let members = &self.windows[window];
        let row = |key: usize| &qkv[self.offset(image, head, members[key], part)..][..self.size];
        PackedMatrix::from_rows(members.len(), self.size, None, row)
    }

    /// Computes the softmax weights of some queries of a window, `[queries, window tokens]`. Rows are padded to whole vectors.
    /// Returns the stride of a row in floats.
    fn attention_weights(
        &self,
        qkv: &[f32],
        [image, window, head]: [usize; 3],
        first: usize,
        queries: usize,
        weights: &mut Vec<f32>,
    ) -> usize {
        let Self { heads, size, windows, .. } = *self;
        let members = &windows[window];
        let keys = members.len();
        let scale = 1.0 / (size as f32).sqrt();
        let key = |key: usize| &qkv[self.offset(image, head, members[key], 1)..][..size];
        let packed_keys = PackedMatrix::from_columns(size, keys, None, scale, key);
        let bias = self.bias.map(|bias| {
            let window = if bias.len() == heads * keys * keys { 0 } else { window };
            &bias[((window * heads + head) * keys + first) * keys..][..queries * keys]
        });
        let stride = keys.next_multiple_of(lanes());
        weights.clear();
        weights.resize(queries * stride, f32::NEG_INFINITY);
        let queries_here = &members[first..][..queries];
        let bases: Vec<usize> =
            queries_here.iter().map(|&token| self.offset(image, head, token, 0)).collect();
        let mut rows: Vec<&mut [f32]> =
            weights.chunks_exact_mut(stride).map(|row| &mut row[..keys]).collect();
        multiply(qkv, &bases, &packed_keys, &[Run { offset: 0, length: size }], bias, &mut rows);
        Arch::new().dispatch(Softmax { rows: weights, stride });
        stride
    }
}

thread_local! {
    /// The attention weights of the task of this thread.
    static WEIGHTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Multiplies rows of the source with a packed matrix.
fn multiply(
    source: &[f32],
    bases: &[usize],
    panels: &PackedMatrix,
    runs: &[Run],
    residual: Option<&[f32]>,
    out: &mut [&mut [f32]],
) {
    Arch::new().dispatch(Tiles {
        source,
        bases,
        panels: (0..panels.count()).map(|number| (panels.get(number), runs)).collect(),
        residual,
        channels: panels.outputs(),
        first: 0,
        activation: Activation::None,
        out,
    });
}

/// Applies the softmax to each row. Rows consist of whole vectors; padding is negative infinity.
struct Softmax<'a> {
    rows: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.stride) {
            let (row, _) = S::as_mut_simd_f32s(row);
            let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
            for &x in &*row {
                largest = simd.max_f32s(x, largest);
            }
            let largest = simd.splat_f32s(simd.reduce_max_f32s(largest));
            let mut sum = simd.splat_f32s(0.0);
            for x in &mut *row {
                *x = exp(simd, simd.sub_f32s(*x, largest));
                sum = simd.add_f32s(sum, *x);
            }
            let scale = simd.splat_f32s(1.0 / simd.reduce_sum_f32s(sum));
            for x in row {
                *x = simd.mul_f32s(*x, scale);
            }
        }
    }
}
