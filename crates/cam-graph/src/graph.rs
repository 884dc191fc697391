//! The graph of one forward pass: operators in order, constants, and layers.

use crate::axes::{self, Axis, Layout, Operand};
use crate::biases::{self, Bias};
use crate::capture::{Captured, Mark};
use crate::layers::{self, Layer, Modules, Node};
use crate::lower::{self, Parameters, Prepared, Region};
use crate::operators::{self, Kernel, Slots, Table};
use crate::values::{Slot, Values};
use crate::{Error, attention};
use burn::backend::ir::{
    ActivationOperationIr as Activation, AttentionOpIr, BaseOperationIr as Base, FloatOperationIr as Float,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, TensorId, TensorIr,
};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Device, TensorData};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The operators of one forward pass on inputs of one shape, ready to run on any data.
pub(crate) struct Graph {
    pub operators: Vec<Operator>,
    /// Values that do not depend on an input, by their slots.
    pub constants: Vec<Option<DispatchTensor>>,
    /// The number of reads of each slot in a run.
    pub reads: Vec<u32>,
    /// The operator that writes each slot.
    pub producers: Vec<Option<usize>>,
    pub inputs: Vec<Slot>,
    pub outputs: Vec<Slot>,
    pub layers: Vec<Layer>,
    /// The biases that operators add, by the indices of the operators.
    pub biases: HashMap<usize, Bias>,
    /// Whether every bias belongs to a layer: FullGrad needs all of them.
    pub shows_biases: bool,
    /// Operators that are computed together unless a tap is inside.
    pub regions: Vec<Region>,
    /// The regions that contain each operator, the outermost first.
    pub regions_of: Vec<Vec<usize>>,
}

/// An operator and its kernel.
pub(crate) struct Operator {
    pub ir: OperationIr,
    pub kernel: Kernel,
    /// The slots that it reads and that depend on the input.
    pub inputs: Vec<Slot>,
    /// The slots that it reads and that are constant.
    pub constants: Vec<Slot>,
    pub outputs: Vec<Slot>,
    /// The fused operator that replaces this one and the one before it if no tap reads the value between them: attention without its matrix.
    pub fused: Option<Fused>,
    pub special: Special,
    /// Whether it computes images element by element, so that any order of the axes gives the same. It is then computed in the order of
    /// memory.
    pub is_of_any_order: bool,
}

pub(crate) struct Fused {
    pub kernel: Kernel,
    pub inputs: Vec<Slot>,
    pub attention: AttentionOpIr,
}

/// What taps do at an operator, apart from layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Special {
    None,
    Relu,
    Gelu,
    /// An activation without a rule for guided backpropagation.
    Unguided(&'static str),
    /// Attention weights that are computed only if a tap reads them.
    Weights,
}

