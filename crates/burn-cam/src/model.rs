//! What has to be known of a model before it can be shown a photo.

use crate::{Classifier, Device, Logits, Model, Preprocess, Resize};

/// A classifier that can be shown photos.
///
/// [`Classifier`] is one. For a model of one's own two lines are enough:
///
/// ```
/// use burn::nn::{Linear, LinearConfig, conv::{Conv2d, Conv2dConfig}};
/// use burn::prelude::*;
/// use burn::tensor::activation::relu;
/// use burn_cam::{Inspect, Model, Nchw, PhotoModel, Preprocess, Resize, Taps};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     conv: Conv2d,
///     fc: Linear,
/// }
///
/// impl Model for Net {
///     fn module(&self) -> &dyn Inspect { self }
///
///     fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
///         let x = taps.layer("conv", Nchw, || relu(self.conv.forward(images)));
///         self.fc.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
///     }
/// }
///
/// impl PhotoModel for Net {
///     fn device(&self) -> Device { self.fc.weight.device() }
///     fn preprocess(&self, resize: Resize) -> Preprocess { Preprocess { resize, ..Preprocess::IMAGENET } }
/// }
///
/// let device = Device::flex();
/// let net = Net {
///     conv: Conv2dConfig::new([3, 8], [3, 3]).init(&device),
///     fc: LinearConfig::new(8, 5).init(&device),
/// };
/// let photo = burn_cam::image::DynamicImage::new_rgb8(300, 200);
/// let map = burn_cam::explain(&net, &photo)?;
/// assert_eq!((map.layer.as_str(), map.heat.width(), map.heat.height()), ("conv", 224, 224));
/// assert_eq!(map.overlay()?.dimensions(), (300, 200));
/// # Ok::<(), burn_cam::Error>(())
/// ```
pub trait PhotoModel: Model {
    /// Where its parameters are.
    fn device(&self) -> Device;

    /// How a photo becomes its input.
    fn preprocess(&self, resize: Resize) -> Preprocess;

    /// The names of its classes, in their order; where there are none, classes are called by their numbers.
    fn labels(&self) -> &[String] {
        &[]
    }

    /// The layer that is looked at where none is named; without one the last that can tell where, see
    /// [`choose_layer`](cam_core::choose_layer).
    fn layer(&self) -> Option<&str> {
        None
    }

    /// What its logits stand for.
    fn logits(&self) -> Logits {
        Logits::Softmax
    }
}

impl PhotoModel for Classifier {
    fn device(&self) -> Device {
        Classifier::device(self).clone()
    }

    fn preprocess(&self, resize: Resize) -> Preprocess {
        self.card().preprocess(resize)
    }

    fn labels(&self) -> &[String] {
        Classifier::labels(self)
    }

    fn layer(&self) -> Option<&str> {
        Some(&self.card().layer)
    }

    fn logits(&self) -> Logits {
        self.card().logits
    }
}
