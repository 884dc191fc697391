//! Packed weights: panels of as many outputs as a tile is wide, in the order in which the kernel reads them.

use crate::aligned::Aligned;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;
use std::slice::ChunksExactMut;

/// Returns the number of vectors in a row of a tile, chosen so that a tile and a row of weights fit in the registers.
#[inline(always)]
pub(crate) fn columns<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Below this number of floats packing on one thread is faster, as for the keys of a head.
const SMALL: usize = 1 << 16;

/// Returns the number of outputs in a full panel and in a vector on this machine.
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

/// Returns the number of floats in a vector on this machine.
pub(crate) fn lanes() -> usize {
    widths()[1]
}

/// A matrix `[depth, outputs]` in panels, with a bias for each output.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    weights: Aligned,
    bias: Aligned,
    depth: usize,
    outputs: usize,
    /// The number of outputs in a full panel.
    width: usize,
    lanes: usize,
}

/// A panel: some outputs and their weights.
pub(crate) struct Panel<'a> {
    /// `[depth, width]`, zero beyond the outputs
    pub weights: &'a [f32],
    /// `[width]`
    pub bias: &'a [f32],
    /// The index of its first output.
    pub first: usize,
    /// The number of its outputs.
    pub outputs: usize,
    /// The number of outputs, rounded up to whole vectors.
    pub width: usize,
}

impl PackedMatrix {
    /// Packs `weight(k)(output)`.
    pub(crate) fn new<W: Fn(usize) -> f32>(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        weight: impl Fn(usize) -> W + Sync,
    ) -> Self {
        Self::fill_panels(depth, outputs, bias, |outputs, rows| {
            for (k, row) in rows.enumerate() {
                let weight = weight(k);
                for (packed, output) in row.iter_mut().zip(outputs.clone()) {
                    *packed = weight(output);
                }
            }
        })
    }

    /// Packs rows of `outputs` floats.
    pub(crate) fn from_rows<'a>(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        row: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        Self::fill_panels(depth, outputs, bias, |outputs, rows| {
            for (k, packed) in rows.enumerate() {
                packed[..outputs.len()].copy_from_slice(&row(k)[outputs.clone()]);
            }
        })
    }

    /// Packs columns of `depth` floats, times a factor.
    pub(crate) fn from_columns<'a>(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        factor: f32,
        column: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        Self::fill_panels(depth, outputs, bias, |outputs, mut rows| {
            let width = outputs.len();
            let columns: Vec<&[f32]> = outputs.map(&column).collect();
            for k in 0..depth {
                let row = &mut rows.next().expect("a row for each float of a column")[..width];
                row.iter_mut().zip(&columns).for_each(|(packed, column)| *packed = factor * column[k]);
            }
        })
    }

    /// Makes panels and fills each: `fill` gets the outputs of a panel and its rows.
    fn fill_panels(
        depth: usize,
        outputs: usize,
        bias: Option<&[f32]>,
        fill: impl Fn(Range<usize>, ChunksExactMut<'_, f32>) + Sync,
    ) -> Self {
        let [width, lanes] = widths();
        let rounded = outputs.next_multiple_of(lanes);
        let (weights, packed_bias) = (Aligned::zeros(depth * rounded), Aligned::zeros(rounded));
        let mut panels = Self { weights, bias: packed_bias, depth, outputs, width, lanes };
        if let Some(bias) = bias {
            panels.bias.get_mut()[..outputs].copy_from_slice(bias);
        }
        let ranges: Vec<(usize, usize)> = (0..panels.count()).map(|number| panels.range(number)).collect();
        let packed = panels.weights.get_mut();
        let fill = |(&(first, width), packed): (&(usize, usize), &mut [f32])| {
            fill(first..outputs.min(first + width), packed.chunks_exact_mut(width));
        };
        match packed.len() < SMALL {
            true => ranges.iter().zip(packed.chunks_mut((width * depth).max(1))).for_each(fill),
            false => ranges.par_iter().zip(packed.par_chunks_mut(width * depth)).for_each(fill),
        }
        panels
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn count(&self) -> usize {
        self.outputs.div_ceil(self.width)
    }

    /// Returns the first output of a panel and its width.
    fn range(&self, number: usize) -> (usize, usize) {
        let first = number * self.width;
        (first, (self.outputs.next_multiple_of(self.lanes) - first).min(self.width))
    }

    pub(crate) fn get(&self, number: usize) -> Panel<'_> {
        let (first, width) = self.range(number);
        Panel {
            weights: &self.weights.get()[first * self.depth..][..width * self.depth],
            bias: &self.bias.get()[first..][..width],
            first,
            outputs: width.min(self.outputs - first),
            width,
        }
    }
}
