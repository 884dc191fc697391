//! Attention within windows of tokens.
//!
//! $$ \text{out}_q = \sum_k \mathrm{softmax}_k\Big(\frac{Q_q \cdot K_k}{\sqrt{d}} + b_{qk}\Big) V_k $$
//!
//! Keys and values of a window are packed as weights are, and so both products are those of the kernel. Tokens are read and written
//! where they lie, whichever of them make a window: nothing is rolled, cut or put together.

mod back;

use crate::math::exp;
use crate::panel::{Panels, lanes};
use crate::share::TASKS;
use crate::tile::{Activation, Run, Tiles};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;

/// Queries that one task answers, where there are few windows and heads.
const QUERIES: usize = 100;

/// Which tokens attend to which.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub size: usize,
    /// Tokens of an image.
    pub tokens: usize,
    /// The tokens of each window, counted within an image: they attend to each other. All windows have as many.
    pub windows: &'a [Vec<usize>],
    /// What is added to the fit of a query and a key: `[windows, heads, window tokens, window tokens]`, or the same for all windows,
    /// `[1, heads, window tokens, window tokens]`.
    pub bias: Option<&'a [f32]>,
}

/// A part of the queries of a window, for one head.
struct Task<'a> {
    image: usize,
    window: usize,
    head: usize,
    /// The first query.
    first: usize,
    out: Vec<&'a mut [f32]>,
}

impl Attention<'_> {
    /// Attention of each head. It is written into `out`, whatever that held; tokens of no window keep it.
    ///
    /// # Shapes
    /// - qkv: `[batch, tokens, 3, heads, size]`
    /// - output: `[batch, tokens, heads, size]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes.
    pub fn forward(&self, qkv: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let Self { heads, size, tokens, windows, .. } = *self;
        let image = tokens * heads * size;
        assert!(image > 0 && qkv.len().is_multiple_of(3 * image), "floats of queries, keys and values");
        let batch = qkv.len() / (3 * image);
        let keys = windows.first().map_or(0, Vec::len);
        let square = heads * keys * keys;
        let biases = self.bias.map_or(1, |bias| bias.len() / square.max(1));
        assert!(self.bias.is_none_or(|bias| bias.len() == biases * square), "floats of a bias");
        assert!(biases == 1 || biases == windows.len(), "windows of a bias");
        out.resize(batch * image, 0.0);

        let few = batch * windows.len() * heads < TASKS * rayon::current_num_threads();
        let asking_at_once = if few { QUERIES } else { keys };

        let mut rows: Vec<Option<&mut [f32]>> = out.chunks_exact_mut(size).map(Some).collect();
        let mut tasks = Vec::new();
        for image in 0..batch {
            for (window, members) in windows.iter().enumerate() {
                for head in 0..heads {
                    for (part, asking) in members.chunks(asking_at_once).enumerate() {
                        let mut row = |token: &usize| {
                            rows[(image * tokens + token) * heads + head]
                                .take()
                                .expect("a token in two windows")
                        };
                        let out = asking.iter().map(&mut row).collect();
                        tasks.push(Task { image, window, head, first: part * asking_at_once, out });
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
        let stride = self.weigh(qkv, [task.image, task.window, task.head], task.first, queries, &mut weights);
        let packed_values = self.packed(qkv, [task.image, task.window, task.head], 2);
        let bases: Vec<usize> = (0..queries).map(|row| row * stride).collect();
        let run = [Run { offset: 0, length: members.len() }];
        product(&weights, &bases, &packed_values, &run, None, &mut task.out);
        WEIGHTS.set(weights);
    }

    /// Where a part of a token stands for a head: its query (0), its key (1) or its value (2).
    fn place(&self, image: usize, head: usize, token: usize, part: usize) -> usize {
        (((image * self.tokens + token) * 3 + part) * self.heads + head) * self.size
    }

    /// A part of the tokens of a window, as a matrix of weights `[window tokens, size]`.
    fn packed(&self, qkv: &[f32], [image, window, head]: [usize; 3], part: usize) -> Panels {
        let members = &self.windows[window];
        let row = |key: usize| &qkv[self.place(image, head, members[key], part)..][..self.size];
        Panels::rows(members.len(), self.size, None, row)
    }

    /// How much some queries of a window look at each of its keys: `[queries, window tokens]`, whole vectors a row. Returns the
    /// floats of a row.
    fn weigh(
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
        let key = |key: usize| &qkv[self.place(image, head, members[key], 1)..][..size];
        let packed_keys = Panels::columns(size, keys, None, scale, key);
        let bias = self.bias.map(|bias| {
            let window = if bias.len() == heads * keys * keys { 0 } else { window };
            &bias[((window * heads + head) * keys + first) * keys..][..queries * keys]
        });
        let stride = keys.next_multiple_of(lanes());
        weights.clear();
        weights.resize(queries * stride, f32::NEG_INFINITY);
        let asking = &members[first..][..queries];
        let bases: Vec<usize> = asking.iter().map(|&token| self.place(image, head, token, 0)).collect();
        let mut rows: Vec<&mut [f32]> =
            weights.chunks_exact_mut(stride).map(|row| &mut row[..keys]).collect();
        product(qkv, &bases, &packed_keys, &[Run { offset: 0, length: size }], bias, &mut rows);
        Arch::new().dispatch(Softmax { rows: weights, stride });
        stride
    }
}

thread_local! {
    /// How much queries look at keys.
    static WEIGHTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Rows of the source times a packed matrix.
fn product(
    source: &[f32],
    bases: &[usize],
    panels: &Panels,
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

/// Makes each row positive with a sum of one. A row has whole vectors; what is beyond its numbers is negative infinity.
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
