//! A graph lowered to the kernels of the CPU: operators that belong together are computed together, by [`cam_nn`].
//!
//! | what | becomes |
//! |---|---|
//! | convolution, BatchNorm, sum with a shortcut, ReLU | one convolution, whose parameters the norm is folded into |
//! | reshape, product with a matrix, bias, reshape, GELU or sum | one linear layer |
//! | LayerNorm, max pooling, attention | the kernels of these |
//! | what the last block of a transformer makes of tokens that the classifier does not read | nothing |
//!
//! A [`Region`] is computed as a whole where nobody looks inside it. Where somebody does, its operators are computed one by one.

use crate::graph::{Graph, Special};
use crate::values::Slot;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, Conv2dOpIr, FloatOperationIr as Float,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, SliceOpIr, TensorId, TensorIr,
};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, Slice, TensorMetadata};
use burn::tensor::{DType, Tensor};
use cam_nn::{Activation as Then, FusedAttention, FusedConv, FusedLinear, FusedNorm, Window};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Operators that are computed together.
pub(crate) struct Region {
    /// In their order; the last one gives the output.
    pub operators: Vec<usize>,
    pub output: Slot,
    /// What it reads from outside, each as often as its operators do.
    pub inputs: Vec<Slot>,
    pub kernel: Kernel,
    pub role: Role,
    /// The layers inside, whose values it does not show.
    pub inside: Vec<String>,
    /// Whether taps do something at one of its operators beside showing layers.
    pub is_special: bool,
}

/// Computes the output from the inputs, or gives them back where it cannot.
pub(crate) type Kernel =
    Arc<dyn Fn(Vec<DispatchTensor>) -> Result<DispatchTensor, Vec<DispatchTensor>> + Send + Sync>;

/// What a region computes, where that matters for what is around it.
pub(crate) enum Role {
    /// A linear layer of tokens: of each by itself.
    Linear {
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        is_plain: bool,
    },
    /// The norm of each token.
    Norm,
    /// Attention of all tokens, whose queries, keys and values lie side by side, in so many heads.
    Attention {
        heads: usize,
    },
    Other,
}

/// Convolutions with their norms folded into them, by the names of their parameters: recordings of all shapes share them.
#[derive(Default)]
pub(crate) struct Folded(Mutex<HashMap<String, (Tensor<4>, Tensor<1>)>>);

impl Folded {
    fn get(
        &self,
        name: Option<String>,
        fold: impl FnOnce() -> (Tensor<4>, Tensor<1>),
    ) -> (Tensor<4>, Tensor<1>) {
        let Some(name) = name else { return fold() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert_with(fold).clone()
    }
}

/// What lowering looks parameters up in.
pub(crate) struct Parameters<'a> {
    /// The parameters that tensors hold as they are, by their paths.
    pub names: HashMap<TensorId, String>,
    /// The tensors of the module, as they lie in memory.
    pub weights: &'a HashMap<String, DispatchTensor>,
    pub folded: &'a Folded,
}

/// The regions of a graph that is computed in main memory.
pub(crate) fn regions(
    graph: &Graph,
    parameters: &Parameters<'_>,
    slot: impl Fn(&TensorIr) -> Slot,
) -> Vec<Region> {
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (place, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(place));
    }
    let mut lowering = Lowering { graph, parameters, readers, taken: HashSet::new(), slot: &slot };
    let mut regions = Vec::new();
    for place in 0..graph.operators.len() {
        let found = lowering
            .convolution(place)
            .or_else(|| lowering.linear(place))
            .or_else(|| lowering.attention(place))
            .or_else(|| lowering.alone(place));
        if let Some(region) = found {
            lowering.taken.extend(&region.operators);
            regions.push(region);
        }
    }
    regions
}

/// The ends of transformers whose output reads a few tokens only: what becomes of the others there is computed where somebody looks.
///
/// What is read is cut out early instead of late. It goes back from the slice over what is done to each token by itself, to an attention
/// of whose queries only some are needed.
pub(crate) fn ends(graph: &Graph, regions: &[Region], slot: impl Fn(&TensorIr) -> Slot) -> Vec<Region> {
    let region_of: HashMap<Slot, &Region> = regions.iter().map(|region| (region.output, region)).collect();
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (place, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(place));
    }
    let search = Ends { graph, region_of, readers, slot: &slot };
    (0..graph.operators.len()).filter_map(|place| search.end(place)).collect()
}

struct Ends<'a> {
    graph: &'a Graph,
    /// The region that gives a slot.
    region_of: HashMap<Slot, &'a Region>,
    readers: HashMap<Slot, Vec<usize>>,
    slot: &'a dyn Fn(&TensorIr) -> Slot,
}

