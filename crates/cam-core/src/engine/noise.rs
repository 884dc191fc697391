//! Seeded random numbers: the same on every device and in every run. A seed has many streams, which do not depend on each other.

use super::upload;
use burn::Tensor;
use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};

/// A seed and one of its streams.
pub(crate) type Source = [u64; 2];

/// Draws numbers of the normal distribution with mean 0; zeros if the standard deviation is not a positive number. Each source gives as
/// many numbers, one source after the other.
pub(crate) fn normal<const D: usize>(
    shape: [usize; D],
    sigma: f64,
    sources: &[Source],
    device: &Device,
) -> Tensor<D> {
    match Normal::new(0.0, sigma) {
        Ok(normal) if sigma > 0.0 => draw(shape, normal, sources, device),
        _ => Tensor::zeros(shape, device),
    }
}

/// Draws numbers between -1 and 1. Each source gives as many numbers, one source after the other.
pub(crate) fn uniform<const D: usize>(shape: [usize; D], sources: &[Source], device: &Device) -> Tensor<D> {
    draw(shape, Uniform::new(-1.0, 1.0).expect("-1 is less than 1"), sources, device)
}

/// Draws numbers from 0 up to 1, on the host.
pub(crate) fn shares(count: usize, [seed, stream]: Source) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let shares = Uniform::new(0.0f32, 1.0).expect("0 is less than 1");
    shares.sample_iter(rng).take(count).collect()
}

fn draw<const D: usize>(
    shape: [usize; D],
    distribution: impl Distribution<f64>,
    sources: &[Source],
    device: &Device,
) -> Tensor<D> {
    let count = shape.iter().product::<usize>() / sources.len();
    let numbers_of = |&[seed, stream]: &Source| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        (&distribution).sample_iter(rng).take(count).map(|number| number as f32).collect::<Vec<_>>()
    };
    upload::floats(sources.iter().flat_map(numbers_of).collect(), shape, device)
}
