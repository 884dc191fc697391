//! The GEMM kernel: rows of the input times columns of the weights, in registers from the bias to the activation.
//!
//! $$ \text{out}_{po} = \mathrm{activation}\Big(b_o + \sum_k \text{source}_{\text{base}_p + k} w_{ko} + \text{residual}_{po}\Big) $$
//!
//! Each step loads one row of the panel into registers and multiplies it with one float of each input row. Six rows by four vectors
//! make 24 sums, which hide the latency of the multiplications and leave registers for the weights.

use crate::math::{clamp, gelu, hard_sigmoid, sigmoid};
use crate::packing::{Panel, columns};
use pulp::{Simd, WithSimd};

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// The identity.
    None,
    /// Negative values become zero.
    Relu,
    /// Negative values are multiplied by a slope.
    LeakyRelu(f32),
    /// Values are brought between two bounds, as by ReLU6.
    Clamp([f32; 2]),
    /// The exact GELU, $x \Phi(x)$.
    Gelu,
    /// $\sigma(x)$
    Sigmoid,
    /// $x \sigma(x)$, which is called swish, too.
    Silu,
    /// $\max(0, \min(1, x / 6 + 1 / 2))$
    HardSigmoid,
    /// $x \max(0, \min(1, x / 6 + 1 / 2))$
    HardSwish,
}

impl Activation {
    /// Applies the activation to some vectors. Uses loops and functions, as closures are not always compiled for the vectors of this machine.
    #[inline(always)]
    pub(crate) fn apply<S: Simd, const N: usize>(self, simd: S, mut x: [S::f32s; N]) -> [S::f32s; N] {
        let zero = simd.splat_f32s(0.0);
        match self {
            Activation::None => {}
            Activation::Gelu => x = gelu(simd, x),
            Activation::Relu => {
                for x in &mut x {
                    *x = simd.select_f32s(simd.less_than_f32s(*x, zero), zero, *x);
                }
            }
            Activation::LeakyRelu(slope) => {
                for x in &mut x {
                    let below = simd.mul_f32s(*x, simd.splat_f32s(slope));
                    *x = simd.select_f32s(simd.less_than_f32s(*x, zero), below, *x);
                }
            }
            Activation::Clamp([least, most]) => {
                for x in &mut x {
                    *x = clamp(simd, *x, simd.splat_f32s(least), simd.splat_f32s(most));
                }
            }
            Activation::Sigmoid => {
                for x in &mut x {
                    *x = sigmoid(simd, *x);
                }
            }
            Activation::Silu => {
                for x in &mut x {
                    *x = simd.mul_f32s(*x, sigmoid(simd, *x));
                }
            }
            Activation::HardSigmoid => {
                for x in &mut x {
                    *x = hard_sigmoid(simd, *x);
                }
            }
            Activation::HardSwish => {
                for x in &mut x {
                    *x = simd.mul_f32s(*x, hard_sigmoid(simd, *x));
                }
            }
        }
        x
    }
}

/// Contiguous floats of the input, and the same number of rows of weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The offset of the first float from the base of an output.
    pub offset: usize,
    /// The number of floats.
    pub length: usize,
}

/// The number of rows of weights that are multiplied before the next tile, so that they stay in the cache.
const BLOCK: usize = 384;

/// The computation of the outputs of some pixels and some panels.
pub(crate) struct Tiles<'a, 'b> {
    /// The input.
    pub source: &'a [f32],
    /// The offset of each pixel's input.
    pub bases: &'a [usize],
    /// The panels, with the runs of input that they read.
    pub panels: Vec<(Panel<'a>, &'a [Run])>,
    /// The residual, `[pixels, channels]`.
    pub residual: Option<&'a [f32]>,
    /// The number of channels per pixel of the residual.
    pub channels: usize,
    /// The first channel to compute.
    pub first: usize,
    /// The activation of each output.
    pub activation: Activation,
    /// The outputs of each pixel.
    pub out: &'a mut [&'b mut [f32]],
}

impl WithSimd for Tiles<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (panel, runs) in std::mem::take(&mut self.panels) {
            match panel.width / S::F32_LANES {
                1 => self.panel::<S, 1>(simd, &panel, runs),
                2 => self.panel::<S, 2>(simd, &panel, runs),
                3 if columns::<S>() > 2 => self.panel::<S, 3>(simd, &panel, runs),
                4 if columns::<S>() > 2 => self.panel::<S, 4>(simd, &panel, runs),
                _ => unreachable!("a panel is at most as wide as a tile"),
            }
        }
    }
}