/// One step of an end, on the tokens that are needed.
enum Step {
    Region(Kernel, Vec<Slot>),
    Sum(Slot, Slot),
    /// Each token times or plus the same numbers.
    Scale(Slot, DispatchTensor),
    Shift(Slot, DispatchTensor),
    /// The needed ones of all tokens.
    Cut(Slot),
    /// The attention of the needed tokens to all.
    Attention {
        x: Slot,
        heads: usize,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
    },
}

impl Ends<'_> {
    fn end(&self, place: usize) -> Option<Region> {
        let OperationIr::BaseFloat(Base::Slice(op)) = &self.graph.operators[place].ir else { return None };
        let &[batch, tokens, width] = op.tensor.shape.as_slice() else { return None };
        let &[_, count, _] = op.out.shape.as_slice() else { return None };
        let is_first =
            op.ranges.first_chunk::<2>().is_some_and(|[_, range]| range.start == 0 && range.step == 1);
        if !is_first || count >= tokens || op.out.shape.as_slice() != [batch, count, width] {
            return None;
        }
        let start = (self.slot)(&op.tensor);
        let mut operators: HashSet<usize> = HashSet::from([place]);
        let mut steps: Vec<(usize, Slot, Step)> = Vec::new();
        let (mut open, mut seen, mut whole) = (vec![start], HashSet::new(), Vec::new());
        let mut has_attention = false;
        // What finishes last is looked at first, so that all readers of a value are known when its turn comes.
        while let Some(at) = open.iter().max_by_key(|slot| self.graph.producers[**slot]).copied() {
            open.retain(|slot| *slot != at);
            if !seen.insert(at) {
                continue;
            }
            let is_own = |operators: &HashSet<usize>| {
                self.readers.get(&at).is_some_and(|readers| {
                    readers.len() == self.graph.reads[at] as usize
                        && readers.iter().all(|reader| operators.contains(reader))
                })
            };
            let found = self.graph.producers[at]
                .filter(|_| is_own(&operators))
                .and_then(|place| self.step(at, place));
            match found {
                Some((own, step)) => {
                    operators.extend(own);
                    match &step {
                        Step::Region(_, inputs) => open.extend(inputs),
                        Step::Sum(a, b) => open.extend([*a, *b]),
                        Step::Scale(x, _) | Step::Shift(x, _) => open.push(*x),
                        Step::Attention { x, .. } => {
                            has_attention = true;
                            whole.push(*x);
                        }
                        Step::Cut(_) => {}
                    }
                    steps.push((self.graph.producers[at]?, at, step));
                }
                None => {
                    whole.push(at);
                    steps.push((0, at, Step::Cut(at)));
                }
            }
        }
        if !has_attention {
            return None;
        }
        // A whole value is read by the operators here as often as they do.
        whole.sort_unstable();
        whole.dedup();
        let reads = |slot: &Slot| {
            let own = self
                .readers
                .get(slot)
                .map_or(0, |readers| readers.iter().filter(|reader| operators.contains(reader)).count());
            vec![*slot; own]
        };
        let inputs: Vec<Slot> = whole.iter().flat_map(reads).collect();
        steps.sort_by_key(|(place, ..)| *place);
        let names = inputs.clone();
        let kernel: Kernel = Arc::new(move |inputs| {
            let whole: HashMap<Slot, DispatchTensor> =
                names.iter().copied().zip(inputs.iter().cloned()).collect();
            some_tokens(&steps, &whole, start, count).ok_or(inputs)
        });
        let mut operators: Vec<usize> = operators.into_iter().collect();
        operators.sort_unstable();
        let is_special = operators.iter().any(|place| self.graph.operators[*place].special != Special::None);
        let output = self.graph.operators[place].outputs[0];
        Some(Region { operators, output, inputs, kernel, role: Role::Other, inside: Vec::new(), is_special })
    }

    /// How a value is computed for some of the tokens, and by which operators.
    fn step(&self, at: Slot, place: usize) -> Option<(Vec<usize>, Step)> {
        if let Some(region) = self.region_of.get(&at) {
            return match &region.role {
                Role::Linear { .. } | Role::Norm => {
                    let of_tokens = self.graph.operators[place].shape().len() == 3;
                    let step = Step::Region(region.kernel.clone(), region.inputs.clone());
                    of_tokens.then(|| (region.operators.clone(), step))
                }
                Role::Attention { heads } => {
                    let row = self.region_of.get(&region.inputs[0])?;
                    let Role::Linear { weight, bias, is_plain: true } = &row.role else { return None };
                    if self.graph.reads[row.output] as usize != region.inputs.len() {
                        return None;
                    }
                    let step = Step::Attention {
                        x: row.inputs[0],
                        heads: *heads,
                        weight: weight.clone(),
                        bias: bias.clone(),
                    };
                    Some(([&region.operators[..], &row.operators].concat(), step))
                }
                Role::Other => None,
            };
        }
        let operator = &self.graph.operators[place];
        let OperationIr::NumericFloat(_, op @ (Numeric::Add(pair) | Numeric::Mul(pair))) = &operator.ir
        else {
            return None;
        };
        let shape = operator.shape();
        let is_sum = matches!(op, Numeric::Add(_));
        let [lhs, rhs] = [&pair.lhs, &pair.rhs].map(|side| ((self.slot)(side), side.shape.as_slice()));
        let constant = |slot: Slot| self.graph.constants[slot].clone();
        let step = match (constant(lhs.0), constant(rhs.0)) {
            (None, None) if is_sum && lhs.1 == shape && rhs.1 == shape => Step::Sum(lhs.0, rhs.0),
            (None, Some(numbers)) | (Some(numbers), None) => {
                let x = if self.graph.constants[lhs.0].is_none() { lhs } else { rhs };
                let form = numbers.shape();
                let is_same_for_all = form.as_slice().iter().rev().nth(1).is_none_or(|tokens| *tokens == 1);
                if !is_same_for_all || x.1 != shape || shape.len() != 3 {
                    return None;
                }
                if is_sum { Step::Shift(x.0, numbers) } else { Step::Scale(x.0, numbers) }
            }
            _ => return None,
        };
        Some((vec![place], step))
    }
}

