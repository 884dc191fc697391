//! A golden file: its tensors and its notes.

use super::picture;
use crate::support::repository;
use burn::tensor::Tensor;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;

/// `{stem}.safetensors` and `{stem}.json`.
pub struct Golden {
    /// What stands in the `.json`.
    pub notes: Value,
    tensors: BTreeMap<String, Vec<f32>>,
}

impl Golden {
    pub fn open(stem: &str) -> Self {
        let folder = repository().join("tests/golden");
        let file = std::fs::read(folder.join(format!("{stem}.safetensors"))).unwrap();
        let stored = SafeTensors::deserialize(&file).unwrap();
        let tensors = stored.iter().map(|(name, tensor)| {
            let bytes = tensor.data();
            let numbers = match tensor.dtype() {
                Dtype::F32 => {
                    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
                }
                // in steps of 1/65535
                Dtype::U16 => bytes
                    .chunks_exact(2)
                    .map(|b| f32::from(u16::from_le_bytes(b.try_into().unwrap())) / 65535.0)
                    .collect(),
                other => panic!("{name} is stored as {other:?}"),
            };
            (name.to_string(), numbers)
        });
        Self {
            tensors: tensors.collect(),
            notes: serde_json::from_slice(&std::fs::read(folder.join(format!("{stem}.json"))).unwrap())
                .unwrap(),
        }
    }

    /// A stored tensor.
    pub fn numbers(&self, name: &str) -> &[f32] {
        self.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// A stored tensor, if it is there.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.tensors.get(name).map(Vec::as_slice)
    }
}

/// A picture as it is noted, and its `[batch, height, width]`.
pub fn input(note: &Value) -> (Tensor<4>, [usize; 3]) {
    let [batch, height, width, block] = ["batch", "height", "width", "block"].map(|key| count(&note[key]));
    let size = [batch, height, width];
    (picture(note["name"].as_str().unwrap(), size, block), size)
}

/// A noted whole number.
pub fn count(note: &Value) -> usize {
    note.as_u64().unwrap() as usize
}

/// Noted class numbers, one an image.
pub fn classes(note: &Value) -> Vec<usize> {
    note.as_array().unwrap().iter().map(count).collect()
}

/// The largest magnitude.
pub fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

/// How far two lists of numbers are apart, of the largest magnitude in the first.
pub fn apart(expected: &[f32], found: &[f32]) -> Vec<f32> {
    assert_eq!(expected.len(), found.len());
    let full = largest(expected).max(f32::MIN_POSITIVE);
    expected.iter().zip(found).map(|(a, b)| (a - b).abs() / full).collect()
}
