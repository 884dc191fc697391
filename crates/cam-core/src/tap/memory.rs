//! What a replay finds of the pass before it.

use super::Watched;
use burn::Tensor;
use std::any::Any;
use std::collections::HashMap;

/// The values of the layers of one pass: of each finished layer the outermost, as nothing inside it runs again.
#[derive(Default)]
pub(crate) struct Memory {
    values: Vec<Box<dyn Any>>,
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Memory {
    /// Remembers the value of a layer that has finished.
    pub fn push<const D: usize>(&mut self, name: &str, value: Tensor<D>) {
        self.places.insert(name.into(), self.values.len());
        self.names.push(name.into());
        self.values.push(Box::new(value));
    }

    /// How many layers are remembered.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether a layer is remembered whose name is one of these.
    pub fn has(&self, is_one: impl Fn(&str) -> bool) -> bool {
        self.names.iter().any(|name| is_one(name))
    }

    /// What replays from these layers need: nothing that finished after the last of them.
    pub fn until(mut self, layers: &[Watched]) -> Self {
        let last = layers.iter().filter_map(|layer| self.places.get(&layer.name)).max();
        self.truncate(last.map_or(0, |place| place + 1));
        self
    }

    /// Forgets all but so many layers, the first that finished.
    pub fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
        for name in self.names.drain(length..) {
            self.places.remove(&name);
        }
    }

    /// The value of a layer that finished no later than the layer `from`.
    pub fn value<const D: usize>(&self, name: &str, from: &str) -> Option<Tensor<D>> {
        let place = *self.places.get(name)?;
        if place > *self.places.get(from)? {
            return None;
        }
        self.values[place].downcast_ref::<Tensor<D>>().cloned()
    }
}
