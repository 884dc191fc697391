//! What a forward pass takes and gives: one tensor, or several of any kind in tuples, lists and structs.

use burn::backend::DispatchTensor;
use burn::tensor::{Bool, Int, Tensor};

/// A value made of tensors: what a recorded forward pass takes or gives.
///
/// Tensors of any rank and kind are one, and tuples, arrays, lists and options of such. A struct joins in by mapping its fields, in any
/// order that stays the same:
///
/// ```
/// use burn::prelude::*;
/// use cam_graph::{MapTensor, Tensors};
///
/// #[derive(Clone)]
/// struct Detections {
///     boxes: Tensor<3>,
///     scores: Tensor<2>,
/// }
///
/// impl Tensors for Detections {
///     fn map_tensors(self, map: MapTensor<'_>) -> Self {
///         Self { boxes: self.boxes.map_tensors(map), scores: self.scores.map_tensors(map) }
///     }
/// }
/// ```
pub trait Tensors: Clone {
    /// Returns the same value with each of its tensors mapped.
    fn map_tensors(self, map: MapTensor<'_>) -> Self;
}

/// Maps a tensor of any rank and kind to one of the same rank and kind.
pub type MapTensor<'a> = &'a mut dyn FnMut(DispatchTensor) -> DispatchTensor;

macro_rules! tensor {
    ($($kind:ty),*) => {$(
        impl<const D: usize> Tensors for Tensor<D, $kind> {
            fn map_tensors(self, map: MapTensor<'_>) -> Self {
                Self::from_dispatch(map(self.into_dispatch()))
            }
        }
    )*};
}

tensor!(burn::tensor::Float, Int, Bool);

macro_rules! tuple {
    ($($name:ident),*) => {
        impl<$($name: Tensors),*> Tensors for ($($name,)*) {
            #[allow(non_snake_case)]
            fn map_tensors(self, map: MapTensor<'_>) -> Self {
                let ($($name,)*) = self;
                ($($name.map_tensors(map),)*)
            }
        }
    };
}

tuple!(A);
tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);
tuple!(A, B, C, D, E);
tuple!(A, B, C, D, E, F);

impl<T: Tensors> Tensors for Vec<T> {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        self.into_iter().map(|one| one.map_tensors(map)).collect()
    }
}

impl<T: Tensors, const N: usize> Tensors for [T; N] {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        self.map(|one| one.map_tensors(map))
    }
}

impl<T: Tensors> Tensors for Option<T> {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        self.map(|one| one.map_tensors(map))
    }
}

/// The tensors of a value, in their order.
pub(crate) fn list<T: Tensors>(value: &T) -> Vec<DispatchTensor> {
    let mut all = Vec::new();
    value.clone().map_tensors(&mut |tensor| {
        all.push(tensor.clone());
        tensor
    });
    all
}

/// The value with these tensors in place of its own, in their order.
///
/// # Panics
/// When there are fewer than it holds.
pub(crate) fn filled<T: Tensors>(value: &T, tensors: Vec<DispatchTensor>) -> T {
    let mut tensors = tensors.into_iter();
    value.clone().map_tensors(&mut |_| tensors.next().expect("as many tensors as before"))
}
