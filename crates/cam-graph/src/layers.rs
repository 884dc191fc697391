//! Finds the layers of a graph, their names and their nesting.
//!
//! A recording contains operators and no modules. But an operator that reads a parameter belongs to the module that owns the parameter,
//! whose path is known: `layer4.1.bn2`. Everything else follows from that:
//!
//! - The **value** of a module is the output of its last operator.
//! - A **block** (a module that contains modules) extends over the following operators without parameters that belong to it: a sum or
//!   product of its values and its inputs (a residual connection); a concatenation of its values; the activation after one of these; an
//!   activation or pooling for which it has a module without parameters (`pool`, `activation`); operators that restore the order of
//!   positions (the end of windowed attention). In between a value may be reshaped or become a gate. Burn's own modules that end with
//!   their last layer (`MultiHeadAttention`) end there: additions to their value belong to the block around them. The same holds for a
//!   list of modules (`Vec`, a tuple), which has no forward pass.
//! - A **function** is a value computed elementwise from one other value by several operators without parameters: `x * sigmoid(x)`. As a
//!   whole it is an activation, and the values inside are not layers.
//! - The factors in an attention (queries, keys and values) are not layers: only the attention as a whole is.
//! - **Operators without parameters** are named by the free number in a sequence (`features.3`), by the module without parameters in
//!   their position (`maxpool`), or by their kind (`relu`) within the enclosing block. Outside of blocks, an activation directly behind a
//!   block has no name of its own, unless it is the last: `relu(features(x))` before the head.
//! - A module that is called several times has one layer per call: `encoder`, `encoder#2`.
//!
//! A forward pass that names its modules itself ([`crate::enter_module`]) needs none of this: the value of a module is the last one that is
//! read outside of it.
//!
//! A value is a layer only if its axes are understood (see [`crate::axes`]).

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
    /// The paths of all modules, including those without parameters, in the order of their fields.
    pub paths: Vec<String>,
    /// The type names of modules that contain others, by their paths.
    pub types: HashMap<String, String>,
}

/// An operator in the search for layers.
pub(crate) struct Node<'a> {
    pub operator: &'a OperationIr,
    /// The paths of the parameters that it reads.
    pub params: Vec<&'a str>,
    /// The module in which it is, if the forward pass names its modules: see [`crate::enter_module`].
    pub path: Option<&'a str>,
    /// Whether its output is attention weights that a fused attention does not expose.
    pub is_weights: bool,
    /// The distinct slots that it reads and that depend on the input.
    pub inputs: Vec<Slot>,
    /// The slot of its first output.
    pub output: Slot,
    /// The layout of the output, if it can be a layer.
    pub layout: Option<Layout>,
}

/// A value that can be tapped.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub name: String,
    pub value: Slot,
    pub layout: Layout,
    /// The operator whose output is the value.
    pub operator: usize,
    /// The layers inside, in the order in which they finish.
    pub children: Vec<Layer>,
}

/// Returns the name of the kind of an operator without parameters.
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

/// Reports whether an operator rearranges values.
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

/// Reports whether an operator is a sum, difference or product of two values.
fn is_merge(operator: &OperationIr) -> bool {
    matches!(operator, OperationIr::NumericFloat(_, Numeric::Add(_) | Numeric::Mul(_) | Numeric::Sub(_)))
}

/// Reports whether an operator is elementwise, a reduction or a slice.
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

/// The category of a layer without parameters, by which its module is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Category {
    Pooling,
    Upsampling,
    Activation,
}

