//! A linear layer whose weights are read in place, output by output.
//!
//! For a few rows the time of a large layer is the time to load its weights from memory. So each weight is read once, and zeros is
//! packed, which would take a second copy. The weights of an output are contiguous: the backward pass does not read those of an output
//! without a gradient, such as that of an inactive ReLU.

use crate::partition::{TASKS_PER_THREAD, split_channels};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// The number of weights of an output that are multiplied with all rows before the next, so that they stay in the L1 cache. The rows
/// of the weights are read from end to end: memory delivers them twice as fast as in short pieces.
const DEPTH: usize = 1024;

/// The number of outputs that the backward pass processes together.
const OUTPUTS: usize = 8;

/// The number of floats, over all rows, in which a part of the backward pass accumulates gradients: they stay in a core's own cache.
const ACCUMULATED: usize = 128 << 10;

/// The number of parts of the outputs in the backward pass. It is fixed, so that the order of a sum does not depend on the machine.
const PARTS: usize = 8;

/// A linear layer for a few rows, $y_{no} = b_o + \sum_i w_{oi} x_{ni}$, whose weights are read in place.
#[derive(Debug, Clone, Copy)]
pub struct Gemv<'a> {
    /// `[out_features, in_features]`
    weight: &'a [f32],
    /// `[out_features]`
    bias: Option<&'a [f32]>,
    from: usize,
    to: usize,
}

impl<'a> Gemv<'a> {
    /// Makes a layer of these weights.
    ///
    /// # Shapes
    /// - weight: `[out_features, in_features]`
    /// - bias: `[out_features]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape or is empty.
    pub fn new(weight: &'a [f32], [to, from]: [usize; 2], bias: Option<&'a [f32]>) -> Self {
        assert!(to > 0 && from > 0, "{from} inputs, {to} outputs");
        assert_eq!(weight.len(), to * from, "length of the weight");
        assert!(bias.is_none_or(|bias| bias.len() == to), "length of the bias");
        Self { weight, bias, from, to }
    }

    /// Returns the outputs of some rows. The result is written into `out`, whose contents are ignored.
    ///
    /// # Shapes
    /// - x: `[rows, in_features]`
    /// - output: `[rows, out_features]`
    ///
    /// # Panics
    /// Panics if `x` does not consist of whole rows.
    pub fn forward(&self, x: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let rows: Vec<&[f32]> = rows(x, self.from);
        out.resize(rows.len() * self.to, 0.0);
        let outputs = self.to.div_ceil(TASKS_PER_THREAD * rayon::current_num_threads()).next_multiple_of(4);
        parts(&mut out, self.to, outputs).into_par_iter().for_each(|(first, out)| {
            Arch::new().dispatch(Forward { layer: self, x: &rows, first, out });
        });
        out
    }

    /// Returns the gradient of the input rows, given the gradient of the outputs. The result is written into `out`, whose contents are ignored.
    ///
    /// # Shapes
    /// - gradient: `[rows, out_features]`
    /// - output: `[rows, in_features]`
    ///
    /// # Panics
    /// Panics if the gradient does not consist of whole rows.
    pub fn backward(&self, gradient: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let rows: Vec<&[f32]> = rows(gradient, self.to);
        let floats = rows.len() * self.from;
        let outputs: Vec<usize> = (0..self.to).collect();
        let part = |outputs: &[usize]| {
            let active = |output: &&usize| rows.iter().any(|row| row[**output] != 0.0);
            let active: Vec<usize> = outputs.iter().filter(active).copied().collect();
            let mut out = vec![0.0; floats];
            Arch::new().dispatch(Backward { layer: self, gradient: &rows, active: &active, out: &mut out });
            out
        };
        let parts: Vec<Vec<f32>> = outputs.par_chunks(self.to.div_ceil(PARTS)).map(part).collect();
        out.clear();
        out.resize(floats, 0.0);
        out.par_chunks_mut(DEPTH).enumerate().for_each(|(number, out)| {
            for part in &parts {
                out.iter_mut().zip(&part[number * DEPTH..]).for_each(|(out, sum)| *out += sum);
            }
        });
        out
    }

    /// Returns the weights of an output.
    fn weights(&self, output: usize) -> &'a [f32] {
        &self.weight[output * self.from..][..self.from]
    }
}

fn rows(floats: &[f32], width: usize) -> Vec<&[f32]> {
    assert!(floats.len().is_multiple_of(width), "whole rows");
    floats.chunks_exact(width).collect()
}

/// Splits rows into parts of some columns: the first column of each part, and its columns of every row.
fn parts(out: &mut [f32], width: usize, columns: usize) -> Vec<(usize, Vec<&mut [f32]>)> {
    let mut rows: Vec<&mut [f32]> = out.chunks_exact_mut(width).collect();
    let part = |first| (first, split_channels(&mut rows, columns.min(width - first)));
    (0..width).step_by(columns).map(part).collect()
}

struct Forward<'a, 'b> {
    layer: &'a Gemv<'a>,
    x: &'a [&'a [f32]],
    /// The index of the first output.
    first: usize,
    /// The outputs of each row from `first` on.
    out: Vec<&'b mut [f32]>,
}