/// The first tokens of a value, by steps; `None` where a kernel cannot take them.
fn some_tokens(
    steps: &[(usize, Slot, Step)],
    whole: &HashMap<Slot, DispatchTensor>,
    end: Slot,
    count: usize,
) -> Option<DispatchTensor> {
    let tensor = |tensor: &DispatchTensor| Tensor::<3>::from_dispatch(tensor.clone());
    let mut values: HashMap<Slot, DispatchTensor> = HashMap::new();
    for (_, at, step) in steps {
        let value = match step {
            Step::Cut(slot) => tensor(whole.get(slot)?).narrow(1, 0, count).into_dispatch(),
            Step::Region(kernel, inputs) => {
                let inputs = inputs.iter().map(|slot| values.get(slot).cloned()).collect::<Option<_>>()?;
                kernel(inputs).ok()?
            }
            Step::Sum(a, b) => (tensor(values.get(a)?) + tensor(values.get(b)?)).into_dispatch(),
            Step::Scale(x, numbers) => Dispatch::float_mul(values.get(x)?.clone(), numbers.clone()),
            Step::Shift(x, numbers) => Dispatch::float_add(values.get(x)?.clone(), numbers.clone()),
            Step::Attention { x, heads, weight, bias } => {
                cam_nn::attention_of_first(tensor(whole.get(x)?), count, *heads, weight, bias.as_ref())
                    .into_dispatch()
            }
        };
        values.insert(*at, value);
    }
    values.remove(&end)
}

struct Lowering<'a> {
    graph: &'a Graph,
    parameters: &'a Parameters<'a>,
    /// The operators that read a slot.
    readers: HashMap<Slot, Vec<usize>>,
    /// The operators of the regions that are found.
    taken: HashSet<usize>,
    slot: &'a dyn Fn(&TensorIr) -> Slot,
}

/// Operators that follow each other, each the only reader of the one before.
struct Chain<'a> {
    lowering: &'a Lowering<'a>,
    operators: Vec<usize>,
    /// What the last one gives.
    end: Slot,
    shape: Vec<usize>,
}

impl<'a> Chain<'a> {
    fn new(lowering: &'a Lowering<'a>, place: usize) -> Self {
        let operator = &lowering.graph.operators[place];
        Self { lowering, operators: vec![place], end: operator.outputs[0], shape: operator.shape().to_vec() }
    }

    /// The operator that alone reads the end, if it is as `fits` says: with what `fits` returns it joins the chain.
    fn then<T>(&mut self, fits: impl FnOnce(&OperationIr, &[usize]) -> Option<T>) -> Option<T> {
        let lowering = self.lowering;
        let [next] = lowering.readers.get(&self.end)?.as_slice() else { return None };
        let operator = &lowering.graph.operators[*next];
        if lowering.graph.reads[self.end] != 1 || lowering.taken.contains(next) || operator.fused.is_some() {
            return None;
        }
        let found = fits(&operator.ir, &self.shape)?;
        self.operators.push(*next);
        self.end = operator.outputs[0];
        self.shape = operator.shape().to_vec();
        Some(found)
    }

    /// The other summand, where the next operator adds a value of the same shape.
    fn then_sum(&mut self) -> Option<Slot> {
        let (lowering, end) = (self.lowering, self.end);
        self.then(|operator, shape| {
            let OperationIr::NumericFloat(_, Numeric::Add(op)) = operator else { return None };
            let [lhs, rhs] = [&op.lhs, &op.rhs].map(|side| (lowering.slot)(side));
            let (other, other_ir) = if lhs == end { (rhs, &op.rhs) } else { (lhs, &op.lhs) };
            let fits = other != end && lowering.varies(other) && other_ir.shape.as_slice() == shape;
            fits.then_some(other)
        })
    }

