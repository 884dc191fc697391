//! Layer normalization.

use crate::cpu::{Backward, HostTensor, buffers, floats, in_memory, on_tokens, with_custom_grad};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

/// Layer normalization over the channels of each token, with fixed parameters.
#[derive(Debug)]
pub struct FusedNorm {
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
}

impl FusedNorm {
    /// Makes a norm. Returns `None` if the parameters are not in main memory in single precision.
    ///
    /// # Shapes
    /// - gamma, beta: `[channels]`
    pub fn new(gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Option<Self> {
        Some(Self { gamma: in_memory(gamma).ok()?, beta: in_memory(beta).ok()?, epsilon })
    }

    /// Returns the normalized tokens.
    ///
    /// # Errors
    /// Returns the input if the kernels cannot take it.
    ///
    /// # Shapes
    /// - x and output: `[.., channels]`, of rank two to four
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
        on_tokens([x], |[x]| x.norm(&self.gamma, &self.beta, self.epsilon)).or_else(|[x]| {
            let (gamma, epsilon) = (self.gamma.clone(), self.epsilon);
            with_custom_grad(x, |x| {
                let y = x.norm(&self.gamma, &self.beta, epsilon);
                (y, Backward::new(move |gradient| x.norm_backward(&gamma, epsilon, gradient)))
            })
        })
    }
}

impl HostTensor {
    /// Normalizes each pixel over its channels; the parameters are `[channels]`.
    fn norm(&self, gamma: &FlexTensor, beta: &FlexTensor, epsilon: f64) -> HostTensor {
        let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
        let x = self.channels_last();
        let out = buffers::take(x.len());
        let out = cam_kernels::layer_norm(&x, floats(&gamma), floats(&beta), epsilon as f32, out);
        HostTensor::new(out, self.shape())
    }

    /// Returns the gradient of the input of a norm, given that of its output.
    fn norm_backward(&self, gamma: &FlexTensor, epsilon: f64, gradient: &HostTensor) -> HostTensor {
        let (x, gamma) = (self.channels_last(), gamma.to_contiguous());
        let out = buffers::take(x.len());
        let out = cam_kernels::layer_norm_backward(
            &x,
            floats(&gamma),
            epsilon as f32,
            &gradient.channels_last(),
            out,
        );
        HostTensor::new(out, self.shape())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, forward_and_backward, random};
    use burn::nn::LayerNormConfig;
    use burn::tensor::Device;

    #[test]
    fn a_norm_equals_that_of_burn_forward_and_backward() {
        let mut norm = LayerNormConfig::new(64).with_epsilon(1e-3).init(&Device::flex());
        norm.gamma = norm.gamma.map(|gamma| gamma * 1.5);
        let beta = norm.beta.as_ref().expect("the norm has a beta").val();
        let fused = FusedNorm::new(norm.gamma.val(), beta, 1e-3).expect("the tensor is in main memory");
        let x = random([2, 3, 64]);
        let ours = forward_and_backward(&x, |x| fused.forward(x).expect("the tensor is in main memory"));
        assert_same(ours, forward_and_backward(&x, |x| norm.forward(x)));
    }
}
