//! Depthwise convolution. Channels are contiguous, so a vector holds several of them.

use crate::tile::Activation;
use crate::view::{ImageView, Taps, Window};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::borrow::Cow;

#[derive(Debug)]
pub(crate) struct Depthwise {
    /// `[kernel height, kernel width, channels]`
    weight: Vec<f32>,
    bias: Vec<f32>,
    kernel: [usize; 2],
}

impl Depthwise {
    /// # Shapes
    /// - weight: `[channels, 1, kernel height, kernel width]`
    pub(crate) fn new(weight: &[f32], kernel: [usize; 2], bias: Option<&[f32]>, channels: usize) -> Self {
        let taps = kernel[0] * kernel[1];
        let weight = (0..taps * channels).map(|at| weight[at % channels * taps + at / channels]).collect();
        Self { weight, bias: bias.map_or(vec![0.0; channels], <[f32]>::to_vec), kernel }
    }

    pub(crate) fn forward(
        &self,
        x: ImageView<'_>,
        window: Window,
        [height, width]: [usize; 2],
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) {
        let floats = to_channels_last(x);
        let row = width * x.channels;
        let image = x.height * x.width * x.channels;
        out.par_chunks_mut(row).enumerate().for_each(|(number, out)| {
            Arch::new().dispatch(Row {
                depthwise: self,
                image: &floats[number / height * image..][..image],
                size: [x.height, x.width],
                window,
                y: number % height,
                residual: residual.map(|residual| &residual[number * row..][..row]),
                activation,
                out,
            });
        });
    }
}

fn to_channels_last(x: ImageView<'_>) -> Cow<'_, [f32]> {
    if x.channels_last {
        return x.floats.into();
    }
    let area = x.height * x.width;
    let value = |at: usize| {
        let (pixel, channel) = (at / x.channels, at % x.channels);
        x.floats[(pixel / area * x.channels + channel) * area + pixel % area]
    };
    (0..x.floats.len()).map(value).collect()
}

/// The computation of a row of outputs.
struct Row<'a> {
    depthwise: &'a Depthwise,
    image: &'a [f32],
    size: [usize; 2],
    window: Window,
    y: usize,
    residual: Option<&'a [f32]>,
    activation: Activation,
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.window.taps(0, self.depthwise.kernel[0], self.size[0], self.y);
        let channels = self.depthwise.bias.len();
        let columns = self.out.len() / channels;
        // Computes blocks of neighboring pixels, for a kernel of this width: a block of 8 reads 7 strides and a kernel of a row.
        macro_rules! blocks {
            ($kernel:literal, $stride:literal) => {{
                let mut column = 0;
                while column < columns {
                    let count = match columns - column {
                        rest @ (1 | 2 | 7) => rest,
                        rest @ 3..7 => rest.min(4),
                        _ => 8,
                    };
                    for first in (0..channels).step_by(S::F32_LANES) {
                        let at = [column, first];
                        match count {
                            1 => self.block::<S, $kernel, $stride, 1, $kernel>(simd, &rows, at),
                            2 => self.block::<S, $kernel, $stride, 2, { $stride + $kernel }>(simd, &rows, at),
                            3 => self
                                .block::<S, $kernel, $stride, 3, { 2 * $stride + $kernel }>(simd, &rows, at),
                            4 => self
                                .block::<S, $kernel, $stride, 4, { 3 * $stride + $kernel }>(simd, &rows, at),
                            7 => self
                                .block::<S, $kernel, $stride, 7, { 6 * $stride + $kernel }>(simd, &rows, at),
                            _ => self
                                .block::<S, $kernel, $stride, 8, { 7 * $stride + $kernel }>(simd, &rows, at),
                        }
                    }
                    column += count;
                }
            }};
        }
        match (self.depthwise.kernel[1], self.window.stride[1], self.window.dilation[1]) {
            (3, 1, 1) => blocks!(3, 1),
            (3, 2, 1) => blocks!(3, 2),
            (5, 1, 1) => blocks!(5, 1),
            (5, 2, 1) => blocks!(5, 2),
            (7, 1, 1) => blocks!(7, 1),
            _ => {
                for column in 0..columns {
                    for first in (0..channels).step_by(S::F32_LANES) {
                        self.pixel(simd, &rows, [column, first]);
                    }
                }
            }
        }
    }
}