    fn region(self, inputs: impl IntoIterator<Item = Slot>, role: Role, kernel: Kernel) -> Region {
        let mut operators = self.operators;
        operators.sort_unstable();
        let is_special =
            operators.iter().any(|place| self.lowering.graph.operators[*place].special != Special::None);
        Region {
            operators,
            output: self.end,
            inputs: inputs.into_iter().collect(),
            kernel,
            role,
            inside: Vec::new(),
            is_special,
        }
    }
}

impl Lowering<'_> {
    fn varies(&self, slot: Slot) -> bool {
        self.graph.constants[slot].is_none()
    }

    /// A constant of single precision.
    fn constant(&self, tensor: &TensorIr) -> Option<DispatchTensor> {
        self.graph.constants[(self.slot)(tensor)].clone().filter(|constant| constant.dtype() == DType::F32)
    }

    fn vector(&self, tensor: &TensorIr) -> Option<Tensor<1>> {
        let constant = self.constant(tensor)?;
        (constant.shape().num_dims() == 1).then(|| Tensor::from_dispatch(constant))
    }

    /// A constant of so many rows and columns, whatever axes of length 1 are before; the parameter itself where it is one, in the order
    /// in which it lies in memory.
    fn matrix(&self, tensor: &TensorIr, [rows, columns]: [usize; 2]) -> Option<Tensor<2>> {
        let constant = self.constant(tensor)?;
        let own = self.parameters.names.get(&tensor.id).and_then(|name| self.parameters.weights.get(name));
        let own = own.filter(|own| own.dtype() == DType::F32 && own.shape().as_slice() == [rows, columns]);
        match own {
            Some(own) => Some(Tensor::from_dispatch(own.clone())),
            None => Some(Tensor::from_dispatch(flattened(constant, vec![rows, columns]))),
        }
    }

    fn convolution(&self, place: usize) -> Option<Region> {
        let OperationIr::Module(Module::Conv2d(op)) = &self.graph.operators[place].ir else { return None };
        let x = (self.slot)(&op.x);
        let window = window(op)?;
        let weight = Tensor::<4>::from_dispatch(self.constant(&op.weight)?);
        let bias = match &op.bias {
            Some(bias) => Some(self.vector(bias)?),
            None => None,
        };
        if !self.varies(x) || op.out.dtype != DType::F32 {
            return None;
        }
        let mut chain = Chain::new(self, place);
        let norm = chain.then(|operator, _| {
            let OperationIr::Module(Module::BatchNorm(norm)) = operator else { return None };
            let parameters = [&norm.gamma, &norm.beta, &norm.mean, &norm.variance];
            let [gamma, beta, mean, variance] = parameters.map(|parameter| self.vector(parameter));
            let ids = parameters.map(|parameter| parameter.id);
            Some((ids, [gamma?, beta?, mean?, variance?], norm.epsilon.elem::<f64>()))
        });
        let (weight, bias) = match norm {
            None => (weight, bias),
            Some((ids, [gamma, beta, mean, variance], epsilon)) => {
                let ids = ids.into_iter().chain([op.weight.id]).chain(op.bias.as_ref().map(|bias| bias.id));
                let names = ids.map(|id| self.parameters.names.get(&id).cloned()).collect::<Option<Vec<_>>>();
                let name = names.map(|names| names.join(" "));
                let (weight, bias) = self.parameters.folded.get(name, || {
                    let scale = gamma / (variance + epsilon).sqrt();
                    let off = bias.map_or_else(|| -mean.clone(), |bias| bias - mean.clone());
                    (weight * scale.clone().reshape([-1, 1, 1, 1]), off * scale + beta)
                });
                (weight, Some(bias))
            }
        };
        let residual = chain.then_sum();
        let relu = chain.then(|operator, _| {
            matches!(operator, OperationIr::Activation(Activation::Relu(_))).then_some(())
        });
        let conv = FusedConv::new(weight, bias, window, op.options.groups)?;
        let then = if relu.is_some() { Then::Relu } else { Then::None };
        let kernel: Kernel = Arc::new(move |inputs| {
            let mut inputs = inputs.into_iter().map(Tensor::<4>::from_dispatch);
            let x = inputs.next().expect("a convolution has an input");
            Ok(conv.forward(x, inputs.next(), then).into_dispatch())
        });
        Some(chain.region([Some(x), residual].into_iter().flatten(), Role::Other, kernel))
    }

    fn linear(&self, place: usize) -> Option<Region> {
        let (x, weight, bias, out) = match &self.graph.operators[place].ir {
            OperationIr::Float(_, Float::Matmul(op)) => (&op.lhs, &op.rhs, None, &op.out),
            OperationIr::Module(Module::Linear(op)) => (&op.x, &op.weight, op.bias.as_ref(), &op.out),
            _ => return None,
        };
        let (from, to) = (*x.shape.as_slice().last()?, *out.shape.as_slice().last()?);
        let is_matrix = weight.shape.num_elements() == from * to;
        if !is_matrix || out.dtype != DType::F32 || !self.varies((self.slot)(x)) {
            return None;
        }
        let matrix = self.matrix(weight, [from, to])?;
        let mut bias = match bias {
            Some(bias) => Some(self.vector(bias)?),
            None => None,
        };
        let mut chain = Chain::new(self, place);
        // What only makes rows of it is part of the layer.
        let mut input = (self.slot)(x);
        let before = self.graph.producers[input].filter(|before| !self.taken.contains(before));
        if let Some(before) = before.filter(|_| self.graph.reads[input] == 1)
            && let OperationIr::BaseFloat(Base::Reshape(op)) = &self.graph.operators[before].ir
            && op.input.shape.as_slice().last() == Some(&from)
        {
            chain.operators.push(before);
            input = (self.slot)(&op.input);
        }
        if bias.is_none() {
            bias = chain.then(|operator, shape| {
                let OperationIr::NumericFloat(_, Numeric::Add(op)) = operator else { return None };
                let is_bias =
                    |side: &&TensorIr| !self.varies((self.slot)(side)) && side.shape.num_elements() == to;
                let side = [&op.rhs, &op.lhs].into_iter().find(is_bias)?;
                let along = side.shape.as_slice().last() == Some(&to) && op.out.shape.as_slice() == shape;
                along
                    .then(|| self.constant(side))
                    .flatten()
                    .map(|bias| Tensor::from_dispatch(flattened(bias, vec![to])))
            });
        }
        chain.then(|operator, _| {
            let OperationIr::BaseFloat(Base::Reshape(op)) = operator else { return None };
            (op.out.shape.as_slice().last() == Some(&to)).then_some(())
        });
        let gelu = chain
            .then(|operator, _| {
                matches!(operator, OperationIr::Activation(Activation::Gelu(_))).then_some(())
            })
            .is_some();
        let residual = if gelu { None } else { chain.then_sum() };
        let layer = FusedLinear::new(matrix.clone(), bias.clone())?;
        let (then, shape) = (if gelu { Then::Gelu } else { Then::None }, chain.shape.clone());
        let kernel: Kernel = Arc::new(move |inputs| {
            let shapes: Vec<Vec<usize>> =
                inputs.iter().map(|input| input.shape().as_slice().to_vec()).collect();
            // Some of the tokens may be left out.
            let rows = shapes[0].iter().product::<usize>() / from;
            let out = match shapes[0].len() == shape.len() {
                true => [&shapes[0][..shape.len() - 1], &[to]].concat(),
                false => shape.clone(),
            };
            let mut inputs = inputs.into_iter();
            let x = inputs.next().expect("a linear layer has an input");
            let x = Tensor::<2>::from_dispatch(flattened(x, vec![rows, from]));
            let residual =
                inputs.next().map(|residual| Tensor::<2>::from_dispatch(flattened(residual, vec![rows, to])));
            match layer.forward(x, residual, then) {
                Ok(y) => Ok(flattened(y.into_dispatch(), out)),
                Err((x, residual)) => {
                    let back = [Some(x), residual].into_iter().flatten().zip(&shapes);
                    Err(back
                        .map(|(tensor, shape)| flattened(tensor.into_dispatch(), shape.clone()))
                        .collect())
                }
            }
        });
        let role = Role::Linear { weight: matrix, bias, is_plain: !gelu && residual.is_none() };
        Some(chain.region([Some(input), residual].into_iter().flatten(), role, kernel))
    }

    /// Attention of all tokens to all, whose matrix nobody looks at.
    fn attention(&self, place: usize) -> Option<Region> {
        let Attention { inputs, shape: [batch, heads, tokens, size], operators, windows, bias } =
            self.fused_attention(place).or_else(|| self.written_attention(place))?;
        if !inputs.iter().all(|slot| self.varies(*slot)) {
            return None;
        }
        let is_whole = windows == 1 && bias.is_none();
        let fused = FusedAttention { heads, windows, bias };
        let by_windows = [batch / windows, windows * tokens];
        let mut chain = Chain::new(self, place);
        chain.operators.extend(&operators);
        // Queries, keys and values that one layer gave side by side are read where they are.
        let parts = [0, 1, 2].map(|part| self.part(inputs[part], part, heads * size));
        if let [Some((row, first)), Some((row_of_keys, second)), Some((row_of_values, third))] = &parts
            && row == row_of_keys
            && row == row_of_values
            && chain.then(|operator, _| is_exchange(operator)).is_some()
            && chain
                .then(|operator, _| {
                    let OperationIr::BaseFloat(Base::Reshape(op)) = operator else { return None };
                    (op.out.shape.as_slice() == [batch, tokens, heads * size]).then_some(())
                })
                .is_some()
        {
            let all: HashSet<usize> = [first, second, third].into_iter().flatten().copied().collect();
            let reads = all.iter().filter(|place| self.graph.operators[**place].inputs[0] == *row).count();
            chain.operators.extend(all);
            let kernel: Kernel = Arc::new(move |inputs| {
                let [images, of_image] = by_windows;
                let qkv = flattened(inputs[0].clone(), vec![images, of_image, 3 * heads * size]);
                let y = fused.forward(Tensor::from_dispatch(qkv)).map_err(|_| inputs)?;
                Ok(flattened(y.into_dispatch(), vec![batch, tokens, heads * size]))
            });
            let role = if is_whole { Role::Attention { heads } } else { Role::Other };
            return Some(chain.region(vec![*row; reads], role, kernel));
        }
        let mut chain = Chain::new(self, place);
        chain.operators.extend(operators);
        let kernel: Kernel = Arc::new(move |inputs| {
            let rows = |x: &DispatchTensor| {
                let [images, of_image] = by_windows;
                Tensor::<4>::from_dispatch(x.clone()).swap_dims(1, 2).reshape([
                    images,
                    of_image,
                    heads * size,
                ])
            };
            let qkv = Tensor::<3>::cat(inputs.iter().map(rows).collect(), 2);
            let y = fused.forward(qkv).map_err(|_| inputs)?;
            Ok(y.reshape([batch, tokens, heads, size]).swap_dims(1, 2).into_dispatch())
        });
        Some(chain.region(inputs, Role::Other, kernel))
    }

    /// Burn's attention, split as it is in a graph.
    fn fused_attention(&self, place: usize) -> Option<Attention> {
        let op = &self.graph.operators[place].fused.as_ref()?.attention;
        let shape: [usize; 4] = op.query.shape.as_slice().try_into().ok()?;
        let is_plain = op.mask.is_none()
            && op.attn_bias.is_none()
            && op.options.softcap.is_none()
            && !op.options.is_causal
            && op.options.scale.is_none_or(|scale| is_usual(scale.elem(), shape[3]));
        let of_one_form = op.key.shape.as_slice() == shape && op.value.shape.as_slice() == shape;
        let weights = self.graph.producers[self.graph.operators[place].inputs[0]]?;
        (is_plain && of_one_form && op.out.dtype == DType::F32).then(|| Attention {
            inputs: [&op.query, &op.key, &op.value].map(|tensor| (self.slot)(tensor)),
            shape,
            operators: vec![weights],
            windows: 1,
            bias: None,
        })
    }

    /// Attention as it is written by hand: `softmax(q * scale @ k.transpose() + bias) @ v`, the scale at the queries or at the product,
    /// the bias a constant of heads or windows.
    fn written_attention(&self, place: usize) -> Option<Attention> {
        let OperationIr::Float(_, Float::Matmul(taken)) = &self.graph.operators[place].ir else {
            return None;
        };
        let shape: [usize; 4] = taken.out.shape.as_slice().try_into().ok()?;
        let [batch, heads, tokens, size] = shape;
        let mut back = Backwards { lowering: self, operators: Vec::new() };
        let weights = back.before(&taken.lhs)?;
        let OperationIr::Activation(Activation::Softmax(softmax)) =
            back.over_windows(weights, [heads, tokens])?
        else {
            return None;
        };
        if softmax.axis + 1 != softmax.out.shape.num_dims() {
            return None;
        }
        let mut scores = back.before(&softmax.input)?;
        let mut biases = Vec::new();
        while let OperationIr::NumericFloat(_, Numeric::Add(op)) = scores {
            let (x, bias) = match self.constant(&op.rhs) {
                Some(bias) => (&op.lhs, bias),
                None => (&op.rhs, self.constant(&op.lhs)?),
            };
            biases.push(bias);
            scores = back.before(x)?;
        }
        scores = back.over_windows(scores, [heads, tokens])?;
        let mut scale = 1.0;
        if let Some((input, factor)) = scaled(scores) {
            scale *= factor;
            scores = back.before(input)?;
        }
        let OperationIr::Float(_, Float::Matmul(fits)) = scores else { return None };
        let keys = match back.before(&fits.rhs)? {
            OperationIr::BaseFloat(Base::SwapDims(op))
                if op.dim1.min(op.dim2) == 2 && op.dim1.max(op.dim2) == 3 =>
            {
                &op.input
            }
            OperationIr::BaseFloat(Base::Permute(op)) if op.axes == [0, 1, 3, 2] => &op.input,
            _ => return None,
        };
        let asked = self.graph.producers[(self.slot)(&fits.lhs)];
        let queries = match asked.and_then(|place| scaled(&self.graph.operators[place].ir)) {
            Some((input, factor)) => {
                back.before(&fits.lhs)?;
                scale *= factor;
                input
            }
            None => &fits.lhs,
        };
        let forms = [queries, keys, &taken.rhs].iter().all(|tensor| tensor.shape.as_slice() == shape);
        if !is_usual(scale, size) || !forms || taken.out.dtype != DType::F32 {
            return None;
        }
        let (windows, bias) = window_bias(biases, [batch, heads, tokens])?;
        let inputs = [queries, keys, &taken.rhs].map(|tensor| (self.slot)(tensor));
        Some(Attention { inputs, shape, operators: back.operators, windows, bias })
    }

    /// The value `[batch, tokens, 3 * width]` whose first, second or third part `[batch, heads, tokens, size]` is, and the operators
    /// that cut it out.
    fn part(&self, slot: Slot, part: usize, width: usize) -> Option<(Slot, Vec<usize>)> {
        let (mut at, mut operators, mut is_cut) = (slot, Vec::new(), false);
        loop {
            let place = self.graph.producers[at].filter(|place| !self.taken.contains(place))?;
            let operator = &self.graph.operators[place];
            // What is cut is read by three, everything else by one.
            let is_slice = matches!(operator.ir, OperationIr::BaseFloat(Base::Slice(_)));
            if self.graph.reads[at] != if is_cut { 3 } else { 1 } {
                return None;
            }
            match &operator.ir {
                operator if operators.is_empty() => is_exchange(operator)?,
                OperationIr::BaseFloat(Base::Reshape(_)) => {}
                OperationIr::BaseFloat(Base::Slice(op)) if !is_cut && is_part(op, part, width) => {}
                _ => return None,
            }
            is_cut |= is_slice;
            operators.push(place);
            at = operator.inputs[0];
            let input = operator.ir.inputs().next()?.shape.as_slice();
            if is_cut && input.len() == 3 && input[2] == 3 * width {
                return Some((at, operators));
            }
        }
    }

    /// Operators that have a kernel of their own.
    fn alone(&self, place: usize) -> Option<Region> {
        let operator = &self.graph.operators[place];
        let (x, kernel): (Slot, Kernel) = match &operator.ir {
            OperationIr::Module(Module::LayerNorm(op)) if op.out.dtype == DType::F32 => {
                let beta = op.beta.as_ref()?;
                let norm = FusedNorm::new(self.vector(&op.gamma)?, self.vector(beta)?, op.epsilon.elem())?;
                let kernel: Kernel = match op.out.shape.num_dims() {
                    2 => by_rank::<2>(move |x| norm.forward(x)),
                    3 => by_rank::<3>(move |x| norm.forward(x)),
                    4 => by_rank::<4>(move |x| norm.forward(x)),
                    _ => return None,
                };
                ((self.slot)(&op.input), kernel)
            }
            OperationIr::Module(Module::MaxPool2d(op)) if op.out.dtype == DType::F32 && !op.ceil_mode => {
                let window = Window { stride: op.stride, padding: op.padding, dilation: op.dilation };
                let size = op.kernel_size;
                ((self.slot)(&op.x), by_rank::<4>(move |x| cam_nn::max_pool(x, size, window)))
            }
            _ => return None,
        };
        if !self.varies(x) || operator.special != Special::None {
            return None;
        }
        let role = if matches!(operator.ir, OperationIr::Module(Module::LayerNorm(_))) {
            Role::Norm
        } else {
            Role::Other
        };
        Some(Chain::new(self, place).region([x], role, kernel))
    }
}

