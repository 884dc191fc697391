//! A run of a graph: its operators are computed on demand, layer by layer, through the taps of whoever looks.
//!
//! A layer whose value is known already (a replay has it from the pass before) is not computed, and neither is what only it needs. So a
//! replay runs what depends on the edited layer, and what that needs beside.

use crate::axes::Layout;
use crate::graph::{Graph, Special};
use crate::layers::Layer;
use crate::lower::Region;
use crate::values::{Slot, Values};
use burn::backend::{DispatchTensor, TensorMetadata};
use burn::tensor::Tensor;
use cam_core::{Attention, Ncdhw, Nchw, Ncl, Nhwc, Taps};
use std::cell::RefCell;
use std::collections::HashSet;

/// Does something with a tensor whose rank is known at run time only, and that returns another of the same rank.
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

/// Runs a graph on inputs, which have the shapes that it was recorded with, and returns its outputs.
pub(crate) fn run(graph: &Graph, inputs: Vec<DispatchTensor>, taps: &Taps<'_>) -> Vec<DispatchTensor> {
    let run = Run {
        graph,
        taps,
        values: RefCell::new(Values::new(&graph.constants, &graph.reads)),
        opened: RefCell::new(vec![false; graph.regions.len()]),
    };
    for (slot, input) in graph.inputs.iter().zip(inputs) {
        run.keep(*slot, input);
    }
    graph.layers.iter().for_each(|layer| run.layer(layer));
    graph.outputs.iter().for_each(|slot| run.compute(*slot));
    let mut values = run.values.into_inner();
    graph.outputs.iter().map(|slot| values.read(*slot)).collect()
}

struct Run<'a> {
    graph: &'a Graph,
    taps: &'a Taps<'a>,
    values: RefCell<Values<'a>>,
    /// Of each region whether its operators are computed one by one.
    opened: RefCell<Vec<bool>>,
}

impl Run<'_> {
    /// Computes a layer and shows it.
    fn layer(&self, layer: &Layer) {
        let is_weights = self.graph.operators[layer.operator].special == Special::Weights;
        if is_weights && !self.taps.asks(&layer.name) {
            return;
        }
        if self.closed(layer.operator).is_some_and(|region| region.output != layer.value) {
            return layer.children.iter().for_each(|child| self.layer(child));
        }
        macro_rules! tap {
            ($layout:expr, $rank:literal) => {{
                // A block that ends with a layer adds no bias beside that layer's.
                let bias = self.graph.biases.get(&layer.operator);
                let bias = bias.filter(|_| self.graph.shows_biases && layer.children.is_empty());
                let bias = bias.map(|bias| bias.value(&self.graph.constants));
                let forward = || {
                    layer.children.iter().for_each(|child| self.layer(child));
                    self.compute(layer.value);
                    let value = self.values.borrow_mut().take(layer.value);
                    Tensor::<$rank>::from_dispatch(value.expect("the value of a layer, computed above"))
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
            let place =
                self.graph.producers[slot].expect("a value is an input, a constant, or an operator gives it");
            if needed.insert(place) {
                match self.closed(place) {
                    Some(region) => open.extend(&region.inputs),
                    None => open.extend(self.reads(place)),
                }
            }
        }
        let mut needed: Vec<usize> = needed.into_iter().collect();
        needed.sort_unstable();
        for place in needed {
            match self.closed(place) {
                Some(region) => self.region(region),
                None => self.operator(place),
            }
        }
    }

    /// The region that an operator is computed in, if it is not computed by itself.
    fn closed(&self, place: usize) -> Option<&Region> {
        // A name that no layer has is asked for where all are. A replay asks for more once it is past the edited layer.
        let looks = |region: &Region| {
            region.inside.iter().any(|layer| self.taps.asks(layer))
                || (region.is_special && self.taps.asks(""))
        };
        self.graph.regions_of[place].iter().find_map(|number| {
            let region = &self.graph.regions[*number];
            let is_open = self.opened.borrow()[*number] || looks(region);
            self.opened.borrow_mut()[*number] = is_open;
            (!is_open).then_some(region)
        })
    }

    /// Computes a region, at once or, where that cannot be done, one by one.
    fn region(&self, region: &Region) {
        let inputs = region.inputs.iter().map(|slot| self.values.borrow_mut().read(*slot)).collect();
        match (region.kernel)(inputs) {
            Ok(output) => self.keep(region.output, output),
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

    /// What an operator reads in this run.
    fn reads(&self, place: usize) -> &[Slot] {
        let operator = &self.graph.operators[place];
        match &operator.fused {
            Some(fused) if !self.shows_weights(place) => &fused.inputs,
            _ => &operator.inputs,
        }
    }

    /// Whether the weights of an attention were computed for somebody who looks at them.
    fn shows_weights(&self, place: usize) -> bool {
        self.graph.operators[place].inputs.iter().all(|slot| {
            let given = self.graph.producers[*slot].map(|place| self.graph.operators[place].special);
            given != Some(Special::Weights) || self.values.borrow().has(*slot)
        })
    }

    fn operator(&self, place: usize) {
        let operator = &self.graph.operators[place];
        let read = || self.values.borrow_mut().read(operator.inputs[0]);
        let value = match operator.special {
            Special::Relu => at_rank!(read(), |x| self.taps.relu(x)),
            Special::Gelu => at_rank!(read(), |x| self.taps.gelu(x)),
            special => {
                if let Special::Unguided(activation) = special {
                    self.taps.unguided(activation);
                }
                let kernel = match &operator.fused {
                    Some(fused) if !self.shows_weights(place) => &fused.kernel,
                    _ => &operator.kernel,
                };
                let mut values = self.values.borrow_mut();
                // A layer whose other output is asked for, the places of a maximum, keeps the value that it was given.
                let given = values.take(operator.outputs[0]);
                kernel(&mut values);
                if let Some(given) = given {
                    return values.write(operator.outputs[0], given);
                }
                match values.take(operator.outputs[0]) {
                    Some(value) => value,
                    None => return,
                }
            }
        };
        self.keep(operator.outputs[0], value);
    }

    /// Keeps a value. One that several operators read is told to the taps.
    fn keep(&self, slot: Slot, value: DispatchTensor) {
        let is_shared = self.graph.reads[slot] > 1 && value.dtype().is_float();
        let value = if is_shared { at_rank!(value, |x| self.taps.shared(x)) } else { value };
        self.values.borrow_mut().write(slot, value);
    }
}
