//! A network with a head of several layers: the network up to the first linear layer of it, or up to its head, and the layers behind.

use super::{AnyArchitecture, AnyNetwork, DynArchitecture};
use crate::family::{Architecture, TensorShapes};
use crate::options::HeadLayer;
use crate::weights::{Comparison, Weights};
use crate::{Activation, ArchitectureOptions, Error};
use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::{
    BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, PRelu, PReluConfig,
};
use burn::tensor::{Device, Tensor};
use std::any::Any;
use std::sync::Arc;

/// What the names of the layers behind the network start with.
const TAIL: &str = "head_tail";

/// A layer of a head that has parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailLayer {
    /// Not an activation.
    pub kind: HeadLayer,
    /// The activation that precedes it.
    pub activation: Option<Activation>,
    /// The sides of its weight: outputs and inputs of a linear layer; channels of a norm and slopes of a PReLU, twice.
    pub sides: [usize; 2],
}

impl TailLayer {
    /// Returns what the names of its tensors are, without the last part, at this place of the tail.
    pub fn name(self, place: usize) -> String {
        let activation = self.activation.map(|it| format!("{}_", HeadLayer::Activation(it)));
        format!("{TAIL}.{place}.{}{}", activation.unwrap_or_default(), self.kind)
    }

    /// Returns the layers of a tail that tensors have.
    pub fn detect(shapes: &TensorShapes<'_>) -> Vec<Self> {
        let layers = || HeadLayer::WORDS.iter().map(|(_, layer)| *layer);
        let activations = || {
            let those = layers().filter_map(HeadLayer::activation).map(Some);
            std::iter::once(None).chain(those)
        };
        let at = |place: usize| {
            layers().filter(|kind| kind.activation().is_none()).find_map(|kind| {
                activations().find_map(|activation| {
                    let layer = Self { kind, activation, sides: [0; 2] };
                    let shape = shapes(&format!("{}.weight", layer.name(place)))?;
                    Some(Self { sides: [*shape.first()?, *shape.last()?], ..layer })
                })
            })
        };
        (0..).map_while(at).collect()
    }

    /// Returns the layer as it is stated: behind its activation.
    fn stated(self) -> impl Iterator<Item = HeadLayer> {
        self.activation.map(HeadLayer::Activation).into_iter().chain([self.kind])
    }
}

/// An architecture whose classes are the units of the first linear layer of its head; it has none if that is not the first layer of all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TailedArchitecture<A> {
    pub base: A,
    /// The further layers, of which the last one is linear.
    pub tail: Vec<TailLayer>,
}

/// Its network. Its base has the names that it has alone.
#[derive(Debug, Clone)]
struct Tailed<M> {
    base: M,
    tail: Vec<(TailLayer, Layer)>,
}

/// A layer with its parameters.
#[derive(Module, Debug)]
enum Layer {
    Linear(Linear),
    BatchNorm(BatchNorm),
    LayerNorm(LayerNorm),
    Prelu(PRelu),
}

impl Layer {
    fn new(TailLayer { kind, sides: [units, inputs], .. }: TailLayer, device: &Device) -> Self {
        match kind {
            HeadLayer::BatchNorm => Self::BatchNorm(BatchNormConfig::new(units).init(device)),
            HeadLayer::LayerNorm => Self::LayerNorm(LayerNormConfig::new(units).init(device)),
            HeadLayer::Prelu => Self::Prelu(PReluConfig::new().with_num_parameters(units).init(device)),
            HeadLayer::Linear | HeadLayer::Activation(_) => {
                Self::Linear(LinearConfig::new(inputs, units).init(device))
            }
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Linear(linear) => linear.forward(x),
            Self::BatchNorm(norm) => norm.forward(x),
            Self::LayerNorm(norm) => norm.forward(x),
            Self::Prelu(prelu) => prelu.forward(x),
        }
    }
}

impl<A: Architecture> TailedArchitecture<A> {
    fn network(&self, device: &Device) -> Tailed<A::Network> {
        let tail = self.tail.iter().map(|layer| (*layer, Layer::new(*layer, device)));
        Tailed { base: self.base.build(device), tail: tail.collect() }
    }

    fn forward(network: &Tailed<A::Network>, images: Tensor<4>) -> Tensor<2> {
        let x = A::forward(&network.base, images);
        network.tail.iter().fold(x, |x, (spec, layer)| {
            layer.forward(match spec.activation {
                Some(activation) => activation.apply(x),
                None => x,
            })
        })
    }

    fn remapped(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        match name.starts_with(TAIL) {
            true => Some((name.into(), shape.to_vec())),
            false => self.base.remap_key(name, shape),
        }
    }

