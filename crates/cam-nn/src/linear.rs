//! Linear layers.
//!
//! Most have their weights packed as the kernels read them. Layers so large that to read their weights is what takes time, as VGG's, are
//! read where they lie, output by output: packing would be a second copy.

use crate::cpu::{
    Backward, HostTensor, PackKey, floats, get_or_pack, in_memory, memory, on_tokens, with_custom_grad,
};
use crate::gelu;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use cam_kernels::{Activation, Conv, Gemv};
use std::sync::Arc;

/// A linear layer of fixed parameters, through a GELU or plus a residual.
#[derive(Debug)]
pub struct FusedLinear {
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    in_place: Option<InPlace>,
}

impl FusedLinear {
    /// Makes a linear layer; `None` where its parameters are not in main memory in single precision.
    ///
    /// # Shapes
    /// - weight: `[from, to]`, bias: `[to]`
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Option<Self> {
        let bias = bias.map(in_memory).transpose().ok()?;
        let weight = in_memory(weight).ok()?;
        (weight.layout().num_elements() > 0).then_some(Self { weight, bias, in_place: None })
    }

    /// Has the weights read where they lie instead of packed, which suits large ones and few rows. The layer stays as it is where the
    /// weights of an output do not lie side by side ([`by_outputs`]).
    pub fn in_place(self) -> Self {
        let in_place = InPlace::new(self.weight.clone(), self.bias.clone());
        Self { in_place, ..self }
    }

    /// Returns the layer of rows of features, on a tape or not; gives them back where the kernels cannot take them.
    ///
    /// # Shapes
    /// - x: `[rows, from]`, residual and output: `[rows, to]`
    pub fn forward(
        &self,
        x: Tensor<2>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Result<Tensor<2>, (Tensor<2>, Option<Tensor<2>>)> {
        let (x, residual) = match (self.in_place.is_some(), residual) {
            (true, residual) => (x, residual),
            (false, None) => match on_tokens([x], |[x]| x.through(&self.packed(), None, activation)) {
                Ok(y) => return Ok(y),
                Err([x]) => (x, None),
            },
            (false, Some(residual)) => {
                let done = on_tokens([x, residual], |[x, residual]| {
                    x.through(&self.packed(), Some(residual), activation)
                });
                match done {
                    Ok(y) => return Ok(y),
                    Err([x, residual]) => (x, Some(residual)),
                }
            }
        };
        let y = match &self.in_place {
            Some(layer) => layer.forward(x),
            None => self.taped(x),
        };
        match (y, residual) {
            (Err(x), residual) => Err((x, residual)),
            (Ok(y), Some(residual)) => Ok(y + residual),
            (Ok(y), None) if activation == Activation::Gelu => {
                Ok(gelu(y).unwrap_or_else(burn::tensor::activation::gelu))
            }
            (Ok(y), None) => Ok(y),
        }
    }

    fn taped(&self, x: Tensor<2>) -> Result<Tensor<2>, Tensor<2>> {
        with_custom_grad(x, |x| {
            let back = packed(&self.weight, None, true);
            let y = x.through(&self.packed(), None, Activation::None);
            (y, Backward::new(move |gradient| gradient.through(&back, None, Activation::None)))
        })
    }

    fn packed(&self) -> Arc<Conv> {
        packed(&self.weight, self.bias.as_ref(), false)
    }
}

/// The kernel of a linear layer of these parameters, `[from, to]` and `[to]`, or of the way back, which takes no bias.
fn packed(weight: &FlexTensor, bias: Option<&FlexTensor>, back: bool) -> Arc<Conv> {
    // The way back is the layer of the transpose. Files have the weights of an output side by side, Burn those of an input.
    let by_outputs = !weight.is_contiguous();
    let lying = if by_outputs { weight.transpose(0, 1) } else { weight.clone() };
    let shape: [usize; 2] = lying.layout().shape().dims();
    get_or_pack((&lying, bias), PackKey::Linear { by_outputs, back }, |weight, bias| {
        match by_outputs == back {
            true => Conv::linear(weight, shape, bias),
            false => Conv::linear_output_major(weight, shape, bias),
        }
    })
}

/// Returns the same weights `[from, to]`, those of an output side by side in memory: a copy where they lie otherwise.
pub fn by_outputs(weight: Tensor<2>) -> Tensor<2> {
    match in_memory(weight.clone()) {
        Ok(lying) if lying.transpose(0, 1).is_contiguous() => weight,
        _ => {
            let device = weight.device();
            Tensor::from_data(weight.transpose().into_data(), &device).transpose()
        }
    }
}

/// A layer whose weights are read where they lie.
#[derive(Debug, Clone)]
struct InPlace {
    /// `[to, from]`
    weight: FlexTensor,
    bias: Option<FlexTensor>,
}

impl InPlace {
    fn new(weight: FlexTensor, bias: Option<FlexTensor>) -> Option<Self> {
        let weight = weight.transpose(0, 1);
        weight.is_contiguous().then(|| Self { weight, bias: bias.map(|bias| bias.to_contiguous()) })
    }