/// Operators one before the other, each read by the next alone.
struct Backwards<'a> {
    lowering: &'a Lowering<'a>,
    operators: Vec<usize>,
}

impl<'a> Backwards<'a> {
    /// The operator that gives a value which nobody else reads.
    fn before(&mut self, tensor: &TensorIr) -> Option<&'a OperationIr> {
        let graph = self.lowering.graph;
        let slot = (self.lowering.slot)(tensor);
        let place = graph.producers[slot].filter(|place| !self.lowering.taken.contains(place))?;
        self.operators.push(place);
        (graph.reads[slot] == 1).then_some(&graph.operators[place].ir)
    }

    /// The operator before one that only gives the windows of an image an axis of their own, or takes it away.
    fn over_windows(
        &mut self,
        operator: &'a OperationIr,
        [heads, tokens]: [usize; 2],
    ) -> Option<&'a OperationIr> {
        let OperationIr::BaseFloat(Base::Reshape(op)) = operator else { return Some(operator) };
        let is_kept = |tensor: &TensorIr| tensor.shape.as_slice().ends_with(&[heads, tokens, tokens]);
        if is_kept(&op.input) && is_kept(&op.out) { self.before(&op.input) } else { None }
    }
}

/// The sum of constants that are added to the scores of windows, and for how many windows of an image it is.
///
/// # Shapes
/// - biases: `[1, windows, heads, tokens, tokens]` or `[windows, heads, tokens, tokens]`, each axis of heads or windows of length 1 where it
///   is the same for all
/// - output: `[windows, heads, tokens, tokens]`
#[allow(clippy::type_complexity, reason = "a count and numbers")]
fn window_bias(
    biases: Vec<DispatchTensor>,
    [batch, heads, tokens]: [usize; 3],
) -> Option<(usize, Option<Arc<Vec<f32>>>)> {
    if biases.is_empty() {
        return Some((1, None));
    }
    let mut windows = 1;
    let mut forms = Vec::new();
    for bias in biases {
        let form = match *bias.shape().as_slice() {
            [1, of_windows, of_heads, rows, columns] | [of_windows, of_heads, rows, columns] => {
                [of_windows, of_heads, rows, columns]
            }
            _ => return None,
        };
        let fits = form[2..] == [tokens, tokens] && [1, heads].contains(&form[1]) && batch % form[0] == 0;
        if !fits || (form[0] != 1 && windows != 1 && form[0] != windows) {
            return None;
        }
        windows = windows.max(form[0]);
        forms.push((bias, form));
    }
    let whole = [windows, heads, tokens, tokens];
    let add = |sum: Option<Tensor<4>>, (bias, form): (DispatchTensor, [usize; 4])| {
        let bias = Tensor::<4>::from_dispatch(flattened(bias, form.to_vec())).expand(whole);
        Some(sum.map_or_else(|| bias.clone(), |sum| sum + bias.clone()))
    };
    let sum = forms.into_iter().fold(None, add)?;
    Some((windows, Some(Arc::new(sum.into_data().try_into_vec::<f32>().ok()?))))
}

