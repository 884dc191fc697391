//! A cache of packed parameters.
//!
//! Entries are keyed by the memory of the parameters: after parameters are changed, moved or loaded they are in other memory and are packed
//! again. Entries of freed memory are dropped when something else is packed.

use super::floats;
use burn::backend::flex::FlexTensor;
use cam_kernels::Conv;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};

/// The memory of a tensor.
type Memory = Weak<dyn Any + Send + Sync>;

struct Entry {
    parameters: Vec<Memory>,
    packed: Arc<Conv>,
}

impl Entry {
    fn is_alive(&self) -> bool {
        self.parameters.iter().all(|memory| memory.strong_count() > 0)
    }
}

/// The purpose for which parameters are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackKey {
    /// A convolution.
    Conv {
        /// `[out_channels, in_channels / groups, height, width]`
        shape: [usize; 4],
        /// Stride, padding, dilation and groups.
        options: [[usize; 2]; 4],
        /// Whether it uses Winograd's algorithm.
        winograd: bool,
    },
    /// A linear layer.
    Linear {
        /// Whether the weights of an output are contiguous, rather than those of an input.
        output_major: bool,
        /// Whether it is the backward pass.
        backward: bool,
    },
}

/// Identifies packed parameters: address, offset and strides of each tensor, and the purpose.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    memory: Vec<(usize, usize, Vec<isize>)>,
    purpose: PackKey,
}

static PACKED: LazyLock<RwLock<HashMap<Key, Entry>>> = LazyLock::new(RwLock::default);

/// Returns a weight and a bias packed for a purpose, from the cache if they are there.
pub fn get_or_pack(
    (weight, bias): (&FlexTensor, Option<&FlexTensor>),
    purpose: PackKey,
    pack: impl FnOnce(&[f32], Option<&[f32]>) -> Conv,
) -> Arc<Conv> {
    let tensors = || [Some(weight), bias].into_iter().flatten();
    let memory = |tensor: &FlexTensor| {
        let layout = tensor.layout();
        let memory = Arc::as_ptr(&tensor.data_arc()).addr();
        (memory, layout.start_offset(), layout.strides().to_vec())
    };
    let key = Key { memory: tensors().map(memory).collect(), purpose };
    if let Some(entry) = PACKED.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return entry.packed.clone();
    }
    let (whole, whole_bias) = (weight.to_contiguous(), bias.map(FlexTensor::to_contiguous));
    let packed = Arc::new(pack(floats(&whole), whole_bias.as_ref().map(floats)));
    let parameters = tensors().map(|tensor| Arc::downgrade(&tensor.data_arc()) as Memory).collect();
    let mut all = PACKED.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, entry| entry.is_alive());
    all.insert(key, Entry { parameters, packed: packed.clone() });
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{in_memory, testing::random};

    #[test]
    fn a_weight_is_packed_once_and_another_weight_again() {
        let layer = |weight: &FlexTensor| {
            let purpose = PackKey::Linear { output_major: false, backward: false };
            get_or_pack((weight, None), purpose, |weight, bias| Conv::linear(weight, [3, 5], bias))
        };
        let weight = random([3, 5]);
        let [first, other] = [weight.clone(), weight + 1.0].map(|weight| in_memory(weight).unwrap());
        assert!(Arc::ptr_eq(&layer(&first), &layer(&first)));
        assert!(!Arc::ptr_eq(&layer(&first), &layer(&other)));
    }
}