impl WithSimd for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (from, rows, zeros) = (self.layer.from, self.x.len(), [[simd.splat_f32s(0.0); 4]; 2]);
        let outputs = self.out.first().map_or(0, |out| out.len());
        let mut sums = vec![zeros; rows.div_ceil(2)];
        for at in (0..outputs).step_by(4) {
            // Where fewer than four outputs or two rows are left, the last is computed again, which costs less than reading it.
            let weights = [0, 1, 2, 3].map(|n| self.layer.weights(self.first + (at + n).min(outputs - 1)));
            sums.fill(zeros);
            for depth in (0..from).step_by(DEPTH) {
                let part = depth..from.min(depth + DEPTH);
                let weights = weights.map(|weights| &weights[part.clone()]);
                for (pair, sums) in sums.iter_mut().enumerate() {
                    let x = [0, 1].map(|n| &self.x[(2 * pair + n).min(rows - 1)][part.clone()]);
                    *sums = add_products(simd, *sums, weights, x);
                }
            }
            for (out, sums) in self.out.iter_mut().zip(sums.as_flattened()) {
                for ((output, out), &sum) in (at..).zip(&mut out[at..]).zip(sums) {
                    let bias = self.layer.bias.map_or(0.0, |bias| bias[self.first + output]);
                    *out = bias + simd.reduce_sum_f32s(sum);
                }
            }
        }
    }
}

/// Adds the products of two rows and four outputs to the sums. Uses loops, as closures are not always compiled for the vectors of this
/// machine.
#[inline(always)]
fn add_products<S: Simd>(
    simd: S,
    mut sums: [[S::f32s; 4]; 2],
    weights: [&[f32]; 4],
    x: [&[f32]; 2],
) -> [[S::f32s; 4]; 2] {
    let [(a, a_end), (b, b_end), (c, c_end), (d, d_end)] = weights.map(S::as_simd_f32s);
    let [(x, x_end), (y, y_end)] = x.map(S::as_simd_f32s);
    for (((((&a, &b), &c), &d), &x), &y) in a.iter().zip(b).zip(c).zip(d).zip(x).zip(y) {
        sums = add_product(simd, sums, [a, b, c, d], [x, y]);
    }
    if x_end.is_empty() {
        return sums;
    }
    let weights = [a_end, b_end, c_end, d_end].map(|end| simd.partial_load_f32s(end));
    add_product(simd, sums, weights, [x_end, y_end].map(|end| simd.partial_load_f32s(end)))
}

#[inline(always)]
fn add_product<S: Simd>(
    simd: S,
    mut sums: [[S::f32s; 4]; 2],
    weights: [S::f32s; 4],
    x: [S::f32s; 2],
) -> [[S::f32s; 4]; 2] {
    for row in 0..2 {
        for output in 0..4 {
            sums[row][output] = simd.mul_add_e_f32s(x[row], weights[output], sums[row][output]);
        }
    }
    sums
}

struct Backward<'a> {
    layer: &'a Gemv<'a>,
    gradient: &'a [&'a [f32]],
    /// The outputs that have a nonzero gradient in any row.
    active: &'a [usize],
    /// `[rows, in_features]`
    out: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    /// Adds outputs one after the other, so that the sums of a row do not depend on the other rows.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let from = self.layer.from;
        let (many, rest) = self.active.as_chunks::<OUTPUTS>();
        let width = (ACCUMULATED / self.gradient.len().max(1)).next_multiple_of(DEPTH);
        for first in (0..from).step_by(width) {
            let inputs = first..from.min(first + width);
            for outputs in many {
                self.add(simd, *outputs, inputs.clone());
            }
            for output in rest {
                self.add(simd, [*output], inputs.clone());
            }
        }
    }
}

impl Backward<'_> {
    /// Adds the contributions of some outputs to some inputs of all rows.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&mut self, simd: S, outputs: [usize; N], inputs: Range<usize>) {
        for first in inputs.clone().step_by(DEPTH) {
            let part = first..inputs.end.min(first + DEPTH);
            let weights = outputs.map(|output| S::as_simd_f32s(&self.layer.weights(output)[part.clone()]));
            for (gradient, out) in self.gradient.iter().zip(self.out.chunks_exact_mut(self.layer.from)) {
                let gradient = outputs.map(|output| simd.splat_f32s(gradient[output]));
                let (out, end) = S::as_mut_simd_f32s(&mut out[part.clone()]);
                let whole = weights.map(|(whole, _)| &whole[..out.len()]);
                for (at, out) in out.iter_mut().enumerate() {
                    let mut sum = *out;
                    for n in 0..N {
                        sum = simd.mul_add_e_f32s(gradient[n], whole[n][at], sum);
                    }
                    *out = sum;
                }
                if !end.is_empty() {
                    let mut sum = simd.partial_load_f32s(end);
                    for n in 0..N {
                        sum = simd.mul_add_e_f32s(gradient[n], simd.partial_load_f32s(weights[n].1), sum);
                    }
                    simd.partial_store_f32s(end, sum);
                }
            }
        }
    }
}
