//! Pooling.

use crate::{Picture, Window};
use pulp::Arch;
use rayon::prelude::*;

/// The largest value of each channel under a kernel; what lies beyond the edges does not count. It is written into `out`, whatever
/// that held.
///
/// # Shapes
/// - x: channels last
/// - output: `[batch, height, width, channels]`, with the height and width that the window says
///
/// # Panics
/// Where the channels come first.
pub fn max_pool(x: Picture<'_>, kernel: [usize; 2], window: Window, mut out: Vec<f32>) -> Vec<f32> {
    assert!(x.channels_last, "pooling of channels that come first");
    let [height, width] = window.output([x.height, x.width], kernel);
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
                for (_, y) in window.seen(0, kernel[0], x.height, number % height) {
                    for (_, column) in window.seen(1, kernel[1], x.width, column) {
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
