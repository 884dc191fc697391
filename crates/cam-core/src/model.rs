//! What is explained: a forward pass that names its layers.

use crate::{Error, Inspect, NoModule, Taps};
use burn::Tensor;

/// A model: its forward pass, which names its layers with the taps.
///
/// An image classifier needs no type parameters; other inputs and outputs are named:
/// `impl Model<Tensor<3>, Tensor<2>>` for signals, any type as output. A network whose forward pass is written
/// elsewhere becomes a model with [`Tapped`].
///
/// # Closures
///
/// A closure `|images, taps| ...` that captures nothing is a model too, and so is a function. A closure that captures something does not
/// compile: whether a captured module is in training mode could not be checked, and explaining it would move its running statistics. What
/// a forward pass reads is given to [`Tapped`] with the closure.
///
/// ```compile_fail
/// # use burn::prelude::*;
/// # use cam_core::{Explain, Explainer, Nchw, Taps, Top};
/// let net = burn::nn::conv::Conv2dConfig::new([3, 10], [3, 3]).init(&Device::flex());
/// let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("conv", Nchw, || net.forward(images)).mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// let explanation = Explainer::new(&model).explain(Tensor::ones([1, 3, 8, 8], &Device::flex()), &Top);
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
    /// Returns the module whose parameters the forward pass reads: `self`, if the model derives [`Module`](burn::module::Module). It is
    /// inspected before any tape starts, so that a model in training is refused and never changed. [`NoModule`] is for a
    /// function of the input alone.
    fn module(&self) -> &dyn Inspect;

    /// Runs the forward pass. With [`Taps::off`] it is plain inference.
    fn forward(&self, input: I, taps: &Taps<'_>) -> O;

    /// Prepares for inputs of this shape. It is called before [`forward`](Self::forward), which cannot fail, so that what can go wrong
    /// is an error.
    ///
    /// # Errors
    /// Why the model cannot take such an input.
    fn prepare(&self, _input: &I) -> Result<(), Error> {
        Ok(())
    }

    /// Returns whether the forward pass of an input of this shape is known to have attention of a class token to the places of the image: a
    /// vision transformer, of which [`LeGrad`](crate::LeGrad) is the better default.
    fn has_class_attention(&self, _input: &I) -> bool {
        false
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
                "this closure captures something, so it is not a model: use `Tapped::new(&captured, |captured, input, taps| ..)`"
            )
        };
        &NoModule
    }

    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        self(input, taps)
    }
}

/// A module and a forward pass of it that names its layers: a model without an `impl`.
///
/// A closure that captures something does not compile: all that the forward pass reads is in the module, which is inspected before
/// anything of it runs. Several modules, tensors and numbers are one module as a tuple: `Tapped::new(&(net, weights, 0.5), |(net,
/// weights, factor), images, taps| ...)`.
///
/// ```
/// use burn::nn::conv::Conv2dConfig;
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Nchw, Tapped};
///
/// let device = Device::flex();
/// let net = Conv2dConfig::new([3, 10], [3, 3]).init(&device);
/// let model = Tapped::new(&net, |net, images: Tensor<4>, taps| -> Tensor<2> {
///     let x = taps.layer("conv", Nchw, || net.forward(images));
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// });
/// let explanation = Explainer::new(&model).explain(Tensor::ones([1, 3, 8, 8], &device), &Class(7))?;
/// assert_eq!(explanation.maps[0].layer, "conv");
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Tapped<'m, N, F> {
    module: &'m N,
    forward: F,
}

impl<'m, N, F> Tapped<'m, N, F> {
    /// Makes a model of a module and its forward pass, `|module, images, taps| ...`.
    pub fn new<I, O>(module: &'m N, forward: F) -> Self
    where
        F: Fn(&N, I, &Taps<'_>) -> O,
    {
        const {
            assert!(
                size_of::<F>() == 0,
                "this closure captures something: put that into the module, as a tuple if there are several: `Tapped::new(&(net, other), ..)`"
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