impl Row<'_> {
    /// Computes a vector of channels of M neighboring pixels, for a kernel of width K. Together they read P pixels of a row, each once.
    #[inline(always)]
    fn block<S: Simd, const K: usize, const STRIDE: usize, const M: usize, const P: usize>(
        &mut self,
        simd: S,
        rows: &Taps,
        [column, first]: [usize; 2],
    ) {
        let Self { depthwise: Depthwise { weight, bias, .. }, image, size: [_, width], window, .. } = *self;
        let channels = bias.len();
        let mut sums = [load(simd, &bias[first..]); M];
        for (ky, y) in rows.iter() {
            let line = &image[y * width * channels..][..width * channels];
            // Padding is zero.
            let mut pixels = [simd.splat_f32s(0.0); P];
            for (at, pixel) in pixels.iter_mut().enumerate() {
                let x = (column * STRIDE + at).wrapping_sub(window.padding[1]);
                if x < width {
                    *pixel = load(simd, &line[x * channels + first..(x + 1) * channels]);
                }
            }
            for kx in 0..K {
                let at = (ky * K + kx) * channels;
                let weight = load(simd, &weight[at + first..at + channels]);
                for m in 0..M {
                    sums[m] = simd.mul_add_e_f32s(pixels[kx + m * STRIDE], weight, sums[m]);
                }
            }
        }
        for (m, sum) in sums.into_iter().enumerate() {
            self.store(simd, sum, [column + m, first]);
        }
    }

    /// Computes a vector of channels of a pixel, for any kernel.
    #[inline(always)]
    fn pixel<S: Simd>(&mut self, simd: S, rows: &Taps, [column, first]: [usize; 2]) {
        let Self { depthwise: Depthwise { weight, bias, kernel }, image, size, window, .. } = *self;
        let channels = bias.len();
        let columns = window.taps(1, kernel[1], size[1], column);
        let mut sum = load(simd, &bias[first..]);
        for (ky, y) in rows.iter() {
            for (kx, x) in columns.iter() {
                let [weights, pixel] = [ky * kernel[1] + kx, y * size[1] + x].map(|at| at * channels);
                let weight = load(simd, &weight[weights + first..weights + channels]);
                let pixel = load(simd, &image[pixel + first..pixel + channels]);
                sum = simd.mul_add_e_f32s(pixel, weight, sum);
            }
        }
        self.store(simd, sum, [column, first]);
    }

    /// Stores a vector of channels of a pixel, with its residual and through the activation.
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, mut sum: S::f32s, [column, first]: [usize; 2]) {
        let channels = self.depthwise.bias.len();
        let here = column * channels + first..(column + 1) * channels;
        if let Some(residual) = self.residual {
            sum = simd.add_f32s(sum, load(simd, &residual[here.clone()]));
        }
        let [sum] = self.activation.apply(simd, [sum]);
        let out = &mut self.out[here];
        match out.split_at_mut_checked(S::F32_LANES) {
            Some((out, _)) => S::as_mut_simd_f32s(out).0[0] = sum,
            None => simd.partial_store_f32s(out, sum),
        }
    }
}

/// Returns the first vector of some floats, which may be partial.
#[inline(always)]
fn load<S: Simd>(simd: S, floats: &[f32]) -> S::f32s {
    match floats.split_at_checked(S::F32_LANES) {
        Some((floats, _)) => S::as_simd_f32s(floats).0[0],
        None => simd.partial_load_f32s(floats),
    }
}
