//! The doors by which a network comes to main memory: a part of it is computed there at once, or its tensors are given back.

use super::layers::linear_back;
use super::{Activation, Back, HostTensor, in_memory, on_tape, parameter};
use burn::backend::Flex;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

/// Work on pictures, `[batch, channels, height, width]`; they are given back where it cannot be done in main memory.
pub fn pictures_at_once(
    x: Tensor<4>,
    work: impl FnOnce(&HostTensor) -> Option<HostTensor>,
) -> Result<Tensor<4>, Tensor<4>> {
    let x = HostTensor::pictures(x)?;
    work(&x).map(HostTensor::into_pictures).ok_or_else(|| x.into_pictures())
}

/// Work on tokens, `[batch, tokens, channels]` or `[batch, height, width, channels]`; they are given back where it cannot be done in
/// main memory.
pub fn tokens_at_once<const D: usize, const N: usize>(
    x: [Tensor<D>; N],
    work: impl FnOnce([&HostTensor; N]) -> Option<HostTensor>,
) -> Result<Tensor<D>, [Tensor<D>; N]> {
    let x = x.map(HostTensor::tokens);
    let done = match x.iter().all(Result::is_ok) {
        true => work(x.each_ref().map(|x| x.as_ref().expect("all are in main memory"))),
        false => None,
    };
    done.map(HostTensor::into_tokens).ok_or_else(|| x.map(|x| x.map_or_else(|x| x, HostTensor::into_tokens)))
}

/// The floats of the images that a block is computed of together. What it makes of them on its way is some four times as much, and is
/// to stay in the cache; with fewer images the weights would be read more often.
const TOGETHER: usize = 150_000;

/// A block of a transformer, of tokens as in [`tokens_at_once`]: some images of the batch at a time.
pub fn block_at_once<const D: usize>(
    x: Tensor<D>,
    block: impl Fn(&HostTensor) -> Option<HostTensor>,
) -> Result<Tensor<D>, Tensor<D>> {
    let x = in_memory(x)?.to_contiguous();
    let batch = x.layout().shape()[0];
    let count = (TOGETHER * batch / x.layout().num_elements().max(1)).clamp(1, batch.max(1));
    let parts = (0..batch).step_by(count).map(|first| {
        let images = x.narrow(0, first, count.min(batch - first));
        block(&HostTensor::of_tokens(images))
    });
    match HostTensor::cat(parts) {
        Some(y) => Ok(y.into_tokens()),
        None => Err(Tensor::from_primitive::<Flex>(x)),
    }
}

/// A linear layer of tokens, also on a tape.
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    tokens_at_once([x], |[x]| x.linear(layer, None, Activation::None))
        .or_else(|[x]| {
            on_tape(x, |x| {
                let back = linear_back(layer)?;
                let y = x.linear(layer, None, Activation::None)?;
                Some((y, Back::new(move |gradient| gradient.back_through(&back))))
            })
        })
        .unwrap_or_else(|x| layer.forward(x))
}

/// The norm of each token over its channels, also on a tape.
pub fn layer_norm<const D: usize>(norm: &LayerNorm, epsilon: f64, x: Tensor<D>) -> Tensor<D> {
    tokens_at_once([x], |[x]| x.layer_norm(norm, epsilon))
        .or_else(|[x]| {
            on_tape(x, |x| {
                let gamma = parameter(&norm.gamma)?;
                let y = x.layer_norm(norm, epsilon)?;
                Some((y, Back::new(move |gradient| x.layer_norm_back(&gamma, epsilon, gradient))))
            })
        })
        .unwrap_or_else(|x| norm.forward(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::by_outputs;
    use burn::nn::{LayerNormConfig, LinearConfig};
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    #[test]
    fn layers_are_those_of_burn() {
        let linear = LinearConfig::new(4, 6).init(&Device::flex());
        let x = random([2, 3, 4]);
        let ours = HostTensor::tokens(x.clone()).unwrap().linear(&linear, None, Activation::None).unwrap();
        let off = ours.into_tokens() - linear.forward(x);
        assert!(off.abs().max().into_scalar::<f32>() < 1e-6);
    }

    /// What a step makes of tokens on a tape, and the gradient of its squares there.
    fn both_ways(x: &Tensor<3>, forward: impl Fn(Tensor<3>) -> Tensor<3>) -> [TensorData; 2] {
        let x = x.clone().autodiff().require_grad();
        let y = forward(x.clone());
        let gradients = (y.clone() * y.clone()).sum().backward();
        [y.inner(), x.grad(&gradients).expect("y depends on x")].map(Tensor::into_data)
    }

    fn assert_same(ours: [TensorData; 2], theirs: [TensorData; 2]) {
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            // Some units in the last place of sums of 64 products.
            ours.assert_approx_eq::<f32>(&theirs, Tolerance::rel_abs(2e-5, 2e-5));
        }
    }

    #[test]
    fn layers_on_a_tape_are_those_of_burn_both_ways() {
        let (device, x) = (Device::flex(), random([2, 3, 64]));
        let layer = LinearConfig::new(64, 40).init(&device);
        // Whether the weights of an input lie side by side or, as in a file, those of an output.
        for ours in [layer.clone(), by_outputs(layer.clone())] {
            assert_same(both_ways(&x, |x| linear(&ours, x)), both_ways(&x, |x| layer.forward(x)));
        }
        let mut norm = LayerNormConfig::new(64).with_epsilon(1e-3).init(&device);
        norm.gamma = norm.gamma.map(|gamma| gamma * 1.5);
        assert_same(both_ways(&x, |x| layer_norm(&norm, 1e-3, x)), both_ways(&x, |x| norm.forward(x)));
        let gelu = |x| {
            on_tape(x, |x| Some((x.gelu(), Back::new(move |gradient| x.gelu_back(gradient)))))
                .expect("it can")
        };
        assert_same(both_ways(&x, gelu), both_ways(&x, burn::tensor::activation::gelu));
        let off = on_tape(x, |x| Some((x.gelu(), Back::new(move |gradient| x.gelu_back(gradient)))));
        assert!(off.is_err(), "what is on no tape is given back");
    }
}
