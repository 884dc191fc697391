//! Depthwise convolution. Channels are contiguous, so a vector holds several of them.

use crate::tile::Activation;
use crate::{ImageView, Window};
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
    fn with_simd<S: Simd>(self, simd: S) {
        let Row { depthwise, image, size, window, y, residual, activation, out } = self;
        let Depthwise { weight, bias, kernel } = depthwise;
        let channels = bias.len();
        for (column, out) in out.chunks_exact_mut(channels).enumerate() {
            out.copy_from_slice(bias);
            for (ky, y) in window.taps(0, kernel[0], size[0], y) {
                for (kx, x) in window.taps(1, kernel[1], size[1], column) {
                    let pixel = &image[(y * size[1] + x) * channels..][..channels];
                    let weight = &weight[(ky * kernel[1] + kx) * channels..][..channels];
                    let (sums, sums_end) = S::as_mut_simd_f32s(out);
                    let (pixels, pixels_end) = S::as_simd_f32s(pixel);
                    let (weights, weights_end) = S::as_simd_f32s(weight);
                    for ((sum, &pixel), &weight) in sums.iter_mut().zip(pixels).zip(weights) {
                        *sum = simd.mul_add_e_f32s(pixel, weight, *sum);
                    }
                    for ((sum, pixel), weight) in sums_end.iter_mut().zip(pixels_end).zip(weights_end) {
                        *sum += pixel * weight;
                    }
                }
            }
            if let Some(residual) = residual {
                for (out, residual) in out.iter_mut().zip(&residual[column * channels..]) {
                    *out += residual;
                }
            }
            activation.apply_to_slice(simd, out);
        }
    }
}
