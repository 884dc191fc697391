//! Linear layers.
//!
//! The weights of most layers are packed. Layers so large that loading their weights takes most of the time, such as those of VGG, are read
//! in place, output by output: packing would take a second copy.

use crate::cpu::{
    Backward, HostTensor, PackKey, buffers, floats, get_or_pack, in_memory, on_tokens, with_custom_grad,
};
use crate::gelu;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use cam_kernels::{Activation, Conv, Gemv};
use std::sync::Arc;

/// A linear layer with fixed parameters, fused with a GELU or a residual.
#[derive(Debug)]
pub struct FusedLinear {
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    in_place: Option<InPlace>,
}

impl FusedLinear {
    /// Makes a linear layer. Returns `None` if the parameters are not in main memory in single precision.
    ///
    /// # Shapes
    /// - weight: `[in_features, out_features]`, bias: `[out_features]`
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Option<Self> {
        let bias = bias.map(in_memory).transpose().ok()?;
        let weight = in_memory(weight).ok()?;
        (weight.layout().num_elements() > 0).then_some(Self { weight, bias, in_place: None })
    }

    /// Reads the weights in place instead of packing them, which suits large layers and few rows. It has no effect unless the weights of an
    /// output are contiguous ([`to_output_major`]).
    pub fn in_place(self) -> Self {
        let in_place = InPlace::new(self.weight.clone(), self.bias.clone());
        Self { in_place, ..self }
    }

