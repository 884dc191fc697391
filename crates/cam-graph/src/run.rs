//! Runs a graph on demand, layer by layer, through taps.
//!
//! A layer whose value is already known (in a replay from the pass before) is not computed, and neither are values that only it needs. So
//! a replay runs what depends on the edited layer, and what that needs.

use crate::axes::Layout;
use crate::graph::{Graph, Operator, Special};
use crate::layers::Layer;
use crate::lower::Region;
use crate::values::{Slot, Values};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Tensor;
use cam_core::{Attention, Ncdhw, Nchw, Ncl, Nhwc, Taps};
use std::cell::RefCell;
use std::collections::HashSet;

/// Evaluates an expression for a tensor whose rank is known only at run time; the result has the same rank.
macro_rules! at_rank {
    ($value:expr, |$tensor:ident| $body:expr) => {{
        let value = $value;
        macro_rules! at {
            ($rank:literal) => {{
                let $tensor = Tensor::<$rank>::from_dispatch(value);
                $body.into_dispatch()
            }};
        }
        match value.shape().num_dims() {
            1 => at!(1),
            2 => at!(2),
            3 => at!(3),
            4 => at!(4),
            5 => at!(5),
            6 => at!(6),
            7 => at!(7),
            _ => at!(8),
        }
    }};
}

/// Runs a graph on inputs of the recorded shapes. Returns its outputs.
pub(crate) fn run(graph: &Graph, inputs: Vec<DispatchTensor>, taps: &Taps<'_>) -> Vec<DispatchTensor> {
    let run = Run {
        graph,
        taps,
        scope: taps.current_scope(),
        values: RefCell::new(Values::new(&graph.constants, &graph.reads)),
        opened: RefCell::new(vec![false; graph.regions.len()]),
    };
    for (slot, input) in graph.inputs.iter().zip(inputs) {
        run.store(*slot, input);
    }
    graph.layers.iter().for_each(|layer| run.compute_layer(layer));
    graph.outputs.iter().for_each(|slot| run.compute(*slot));
    let mut values = run.values.into_inner();
    graph.outputs.iter().map(|slot| values.read(*slot)).collect()
}

/// Reports whether the images that an operator reads have their channels last in memory, apart from those of one position.
fn has_channels_last(values: &Values<'_>, inputs: &[Slot]) -> bool {
    let is_position = |image: &Tensor<4>| image.dims()[2..] == [1, 1];
    let images: Vec<Tensor<4>> =
        inputs.iter().map(|slot| Tensor::from_dispatch(values.peek(*slot))).collect();
    images.iter().any(|image| !is_position(image))
        && images.iter().all(|image| is_position(image) || cam_nn::has_channels_last(image))
}

/// Computes an operator on images with their channels in the last axis, as they are in memory. Burn is fast where the order of the axes is
/// that of memory.
fn in_order_of_memory(operator: &Operator, values: &mut Values<'_>, kernel: impl FnOnce(&mut Values<'_>)) {
    fn permute<'s>(values: &mut Values<'_>, slots: impl Iterator<Item = &'s Slot>, axes: [usize; 4]) {
        for slot in slots {
            // It may have had its last reader.
            if let Some(image) = values.take(*slot) {
                values.write(*slot, Dispatch::float_permute(image, &axes));
            }
        }
    }
    let inputs: HashSet<Slot> = operator.inputs.iter().copied().collect();
    permute(values, inputs.iter(), [0, 2, 3, 1]);
    kernel(values);
    permute(values, inputs.iter().chain(&operator.outputs[..1]), [0, 3, 1, 2]);
}

struct Run<'a> {
    graph: &'a Graph,
    taps: &'a Taps<'a>,
    /// Names of layers are relative to the scope of the run: a layer may be computed while one that does not hold it is in progress.
    scope: String,
    values: RefCell<Values<'a>>,
    /// Whether the operators of each region are computed one by one.
    opened: RefCell<Vec<bool>>,
}

