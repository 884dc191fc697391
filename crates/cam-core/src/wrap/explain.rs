//! What explains the scores of a model: an explainer, alone or wrapped.

use crate::{Error, Explanation, Input, Run, Target, block_on};
use burn::Tensor;
use std::pin::Pin;
use std::time::Duration;

/// A run of an explainer, as a future.
pub type Running<'a, O> = Pin<Box<dyn Future<Output = Result<Run<O>, Error>> + 'a>>;

/// An explanation, as a future.
pub type Explaining<'a, T, O> = Pin<Box<dyn Future<Output = Result<Explanation<T, O>, Error>> + 'a>>;

/// What turns targets into maps, for inputs of type `I` and outputs of type `O`: an [`Explainer`](crate::Explainer), alone or
/// [wrapped](crate::Wrapped).
///
/// `Box<dyn Explain<I, O>>` is one too.
pub trait Explain<I: Input, O: 'static> {
    /// Explains several targets of the same images. The maps do not have the form of the input yet, so that a
    /// [`Wrapper`](crate::Wrapper) can compute with them.
    ///
    /// # Errors
    /// Those of [`explain_each`](Self::explain_each), in the future.
    fn run<'a>(&'a self, input: I, targets: &'a [&'a dyn Target<O>]) -> Running<'a, O>;

    /// Returns the model for plain inference, and the settings that wrappers share with the explainer inside.
    fn inference(&self) -> &dyn Inference<I, O>;

    /// Explains one target: [`explain_each`](Self::explain_each) with a list of one.
    ///
    /// # Errors
    /// Those of [`explain_each`](Self::explain_each).
    fn explain(&self, input: I, target: &dyn Target<O>) -> Result<Explanation<I::Map, O>, Error> {
        self.explain_each(input, &[target])
    }

    /// Explains several targets of the same images. The maps are sorted by target, then by layer, then by method; methods
    /// that read the whole network come after the layers.
    ///
    /// The forward pass is run once for all of them; further targets and ablations run only the part after the layer.
    /// Everything stays on the device of the model.
    ///
    /// # Errors
    /// What is wrong with the taps, the layers, the methods or the targets; [`Error::TrainingMode`] and [`Error::TrainingDevice`] if
    /// the model is not in inference, before anything of it runs; [`Error::UnlikeInference`] if no flag shows it and the
    /// first call detects it.
    fn explain_each(&self, input: I, targets: &[&dyn Target<O>]) -> Result<Explanation<I::Map, O>, Error> {
        block_on(self.explain_each_async(input, targets))
    }

    /// Like [`explain`](Self::explain), without blocking: [`explain_each_async`](Self::explain_each_async) with a list of one.
    ///
    /// # Errors
    /// Those of [`explain_each`](Self::explain_each).
    fn explain_async<'a>(&'a self, input: I, target: &'a dyn Target<O>) -> Explaining<'a, I::Map, O> {
        Box::pin(async move { Ok(self.run(input, &[target]).await?.into_explanation::<I>()) })
    }

    /// Like [`explain_each`](Self::explain_each), without blocking: for event loops and browsers, which cannot wait for a device.
    /// What is awaited are the numbers that the first call and some methods read; [`Explanation::read_async`] reads the maps.
    ///
    /// The future is not `Send`: a call counts and caches what it has run without locks, and targets need not be shareable. It stays
    /// on the thread that polls it (`block_on`, `spawn_local`); other threads can explain with the same explainer at the same time.
    ///
    /// # Errors
    /// Those of [`explain_each`](Self::explain_each).
    fn explain_each_async<'a>(
        &'a self,
        input: I,
        targets: &'a [&'a dyn Target<O>],
    ) -> Explaining<'a, I::Map, O> {
        Box::pin(async move { Ok(self.run(input, targets).await?.into_explanation::<I>()) })
    }
}

/// A model for plain inference, and the settings that wrappers share with the explainer inside.
pub trait Inference<I: Input, O: 'static> {
    /// Runs the model without taps, and returns its output and the time that took.
    ///
    /// # Errors
    /// [`Error::EmptyInput`], [`Error::TrainingMode`] and [`Error::TrainingDevice`].
    fn forward(&self, input: I) -> Result<(O, Duration), Error>;

    /// Scales maps like the explainer.
    ///
    /// # Shapes
    /// - maps, output: `[batch, positions]`
    fn scale(&self, maps: Tensor<2>) -> Tensor<2>;

    /// Resizes maps, or the channels of one image, from a grid to another.
    ///
    /// # Shapes
    /// - maps: `[maps, positions of from]`
    /// - output: `[maps, positions of to]`
    fn resize(&self, maps: Tensor<2>, from: &[usize], to: &[usize]) -> Tensor<2>;

    /// Returns how many inputs like this one, of which there is one, a pass carries within the explainer's memory.
    ///
    /// # Errors
    /// What is wrong with the taps.
    fn inputs_per_pass(&self, input: I) -> Result<usize, Error>;

    /// Reports how far a wrapper of this name is, as [`Explainer::on_progress`](crate::Explainer::on_progress) does of a method.
    fn report(&self, _wrapper: &'static str, _done: usize, _total: usize) {}
}

macro_rules! delegated {
    ($($holder:ty),*) => {$(
        impl<I: Input, O: 'static, E: Explain<I, O> + ?Sized> Explain<I, O> for $holder {
            fn run<'a>(&'a self, input: I, targets: &'a [&'a dyn Target<O>]) -> Running<'a, O> {
                (**self).run(input, targets)
            }

            fn inference(&self) -> &dyn Inference<I, O> {
                (**self).inference()
            }
        }
    )*};
}

delegated!(&E, Box<E>);
