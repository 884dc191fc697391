//! Views of images: mirrored, brighter, noisy.

use crate::Input;
use crate::engine::noise::normal;
use burn::Tensor;

/// A view of images: how it is made, and how a map of it is brought back to the images.
///
/// A closure `|input: I| -> I` is a view whose maps stay as they are; a pair of views is one after the other.
pub trait View<I: Input>: Send + Sync {
    /// Makes the view.
    fn apply(&self, input: I) -> I;

    /// Brings maps of the view back to the images.
    ///
    /// # Shapes
    /// - maps, output: `[batch, positions]`, on the grid given
    fn undo(&self, maps: Tensor<2>, _grid: &[usize]) -> Tensor<2> {
        maps
    }
}

impl<I: Input, F: Fn(I) -> I + Send + Sync> View<I> for F {
    fn apply(&self, input: I) -> I {
        self(input)
    }
}

impl<I: Input, A: View<I>, B: View<I>> View<I> for (A, B) {
    fn apply(&self, input: I) -> I {
        self.1.apply(self.0.apply(input))
    }

    fn undo(&self, maps: Tensor<2>, grid: &[usize]) -> Tensor<2> {
        self.0.undo(self.1.undo(maps, grid), grid)
    }
}

/// Mirrors along the last axis: swaps left and right of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip;

impl<I: Input> View<I> for Flip {
    fn apply(&self, input: I) -> I {
        let values = input.to_layer();
        let [batch, channels, positions] = values.dims();
        let flat = values.reshape([batch * channels, positions]);
        input.with_layer(mirror(flat, &input.grid()).reshape([batch, channels, positions]))
    }

    fn undo(&self, maps: Tensor<2>, grid: &[usize]) -> Tensor<2> {
        mirror(maps, grid)
    }
}

/// Mirrors rows `[rows, positions]` along the last axis of their grid.
///
/// It does not use `flip`, which Burn 0.22 treats as a `flip` of integers if kernels are fused: a remote device refuses it.
fn mirror(rows: Tensor<2>, grid: &[usize]) -> Tensor<2> {
    let [count, positions] = rows.dims();
    let last = grid.last().copied().unwrap_or(1);
    let reversed = Tensor::arange(0..last as i64, &rows.device()).neg() + (last as i64 - 1);
    rows.reshape([count * positions / last, last]).select(1, reversed).reshape([count, positions])
}

/// Multiplies the values by a number, as the network gets them (after normalization).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brightness(pub f32);

impl<I: Input> View<I> for Brightness {
    fn apply(&self, input: I) -> I {
        input.with_layer(input.to_layer() * self.0)
    }
}

/// Adds noise of the normal distribution, the same to all images of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// The standard deviation, in the units of the input as the network gets it.
    pub sigma: f64,
    /// The seed of the noise.
    pub seed: u64,
    /// Which stream of the seed; streams do not depend on each other.
    pub stream: u64,
}

impl<I: Input> View<I> for Noise {
    fn apply(&self, input: I) -> I {
        let values = input.to_layer();
        let [_, channels, positions] = values.dims();
        let noise =
            normal([1, channels, positions], self.sigma, &[[self.seed, self.stream]], &values.device());
        input.with_layer(values + noise)
    }
}
