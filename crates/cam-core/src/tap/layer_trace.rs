//! The layers of a forward pass in order: which share of it comes after a layer, and how much memory a copy of an image takes there.

use super::{INPUT, LayerInfo};
use burn::tensor::DType;

/// The layers that a forward pass names, in the order in which they finish.
#[derive(Default)]
pub(crate) struct LayerTrace {
    pub layers: Vec<LayerInfo>,
    /// How many innermost layers had finished when each of them did.
    pub finished: Vec<usize>,
    /// The type of number that the network computes in at each of them.
    pub dtypes: Vec<DType>,
}

/// How many times its largest layer a copy takes while a pass runs: the input and the output of a layer, the shortcut around it, and
/// what convolutions and linear layers keep aside.
const WORKING_SET: usize = 8;

impl LayerTrace {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }

    /// Returns the share of the network that runs after a layer, up to its end or an exit. Innermost layers count the same, and what
    /// follows the last of them counts as one.
    pub fn share_after(&self, from: &str, exit: Option<&str>) -> f64 {
        let finished = |name: &str| self.position(name).map_or(0, |index| self.finished[index]);
        let all = self.finished.last().copied().unwrap_or(0);
        let end = exit.map_or(all, finished);
        (end.saturating_sub(finished(from)) + 1) as f64 / (all + 1) as f64
    }

    /// Estimates how many bytes a pass from a layer on takes for each copy of an image of the batch.
    ///
    /// It is an estimate because a forward pass does not show what lies between its layers.
    pub fn bytes_per_copy(&self, from: &str, batch: usize, input_values: usize) -> usize {
        let (first, input_values) = match self.position(from) {
            Some(index) => (index, 0),
            None => (0, input_values),
        };
        let sizes = self.layers[first..].iter().map(|layer| layer.shape.iter().product::<usize>() / batch);
        WORKING_SET * size_of::<f32>() * sizes.max().unwrap_or(0).max(input_values).max(1)
    }

    /// Returns the block that an attention layer is part of: the outermost layer around it that holds no other attention.
    pub fn block_of(&self, attention: &str) -> Option<&str> {
        let is_within =
            |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        let attentions: Vec<&LayerInfo> = self.layers.iter().filter(|layer| layer.attention).collect();
        let holds_it_alone = |block: &&str| {
            is_within(attention, block)
                && attentions.iter().filter(|other| is_within(&other.name, block)).count() == 1
        };
        self.names().filter(holds_it_alone).min_by_key(|name| name.len())
    }

    /// `None` for the input, which comes before all layers.
    fn position(&self, name: &str) -> Option<usize> {
        if name == INPUT { None } else { self.names().position(|layer| layer == name) }
    }
}
