//! Kernels as steps of a tape, with kernels for the backward pass too.

use super::HostTensor;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward as Rule, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;

/// A backward pass: maps the gradient of an output to that of the input.
#[derive(Clone)]
pub struct Backward(Arc<dyn Fn(&HostTensor) -> HostTensor + Send + Sync>);

impl Backward {
    /// Makes a backward pass of a function.
    pub fn new(back: impl Fn(&HostTensor) -> HostTensor + Send + Sync + 'static) -> Self {
        Self(Arc::new(back))
    }

    /// Returns the gradient of the input, given that of the output.
    pub fn run(&self, gradient: &HostTensor) -> HostTensor {
        (self.0)(gradient)
    }
}

impl Debug for Backward {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backward")
    }
}

/// Runs kernels on a tensor on a tape and records their backward pass.
///
/// # Errors
/// Returns the tensor if it is not on a tape or not in main memory.
pub fn with_custom_grad<const D: usize>(
    x: Tensor<D>,
    kernel: impl FnOnce(HostTensor) -> (HostTensor, Backward),
) -> Result<Tensor<D>, Tensor<D>> {
    let Ok(taped) = x.clone().try_into_primitive::<Autodiff<Flex>>() else { return Err(x) };
    let host = HostTensor::from_tokens(Tensor::<D>::from_primitive::<Flex>(taped.primitive().clone()));
    let Ok(host) = host else { return Err(x) };
    let (y, backward) = kernel(host);
    let y = y.into_tensor(D);
    let y = match Step::<D>.prepare::<NoCheckpointing>([taped.node()]).compute_bound().stateful() {
        OpsKind::Tracked(tape) => tape.finish(backward, y),
        OpsKind::UnTracked(tape) => tape.finish(y),
    };
    Ok(Tensor::from_primitive::<Autodiff<Flex>>(y))
}

/// A step of a tape, for tensors of rank `D`.
#[derive(Debug)]
struct Step<const D: usize>;

impl<const D: usize> Rule<Flex, 1> for Step<D> {
    type State = Backward;

    fn backward(self, ops: Ops<Backward, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient: FlexTensor| {
            let gradient = HostTensor::from_tokens(Tensor::<D>::from_primitive::<Flex>(gradient));
            let gradient = gradient.expect("a gradient is in the same memory as its value");
            ops.state.run(&gradient).into_tensor(D)
        });
    }
}
