//! Gates of channels.

use crate::cpu::{HostTensor, buffers};
use burn::tensor::Tensor;

/// Returns images times a gate of each channel.
///
/// # Errors
/// Returns the tensors if the kernel cannot take them, such as on a tape.
///
/// # Shapes
/// - x, output: `[batch, channels, height, width]`
/// - gates: `[batch, channels, 1, 1]`
pub fn gated_channels(x: Tensor<4>, gates: Tensor<4>) -> Result<Tensor<4>, [Tensor<4>; 2]> {
    if gates.dims() != [x.dims()[0], x.dims()[1], 1, 1] {
        return Err([x, gates]);
    }
    let [x, gates] = match [x, gates].map(HostTensor::from_images) {
        [Ok(x), Ok(gates)] => [x, gates],
        others => return Err(others.map(|one| one.map_or_else(|x| x, HostTensor::into_images))),
    };
    let [batch, height, width, channels] = x.shape();
    let (floats, gates) = (x.channels_last(), gates.channels_last());
    let out = buffers::take(floats.len());
    let out = cam_kernels::gate(&floats, &gates, [batch, height * width, channels], out);
    Ok(HostTensor::new(out, x.shape()).into_images())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::random;
    use burn::tensor::Tolerance;

    #[test]
    fn gated_channels_are_a_product_in_either_order_of_memory() {
        let gates = random([2, 5, 1, 1]);
        for x in [random([2, 5, 7, 3]), random([2, 7, 3, 5]).permute([0, 3, 1, 2])] {
            let expected = (x.clone() * gates.clone()).into_data();
            let ours = gated_channels(x, gates.clone()).expect("both are in main memory");
            ours.into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(0.0));
        }
        assert!(gated_channels(random([2, 5, 7, 3]).autodiff(), gates).is_err());
    }
}
