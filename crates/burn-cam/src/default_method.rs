//! Which method explains a model by default.

use crate::ImageModel;
use burn::Tensor;
use cam_core::{GradCam, LeGrad, Method};

/// Returns the name of the method that explains a model if none is named: that of its [decoder](crate::Decoder::method), or else LeGrad for a
/// network whose class token attends to the places of the image (a vision transformer), and Grad-CAM for any other. The choice was measured:
/// see `docs/methods.md`. LeGrad shows only evidence for a score, so numbers of both signs are explained by Grad-CAM.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// let resnet = Classifier::builtin(&Device::flex())?;
/// assert_eq!(burn_cam::default_method(&resnet), "gradcam");
/// let vit = Classifier::untrained("vit_tiny_patch16_224", &Device::flex())?;
/// assert_eq!(burn_cam::default_method(&vit), "legrad");
/// # Ok::<(), burn_cam::Error>(())
/// ```
pub fn default_method<O>(model: &impl ImageModel<O>) -> &'static str {
    let decoder = model.decoder();
    decoder.method().unwrap_or_else(|| {
        let blank = Tensor::<4>::zeros(model.preprocess().shape(), &model.device());
        match !decoder.is_signed() && model.has_class_attention(&blank) {
            true => LeGrad.name(),
            false => GradCam.name(),
        }
    })
}
