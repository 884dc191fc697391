//! A linear layer that is read where it lies, output by output.
//!
//! Of a few rows a large layer takes as long as its weights take to come from memory. So each is read once, and nothing is packed,
//! which would be a second copy of it. The weights of an output lie side by side: on the way back those of an output that has no
//! gradient, as that of a ReLU that lets nothing through, are not read at all.

use crate::share::{TASKS, first_channels};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// The floats of a row that are multiplied before the next outputs: those of four outputs stay in the cache for all rows meanwhile.
const DEPTH: usize = 2048;

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
        let heard = |output: &usize| rows.iter().any(|row| row[*output] != 0.0);
        let heard: Vec<usize> = (0..self.to).filter(heard).collect();
        out.clear();
        out.resize(rows.len() * self.from, 0.0);
        let inputs = self.from.div_ceil(TASKS * rayon::current_num_threads()).clamp(16, DEPTH);
        parts(&mut out, self.from, inputs).into_par_iter().for_each(|(first, out)| {
            Arch::new().dispatch(Backward { layer: self, gradient: &rows, heard: &heard, first, out });
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
        for out in &mut self.out {
            match self.layer.bias {
                Some(bias) => out.copy_from_slice(&bias[self.first..][..out.len()]),
                None => out.fill(0.0),
            }
        }
        let outputs = self.out.first().map_or(0, |out| out.len());
        for depth in (0..self.layer.from).step_by(DEPTH) {
            let part = depth..self.layer.from.min(depth + DEPTH);
            for at in (0..outputs).step_by(4) {
                // Where there are fewer than four outputs or two rows, the last is computed again, which costs less than it reads.
                let weights = [0, 1, 2, 3]
                    .map(|n| &self.layer.of(self.first + (at + n).min(outputs - 1))[part.clone()]);
                for row in (0..self.x.len()).step_by(2) {
                    let x = [row, (row + 1).min(self.x.len() - 1)].map(|row| &self.x[row][part.clone()]);
                    let sums = products(simd, weights, x);
                    for (out, sums) in self.out[row..].iter_mut().zip(sums) {
                        out[at..].iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                    }
                }
            }
        }
    }
}

/// Two rows times four outputs. By loops, as closures are not always compiled for the vectors of this machine.
#[inline(always)]
fn products<S: Simd>(simd: S, weights: [&[f32]; 4], x: [&[f32]; 2]) -> [[f32; 4]; 2] {
    let [(a, a_end), (b, b_end), (c, c_end), (d, d_end)] = weights.map(S::as_simd_f32s);
    let [(x, x_end), (y, y_end)] = x.map(S::as_simd_f32s);
    let mut sums = [[simd.splat_f32s(0.0); 4]; 2];
    for (((((&a, &b), &c), &d), &x), &y) in a.iter().zip(b).zip(c).zip(d).zip(x).zip(y) {
        sums = added(simd, sums, [a, b, c, d], [x, y]);
    }
    let weights = [a_end, b_end, c_end, d_end].map(|end| simd.partial_load_f32s(end));
    sums = added(simd, sums, weights, [x_end, y_end].map(|end| simd.partial_load_f32s(end)));
    sums.map(|sums| sums.map(|sum| simd.reduce_sum_f32s(sum)))
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

struct Backward<'a, 'b> {
    layer: &'a Outputs<'a>,
    gradient: &'a [&'a [f32]],
    /// The outputs that have a gradient in any row.
    heard: &'a [usize],
    /// The first input.
    first: usize,
    /// Of each row those from there on.
    out: Vec<&'b mut [f32]>,
}

impl WithSimd for Backward<'_, '_> {
    type Output = ();

    /// Outputs are added one after the other, so that a row has the same sums whatever is beside it.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let (fours, rest) = self.heard.as_chunks::<4>();
        for outputs in fours {
            self.add(*outputs);
        }
        for output in rest {
            self.add([*output]);
        }
    }
}

impl Backward<'_, '_> {
    #[inline(always)]
    fn add<const N: usize>(&mut self, outputs: [usize; N]) {
        for (gradient, out) in self.gradient.iter().zip(&mut self.out) {
            let weights: [&[f32]; N] =
                outputs.map(|output| &self.layer.of(output)[self.first..][..out.len()]);
            let gradient = outputs.map(|output| gradient[output]);
            for (at, out) in out.iter_mut().enumerate() {
                for n in 0..N {
                    *out += gradient[n] * weights[n][at];
                }
            }
        }
    }
}
