//! Guided backpropagation and Guided Grad-CAM of images.

use crate::explanation::heat_maps;
use crate::input::Shown;
use crate::{AnyTarget, Error, HeatMap, ImageExplainer, ImageExplanation, ImageInput, ImageModel};
use burn::Tensor;
use cam_viz::Gradient;

impl<M: ImageModel<O>, O: 'static> ImageExplainer<'_, M, O> {
    /// Explains an image, and computes beside it the gradient of guided backpropagation for each target, at the resolution of the area
    /// that the model saw. Its product with a heat map ([`Gradient::times`]) is Guided Grad-CAM.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::ImageExplainer;
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let image = cam_scenes::Scene::draw(7, 200)?.image;
    /// let (found, gradients) = ImageExplainer::new(&model).guided(&image)?;
    /// let guided_gradcam = gradients[0].times(&found.maps[0].heatmap)?;
    /// assert_eq!(guided_gradcam.color().dimensions(), (200, 200));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`explain`](Self::explain), and as [`guided_backprop`](crate::guided_backprop).
    pub fn guided(
        &self,
        image: impl Into<ImageInput>,
    ) -> Result<(ImageExplanation<O>, Vec<Gradient>), Error> {
        let image = image.into();
        let found = self.explain(&image)?;
        let (input, shown) = self.input(&image)?;
        let targets = cam_core::block_on(self.targets_of(&input))?;
        let gradient = |target: &AnyTarget<O>| cam_core::guided_backprop(self.model(), &input, target);
        let gradients = targets.iter().map(gradient).collect::<Result<Vec<_>, _>>()?;
        let [_, channels, height, width] = input.dims();
        // Read together, so that the device is waited for once.
        let planes =
            heat_maps(&Tensor::cat(gradients, 0).reshape([targets.len() * channels, height, width]))?;
        let gradients = planes.chunks_exact(channels).map(|planes| on_area(planes, shown));
        Ok((found, gradients.collect::<Result<_, _>>()?))
    }
}

/// Returns the gradient at the size of the area of the image that it is of.
fn on_area(planes: &[HeatMap], shown: Shown) -> Result<Gradient, Error> {
    let (mut values, area) = (Vec::new(), shown.area);
    for plane in planes {
        values.extend_from_slice(shown.crop(plane.clone())?.resize(area.width, area.height)?.values());
    }
    Ok(Gradient::new(area.width, area.height, values)?)
}
