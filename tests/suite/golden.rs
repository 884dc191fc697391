//! Parity with torchvision, timm, pytorch-grad-cam and torch-cam on networks whose parameters are a hash of their names.
//! `README.md` says what is stored and how it was made.

mod families;
mod file;
mod maps;
mod methods;
mod metrics;
mod variants;
mod whole;

use crate::support::{hash, picture, value};
use burn::tensor::Tensor;

fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().unwrap()
}

#[test]
fn the_hash_is_that_of_the_generator() {
    let bits = |name: &str, index, low, high| value(name, index, low, high).to_bits();
    let bound = (6.0f64 / 147.0).sqrt();
    assert_eq!(hash("conv1.weight", 9407), 0x3321e55a792bb9a9);
    assert_eq!(bits("conv1.weight", 9407, -bound, bound), 0xbdf8793e);
    assert_eq!(bits("layer1.0.bn2.weight", 3, 0.1, 0.4), 0x3e9b72e7);
    let images: Vec<f32> = read(&picture("input", [2, 224, 224], 32));
    let at = |b: usize, c: usize, y: usize, x: usize| images[((b * 3 + c) * 224 + y) * 224 + x].to_bits();
    assert_eq!([at(0, 0, 0, 0), at(1, 2, 223, 223), at(0, 1, 100, 31)], [0x3ef43fef, 0x3ea6164c, 0x3f22f352]);
}