/// Attention of queries, keys and values.
struct Attention {
    inputs: [Slot; 3],
    /// Of each of them: batch, heads, tokens, size.
    shape: [usize; 4],
    /// What it consists of, without the operator that gives its output.
    operators: Vec<usize>,
    /// The windows of an image, which lie side by side in the batch.
    windows: usize,
    /// `[windows, heads, tokens, tokens]`, or the same for all windows
    bias: Option<Arc<Vec<f32>>>,
}

/// Whether scores are divided by the root of the size of a head.
fn is_usual(scale: f64, size: usize) -> bool {
    (scale * (size as f64).sqrt() - 1.0).abs() < 1e-6
}

/// What an operator multiplies by a number, and the number.
fn scaled(operator: &OperationIr) -> Option<(&TensorIr, f64)> {
    match operator {
        OperationIr::NumericFloat(_, Numeric::MulScalar(op)) => Some((&op.lhs, op.rhs.elem())),
        OperationIr::NumericFloat(_, Numeric::DivScalar(op)) => Some((&op.lhs, 1.0 / op.rhs.elem::<f64>())),
        _ => None,
    }
}

/// Whether a slice cuts a third out of `[batch, tokens, 3, heads, size]` or `[batch, tokens, 3 * width]`.
fn is_part(op: &SliceOpIr, part: usize, width: usize) -> bool {
    let shape = op.tensor.shape.as_slice();
    let third = if shape.len() == 5 { 1 } else { width };
    let cuts = |(axis, range): (usize, &Slice)| {
        let (from, to) = if axis == 2 { (part * third, (part + 1) * third) } else { (0, shape[axis]) };
        range.start == from as isize
            && range.end.unwrap_or(shape[axis] as isize) == to as isize
            && range.step == 1
    };
    shape.get(2) == Some(&(3 * third)) && op.ranges.len() > 2 && op.ranges.iter().enumerate().all(cuts)
}

