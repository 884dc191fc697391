//! Which methods apply to a model.

use crate::{Error, ImageModel};
use burn::Tensor;
use cam_core::{Explain, Explainer, Method, Target};

/// Makes sure that a method applies to a model: that it finds biases, attention or a linear head where it needs them. It runs once on a
/// blank image. Without layers it is tried at the default layer of the model.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// use burn_cam::{ErrorKind, GradCam, LeGrad, Top, applies};
///
/// # let model = Classifier::builtin(&Device::flex())?;
/// assert!(applies(&model, &GradCam, &[], &Top).is_ok());
/// // LeGrad reads attention, of which a ResNet has none.
/// assert_eq!(applies(&model, &LeGrad, &[], &Top).unwrap_err().kind(), ErrorKind::Method);
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// # Errors
/// An error of kind [`ErrorKind::Method`](crate::ErrorKind::Method) says why the method does not apply; others are those of
/// [`ImageExplainer::explain`](crate::ImageExplainer::explain).
pub fn applies<O: 'static>(
    model: &impl ImageModel<O>,
    method: &'static dyn Method,
    layers: &[String],
    target: &dyn Target<O>,
) -> Result<(), Error> {
    let mut explainer = Explainer::new(model).method(method);
    if let Some(layer) = model.default_layer() {
        explainer = explainer.default_layer(layer);
    }
    for layer in layers {
        explainer = explainer.layer(layer);
    }
    let blank = Tensor::<4>::zeros(model.preprocess().shape(), &model.device());
    explainer.explain(blank, target)?;
    Ok(())
}
