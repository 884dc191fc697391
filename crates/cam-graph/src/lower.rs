//! Lowers a graph to CPU kernels: [`cam_nn`] computes groups of operators together.
//!
//! | operators | lowered to |
//! |---|---|
//! | convolution, BatchNorm, residual sum, activation | one convolution with the norm folded into its parameters, on every device |
//! | reshape, matrix product, bias, reshape, GELU or sum | one linear layer |
//! | concatenation, BatchNorm, activation, convolution of single pixels with what follows it | one convolution that reads normalized images |
//! | LayerNorm, pooling, means of images, gates of channels, attention | their kernels |
//! | window partition, attention within windows, window reverse | attention of tokens in place |
//! | operators of the last block of a transformer on tokens that the classifier does not read | nothing |
//!
//! A [`Region`] is computed as a whole unless a tap is inside. In that case its operators are computed one by one.

mod activation;
mod attention;
mod convolution;
mod linear;
mod unread_tokens;
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

pub(crate) use unread_tokens::unread_tokens;
pub(crate) use windows::windowed_attention;

/// Operators that are computed together.
pub(crate) struct Region {
    /// The operators in order; the output of the last one is that of the region.
    pub operators: Vec<usize>,
    pub output: Slot,
    /// The slots that it reads from outside, each as often as its operators do.
    pub inputs: Vec<Slot>,
    pub kernel: Kernel,
    pub role: Role,
    /// The layers inside, whose values it does not expose.
    pub inside: Vec<String>,
    /// Whether taps do something at one of its operators, apart from layers.
    pub is_special: bool,
}

/// Computes the output from the inputs, or returns the inputs if it cannot.
pub(crate) type Kernel =
    Arc<dyn Fn(Vec<DispatchTensor>) -> Result<DispatchTensor, Vec<DispatchTensor>> + Send + Sync>;

/// What a region computes, as far as other regions need to know.
pub(crate) enum Role {
    /// A linear layer, applied to each token by itself.
    Linear {
        matrix: Arc<Matrix>,
        is_plain: bool,
    },
    /// A norm of each token.
    Norm,
    /// Attention within windows (their number over all images is `windows`), with concatenated queries, keys and values. `is_whole`: a window
    /// is a whole image and there is no bias.
    Attention {
        fused: FusedAttention,
        windows: usize,
        is_whole: bool,
    },
    Other,
}

/// The parameters of a linear layer.
pub(crate) struct Matrix {
    /// `[in_features, out_features]`
    pub weight: Tensor<2>,
    /// `[out_features]`
    pub bias: Option<Tensor<1>>,
}

/// Prepared parameters, which the recordings of all shapes share.
#[derive(Default)]
pub(crate) struct Prepared {
    /// Convolutions with their norms folded into them.
    folded: Shared<(Tensor<4>, Tensor<1>)>,
    /// Large matrices in output-major order.
    output_major: Shared<Tensor<2>>,
}

/// Values derived from parameters, by the names of the parameters.
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

/// The parameters for lowering.
pub(crate) struct Parameters<'a> {
    /// The paths of the parameters that tensors hold unchanged.
    pub names: HashMap<TensorId, String>,
    /// The tensors of the module, in their memory order.
    pub weights: &'a HashMap<String, DispatchTensor>,
    pub prepared: &'a Prepared,
}

