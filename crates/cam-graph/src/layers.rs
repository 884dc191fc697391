//! Which values of a graph are layers, what they are called, and which layer encloses which.
//!
//! A recording holds operators and no modules, but an operator that reads a parameter belongs to the module that owns it, and that has
//! a path: `layer4.1.bn2`. From these everything else is told:
//!
//! - A module's **value** is what its last operator gives.
//! - A **block**, a module of modules, goes on over the operators without parameters behind it that are its own: a sum or product of
//!   what it computed and what it was given (a residual connection); a concatenation of what it computed; the activation behind one of
//!   these; an activation or pooling for which it has a module without parameters (`pool`, `activation`); what brings its places
//!   back in order (the end of windowed attention). In between a value may be put in another form or made a gate. Burn's own modules
//!   that end with their last layer (`MultiHeadAttention`) end there: what is added to their value is added around them. So it is with
//!   a list of modules (`Vec`, a tuple), which has no forward pass of its own.
//! - A **function** is one value made of another by operators without parameters, element by element and on several ways: `x * sigmoid(x)`.
//!   It is an activation as a whole, and what is inside of it is no layer.
//! - What an attention multiplies with each other, its queries, keys and values, is no layer: only the attention as a whole is.
//! - **Operators without parameters** have names of their own: the number that is free for them in a sequence (`features.3`), the
//!   module without parameters that has their place (`maxpool`), or what they are (`relu`) within the block around them.
//! - A module that is called several times has a layer a call: `encoder`, `encoder#2`.
//!
//! A layer is offered where its axes are understood (see [`crate::axes`]).

use crate::axes::Layout;
use crate::values::Slot;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The tree of modules.
#[derive(Default)]
pub(crate) struct Modules {
    /// The paths of all modules, also of those without parameters, in the order of their fields.
    pub paths: Vec<String>,
    /// The names of the types of those that hold others, by their paths.
    pub types: HashMap<String, String>,
}

/// An operator, as the search for layers sees it.
pub(crate) struct Node<'a> {
    pub operator: &'a OperationIr,
    /// The paths of the parameters that it reads.
    pub params: Vec<&'a str>,
    /// Whether it gives attention weights that a fused attention does not show.
    pub is_weights: bool,
    /// What it reads that depends on the input, each once.
    pub inputs: Vec<Slot>,
    /// What it gives, the first of several.
    pub output: Slot,
    /// How that is laid out, where it can be a layer.
    pub layout: Option<Layout>,
}

/// A value that can be looked at.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub name: String,
    pub value: Slot,
    pub layout: Layout,
    /// The operator that gives the value.
    pub operator: usize,
    /// Layers inside, in the order in which they finish.
    pub children: Vec<Layer>,
}

/// What an operator without parameters is called.
fn kind(operator: &OperationIr) -> Option<&'static str> {
    Some(match operator {
        OperationIr::Activation(op) => match op {
            Activation::Relu(_) => "relu",
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::Gelu(_) => "gelu",
            Activation::Sigmoid(_) => "sigmoid",
            Activation::HardSigmoid(_) => "hard_sigmoid",
            Activation::LogSigmoid(_) => "log_sigmoid",
            _ => return None,
        },
        OperationIr::NumericFloat(_, Numeric::Clamp(op)) => {
            match (op.min.elem::<f64>(), op.max.elem::<f64>()) == (0.0, 6.0) {
                true => "relu6",
                false => "clamp",
            }
        }
        OperationIr::Float(_, Float::Tanh(_)) => "tanh",
        OperationIr::Module(op) => match op {
            Module::MaxPool1d(_)
            | Module::MaxPool2d(_)
            | Module::MaxPool1dWithIndices(_)
            | Module::MaxPool2dWithIndices(_) => "maxpool",
            Module::AvgPool1d(_) | Module::AvgPool2d(_) => "avgpool",
            Module::AdaptiveAvgPool1d(_) | Module::AdaptiveAvgPool2d(_) | Module::AdaptiveAvgPool3d(_) => {
                "avgpool"
            }
            Module::Interpolate(_) => "upsample",
            _ => return None,
        },
        _ => return None,
    })
}

fn is_pooling(operator: &OperationIr) -> bool {
    matches!(kind(operator), Some("maxpool" | "avgpool"))
}

fn is_cat(operator: &OperationIr) -> bool {
    matches!(operator, OperationIr::BaseFloat(Base::Cat(_)))
}

