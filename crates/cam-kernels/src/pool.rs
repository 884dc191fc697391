//! Pooling.

use crate::{ImageView, Window};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Returns the largest value of each channel under a kernel, ignoring the padding. The result is written into `out`, whose contents are
/// ignored.
///
/// # Shapes
/// - x: channels last
/// - output: `[batch, height, width, channels]`, see [`Window::output_size`]
///
/// # Panics
/// Panics if the image is in channels-first order.
pub fn max_pool(x: ImageView<'_>, kernel: [usize; 2], window: Window, mut out: Vec<f32>) -> Vec<f32> {
    assert!(x.channels_last, "channels last");
    let [height, width] = window.output_size([x.height, x.width], kernel);
    let row = width * x.channels;
    out.resize(x.batch * height * row, 0.0);
    if out.is_empty() {
        return out;
    }
    let image = x.height * x.width * x.channels;
    out.par_chunks_mut(row).enumerate().for_each(|(number, out)| {
        let image = &x.floats[number / height * image..][..image];
        Arch::new().dispatch(|| {
            for (column, out) in out.chunks_exact_mut(x.channels).enumerate() {
                out.fill(f32::NEG_INFINITY);
                for (_, y) in window.taps(0, kernel[0], x.height, number % height).iter() {
                    for (_, column) in window.taps(1, kernel[1], x.width, column).iter() {
                        let pixel = &image[(y * x.width + column) * x.channels..][..x.channels];
                        for (largest, &value) in out.iter_mut().zip(pixel) {
                            *largest = if value > *largest || value.is_nan() { value } else { *largest };
                        }
                    }
                }
            }
        });
    });
    out
}

/// Returns the mean of each channel under a kernel. The result is written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x: channels last
/// - output: `[batch, height, width, channels]`, see [`Window::output_size`]
///
/// # Panics
/// Panics if the image is in channels-first order, or the window has padding.
pub fn mean_pool(x: ImageView<'_>, kernel: [usize; 2], window: Window, mut out: Vec<f32>) -> Vec<f32> {
    assert!(x.channels_last && window.padding == [0, 0], "channels last, no padding");
    let [height, width] = window.output_size([x.height, x.width], kernel);
    let row = width * x.channels;
    out.resize(x.batch * height * row, 0.0);
    if out.is_empty() {
        return out;
    }
    let (image, share) = (x.height * x.width * x.channels, 1.0 / (kernel[0] * kernel[1]) as f32);
    out.par_chunks_mut(row).enumerate().for_each(|(number, out)| {
        let image = &x.floats[number / height * image..][..image];
        Arch::new().dispatch(|| {
            for (column, out) in out.chunks_exact_mut(x.channels).enumerate() {
                out.fill(0.0);
                for (_, y) in window.taps(0, kernel[0], x.height, number % height).iter() {
                    for (_, column) in window.taps(1, kernel[1], x.width, column).iter() {
                        let pixel = &image[(y * x.width + column) * x.channels..][..x.channels];
                        out.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                    }
                }
                out.iter_mut().for_each(|out| *out *= share);
            }
        });
    });
    out
}

/// The number of channels per task of [`mean`]: vectors of neighboring channels, and few enough for several tasks.
const CHANNELS: usize = 128;

/// The number of pixels that are summed before their sum is added to that of the others, so that rounding errors stay small.
const PIXELS: usize = 64;

/// Returns the mean of each channel of images. The result is written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x: channels last
/// - output: `[batch, channels]`
///
/// # Panics
/// Panics if the images are in channels-first order.
pub fn mean(x: ImageView<'_>, mut out: Vec<f32>) -> Vec<f32> {
    assert!(x.channels_last, "channels last");
    let (pixels, channels) = (x.height * x.width, x.channels);
    out.clear();
    out.resize(x.batch * channels, 0.0);
    if x.floats.is_empty() {
        return out;
    }
    let images = out.par_chunks_mut(channels).zip(x.floats.par_chunks(pixels * channels));
    images.for_each(|(out, image)| {
        out.par_chunks_mut(CHANNELS).enumerate().for_each(|(number, out)| {
            Arch::new().dispatch(Mean { image, channels, first: number * CHANNELS, out });
        });
    });
    out
}

/// The means of some channels of an image.
struct Mean<'a> {
    image: &'a [f32],
    channels: usize,
    first: usize,
    /// Zeros at first.
    out: &'a mut [f32],
}

impl WithSimd for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { image, channels, first, out } = self;
        let mut sums = [0.0; CHANNELS];
        let sums = &mut sums[..out.len()];
        for pixels in image.chunks(PIXELS * channels) {
            sums.fill(0.0);
            for pixel in pixels.chunks_exact(channels) {
                sums.iter_mut().zip(&pixel[first..]).for_each(|(sum, x)| *sum += x);
            }
            out.iter_mut().zip(&*sums).for_each(|(out, sum)| *out += sum);
        }
        let share = channels as f32 / image.len() as f32;
        out.iter_mut().for_each(|out| *out *= share);
    }
}
