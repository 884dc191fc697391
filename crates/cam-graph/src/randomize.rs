//! Models with random parameters, for sanity checks of explanations.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor};
use std::ops::Range;

/// Returns a module with random numbers in a part of its parameters: those from `start` to `end` of all, as shares in the order in which the module
/// has them. `0.0..1.0` is all of them.
///
/// The numbers of each parameter are shuffled, so that they keep their distribution: a variance stays positive, and activations keep their size.
/// The same call gives the same module.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let net = LinearConfig::new(8, 8).init(&Device::flex());
/// let random = cam_graph::randomized(&net, 0.0..1.0);
/// let sum = |tensor: Tensor<2>| tensor.sum().into_scalar::<f32>();
/// assert!((sum(random.weight.val()) - sum(net.weight.val())).abs() < 1e-4);
/// assert_ne!(random.weight.to_data(), net.weight.to_data());
/// ```
pub fn randomized<M: Module>(module: &M, part: Range<f64>) -> M {
    let mut count = Count(0);
    module.visit(&mut count);
    let place = |share: f64| (share.clamp(0.0, 1.0) * count.0 as f64).round() as usize;
    let mut shuffle = Shuffle { part: place(part.start)..place(part.end), place: 0 };
    // A clone shares the running statistics of its norms with the module, and what maps it would change both.
    module.valid().map(&mut shuffle)
}

/// Counts parameters.
struct Count(usize);

impl ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.0 += 1;
    }
}

/// Shuffles the numbers of some parameters.
struct Shuffle {
    part: Range<usize>,
    place: usize,
}

impl ModuleMapper for Shuffle {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let place = self.place;
        self.place += 1;
        match self.part.contains(&place) {
            true => parameter.map(|tensor| shuffled(tensor, place as u64)),
            false => parameter,
        }
    }
}

/// Returns a tensor with its numbers in another order.
fn shuffled<const D: usize>(tensor: Tensor<D>, seed: u64) -> Tensor<D> {
    let (shape, device) = (tensor.dims(), tensor.device());
    let count: usize = shape.iter().product();
    let mut order: Vec<i64> = (0..count as i64).collect();
    for last in (1..count).rev() {
        let other = hash(seed, last as u64) % (last as u64 + 1);
        order.swap(last, other as usize);
    }
    let order: Tensor<1, Int> = Tensor::from_data(order.as_slice(), &device);
    tensor.reshape([count]).select(0, order).reshape(shape)
}

/// Mixes two numbers into one (splitmix64).
fn hash(seed: u64, index: u64) -> u64 {
    let z = seed
        .wrapping_mul(0xd134_2543_de82_ef95)
        .wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::Device;

    #[test]
    fn the_running_statistics_of_the_module_stay_as_they_are() {
        let norm: BatchNorm = BatchNormConfig::new(8).init(&Device::flex());
        let statistics = Tensor::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &Device::flex());
        norm.running_mean.update(statistics.clone());
        let random = randomized(&norm, 0.0..1.0);
        let numbers = |norm: &BatchNorm| norm.running_mean.value_sync().into_data();
        numbers(&norm).assert_eq(&statistics.into_data(), true);
        assert_ne!(numbers(&random), numbers(&norm));
    }
}
