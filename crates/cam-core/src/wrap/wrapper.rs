//! What is wrapped around an explainer.

use super::explain::{Explain, Inference, Running};
use crate::{Input, Target};

/// What makes maps of the maps of an explainer: averages over views, windows, layers. A wrapper is a plain value; it gets the explainer
/// when it is run.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Input, Nchw, Running, Taps, Target, Wrapper, WrapperInfo};
///
/// /// Inverts every map.
/// struct Inverted;
///
/// impl<I: Input, O: 'static> Wrapper<I, O> for Inverted {
///     fn info(&self) -> WrapperInfo {
///         WrapperInfo::new("inverted", "Inverted", "")
///     }
///
///     fn run<'a>(
///         &'a self,
///         inner: &'a dyn Explain<I, O>,
///         input: I,
///         targets: &'a [&'a dyn Target<O>],
///     ) -> Running<'a, O> {
///         Box::pin(async move {
///             let mut run = inner.run(input, targets).await?;
///             for maps in &mut run.maps {
///                 maps.heatmap = maps.heatmap.clone().neg() + 1.0;
///             }
///             Ok(run)
///         })
///     }
/// }
///
/// # let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     taps.layer("x", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0]]]], &Device::flex());
/// let explanation = Explainer::new(&model).layer("x").wrap(Inverted).explain(image, &Class(0))?;
/// assert_eq!(explanation.maps[0].heatmap.to_data().try_to_vec::<f32>().unwrap(), [0.0, 1.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub trait Wrapper<I: Input, O: 'static> {
    /// Returns what the wrapper is called and where it is published.
    fn info(&self) -> WrapperInfo;

    /// Runs the explainer inside, as often as it takes, and makes maps of its maps.
    ///
    /// # Errors
    /// Those of the explainer, in the future.
    fn run<'a>(
        &'a self,
        inner: &'a dyn Explain<I, O>,
        input: I,
        targets: &'a [&'a dyn Target<O>],
    ) -> Running<'a, O>;
}

/// What a wrapper is called and where it is published.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapperInfo {
    /// The name that users type.
    pub name: &'static str,
    /// The name that its paper uses.
    pub title: &'static str,
    /// A link to where it is published; empty if it needs no paper.
    pub paper: &'static str,
}

impl WrapperInfo {
    /// Describes a wrapper.
    pub const fn new(name: &'static str, title: &'static str, paper: &'static str) -> Self {
        Self { name, title, paper }
    }
}

macro_rules! delegated {
    ($($holder:ty),*) => {$(
        impl<I: Input, O: 'static, W: Wrapper<I, O> + ?Sized> Wrapper<I, O> for $holder {
            fn info(&self) -> WrapperInfo {
                (**self).info()
            }

            fn run<'a>(
                &'a self,
                inner: &'a dyn Explain<I, O>,
                input: I,
                targets: &'a [&'a dyn Target<O>],
            ) -> Running<'a, O> {
                (**self).run(inner, input, targets)
            }
        }
    )*};
}

delegated!(&W, Box<W>);

/// An explainer and what is wrapped around it: an explainer again.
///
/// `Wrapped::new(&explainer, wrapper)` borrows the explainer; [`Explainer::wrap`](crate::Explainer::wrap) takes it.
#[derive(Debug, Clone, Copy)]
pub struct Wrapped<E, W> {
    inner: E,
    wrapper: W,
}

impl<E, W> Wrapped<E, W> {
    /// Wraps something around an explainer, which may be a reference or a box.
    pub fn new(inner: E, wrapper: W) -> Self {
        Self { inner, wrapper }
    }

    /// Wraps something else around both.
    pub fn wrap<V>(self, wrapper: V) -> Wrapped<Self, V> {
        Wrapped::new(self, wrapper)
    }
}

impl<I, O, E, W> Explain<I, O> for Wrapped<E, W>
where
    I: Input,
    O: 'static,
    E: Explain<I, O>,
    W: Wrapper<I, O>,
{
    fn run<'a>(&'a self, input: I, targets: &'a [&'a dyn Target<O>]) -> Running<'a, O> {
        self.wrapper.run(&self.inner, input, targets)
    }

    fn inference(&self) -> &dyn Inference<I, O> {
        self.inner.inference()
    }
}
