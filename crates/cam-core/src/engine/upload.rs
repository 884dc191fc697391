//! The way from the host to the device. Everything that is made of numbers on the host goes through here.

use crate::testing;
use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};

/// Makes a tensor of these numbers.
pub(crate) fn floats<const D: usize>(numbers: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    testing::count_upload();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Makes a tensor of indices along an axis, to select by or to compare with.
pub(crate) fn indices(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    testing::count_upload();
    let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
    Tensor::from_data(indices.as_slice(), device)
}
