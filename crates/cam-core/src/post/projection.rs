//! The first principal component of an activation over its positions.
//!
//! With $M$ the $N \times C$ matrix of positions and channels, each channel minus its mean, the projection is
//! $M v_1 = \sigma_1 u_1$ with $v_1$ the first right singular vector. It is found from the smaller of the Gram matrices
//! $M M^\top$ and $M^\top M$: on the device up to the Gram matrix, its eigenvector on the host.
//!
//! The sign of a singular vector is arbitrary, and the one that a decomposition happens to return inverts some maps. Our
//! rule: the projection is positive where the activation stands out from its mean, $\sum_n p_n (e_n - \bar e) \ge 0$ with
//! $e_n = \sum_c M_{nc}^2$.

use crate::Error;
use crate::engine::{read, upload};
use burn::Tensor;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Projects an activation on its first principal component.
///
/// # Shapes
/// - activation: `[batch, channels, positions]`
/// - output: `[batch, positions]`
///
/// # Errors
/// [`Error::NonFinite`] if the activation is not finite, [`Error::Device`] if its Gram matrix cannot be read.
pub(crate) async fn first_component(activation: Tensor<3>) -> Result<Tensor<2>, Error> {
    let [_, channels, positions] = activation.dims();
    let centered = activation.clone() - activation.mean_dim(2);
    let projection = if positions <= channels {
        let gram = centered.clone().swap_dims(1, 2).matmul(centered.clone());
        leading_vectors(gram, |value| value.max(0.0).sqrt()).await?
    } else {
        let gram = centered.clone().matmul(centered.clone().swap_dims(1, 2));
        leading_vectors(gram, |_| 1.0).await?.matmul(centered.clone())
    };
    Ok(standing_out_positive(projection, centered))
}

/// Projects an activation on its first component in the space of a kernel, $\sqrt{\lambda_1} a_1$ of the centered kernel matrix. The kernel gets the
/// products of centered positions, `[batch, positions, positions]`.
///
/// # Shapes
/// - activation: `[batch, channels, positions]`
/// - output: `[batch, positions]`
///
/// # Errors
/// Those of [`first_component`].
pub(crate) async fn kernel_component(
    activation: Tensor<3>,
    kernel: impl Fn(Tensor<3>) -> Tensor<3>,
) -> Result<Tensor<2>, Error> {
    let centered = activation.clone() - activation.mean_dim(2);
    let matrix = kernel(centered.clone().swap_dims(1, 2).matmul(centered.clone()));
    let (rows, columns) = (matrix.clone().mean_dim(2), matrix.clone().mean_dim(1));
    let all = rows.clone().mean_dim(1);
    let positions = centered.dims()[2] as f64;
    // If all positions are equal, centering leaves the rounding of the kernel, which is of order one.
    let rounding = f64::from(f32::EPSILON) * positions;
    let length = |value: f64| if value > rounding { value.sqrt() } else { 0.0 };
    let projection = leading_vectors(matrix - rows - columns + all, length).await?;
    Ok(standing_out_positive(projection, centered))
}

/// Finds the first eigenvector of each symmetric matrix, with a length that depends on its eigenvalue.
///
/// # Shapes
/// - matrices: `[batch, side, side]`
/// - output: `[batch, 1, side]`
async fn leading_vectors(matrices: Tensor<3>, length: impl Fn(f64) -> f64) -> Result<Tensor<3>, Error> {
    let [batch, side, _] = matrices.dims();
    let device = matrices.device();
    let numbers = read::read_floats(matrices).await?;
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(Error::NonFinite { what: "an activation".into() });
    }
    let mut vectors = Vec::with_capacity(batch * side);
    for matrix in numbers.chunks_exact(side * side) {
        let (value, vector) = leading(matrix, side);
        vectors.extend(vector.iter().map(|x| (x * length(value)) as f32));
    }
    Ok(upload::floats(vectors, [batch, 1, side], &device))
}

/// Gives a projection `[batch, 1, positions]` the sign of our rule: `[batch, positions]`.
fn standing_out_positive(projection: Tensor<3>, centered: Tensor<3>) -> Tensor<2> {
    let distance = centered.square().sum_dim(1);
    let distance = distance.clone() - distance.mean_dim(2);
    let is_inverted = (projection.clone() * distance).sum_dim(2).lower_elem(0.0);
    (projection * (is_inverted.float() * -2.0 + 1.0)).squeeze_dim(1)
}

/// Gives projections `[batch, positions]` the sign that makes the value of largest magnitude positive.
pub(crate) fn largest_positive(projection: Tensor<2>) -> Tensor<2> {
    let is_inverted = projection.clone().max_dim(1).lower(projection.clone().min_dim(1).neg());
    projection * (is_inverted.float() * -2.0 + 1.0)
}

