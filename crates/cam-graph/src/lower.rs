//! A graph lowered to the kernels of the CPU: operators that belong together are computed together, by [`cam_nn`].
//!
//! | what | becomes |
//! |---|---|
//! | convolution, BatchNorm, sum with a shortcut, ReLU | one convolution, whose parameters the norm is folded into, on every device |
//! | reshape, product with a matrix, bias, reshape, GELU or sum | one linear layer |
//! | LayerNorm, max pooling, attention | the kernels of these |
//! | an image that is put in windows, attention within them, and the way back | attention of tokens that stay where they are |
//! | what the last block of a transformer makes of tokens that the classifier does not read | nothing |
//!
//! A [`Region`] is computed as a whole where nobody looks inside it. Where somebody does, its operators are computed one by one.

mod attention;
mod convolution;
mod ends;
mod linear;
mod windows;

use crate::graph::{Graph, Special};
use crate::values::Slot;
use burn::backend::ir::{
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, TensorId, TensorIr,
};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{DType, Tensor};
use cam_nn::{FusedAttention, FusedNorm, Window};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use ends::ends;
pub(crate) use windows::windowed;

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
        matrix: Arc<Matrix>,
        is_plain: bool,
    },
    /// The norm of each token.
    Norm,
    /// Attention within so many windows of all images, whose queries, keys and values lie side by side; of all tokens of an image, and
    /// nothing added to the scores, where it is whole.
    Attention {
        fused: FusedAttention,
        windows: usize,
        is_whole: bool,
    },
    Other,
}

/// The parameters of a linear layer.
pub(crate) struct Matrix {
    /// `[from, to]`
    pub weight: Tensor<2>,
    /// `[to]`
    pub bias: Option<Tensor<1>>,
}

/// Parameters as the kernels read them, which recordings of all shapes share.
#[derive(Default)]
pub(crate) struct Prepared {
    /// Convolutions with their norms folded into them.
    folded: Shared<(Tensor<4>, Tensor<1>)>,
    /// Large matrices, the weights of an output side by side.
    by_outputs: Shared<Tensor<2>>,
}

/// What was made of parameters, by their names.
struct Shared<T>(Mutex<HashMap<String, T>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Shared<T> {
    fn get(&self, name: Option<String>, make: impl FnOnce() -> T) -> T {
        let Some(name) = name else { return make() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert_with(make).clone()
    }
}

/// What lowering looks parameters up in.
pub(crate) struct Parameters<'a> {
    /// The parameters that tensors hold as they are, by their paths.
    pub names: HashMap<TensorId, String>,
    /// The tensors of the module, as they lie in memory.
    pub weights: &'a HashMap<String, DispatchTensor>,
    pub prepared: &'a Prepared,
}

/// The regions of a graph: all of them where the kernels of the CPU compute, else the norms that can be folded.
pub(crate) fn regions(
    graph: &Graph,
    parameters: &Parameters<'_>,
    by_kernels: bool,
    slot: impl Fn(&TensorIr) -> Slot,
) -> Vec<Region> {
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (place, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(place));
    }
    let mut lowering =
        Lowering { graph, parameters, by_kernels, readers, taken: HashSet::new(), slot: &slot };
    let mut regions = Vec::new();
    for place in 0..graph.operators.len() {
        let found = match by_kernels {
            true => lowering
                .convolution(place)
                .or_else(|| lowering.linear(place))
                .or_else(|| lowering.attention(place))
                .or_else(|| lowering.alone(place)),
            false => lowering.convolution(place),
        };
        if let Some(region) = found {
            lowering.taken.extend(&region.operators);
            regions.push(region);
        }
    }
    regions
}

struct Lowering<'a> {
    graph: &'a Graph,
    parameters: &'a Parameters<'a>,
    /// Whether the kernels of the CPU compute.
    by_kernels: bool,
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

    fn constant(&self, tensor: &TensorIr) -> Option<DispatchTensor> {
        self.graph.constants[(self.slot)(tensor)].clone().filter(|constant| constant.dtype().is_float())
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

/// A kernel of one input of a rank.
fn by_rank<const D: usize>(
    f: impl Fn(Tensor<D>) -> Result<Tensor<D>, Tensor<D>> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |mut inputs| {
        let x = inputs.pop().expect("an operator has an input");
        f(Tensor::from_dispatch(x)).map(Tensor::into_dispatch).map_err(|x| vec![x.into_dispatch()])
    })
}

/// A value that a region reads several times, and how often: with one handle left, its memory can be used again.
fn one_of(mut inputs: Vec<DispatchTensor>) -> (DispatchTensor, usize) {
    let times = inputs.len();
    inputs.truncate(1);
    (inputs.pop().expect("a region has an input"), times)
}

/// The same numbers in another shape.
fn flattened(tensor: DispatchTensor, shape: Vec<usize>) -> DispatchTensor {
    if tensor.shape().as_slice() == shape { tensor } else { Dispatch::float_reshape(tensor, shape.into()) }
}