    fn forward(&self, x: Tensor<2>) -> Result<Tensor<2>, Tensor<2>> {
        on_tokens([x], |[x]| self.outputs_of(x)).or_else(|[x]| {
            let layer = self.clone();
            with_custom_grad(x, |x| {
                (layer.outputs_of(&x), Backward::new(move |gradient| layer.gradient_before(gradient)))
            })
        })
    }

    fn kernel(&self) -> Gemv<'_> {
        let shape = self.weight.layout().shape();
        Gemv::new(floats(&self.weight), [shape[0], shape[1]], self.bias.as_ref().map(floats))
    }

    fn outputs_of(&self, x: &HostTensor) -> HostTensor {
        let [batch, height, width, _] = x.shape();
        let shape = [batch, height, width, self.weight.layout().shape()[0]];
        let out = memory::take(shape.iter().product());
        HostTensor::new(self.kernel().forward(&x.channels_last(), out), shape)
    }

    fn gradient_before(&self, gradient: &HostTensor) -> HostTensor {
        let [batch, height, width, _] = gradient.shape();
        let shape = [batch, height, width, self.weight.layout().shape()[1]];
        let out = memory::take(shape.iter().product());
        HostTensor::new(self.kernel().backward(&gradient.channels_last(), out), shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, both_ways, random};
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn a_layer_is_that_of_burn_both_ways_wherever_its_weights_lie() {
        let layer = LinearConfig::new(64, 40).init(&Device::flex());
        let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()));
        let as_in_files = by_outputs(weight.clone());
        assert_eq!(as_in_files.to_data(), weight.to_data());
        let fused = |weight: &Tensor<2>| FusedLinear::new(weight.clone(), bias.clone()).unwrap();
        let in_place = fused(&as_in_files).in_place();
        assert!(in_place.in_place.is_some() && fused(&weight).in_place().in_place.is_none());

        let x: Tensor<2> = random([6, 64]);
        let residual: Tensor<2> = random([6, 40]);
        for ours in [fused(&weight), fused(&as_in_files), in_place] {
            let through = |x: Tensor<2>, residual: Option<Tensor<2>>, then| {
                ours.forward(x, residual, then).expect("it is in main memory")
            };
            let theirs = both_ways(&x, |x| layer.forward(x));
            assert_same(both_ways(&x, |x| through(x, None, Activation::None)), theirs);
            let theirs = both_ways(&x, |x| burn::tensor::activation::gelu(layer.forward(x)));
            assert_same(both_ways(&x, |x| through(x, None, Activation::Gelu)), theirs);
            let plain = through(x.clone(), Some(residual.clone()), Activation::None);
            let off = plain - (layer.forward(x.clone()) + residual.clone());
            assert!(off.abs().max().into_scalar::<f32>() < 1e-5);
        }
    }
}
