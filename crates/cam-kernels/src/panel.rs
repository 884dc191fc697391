//! Weights as the kernel reads them: in panels of as many outputs as a tile is wide.

use crate::aligned::Aligned;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;
use std::slice::ChunksExactMut;

/// The vectors of a row of a tile, so that a tile and a row of weights fit in the registers.
#[inline(always)]
pub(crate) fn columns<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Floats that are packed sooner than they are shared out, as the keys of a head are.
const SMALL: usize = 1 << 16;

/// The outputs of a full panel, and of a vector, on this machine.
fn widths() -> [usize; 2] {
    struct Widths;
    impl WithSimd for Widths {
        type Output = [usize; 2];
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> [usize; 2] {
            [columns::<S>() * S::F32_LANES, S::F32_LANES]
        }
    }
    Arch::new().dispatch(Widths)
}

/// The outputs of a vector on this machine.
pub(crate) fn lanes() -> usize {
    widths()[1]
}

/// A matrix `[depth, outputs]` in panels, with a bias for each output.
#[derive(Debug)]
pub(crate) struct Panels {
    weights: Aligned,
    bias: Aligned,
    depth: usize,
    outputs: usize,
    /// Outputs of a full panel.
    width: usize,
    lanes: usize,
}

/// Some outputs and their weights.
pub(crate) struct Panel<'a> {
    /// `[depth, width]`, zero beyond the outputs
    pub weights: &'a [f32],
    /// `[width]`
    pub bias: &'a [f32],
    /// Its first output.
    pub first: usize,
    /// How many outputs it has.
    pub outputs: usize,
    /// Outputs rounded up to vectors.
    pub width: usize,
}

impl Panels {
    /// Packs `weight(k)(output)`.
    pub(crate) fn new<W: Fn(usize) -> f32>(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        weight: impl Fn(usize) -> W + Sync,
    ) -> Self {
        Self::filled(depth, outputs, bias, |outputs, rows| {
            for (k, row) in rows.enumerate() {
                let weight = weight(k);
                for (packed, output) in row.iter_mut().zip(outputs.clone()) {
                    *packed = weight(output);
                }
            }
        })
    }

    /// Packs rows of `outputs` floats.
    pub(crate) fn rows<'a>(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        row: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        Self::filled(depth, outputs, bias, |outputs, rows| {
            for (k, packed) in rows.enumerate() {
                packed[..outputs.len()].copy_from_slice(&row(k)[outputs.clone()]);
            }
        })
    }

    /// Packs columns of `depth` floats, times a factor.
    pub(crate) fn columns<'a>(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        factor: f32,
        column: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        Self::filled(depth, outputs, bias, |outputs, mut rows| {
            let width = outputs.len();
            let columns: Vec<&[f32]> = outputs.map(&column).collect();
            for k in 0..depth {
                let row = &mut rows.next().expect("a row for each float of a column")[..width];
                row.iter_mut().zip(&columns).for_each(|(packed, column)| *packed = factor * column[k]);
            }
        })
    }

    /// Panels that are filled each by itself: `fill` gets the outputs of a panel and its rows.
    fn filled(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        fill: impl Fn(Range<usize>, ChunksExactMut<'_, f32>) + Sync,
    ) -> Self {
        let [width, lanes] = widths();
        let rounded = outputs.next_multiple_of(lanes);
        let (weights, bias_of) = (Aligned::zeros(depth * rounded), Aligned::zeros(rounded));
        let mut panels = Self { weights, bias: bias_of, depth, outputs, width, lanes };
        if let Some(bias) = bias {
            panels.bias.get_mut()[..outputs].copy_from_slice(bias);
        }
        let places: Vec<(usize, usize)> = (0..panels.count()).map(|number| panels.place(number)).collect();
        let packed = panels.weights.get_mut();
        let fill = |(&(first, width), packed): (&(usize, usize), &mut [f32])| {
            fill(first..outputs.min(first + width), packed.chunks_exact_mut(width));
        };
        match packed.len() < SMALL {
            true => places.iter().zip(packed.chunks_mut((width * depth).max(1))).for_each(fill),
            false => places.par_iter().zip(packed.par_chunks_mut(width * depth)).for_each(fill),
        }
        panels
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn count(&self) -> usize {
        self.outputs.div_ceil(self.width)
    }

    /// The first output of a panel, and how wide it is.
    fn place(&self, number: usize) -> (usize, usize) {
        let first = number * self.width;
        (first, (self.outputs.next_multiple_of(self.lanes) - first).min(self.width))
    }

    pub(crate) fn get(&self, number: usize) -> Panel<'_> {
        let (first, width) = self.place(number);
        Panel {
            weights: &self.weights.get()[first * self.depth..][..width * self.depth],
            bias: &self.bias.get()[first..][..width],
            first,
            outputs: width.min(self.outputs - first),
            width,
        }
    }
}