    /// Returns the outputs of rows of features, plus a residual, through an activation (none or GELU).
    ///
    /// # Errors
    /// Returns the inputs if the kernels cannot take them.
    ///
    /// # Shapes
    /// - x: `[rows, in_features]`, residual and output: `[rows, out_features]`
    pub fn forward(
        &self,
        x: Tensor<2>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Result<Tensor<2>, (Tensor<2>, Option<Tensor<2>>)> {
        let (x, residual) = match (self.in_place.is_some(), residual) {
            (true, residual) => (x, residual),
            (false, None) => match on_tokens([x], |[x]| x.apply(&self.kernel(), None, activation)) {
                Ok(y) => return Ok(y),
                Err([x]) => (x, None),
            },
            (false, Some(residual)) => {
                let done = on_tokens([x, residual], |[x, residual]| {
                    x.apply(&self.kernel(), Some(residual), activation)
                });
                match done {
                    Ok(y) => return Ok(y),
                    Err([x, residual]) => (x, Some(residual)),
                }
            }
        };
        let y = match on_tokens([x], |[x]| self.run(x)) {
            Ok(y) => Ok(y),
            Err([x]) => with_custom_grad(x, |x| (self.run(&x), self.backward())),
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

    /// Returns the outputs of rows in main memory.
    pub(crate) fn run(&self, x: &HostTensor) -> HostTensor {
        match &self.in_place {
            Some(layer) => layer.run(x),
            None => x.apply(&self.kernel(), None, Activation::None),
        }
    }

    /// Returns the backward pass of [`run`](Self::run).
    pub(crate) fn backward(&self) -> Backward {
        match self.in_place.clone() {
            Some(layer) => Backward::new(move |gradient| layer.input_gradient(gradient)),
            None => {
                let weight = self.weight.clone();
                Backward::new(move |gradient| {
                    gradient_of_one_output(&weight, gradient).unwrap_or_else(|| {
                        gradient.apply(&packed_kernel(&weight, None, true), None, Activation::None)
                    })
                })
            }
        }
    }

    fn kernel(&self) -> Arc<Conv> {
        packed_kernel(&self.weight, self.bias.as_ref(), false)
    }
}

/// Returns the packed kernel of a linear layer, or of its backward pass, which has no bias.
///
/// # Shapes
/// - weight: `[in_features, out_features]`, bias: `[out_features]`
fn packed_kernel(weight: &FlexTensor, bias: Option<&FlexTensor>, backward: bool) -> Arc<Conv> {
    // The backward pass is the layer of the transpose. In files the weights of an output are contiguous, in Burn those of an input.
    let output_major = !weight.is_contiguous();
    let contiguous = if output_major { weight.transpose(0, 1) } else { weight.clone() };
    let shape: [usize; 2] = contiguous.layout().shape().dims();
    get_or_pack((&contiguous, bias), PackKey::Linear { output_major, backward }, |weight, bias| {
        match output_major == backward {
            true => Conv::linear(weight, shape, bias),
            false => Conv::linear_output_major(weight, shape, bias),
        }
    })
}

/// Returns the gradient of the input if in each row one output at most has a gradient, as where a class is explained: it is a multiple of
/// the weights of this output, and no others need to be read.
///
/// # Shapes
/// - weight: `[in_features, out_features]`
fn gradient_of_one_output(weight: &FlexTensor, gradient: &HostTensor) -> Option<HostTensor> {
    let [from, to]: [usize; 2] = weight.layout().shape().dims();
    let gradients = gradient.channels_last();
    let only = |row: &[f32]| {
        let mut active = (0..to).filter(|output| row[*output] != 0.0);
        let first = active.next().unwrap_or(0);
        active.next().is_none().then_some((first, row[first]))
    };
    let outputs = gradients.chunks_exact(to).map(only).collect::<Option<Vec<_>>>()?;
    let transposed = weight.transpose(0, 1);
    let (memory, by_output, by_input) = match transposed.is_contiguous() {
        true => (floats(&transposed), from, 1),
        false if weight.is_contiguous() => (floats(weight), 1, to),
        false => return None,
    };
    let mut out = buffers::take(outputs.len() * from);
    for (out, (output, gradient)) in out.chunks_exact_mut(from).zip(outputs) {
        let weights = memory[output * by_output..].iter().step_by(by_input);
        out.iter_mut().zip(weights).for_each(|(out, weight)| *out = gradient * weight);
    }
    let [batch, height, width, _] = gradient.shape();
    Some(HostTensor::new(out, [batch, height, width, from]))
}

/// Returns the weights `[in_features, out_features]` in output-major order: those of an output are contiguous. Copies them if needed.
pub fn to_output_major(weight: Tensor<2>) -> Tensor<2> {
    match in_memory(weight.clone()) {
        Ok(tensor) if tensor.transpose(0, 1).is_contiguous() => weight,
        _ => {
            let device = weight.device();
            Tensor::from_data(weight.transpose().into_data(), &device).transpose()
        }
    }
}

/// A layer whose weights are read in place.
#[derive(Debug, Clone)]
struct InPlace {
    /// `[out_features, in_features]`
    weight: FlexTensor,
    bias: Option<FlexTensor>,
}

impl InPlace {
    fn new(weight: FlexTensor, bias: Option<FlexTensor>) -> Option<Self> {
        let weight = weight.transpose(0, 1);
        weight.is_contiguous().then(|| Self { weight, bias: bias.map(|bias| bias.to_contiguous()) })
    }

    fn kernel(&self) -> Gemv<'_> {
        let shape = self.weight.layout().shape();
        Gemv::new(floats(&self.weight), [shape[0], shape[1]], self.bias.as_ref().map(floats))
    }

    fn run(&self, x: &HostTensor) -> HostTensor {
        let [batch, height, width, _] = x.shape();
        let shape = [batch, height, width, self.weight.layout().shape()[0]];
        let out = buffers::take(shape.iter().product());
        HostTensor::new(self.kernel().forward(&x.channels_last(), out), shape)
    }

    fn input_gradient(&self, gradient: &HostTensor) -> HostTensor {
        let [batch, height, width, _] = gradient.shape();
        let shape = [batch, height, width, self.weight.layout().shape()[1]];
        let out = buffers::take(shape.iter().product());
        HostTensor::new(self.kernel().backward(&gradient.channels_last(), out), shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, forward_and_backward, random};
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn a_layer_equals_that_of_burn_forward_and_backward_in_any_memory_order() {
        let layer = LinearConfig::new(64, 40).init(&Device::flex());
        let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()));
        let as_in_files = to_output_major(weight.clone());
        assert_eq!(as_in_files.to_data(), weight.to_data());
        let fused = |weight: &Tensor<2>| FusedLinear::new(weight.clone(), bias.clone()).unwrap();
        let in_place = fused(&as_in_files).in_place();
        assert!(in_place.in_place.is_some() && fused(&weight).in_place().in_place.is_none());

        let x: Tensor<2> = random([6, 64]);
        let residual: Tensor<2> = random([6, 40]);
        for ours in [fused(&weight), fused(&as_in_files), in_place] {
            let apply = |x: Tensor<2>, residual: Option<Tensor<2>>, then| {
                ours.forward(x, residual, then).expect("the tensor is in main memory")
            };
            let theirs = forward_and_backward(&x, |x| layer.forward(x));
            assert_same(forward_and_backward(&x, |x| apply(x, None, Activation::None)), theirs);
            let theirs = forward_and_backward(&x, |x| burn::tensor::activation::gelu(layer.forward(x)));
            assert_same(forward_and_backward(&x, |x| apply(x, None, Activation::Gelu)), theirs);
            // The gradient of one output of each row is the same number as that of all of them.
            let of_classes = |layer: &dyn Fn(Tensor<2>) -> Tensor<2>| {
                let x = x.clone().autodiff().require_grad();
                let classes = Tensor::<2>::from_data([[3], [39], [0], [7], [7], [12]], &x.device());
                let y = layer(x.clone()).gather(1, classes.int());
                x.grad(&y.sum().backward()).expect("y depends on x").into_data()
            };
            let theirs = of_classes(&|x| layer.forward(x));
            assert_eq!(of_classes(&|x| apply(x, None, Activation::None)), theirs);
            let plain = apply(x.clone(), Some(residual.clone()), Activation::None);
            let off = plain - (layer.forward(x.clone()) + residual.clone());
            assert!(off.abs().max().into_scalar::<f32>() < 1e-5);
        }
    }
}
