//! Networks of any type behind one: the only file in which the types of modules are erased.
//!
//! Burn's `Module` cannot be a trait object, because it is cloned and visited by generic code. What this crate does with a module can
//! be: build it, load its weights, list its tensors, change its precision, record it.

mod tail;

use crate::family::Architecture;
use crate::options::HeadLayer;
use crate::weights::{Comparison, ParamShapes, PyTorchAdapter, Shapes, Weights};
use crate::{ArchitectureOptions, Error};
use burn::module::Module;
use burn::store::ModuleAdapter;
use burn::tensor::{Device, Tensor};
use cam_core::{Inspect, Model, Taps};
use cam_graph::Precision;
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
pub(crate) use tail::TailLayer;
use tail::TailedArchitecture;

/// An [`Architecture`] of any family.
#[derive(Clone)]
pub struct AnyArchitecture(Arc<dyn DynArchitecture>);

/// What is done with an architecture whatever its type.
trait DynArchitecture: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Any) -> bool;
    fn build(&self, device: &Device) -> AnyNetwork;
    fn load(&self, model: &str, weights: &Weights, device: &Device) -> Result<AnyNetwork, Error>;
    fn compare<'w>(&self, weights: &'w Weights, prefix: Option<&str>, device: &Device) -> Comparison<'w>;
    fn channels(&self) -> usize;
    fn classes(&self) -> usize;
    fn with_classes(&self, classes: usize) -> AnyArchitecture;
    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)>;
    fn image_size(&self) -> Option<[usize; 2]>;
    fn with_image_size(&self, size: [usize; 2]) -> Result<AnyArchitecture, String>;
    fn options(&self) -> ArchitectureOptions;
    fn with_options(&self, options: &ArchitectureOptions) -> Result<AnyArchitecture, String>;
    fn with_classifier(&self, name: &str) -> AnyArchitecture;
    fn with_tail(&self, tail: Vec<TailLayer>) -> AnyArchitecture;
    fn head(&self) -> (usize, &[TailLayer]);
}

/// An architecture of one type.
struct TypedArchitecture<A>(A);

impl<A: fmt::Debug> fmt::Debug for TypedArchitecture<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<A: Architecture> DynArchitecture for TypedArchitecture<A> {
    fn as_any(&self) -> &dyn Any {
        &self.0
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<A>() == Some(&self.0)
    }

    fn build(&self, device: &Device) -> AnyNetwork {
        AnyNetwork::new(self.0.build(device), A::forward)
    }

    fn load(&self, model: &str, weights: &Weights, device: &Device) -> Result<AnyNetwork, Error> {
        let remap = |name: &str, shape: &[usize]| self.0.remap_key(name, shape);
        Ok(AnyNetwork::new(weights.load_remapped(model, self.0.build(device), &remap)?, A::forward))
    }

    fn compare<'w>(&self, weights: &'w Weights, prefix: Option<&str>, device: &Device) -> Comparison<'w> {
        weights.compare(&self.0.build(device), prefix, &|name, shape| self.0.remap_key(name, shape))
    }

    fn channels(&self) -> usize {
        self.0.channels()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn with_classes(&self, classes: usize) -> AnyArchitecture {
        self.0.clone().with_classes(classes).into()
    }

    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        self.0.remap_key(name, shape)
    }

    fn image_size(&self) -> Option<[usize; 2]> {
        self.0.image_size()
    }

    fn with_image_size(&self, size: [usize; 2]) -> Result<AnyArchitecture, String> {
        Ok(self.0.clone().with_image_size(size)?.into())
    }

    fn options(&self) -> ArchitectureOptions {
        self.0.options()
    }

    fn with_options(&self, options: &ArchitectureOptions) -> Result<AnyArchitecture, String> {
        Ok(self.0.clone().with_options(options)?.into())
    }

    fn with_classifier(&self, name: &str) -> AnyArchitecture {
        self.0.clone().with_classifier(name).into()
    }

    fn with_tail(&self, tail: Vec<TailLayer>) -> AnyArchitecture {
        AnyArchitecture(Arc::new(TailedArchitecture { base: self.0.clone(), tail }))
    }

    fn head(&self) -> (usize, &[TailLayer]) {
        (self.0.classes(), &[])
    }
}

