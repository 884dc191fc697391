//! The first principal component of an activation over its positions.
//!
//! With $M$ the $N \times C$ matrix of positions and channels, each channel less its mean, the projection is
//! $M v_1 = \sigma_1 u_1$ with $v_1$ the first right singular vector. It is found from the smaller of the Gram matrices
//! $M M^\top$ and $M^\top M$: on the device up to the Gram matrix, its eigenvector on the host.
//!
//! The sign of a singular vector is arbitrary, and what a decomposition happens to return turns some maps inside out. Our
//! rule: the projection is positive where the activation stands out from its mean, $\sum_n p_n (e_n - \bar e) \ge 0$ with
//! $e_n = \sum_c M_{nc}^2$.

use crate::{Error, read};
use burn::Tensor;
use burn::tensor::TensorData;
use nalgebra::{DMatrix, SymmetricEigen};

/// # Shapes
/// - activation: `[batch, channels, positions]`
/// - output: `[batch, positions]`
///
/// # Errors
/// [`Error::NonFinite`] where the activation is, [`Error::Device`] where its Gram matrix cannot be read.
pub(crate) fn first_component(activation: Tensor<3>) -> Result<Tensor<2>, Error> {
    let [_, channels, positions] = activation.dims();
    let centred = activation.clone() - activation.mean_dim(2);
    let projection = if positions <= channels {
        let gram = centred.clone().swap_dims(1, 2).matmul(centred.clone());
        leading_vectors(gram, |value| value.max(0.0).sqrt())?
    } else {
        let gram = centred.clone().matmul(centred.clone().swap_dims(1, 2));
        leading_vectors(gram, |_| 1.0)?.matmul(centred.clone())
    };
    Ok(standing_out_positive(projection, centred))
}

/// The first component in the space of a kernel, $\sqrt{\lambda_1} a_1$ of the centred kernel matrix. The kernel gets the
/// products of centred positions, `[batch, positions, positions]`.
///
/// # Shapes
/// - activation: `[batch, channels, positions]`
/// - output: `[batch, positions]`
///
/// # Errors
/// As [`first_component`].
pub(crate) fn kernel_component(
    activation: Tensor<3>,
    kernel: impl Fn(Tensor<3>) -> Tensor<3>,
) -> Result<Tensor<2>, Error> {
    let centred = activation.clone() - activation.mean_dim(2);
    let matrix = kernel(centred.clone().swap_dims(1, 2).matmul(centred.clone()));
    let (rows, columns) = (matrix.clone().mean_dim(2), matrix.clone().mean_dim(1));
    let all = rows.clone().mean_dim(1);
    let positions = centred.dims()[2] as f64;
    // Of equal positions centring leaves the rounding of the kernel, which is of order one.
    let rounding = f64::from(f32::EPSILON) * positions;
    let length = |value: f64| if value > rounding { value.sqrt() } else { 0.0 };
    let projection = leading_vectors(matrix - rows - columns + all, length)?;
    Ok(standing_out_positive(projection, centred))
}

/// The first eigenvector of each symmetric matrix, of the length that its eigenvalue gives it.
///
/// # Shapes
/// - matrices: `[batch, side, side]`
/// - output: `[batch, 1, side]`
fn leading_vectors(matrices: Tensor<3>, length: impl Fn(f64) -> f64) -> Result<Tensor<3>, Error> {
    let [batch, side, _] = matrices.dims();
    let device = matrices.device();
    let numbers = read::numbers(matrices)?;
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(Error::NonFinite { what: "an activation".into() });
    }
    let mut vectors = Vec::with_capacity(batch * side);
    for matrix in numbers.chunks_exact(side * side) {
        let (value, vector) = leading(matrix, side);
        vectors.extend(vector.iter().map(|x| (x * length(value)) as f32));
    }
    Ok(Tensor::from_data(TensorData::new(vectors, [batch, 1, side]), &device))
}

/// A projection `[batch, 1, positions]` with the sign of our rule: `[batch, positions]`.
fn standing_out_positive(projection: Tensor<3>, centred: Tensor<3>) -> Tensor<2> {
    let distance = centred.square().sum_dim(1);
    let distance = distance.clone() - distance.mean_dim(2);
    let turned = (projection.clone() * distance).sum_dim(2).lower_elem(0.0);
    (projection * (turned.float() * -2.0 + 1.0)).squeeze_dim(1)
}

