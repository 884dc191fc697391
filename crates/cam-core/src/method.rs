//! What a CAM method is: a weight for each channel, or for each element, of an activation.

use crate::methods::{AblationCam, EigenCam, GradCam, HiResCam, LayerCam, ScoreCam};
use crate::{Error, Seen};
use burn::Tensor;

/// A class activation map method: $L = \text{combine}_k \, w_k A_k$.
///
/// Methods differ in their weights; rectifying, resizing and scaling are shared. A method of one's own is an
/// implementation of this trait:
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
///     fn weights(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> { Ok(seen.gradient()?.max_dim(2)) }
/// }
/// ```
pub trait Method: Send + Sync {
    /// The name that users type, as pytorch-grad-cam spells it.
    fn name(&self) -> &'static str;

    /// Where the method is published.
    fn paper(&self) -> &'static str;

    /// The weights of the channels `[batch, channels, 1]` or of the elements `[batch, channels, positions]`; an axis of 1
    /// stands for all.
    ///
    /// What a method needs is what it asks [`Seen`] for: one that never asks for a gradient costs no backward pass.
    fn weights(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error>;

    /// How the weighted channels become one map.
    fn combine(&self) -> Combine {
        Combine::Sum
    }
}

/// How weighted channels become one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// $\sum_k w_k A_k$
    Sum,
    /// The first principal component of $w_k A_k$ over the positions ("eigen smoothing").
    FirstComponent,
}

impl<T: Method + ?Sized> Method for &T {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn paper(&self) -> &'static str {
        (**self).paper()
    }

    fn weights(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        (**self).weights(seen)
    }

    fn combine(&self) -> Combine {
        (**self).combine()
    }
}

/// Every method, with the settings of its paper. The tool's `--method`, its list and the conformance tests come from here.
pub static METHODS: &[&dyn Method] =
    &[&GradCam, &HiResCam, &LayerCam, &EigenCam, &AblationCam::PAPER, &ScoreCam::PAPER];

/// The method of this name.
///
/// # Errors
/// [`Error::UnknownMethod`] with the names that there are.
///
/// ```
/// assert_eq!(cam_core::method_named("gradcam")?.paper(), "https://arxiv.org/abs/1610.02391");
/// assert!(cam_core::method_named("gradcan").err().unwrap().to_string().contains("there are gradcam, hirescam"));
/// # Ok::<(), cam_core::Error>(())
/// ```
pub fn method_named(name: &str) -> Result<&'static dyn Method, Error> {
    METHODS.iter().copied().find(|method| method.name() == name).ok_or_else(|| Error::UnknownMethod {
        asked: name.into(),
        known: METHODS.iter().map(|method| method.name().into()).collect(),
    })
}