impl<A: Architecture> From<A> for AnyArchitecture {
    fn from(architecture: A) -> Self {
        Self(Arc::new(TypedArchitecture(architecture)))
    }
}

impl PartialEq for AnyArchitecture {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_any())
    }
}

impl fmt::Debug for AnyArchitecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AnyArchitecture {
    /// Converts a table of variants that all have one type: what [`Family::variants`](crate::Family::variants) returns.
    pub fn table<A: Architecture>(variants: &[(&'static str, A)]) -> Vec<(&'static str, Self)> {
        variants.iter().map(|(name, architecture)| (*name, architecture.clone().into())).collect()
    }

    /// Returns the architecture as its own type, or `None` if it is another.
    pub fn downcast<A: Architecture>(&self) -> Option<&A> {
        self.0.as_any().downcast_ref()
    }

    /// See [`Architecture::build`].
    pub fn build(&self, device: &Device) -> AnyNetwork {
        self.0.build(device)
    }

    /// Builds the network with the weights of a file, cast to f32. `model` is its name in errors.
    ///
    /// # Errors
    /// Those of [`Weights::load`].
    pub fn load(&self, model: &str, weights: &Weights, device: &Device) -> Result<AnyNetwork, Error> {
        self.0.load(model, weights, device)
    }

    /// Compares the tensors of a file with those of the network: those under a prefix, or under the one that fits best.
    pub(crate) fn compare<'w>(
        &self,
        weights: &'w Weights,
        prefix: Option<&str>,
        device: &Device,
    ) -> Comparison<'w> {
        self.0.compare(weights, prefix, device)
    }

    /// See [`Architecture::with_classifier`].
    pub(crate) fn with_classifier(&self, name: &str) -> Self {
        self.0.with_classifier(name)
    }

    /// Returns the same network with further layers behind its own linear one, which has so many units; of none, it has none.
    pub(crate) fn with_tail(&self, units: usize, tail: Vec<TailLayer>) -> Self {
        self.0.with_classes(units).0.with_tail(tail)
    }

    /// Returns the same network with the head of another.
    pub(crate) fn with_head_of(&self, other: &Self) -> Self {
        match other.0.head() {
            (classes, []) => self.with_classes(classes),
            (units, tail) => self.with_tail(units, tail.to_vec()),
        }
    }

    /// Returns whether a variant is this network, whatever its head and what tensors do not show.
    pub(crate) fn has_tensors_of(&self, variant: &Self) -> bool {
        let own = ArchitectureOptions { head_layers: None, ..self.options() };
        variant.with_head_of(self).with_options(&own).is_ok_and(|variant| variant == *self)
    }

    /// See [`Architecture::channels`].
    pub fn channels(&self) -> usize {
        self.0.channels()
    }

    /// See [`Architecture::classes`].
    pub fn classes(&self) -> usize {
        self.0.classes()
    }

    /// See [`Architecture::with_classes`].
    pub fn with_classes(&self, classes: usize) -> Self {
        self.0.with_classes(classes)
    }

    /// See [`Architecture::remap_key`].
    pub fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        self.0.remap_key(name, shape)
    }

    /// See [`Architecture::image_size`].
    pub fn image_size(&self) -> Option<[usize; 2]> {
        self.0.image_size()
    }

    /// See [`Architecture::with_image_size`].
    ///
    /// # Errors
    /// Why its tensors do not fit such images.
    pub fn with_image_size(&self, size: [usize; 2]) -> Result<Self, String> {
        self.0.with_image_size(size)
    }

    /// See [`Architecture::options`].
    pub fn options(&self) -> ArchitectureOptions {
        self.0.options()
    }

    /// See [`Architecture::with_options`]. An option that it does not have is an error.
    ///
    /// # Errors
    /// Why it cannot have them.
    pub fn with_options(&self, options: &ArchitectureOptions) -> Result<Self, String> {
        let known = self.options();
        let own = known.head_layers.as_deref().unwrap_or(&[HeadLayer::Linear]);
        if let Some(stated) = options.head_layers.as_deref().filter(|stated| *stated != own) {
            let list =
                |layers: &[HeadLayer]| layers.iter().map(|it| it.word()).collect::<Vec<_>>().join(", ");
            return Err(format!("the layers of its head are {}, and {} are stated", list(own), list(stated)));
        }
        let options = ArchitectureOptions { head_layers: None, ..options.clone() };
        options.check(&known)?;
        self.0.with_options(&options)
    }
}

