//! Activation functions.

use crate::cpu::{Backward, HostTensor, buffers, on_tokens, with_custom_grad};
use burn::tensor::{Tensor, activation};
use cam_kernels::Activation;

/// Returns an activation of values by Burn's operations.
pub fn activated<const D: usize>(x: Tensor<D>, function: Activation) -> Tensor<D> {
    let hard_sigmoid = |x| activation::hard_sigmoid(x, 1.0 / 6.0, 0.5);
    match function {
        Activation::None => x,
        Activation::Relu => activation::relu(x),
        Activation::LeakyRelu(slope) => activation::leaky_relu(x, slope.into()),
        Activation::Clamp([least, most]) => x.clamp(least, most),
        Activation::Gelu => activation::gelu(x),
        Activation::Sigmoid => activation::sigmoid(x),
        Activation::Silu => x.clone() * activation::sigmoid(x),
        Activation::HardSigmoid => hard_sigmoid(x),
        Activation::HardSwish => x.clone() * hard_sigmoid(x),
    }
}

/// Returns the GELU of values with its exact gradient.
///
/// # Errors
/// Returns the input if the kernels cannot take it.
///
/// # Shapes
/// - x and output: any, of rank two to four
pub fn gelu<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
    on_tokens([x], |[x]| x.gelu()).or_else(|[x]| {
        with_custom_grad(x, |x| (x.gelu(), Backward::new(move |gradient| x.gelu_backward(gradient))))
    })
}

impl HostTensor {
    fn gelu(&self) -> HostTensor {
        let x = self.channels_last();
        HostTensor::new(cam_kernels::gelu(&x, buffers::take(x.len())), self.shape())
    }

    /// Returns the gradient of the input of a GELU, given that of its output.
    fn gelu_backward(&self, gradient: &HostTensor) -> HostTensor {
        let x = self.channels_last();
        let out = cam_kernels::gelu_backward(&x, &gradient.channels_last(), buffers::take(x.len()));
        HostTensor::new(out, self.shape())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, forward_and_backward, random};

    #[test]
    fn gelu_equals_that_of_burn_forward_and_backward() {
        let x = random([2, 3, 64]);
        let ours = forward_and_backward(&x, |x| gelu(x).expect("the tensor is in main memory"));
        assert_same(ours, forward_and_backward(&x, burn::tensor::activation::gelu));
    }
}
