//! Parameters in the order in which the kernels read them, made once.
//!
//! What was made is remembered by the memory that the parameters stand in: a network whose parameters are changed, moved or loaded has
//! them in other memory and is packed anew. What was made of memory that is gone is dropped when something else is packed.

use burn::backend::{Flex, flex::FlexTensor};
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};

/// The memory of a tensor.
type Memory = Weak<dyn Any + Send + Sync>;

struct Entry {
    of: Vec<Memory>,
    made: Arc<dyn Any + Send + Sync>,
}

impl Entry {
    fn is_alive(&self) -> bool {
        self.of.iter().all(|memory| memory.strong_count() > 0)
    }
}

/// What was made, of which memory (from which float on, in which steps), and how.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    kind: TypeId,
    memory: Vec<(usize, usize, Vec<isize>)>,
    options: String,
}

static MADE: LazyLock<RwLock<HashMap<Key, Entry>>> = LazyLock::new(RwLock::default);

/// A parameter in main memory, in single precision and on no tape.
pub fn parameter<const D: usize>(parameter: &Param<Tensor<D>>) -> Option<FlexTensor> {
    let tensor = parameter.val().try_into_primitive::<Flex>().ok()?;
    (tensor.dtype() == DType::F32).then_some(tensor)
}

/// What is made of a weight and a bias, which is a function of them and of the options.
pub fn packed<T: Any + Send + Sync>(
    (weight, bias): (&FlexTensor, Option<&FlexTensor>),
    options: impl Debug,
    make: impl FnOnce(&[f32], Option<&[f32]>) -> T,
) -> Arc<T> {
    let tensors = || [Some(weight), bias].into_iter().flatten();
    let memory = |tensor: &FlexTensor| {
        let layout = tensor.layout();
        let memory = Arc::as_ptr(&tensor.data_arc()).addr();
        (memory, layout.start_offset(), layout.strides().to_vec())
    };
    let key = Key {
        kind: TypeId::of::<T>(),
        memory: tensors().map(memory).collect(),
        options: format!("{options:?}"),
    };
    let known = MADE.read().unwrap_or_else(PoisonError::into_inner).get(&key).map(|entry| entry.made.clone());
    if let Some(made) = known.and_then(|made| made.downcast().ok()) {
        return made;
    }
    let (whole, whole_bias) = (weight.to_contiguous(), bias.map(FlexTensor::to_contiguous));
    let numbers = |tensor| FlexTensor::as_slice::<f32>(tensor).expect("its numbers are in order");
    let made = Arc::new(make(numbers(&whole), whole_bias.as_ref().map(numbers)));
    let of = tensors().map(|tensor| Arc::downgrade(&tensor.data_arc()) as Memory).collect();
    let mut all = MADE.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, entry| entry.is_alive());
    all.insert(key, Entry { of, made: made.clone() });
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    #[test]
    fn a_weight_is_packed_once_and_anew_when_it_is_another() {
        let layer = |linear: &Linear| {
            let weight = parameter(&linear.weight).unwrap();
            packed((&weight, None), (), |weight, _| weight.iter().sum::<f32>())
        };
        let mut linear = LinearConfig::new(3, 5).with_bias(false).init(&Device::flex());
        let first = layer(&linear);
        assert!(Arc::ptr_eq(&first, &layer(&linear)));
        linear.weight = linear.weight.map(|weight| weight + 1.0);
        assert!((*layer(&linear) - *first - 15.0).abs() < 1e-4);
    }
}
