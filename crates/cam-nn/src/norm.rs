//! Norms of tokens.

use crate::cpu::{Backward, HostTensor, floats, in_memory, memory, on_tokens, with_custom_grad};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

/// The norm of each token over its channels, of fixed parameters.
#[derive(Debug)]
pub struct FusedNorm {
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
}

impl FusedNorm {
    /// Makes a norm; `None` where its parameters are not in main memory in single precision.
    ///
    /// # Shapes
    /// - gamma, beta: `[channels]`
    pub fn new(gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Option<Self> {
        Some(Self { gamma: in_memory(gamma).ok()?, beta: in_memory(beta).ok()?, epsilon })
    }

    /// Returns the norm of tokens, on a tape or not; gives them back where the kernels cannot take them.
    ///
    /// # Shapes
    /// - x and output: `[.., channels]`, of two to four axes
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
        on_tokens([x], |[x]| x.normed(&self.gamma, &self.beta, self.epsilon)).or_else(|[x]| {
            let (gamma, epsilon) = (self.gamma.clone(), self.epsilon);
            with_custom_grad(x, |x| {
                let y = x.normed(&self.gamma, &self.beta, epsilon);
                (y, Backward::new(move |gradient| x.normed_back(&gamma, epsilon, gradient)))
            })
        })
    }
}

impl HostTensor {
    /// The norm of each pixel over its channels, by these parameters, `[channels]` each.
    fn normed(&self, gamma: &FlexTensor, beta: &FlexTensor, epsilon: f64) -> HostTensor {
        let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
        let x = self.channels_last();
        let out = memory::take(x.len());
        let out = cam_kernels::layer_norm(&x, floats(&gamma), floats(&beta), epsilon as f32, out);
        HostTensor::new(out, self.shape())
    }

    /// The gradient before a norm of this, of that behind it.
    fn normed_back(&self, gamma: &FlexTensor, epsilon: f64, gradient: &HostTensor) -> HostTensor {
        let (x, gamma) = (self.channels_last(), gamma.to_contiguous());
        let out = memory::take(x.len());
        let out =
            cam_kernels::layer_norm_backward(&x, floats(&gamma), epsilon as f32, &gradient.channels_last(), out);
        HostTensor::new(out, self.shape())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, both_ways, random};
    use burn::nn::LayerNormConfig;
    use burn::tensor::Device;

    #[test]
    fn a_norm_is_that_of_burn_both_ways() {
        let mut norm = LayerNormConfig::new(64).with_epsilon(1e-3).init(&Device::flex());
        norm.gamma = norm.gamma.map(|gamma| gamma * 1.5);
        let beta = norm.beta.as_ref().expect("it has one").val();
        let fused = FusedNorm::new(norm.gamma.val(), beta, 1e-3).expect("it is in main memory");
        let x = random([2, 3, 64]);
        let ours = both_ways(&x, |x| fused.forward(x).expect("it is in main memory"));
        assert_same(ours, both_ways(&x, |x| norm.forward(x)));
    }
}
