//! What is explained: a forward pass that names its layers, and the input it takes.

use crate::{Error, Inspect, NoModule, Taps};
use burn::Tensor;
use burn::tensor::{Bool, Float, Int};

/// A model: its forward pass, which names its layers with the taps.
///
/// A picture classifier needs no type parameters; other inputs and outputs are named:
/// `impl Model<Tensor<3>, Tensor<2>>` for signals, any type of your own as output. A network whose forward pass is written
/// elsewhere becomes a model by [`Tapped`].
///
/// # Closures
///
/// A closure `|images, taps| ...` that captures nothing is a model too, and so is a function. One that captures something does not
/// compile: a captured module in training mode could not be seen, and explaining it would move its running statistics. What a
/// forward pass reads goes to [`Tapped`], beside the closure.
///
/// ```compile_fail
/// # use burn::prelude::*;
/// # use cam_core::{Explainer, Nchw, Taps, Top};
/// let net = burn::nn::conv::Conv2dConfig::new([3, 10], [3, 3]).init(&Device::flex());
/// let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("conv", Nchw, || net.forward(images)).mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// let found = Explainer::new(&model).explain(Tensor::ones([1, 3, 8, 8], &Device::flex()), &Top);
/// ```
///
/// # Examples
///
/// ```
/// use burn::nn::{Linear, conv::Conv2d};
/// use burn::prelude::*;
/// use burn::tensor::activation::relu;
/// use cam_core::{Inspect, Model, Nchw, Taps};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     c1: Conv2d,
///     c2: Conv2d,
///     fc: Linear,
/// }
///
/// impl Model for Net {
///     fn module(&self) -> &dyn Inspect {
///         self
///     }
///
///     fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
///         let x = taps.layer("c1", Nchw, || relu(self.c1.forward(images)));
///         let x = taps.layer("c2", Nchw, || relu(self.c2.forward(x)));
///         self.fc.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
///     }
/// }
/// ```
pub trait Model<I = Tensor<4>, O = Tensor<2>> {
    /// The module whose parameters the forward pass reads: `self`, where the model derives [`Module`](burn::module::Module). It is
    /// looked at before any tape starts, so that a model in training is refused as it is and never changed. [`NoModule`] for a
    /// function of the input alone.
    fn module(&self) -> &dyn Inspect;

    /// The forward pass. With [`Taps::off`] it is plain inference.
    fn forward(&self, input: I, taps: &Taps<'_>) -> O;

    /// Prepares for inputs of this form. It is called before [`forward`](Self::forward), which cannot fail, so that what can go wrong
    /// is an error.
    ///
    /// # Errors
    /// Why the model cannot take such an input.
    fn prepare(&self, _input: &I) -> Result<(), Error> {
        Ok(())
    }
}

impl<I, O, F> Model<I, O> for F
where
    F: Fn(I, &Taps<'_>) -> O,
{
    fn module(&self) -> &dyn Inspect {
        const {
            assert!(
                size_of::<F>() == 0,
                "this closure captures something, and so is no model: use `Tapped::new(&captured, |captured, input, taps| ..)`"
            )
        };
        &NoModule
    }

    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        self(input, taps)
    }
}

/// A module and a forward pass of it that names its layers: a model, without an `impl`.
///
/// The closure captures nothing, or it does not compile: all that the forward pass reads is in the module, which is looked at before
/// anything of it runs. Several modules, tensors and numbers are one module as a tuple: `Tapped::new(&(net, weights, 0.5), |(net,
/// weights, factor), images, taps| ...)`.
///
/// ```
/// use burn::nn::conv::Conv2dConfig;
/// use burn::prelude::*;
/// use cam_core::{Class, Explainer, Nchw, Tapped};
///
/// let device = Device::flex();
/// let net = Conv2dConfig::new([3, 10], [3, 3]).init(&device);
/// let model = Tapped::new(&net, |net, images: Tensor<4>, taps| -> Tensor<2> {
///     let x = taps.layer("conv", Nchw, || net.forward(images));
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// });
/// let found = Explainer::new(&model).explain(Tensor::ones([1, 3, 8, 8], &device), &Class(7))?;
/// assert_eq!(found.maps[0].layer, "conv");
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Tapped<'m, N, F> {
    module: &'m N,
    forward: F,
}

impl<'m, N, F> Tapped<'m, N, F> {
    /// A model of this module and this forward pass, `|module, images, taps| ...`.
    pub fn new<I, O>(module: &'m N, forward: F) -> Self
    where
        F: Fn(&N, I, &Taps<'_>) -> O,
    {
        const {
            assert!(
                size_of::<F>() == 0,
                "this closure captures something: put it into the module, in a tuple if there are several: `Tapped::new(&(net, other), ..)`"
            )
        };
        Self { module, forward }
    }
}

impl<I, O, N, F> Model<I, O> for Tapped<'_, N, F>
where
    N: Inspect,
    F: Fn(&N, I, &Taps<'_>) -> O,
{
    fn module(&self) -> &dyn Inspect {
        self.module
    }

    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        (self.forward)(self.module, input, taps)
    }
}

/// A batch of inputs: signals `Tensor<3>`, pictures `Tensor<4>`, volumes `Tensor<5>`, or a type of one's own that holds
/// several of them, of which one is explained.
pub trait Input: Clone {
    /// A batch of maps over the input: `[batch, height, width]` for pictures.
    type Map: Clone;

    /// The sizes of the spatial axes: `[height, width]` for pictures.
    fn grid(&self) -> Vec<usize>;

    /// The values that are explained, as the activation of a layer.
    ///
    /// # Shapes
    /// - output: `[batch, channels, positions]`, the positions in row-major order of the grid
    fn to_layer(&self) -> Tensor<3>;

    /// The input with these values in place of its own; the rest stays.
    ///
    /// # Shapes
    /// - values: `[batch, channels, positions]`
    fn with_layer(&self, values: Tensor<3>) -> Self;

    /// `copies` rows, each the image `image`.
    fn copies(&self, image: usize, copies: usize) -> Self;

    /// Maps `[batch, positions]` on the grid given, as maps of this kind of input.
    fn to_map(values: Tensor<2>, grid: &[usize]) -> Self::Map;

    /// The number of images.
    fn batch(&self) -> usize {
        self.to_layer().dims()[0]
    }
}

/// What goes into a forward pass beside what is explained: another picture, numbers, a class. The first axis is the batch.
pub trait Companion: Clone {
    /// Returns `copies` rows, each the one of the image `image`.
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
    ($($name:ident: $place:tt),*) => {
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
                (self.0.with_layer(values), $(self.$place.clone()),*)
            }

            fn copies(&self, image: usize, copies: usize) -> Self {
                (self.0.copies(image, copies), $(self.$place.copies(image, copies)),*)
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
