//! A network with a head of several linear layers: the network up to the first of them, and those behind it.

use super::{AnyArchitecture, AnyNetwork, DynArchitecture};
use crate::family::Architecture;
use crate::weights::{Comparison, Weights};
use crate::{ArchitectureOptions, Error};
use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use std::any::Any;
use std::sync::Arc;

/// What the names of the layers behind the first one start with.
pub(crate) const TAIL: &str = "head_tail";

/// An architecture whose classes are the units of the first layer of its head.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TailedArchitecture<A> {
    pub base: A,
    /// The units of each further layer.
    pub units: Vec<usize>,
}

/// Its network. Its base has the names that it has alone.
#[derive(Debug, Clone)]
struct Tailed<M> {
    base: M,
    tail: Vec<Linear>,
}

impl<A: Architecture> TailedArchitecture<A> {
    fn network(&self, device: &Device) -> Tailed<A::Network> {
        let inputs = std::iter::once(self.base.classes()).chain(self.units.iter().copied());
        let linear = |(from, to): (usize, &usize)| LinearConfig::new(from, *to).init(device);
        Tailed { base: self.base.build(device), tail: inputs.zip(&self.units).map(linear).collect() }
    }

    fn forward(network: &Tailed<A::Network>, images: Tensor<4>) -> Tensor<2> {
        let x = A::forward(&network.base, images);
        network.tail.iter().fold(x, |x, linear| linear.forward(relu(x)))
    }

    fn remapped(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        match name.starts_with(TAIL) {
            true => Some((name.into(), shape.to_vec())),
            false => self.base.remap_key(name, shape),
        }
    }

    fn with_base(&self, base: A) -> AnyArchitecture {
        AnyArchitecture(Arc::new(Self { base, units: self.units.clone() }))
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
        self.units.last().copied().unwrap_or(self.base.classes())
    }

    fn with_classes(&self, classes: usize) -> AnyArchitecture {
        let mut other = self.clone();
        match other.units.last_mut() {
            Some(units) => *units = classes,
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

    fn with_tail(&self, units: Vec<usize>) -> AnyArchitecture {
        AnyArchitecture(Arc::new(Self { base: self.base.clone(), units }))
    }

    fn has_tail(&self) -> bool {
        true
    }
}

const KIND: &str = "Tail";

impl<M: Module> Tailed<M> {
    fn each(self, base: impl FnOnce(M) -> M, linear: impl Fn(Linear) -> Linear) -> Self {
        Self { base: base(self.base), tail: self.tail.into_iter().map(linear).collect() }
    }
}

impl<M: Module> Module for Tailed<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.tail.collect_devices(self.base.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|base| base.fork(device), |linear| linear.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|base| base.to_device(device), |linear| linear.to_device(device))
    }

    fn train(self) -> Self {
        self.each(M::train, Linear::train)
    }

    fn valid(&self) -> Self {
        Self { base: self.base.valid(), tail: self.tail.valid() }
    }

    fn materialize(self) -> Self {
        self.each(M::materialize, Linear::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.base.visit(visitor);
        visitor.enter_module(TAIL, KIND);
        self.tail.visit(visitor);
        visitor.exit_module(TAIL, KIND);
    }

    fn map<T: ModuleMapper>(self, mapper: &mut T) -> Self {
        let base = self.base.map(mapper);
        mapper.enter_module(TAIL, KIND);
        let tail = self.tail.map(mapper);
        mapper.exit_module(TAIL, KIND);
        Self { base, tail }
    }
}