impl Graph {
    /// Builds the graph of a captured forward pass.
    ///
    /// - weights: the tensors of the module, by the paths of its parameters
    /// - device: the device of the module
    pub fn new<O>(
        captured: &Captured<O>,
        weights: &HashMap<String, DispatchTensor>,
        modules: &Modules,
        prepared: &Prepared,
        device: &Device,
    ) -> Result<Self, Error> {
        let mut names = captured.names.clone();
        let live = live(captured);
        let mut slots = Slots::default();
        let inputs: Vec<Slot> = captured.inputs.iter().map(|input| slots.get_or_insert(*input)).collect();
        let read: Vec<TensorId> = live.iter().flat_map(|ir| ir.inputs().map(|tensor| tensor.id)).collect();
        let mut all = Vec::new();
        for ir in live {
            let mark = ir.outputs().next().and_then(|out| captured.entered.mark(out.id));
            let mut operators = attention::split(ir, &mut slots, device)?;
            if let (Some(mark), [operator]) = (mark, operators.as_mut_slice()) {
                operator.change_gradient(mark);
            }
            all.extend(operators);
        }
        let outputs: Vec<Slot> = captured.outputs.iter().map(|output| slots.get_or_insert(*output)).collect();

        let mut constants: Vec<Option<DispatchTensor>> = vec![None; slots.len()];
        let mut indices: HashMap<Slot, Vec<i64>> = HashMap::new();
        let computed: HashSet<Slot> =
            all.iter().flat_map(|operator| operator.outputs.clone()).chain(inputs.clone()).collect();
        for id in read.into_iter().chain(captured.outputs.iter().copied()) {
            let slot = slots.get_or_insert(id);
            if computed.contains(&slot) || constants[slot].is_some() {
                continue;
            }
            let own = names.get(&id).and_then(|name| weights.get(name)).cloned();
            let data = captured.values.get(&id);
            if let Some(data) = data.filter(|data| data.dtype().is_int() && data.num_elements() < 1 << 16) {
                indices.extend(
                    data.clone().convert::<i64>().try_into_vec::<i64>().ok().map(|data| (slot, data)),
                );
            }
            constants[slot] = own.or_else(|| data.map(|data| upload(data.clone(), device)));
        }

        let main = fold(all, &inputs, &mut constants, &mut names);
        let varying: HashSet<Slot> = main
            .iter()
            .flat_map(|operator| operator.outputs.iter().copied())
            .chain(inputs.iter().copied())
            .collect();
        if !outputs.iter().any(|output| varying.contains(output)) {
            return Err(Error::ConstantOutput);
        }
        let operators: Vec<Operator> = main
            .into_iter()
            .map(|mut operator| {
                let (inputs, constants) =
                    operator.inputs.iter().copied().partition(|slot| varying.contains(slot));
                (operator.inputs, operator.constants) = (inputs, constants);
                if let Some(fused) = &mut operator.fused {
                    fused.inputs.retain(|slot| varying.contains(slot));
                }
                operator
            })
            .collect();

        let mut producers = vec![None; constants.len()];
        let mut reads = vec![0; constants.len()];
        for (index, operator) in operators.iter().enumerate() {
            operator.outputs.iter().for_each(|slot| producers[*slot] = Some(index));
            operator.inputs.iter().for_each(|slot| reads[*slot] += 1);
        }
        outputs.iter().for_each(|slot| reads[*slot] += 1);
        // Constants without readers are dropped.
        let used: HashSet<Slot> = operators
            .iter()
            .flat_map(|operator| operator.constants.clone())
            .chain(outputs.iter().copied())
            .collect();
        for (_, constant) in constants.iter_mut().enumerate().filter(|(slot, _)| !used.contains(slot)) {
            *constant = None;
        }
        let mut graph = Self {
            operators,
            constants,
            reads,
            producers,
            inputs,
            outputs,
            layers: Vec::new(),
            biases: HashMap::new(),
            shows_biases: false,
            regions: Vec::new(),
            regions_of: Vec::new(),
        };
        graph.mark_specials();
        graph.biases = biases::find(&graph, |tensor| slots.get(tensor.id));
        graph.layers = graph.find_layers(captured, &names, &indices, &mut slots, modules);
        let parameters = Parameters { names: unchanged_parameters(captured), weights, prepared };
        let slot = |tensor: &TensorIr| slots.get(tensor.id);
        let use_kernels = cam_nn::computes_on(device);
        let regions = lower::regions(&graph, &parameters, use_kernels, slot);
        for operator in graph.operators.iter_mut().filter(|_| use_kernels) {
            operator.is_of_any_order = operator.constants.is_empty() && operator.is_arithmetic_of_images();
        }
        if use_kernels {
            graph.regions = lower::unread_tokens(&graph, &regions, slot);
            graph.regions.extend(lower::windowed_attention(&graph, &regions));
        }
        graph.regions.extend(regions);
        graph.regions_of = vec![Vec::new(); graph.operators.len()];
        for (number, region) in graph.regions.iter().enumerate() {
            region.operators.iter().for_each(|index| graph.regions_of[*index].push(number));
        }
        let layers = std::mem::take(&mut graph.layers);
        graph.set_layers(layers);
        Ok(graph)
    }

    /// Sets the layers.
    pub fn set_layers(&mut self, layers: Vec<Layer>) {
        fn hide(layer: &Layer, regions_of: &[Vec<usize>], regions: &mut [Region]) {
            for region in &regions_of[layer.operator] {
                if regions[*region].output != layer.value {
                    regions[*region].inside.push(layer.name.clone());
                }
            }
            layer.children.iter().for_each(|child| hide(child, regions_of, regions));
        }
        self.regions.iter_mut().for_each(|region| region.inside.clear());
        layers.iter().for_each(|layer| hide(layer, &self.regions_of, &mut self.regions));
        self.layers = layers;
        fn collect(layer: &Layer, all: &mut HashSet<usize>) {
            all.insert(layer.operator);
            layer.children.iter().for_each(|child| collect(child, all));
        }
        let mut shown = HashSet::new();
        self.layers.iter().for_each(|layer| collect(layer, &mut shown));
        // A value of one position, such as that of a classifier, is not a layer.
        let has_positions =
            |index: &usize| self.operators[*index].shape().iter().skip(2).any(|size| *size > 1);
        self.shows_biases = self.biases.keys().all(|index| shown.contains(index) || !has_positions(index));
    }

