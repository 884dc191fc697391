//! Any Burn module as a model of images, with no changed line.

use crate::{Classify, Decoder, Device, Error, ImageModel, Logits, Model, ModelInfo, Preprocess};
use burn::Tensor;
use burn::module::Module;
use cam_core::{Inspect, Taps};
use cam_graph::{Forward, LayerTree, Recorded, Tensors};

/// Makes a model of images from any Burn module and its forward pass, as they are.
///
/// ```
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, Relu};
/// use burn::prelude::*;
///
/// // An ordinary Burn module.
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
/// let image = burn_cam::image::DynamicImage::new_rgb8(300, 200);
///
/// let recorded = burn_cam::record(&net, |net, images| net.forward(images))?;
/// let map = burn_cam::explain(&recorded, &image)?;
///
/// assert_eq!((map.layer.as_str(), map.heatmap.width(), map.heatmap.height()), ("relu", 224, 224));
/// assert_eq!(map.overlay()?.dimensions(), (300, 200));
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// By default images are resized to 224 x 224 pixels and normalized by ImageNet's mean and standard deviation
/// ([`preprocess`](RecordedModel::preprocess)), classes are called by their numbers ([`labels`](RecordedModel::labels)), scores are the
/// logits of a softmax ([`logits`](RecordedModel::logits)), and the layer is the last one that can show where
/// ([`layer`](RecordedModel::layer)).
///
/// The module is left as it is and explained in inference mode, also while it is being trained: see [`cam_graph::record`]. For outputs
/// other than class scores see [`record_with`]. Modules with other inputs are recorded with [`cam_graph::record`] and explained with
/// [`Explainer`](crate::Explainer).
///
/// # Errors
/// [`Error::Graph`] when the parameters are on several devices.
pub fn record<M, F>(module: &M, forward: F) -> Result<RecordedModel<M, F>, Error>
where
    M: Module,
    F: Fn(&M, Tensor<4>) -> Tensor<2>,
{
    record_with(module, Classify::default(), forward)
}

/// Makes a model of images from any Burn module, its forward pass, and a decoder of its output, which may be of any type that can be
/// recorded: see [`cam_graph::Tensors`].
///
/// # Errors
/// [`Error::Graph`] when the parameters are on several devices.
pub fn record_with<M, F, O, D>(module: &M, decoder: D, forward: F) -> Result<RecordedModel<M, F, O, D>, Error>
where
    M: Module,
    F: Fn(&M, Tensor<4>) -> O,
    O: Tensors,
    D: Decoder<O> + Clone + 'static,
{
    Ok(RecordedModel::new(cam_graph::record(module, forward)?, decoder, ModelInfo::new(module_name::<M>())))
}

/// Returns the name of a type without its path and its parameters.
fn module_name<M>() -> &'static str {
    let path = std::any::type_name::<M>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// A recorded module, and how images are shown to it; made by [`record`].
#[derive(Debug)]
pub struct RecordedModel<M, F, O = Tensor<2>, D = Classify> {
    recorded: Recorded<M, F, Tensor<4>, O>,
    decoder: D,
    info: ModelInfo,
    preprocess: Preprocess,
    layer: Option<String>,
}

impl<M, F, O, D> RecordedModel<M, F, O, D> {
    /// Makes a model of images of a recorded module.
    pub(crate) fn new(recorded: Recorded<M, F, Tensor<4>, O>, decoder: D, info: ModelInfo) -> Self {
        Self { recorded, decoder, info, preprocess: Preprocess::IMAGENET, layer: None }
    }

    /// Sets how an image becomes the input: its size, mean and standard deviation.
    pub fn preprocess(self, preprocess: Preprocess) -> Self {
        Self { preprocess, ..self }
    }

    /// Sets the layer that is explained by default.
    pub fn layer(self, name: impl Into<String>) -> Self {
        Self { layer: Some(name.into()), ..self }
    }

    /// Sets what reports say about the model; by default the name of its type.
    pub fn info(self, info: ModelInfo) -> Self {
        Self { info, ..self }
    }
}

impl<M, F> RecordedModel<M, F> {
    /// Sets the names of the classes, in their order.
    pub fn labels(self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { decoder: self.decoder.labels(labels), ..self }
    }

    /// Sets what the scores are the logits of.
    pub fn logits(self, logits: Logits) -> Self {
        Self { decoder: self.decoder.logits(logits), ..self }
    }
}

impl<M, F, O, D> RecordedModel<M, F, O, D>
where
    M: Module,
    F: Forward<M, Tensor<4>, O>,
    O: Tensors,
{
    /// Returns the layers that are found for images of this shape, as a tree that can be printed.
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

impl<M, F, O, D> Model<Tensor<4>, O> for RecordedModel<M, F, O, D>
where
    M: Module,
    F: Forward<M, Tensor<4>, O>,
    O: Tensors,
{
    fn module(&self) -> &dyn Inspect {
        Model::module(&self.recorded)
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        Model::prepare(&self.recorded, images)
    }

    fn has_class_attention(&self, images: &Tensor<4>) -> bool {
        Model::has_class_attention(&self.recorded, images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> O {
        self.recorded.forward(images, taps)
    }
}

impl<M, F, O, D> ImageModel<O> for RecordedModel<M, F, O, D>
where
    M: Module,
    F: Forward<M, Tensor<4>, O>,
    O: Tensors,
    D: Decoder<O> + Clone + 'static,
{
    fn device(&self) -> Device {
        self.recorded.device().cloned().unwrap_or_default()
    }

    fn preprocess(&self) -> Preprocess {
        self.preprocess.clone()
    }

    fn decoder(&self) -> Box<dyn Decoder<O>> {
        Box::new(self.decoder.clone())
    }

    fn default_layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    fn randomized(&self, part: std::ops::Range<f64>) -> Option<Box<dyn Model<Tensor<4>, O> + '_>> {
        let model = self.recorded.randomized(part).ok()?;
        Some(Box::new(model))
    }
}