    fn with_base(&self, base: A) -> AnyArchitecture {
        AnyArchitecture(Arc::new(Self { base, tail: self.tail.clone() }))
    }
}

impl<A: Architecture> DynArchitecture for TailedArchitecture<A> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<Self>() == Some(self)
    }

    fn build(&self, device: &Device) -> AnyNetwork {
        AnyNetwork::new(self.network(device), Self::forward)
    }

    fn load(&self, model: &str, weights: &Weights, device: &Device) -> Result<AnyNetwork, Error> {
        let remap = |name: &str, shape: &[usize]| self.remapped(name, shape);
        Ok(AnyNetwork::new(weights.load_remapped(model, self.network(device), &remap)?, Self::forward))
    }

    fn compare<'w>(&self, weights: &'w Weights, prefix: Option<&str>, device: &Device) -> Comparison<'w> {
        weights.compare(&self.network(device), prefix, &|name, shape| self.remapped(name, shape))
    }

    fn channels(&self) -> usize {
        self.base.channels()
    }

    fn classes(&self) -> usize {
        self.tail.last().map_or(self.base.classes(), |layer| layer.sides[0])
    }

    fn with_classes(&self, classes: usize) -> AnyArchitecture {
        let mut other = self.clone();
        match other.tail.last_mut() {
            Some(layer) => layer.sides[0] = classes,
            None => other.base = other.base.with_classes(classes),
        }
        AnyArchitecture(Arc::new(other))
    }

    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        self.remapped(name, shape)
    }

    fn image_size(&self) -> Option<[usize; 2]> {
        self.base.image_size()
    }

    fn with_image_size(&self, size: [usize; 2]) -> Result<AnyArchitecture, String> {
        Ok(self.with_base(self.base.clone().with_image_size(size)?))
    }

    fn options(&self) -> ArchitectureOptions {
        let first = (self.base.classes() > 0).then_some(HeadLayer::Linear);
        let layers = first.into_iter().chain(self.tail.iter().flat_map(|layer| layer.stated()));
        ArchitectureOptions { head_layers: Some(layers.collect()), ..self.base.options() }
    }

    fn with_options(&self, options: &ArchitectureOptions) -> Result<AnyArchitecture, String> {
        Ok(self.with_base(self.base.clone().with_options(options)?))
    }

    fn with_classifier(&self, name: &str) -> AnyArchitecture {
        self.with_base(self.base.clone().with_classifier(name))
    }

    fn with_tail(&self, tail: Vec<TailLayer>) -> AnyArchitecture {
        AnyArchitecture(Arc::new(Self { base: self.base.clone(), tail }))
    }

    fn head(&self) -> (usize, &[TailLayer]) {
        (self.base.classes(), &self.tail)
    }
}

const KIND: &str = "Tail";

impl<M: Module> Tailed<M> {
    fn each(
        self,
        base: impl FnOnce(M) -> M,
        mut layer: impl FnMut(usize, TailLayer, Layer) -> Layer,
    ) -> Self {
        let tail = self.tail.into_iter().enumerate();
        let tail = tail.map(|(place, (spec, one))| (spec, layer(place, spec, one)));
        Self { base: base(self.base), tail: tail.collect() }
    }
}

impl<M: Module> Module for Tailed<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        let devices = self.base.collect_devices(devices);
        self.tail.iter().fold(devices, |devices, (_, layer)| layer.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|base| base.fork(device), |_, _, layer| layer.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|base| base.to_device(device), |_, _, layer| layer.to_device(device))
    }

    fn train(self) -> Self {
        self.each(M::train, |_, _, layer| layer.train())
    }

    fn valid(&self) -> Self {
        self.clone().each(|base| base.valid(), |_, _, layer| layer.valid())
    }

    fn materialize(self) -> Self {
        self.each(M::materialize, |_, _, layer| layer.materialize())
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.base.visit(visitor);
        for (place, (spec, layer)) in self.tail.iter().enumerate() {
            visitor.enter_module(&spec.name(place), KIND);
            layer.visit(visitor);
            visitor.exit_module(&spec.name(place), KIND);
        }
    }

    fn map<T: ModuleMapper>(self, mapper: &mut T) -> Self {
        let Self { base, tail } = self;
        let base = base.map(mapper);
        Self { base, tail }.each(
            |base| base,
            |place, spec, layer| {
                mapper.enter_module(&spec.name(place), KIND);
                let layer = layer.map(mapper);
                mapper.exit_module(&spec.name(place), KIND);
                layer
            },
        )
    }
}
