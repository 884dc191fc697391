//! What a replay reuses of the pass before it.

use super::Captured;
use burn::Tensor;
use std::any::Any;
use std::collections::HashMap;

/// The values of the layers of one pass. Of nested layers only the outermost finished one is kept, because nothing inside it runs again.
#[derive(Default)]
pub(crate) struct ReplayCache {
    values: Vec<Box<dyn Any>>,
    names: Vec<String>,
    indices: HashMap<String, usize>,
}

impl ReplayCache {
    /// Adds the value of a layer that has finished.
    pub fn push<const D: usize>(&mut self, name: &str, value: Tensor<D>) {
        self.indices.insert(name.into(), self.values.len());
        self.names.push(name.into());
        self.values.push(Box::new(value));
    }

    /// Returns the number of layers.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has a layer whose name matches.
    pub fn contains(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.names.iter().any(|name| matches(name))
    }

    /// Keeps what replays from these layers need: nothing that finished after the last of them.
    pub fn up_to(mut self, layers: &[Captured]) -> Self {
        let last = layers.iter().filter_map(|layer| self.indices.get(&layer.name)).max();
        self.truncate(last.map_or(0, |index| index + 1));
        self
    }

    /// Keeps the first `length` layers that finished.
    pub fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
        for name in self.names.drain(length..) {
            self.indices.remove(&name);
        }
    }

    /// Returns the value of a layer that finished no later than the layer `from`.
    pub fn value<const D: usize>(&self, name: &str, from: &str) -> Option<Tensor<D>> {
        let index = *self.indices.get(name)?;
        if index > *self.indices.get(from)? {
            return None;
        }
        self.values[index].downcast_ref::<Tensor<D>>().cloned()
    }
}
