//! Pooling.

use crate::{ImageView, Window};
use pulp::Arch;
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
                for (_, y) in window.taps(0, kernel[0], x.height, number % height) {
                    for (_, column) in window.taps(1, kernel[1], x.width, column) {
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
