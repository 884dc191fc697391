//! A linear layer that is read where it lies, output by output.
//!
//! Of a few rows a large layer takes as long as its weights take to come from memory. So each is read once, and nothing is packed,
//! which would be a second copy of it. The weights of an output lie side by side: on the way back those of an output that has no
//! gradient, as that of a ReLU that lets nothing through, are not read at all.

use crate::share::{TASKS, first_channels};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// The floats of some weights that are multiplied with all rows before the next, so that they stay in the nearest cache meanwhile.
/// The rows of the weights are walked from end to end: they come from memory twice as fast as in short pieces.
const DEPTH: usize = 1024;

/// The outputs that are gone through together on the way back.
const TOGETHER: usize = 8;

/// The floats of all rows in which a part of the way back gathers gradients before the next: they stay in a core's own cache.
const GATHERED: usize = 128 << 10;

/// The parts of the outputs on the way back, however many threads there are: the order of a sum does not depend on the machine.
const PARTS: usize = 8;

/// A linear layer, $y_{no} = b_o + \sum_i w_{oi} x_{ni}$.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// `[to, from]`
    weight: &'a [f32],
    /// `[to]`
    bias: Option<&'a [f32]>,
    from: usize,
    to: usize,
}

impl<'a> Outputs<'a> {
    /// A layer with these weights.
    ///
    /// # Shapes
    /// - weight: `[to, from]`
    /// - bias: `[to]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes, or one of them is empty.
    pub fn new(weight: &'a [f32], [to, from]: [usize; 2], bias: Option<&'a [f32]>) -> Self {
        assert!(to > 0 && from > 0, "{from} inputs, {to} outputs");
        assert_eq!(weight.len(), to * from, "floats of a weight");
        assert!(bias.is_none_or(|bias| bias.len() == to), "floats of a bias");
        Self { weight, bias, from, to }
    }

    /// What the layer makes of some rows. It is written into `out`, whatever that held.
    ///
    /// # Shapes
    /// - x: `[rows, from]`
    /// - output: `[rows, to]`
    ///
    /// # Panics
    /// Where `x` is not of whole rows.
    pub fn forward(&self, x: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let rows: Vec<&[f32]> = rows(x, self.from);
        out.resize(rows.len() * self.to, 0.0);
        let outputs = self.to.div_ceil(TASKS * rayon::current_num_threads()).next_multiple_of(4);
        parts(&mut out, self.to, outputs).into_par_iter().for_each(|(first, out)| {
            Arch::new().dispatch(Forward { layer: self, x: &rows, first, out });
        });
        out
    }

    /// The gradient at the rows of something whose gradient at the outputs is given. It is written into `out`, whatever that held.
    ///
    /// # Shapes
    /// - gradient: `[rows, to]`
    /// - output: `[rows, from]`
    ///
    /// # Panics
    /// Where the gradient is not of whole rows.
    pub fn backward(&self, gradient: &[f32], mut out: Vec<f32>) -> Vec<f32> {
        let rows: Vec<&[f32]> = rows(gradient, self.to);
        let floats = rows.len() * self.from;
        let outputs: Vec<usize> = (0..self.to).collect();
        let part = |outputs: &[usize]| {
            let heard = |output: &&usize| rows.iter().any(|row| row[**output] != 0.0);
            let heard: Vec<usize> = outputs.iter().filter(heard).copied().collect();
            let mut out = vec![0.0; floats];
            Arch::new().dispatch(Backward { layer: self, gradient: &rows, heard: &heard, out: &mut out });
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

    /// The weights of an output.
    fn of(&self, output: usize) -> &'a [f32] {
        &self.weight[output * self.from..][..self.from]
    }
}

fn rows(floats: &[f32], width: usize) -> Vec<&[f32]> {
    assert!(floats.len().is_multiple_of(width), "floats of a row");
    floats.chunks_exact(width).collect()
}

/// So many columns a part: the first, and these of every row.
fn parts(out: &mut [f32], width: usize, columns: usize) -> Vec<(usize, Vec<&mut [f32]>)> {
    let mut rows: Vec<&mut [f32]> = out.chunks_exact_mut(width).collect();
    let part = |first| (first, first_channels(&mut rows, columns.min(width - first)));
    (0..width).step_by(columns).map(part).collect()
}

struct Forward<'a, 'b> {
    layer: &'a Outputs<'a>,
    x: &'a [&'a [f32]],
    /// The first output.
    first: usize,
    /// Of each row those from there on.
    out: Vec<&'b mut [f32]>,
}

impl WithSimd for Forward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (from, rows, nothing) = (self.layer.from, self.x.len(), [[simd.splat_f32s(0.0); 4]; 2]);
        let outputs = self.out.first().map_or(0, |out| out.len());
        let mut sums = vec![nothing; rows.div_ceil(2)];
        for at in (0..outputs).step_by(4) {
            // Where there are fewer than four outputs or two rows, the last is computed again, which costs less than it reads.
            let weights = [0, 1, 2, 3].map(|n| self.layer.of(self.first + (at + n).min(outputs - 1)));
            sums.fill(nothing);
            for depth in (0..from).step_by(DEPTH) {
                let part = depth..from.min(depth + DEPTH);
                let weights = weights.map(|weights| &weights[part.clone()]);
                for (pair, sums) in sums.iter_mut().enumerate() {
                    let x = [0, 1].map(|n| &self.x[(2 * pair + n).min(rows - 1)][part.clone()]);
                    *sums = products(simd, *sums, weights, x);
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

/// Sums plus two rows times four outputs. By loops, as closures are not always compiled for the vectors of this machine.
#[inline(always)]
fn products<S: Simd>(
    simd: S,
    mut sums: [[S::f32s; 4]; 2],
    weights: [&[f32]; 4],
    x: [&[f32]; 2],
) -> [[S::f32s; 4]; 2] {
    let [(a, a_end), (b, b_end), (c, c_end), (d, d_end)] = weights.map(S::as_simd_f32s);
    let [(x, x_end), (y, y_end)] = x.map(S::as_simd_f32s);
    for (((((&a, &b), &c), &d), &x), &y) in a.iter().zip(b).zip(c).zip(d).zip(x).zip(y) {
        sums = added(simd, sums, [a, b, c, d], [x, y]);
    }
    if x_end.is_empty() {
        return sums;
    }
    let weights = [a_end, b_end, c_end, d_end].map(|end| simd.partial_load_f32s(end));
    added(simd, sums, weights, [x_end, y_end].map(|end| simd.partial_load_f32s(end)))
}

#[inline(always)]
fn added<S: Simd>(
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
    layer: &'a Outputs<'a>,
    gradient: &'a [&'a [f32]],
    /// The outputs that have a gradient in any row.
    heard: &'a [usize],
    /// `[rows, from]`
    out: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    /// Outputs are added one after the other, so that a row has the same sums whatever is beside it.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let from = self.layer.from;
        let (many, rest) = self.heard.as_chunks::<TOGETHER>();
        let width = (GATHERED / self.gradient.len().max(1)).next_multiple_of(DEPTH);
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
    /// What some outputs add to some inputs of all rows.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&mut self, simd: S, outputs: [usize; N], inputs: Range<usize>) {
        for first in inputs.clone().step_by(DEPTH) {
            let part = first..inputs.end.min(first + DEPTH);
            let weights = outputs.map(|output| S::as_simd_f32s(&self.layer.of(output)[part.clone()]));
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