/// Finds the largest eigenvalue of a symmetric matrix and its eigenvector, by Lanczos' method: the matrix is projected on the space of a
/// vector and its first few products with the matrix, which grows until it contains the eigenvector. The other eigenvectors are not
/// computed.
fn leading(gram: &[f32], side: usize) -> (f64, Vec<f64>) {
    /// How far the product of the matrix and the vector may be from a multiple of the vector, relative to the largest eigenvalue.
    const RESIDUAL: f64 = 1e-9;
    let matrix = DMatrix::from_iterator(side, side, gram.iter().map(|&x| f64::from(x)));
    let (mut basis, mut diagonal, mut off_diagonal) = (Vec::<DVector<f64>>::new(), Vec::new(), Vec::new());
    // A start that is orthogonal to an eigenvector only by chance: the fractional parts of multiples of the golden ratio.
    let mut next =
        DVector::from_fn(side, |row, _| (0.618_033_988_749_895 * row as f64).fract() - 0.45).normalize();
    loop {
        let mut product = &matrix * &next;
        diagonal.push(product.dot(&next));
        basis.push(next);
        // Twice, because rounding leaves a part along the basis the first time.
        for direction in basis.iter().chain(&basis) {
            let share = product.dot(direction);
            product.axpy(-share, direction, 1.0);
        }
        let (steps, residual) = (basis.len(), product.norm());
        let largest = diagonal.iter().chain(&off_diagonal).fold(0.0, |most: f64, x| most.max(x.abs()));
        if steps.is_multiple_of(4) || steps == side || residual <= RESIDUAL * largest {
            let small = DMatrix::from_fn(steps, steps, |row, column| match row.abs_diff(column) {
                0 => diagonal[row],
                1 => off_diagonal[row.min(column)],
                _ => 0.0,
            });
            let eigen = SymmetricEigen::new(small);
            let first = eigen.eigenvalues.imax();
            let (value, shares) = (eigen.eigenvalues[first], eigen.eigenvectors.column(first));
            if steps == side || residual * shares[steps - 1].abs() <= RESIDUAL * largest {
                let vector =
                    basis.iter().zip(&shares).fold(DVector::zeros(side), |sum, (v, share)| sum + v * *share);
                return (value, vector.as_slice().to_vec());
            }
        }
        off_diagonal.push(residual);
        next = product / residual;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;
    use burn::tensor::{Device, Distribution, TensorData};

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
        let ours: Vec<f32> =
            block_on(first_component(batch.clone())).unwrap().into_data().try_to_vec().unwrap();
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

    type Entry<'a> = &'a dyn Fn(usize, usize) -> f32;

    #[test]
    fn the_eigenvector_is_that_of_the_whole_decomposition() {
        // A spectrum that falls slowly, two blocks that do not meet, nothing, one number, and a matrix of either sign.
        let slow = |i: usize, j: usize| (0.95f32).powi(i.abs_diff(j) as i32) + if i == j { 0.1 } else { 0.0 };
        let blocks =
            |i: usize, j: usize| if (i < 20) == (j < 20) { if i < 20 { 1.0 } else { 1.5 } } else { 0.0 };
        let signed = |i: usize, j: usize| ((i * j) as f32 * 0.37).sin();
        let cases: [(usize, Entry); 5] =
            [(150, &slow), (45, &blocks), (7, &|_, _| 0.0), (1, &|_, _| 3.0), (60, &signed)];
        for (side, entry) in cases {
            let gram: Vec<f32> = (0..side * side).map(|place| entry(place / side, place % side)).collect();
            let whole =
                SymmetricEigen::new(DMatrix::from_iterator(side, side, gram.iter().map(|&x| f64::from(x))));
            let first = whole.eigenvalues.imax();
            let (value, vector) = leading(&gram, side);
            assert!((value - whole.eigenvalues[first]).abs() <= 1e-8 * value.abs(), "{value}");
            let along: f64 = vector.iter().zip(&whole.eigenvectors.column(first)).map(|(a, b)| a * b).sum();
            assert!(value == 0.0 || (along.abs() - 1.0).abs() < 1e-8, "{side}: {along}");
        }
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
            let map: Vec<f32> = block_on(first_component(Tensor::from_data(data, &Device::flex())))
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
        let map = block_on(first_component(Tensor::ones([1, 4, 9], &Device::flex()))).unwrap();
        assert!(map.into_data().try_to_vec::<f32>().unwrap().iter().all(|x| x.abs() < 1e-6));
    }

    #[test]
    fn what_is_not_finite_is_an_error() {
        let activation = Tensor::<3>::full([1, 2, 4], f32::NAN, &Device::flex());
        assert!(matches!(block_on(first_component(activation)), Err(Error::NonFinite { .. })));
    }
}
