//! The biases of layers, which FullGrad sums.
//!
//! FullGrad holds if the score is piecewise linear in the input and the biases, as with ReLUs. If a network has anything else (a norm over
//! the activation, attention, a GELU), the biases do not account for the whole score, so none is reported and the method returns an error.

use crate::graph::{Graph, Operator};
use crate::values::Slot;
use burn::backend::DispatchTensor;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, ModuleOperationIr as Module,
    NumericOperationIr as Numeric, OperationIr, PadModeIr, TensorIr,
};
use burn::tensor::Tensor;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The bias that an operator adds to each channel.
pub(crate) struct Bias {
    source: Source,
    value: OnceLock<Tensor<1>>,
}

enum Source {
    Conv(Slot),
    /// $\beta + \gamma (b - \mu) / \sqrt{\sigma^2 + \epsilon}$, with the bias $b$ of the convolution before it.
    Norm {
        gamma: Slot,
        beta: Slot,
        mean: Slot,
        variance: Slot,
        epsilon: f64,
        before: Option<Slot>,
    },
}

impl Bias {
    /// Returns the bias of each channel, `[channels]`.
    pub fn value(&self, constants: &[Option<DispatchTensor>]) -> Tensor<1> {
        let vector = |slot: Slot| {
            Tensor::<1>::from_dispatch(constants[slot].clone().expect("biases and statistics are constants"))
        };
        let value = self.value.get_or_init(|| match self.source {
            Source::Conv(bias) => vector(bias),
            Source::Norm { gamma, beta, mean, variance, epsilon, before } => {
                let off = match before {
                    Some(bias) => vector(bias) - vector(mean),
                    None => -vector(mean),
                };
                vector(beta) + vector(gamma) * off / (vector(variance) + epsilon).sqrt()
            }
        });
        value.clone()
    }
}

/// Returns the biases of a graph by the operators that add them; none if the graph is not piecewise linear.
pub(crate) fn find(graph: &Graph, slot: impl Fn(&TensorIr) -> Slot) -> HashMap<usize, Bias> {
    let is_constant = |tensor: &TensorIr| graph.constants[slot(tensor)].is_some();
    if !graph.operators.iter().all(|operator| is_piecewise_linear(operator, &is_constant)) {
        return HashMap::new();
    }
    let bias_of = |operator: &Operator| {
        let bias = match &operator.ir {
            OperationIr::Module(Module::Conv1d(op)) => &op.bias,
            OperationIr::Module(Module::Conv2d(op)) => &op.bias,
            OperationIr::Module(Module::Conv3d(op)) => &op.bias,
            OperationIr::Module(Module::ConvTranspose1d(op)) => &op.bias,
            OperationIr::Module(Module::ConvTranspose2d(op)) => &op.bias,
            OperationIr::Module(Module::ConvTranspose3d(op)) => &op.bias,
            _ => return None,
        };
        bias.as_ref().filter(|bias| is_constant(bias)).map(&slot)
    };
    let mut found = HashMap::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        let source = match &operator.ir {
            OperationIr::Module(Module::BatchNorm(op)) => {
                let x = slot(&op.x);
                let before = graph.producers[x].filter(|_| graph.reads[x] == 1);
                let bias = before.and_then(|before| bias_of(&graph.operators[before]));
                if let Some(before) = before.filter(|_| bias.is_some()) {
                    found.remove(&before);
                }
                Some(Source::Norm {
                    gamma: slot(&op.gamma),
                    beta: slot(&op.beta),
                    mean: slot(&op.mean),
                    variance: slot(&op.variance),
                    epsilon: op.epsilon.elem(),
                    before: bias,
                })
            }
            _ => bias_of(operator).map(Source::Conv),
        };
        if let Some(source) = source {
            found.insert(index, Bias { source, value: OnceLock::new() });
        }
    }
    found
}

/// Reports whether a value is `[batch, features]`, without positions.
fn is_row(tensor: &TensorIr) -> bool {
    tensor.shape.num_dims() <= 2
}

/// Reports whether an operator is piecewise linear in its inputs and adds no bias that is not counted.
fn is_piecewise_linear(operator: &Operator, is_constant: &impl Fn(&TensorIr) -> bool) -> bool {
    let input_count = operator.inputs.len();
    match &operator.ir {
        OperationIr::Module(op) => match op {
            Module::Conv1d(_) | Module::Conv2d(_) | Module::Conv3d(_) | Module::BatchNorm(_) => {
                input_count == 1
            }
            // As in the reference, the bias of a classifier does not count; one of positions would be missed.
            Module::Linear(op) => input_count == 1 && (op.bias.is_none() || is_row(&op.out)),
            Module::ConvTranspose1d(_) | Module::ConvTranspose2d(_) | Module::ConvTranspose3d(_) => {
                input_count == 1
            }
            Module::AvgPool1d(_) | Module::AvgPool2d(_) | Module::MaxPool1d(_) | Module::MaxPool2d(_) => true,
            Module::AdaptiveAvgPool1d(_) | Module::AdaptiveAvgPool2d(_) | Module::AdaptiveAvgPool3d(_) => {
                true
            }
            Module::MaxPool1dWithIndices(_) | Module::MaxPool2dWithIndices(_) => true,
            Module::Interpolate(_) => true,
            _ => false,
        },
        OperationIr::Activation(op) => matches!(op, Activation::Relu(_) | Activation::LeakyRelu(_)),
        OperationIr::BaseFloat(op) => match op {
            Base::Equal(_) | Base::EqualElem(_) | Base::NotEqual(_) | Base::NotEqualElem(_) => false,
            // Inserted constants are biases that no layer adds.
            Base::Cat(_)
            | Base::MaskWhere(_)
            | Base::SliceAssign(_)
            | Base::Scatter(_)
            | Base::SelectAssign(_) => operator.constants.is_empty(),
            Base::MaskFill(op) => op.value.elem::<f64>() == 0.0,
            _ => true,
        },
        OperationIr::NumericFloat(_, op) => match op {
            Numeric::Add(op) | Numeric::Sub(op) => input_count == 2 || is_row(&op.out),
            Numeric::AddScalar(op) | Numeric::SubScalar(op) => op.rhs.elem::<f64>() == 0.0 || is_row(&op.out),
            Numeric::Mul(_) => input_count == 1,
            Numeric::Div(op) => input_count == 1 && !is_constant(&op.lhs),
            Numeric::MulScalar(_) | Numeric::DivScalar(_) => true,
            Numeric::Mean(_)
            | Numeric::MeanDim(_)
            | Numeric::Sum(_)
            | Numeric::SumDim(_)
            | Numeric::SumDims(_) => true,
            Numeric::Pad(op) => match op.mode {
                PadModeIr::Constant(value) => value.elem::<f64>() == 0.0,
                _ => true,
            },
            // A clamp at a number other than zero adds a bias.
            Numeric::ClampMin(op) | Numeric::ClampMax(op) => op.rhs.elem::<f64>() == 0.0,
            Numeric::Neg(_) => true,
            Numeric::MaxDim(_) | Numeric::MinDim(_) | Numeric::Max(_) | Numeric::Min(_) => true,
            _ => false,
        },
        OperationIr::Float(_, burn::backend::ir::FloatOperationIr::Matmul(_)) => input_count == 1,
        _ => false,
    }
}