    /// Returns the layers of this graph of one image, given the graph of two images; none if the forward passes differ.
    ///
    /// Operators that only rearrange may be missing on either side, as Burn omits those that change nothing.
    pub fn layers_of_pair(&self, pair: &Graph) -> Vec<Layer> {
        let computing = |graph: &Graph| -> Vec<usize> {
            (0..graph.operators.len()).filter(|index| !graph.operators[*index].rearranges()).collect()
        };
        let (ours, theirs) = (computing(self), computing(pair));
        let kind = |graph: &Graph, index: &usize| operators::name(&graph.operators[*index].ir);
        if ours.len() != theirs.len() || ours.iter().zip(&theirs).any(|(a, b)| kind(self, a) != kind(pair, b))
        {
            return Vec::new();
        }
        // A reshaped value is the same value in another shape.
        let unshaped = |graph: &Graph, mut index: usize| {
            while let OperationIr::BaseFloat(Base::Reshape(_)) = graph.operators[index].ir {
                match graph.operators[index].inputs.first().and_then(|slot| graph.producers[*slot]) {
                    Some(before) => index = before,
                    None => break,
                }
            }
            index
        };
        let is_value = |index: usize, other: usize| {
            let (one, two) = (self.operators[index].shape(), pair.operators[other].shape());
            one.first() == Some(&1) && two.first() == Some(&2) && one[1..] == two[1..]
        };
        let find_here = |index: usize| {
            let known = theirs.partition_point(|other| *other <= index);
            // The operators behind the last one that computes, on both sides.
            let range = |computing: &[usize], count: usize| {
                let start = known.checked_sub(1).map_or(0, |last| computing[last]);
                start..computing.get(known).copied().unwrap_or(count)
            };
            let (ours_behind, theirs_behind) =
                (range(&ours, self.operators.len()), range(&theirs, pair.operators.len()));
            let made_of = unshaped(pair, index);
            if let Ok(computing) = theirs.binary_search(&made_of) {
                let is_same =
                    |other: &usize| unshaped(self, *other) == ours[computing] && is_value(*other, index);
                return (0..self.operators.len()).find(is_same);
            }
            let like = |graph: &Graph, range: std::ops::Range<usize>| -> Vec<usize> {
                range.filter(|other| graph.operators[*other].is_like(&pair.operators[index])).collect()
            };
            let (mine, yours) = (like(self, ours_behind), like(pair, theirs_behind));
            let nth = yours.iter().position(|other| *other == index).filter(|_| mine.len() == yours.len())?;
            Some(mine[nth]).filter(|mine| is_value(*mine, index))
        };
        fn transfer(
            layers: &[Layer],
            graph: &Graph,
            find_here: &impl Fn(usize) -> Option<usize>,
        ) -> Vec<Layer> {
            let moved = layers.iter().filter_map(|layer| {
                let operator = find_here(layer.operator)?;
                let value = graph.operators[operator].outputs[0];
                Some(Layer {
                    operator,
                    value,
                    children: transfer(&layer.children, graph, find_here),
                    ..layer.clone()
                })
            });
            moved.collect()
        }
        transfer(&pair.layers, self, &find_here)
    }