impl Category {
    /// Reports whether the name of a module suggests this category.
    fn matches_name(self, name: &str) -> bool {
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

/// Reports whether the output of an operator is attention weights, exposed or not.
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

/// Returns the module that owns all of these parameters: the common prefix of their paths.
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

/// Returns the layers of a graph, in the order in which they finish.
pub(crate) fn find(nodes: &[Node<'_>], modules: &Modules) -> Vec<Layer> {
    Search::new(nodes, modules).layers()
}

struct Search<'a> {
    nodes: &'a [Node<'a>],
    paths: &'a [String],
    types: &'a HashMap<String, String>,
    owners: Vec<Option<String>>,
    /// The operator that writes each slot.
    producers: HashMap<Slot, usize>,
    /// The calls of each module, in order.
    calls: BTreeMap<String, Vec<Call>>,
    /// The modules that contain modules.
    blocks: BTreeSet<String>,
    /// The numbered names of operators without parameters in sequences.
    numbered: BTreeMap<usize, String>,
    /// The functions, by their last operators.
    functions: BTreeMap<usize, Function>,
    /// The operators inside of functions, with the last operator of the function.
    hidden: HashMap<usize, usize>,
    /// The operators whose outputs are queries, keys and values.
    projections: HashSet<usize>,
    /// Whether the forward pass named its modules.
    is_named: bool,
}

/// A value computed elementwise from one other value by several operators without parameters.
#[derive(Clone, Debug)]
struct Function {
    source: Slot,
    /// The operators before the last one.
    inside: BTreeSet<usize>,
}

impl<'a> Search<'a> {
    fn new(nodes: &'a [Node<'a>], modules: &'a Modules) -> Self {
        let owners: Vec<Option<String>> = nodes.iter().map(|node| owner(&node.params)).collect();
        let producers = nodes.iter().enumerate().map(|(index, node)| (node.output, index)).collect();
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
            is_named: nodes.iter().any(|node| node.path.is_some()),
        };
        search.find_projections();
        search.find_functions();
        search.calls = if search.is_named { search.calls_of_paths() } else { search.calls_of_modules() };
        let parents = search.calls.keys().map(|module| parent(module)).filter(|path| !path.is_empty());
        search.blocks = parents.map(String::from).collect();
        if !search.is_named {
            search.extend_flattened();
            search.extend_blocks();
        }
        search
    }

    /// Returns the calls of modules that the forward pass named. Each ends with its value: the last operator that has a layout and is read
    /// outside of it.
    fn calls_of_paths(&self) -> BTreeMap<String, Vec<Call>> {
        let path = |index: usize| self.nodes[index].path.unwrap_or("");
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for index in 0..self.nodes.len() {
            let mut module = path(index);
            while !module.is_empty() {
                members.entry(module).or_default().push(index);
                module = parent(module);
            }
        }
        let mut calls: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
        // Inner modules first.
        for (module, members) in members.iter().rev() {
            let mut inside =
                calls.iter().filter(|(other, _)| is_within(other, module)).map(|(_, calls)| calls);
            let turns = match inside.next() {
                None => self.calls_of_innermost(members),
                Some(_) => {
                    let first_reads = self.first_reads(members);
                    members.chunk_by(|_, next| !first_reads.contains(next)).map(<[usize]>::to_vec).collect()
                }
            };
            calls.insert(module, turns);
        }
        let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(index));
        }
        let call = |members: Vec<usize>| {
            let is_value = |index: &&usize| {
                let node = &self.nodes[**index];
                let is_outside = |reader: &usize| members.binary_search(reader).is_err();
                node.layout.is_some()
                    && readers.get(&node.output).is_none_or(|readers| readers.iter().any(is_outside))
            };
            let last = members.iter().rev().find(is_value).or(members.last());
            Call { first: members[0], last: *last.expect("a module has operators") }
        };
        calls
            .into_iter()
            .map(|(module, turns)| (module.to_string(), turns.into_iter().map(call).collect()))
            .collect()
    }

    /// Splits the operators of a module without modules inside into its calls: one ends before a parameter is read again or, if there are no
    /// parameters, where operators of other modules follow.
    fn calls_of_innermost(&self, members: &[usize]) -> Vec<Vec<usize>> {
        if members.iter().all(|index| self.nodes[*index].params.is_empty()) {
            return members.chunk_by(|index, next| index + 1 == *next).map(<[usize]>::to_vec).collect();
        }
        let first_reads = self.first_reads(members);
        members.chunk_by(|_, next| !first_reads.contains(next)).map(<[usize]>::to_vec).collect()
    }

    /// Returns the operators of a module with which a further call of it begins: the first reader of a parameter, if all parameters are read
    /// equally often and each call reads all of them before the next one begins.
    fn first_reads(&self, members: &[usize]) -> HashSet<usize> {
        let mut reads: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for index in members {
            for param in &self.nodes[*index].params {
                reads.entry(param).or_default().push(*index);
            }
        }
        let times = reads.values().map(Vec::len).max().unwrap_or(0);
        let span = |turn: usize| {
            let of_turn = || reads.values().map(move |reads| reads[turn]);
            (of_turn().min().unwrap_or(0), of_turn().max().unwrap_or(0))
        };
        let are_apart = reads.values().all(|reads| reads.len() == times)
            && (1..times).all(|turn| span(turn - 1).1 < span(turn).0);
        if !are_apart {
            return HashSet::new();
        }
        (1..times).map(|turn| span(turn).0).collect()
    }

    fn find_projections(&mut self) {
        let is_matmul = |node: &Node<'_>| matches!(node.operator, OperationIr::Float(_, Float::Matmul(_)));
        let products = self.nodes.iter().filter(|node| is_matmul(node) && node.inputs.len() > 1);
        // The queries may be constant.
        let scores = self.nodes.iter().filter(|node| is_attention(node)).filter_map(|node| {
            let mut at = node;
            while !is_matmul(at) {
                at = &self.nodes[*self.producers.get(at.inputs.first()?)?];
            }
            Some(at)
        });
        let mut open: Vec<Slot> = products.chain(scores).flat_map(|node| node.inputs.clone()).collect();
        while let Some(slot) = open.pop() {
            let Some(&index) = self.producers.get(&slot) else { continue };
            let node = &self.nodes[index];
            let is_rearranged = match node.operator {
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
                    if self.owners[index].is_some() =>
                {
                    false
                }
                _ => continue,
            };
            if self.projections.insert(index) && is_rearranged {
                open.extend(&node.inputs);
            }
        }
    }

    fn find_functions(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(function) = self.function(index) else { continue };
            let end = if self.is_halved(index, &function) { index + 1 } else { index };
            let mut inside = function.inside;
            inside.extend(index..end);
            self.hidden.extend(inside.iter().map(|inner| (*inner, end)));
            self.functions.insert(end, Function { inside, ..function });
        }
        let hidden = &self.hidden;
        self.functions.retain(|end, _| !hidden.contains_key(end));
    }

    /// Returns the function that ends with this operator.
    fn function(&self, index: usize) -> Option<Function> {
        let own = |index: usize| self.owners[index].is_none() && is_pointwise(self.nodes[index].operator);
        let mut open: BTreeSet<Slot> = self.nodes[index].inputs.iter().copied().collect();
        if !own(index) || open.len() < 2 {
            return None;
        }
        let mut inside = BTreeSet::new();
        while open.len() > 1 {
            // The value that is computed last cannot be the source of the others.
            let last =
                *open.iter().max_by_key(|slot| self.producers.get(*slot).map_or(0, |index| index + 1))?;
            let producer = *self.producers.get(&last).filter(|index| own(**index))?;
            inside.insert(producer);
            open.remove(&last);
            open.extend(&self.nodes[producer].inputs);
        }
        Some(Function { source: open.pop_first()?, inside })
    }

    /// Reports whether a multiplication by one half follows, as in the approximate GELU.
    fn is_halved(&self, index: usize, function: &Function) -> bool {
        let has_tanh = function.inside.iter().any(|inner| kind(self.nodes[*inner].operator) == Some("tanh"));
        let halves = |next: &Node<'_>| {
            next.inputs == [self.nodes[index].output]
                && matches!(next.operator, OperationIr::NumericFloat(_, Numeric::MulScalar(op)) if op.rhs.elem::<f64>() == 0.5)
        };
        has_tanh && self.nodes.get(index + 1).is_some_and(halves)
    }

    /// Returns the category of an operator that may belong to a module without parameters.
    fn category(&self, index: usize) -> Option<Category> {
        let operator = self.nodes[index].operator;
        match kind(operator) {
            _ if self.owners[index].is_some() || self.hidden.contains_key(&index) => None,
            _ if self.functions.contains_key(&index) => Some(Category::Activation),
            Some("upsample") => Some(Category::Upsampling),
            Some(_) if is_pooling(operator) => Some(Category::Pooling),
            Some(_) => Some(Category::Activation),
            None => None,
        }
    }

    /// Returns the calls of the modules that own parameters. A call ends before it reads the same parameter again.
    fn calls_of_owners(&self) -> BTreeMap<&str, Vec<Call>> {
        let mut calls: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
        let mut read: HashMap<&str, HashSet<&str>> = HashMap::new();
        for (index, (node, owner)) in self.nodes.iter().zip(&self.owners).enumerate() {
            let Some(owner) = owner else { continue };
            let (calls, read) = (calls.entry(owner).or_default(), read.entry(owner).or_default());
            match calls.last_mut() {
                Some(call) if node.params.iter().all(|param| !read.contains(param)) => call.last = index,
                _ => {
                    calls.push(Call { first: index, last: index });
                    read.clear();
                }
            }
            read.extend(node.params.iter().copied());
        }
        calls
    }

    /// Returns the calls of all modules. A module of modules is called as often as each of them if their calls do not overlap, else once.
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
            let spans =
                || (0..times).map(|turn| span(&inside.iter().map(|calls| &calls[turn]).collect::<Vec<_>>()));
            let apart = inside.iter().all(|calls| calls.len() == times)
                && spans().zip(spans().skip(1)).all(|(a, b)| a.last < b.first);
            match apart {
                true => spans().collect(),
                false => vec![span(&inside.into_iter().flatten().collect::<Vec<_>>())],
            }
        };
        modules.into_iter().map(|module| (module.to_string(), calls_of(module))).collect()
    }

    /// Extends each layer that flattens its input over the operator that restores the shape: Burn's linear layer does this at some batch
    /// sizes.
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

    /// Extends each block over the following operators without parameters that belong to it, inner blocks first.
    fn extend_blocks(&mut self) {
        let mut blocks: Vec<String> = self.blocks.iter().cloned().collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.split('.').count()));
        for block in blocks {
            // The inner blocks are extended by now.
            let numbers = self.numbers(&block);
            self.numbered.extend(numbers);
            for turn in 0..self.calls[&block].len() {
                let extended = self.extended(&block, turn);
                self.calls.get_mut(&block).expect("blocks have calls")[turn] = extended;
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
        // Extensions of inner blocks belong to the outer block, too.
        for (inner, calls) in &self.calls {
            if is_within(inner, block) {
                let inside =
                    calls.iter().filter(|inner| inner.first >= call.first && inner.first <= call.last);
                call.last = inside.map(|inner| inner.last).max().unwrap_or(0).max(call.last);
            }
        }
        if self.calls[block].len() == 1 {
            let own = self.numbered.iter().filter(|(_, name)| parent(name) == block).map(|(index, _)| *index);
            call.last = own.max().unwrap_or(0).max(call.last);
        }
        if self.nodes[call.last].layout.is_none() {
            call.last = self.restore_order(&call).unwrap_or(call.last);
        }
        let mut given = self.inputs_of(&call);
        let lenient = self.has_blocks_inside(block);
        let mut unused: Vec<&str> = self.without_parameters(block);
        if !unused.is_empty() {
            let owned_names =
                (call.first..=call.last).filter_map(|index| self.module_without_parameters(index, block));
            let owned_names: HashSet<String> = owned_names.collect();
            unused.retain(|path| !owned_names.contains(leaf(path)));
        }
        let mut merged = false;
        // Operators that only reshape a value or make it a gate belong to the block if the operator that follows them does.
        let mut ahead = call.clone();
        let mut gates = false;
        while let Some(next) = self.next(ahead.last) {
            let node = &self.nodes[next];
            let source = self.functions.get(&next).map(|function| [function.source]);
            let inputs = source.as_ref().map_or(&node.inputs[..], |source| &source[..]);
            let is_inside = |slot: &Slot| self.is_inside(*slot, &ahead);
            let all_inside = inputs.iter().all(is_inside);
            let own = all_inside || inputs.iter().all(|slot| is_inside(slot) || given.contains(slot));
            let category = self.category(next);
            let unused_match = unused
                .iter()
                .position(|path| category.is_some_and(|category| category.matches_name(leaf(path))));
            let belongs = inputs.iter().any(is_inside)
                && match inputs.len() {
                    1 if category == Some(Category::Activation) && merged && ahead.last == call.last => true,
                    1 => unused_match.is_some() && ahead.last == call.last,
                    _ if is_cat(node.operator) => ahead.last == call.last && (all_inside || (own && lenient)),
                    _ => own && self.merges(next, gates) && (all_inside || self.can_add_its_input(block)),
                };
            if belongs {
                merged = inputs.len() > 1;
                if let Some(index) = unused_match.filter(|_| inputs.len() == 1) {
                    unused.remove(index);
                }
                ahead.last = next;
                call = ahead.clone();
                given = self.inputs_of(&call);
            } else if inputs.len() == 1
                && all_inside
                && (rearranges(node.operator) || category == Some(Category::Activation))
            {
                gates |= category == Some(Category::Activation);
                ahead.last = next;
            } else {
                break;
            }
        }
        call
    }

    /// Reports whether an operator is a sum or product of two values; if one of them is a gate, whether it is a product.
    fn merges(&self, index: usize, gates: bool) -> bool {
        let operator = self.nodes[index].operator;
        match gates {
            true => matches!(operator, OperationIr::NumericFloat(_, Numeric::Mul(_))),
            false => is_merge(operator),
        }
    }

    /// Reports whether a sum of the values and inputs of a block can belong to it: not if the block is a list, or one of Burn's modules that
    /// end with their last layer.
    fn can_add_its_input(&self, block: &str) -> bool {
        const PLAIN: [&str; 4] =
            ["MultiHeadAttention", "CrossAttention", "PositionWiseFeedForward", "SwiGlu"];
        self.types.get(block).is_some_and(|name| !PLAIN.contains(&name.as_str()))
    }

    /// Returns the next operator, or the last one of the function that starts there, if none of them has a parameter.
    fn next(&self, index: usize) -> Option<usize> {
        let next = index + 1;
        let end = self.hidden.get(&next).copied().unwrap_or(next);
        // Functions may be nested.
        let end = self.hidden.get(&end).copied().unwrap_or(end);
        let own =
            |index: usize| self.owners[index].is_none() && (index == end || self.hidden.contains_key(&index));
        (end < self.nodes.len() && (next..=end).all(own)).then_some(end)
    }

    /// Returns the direct child modules of a block that have no parameters and no known operators.
    fn without_parameters(&self, block: &str) -> Vec<&'a str> {
        let own = self.paths.iter().map(String::as_str).filter(|path| parent(path) == block);
        own.filter(|path| !self.calls.contains_key(*path)).collect()
    }

    fn is_inside(&self, slot: Slot, call: &Call) -> bool {
        self.producers.get(&slot).is_some_and(|index| (call.first..=call.last).contains(index))
    }

    /// Returns the inputs of a call: earlier values that it reads, and the values from which these are computed without parameters.
    fn inputs_of(&self, call: &Call) -> HashSet<Slot> {
        let read = self.nodes[call.first..=call.last].iter().flat_map(|node| &node.inputs);
        let mut open: Vec<Slot> = read.copied().filter(|slot| !self.is_inside(*slot, call)).collect();
        let mut given = HashSet::new();
        while let Some(slot) = open.pop() {
            if !given.insert(slot) {
                continue;
            }
            if let Some(index) = self.producers.get(&slot).filter(|index| self.owners[**index].is_none()) {
                open.extend(&self.nodes[*index].inputs);
            }
        }
        given
    }

    /// Returns the first operator after a call whose output has a layout and is only a rearrangement of values of the call.
    fn restore_order(&self, call: &Call) -> Option<usize> {
        let mut inside: HashSet<Slot> =
            self.nodes[call.first..=call.last].iter().map(|node| node.output).collect();
        for index in call.last + 1..self.nodes.len() {
            let node = &self.nodes[index];
            if self.owners[index].is_some()
                || !rearranges(node.operator)
                || !node.inputs.iter().all(|slot| inside.contains(slot))
            {
                return None;
            }
            inside.insert(node.output);
            if node.layout.is_some() {
                return Some(index);
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
        for (index, name) in self.names_without_parameters(&values) {
            let count = taken.entry(name.clone()).or_insert(0);
            *count += 1;
            let name = if *count == 1 { name } else { format!("{name}#{count}") };
            offer(name, index, &mut found);
        }
        nested(found)
    }

    /// Returns linear layers whose values only an attention reads. Queries, keys and values are compared with each other, so none of them shows
    /// where the network looks, and the last of them is not what "the last layer" means.
    fn projections(&self) -> HashSet<usize> {
        let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(index));
        }
        let is_product = |index: usize| {
            let node = &self.nodes[index];
            let multiplies =
                node.is_weights || matches!(node.operator, OperationIr::Float(_, Float::Matmul(_)));
            multiplies && node.inputs.len() > 1
        };
        // The inputs of an attention, and the operators that reshape them.
        let mut inside = HashSet::new();
        for scores in (0..self.nodes.len()).filter(|index| is_product(*index)) {
            let mut open = vec![scores];
            let mut weighed = HashSet::new();
            while let Some(index) = open.pop() {
                for reader in readers.get(&self.nodes[index].output).into_iter().flatten() {
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
                    let made = self.producers.get(slot).filter(|index| self.owners[**index].is_none());
                    inside.extend(made.into_iter().flat_map(|index| self.single_inputs(*index)));
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

    /// Returns an operator and those before it, as long as none has parameters and each reads one value.
    fn single_inputs(&self, index: usize) -> Vec<usize> {
        let mut all = vec![index];
        while let [slot] = self.nodes[all[all.len() - 1]].inputs.as_slice() {
            let Some(before) = self.producers.get(slot).filter(|index| self.owners[**index].is_none()) else {
                break;
            };
            all.push(*before);
        }
        all
    }

    /// Returns names for operators without parameters whose values are not layers yet.
    fn names_without_parameters(&self, values: &HashSet<Slot>) -> Vec<(usize, String)> {
        let mut named = self.numbered.clone();
        for (index, node) in self.nodes.iter().enumerate() {
            let is_free = match node.path {
                Some(path) => path.is_empty() || self.is_block(path),
                None => self.owners[index].is_none(),
            };
            let is_new = is_free
                && node.layout.is_some()
                && !values.contains(&node.output)
                && !self.hidden.contains_key(&index);
            if !is_new || named.contains_key(&index) {
                continue;
            }
            let around = node.path.unwrap_or_else(|| self.block_around(index));
            let own = match node.layout {
                Some(Layout::Attention(_)) if is_attention(node) => Some("attn_drop".to_string()),
                _ => {
                    let made = self.before_reshape(index);
                    self.module_without_parameters(made, around)
                        .or_else(|| self.name_by_kind(made, around).map(String::from))
                }
            };
            if let Some(own) = own {
                named.insert(index, if around.is_empty() { own } else { format!("{around}.{own}") });
            }
        }
        named.into_iter().collect()
    }

    /// Returns the operator before one that only restores the shape of an upsampled value, as signals are resized as images; else the
    /// operator itself.
    fn before_reshape(&self, index: usize) -> usize {
        let node = &self.nodes[index];
        let before = node.inputs.first().and_then(|slot| self.producers.get(slot)).copied();
        let reshapes = matches!(node.operator, OperationIr::BaseFloat(Base::Reshape(_)));
        before
            .filter(|before| reshapes && self.category(*before) == Some(Category::Upsampling))
            .unwrap_or(index)
    }

    /// Returns the name of an operator by its kind, if it has one.
    fn name_by_kind(&self, index: usize, around: &str) -> Option<&'static str> {
        let node = &self.nodes[index];
        let is_root = around.is_empty();
        match node.operator {
            // After the value of a block it is only another view of the same value; but behind the last one it is what the head reads.
            operator
                if is_root
                    && kind(operator).is_some()
                    && self.ends_a_block(node.inputs.first().copied())
                    && !self.is_last_activation(index) =>
            {
                None
            }
            _ if self.functions.contains_key(&index) => self.name_of_function(index),
            OperationIr::NumericFloat(_, Numeric::Mul(_)) if is_root && node.inputs.len() > 1 => Some("mul"),
            operator if is_merge(operator) && is_root && node.inputs.len() > 1 => Some("add"),
            operator if is_cat(operator) && is_root && node.inputs.len() > 1 => Some("cat"),
            operator => kind(operator),
        }
    }

    /// Reports whether an operator is an activation, behind which no parameters make a value that can be a layer.
    fn is_last_activation(&self, index: usize) -> bool {
        let mut behind = self.nodes[index + 1..].iter().zip(&self.owners[index + 1..]);
        self.category(index) == Some(Category::Activation)
            && !behind.any(|(node, owner)| owner.is_some() && node.layout.is_some())
    }

    fn ends_a_block(&self, slot: Option<Slot>) -> bool {
        let index = slot.and_then(|slot| self.producers.get(&slot));
        let ends = |(module, calls): (&String, &Vec<Call>)| {
            self.is_block(module) && calls.iter().any(|call| Some(&call.last) == index)
        };
        self.calls.iter().any(ends)
    }

    /// Returns the name of a function such as `x * sigmoid(x)`.
    fn name_of_function(&self, index: usize) -> Option<&'static str> {
        let function = &self.functions[&index];
        let mut kinds = function.inside.iter().map(|inner| kind(self.nodes[*inner].operator));
        let is_product = matches!(self.nodes[index].operator, OperationIr::NumericFloat(_, Numeric::Mul(_)));
        match (kinds.next()?, kinds.next()) {
            (Some("sigmoid"), None) if is_product => Some("silu"),
            (Some("hard_sigmoid"), None) if is_product => Some("hard_swish"),
            _ if self.hidden.get(&(index - 1)) == Some(&index) && self.is_halved(index - 1, function) => {
                Some("gelu")
            }
            _ => None,
        }
    }

    /// Returns the innermost block that contains an operator.
    fn block_around(&self, index: usize) -> &str {
        let around = |(module, calls): (&'_ String, &Vec<Call>)| {
            self.is_block(module) && calls.iter().any(|call| call.first < index && index <= call.last)
        };
        let blocks = self
            .calls
            .iter()
            .filter(|(module, calls)| around((module, calls)))
            .map(|(module, _)| module.as_str());
        blocks.max_by_key(|block| block.split('.').count()).unwrap_or("")
    }

    /// Returns the module without parameters that, by its name and position among its siblings, is the one of an operator.
    fn module_without_parameters(&self, index: usize, around: &str) -> Option<String> {
        let (before, behind) = self.neighbors(index, around);
        let siblings: Vec<&str> =
            self.paths.iter().map(String::as_str).filter(|path| parent(path) == around).collect();
        let at =
            |path: Option<String>| path.and_then(|path| siblings.iter().position(|sibling| *sibling == path));
        let from = at(before).map_or(0, |index| index + 1);
        let to = at(behind).unwrap_or(siblings.len());
        let free = siblings.get(from..to)?.iter().filter(|path| !self.calls.contains_key(**path));
        let category = self.category(index)?;
        // If several operators match, it is ambiguous.
        let is_owned = |index: &usize| self.owners[*index].is_some();
        let start = (0..index).rev().find(is_owned).map_or(0, |before| before + 1);
        let end = (index..self.nodes.len()).find(is_owned).unwrap_or(self.nodes.len());
        if (start..end).any(|other| other != index && self.category(other) == Some(category)) {
            return None;
        }
        let fitting: Vec<&&str> = free.filter(|path| category.matches_name(leaf(path))).collect();
        match fitting.as_slice() {
            [one] => Some(leaf(one).to_string()),
            _ => None,
        }
    }

    /// Returns the children of a block that own the nearest operators before and after an operator.
    fn neighbors(&self, index: usize, around: &str) -> (Option<String>, Option<String>) {
        let child = |owner: &Option<String>| {
            let owner = owner.as_ref()?;
            let rest =
                if around.is_empty() { owner } else { owner.strip_prefix(around)?.strip_prefix('.')? };
            let name = rest.split('.').next()?;
            Some(if around.is_empty() { name.to_string() } else { format!("{around}.{name}") })
        };
        let before = self.owners[..index].iter().rev().find(|owner| owner.is_some()).and_then(child);
        let behind = self.owners[index + 1..].iter().find(|owner| owner.is_some()).and_then(child);
        (before, behind)
    }

    /// Returns numbered names: activations and pooling between numbered modules of a sequence have the numbers in between, if the counts match.
    fn numbers(&self, sequence: &str) -> BTreeMap<usize, String> {
        let inside = self.paths.iter().filter(|path| parent(path) == sequence);
        let numbers: Vec<usize> = inside.filter_map(|path| leaf(path).parse().ok()).collect();
        let called = |number: &usize| self.calls.get(&format!("{sequence}.{number}")).map(Vec::as_slice);
        let mut named = BTreeMap::new();
        let mut name = |operators: Vec<usize>, first: usize| {
            let numbered = operators.into_iter().enumerate();
            named.extend(numbered.map(|(n, index)| (index, format!("{sequence}.{}", first + n))));
        };
        let mut last: Option<(usize, usize)> = None;
        for number in &numbers {
            let Some([call]) = called(number) else { continue };
            if let Some((before, end)) = last {
                let between: Vec<usize> =
                    (end + 1..call.first).filter(|index| self.is_activation_or_pooling(*index)).collect();
                if between.len() + 1 == number - before {
                    name(between, before + 1);
                }
            }
            last = Some((*number, call.last));
        }
        if let Some((before, end)) = last {
            let free = numbers.iter().filter(|number| **number > before).count();
            let next = (end + 1..self.nodes.len()).take_while(|index| self.owners[*index].is_none());
            let behind: Vec<usize> =
                next.filter(|index| self.is_activation_or_pooling(*index)).take(free).collect();
            if behind.len() == free {
                name(behind, before + 1);
            }
        }
        named
    }

    fn is_activation_or_pooling(&self, index: usize) -> bool {
        matches!(self.category(index), Some(Category::Activation | Category::Pooling))
    }
}

/// Nests layers by their names, in the order in which they finish.
fn nested(mut found: Vec<Layer>) -> Vec<Layer> {
    found.sort_by(|a, b| {
        a.operator.cmp(&b.operator).then(b.name.split('.').count().cmp(&a.name.split('.').count()))
    });
    let mut roots: Vec<Layer> = Vec::new();
    for mut layer in found {
        // Only the last ones, to keep the order in which layers finish.
        let outside =
            roots.iter().rposition(|other| !is_within(&other.name, &layer.name)).map_or(0, |index| index + 1);
        layer.children = roots.split_off(outside);
        roots.push(layer);
    }
    roots
}
