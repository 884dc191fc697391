//! What a CAM method is: the evidence of each channel at each place of a layer.

use crate::methods::*;
use crate::{Error, Seen};
use burn::Tensor;
use std::pin::Pin;

/// The evidence of a method that is still to come.
pub type Evidence<'a> = Pin<Box<dyn Future<Output = Result<Tensor<3>, Error>> + 'a>>;

/// A class activation map method: $L = \sum_k E_k$, where for most methods $E_k = w_k A_k$.
///
/// Methods differ in their evidence; combining the channels, rectifying, resizing and scaling are shared. A method of one's
/// own is an implementation of this trait:
///
/// ```
/// use burn::Tensor;
/// use cam_core::{Error, Method, Seen};
///
/// /// The weight of a channel is the largest gradient it sees.
/// struct MaxGradCam;
///
/// impl Method for MaxGradCam {
///     fn name(&self) -> &'static str { "maxgradcam" }
///     fn paper(&self) -> &'static str { "https://example.org" }
///     fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
///         Ok(seen.gradient()?.max_dim(2) * seen.activation())
///     }
/// }
/// ```
pub trait Method: Send + Sync {
    /// The name that users type, as pytorch-grad-cam spells it.
    fn name(&self) -> &'static str;

    /// Where the method is published.
    fn paper(&self) -> &'static str;

    /// The signed evidence of each channel at each place, `[batch, channels, positions]`; one channel, where the method
    /// combines them itself.
    ///
    /// What a method needs is what it asks [`Seen`] for: one that never asks for a gradient costs no backward pass.
    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error>;

    /// As [`evidence`](Self::evidence), without blocking; this is what an explainer asks. Only a method that waits for the device has
    /// to write it, because it needs numbers on the host before its maps are done (as with
    /// [`Alike::labeled_async`](crate::Alike::labeled_async)).
    fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
        Box::pin(async move { self.evidence(seen) })
    }

    /// What one map is made of.
    fn sight(&self) -> Sight {
        Sight::Layer
    }
}

/// What one map of a method is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// One layer, of those that the explainer is asked to look at. Positions are those of the layer.
    Layer,
    /// The input, seen as a layer, and every layer that adds a bias. Positions are those of the input.
    Biases,
    /// Every layer of attention weights, of which the first is seen. Positions are the patches.
    Attention,
}

macro_rules! delegated {
    ($($holder:ty),*) => {$(
        impl<T: Method + ?Sized> Method for $holder {
            fn name(&self) -> &'static str {
                (**self).name()
            }

            fn paper(&self) -> &'static str {
                (**self).paper()
            }

            fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
                (**self).evidence(seen)
            }

            fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
                (**self).evidence_async(seen)
            }

            fn sight(&self) -> Sight {
                (**self).sight()
            }
        }
    )*};
}

delegated!(&T, Box<T>);

/// Every method, with its default settings, which are its paper's unless its documentation says why not. The tool's `--method`, its list and the conformance tests come from here.
pub static METHODS: &[&dyn Method] = &[
    &GradCam,
    &GradCamPlusPlus::BOUNDED,
    &SmoothGradCamPlusPlus::BOUNDED,
    &XGradCam,
    &HiResCam,
    &GradCamElementWise,
    &LayerCam,
    &ShapleyCam,
    &Cam,
    &EigenCam,
    &EigenGradCam,
    &SegEigenCam,
    &KpcaCam::PAPER,
    &Fem::PAPER,
    &AblationCam::PAPER,
    &ScoreCam::PAPER,
    &SsCam::PAPER,
    &IsCam::PAPER,
    &FullGrad::PAPER,
    &LeGrad,
    &Rollout,
    &RandomCam::PAPER,
];

/// The method of this name.
///
/// # Errors
/// [`Error::UnknownMethod`] with the names that there are.
///
/// ```
/// assert_eq!(cam_core::method_named("gradcam")?.paper(), "https://arxiv.org/abs/1610.02391");
/// assert!(cam_core::method_named("gradcan").err().unwrap().to_string().contains("there are gradcam, gradcam++"));
/// # Ok::<(), cam_core::Error>(())
/// ```
pub fn method_named(name: &str) -> Result<&'static dyn Method, Error> {
    METHODS.iter().copied().find(|method| method.name() == name).ok_or_else(|| Error::UnknownMethod {
        asked: name.into(),
        known: METHODS.iter().map(|method| method.name().into()).collect(),
    })
}