    fn find_layers<O>(
        &self,
        captured: &Captured<O>,
        names: &HashMap<TensorId, String>,
        indices: &HashMap<Slot, Vec<i64>>,
        slots: &mut Slots,
        modules: &Modules,
    ) -> Vec<Layer> {
        let shapes =
            captured.operators.iter().flat_map(|ir| ir.nodes().into_iter().cloned().collect::<Vec<_>>());
        let shapes: HashMap<TensorId, Vec<usize>> =
            shapes.map(|tensor| (tensor.id, tensor.shape.as_slice().to_vec())).collect();
        let Some(main) = captured.inputs.first().and_then(|input| shapes.get(input)) else {
            return Vec::new();
        };
        let space = main.len().saturating_sub(2);
        let mut known: HashMap<Slot, Vec<Axis>> = HashMap::from([(self.inputs[0], axes::input(main))]);
        for (slot, id) in self.inputs.iter().zip(&captured.inputs).skip(1) {
            known.extend(shapes.get(id).map(|shape| (*slot, axes::further_input(shape, main))));
        }
        // Noise does not depend on the input.
        let mut varying: HashSet<Slot> = self.inputs.iter().copied().collect();
        for operator in &self.operators {
            if operator.inputs.iter().any(|slot| varying.contains(slot)) {
                varying.extend(&operator.outputs);
            }
        }
        // What a layer shows is a part of the explained input, which it has to depend on.
        let mut of_main: HashSet<Slot> = self.inputs.iter().take(1).copied().collect();
        let mut nodes = Vec::new();
        for operator in &self.operators {
            if operator.inputs.iter().any(|slot| of_main.contains(slot)) {
                of_main.extend(&operator.outputs);
            }
            let operands: Vec<Operand<'_>> = operator
                .ir
                .inputs()
                .map(|tensor| {
                    let slot = slots.get_or_insert(tensor.id);
                    Operand {
                        axes: known.get(&slot).map(Vec::as_slice),
                        shape: tensor.shape.as_slice(),
                        constant: !varying.contains(&slot),
                        indices: indices.get(&slot).cloned(),
                    }
                })
                .collect();
            let Some(out) = operator.ir.outputs().next() else { continue };
            let found = match operator.special {
                Special::Weights => attention::axes(&operands),
                _ => axes::follow(&operator.ir, &operands, out.shape.as_slice()),
            };
            let layout: Option<Layout> = found
                .as_ref()
                .filter(|_| out.dtype.is_float())
                .and_then(|found| axes::layout(found, space))
                .filter(|layout| !matches!(layout, Layout::Attention(_)) || operator.gives_attention());
            if let Some(found) = found {
                known.insert(operator.outputs[0], found);
            }
            let params =
                operator.ir.inputs().filter_map(|tensor| names.get(&tensor.id).map(String::as_str)).collect();
            nodes.push(Node {
                operator: &operator.ir,
                params,
                path: captured.entered.path(attention::original(out.id)),
                is_weights: operator.special == Special::Weights,
                inputs: distinct(&operator.inputs),
                output: operator.outputs[0],
                layout,
            });
        }
        // Dropped when all have their names, so that a layer has one name whichever input is explained.
        depending_on(&of_main, layers::find(&nodes, modules))
    }

    fn mark_specials(&mut self) {
        let sigmoids: HashMap<Slot, Slot> = self
            .operators
            .iter()
            .filter(|operator| matches!(operator.ir, OperationIr::Activation(Activation::Sigmoid(_))))
            .filter_map(|operator| Some((operator.outputs[0], *operator.inputs.first()?)))
            .collect();
        for operator in &mut self.operators {
            let special = match &operator.ir {
                OperationIr::Activation(op) => match op {
                    Activation::Relu(_) => Special::Relu,
                    Activation::Gelu(_) => Special::Gelu,
                    Activation::LeakyRelu(_) => Special::Unguided("leaky ReLU"),
                    Activation::PRelu(_) => Special::Unguided("PReLU"),
                    Activation::HardSigmoid(_) => Special::Unguided("hard sigmoid"),
                    _ => continue,
                },
                OperationIr::Float(_, Float::Tanh(_)) => Special::Unguided("tanh"),
                OperationIr::Float(_, Float::Exp(_)) => Special::Unguided("exponential"),
                OperationIr::Float(_, Float::Log1p(_)) => Special::Unguided("logarithm"),
                OperationIr::NumericFloat(_, Numeric::Clamp(_)) => Special::Unguided("clamp"),
                OperationIr::Float(_, Float::Erf(_)) => Special::Unguided("GELU"),
                OperationIr::NumericFloat(_, Numeric::Mul(_)) => {
                    let gates = |slot: &Slot| sigmoids.get(slot).is_some_and(|x| operator.inputs.contains(x));
                    match operator.inputs.iter().any(gates) {
                        true => Special::Unguided("SiLU"),
                        false => continue,
                    }
                }
                _ => continue,
            };
            if operator.special == Special::None {
                operator.special = special;
            }
        }
    }
}

