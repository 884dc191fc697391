//! Bicubic resampling of one axis, antialiased when it shrinks: PyTorch's `interpolate(mode="bicubic", antialias=True)`.
//!
//! $$ y_i = \frac{\sum_j w((j - c_i + 1/2) / f) \thinspace x_j}{\sum_j w((j - c_i + 1/2) / f)}, \qquad
//! c_i = s (i + 1/2), \quad s = \frac{n}{m}, \quad f = \max(s, 1) $$
//!
//! with Keys' kernel $w$ (*Cubic Convolution Interpolation for Digital Image Processing*, IEEE TASSP 1981, equation 4) for
//! $a = -1/2$.

use burn::tensor::{Device, Tensor, TensorData};

/// Returns the matrix that resamples an axis of `from` positions to `to` positions.
///
/// # Shapes
/// - output: `[to, from]`
pub(crate) fn matrix(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut weights = vec![0f32; to * from];
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    for (row, weights) in weights.chunks_exact_mut(from).enumerate() {
        let center = scale * (row as f64 + 0.5);
        let support = 2.0 * stretch;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weight = |place: usize| keys((place as f64 - center + 0.5) / stretch);
        let sum: f64 = (first..end).map(weight).sum();
        for (place, slot) in (first..end).zip(&mut weights[first..end]) {
            *slot = (weight(place) / sum) as f32;
        }
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

/// Keys' kernel.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `torch.nn.functional.interpolate(x, size=(to,), mode="bicubic", antialias=True)` gives of 0, 1, 4, 9, 16 (in
    /// torch 2.15, on the last axis of an image of one row).
    const SQUARES: [f32; 5] = [0.0, 1.0, 4.0, 9.0, 16.0];

    fn resampled(to: usize) -> Vec<f32> {
        let squares = Tensor::<2>::from_floats([SQUARES], &Device::flex()).transpose();
        matrix(SQUARES.len(), to, &Device::flex()).matmul(squares).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn resampled_squares_are_those_of_pytorch() {
        for (to, expected) in [
            (3, &[0.169231, 4.195349, 13.338459][..]),
            (8, &[-0.071956, 0.243749, 1.128906, 2.847656, 5.347656, 8.628906, 13.488184, 16.503689][..]),
        ] {
            let ours = resampled(to);
            assert_eq!(ours.len(), expected.len());
            for (a, b) in ours.iter().zip(expected) {
                // f32 of values up to 16, added up in another order.
                assert!((a - b).abs() < 1e-5, "{ours:?} is not {expected:?}");
            }
        }
    }

    #[test]
    fn the_same_length_changes_nothing() {
        assert_eq!(resampled(5), SQUARES);
    }
}
