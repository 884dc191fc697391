//! What goes into a forward pass.

use burn::Tensor;
use burn::tensor::{Bool, Float, Int};

/// A batch of inputs: signals `Tensor<3>`, images `Tensor<4>`, volumes `Tensor<5>`, or your own type that holds
/// several of them, one of which is explained.
#[diagnostic::on_unimplemented(
    message = "maps of `{Self}` cannot be drawn",
    label = "this is no signal `Tensor<3>`, image `Tensor<4>` or volume `Tensor<5>`",
    note = "of several inputs, the one that is explained (the first, or that at place `K` of `At<K, _>`) has to be such a tensor"
)]
pub trait Input: Clone + 'static {
    /// A batch of maps over the input: `[batch, height, width]` for images.
    type Map: Clone;

    /// Returns the sizes of the spatial axes: `[height, width]` for images.
    fn grid(&self) -> Vec<usize>;

    /// Returns the values that are explained, as the activation of a layer.
    ///
    /// # Shapes
    /// - output: `[batch, channels, positions]`, the positions in row-major order of the grid
    fn to_layer(&self) -> Tensor<3>;

    /// Replaces the values that are explained; the rest stays.
    ///
    /// # Shapes
    /// - values: `[batch, channels, positions]`
    fn with_layer(&self, values: Tensor<3>) -> Self;

    /// Returns `copies` rows, each the image with the index `image`.
    fn copies(&self, image: usize, copies: usize) -> Self;

    /// Brings maps `[batch, positions]` on the grid given into the form of this kind of input.
    fn to_map(values: Tensor<2>, grid: &[usize]) -> Self::Map;

    /// Returns the number of images.
    fn batch(&self) -> usize {
        self.to_layer().dims()[0]
    }
}

/// What goes into a forward pass besides what is explained: another image, numbers, a class. The first axis is the batch.
pub trait Companion: Clone + 'static {
    /// Returns `copies` rows, each that of the image with the index `image`.
    fn copies(&self, image: usize, copies: usize) -> Self;
}

macro_rules! tensor_companion {
    ($($kind:ty),*) => {$(
        impl<const D: usize> Companion for Tensor<D, $kind> {
            fn copies(&self, image: usize, copies: usize) -> Self {
                let mut shape = self.dims();
                shape[0] = copies;
                self.clone().narrow(0, image, 1).expand(shape)
            }
        }
    )*};
}

tensor_companion!(Float, Int, Bool);

macro_rules! with_companions {
    ($($name:ident: $index:tt),*) => {
        /// The first of several inputs is explained, the others stay as they are.
        impl<A: Input, $($name: Companion),*> Input for (A, $($name),*) {
            type Map = A::Map;

            fn grid(&self) -> Vec<usize> {
                self.0.grid()
            }

            fn to_layer(&self) -> Tensor<3> {
                self.0.to_layer()
            }

            fn with_layer(&self, values: Tensor<3>) -> Self {
                (self.0.with_layer(values), $(self.$index.clone()),*)
            }

            fn copies(&self, image: usize, copies: usize) -> Self {
                (self.0.copies(image, copies), $(self.$index.copies(image, copies)),*)
            }

            fn to_map(values: Tensor<2>, grid: &[usize]) -> A::Map {
                A::to_map(values, grid)
            }

            fn batch(&self) -> usize {
                self.0.batch()
            }
        }
    };
}

with_companions!(B: 1);
with_companions!(B: 1, C: 2);
with_companions!(B: 1, C: 2, D: 3);

/// Several inputs, of which the one at place `K` is explained, and not the first: `At::<1, _>((image, depth))`.
#[derive(Debug, Clone)]
pub struct At<const K: usize, T>(pub T);

macro_rules! explained_at {
    ($all:tt; $place:literal: $name:ident.$index:tt $(, $other:ident.$at:tt)*) => {
        impl<$name: Input, $($other: Companion),*> Input for At<$place, $all> {
            type Map = $name::Map;

            fn grid(&self) -> Vec<usize> {
                self.0.$index.grid()
            }

            fn to_layer(&self) -> Tensor<3> {
                self.0.$index.to_layer()
            }

            fn with_layer(&self, values: Tensor<3>) -> Self {
                let mut all = self.0.clone();
                all.$index = all.$index.with_layer(values);
                Self(all)
            }

            fn copies(&self, image: usize, copies: usize) -> Self {
                let mut all = self.0.clone();
                all.$index = all.$index.copies(image, copies);
                $(all.$at = all.$at.copies(image, copies);)*
                Self(all)
            }

            fn to_map(values: Tensor<2>, grid: &[usize]) -> $name::Map {
                $name::to_map(values, grid)
            }

            fn batch(&self) -> usize {
                self.0.$index.batch()
            }
        }
    };
}

explained_at!((A, B); 0: A.0, B.1);
explained_at!((A, B); 1: B.1, A.0);
explained_at!((A, B, C); 0: A.0, B.1, C.2);
explained_at!((A, B, C); 1: B.1, A.0, C.2);
explained_at!((A, B, C); 2: C.2, A.0, B.1);
explained_at!((A, B, C, D); 0: A.0, B.1, C.2, D.3);
explained_at!((A, B, C, D); 1: B.1, A.0, C.2, D.3);
explained_at!((A, B, C, D); 2: C.2, A.0, B.1, D.3);
explained_at!((A, B, C, D); 3: D.3, A.0, B.1, C.2);

macro_rules! tensor_input {
    ($rank:literal, $map:literal) => {
        impl Input for Tensor<$rank> {
            type Map = Tensor<$map>;

            fn grid(&self) -> Vec<usize> {
                self.dims()[2..].to_vec()
            }

            fn batch(&self) -> usize {
                self.dims()[0]
            }

            fn to_layer(&self) -> Tensor<3> {
                let shape = self.dims();
                self.clone().reshape([shape[0], shape[1], shape[2..].iter().product()])
            }

            fn with_layer(&self, values: Tensor<3>) -> Self {
                values.reshape(self.dims())
            }

            fn copies(&self, image: usize, copies: usize) -> Self {
                let mut shape = self.dims();
                shape[0] = copies;
                self.clone().narrow(0, image, 1).expand(shape)
            }

            fn to_map(values: Tensor<2>, grid: &[usize]) -> Tensor<$map> {
                let mut shape = [values.dims()[0]; $map];
                shape[1..].copy_from_slice(grid);
                values.reshape(shape)
            }
        }
    };
}

tensor_input!(3, 2);
tensor_input!(4, 3);
tensor_input!(5, 4);
