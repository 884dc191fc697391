//! What a method is: the evidence of each channel at each position of a layer.

use crate::{Error, LayerContext, MethodInfo};
use burn::Tensor;
use std::pin::Pin;

/// The evidence of a method, as a future: `[batch, channels, positions]`.
pub type Evidence<'a> = Pin<Box<dyn Future<Output = Result<Tensor<3>, Error>> + 'a>>;

/// A class activation map method: $L = \sum_k E_k$, where for most methods $E_k = w_k A_k$.
///
/// Methods differ in their evidence; combining the channels, rectifying, resizing and scaling are shared. Your own
/// method is an implementation of this trait:
///
/// ```
/// use cam_core::{Evidence, LayerContext, Method, MethodInfo};
///
/// /// The weight of a channel is its largest gradient.
/// struct MaxGradCam;
///
/// impl Method for MaxGradCam {
///     fn info(&self) -> MethodInfo {
///         MethodInfo::new("maxgradcam", "Max-Grad-CAM", "https://example.org").gradient()
///     }
///
///     fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
///         Box::pin(async move { Ok(layer.gradient()?.max_dim(2) * layer.activation()) })
///     }
/// }
/// ```
pub trait Method: Send + Sync {
    /// Returns what the method is called and what it needs. An explainer prepares what is declared here, and refuses the rest.
    fn info(&self) -> MethodInfo;

    /// Computes the signed evidence of each channel at each position, `[batch, channels, positions]`; one channel if the method
    /// combines them itself.
    ///
    /// It is a future because some methods need numbers on the host before their maps are done, as with
    /// [`UniqueCopies::from_keys_async`](crate::UniqueCopies::from_keys_async), and event loops and browsers cannot block.
    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a>;

    /// Returns the same method for at most this many channels of each image, those that vary most over the positions; `None` if the
    /// method always tries all of them.
    fn with_channels(&self, _channels: usize) -> Option<Box<dyn Method>> {
        None
    }

    /// Returns the same method with other random numbers; `None` if it draws none.
    fn with_seed(&self, _seed: u64) -> Option<Box<dyn Method>> {
        None
    }

    /// Returns the name that users type.
    fn name(&self) -> &'static str {
        self.info().name
    }
}

macro_rules! delegated {
    ($($holder:ty),*) => {$(
        impl<T: Method + ?Sized> Method for $holder {
            fn info(&self) -> MethodInfo {
                (**self).info()
            }

            fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
                (**self).evidence(layer)
            }

            fn with_channels(&self, channels: usize) -> Option<Box<dyn Method>> {
                (**self).with_channels(channels)
            }

            fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
                (**self).with_seed(seed)
            }
        }
    )*};
}

delegated!(&T, Box<T>);
