//! Gates of channels, as in squeeze-and-excitation.

use pulp::Arch;
use rayon::prelude::*;

/// The number of floats per task.
const TASK: usize = 8192;

/// Returns images times a gate of each channel. The result is written into `out`, whose contents are ignored.
///
/// # Shapes
/// - x, output: `[batch, pixels, channels]`
/// - gates: `[batch, channels]`
///
/// # Panics
/// Panics if the lengths of the slices do not fit.
pub fn gate(x: &[f32], gates: &[f32], [batch, pixels, channels]: [usize; 3], mut out: Vec<f32>) -> Vec<f32> {
    assert_eq!(x.len(), batch * pixels * channels, "length of the images");
    assert_eq!(gates.len(), batch * channels, "length of the gates");
    out.resize(x.len(), 0.0);
    if out.is_empty() {
        return out;
    }
    let (image, task) = (pixels * channels, (TASK / channels).max(1) * channels);
    let images = out.par_chunks_mut(image).zip(x.par_chunks(image)).zip(gates.par_chunks(channels));
    images.for_each(|((out, x), gates)| {
        out.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(out, x)| {
            Arch::new().dispatch(|| {
                for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    for ((out, x), gate) in out.iter_mut().zip(x).zip(gates) {
                        *out = x * gate;
                    }
                }
            });
        });
    });
    out
}
