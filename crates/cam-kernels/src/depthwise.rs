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

/// The number of pixels of a row whose sums are in registers together.
const PIXELS: usize = 4;

/// The number of vectors of channels whose sums are in registers together.
const VECTORS: usize = 2;

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
        let [height, width] = self.depthwise.kernel;
        let rows = self.window.taps(0, height, self.size[0], self.y);
        let columns = self.out.len() / self.depthwise.bias.len();
        // Where the whole kernel is inside, pixels are computed together.
        let (window, length) = (self.window, self.size[1]);
        let reads = |column: usize| window.taps(1, width, length, column);
        let mut column = 0;
        while column < columns {
            let taps = reads(column);
            let last = column + PIXELS - 1;
            if taps.len() == width && last < columns && reads(last).len() == width {
                self.pixels::<S, PIXELS>(simd, column, &rows, &taps);
                column += PIXELS;
            } else {
                self.pixels::<S, 1>(simd, column, &rows, &taps);
                column += 1;
            }
        }
    }
}

impl Row<'_> {
    /// Computes some pixels, of which the first reads these rows and columns.
    #[inline(always)]
    fn pixels<S: Simd, const M: usize>(&mut self, simd: S, column: usize, rows: &Taps, columns: &Taps) {
        let channels = self.depthwise.bias.len();
        let mut first = 0;
        while first + VECTORS * S::F32_LANES <= channels {
            self.channels::<S, M, VECTORS>(simd, column, rows, columns, first);
            first += VECTORS * S::F32_LANES;
        }
        while first < channels {
            self.channels::<S, M, 1>(simd, column, rows, columns, first);
            first += S::F32_LANES;
        }
    }

    /// Computes some channels of some pixels. The last vector of channels may be partial.
    #[inline(always)]
    fn channels<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        column: usize,
        rows: &Taps,
        columns: &Taps,
        first: usize,
    ) {
        let Self { depthwise: Depthwise { weight, bias, kernel }, image, size, window, .. } = *self;
        let channels = bias.len();
        let mut sums = [load::<S, N>(simd, &bias[first..]); M];
        for (ky, y) in rows.iter() {
            for (kx, x) in columns.iter() {
                let at = (ky * kernel[1] + kx) * channels;
                let weights = load::<S, N>(simd, &weight[at + first..at + channels]);
                for (number, sums) in sums.iter_mut().enumerate() {
                    let at = (y * size[1] + x + number * window.stride[1]) * channels;
                    let pixels = load::<S, N>(simd, &image[at + first..at + channels]);
                    for v in 0..N {
                        sums[v] = simd.mul_add_e_f32s(pixels[v], weights[v], sums[v]);
                    }
                }
            }
        }
        for (number, mut sums) in sums.into_iter().enumerate() {
            if let Some(residual) = self.residual {
                let at = (column + number) * channels;
                let residual = load::<S, N>(simd, &residual[at + first..at + channels]);
                for v in 0..N {
                    sums[v] = simd.add_f32s(sums[v], residual[v]);
                }
            }
            let sums = self.activation.apply(simd, sums);
            let from = (column + number) * channels + first;
            let out = &mut self.out[from..(column + number + 1) * channels];
            match N * S::F32_LANES <= out.len() {
                true => S::as_mut_simd_f32s(&mut out[..N * S::F32_LANES]).0.copy_from_slice(&sums),
                false => simd.partial_store_f32s(out, sums[0]),
            }
        }
    }
}

/// Returns the first vectors of some floats, of which the last may be partial if it is the only one.
#[inline(always)]
fn load<S: Simd, const N: usize>(simd: S, floats: &[f32]) -> [S::f32s; N] {
    if N * S::F32_LANES <= floats.len() {
        return S::as_simd_f32s(floats).0.as_chunks().0[0];
    }
    [simd.partial_load_f32s(floats); N]
}