/// Projections `[batch, positions]` with the sign that makes the value of largest magnitude positive.
pub(crate) fn largest_positive(projection: Tensor<2>) -> Tensor<2> {
    let turned = projection.clone().max_dim(1).lower(projection.clone().min_dim(1).neg());
    projection * (turned.float() * -2.0 + 1.0)
}

/// The largest eigenvalue of a symmetric matrix and its eigenvector.
fn leading(gram: &[f32], side: usize) -> (f64, Vec<f64>) {
    let matrix = DMatrix::from_iterator(side, side, gram.iter().map(|&x| f64::from(x)));
    let eigen = SymmetricEigen::new(matrix);
    let first = eigen.eigenvalues.imax();
    (eigen.eigenvalues[first], eigen.eigenvectors.column(first).iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Power iteration on the covariance of the channels, with loops.
    fn slowly(activation: &[f32], channels: usize, positions: usize) -> Vec<f64> {
        let mut m = vec![vec![0f64; channels]; positions];
        for c in 0..channels {
            let row = &activation[c * positions..(c + 1) * positions];
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / positions as f64;
            for n in 0..positions {
                m[n][c] = f64::from(row[n]) - mean;
            }
        }
        let mut v = vec![1.0; channels];
        v[0] = 1.5;
        for _ in 0..20_000 {
            let projected: Vec<f64> = m.iter().map(|r| r.iter().zip(&v).map(|(a, b)| a * b).sum()).collect();
            let mut next = vec![0.0; channels];
            for (row, p) in m.iter().zip(&projected) {
                for c in 0..channels {
                    next[c] += row[c] * p;
                }
            }
            let norm = next.iter().map(|x| x * x).sum::<f64>().sqrt();
            v = next.iter().map(|x| x / norm).collect();
        }
        m.iter().map(|r| r.iter().zip(&v).map(|(a, b)| a * b).sum()).collect()
    }

    fn agrees(channels: usize, positions: usize) {
        let device = Device::flex();
        device.seed(7);
        let batch = Tensor::<3>::random([2, channels, positions], Distribution::Uniform(0.0, 1.0), &device);
        let ours: Vec<f32> = first_component(batch.clone()).unwrap().into_data().try_to_vec().unwrap();
        let numbers: Vec<f32> = batch.into_data().try_to_vec().unwrap();
        for (image, ours) in numbers.chunks_exact(channels * positions).zip(ours.chunks_exact(positions)) {
            let slow = slowly(image, channels, positions);
            let sign = if ours.iter().zip(&slow).map(|(a, b)| f64::from(*a) * b).sum::<f64>() < 0.0 {
                -1.0
            } else {
                1.0
            };
            for (a, b) in ours.iter().zip(&slow) {
                assert!((f64::from(*a) - sign * b).abs() < 1e-4, "{a} is not {}", sign * b);
            }
        }
    }

    #[test]
    fn it_is_the_first_component_from_either_gram_matrix() {
        agrees(3, 12);
        agrees(12, 5);
        agrees(6, 6);
    }

    #[test]
    fn it_is_positive_where_the_activation_stands_out() {
        // A blob in half of the channels, the others silent; more channels than positions and fewer.
        for channels in [2, 40] {
            let mut numbers = vec![0f32; channels * 16];
            for c in 0..channels / 2 {
                numbers[c * 16 + 5] = 3.0;
                numbers[c * 16 + 6] = 2.0;
            }
            let data = TensorData::new(numbers, [1, channels, 16]);
            let map: Vec<f32> = first_component(Tensor::from_data(data, &Device::flex()))
                .unwrap()
                .into_data()
                .try_to_vec()
                .unwrap();
            let peak = (0..16).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
            assert_eq!(peak, 5);
        }
    }

    #[test]
    fn a_constant_activation_gives_zeros() {
        let map = first_component(Tensor::ones([1, 4, 9], &Device::flex())).unwrap();
        assert!(map.into_data().try_to_vec::<f32>().unwrap().iter().all(|x| x.abs() < 1e-6));
    }

    #[test]
    fn what_is_not_finite_is_told() {
        let activation = Tensor::<3>::full([1, 2, 4], f32::NAN, &Device::flex());
        assert!(matches!(first_component(activation), Err(Error::NonFinite { .. })));
    }
}