/// Whether an operator exchanges heads and tokens.
fn is_exchange(operator: &OperationIr) -> Option<()> {
    let is_one = match operator {
        OperationIr::BaseFloat(Base::SwapDims(op)) => {
            [op.dim1, op.dim2] == [1, 2] || [op.dim1, op.dim2] == [2, 1]
        }
        OperationIr::BaseFloat(Base::Permute(op)) => op.axes == [0, 2, 1, 3],
        _ => false,
    };
    is_one.then_some(())
}

/// A kernel of one input of a rank.
fn by_rank<const D: usize>(
    f: impl Fn(Tensor<D>) -> Result<Tensor<D>, Tensor<D>> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |mut inputs| {
        let x = inputs.pop().expect("an operator has an input");
        f(Tensor::from_dispatch(x)).map(Tensor::into_dispatch).map_err(|x| vec![x.into_dispatch()])
    })
}

/// The same numbers in another shape.
fn flattened(tensor: DispatchTensor, shape: Vec<usize>) -> DispatchTensor {
    if tensor.shape().as_slice() == shape { tensor } else { Dispatch::float_reshape(tensor, shape.into()) }
}

/// The window of a convolution that pads both sides alike.
fn window(op: &Conv2dOpIr) -> Option<Window> {
    let [rows, columns] = op.options.padding;
    (rows.0 == rows.1 && columns.0 == columns.1).then_some(Window {
        stride: op.options.stride,
        padding: [rows.0, columns.0],
        dilation: op.options.dilation,
    })
}
