//! Any Burn module as a model for photos, with no changed line.

use crate::{Device, Error, Logits, Model, PhotoModel, Preprocess, Resize};
use burn::Tensor;
use burn::module::Module;
use cam_core::{Inspect, Taps};
use cam_graph::{LayerTree, Recorded};

/// Makes a model for photos of any Burn module and its forward pass, as they are.
///
/// ```
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, Relu};
/// use burn::prelude::*;
///
/// // A module as one writes it in Burn.
/// #[derive(Module, Debug)]
/// struct Net {
///     conv: Conv2d,
///     norm: BatchNorm,
///     relu: Relu,
///     fc: Linear,
/// }
///
/// impl Net {
///     fn forward(&self, images: Tensor<4>) -> Tensor<2> {
///         let x = self.relu.forward(self.norm.forward(self.conv.forward(images)));
///         self.fc.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
///     }
/// }
///
/// let device = Device::flex();
/// let net = Net {
///     conv: Conv2dConfig::new([3, 8], [3, 3]).with_stride([2, 2]).init(&device),
///     norm: BatchNormConfig::new(8).init(&device),
///     relu: Relu::new(),
///     fc: LinearConfig::new(8, 5).init(&device),
/// };
/// let photo = burn_cam::image::DynamicImage::new_rgb8(300, 200);
///
/// let recorded = burn_cam::record(&net, |net, images| net.forward(images))?;
/// let map = burn_cam::explain(&recorded, &photo)?;
///
/// assert_eq!((map.layer.as_str(), map.heat.width(), map.heat.height()), ("relu", 224, 224));
/// assert_eq!(map.overlay()?.dimensions(), (300, 200));
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// What nobody has said is assumed: photos are brought to 224 x 224 pixels with ImageNet's mean and deviation
/// ([`preprocess`](RecordedModel::preprocess)), classes are called by their numbers ([`labels`](RecordedModel::labels)), logits are those of
/// a softmax ([`logits`](RecordedModel::logits)), and the layer is the last one that can tell where ([`layer`](RecordedModel::layer)).
///
/// The module is left as it is and explained in inference, also while it is being trained: see [`cam_graph::record`]. Modules with other
/// inputs or outputs are recorded with [`cam_graph::record`] and explained with [`cam_core::Explainer`].
///
/// # Errors
/// [`Error::Graph`] when the parameters are on several devices.
pub fn record<M, F>(module: &M, forward: F) -> Result<RecordedModel<M, F>, Error>
where
    M: Module,
    F: Fn(&M, Tensor<4>) -> Tensor<2>,
{
    Ok(RecordedModel {
        recorded: cam_graph::record(module, forward)?,
        preprocess: Preprocess::IMAGENET,
        labels: Vec::new(),
        layer: None,
        logits: Logits::Softmax,
    })
}

/// A recorded module and how photos are shown to it, made by [`record`].
#[derive(Debug)]
pub struct RecordedModel<M, F> {
    recorded: Recorded<M, F, Tensor<4>, Tensor<2>>,
    preprocess: Preprocess,
    labels: Vec<String>,
    layer: Option<String>,
    logits: Logits,
}

impl<M, F> RecordedModel<M, F> {
    /// Sets how a photo becomes the input: size, mean and deviation.
    pub fn preprocess(self, preprocess: Preprocess) -> Self {
        Self { preprocess, ..self }
    }

    /// Sets the names of the classes, in their order.
    pub fn labels(self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the layer that is looked at where none is named.
    pub fn layer(self, name: impl Into<String>) -> Self {
        Self { layer: Some(name.into()), ..self }
    }

    /// Sets what the logits stand for.
    pub fn logits(self, logits: Logits) -> Self {
        Self { logits, ..self }
    }
}

impl<M, F> RecordedModel<M, F>
where
    M: Module,
    F: Fn(&M, Tensor<4>) -> Tensor<2>,
{
    /// The layers that are found for images of this shape, as a tree that can be printed.
    ///
    /// # Shapes
    /// - images: `[batch, channels, height, width]`
    ///
    /// # Errors
    /// [`Error::Graph`] when the forward pass cannot be recorded.
    pub fn layers(&self, images: &Tensor<4>) -> Result<LayerTree, Error> {
        Ok(self.recorded.layers(images)?)
    }
}

impl<M, F> Model for RecordedModel<M, F>
where
    M: Module,
    F: Fn(&M, Tensor<4>) -> Tensor<2>,
{
    fn module(&self) -> &dyn Inspect {
        Model::module(&self.recorded)
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        Model::prepare(&self.recorded, images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        self.recorded.forward(images, taps)
    }
}

impl<M, F> PhotoModel for RecordedModel<M, F>
where
    M: Module,
    F: Fn(&M, Tensor<4>) -> Tensor<2>,
{
    fn device(&self) -> Device {
        self.recorded.device().cloned().unwrap_or_default()
    }

    fn preprocess(&self, resize: Resize) -> Preprocess {
        Preprocess { resize, ..self.preprocess.clone() }
    }

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    fn logits(&self) -> Logits {
        self.logits
    }
}