/// Returns the layers, and the layers inside them, whose values are among these.
fn depending_on(values: &HashSet<Slot>, layers: Vec<Layer>) -> Vec<Layer> {
    let kept = layers.into_iter().filter(|layer| values.contains(&layer.value));
    kept.map(|layer| Layer { children: depending_on(values, layer.children), ..layer }).collect()
}

impl Operator {
    pub fn new(ir: OperationIr, slots: &mut Slots, device: &Device) -> Result<Self, Error> {
        let kernel = Table { slots, device }.kernel(&ir);
        let kernel = kernel.ok_or_else(|| Error::UnknownOperator { operator: operators::name(&ir) })?;
        let inputs = ir.inputs().map(|tensor| slots.get_or_insert(tensor.id)).collect();
        let outputs = ir.outputs().map(|tensor| slots.get_or_insert(tensor.id)).collect();
        Ok(Self {
            ir,
            kernel,
            inputs,
            constants: Vec::new(),
            outputs,
            fused: None,
            special: Special::None,
            is_of_any_order: false,
        })
    }

    /// Changes the gradient of its output, which is computed from one input.
    fn change_gradient(&mut self, mark: Mark) {
        let ([x, ..], [out]) = (&self.inputs[..], &self.outputs[..]) else { return };
        let (x, out) = (*x, *out);
        let kernel = std::mem::replace(&mut self.kernel, Box::new(|_| {}));
        self.kernel = Box::new(move |values| {
            let before = values.peek(x);
            kernel(values);
            let Some(value) = values.take(out) else { return };
            let value = match mark {
                Mark::Detached => Dispatch::float_detach(value),
                // The value of the operator with the gradient of its input.
                Mark::StraightThrough => {
                    let change = Dispatch::float_sub(value, before.clone());
                    Dispatch::float_add(before, Dispatch::float_detach(change))
                }
            };
            values.write(out, value);
        });
    }

    /// Returns the shape of its first output.
    pub fn shape(&self) -> &[usize] {
        self.ir.outputs().next().map_or(&[], |out| out.shape.as_slice())
    }

    /// Reports whether its output is attention weights, rather than scores.
    fn gives_attention(&self) -> bool {
        match &self.ir {
            OperationIr::Activation(Activation::Softmax(op)) => op.axis + 1 == op.out.shape.num_dims(),
            _ => self.special == Special::Weights,
        }
    }

    /// Reports whether it equals another operator except for the batch size.
    fn is_like(&self, other: &Self) -> bool {
        let arguments = match (&self.ir, &other.ir) {
            (OperationIr::BaseFloat(Base::Permute(a)), OperationIr::BaseFloat(Base::Permute(b))) => {
                a.axes == b.axes
            }
            (OperationIr::BaseFloat(Base::SwapDims(a)), OperationIr::BaseFloat(Base::SwapDims(b))) => {
                (a.dim1, a.dim2) == (b.dim1, b.dim2)
            }
            _ => operators::name(&self.ir) == operators::name(&other.ir),
        };
        arguments && self.shape().get(1..) == other.shape().get(1..)
    }

    /// Reports whether it only rearranges values.
    fn rearranges(&self) -> bool {
        let OperationIr::BaseFloat(op) = &self.ir else { return false };
        matches!(
            op,
            Base::Reshape(_)
                | Base::Permute(_)
                | Base::SwapDims(_)
                | Base::Expand(_)
                | Base::RepeatDim(_)
                | Base::Slice(_)
        )
    }

    /// Reports whether it computes each element of an image from those at the same place, or from one of the whole channel.
    fn is_arithmetic_of_images(&self) -> bool {
        let is_image = |tensor: &TensorIr| tensor.shape.num_dims() == 4 && tensor.dtype.is_float();
        let is_arithmetic = matches!(
            self.ir,
            OperationIr::NumericFloat(
                _,
                Numeric::Add(_)
                    | Numeric::Sub(_)
                    | Numeric::Mul(_)
                    | Numeric::Div(_)
                    | Numeric::AddScalar(_)
                    | Numeric::SubScalar(_)
                    | Numeric::MulScalar(_)
                    | Numeric::DivScalar(_)
                    | Numeric::Clamp(_)
                    | Numeric::ClampMin(_)
                    | Numeric::ClampMax(_)
            )
        );
        is_arithmetic && self.ir.inputs().all(is_image) && self.ir.outputs().all(is_image)
    }

