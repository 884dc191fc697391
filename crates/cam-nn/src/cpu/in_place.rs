//! Linear layers so large that to read their weights is what takes time, as VGG's: those are read where they lie, output by output,
//! and not packed, which would be a second copy of them.

use super::memory;
use super::{Back, HostTensor, in_memory, on_tape, parameter, tokens_at_once};
use burn::backend::flex::FlexTensor;
use burn::nn::Linear;
use burn::tensor::Tensor;
use cam_kernels::Outputs;

/// The same layer for [`linear_in_place`]: where its weights are in main memory, those of an output lie side by side.
pub fn by_outputs(mut layer: Linear) -> Linear {
    if in_memory(layer.weight.val()).is_ok() {
        layer.weight = layer.weight.map(lying_by_outputs);
    }
    layer
}

/// The same weights `[from, to]`, those of an output side by side: a copy where they lie otherwise.
pub fn lying_by_outputs(weight: Tensor<2>) -> Tensor<2> {
    match in_memory(weight.clone()) {
        Ok(lying) if lying.transpose(0, 1).is_contiguous() => weight,
        _ => {
            let device = weight.device();
            Tensor::from_data(weight.transpose().into_data(), &device).transpose()
        }
    }
}

/// A linear layer that went through [`by_outputs`], also on a tape.
pub fn linear_in_place<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    match InPlace::of(layer) {
        Some(read) => read.through(x).unwrap_or_else(|x| layer.forward(x)),
        None => layer.forward(x),
    }
}

/// A layer whose parameters are in main memory, in order.
#[derive(Debug, Clone)]
pub(super) struct InPlace {
    /// `[to, from]`
    weight: FlexTensor,
    bias: Option<FlexTensor>,
}

impl InPlace {
    fn of(layer: &Linear) -> Option<Self> {
        let bias = match &layer.bias {
            Some(bias) => Some(parameter(bias)?),
            None => None,
        };
        Self::new(parameter(&layer.weight)?, bias)
    }

    /// A layer of weights `[from, to]` and a bias `[to]`; `None` where those of an output do not lie side by side.
    pub(super) fn new(weight: FlexTensor, bias: Option<FlexTensor>) -> Option<Self> {
        let weight = weight.transpose(0, 1);
        // A layer of no classes is left to Burn.
        let reads = weight.is_contiguous() && weight.layout().num_elements() > 0;
        reads.then(|| Self { weight, bias: bias.map(|bias| bias.to_contiguous()) })
    }

    /// The layer of tokens, on a tape or not, which are given back where the kernels cannot take them.
    pub(super) fn through<const D: usize>(&self, x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
        tokens_at_once([x], |[x]| Some(self.forward(x))).or_else(|[x]| {
            let layer = self.clone();
            on_tape(x, |x| Some((layer.forward(&x), Back::new(move |gradient| layer.backward(gradient)))))
        })
    }

    fn outputs(&self) -> Outputs<'_> {
        let floats = |tensor| FlexTensor::as_slice::<f32>(tensor).expect("its numbers are in order");
        let shape = self.weight.layout().shape();
        Outputs::new(floats(&self.weight), [shape[0], shape[1]], self.bias.as_ref().map(floats))
    }

    fn forward(&self, x: &HostTensor) -> HostTensor {
        let [batch, height, width, _] = x.shape;
        let shape = [batch, height, width, self.weight.layout().shape()[0]];
        let out = memory::take(shape.iter().product());
        HostTensor::new(self.outputs().forward(&x.channels_last(), out), shape)
    }

    /// The gradient before the layer, of that behind it.
    fn backward(&self, gradient: &HostTensor) -> HostTensor {
        let [batch, height, width, _] = gradient.shape;
        let shape = [batch, height, width, self.weight.layout().shape()[1]];
        let out = memory::take(shape.iter().product());
        HostTensor::new(self.outputs().backward(&gradient.channels_last(), out), shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn a_layer_read_in_place_is_that_of_burn_both_ways() {
        let device = Device::flex();
        let theirs = LinearConfig::new(64, 40).init(&device);
        let ours = by_outputs(theirs.clone());
        assert!(InPlace::of(&ours).is_some() && InPlace::of(&theirs).is_none());
        assert_eq!(ours.weight.val().into_data(), theirs.weight.val().into_data());
        let x = Tensor::<2>::random([3, 64], Distribution::Default, &device).autodiff().require_grad();
        let both_ways = |y: Tensor<2>| {
            let gradients = (y.clone() * y.clone()).sum().backward();
            [y.inner(), x.grad(&gradients).expect("y depends on x")].map(Tensor::into_data)
        };
        let all = [both_ways(linear_in_place(&ours, x.clone())), both_ways(theirs.forward(x.clone()))];
        for (ours, theirs) in all[0].iter().zip(&all[1]) {
            // Some units in the last place of sums of 64 products.
            ours.assert_approx_eq::<f32>(theirs, Tolerance::rel_abs(2e-5, 2e-5));
        }
        let plain = linear_in_place(&ours, x.clone().inner()).into_data();
        assert_eq!(plain, all[0][0], "plain inference is what the tape has");
    }
}