/// A network of any family: a Burn module and its forward pass.
#[derive(Clone)]
pub struct AnyNetwork(Arc<dyn DynNetwork>);

/// What is done with a network whatever its type.
trait DynNetwork: Send + Sync {
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;
    fn shapes(&self, adapter: Option<&dyn ModuleAdapter>) -> Shapes;
    fn cast(&self, precision: Precision) -> AnyNetwork;
    fn randomized(&self, part: Range<f64>) -> AnyNetwork;
    fn record(&self) -> Result<RecordedNetwork, cam_graph::Error>;
}

type Forward<M> = fn(&M, Tensor<4>) -> Tensor<2>;

/// A network of one type.
struct TypedNetwork<M> {
    module: M,
    forward: Forward<M>,
}

impl<M: Module + Sync + 'static> DynNetwork for TypedNetwork<M> {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        (self.forward)(&self.module, images)
    }

    fn shapes(&self, adapter: Option<&dyn ModuleAdapter>) -> Shapes {
        ParamShapes::list(&self.module, adapter)
    }

    fn cast(&self, mut precision: Precision) -> AnyNetwork {
        // A clone shares the running statistics of its norms, and casting it would cast those of this network.
        AnyNetwork::new(self.module.valid().map(&mut precision), self.forward)
    }

    fn randomized(&self, part: Range<f64>) -> AnyNetwork {
        AnyNetwork::new(cam_graph::randomized(&self.module, part), self.forward)
    }

    fn record(&self) -> Result<RecordedNetwork, cam_graph::Error> {
        let recorded = cam_graph::record(&self.module, self.forward)?;
        let network = AnyNetwork::new(recorded.module().clone(), self.forward);
        Ok(RecordedNetwork { network, model: Box::new(recorded) })
    }
}

impl AnyNetwork {
    /// Makes a network of a module and its forward pass, from `[batch, 3, height, width]` to `[batch, classes]`.
    pub fn new<M: Module + Sync + 'static>(module: M, forward: fn(&M, Tensor<4>) -> Tensor<2>) -> Self {
        Self(Arc::new(TypedNetwork { module, forward }))
    }

    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.0.forward(images)
    }

    /// Returns the shape of each tensor by the name that it has in a PyTorch checkpoint, in PyTorch's order of axes.
    pub fn shapes(&self) -> Shapes {
        self.0.shapes(Some(&PyTorchAdapter))
    }

    /// Returns the network with its parameters in another precision.
    pub fn cast(&self, precision: Precision) -> Self {
        self.0.cast(precision)
    }

    /// Returns the network with random numbers in a part of its parameters: see [`cam_graph::randomized`].
    pub fn randomized(&self, part: Range<f64>) -> Self {
        self.0.randomized(part)
    }

    /// Records the network as any Burn module is recorded, so that it can be explained. Weights are shared, not copied.
    ///
    /// # Errors
    /// [`cam_graph::Error::Devices`] if its parameters are on several devices.
    pub fn record(&self) -> Result<RecordedNetwork, cam_graph::Error> {
        self.0.record()
    }
}

/// A network of any family as a model to explain: see [`AnyNetwork::record`].
pub struct RecordedNetwork {
    network: AnyNetwork,
    model: Box<dyn Model + Send + Sync>,
}

impl RecordedNetwork {
    /// Returns the network that was recorded, in inference. Its weights are shared, not copied.
    pub fn network(&self) -> &AnyNetwork {
        &self.network
    }
}

impl Model for RecordedNetwork {
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