impl Tiles<'_, '_> {
    #[inline(always)]
    fn panel<S: Simd, const N: usize>(&mut self, simd: S, panel: &Panel<'_>, runs: &[Run]) {
        let mut weights = panel.weights;
        let blocks = blocks(runs);
        for (number, runs) in blocks.iter().enumerate() {
            let depth: usize = runs.iter().map(|run| run.length).sum();
            let (here, rest) = weights.split_at(depth * panel.width);
            weights = rest;
            let step =
                Step { panel, runs, weights: here, first: number == 0, last: number + 1 == blocks.len() };
            // Tiles have nearly the same height: a last one of a single row would waste most of the registers.
            let tiles = self.bases.len().div_ceil(6);
            let mut pixel = 0;
            for tile in 0..tiles {
                let rows = (self.bases.len() - pixel).div_ceil(tiles - tile);
                match rows {
                    1 => self.tile::<S, 1, N>(simd, &step, pixel),
                    2 => self.tile::<S, 2, N>(simd, &step, pixel),
                    3 => self.tile::<S, 3, N>(simd, &step, pixel),
                    4 => self.tile::<S, 4, N>(simd, &step, pixel),
                    5 => self.tile::<S, 5, N>(simd, &step, pixel),
                    _ => self.tile::<S, 6, N>(simd, &step, pixel),
                }
                pixel += rows;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(&mut self, simd: S, step: &Step<'_>, pixel: usize) {
        let panel = step.panel;
        let at = panel.first - self.first;
        let whole = panel.outputs == N * S::F32_LANES;
        // The floats of vector `v`; the last panel may have fewer.
        let part =
            |v: usize| (v * S::F32_LANES).min(panel.outputs)..((v + 1) * S::F32_LANES).min(panel.outputs);
        let load = |floats: &[f32]| -> [S::f32s; N] {
            match whole {
                true => vectors::<S, N>(floats)[0],
                false => std::array::from_fn(|v| simd.partial_load_f32s(&floats[part(v)])),
            }
        };

        let bias = vectors::<S, N>(panel.bias)[0];
        let mut sums = [bias; M];
        if !step.first {
            for (sums, out) in sums.iter_mut().zip(&self.out[pixel..pixel + M]) {
                *sums = load(&out[at..][..panel.outputs]);
            }
        }

        let bases: &[usize; M] = self.bases[pixel..].first_chunk().expect("a base for each row");
        let mut weights = step.weights;
        for run in step.runs {
            let (here, rest) = weights.split_at(run.length * panel.width);
            weights = rest;
            let row = |number: usize| &self.source[bases[number] + run.offset..][..run.length];
            sums = add_products(simd, sums, row, vectors::<S, N>(here));
        }

        if step.last
            && let Some(residual) = self.residual
        {
            for (row, sums) in (pixel..).zip(&mut sums) {
                let residual = load(&residual[row * self.channels + panel.first..][..panel.outputs]);
                for v in 0..N {
                    sums[v] = simd.add_f32s(sums[v], residual[v]);
                }
            }
        }
        if step.last {
            for row in &mut sums {
                *row = self.activation.apply(simd, *row);
            }
        }
        for (sums, out) in sums.iter().zip(&mut self.out[pixel..pixel + M]) {
            let out = &mut out[at..][..panel.outputs];
            if whole {
                S::as_mut_simd_f32s(out).0.copy_from_slice(sums);
            } else {
                for (v, &sum) in sums.iter().enumerate() {
                    simd.partial_store_f32s(&mut out[part(v)], sum);
                }
            }
        }
    }
}

/// A block of rows of a panel's weights.
struct Step<'a> {
    panel: &'a Panel<'a>,
    runs: &'a [Run],
    weights: &'a [f32],
    /// Whether the sums start with the bias rather than with the sums of earlier blocks.
    first: bool,
    /// Whether the sums are complete after this block.
    last: bool,
}

/// Splits the runs into blocks; long runs are cut.
fn blocks(runs: &[Run]) -> Vec<Vec<Run>> {
    let mut blocks: Vec<Vec<Run>> = vec![vec![]];
    let mut filled = 0;
    for &Run { mut offset, mut length } in runs {
        while length > 0 {
            if filled == BLOCK {
                blocks.push(vec![]);
                filled = 0;
            }
            let part = length.min(BLOCK - filled);
            blocks.last_mut().expect("at least one block").push(Run { offset, length: part });
            (offset, length, filled) = (offset + part, length - part, filled + part);
        }
    }
    blocks
}

#[inline(always)]
fn vectors<S: Simd, const N: usize>(floats: &[f32]) -> &[[S::f32s; N]] {
    S::as_simd_f32s(floats).0.as_chunks().0
}

/// Adds the products of M rows with a panel to `sums`. Iterators walk the rows together, which needs no bounds checks; `sums` is a
/// value and the rows are never an array, so that the compiler keeps them in registers.
#[inline(always)]
fn add_products<'a, S: Simd, const M: usize, const N: usize>(
    simd: S,
    mut sums: [[S::f32s; N]; M],
    row: impl Fn(usize) -> &'a [f32],
    weights: &[[S::f32s; N]],
) -> [[S::f32s; N]; M] {
    macro_rules! walk {
        ([$($row:literal $x:ident)*] $pattern:pat, $iterator:expr;) => {
            for ($pattern, weights) in $iterator.zip(weights) {
                $(
                    let x = simd.splat_f32s(*$x);
                    for v in 0..N {
                        sums[$row][v] = simd.mul_add_e_f32s(x, weights[v], sums[$row][v]);
                    }
                )*
            }
        };
        ([$($done:tt)*] $pattern:pat, $iterator:expr; $row:literal $x:ident $($rest:tt)*) => {
            walk!([$($done)* $row $x] ($pattern, $x), $iterator.zip(row($row)); $($rest)*)
        };
    }
    match M {
        1 => walk!([0 a] a, row(0).iter();),
        2 => walk!([0 a] a, row(0).iter(); 1 b),
        3 => walk!([0 a] a, row(0).iter(); 1 b 2 c),
        4 => walk!([0 a] a, row(0).iter(); 1 b 2 c 3 d),
        5 => walk!([0 a] a, row(0).iter(); 1 b 2 c 3 d 4 e),
        6 => walk!([0 a] a, row(0).iter(); 1 b 2 c 3 d 4 e 5 f),
        _ => unreachable!("a tile has at most six rows"),
    }
    sums
}
