//! Vectors of f64 on the host.

/// Numbers that are summed beside each other, in the registers of a CPU.
const LANES: usize = 8;

/// Returns the inner product.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Adds a multiple of another vector.
pub(crate) fn add(to: &mut [f64], times: f64, other: &[f64]) {
    to.iter_mut().zip(other).for_each(|(to, other)| *to += times * other);
}

/// Gives a vector the length 1, if it has any, and returns the length that it had.
pub(crate) fn normalize(vector: &mut [f64]) -> f64 {
    let largest = vector.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    // By the largest first: squares of what is huge overflow.
    vector.iter_mut().for_each(|x| *x /= largest);
    let length = dot(vector, vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    largest * length
}
