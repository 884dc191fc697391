//! The built-in methods.

use super::*;
use crate::{Error, Method};

/// All built-in methods, with their default settings: those of the paper, unless the documentation of the method gives a reason.
/// The tool's `--method`, its list and the conformance tests come from here.
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

/// Returns the built-in method with this name.
///
/// # Errors
/// [`Error::UnknownMethod`] with the names of all methods.
///
/// ```
/// use cam_core::{Method, method_named};
///
/// assert_eq!(method_named("gradcam")?.info().paper, "https://arxiv.org/abs/1610.02391");
/// assert!(method_named("gradcan").err().unwrap().to_string().contains("there are gradcam, gradcam++"));
/// # Ok::<(), cam_core::Error>(())
/// ```
pub fn method_named(name: &str) -> Result<&'static dyn Method, Error> {
    METHODS.iter().copied().find(|method| method.name() == name).ok_or_else(|| Error::UnknownMethod {
        asked: name.into(),
        known: METHODS.iter().map(|method| method.name().into()).collect(),
    })
}