impl Run<'_> {
    /// Computes a layer through its tap.
    fn compute_layer(&self, layer: &Layer) {
        let is_weights = self.graph.operators[layer.operator].special == Special::Weights;
        if is_weights && !self.taps.asks(&layer.name) {
            return;
        }
        if self.closed_region(layer.operator).is_some_and(|region| region.output != layer.value) {
            return layer.children.iter().for_each(|child| self.compute_layer(child));
        }
        macro_rules! tap {
            ($layout:expr, $rank:literal) => {{
                // A block that ends with a layer has no bias in addition to that of the layer.
                let bias = self.graph.biases.get(&layer.operator);
                let bias = bias.filter(|_| self.graph.shows_biases && layer.children.is_empty());
                let bias = bias.map(|bias| bias.value(&self.graph.constants));
                let forward = || {
                    self.taps.within(&self.scope, || {
                        layer.children.iter().for_each(|child| self.compute_layer(child));
                        self.compute(layer.value);
                    });
                    let value = self.values.borrow_mut().take(layer.value);
                    Tensor::<$rank>::from_dispatch(value.expect("the value was computed above"))
                };
                self.taps.biased(&layer.name, $layout, bias, forward).into_dispatch()
            }};
        }
        let value = match layer.layout {
            Layout::Ncl => tap!(Ncl, 3),
            Layout::Nchw => tap!(Nchw, 4),
            Layout::Nhwc => tap!(Nhwc, 4),
            Layout::Ncdhw => tap!(Ncdhw, 5),
            Layout::Tokens(tokens) => tap!(tokens, 3),
            Layout::Attention(tokens) => tap!(Attention(tokens), 4),
        };
        self.values.borrow_mut().write(layer.value, value);
    }

    /// Computes a value and what it needs, unless it is known.
    fn compute(&self, slot: Slot) {
        let mut open = vec![slot];
        let mut needed = HashSet::new();
        while let Some(slot) = open.pop() {
            if self.values.borrow().has(slot) {
                continue;
            }
            let index = self.graph.producers[slot]
                .expect("a value is an input, a constant, or the output of an operator");
            if needed.insert(index) {
                match self.closed_region(index) {
                    Some(region) => open.extend(&region.inputs),
                    None => open.extend(self.reads(index)),
                }
            }
        }
        let mut needed: Vec<usize> = needed.into_iter().collect();
        needed.sort_unstable();
        for index in needed {
            match self.closed_region(index) {
                Some(region) => self.compute_region(region),
                None => self.compute_operator(index),
            }
        }
    }

    /// Returns the region in which an operator is computed, if it is not computed by itself.
    fn closed_region(&self, index: usize) -> Option<&Region> {
        // Taps ask for a nonexistent name if they ask for all layers. A replay asks for more layers once it is past the edited layer.
        let is_tapped = |region: &Region| {
            region.inside.iter().any(|layer| self.taps.asks(layer))
                || (region.is_special && self.taps.asks(""))
        };
        self.graph.regions_of[index].iter().find_map(|number| {
            let region = &self.graph.regions[*number];
            let is_open = self.opened.borrow()[*number] || is_tapped(region);
            self.opened.borrow_mut()[*number] = is_open;
            (!is_open).then_some(region)
        })
    }

    /// Computes a region as a whole or, if its kernel cannot take the inputs, operator by operator.
    fn compute_region(&self, region: &Region) {
        let inputs = region.inputs.iter().map(|slot| self.values.borrow_mut().read(*slot)).collect();
        match (region.kernel)(inputs) {
            Ok(output) => self.store(region.output, output),
            Err(inputs) => {
                for (slot, input) in region.inputs.iter().zip(inputs) {
                    self.values.borrow_mut().unread(*slot, input);
                }
                let number = self.graph.regions.iter().position(|other| std::ptr::eq(other, region));
                self.opened.borrow_mut()[number.expect("a region of the graph")] = true;
                self.compute(region.output);
            }
        }
    }

    /// Returns the slots that an operator reads in this run.
    fn reads(&self, index: usize) -> &[Slot] {
        let operator = &self.graph.operators[index];
        match &operator.fused {
            Some(fused) if !self.shows_weights(index) => &fused.inputs,
            _ => &operator.inputs,
        }
    }

    /// Reports whether the weights of an attention were computed for a tap.
    fn shows_weights(&self, index: usize) -> bool {
        self.graph.operators[index].inputs.iter().all(|slot| {
            let given = self.graph.producers[*slot].map(|index| self.graph.operators[index].special);
            given != Some(Special::Weights) || self.values.borrow().has(*slot)
        })
    }

    fn compute_operator(&self, index: usize) {
        let operator = &self.graph.operators[index];
        let read = || self.values.borrow_mut().read(operator.inputs[0]);
        let value = match operator.special {
            Special::Relu => at_rank!(read(), |x| self.taps.relu(x)),
            Special::Gelu => at_rank!(read(), |x| self.taps.gelu(x)),
            special => {
                if let Special::Unguided(activation) = special {
                    self.taps.unguided(activation);
                }
                let kernel = match &operator.fused {
                    Some(fused) if !self.shows_weights(index) => &fused.kernel,
                    _ => &operator.kernel,
                };
                let mut values = self.values.borrow_mut();
                // If a second output is computed (the indices of maxima), the value that a tap set for the first output is kept.
                let given = values.take(operator.outputs[0]);
                match operator.is_of_any_order && has_channels_last(&values, &operator.inputs) {
                    true => in_order_of_memory(operator, &mut values, |values| kernel(values)),
                    false => kernel(&mut values),
                }
                if let Some(given) = given {
                    return values.write(operator.outputs[0], given);
                }
                match values.take(operator.outputs[0]) {
                    Some(value) => value,
                    None => return,
                }
            }
        };
        self.store(operator.outputs[0], value);
    }

    /// Stores a value. A value with several readers is reported to the taps.
    fn store(&self, slot: Slot, value: DispatchTensor) {
        let is_shared = self.graph.reads[slot] > 1 && value.dtype().is_float();
        let value = if is_shared { at_rank!(value, |x| self.taps.shared(x)) } else { value };
        self.values.borrow_mut().write(slot, value);
    }
}
