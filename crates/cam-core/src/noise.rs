//! Seeded random numbers: the same on every device and every run. A seed has many streams, which do not depend on each other.

use crate::send;
use burn::Tensor;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};

/// Numbers of the normal distribution with mean 0; zeros where the deviation is no positive number.
pub(crate) fn normal<const D: usize>(
    shape: [usize; D],
    sigma: f64,
    [seed, stream]: [u64; 2],
    device: &Device,
) -> Tensor<D> {
    match Normal::new(0.0, sigma) {
        Ok(normal) if sigma > 0.0 => draw(shape, normal, [seed, stream], device),
        _ => Tensor::zeros(shape, device),
    }
}

/// Numbers between -1 and 1.
pub(crate) fn uniform<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let uniform = Uniform::new(-1.0, 1.0).expect("-1 is less than 1");
    draw(shape, uniform, [seed, 0], device)
}

fn draw<const D: usize>(
    shape: [usize; D],
    distribution: impl Distribution<f64>,
    [seed, stream]: [u64; 2],
    device: &Device,
) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let count = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|_| distribution.sample(&mut rng) as f32).collect();
    send::numbers(numbers, shape, device)
}
