//! How a forward pass goes: what share of it lies behind a layer, and what a copy of an image takes there.

use crate::LayerInfo;
use crate::tap::INPUT;

/// The layers that a forward pass names, in the order in which they finish.
#[derive(Default)]
pub(crate) struct Course {
    pub layers: Vec<LayerInfo>,
    /// How many innermost layers had finished when each of them did.
    pub finished: Vec<usize>,
}

/// How many times its largest layer a copy takes while a pass runs: what goes into a layer, what comes out, the shortcut around
/// it, and what convolutions and linear layers keep on the side.
const WORKING: usize = 8;

impl Course {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }

    /// The share of the network that runs after a layer, up to its end or an exit. Innermost layers count the same, and what
    /// follows the last of them counts as one.
    pub fn share(&self, from: &str, exit: Option<&str>) -> f64 {
        let finished = |name: &str| self.place(name).map_or(0, |place| self.finished[place]);
        let all = self.finished.last().copied().unwrap_or(0);
        let end = exit.map_or(all, finished);
        (end.saturating_sub(finished(from)) + 1) as f64 / (all + 1) as f64
    }

    /// About how many bytes a pass from a layer on takes for each copy of an image of the batch.
    ///
    /// It is an estimate, as a forward pass does not show what lies between its layers.
    pub fn bytes_of_copy(&self, from: &str, batch: usize, input: usize) -> usize {
        let (first, input) = match self.place(from) {
            Some(place) => (place, 0),
            None => (0, input),
        };
        let sizes = self.layers[first..].iter().map(|layer| layer.shape.iter().product::<usize>() / batch);
        WORKING * size_of::<f32>() * sizes.max().unwrap_or(0).max(input).max(1)
    }

    /// `None` for the input, which is before all layers.
    fn place(&self, name: &str) -> Option<usize> {
        if name == INPUT { None } else { self.names().position(|layer| layer == name) }
    }
}
