//! The way from the host to the device: whatever is made of numbers on the host goes through here.

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use std::cell::Cell;

thread_local! {
    static UPLOADS: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has handed numbers to a device; tests hold methods to it.
#[doc(hidden)]
pub fn uploads() -> usize {
    UPLOADS.get()
}

/// A tensor of these numbers.
pub(crate) fn numbers<const D: usize>(numbers: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    UPLOADS.set(UPLOADS.get() + 1);
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Places along an axis, to select by or to compare with.
pub(crate) fn places(places: &[usize], device: &Device) -> Tensor<1, Int> {
    UPLOADS.set(UPLOADS.get() + 1);
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    Tensor::from_data(places.as_slice(), device)
}