    /// Reports whether its output is random.
    fn is_random(&self) -> bool {
        matches!(
            self.ir,
            OperationIr::Float(_, Float::Random(_)) | OperationIr::NumericInt(_, Numeric::IntRandom(_))
        )
    }
}

fn distinct(slots: &[Slot]) -> Vec<Slot> {
    let mut seen = HashSet::new();
    slots.iter().copied().filter(|slot| seen.insert(*slot)).collect()
}

/// Returns the names of parameters that are read unchanged or reshaped, by the tensors that hold their values in the same order.
fn unchanged_parameters<O>(captured: &Captured<O>) -> HashMap<TensorId, String> {
    let mut names = captured.names.clone();
    for ir in &captured.operators {
        if let OperationIr::BaseFloat(Base::Reshape(op)) = ir
            && let Some(name) = names.get(&op.input.id).cloned()
        {
            names.insert(op.out.id, name);
        }
    }
    names
}

/// Returns the operators on which the outputs depend.
fn live<O>(captured: &Captured<O>) -> Vec<OperationIr> {
    let mut needed: HashSet<TensorId> = captured.outputs.iter().copied().collect();
    let mut live = Vec::new();
    for ir in captured.operators.iter().rev() {
        // Hollow weights and inputs are made by operators that are not part of the graph.
        let is_hollow = |id: TensorId| captured.names.contains_key(&id) || captured.inputs.contains(&id);
        let is_placeholder = matches!(ir, OperationIr::Init(_) | OperationIr::Drop(_))
            || matches!(
                ir,
                OperationIr::BaseFloat(Base::Empty(_))
                    | OperationIr::BaseInt(Base::Empty(_))
                    | OperationIr::BaseBool(Base::Empty(_))
            ) && ir.outputs().all(|tensor| is_hollow(tensor.id));
        if !is_placeholder && ir.outputs().any(|tensor| needed.contains(&tensor.id)) {
            needed.extend(ir.inputs().map(|tensor| tensor.id));
            live.push(ir.clone());
        }
    }
    live.reverse();
    live
}

fn upload(data: TensorData, device: &Device) -> DispatchTensor {
    let dtype = data.dtype();
    let device = device.as_dispatch();
    if dtype.is_float() {
        Dispatch::float_from_data(data, device)
    } else if dtype.is_bool() {
        Dispatch::bool_from_data(data, device)
    } else {
        Dispatch::int_from_data(data, device)
    }
}

/// Computes operators that do not depend on an input. Returns the others.
fn fold(
    all: Vec<Operator>,
    inputs: &[Slot],
    constants: &mut [Option<DispatchTensor>],
    names: &mut HashMap<TensorId, String>,
) -> Vec<Operator> {
    let mut varying: HashSet<Slot> = inputs.iter().copied().collect();
    let mut main = Vec::new();
    for operator in all {
        if operator.is_random() || operator.inputs.iter().any(|slot| varying.contains(slot)) {
            varying.extend(&operator.outputs);
            main.push(operator);
            continue;
        }
        // A constant that is computed from one weight keeps its name.
        let named: BTreeMap<String, ()> = operator
            .ir
            .inputs()
            .filter_map(|tensor| names.get(&tensor.id).cloned())
            .map(|name| (name, ()))
            .collect();
        // A value looked up in a table is not a weight of its reader.
        let looks_up = matches!(
            operator.ir,
            OperationIr::Module(Module::Embedding(_))
                | OperationIr::BaseFloat(Base::Select(_) | Base::Gather(_) | Base::GatherNd(_))
        );
        if let (1, Some((name, ())), false) = (named.len(), named.into_iter().next(), looks_up) {
            names.extend(operator.ir.outputs().map(|tensor| (tensor.id, name.clone())));
        }
        let mut values = Values::new(constants, &[]);
        (operator.kernel)(&mut values);
        let found: Vec<_> = operator.outputs.iter().map(|slot| (*slot, values.take(*slot))).collect();
        for (slot, value) in found {
            constants[slot] = value;
        }
    }
    main
}
