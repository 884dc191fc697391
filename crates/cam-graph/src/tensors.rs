//! Inputs and outputs of a forward pass: a tensor, or several tensors in tuples, lists and structs.

use burn::backend::DispatchTensor;
use burn::tensor::{Bool, Int, Tensor};
use cam_core::{At, Detections};

/// A value made of tensors: an input or output of a recorded forward pass.
///
/// It is implemented for tensors of any rank and kind, and for tuples, arrays, lists and options of such values. It can be derived for
/// structs whose fields implement it; mark fields without tensors by `#[tensors(skip)]`:
///
/// ```
/// use burn::prelude::*;
/// use cam_graph::Tensors;
///
/// #[derive(Clone, Tensors)]
/// #[tensors(crate = cam_graph)]
/// struct Detections {
///     boxes: Tensor<3>,
///     scores: Tensor<2>,
///     #[tensors(skip)]
///     stride: usize,
/// }
/// ```
///
/// The generated code names `burn_cam`. A crate that has the trait from elsewhere names that crate, as here.
///
/// If the input is a tuple, its first element is explained ([`cam_core::Input`]), or another: see [`Recorded::at`](crate::Recorded::at). Of a
/// struct that derives `Input` it is the first field:
///
/// ```
/// use burn::prelude::*;
/// use cam_graph::{Input, Tensors};
///
/// #[derive(Clone, Tensors, Input)]
/// #[tensors(crate = cam_graph)]
/// struct Patient {
///     scan: Tensor<4>,
///     age: Tensor<2>,
/// }
///
/// let device = Device::flex();
/// let patients = Patient { scan: Tensor::ones([2, 1, 16, 16], &device), age: Tensor::ones([2, 1], &device) };
/// assert_eq!((patients.batch(), patients.grid()), (2, vec![16, 16]));
/// assert_eq!(patients.copies(1, 5).age.dims(), [5, 1]);
/// ```
///
/// ```
/// use burn::nn::{Linear, LinearConfig, conv::{Conv2d, Conv2dConfig}};
/// use burn::prelude::*;
/// use burn::tensor::Distribution;
/// use cam_core::{Class, Explain, Explainer};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     conv: Conv2d,
///     age: Linear,
///     head: Linear,
/// }
///
/// impl Net {
///     fn forward(&self, images: Tensor<4>, age: Tensor<2>) -> Tensor<2> {
///         let x = self.conv.forward(images).mean_dims(&[2, 3]).flatten(1, 3);
///         self.head.forward(x + self.age.forward(age))
///     }
/// }
///
/// let device = Device::flex();
/// let net = Net {
///     conv: Conv2dConfig::new([3, 8], [3, 3]).init(&device),
///     age: LinearConfig::new(1, 8).init(&device),
///     head: LinearConfig::new(8, 5).init(&device),
/// };
/// let recorded = cam_graph::record(&net, |net, (images, age)| net.forward(images, age))?;
/// let images = Tensor::<4>::random([2, 3, 16, 16], Distribution::Default, &device);
/// let ages = Tensor::<2>::from_floats([[41.0], [7.0]], &device);
/// let found = Explainer::new(&recorded).explain((images, ages), &Class(3))?;
/// assert_eq!(found.maps[0].heatmap.dims(), [2, 16, 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Tensors: Clone {
    /// Returns the value with each of its tensors mapped, always in the same order.
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

/// The explained one comes first.
macro_rules! explained_at {
    ($all:tt; $place:literal: $name:ident, $($other:ident),*) => {
        impl<$name: Tensors, $($other: Tensors),*> Tensors for At<$place, $all> {
            #[allow(non_snake_case)]
            fn map_tensors(self, map: MapTensor<'_>) -> Self {
                let $all = self.0;
                let $name = $name.map_tensors(map);
                $(let $other = $other.map_tensors(map);)*
                Self($all)
            }
        }
    };
}

explained_at!((A, B); 0: A, B);
explained_at!((A, B); 1: B, A);
explained_at!((A, B, C); 0: A, B, C);
explained_at!((A, B, C); 1: B, A, C);
explained_at!((A, B, C); 2: C, A, B);
explained_at!((A, B, C, D); 0: A, B, C, D);
explained_at!((A, B, C, D); 1: B, A, C, D);
explained_at!((A, B, C, D); 2: C, A, B, D);
explained_at!((A, B, C, D); 3: D, A, B, C);

impl<T: Tensors> Tensors for Vec<T> {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        self.into_iter().map(|item| item.map_tensors(map)).collect()
    }
}

impl<T: Tensors, const N: usize> Tensors for [T; N] {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        self.map(|item| item.map_tensors(map))
    }
}

impl<T: Tensors> Tensors for Option<T> {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        self.map(|item| item.map_tensors(map))
    }
}

impl Tensors for Detections {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        Self { boxes: self.boxes.map_tensors(map), scores: self.scores.map_tensors(map) }
    }
}

/// Returns the tensors of a value, in order.
pub(crate) fn collect<T: Tensors>(value: &T) -> Vec<DispatchTensor> {
    let mut all = Vec::new();
    value.clone().map_tensors(&mut |tensor| {
        all.push(tensor.clone());
        tensor
    });
    all
}

/// Returns the value with its tensors replaced, in order.
///
/// # Panics
/// Panics if there are fewer tensors than in the value.
pub(crate) fn replace<T: Tensors>(value: &T, tensors: Vec<DispatchTensor>) -> T {
    let mut tensors = tensors.into_iter();
    value.clone().map_tensors(&mut |_| tensors.next().expect("as many tensors as before"))
}