/// Returns the regions of a graph: all of them if the CPU kernels can be used, else only norms that can be folded.
pub(crate) fn regions(
    graph: &Graph,
    parameters: &Parameters<'_>,
    use_kernels: bool,
    slot: impl Fn(&TensorIr) -> Slot,
) -> Vec<Region> {
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(index));
    }
    let mut lowering =
        Lowering { graph, parameters, use_kernels, readers, taken: HashSet::new(), slot: &slot };
    let mut regions = Vec::new();
    for index in 0..graph.operators.len() {
        if lowering.taken.contains(&index) {
            continue;
        }
        let found = match use_kernels {
            true => lowering
                .convolution(index)
                .or_else(|| lowering.linear(index))
                .or_else(|| lowering.attention(index))
                .or_else(|| lowering.gated_channels(index))
                .or_else(|| lowering.normed(index))
                .or_else(|| lowering.single(index)),
            false => lowering.convolution(index),
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
    /// Whether the CPU kernels can be used.
    use_kernels: bool,
    /// The operators that read a slot.
    readers: HashMap<Slot, Vec<usize>>,
    /// The operators of the regions found so far.
    taken: HashSet<usize>,
    slot: &'a dyn Fn(&TensorIr) -> Slot,
}

/// A sequence of operators, each the only reader of the one before.
struct Chain<'a> {
    lowering: &'a Lowering<'a>,
    operators: Vec<usize>,
    /// The output of the last operator.
    end: Slot,
    shape: Vec<usize>,
}

impl<'a> Chain<'a> {
    fn new(lowering: &'a Lowering<'a>, index: usize) -> Self {
        let operator = &lowering.graph.operators[index];
        Self { lowering, operators: vec![index], end: operator.outputs[0], shape: operator.shape().to_vec() }
    }

    /// Appends the only reader of the end if `fits` returns a value for it. Returns that value.
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

    /// Appends the next operator if it adds a value of the same shape. Returns that value.
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
            operators.iter().any(|index| self.lowering.graph.operators[*index].special != Special::None);
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

    /// Returns a constant as a matrix, ignoring leading axes of length 1. A parameter is returned in its memory order.
    fn matrix(&self, tensor: &TensorIr, [rows, columns]: [usize; 2]) -> Option<Tensor<2>> {
        let constant = self.constant(tensor)?;
        let own = self.parameters.names.get(&tensor.id).and_then(|name| self.parameters.weights.get(name));
        let own = own.filter(|own| own.dtype() == DType::F32 && own.shape().as_slice() == [rows, columns]);
        match own {
            Some(own) => Some(Tensor::from_dispatch(own.clone())),
            None => Some(Tensor::from_dispatch(reshaped(constant, vec![rows, columns]))),
        }
    }

    /// Returns the region of a single operator that has a kernel.
    fn single(&self, index: usize) -> Option<Region> {
        let operator = &self.graph.operators[index];
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
            OperationIr::Module(Module::AvgPool2d(op))
                if op.out.dtype == DType::F32 && op.padding == [0, 0] && !op.ceil_mode =>
            {
                let window = Window { stride: op.stride, ..Window::default() };
                let size = op.kernel_size;
                ((self.slot)(&op.x), by_rank::<4>(move |x| cam_nn::mean_pool(x, size, window)))
            }
            OperationIr::Module(Module::AdaptiveAvgPool2d(op))
                if op.out.dtype == DType::F32 && op.output_size == [1, 1] =>
            {
                ((self.slot)(&op.x), by_rank::<4>(cam_nn::mean_of_images))
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
        Some(Chain::new(self, index).region([x], role, kernel))
    }
}

/// Makes a kernel of one input of a rank.
fn by_rank<const D: usize>(
    f: impl Fn(Tensor<D>) -> Result<Tensor<D>, Tensor<D>> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |mut inputs| {
        let x = inputs.pop().expect("the operator has an input");
        f(Tensor::from_dispatch(x)).map(Tensor::into_dispatch).map_err(|x| vec![x.into_dispatch()])
    })
}

/// Returns a value that a region reads several times, and how often. With one handle left, its memory can be reused.
fn deduplicate(mut inputs: Vec<DispatchTensor>) -> (DispatchTensor, usize) {
    let times = inputs.len();
    inputs.truncate(1);
    (inputs.pop().expect("the region has an input"), times)
}

/// Reshapes a tensor.
fn reshaped(tensor: DispatchTensor, shape: Vec<usize>) -> DispatchTensor {
    if tensor.shape().as_slice() == shape { tensor } else { Dispatch::float_reshape(tensor, shape.into()) }
}
