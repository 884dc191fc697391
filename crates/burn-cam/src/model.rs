//! Models of images: a forward pass, and what has to be known to show it an image and to understand its output.

use crate::{Decoder, Device, Error, Model, ModelRequest, Preprocess};
use burn::Tensor;
use cam_core::{Inspect, Taps};
use std::ops::Range;
use std::path::PathBuf;

/// A model of images: a forward pass with layers, its device, its preprocessing, and a decoder of its output.
///
/// [`Classifier`](crate::Classifier), [`RecordedModel`](crate::RecordedModel) and [`AnyModel`] are models of images. A model that is tapped by hand becomes
/// one by three functions:
///
/// ```
/// use burn::nn::{Linear, LinearConfig, conv::{Conv2d, Conv2dConfig}};
/// use burn::prelude::*;
/// use burn::tensor::activation::relu;
/// use burn_cam::{Classify, Decoder, ImageModel, Inspect, Model, Nchw, Preprocess, Taps};
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
/// impl ImageModel for Net {
///     fn device(&self) -> Device { self.fc.weight.device() }
///     fn preprocess(&self) -> Preprocess { Preprocess::IMAGENET }
///     fn decoder(&self) -> Box<dyn Decoder> { Box::new(Classify::new(["cat", "dog"])) }
/// }
///
/// let device = Device::flex();
/// let net = Net {
///     conv: Conv2dConfig::new([3, 8], [3, 3]).init(&device),
///     fc: LinearConfig::new(8, 2).init(&device),
/// };
/// let image = burn_cam::image::DynamicImage::new_rgb8(300, 200);
/// let map = burn_cam::explain(&net, &image)?;
/// assert_eq!((map.layer.as_str(), map.heatmap.width(), map.heatmap.height()), ("conv", 224, 224));
/// assert_eq!(map.overlay()?.dimensions(), (300, 200));
/// # Ok::<(), burn_cam::Error>(())
/// ```
pub trait ImageModel<O = Tensor<2>>: Model<Tensor<4>, O> {
    /// Returns the device that its parameters are on.
    fn device(&self) -> Device;

    /// Returns how an image becomes its input.
    fn preprocess(&self) -> Preprocess;

    /// Returns what its output means.
    fn decoder(&self) -> Box<dyn Decoder<O>>;

    /// Returns the layer that is explained by default. Without one it is the last layer that can show where, see
    /// [`choose_layer`](crate::choose_layer).
    fn default_layer(&self) -> Option<&str> {
        None
    }

    /// Returns what reports say about the model.
    fn info(&self) -> ModelInfo {
        ModelInfo::default()
    }

    /// Returns the model with random numbers in a part of its parameters, as shares of all in their order: what sanity checks compare with. `None`
    /// of a model that cannot be randomized. [`cam_graph::randomized`] randomizes any module.
    fn randomized(&self, _part: Range<f64>) -> Option<Box<dyn Model<Tensor<4>, O> + '_>> {
        None
    }

    /// Returns the sha256 of the weights as they are stored, in hexadecimal digits; `None` when they are not stored.
    ///
    /// # Errors
    /// [`Error::Models`] when their file cannot be read.
    fn sha256(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// What reports say about a model.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Its name: `resnet50`.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    /// Where its weights are published; empty when they are not.
    pub url: String,
    /// The license of its weights.
    pub license: String,
    /// The file that its weights were read from.
    pub weights: Option<PathBuf>,
    /// What it was recognized as, and by what, in one line; `None` when it was named.
    pub recognized: Option<String>,
    /// What is assumed of it, because neither its file nor anybody states it, in a few words each.
    pub assumed: Vec<String>,
    /// Its model card in TOML, with a comment at each field on where it comes from.
    pub card: Option<String>,
}

impl ModelInfo {
    /// Creates what is known of a model by its name alone.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// A classifier of any kind: what a program holds that does not know its models beforehand, made by [`open`](crate::open).
pub struct AnyModel {
    model: Box<dyn ImageModel + Send + Sync>,
    preprocess: Preprocess,
}

impl AnyModel {
    /// Wraps a model.
    pub fn new(model: impl ImageModel + Send + Sync + 'static) -> Self {
        Self { preprocess: model.preprocess(), model: Box::new(model) }
    }

    /// Returns the model with what is stated of its preprocessing, whatever opened it.
    pub(crate) fn stated(mut self, request: &ModelRequest) -> Self {
        if let Some(mean) = &request.mean {
            self.preprocess.mean = mean.clone().into();
        }
        if let Some(std) = &request.std {
            self.preprocess.std = std.clone().into();
        }
        if let Some(resize) = request.resize {
            self.preprocess.resize = resize;
        }
        self
    }
}

impl Model for AnyModel {
    fn module(&self) -> &dyn Inspect {
        self.model.module()
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        self.model.prepare(images)
    }

    fn has_class_attention(&self, images: &Tensor<4>) -> bool {
        self.model.has_class_attention(images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        self.model.forward(images, taps)
    }
}

impl ImageModel for AnyModel {
    fn device(&self) -> Device {
        self.model.device()
    }

    fn preprocess(&self) -> Preprocess {
        self.preprocess.clone()
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        self.model.decoder()
    }

    fn default_layer(&self) -> Option<&str> {
        self.model.default_layer()
    }

    fn info(&self) -> ModelInfo {
        self.model.info()
    }

    fn randomized(&self, part: Range<f64>) -> Option<Box<dyn Model + '_>> {
        self.model.randomized(part)
    }

    fn sha256(&self) -> Result<Option<String>, Error> {
        self.model.sha256()
    }
}
