//! Activations.

use crate::cpu::{Backward, HostTensor, memory, on_tokens, with_custom_grad};
use burn::tensor::Tensor;

/// Returns the GELU of values on a tape or not, with its exact gradient; gives them back where the kernels cannot take them.
///
/// # Shapes
/// - x and output: of two to four axes
pub fn gelu<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
    on_tokens([x], |[x]| x.gelu()).or_else(|[x]| {
        with_custom_grad(x, |x| (x.gelu(), Backward::new(move |gradient| x.gelu_backward(gradient))))
    })
}

impl HostTensor {
    fn gelu(&self) -> HostTensor {
        let x = self.channels_last();
        HostTensor::new(cam_kernels::gelu(&x, memory::take(x.len())), self.shape())
    }

    /// The gradient before a GELU of these values, of that behind it.
    fn gelu_backward(&self, gradient: &HostTensor) -> HostTensor {
        let x = self.channels_last();
        let out = cam_kernels::gelu_backward(&x, &gradient.channels_last(), memory::take(x.len()));
        HostTensor::new(out, self.shape())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, both_ways, random};

    #[test]
    fn a_gelu_is_that_of_burn_both_ways() {
        let x = random([2, 3, 64]);
        let ours = both_ways(&x, |x| gelu(x).expect("it is in main memory"));
        assert_same(ours, both_ways(&x, burn::tensor::activation::gelu));
    }
}