/// Whether an operator puts numbers in other places.
fn rearranges(operator: &OperationIr) -> bool {
    matches!(
        operator,
        OperationIr::BaseFloat(
            Base::Reshape(_)
                | Base::Permute(_)
                | Base::SwapDims(_)
                | Base::Slice(_)
                | Base::Cat(_)
                | Base::Select(_)
        )
    )
}

/// A sum, difference or product of two values.
fn is_merge(operator: &OperationIr) -> bool {
    matches!(operator, OperationIr::NumericFloat(_, Numeric::Add(_) | Numeric::Mul(_) | Numeric::Sub(_)))
}

/// Whether what an operator gives is a number for each number that it takes, or for a row or part of them.
fn is_pointwise(operator: &OperationIr) -> bool {
    match operator {
        OperationIr::Activation(op) => {
            !matches!(op, Activation::Softmax(_) | Activation::LogSoftmax(_) | Activation::Softmin(_))
        }
        OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => matches!(
            op,
            Base::MaskWhere(_)
                | Base::MaskFill(_)
                | Base::Equal(_)
                | Base::EqualElem(_)
                | Base::NotEqual(_)
                | Base::NotEqualElem(_)
                | Base::Cast(_)
                | Base::Slice(_)
        ),
        OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => !matches!(
            op,
            Numeric::Pad(_)
                | Numeric::Full(_)
                | Numeric::Sort(_)
                | Numeric::ArgSort(_)
                | Numeric::SortWithIndices(_)
                | Numeric::TopK(_)
                | Numeric::ArgTopK(_)
                | Numeric::TopKWithIndices(_)
                | Numeric::CumSum(_)
                | Numeric::CumProd(_)
                | Numeric::CumMin(_)
                | Numeric::CumMax(_)
                | Numeric::IntRandom(_)
        ),
        OperationIr::Float(_, op) => {
            !matches!(op, Float::Matmul(_) | Float::Cross(_) | Float::Random(_) | Float::GridSample2d(_))
        }
        OperationIr::Bool(_) => true,
        _ => false,
    }
}

/// What a layer without parameters can be: it has to be known to look for the module that stands for it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Pooling,
    Upsampling,
    Activation,
}

impl Sort {
    /// Whether a module of this name does this.
    fn is_called(self, name: &str) -> bool {
        let words: &[&str] = match self {
            Self::Pooling => &["pool"],
            Self::Upsampling => &["up", "interp", "resize"],
            Self::Activation => &[
                "act", "relu", "elu", "glu", "silu", "sigmoid", "tanh", "swish", "mish", "softplus",
                "softsign", "shrink", "nonlin",
            ],
        };
        words.iter().any(|word| name.to_lowercase().contains(word))
    }
}

/// Whether an operator gives attention weights, shown or not.
fn is_attention(node: &Node<'_>) -> bool {
    node.is_weights || matches!(node.operator, OperationIr::Activation(Activation::Softmax(_)))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn leaf(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, leaf)| leaf)
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// The modules that own all of these parameters: of several, what their paths have in common.
fn owner(params: &[&str]) -> Option<String> {
    let mut paths = params.iter().map(|param| parent(param));
    let first = paths.next()?.to_string();
    let common = paths.fold(first, |common, path| {
        let same = common.split('.').zip(path.split('.')).take_while(|(a, b)| a == b);
        same.map(|(a, _)| a).collect::<Vec<_>>().join(".")
    });
    (!common.is_empty()).then_some(common)
}

/// The operators of one call of a module.
#[derive(Clone, Debug)]
struct Call {
    first: usize,
    last: usize,
}

/// The layers of a graph, those that finish first in front.
///
pub(crate) fn find(nodes: &[Node<'_>], modules: &Modules) -> Vec<Layer> {
    Search::new(nodes, modules).layers()
}

struct Search<'a> {
    nodes: &'a [Node<'a>],
    paths: &'a [String],
    types: &'a HashMap<String, String>,
    owners: Vec<Option<String>>,
    /// The operator that gives a value.
    producers: HashMap<Slot, usize>,
    /// The calls of each module, in their order.
    calls: BTreeMap<String, Vec<Call>>,
    /// The modules of modules.
    blocks: BTreeSet<String>,
    /// The numbers that operators without parameters have in sequences.
    numbered: BTreeMap<usize, String>,
    /// The functions, by the operators that they end with.
    functions: BTreeMap<usize, Function>,
    /// The operators inside of functions.
    hidden: HashMap<usize, usize>,
    /// The operators that give queries, keys and values.
    projections: HashSet<usize>,
}

