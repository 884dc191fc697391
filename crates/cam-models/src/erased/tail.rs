//! A network with a head of several layers: the network up to the first of them, and those behind it.

use super::{AnyArchitecture, AnyNetwork, DynArchitecture};
use crate::family::{Architecture, TensorShapes};
use crate::weights::{Comparison, Weights};
use crate::{ArchitectureOptions, Error};
use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What the names of the layers behind the first one start with.
const TAIL: &str = "head_tail";

/// A layer of a head, behind its first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailLayer {
    pub kind: TailKind,
    /// The numbers that it returns for an image.
    pub units: usize,
    /// Whether a ReLU precedes it.
    pub relu: bool,
}

/// The layers that a head may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TailKind {
    Linear,
    /// `BatchNorm1d`
    Norm,
}

impl TailLayer {
    /// The last part of the names of each kind, behind nothing and behind a ReLU.
    const WORDS: [(&str, TailKind, bool); 4] = [
        ("linear", TailKind::Linear, false),
        ("relu_linear", TailKind::Linear, true),
        ("norm", TailKind::Norm, false),
        ("relu_norm", TailKind::Norm, true),
    ];

    /// Returns what the names of its tensors are, without the last part, at this place of the tail.
    pub fn name(self, place: usize) -> String {
        let own = |(_, kind, relu): &&(&str, TailKind, bool)| (*kind, *relu) == (self.kind, self.relu);
        let (word, ..) = Self::WORDS.iter().find(own).expect("every kind has a word");
        format!("{TAIL}.{place}.{word}")
    }

    /// Returns the layers of a tail that tensors have.
    pub fn detect(shapes: &TensorShapes<'_>) -> Vec<Self> {
        let at = |place: usize| {
            Self::WORDS.into_iter().find_map(|(_, kind, relu)| {
                let layer = Self { kind, relu, units: 0 };
                let units = *shapes(&format!("{}.weight", layer.name(place)))?.first()?;
                Some(Self { units, ..layer })
            })
        };
        (0..).map_while(at).collect()
    }
}

impl fmt::Display for TailLayer {
    /// Writes `ReLU, linear`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TailKind::Linear => "linear",
            TailKind::Norm => "norm",
        };
        write!(f, "{}{kind}", if self.relu { "ReLU, " } else { "" })
    }
}

/// An architecture whose classes are the units of the first layer of its head.
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
    Norm(BatchNorm),
}

impl<A: Architecture> TailedArchitecture<A> {
    fn network(&self, device: &Device) -> Tailed<A::Network> {
        let inputs = std::iter::once(self.base.classes()).chain(self.tail.iter().map(|layer| layer.units));
        let layer = |(from, to): (usize, &TailLayer)| {
            let layer = match to.kind {
                TailKind::Linear => Layer::Linear(LinearConfig::new(from, to.units).init(device)),
                TailKind::Norm => Layer::Norm(BatchNormConfig::new(to.units).init(device)),
            };
            (*to, layer)
        };
        Tailed { base: self.base.build(device), tail: inputs.zip(&self.tail).map(layer).collect() }
    }

    fn forward(network: &Tailed<A::Network>, images: Tensor<4>) -> Tensor<2> {
        let x = A::forward(&network.base, images);
        network.tail.iter().fold(x, |x, (spec, layer)| {
            let x = if spec.relu { relu(x) } else { x };
            match layer {
                Layer::Linear(linear) => linear.forward(x),
                Layer::Norm(norm) => norm.forward(x),
            }
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
        self.tail.last().map_or(self.base.classes(), |layer| layer.units)
    }

    fn with_classes(&self, classes: usize) -> AnyArchitecture {
        let mut other = self.clone();
        match other.tail.last_mut() {
            Some(layer) => layer.units = classes,
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
        self.base.options()
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

    fn tail(&self) -> &[TailLayer] {
        &self.tail
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