/// A value made of another by operators without parameters, element by element and on several ways.
#[derive(Clone, Debug)]
struct Function {
    source: Slot,
    /// The operators before the last.
    inside: BTreeSet<usize>,
}

impl<'a> Search<'a> {
    fn new(nodes: &'a [Node<'a>], modules: &'a Modules) -> Self {
        let owners: Vec<Option<String>> = nodes.iter().map(|node| owner(&node.params)).collect();
        let producers = nodes.iter().enumerate().map(|(place, node)| (node.output, place)).collect();
        let mut search = Self {
            nodes,
            paths: &modules.paths,
            types: &modules.types,
            owners,
            producers,
            calls: BTreeMap::new(),
            blocks: BTreeSet::new(),
            numbered: BTreeMap::new(),
            functions: BTreeMap::new(),
            hidden: HashMap::new(),
            projections: HashSet::new(),
        };
        search.find_projections();
        search.find_functions();
        search.calls = search.calls_of_modules();
        let parents = search.calls.keys().map(|module| parent(module)).filter(|path| !path.is_empty());
        search.blocks = parents.map(String::from).collect();
        search.extend_flattened();
        search.extend_blocks();
        search
    }

    fn find_projections(&mut self) {
        let is_matmul = |node: &Node<'_>| matches!(node.operator, OperationIr::Float(_, Float::Matmul(_)));
        let products = self.nodes.iter().filter(|node| is_matmul(node) && node.inputs.len() > 1);
        // The queries may be constants.
        let scores = self.nodes.iter().filter(|node| is_attention(node)).filter_map(|node| {
            let mut at = node;
            while !is_matmul(at) {
                at = &self.nodes[*self.producers.get(at.inputs.first()?)?];
            }
            Some(at)
        });
        let mut open: Vec<Slot> = products.chain(scores).flat_map(|node| node.inputs.clone()).collect();
        while let Some(slot) = open.pop() {
            let Some(&place) = self.producers.get(&slot) else { continue };
            let node = &self.nodes[place];
            let goes_on = match node.operator {
                OperationIr::BaseFloat(
                    Base::Reshape(_)
                    | Base::Permute(_)
                    | Base::SwapDims(_)
                    | Base::Slice(_)
                    | Base::Select(_),
                )
                | OperationIr::NumericFloat(_, Numeric::MulScalar(_) | Numeric::DivScalar(_)) => true,
                OperationIr::Module(Module::Conv2d(op)) if op.weight.shape.as_slice()[2..] == [1, 1] => false,
                OperationIr::NumericFloat(_, Numeric::Add(_))
                | OperationIr::Float(_, Float::Matmul(_))
                | OperationIr::Module(Module::Linear(_))
                    if self.owners[place].is_some() =>
                {
                    false
                }
                _ => continue,
            };
            if self.projections.insert(place) && goes_on {
                open.extend(&node.inputs);
            }
        }
    }

    fn find_functions(&mut self) {
        for place in 0..self.nodes.len() {
            let Some(function) = self.function(place) else { continue };
            let end = if self.is_halved(place, &function) { place + 1 } else { place };
            let mut inside = function.inside;
            inside.extend(place..end);
            self.hidden.extend(inside.iter().map(|inner| (*inner, end)));
            self.functions.insert(end, Function { inside, ..function });
        }
        let hidden = &self.hidden;
        self.functions.retain(|end, _| !hidden.contains_key(end));
    }

    /// The function that ends with this operator.
    fn function(&self, place: usize) -> Option<Function> {
        let own = |place: usize| self.owners[place].is_none() && is_pointwise(self.nodes[place].operator);
        let mut open: BTreeSet<Slot> = self.nodes[place].inputs.iter().copied().collect();
        if !own(place) || open.len() < 2 {
            return None;
        }
        let mut inside = BTreeSet::new();
        while open.len() > 1 {
            // What is computed last cannot be what the others are made of.
            let last =
                *open.iter().max_by_key(|slot| self.producers.get(*slot).map_or(0, |place| place + 1))?;
            let producer = *self.producers.get(&last).filter(|place| own(**place))?;
            inside.insert(producer);
            open.remove(&last);
            open.extend(&self.nodes[producer].inputs);
        }
        Some(Function { source: open.pop_first()?, inside })
    }

    /// The approximate GELU is halved at its end.
    fn is_halved(&self, place: usize, function: &Function) -> bool {
        let has_tanh = function.inside.iter().any(|inner| kind(self.nodes[*inner].operator) == Some("tanh"));
        let halves = |next: &Node<'_>| {
            next.inputs == [self.nodes[place].output]
                && matches!(next.operator, OperationIr::NumericFloat(_, Numeric::MulScalar(op)) if op.rhs.elem::<f64>() == 0.5)
        };
        has_tanh && self.nodes.get(place + 1).is_some_and(halves)
    }

    /// What an operator is, where a module without parameters can stand for it.
    fn sort(&self, place: usize) -> Option<Sort> {
        let operator = self.nodes[place].operator;
        match kind(operator) {
            _ if self.owners[place].is_some() || self.hidden.contains_key(&place) => None,
            _ if self.functions.contains_key(&place) => Some(Sort::Activation),
            Some("upsample") => Some(Sort::Upsampling),
            Some(_) if is_pooling(operator) => Some(Sort::Pooling),
            Some(_) => Some(Sort::Activation),
            None => None,
        }
    }

    /// A call of a module ends before it reads the same parameter again.
    fn calls_of_owners(&self) -> BTreeMap<&str, Vec<Call>> {
        let mut calls: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
        let mut read: HashMap<&str, HashSet<&str>> = HashMap::new();
        for (place, (node, owner)) in self.nodes.iter().zip(&self.owners).enumerate() {
            let Some(owner) = owner else { continue };
            let (calls, read) = (calls.entry(owner).or_default(), read.entry(owner).or_default());
            match calls.last_mut() {
                Some(call) if node.params.iter().all(|param| !read.contains(param)) => call.last = place,
                _ => {
                    calls.push(Call { first: place, last: place });
                    read.clear();
                }
            }
            read.extend(node.params.iter().copied());
        }
        calls
    }

    /// The calls of all modules: one of modules is called as often as each of them, if their calls do not overlap, or else once.
    fn calls_of_modules(&self) -> BTreeMap<String, Vec<Call>> {
        let owners = self.calls_of_owners();
        let mut modules: BTreeSet<&str> = BTreeSet::new();
        for owner in owners.keys() {
            let mut path = *owner;
            while !path.is_empty() && modules.insert(path) {
                path = parent(path);
            }
        }
        let span = |calls: &[&Call]| Call {
            first: calls.iter().map(|call| call.first).min().unwrap_or(0),
            last: calls.iter().map(|call| call.last).max().unwrap_or(0),
        };
        let calls_of = |module: &str| {
            let inside: Vec<&Vec<Call>> = owners
                .iter()
                .filter(|(owner, _)| **owner == module || is_within(owner, module))
                .map(|(_, calls)| calls)
                .collect();
            let times = inside[0].len();
            let in_turn =
                || (0..times).map(|turn| span(&inside.iter().map(|calls| &calls[turn]).collect::<Vec<_>>()));
            let apart = inside.iter().all(|calls| calls.len() == times)
                && in_turn().zip(in_turn().skip(1)).all(|(a, b)| a.last < b.first);
            match apart {
                true => in_turn().collect(),
                false => vec![span(&inside.into_iter().flatten().collect::<Vec<_>>())],
            }
        };
        modules.into_iter().map(|module| (module.to_string(), calls_of(module))).collect()
    }

    /// Extends each layer that flattens what it takes over the operator that takes its value apart again: Burn has a linear layer do so
    /// at some sizes of the batch.
    fn extend_flattened(&mut self) {
        for calls in self.calls.values_mut() {
            for call in calls.iter_mut().filter(|call| self.nodes[call.last].layout.is_none()) {
                let value = self.nodes[call.last].output;
                let restores = |next: &Node<'_>| {
                    matches!(next.operator, OperationIr::BaseFloat(Base::Reshape(_)))
                        && next.inputs == [value]
                        && next.layout.is_some()
                };
                call.last += usize::from(self.nodes.get(call.last + 1).is_some_and(restores));
            }
        }
    }

    /// Extends each block over the operators without parameters behind it that are its own; inner blocks first.
    fn extend_blocks(&mut self) {
        let mut blocks: Vec<String> = self.blocks.iter().cloned().collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.split('.').count()));
        for block in blocks {
            // What is inside has its end by now.
            let numbers = self.numbers(&block);
            self.numbered.extend(numbers);
            for turn in 0..self.calls[&block].len() {
                let extended = self.extended(&block, turn);
                self.calls.get_mut(&block).expect("a block that was listed")[turn] = extended;
            }
        }
    }

    fn is_block(&self, module: &str) -> bool {
        self.blocks.contains(module)
    }

    fn has_blocks_inside(&self, module: &str) -> bool {
        self.blocks.iter().any(|other| is_within(other, module))
    }

    fn extended(&self, block: &str, turn: usize) -> Call {
        let mut call = self.calls[block][turn].clone();
        // What an inner block was extended by is inside the outer one, too.
        for (inner, calls) in &self.calls {
            if is_within(inner, block) {
                let inside =
                    calls.iter().filter(|inner| inner.first >= call.first && inner.first <= call.last);
                call.last = inside.map(|inner| inner.last).max().unwrap_or(0).max(call.last);
            }
        }
        if self.calls[block].len() == 1 {
            let own = self.numbered.iter().filter(|(_, name)| parent(name) == block).map(|(place, _)| *place);
            call.last = own.max().unwrap_or(0).max(call.last);
        }
        if self.nodes[call.last].layout.is_none() {
            call.last = self.back_in_order(&call).unwrap_or(call.last);
        }
        let mut given = self.given(&call);
        let lenient = self.has_blocks_inside(block);
        let mut unused: Vec<&str> = self.without_parameters(block);
        if !unused.is_empty() {
            let stand_ins = (call.first..=call.last).filter_map(|place| self.stand_in(place, block));
            let stand_ins: HashSet<String> = stand_ins.collect();
            unused.retain(|path| !stand_ins.contains(leaf(path)));
        }
        let mut merged = false;
        // What only brings a value into another form, or makes a gate of it, belongs to the block if what comes of it does.
        let mut ahead = call.clone();
        let mut gates = false;
        while let Some(next) = self.next(ahead.last) {
            let node = &self.nodes[next];
            let source = self.functions.get(&next).map(|function| [function.source]);
            let inputs = source.as_ref().map_or(&node.inputs[..], |source| &source[..]);
            let is_inside = |slot: &Slot| self.is_inside(*slot, &ahead);
            let all_inside = inputs.iter().all(is_inside);
            let own = all_inside || inputs.iter().all(|slot| is_inside(slot) || given.contains(slot));
            let sort = self.sort(next);
            let stands = unused.iter().position(|path| sort.is_some_and(|sort| sort.is_called(leaf(path))));
            let takes = inputs.iter().any(is_inside)
                && match inputs.len() {
                    1 if sort == Some(Sort::Activation) && merged && ahead.last == call.last => true,
                    1 => stands.is_some() && ahead.last == call.last,
                    _ if is_cat(node.operator) => ahead.last == call.last && (all_inside || (own && lenient)),
                    _ => {
                        own && self.merges(next, gates) && (all_inside || self.adds_what_it_was_given(block))
                    }
                };
            if takes {
                merged = inputs.len() > 1;
                if let Some(place) = stands.filter(|_| inputs.len() == 1) {
                    unused.remove(place);
                }
                ahead.last = next;
                call = ahead.clone();
                given = self.given(&call);
            } else if inputs.len() == 1
                && all_inside
                && (rearranges(node.operator) || sort == Some(Sort::Activation))
            {
                gates |= sort == Some(Sort::Activation);
                ahead.last = next;
            } else {
                break;
            }
        }
        call
    }

    /// Whether an operator is a sum or product of two values: a product, if one of them is a gate.
    fn merges(&self, place: usize, gates: bool) -> bool {
        let operator = self.nodes[place].operator;
        match gates {
            true => matches!(operator, OperationIr::NumericFloat(_, Numeric::Mul(_))),
            false => is_merge(operator),
        }
    }

    /// Whether a sum of what a block computed and what it was given can be its own: not where it is a list, nor one of Burn's modules
    /// that end with their last layer.
    fn adds_what_it_was_given(&self, block: &str) -> bool {
        const PLAIN: [&str; 4] =
            ["MultiHeadAttention", "CrossAttention", "PositionWiseFeedForward", "SwiGlu"];
        self.types.get(block).is_some_and(|name| !PLAIN.contains(&name.as_str()))
    }

    /// The next operator, or the last one of the function that begins there, if none has a parameter.
    fn next(&self, place: usize) -> Option<usize> {
        let next = place + 1;
        let end = self.hidden.get(&next).copied().unwrap_or(next);
        // Functions may be parts of others.
        let end = self.hidden.get(&end).copied().unwrap_or(end);
        let own =
            |place: usize| self.owners[place].is_none() && (place == end || self.hidden.contains_key(&place));
        (end < self.nodes.len() && (next..=end).all(own)).then_some(end)
    }

    /// Modules without parameters directly within a block for which no operator inside is known.
    fn without_parameters(&self, block: &str) -> Vec<&'a str> {
        let own = self.paths.iter().map(String::as_str).filter(|path| parent(path) == block);
        own.filter(|path| !self.calls.contains_key(*path)).collect()
    }

    fn is_inside(&self, slot: Slot, call: &Call) -> bool {
        self.producers.get(&slot).is_some_and(|place| (call.first..=call.last).contains(place))
    }

    /// What a call was given: values from before that it reads, and what these were made from without parameters.
    fn given(&self, call: &Call) -> HashSet<Slot> {
        let read = self.nodes[call.first..=call.last].iter().flat_map(|node| &node.inputs);
        let mut open: Vec<Slot> = read.copied().filter(|slot| !self.is_inside(*slot, call)).collect();
        let mut given = HashSet::new();
        while let Some(slot) = open.pop() {
            if !given.insert(slot) {
                continue;
            }
            if let Some(place) = self.producers.get(&slot).filter(|place| self.owners[**place].is_none()) {
                open.extend(&self.nodes[*place].inputs);
            }
        }
        given
    }

    /// The first value behind a call, made from what it computed alone and without parameters, that has a layout.
    fn back_in_order(&self, call: &Call) -> Option<usize> {
        let mut inside: HashSet<Slot> =
            self.nodes[call.first..=call.last].iter().map(|node| node.output).collect();
        for place in call.last + 1..self.nodes.len() {
            let node = &self.nodes[place];
            if self.owners[place].is_some()
                || !rearranges(node.operator)
                || !node.inputs.iter().all(|slot| inside.contains(slot))
            {
                return None;
            }
            inside.insert(node.output);
            if node.layout.is_some() {
                return Some(place);
            }
        }
        None
    }

    fn layers(self) -> Vec<Layer> {
        let mut found: Vec<Layer> = Vec::new();
        let offer = |name: String, operator: usize, found: &mut Vec<Layer>| {
            let node = &self.nodes[operator];
            if let Some(layout) = node.layout.filter(|_| !self.projections.contains(&operator)) {
                found.push(Layer { name, value: node.output, layout, operator, children: Vec::new() });
            }
        };
        let projections = self.projections();
        for (module, calls) in &self.calls {
            for (turn, call) in calls.iter().enumerate().filter(|(_, call)| !projections.contains(&call.last))
            {
                let name = if turn == 0 { module.clone() } else { format!("{module}#{}", turn + 1) };
                offer(name, call.last, &mut found);
            }
        }
        let mut taken: HashMap<String, usize> = found.iter().map(|layer| (layer.name.clone(), 1)).collect();
        let values: HashSet<Slot> = found.iter().map(|layer| layer.value).collect();
        for (place, name) in self.names_without_parameters(&values) {
            let count = taken.entry(name.clone()).or_insert(0);
            *count += 1;
            let name = if *count == 1 { name } else { format!("{name}#{count}") };
            offer(name, place, &mut found);
        }
        nested(found)
    }

    /// Linear layers whose values nothing but an attention reads. Queries, keys and values look at each other: none of them says where
    /// the network looks, and the last of them is not what somebody means who asks for the last layer.
    fn projections(&self) -> HashSet<usize> {
        let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(place));
        }
        let is_product = |place: usize| {
            let node = &self.nodes[place];
            let multiplies =
                node.is_weights || matches!(node.operator, OperationIr::Float(_, Float::Matmul(_)));
            multiplies && node.inputs.len() > 1
        };
        // What an attention reads, and what brings it into its form.
        let mut inside = HashSet::new();
        for scores in (0..self.nodes.len()).filter(|place| is_product(*place)) {
            let mut open = vec![scores];
            let mut weighed = HashSet::new();
            while let Some(place) = open.pop() {
                for reader in readers.get(&self.nodes[place].output).into_iter().flatten() {
                    let node = &self.nodes[*reader];
                    if is_product(*reader) {
                        weighed.insert(*reader);
                    } else if self.owners[*reader].is_none()
                        && (is_pointwise(node.operator) || is_attention(node))
                    {
                        open.push(*reader);
                    }
                }
            }
            if !weighed.is_empty() {
                weighed.insert(scores);
            }
            for product in weighed {
                inside.insert(product);
                for slot in &self.nodes[product].inputs {
                    let made = self.producers.get(slot).filter(|place| self.owners[**place].is_none());
                    inside.extend(made.into_iter().flat_map(|place| self.single_inputs(*place)));
                }
            }
        }
        let only_there = |call: &&Call| {
            let is_linear = self.nodes[call.first..=call.last].iter().any(|node| {
                matches!(
                    node.operator,
                    OperationIr::Float(_, Float::Matmul(_)) | OperationIr::Module(Module::Linear(_))
                )
            });
            let readers = readers.get(&self.nodes[call.last].output);
            is_linear && readers.is_some_and(|readers| readers.iter().all(|reader| inside.contains(reader)))
        };
        self.calls.values().flatten().filter(only_there).map(|call| call.last).collect()
    }

    /// An operator and those before it, as long as none has parameters and each reads one value.
    fn single_inputs(&self, place: usize) -> Vec<usize> {
        let mut all = vec![place];
        while let [slot] = self.nodes[all[all.len() - 1]].inputs.as_slice() {
            let Some(before) = self.producers.get(slot).filter(|place| self.owners[**place].is_none()) else {
                break;
            };
            all.push(*before);
        }
        all
    }

    /// Names for operators without parameters whose values are no layers yet.
    fn names_without_parameters(&self, values: &HashSet<Slot>) -> Vec<(usize, String)> {
        let mut named = self.numbered.clone();
        for (place, node) in self.nodes.iter().enumerate() {
            let is_new = self.owners[place].is_none()
                && node.layout.is_some()
                && !values.contains(&node.output)
                && !self.hidden.contains_key(&place);
            if !is_new || named.contains_key(&place) {
                continue;
            }
            let around = self.block_around(place);
            let own = match node.layout {
                Some(Layout::Attention(_)) if is_attention(node) => Some("attn_drop".to_string()),
                _ => {
                    let made = self.made(place);
                    self.stand_in(made, around).or_else(|| self.own_name(made, around).map(String::from))
                }
            };
            if let Some(own) = own {
                named.insert(place, if around.is_empty() { own } else { format!("{around}.{own}") });
            }
        }
        named.into_iter().collect()
    }

    /// The operator whose value this is, where it only brings another one's back into its form: signals are resized as pictures.
    fn made(&self, place: usize) -> usize {
        let node = &self.nodes[place];
        let before = node.inputs.first().and_then(|slot| self.producers.get(slot)).copied();
        let reshapes = matches!(node.operator, OperationIr::BaseFloat(Base::Reshape(_)));
        before.filter(|before| reshapes && self.sort(*before) == Some(Sort::Upsampling)).unwrap_or(place)
    }

    /// What an operator is, where that makes a name.
    fn own_name(&self, place: usize, around: &str) -> Option<&'static str> {
        let node = &self.nodes[place];
        let is_root = around.is_empty();
        match node.operator {
            // Behind the value of a block it is another view of the same.
            operator
                if is_root && kind(operator).is_some() && self.ends_a_block(node.inputs.first().copied()) =>
            {
                None
            }
            _ if self.functions.contains_key(&place) => self.name_of_function(place),
            OperationIr::NumericFloat(_, Numeric::Mul(_)) if is_root && node.inputs.len() > 1 => Some("mul"),
            operator if is_merge(operator) && is_root && node.inputs.len() > 1 => Some("add"),
            operator if is_cat(operator) && is_root && node.inputs.len() > 1 => Some("cat"),
            operator => kind(operator),
        }
    }

    fn ends_a_block(&self, slot: Option<Slot>) -> bool {
        let place = slot.and_then(|slot| self.producers.get(&slot));
        let ends = |(module, calls): (&String, &Vec<Call>)| {
            self.is_block(module) && calls.iter().any(|call| Some(&call.last) == place)
        };
        self.calls.iter().any(ends)
    }

    /// What a function is called: `x * sigmoid(x)` and the like.
    fn name_of_function(&self, place: usize) -> Option<&'static str> {
        let function = &self.functions[&place];
        let mut kinds = function.inside.iter().map(|inner| kind(self.nodes[*inner].operator));
        let is_product = matches!(self.nodes[place].operator, OperationIr::NumericFloat(_, Numeric::Mul(_)));
        match (kinds.next()?, kinds.next()) {
            (Some("sigmoid"), None) if is_product => Some("silu"),
            (Some("hard_sigmoid"), None) if is_product => Some("hard_swish"),
            _ if self.hidden.get(&(place - 1)) == Some(&place) && self.is_halved(place - 1, function) => {
                Some("gelu")
            }
            _ => None,
        }
    }

    /// The innermost block that an operator is inside of.
    fn block_around(&self, place: usize) -> &str {
        let around = |(module, calls): (&'_ String, &Vec<Call>)| {
            self.is_block(module) && calls.iter().any(|call| call.first < place && place <= call.last)
        };
        let blocks = self
            .calls
            .iter()
            .filter(|(module, calls)| around((module, calls)))
            .map(|(module, _)| module.as_str());
        blocks.max_by_key(|block| block.split('.').count()).unwrap_or("")
    }

    /// The module without parameters that stands between the modules before and behind an operator, as its name says.
    fn stand_in(&self, place: usize, around: &str) -> Option<String> {
        let (before, behind) = self.neighbors(place, around);
        let siblings: Vec<&str> =
            self.paths.iter().map(String::as_str).filter(|path| parent(path) == around).collect();
        let at =
            |path: Option<String>| path.and_then(|path| siblings.iter().position(|sibling| *sibling == path));
        let from = at(before).map_or(0, |place| place + 1);
        let to = at(behind).unwrap_or(siblings.len());
        let free = siblings.get(from..to)?.iter().filter(|path| !self.calls.contains_key(**path));
        let sort = self.sort(place)?;
        // Of several operators that it can be nobody knows which one it is.
        let is_owned = |place: &usize| self.owners[*place].is_some();
        let start = (0..place).rev().find(is_owned).map_or(0, |before| before + 1);
        let end = (place..self.nodes.len()).find(is_owned).unwrap_or(self.nodes.len());
        if (start..end).any(|other| other != place && self.sort(other) == Some(sort)) {
            return None;
        }
        let fitting: Vec<&&str> = free.filter(|path| sort.is_called(leaf(path))).collect();
        match fitting.as_slice() {
            [one] => Some(leaf(one).to_string()),
            _ => None,
        }
    }

    /// The children of a block that own the operators next to one, before and behind.
    fn neighbors(&self, place: usize, around: &str) -> (Option<String>, Option<String>) {
        let child = |owner: &Option<String>| {
            let owner = owner.as_ref()?;
            let rest =
                if around.is_empty() { owner } else { owner.strip_prefix(around)?.strip_prefix('.')? };
            let name = rest.split('.').next()?;
            Some(if around.is_empty() { name.to_string() } else { format!("{around}.{name}") })
        };
        let before = self.owners[..place].iter().rev().find(|owner| owner.is_some()).and_then(child);
        let behind = self.owners[place + 1..].iter().find(|owner| owner.is_some()).and_then(child);
        (before, behind)
    }

    /// Activations and pooling between numbered modules of a sequence have the numbers between, if there are as many.
    fn numbers(&self, sequence: &str) -> BTreeMap<usize, String> {
        let inside = self.paths.iter().filter(|path| parent(path) == sequence);
        let numbers: Vec<usize> = inside.filter_map(|path| leaf(path).parse().ok()).collect();
        let called = |number: &usize| self.calls.get(&format!("{sequence}.{number}")).map(Vec::as_slice);
        let mut named = BTreeMap::new();
        let mut name = |places: Vec<usize>, first: usize| {
            let numbered = places.into_iter().enumerate();
            named.extend(numbered.map(|(n, place)| (place, format!("{sequence}.{}", first + n))));
        };
        let mut last: Option<(usize, usize)> = None;
        for number in &numbers {
            let Some([call]) = called(number) else { continue };
            if let Some((before, end)) = last {
                let between: Vec<usize> =
                    (end + 1..call.first).filter(|place| self.has_kind(*place)).collect();
                if between.len() + 1 == number - before {
                    name(between, before + 1);
                }
            }
            last = Some((*number, call.last));
        }
        if let Some((before, end)) = last {
            let free = numbers.iter().filter(|number| **number > before).count();
            let next = (end + 1..self.nodes.len()).take_while(|place| self.owners[*place].is_none());
            let behind: Vec<usize> = next.filter(|place| self.has_kind(*place)).take(free).collect();
            if behind.len() == free {
                name(behind, before + 1);
            }
        }
        named
    }

    fn has_kind(&self, place: usize) -> bool {
        matches!(self.sort(place), Some(Sort::Activation | Sort::Pooling))
    }
}

/// Layers in the order in which they finish, inside the layer whose name theirs begins with.
fn nested(mut found: Vec<Layer>) -> Vec<Layer> {
    found.sort_by(|a, b| {
        a.operator.cmp(&b.operator).then(b.name.split('.').count().cmp(&a.name.split('.').count()))
    });
    let mut roots: Vec<Layer> = Vec::new();
    for mut layer in found {
        // Only the last ones: what finished in between has to come before.
        let outside =
            roots.iter().rposition(|other| !is_within(&other.name, &layer.name)).map_or(0, |place| place + 1);
        layer.children = roots.split_off(outside);
        roots.push(layer);
    }
    roots
}
