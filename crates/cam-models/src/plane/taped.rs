//! A linear layer on a tape: forwards as in plain inference, backwards by Burn's matrix product.

use super::Plane;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::nn::Linear;
use burn::tensor::{Shape, Tensor};
use cam_kernels::Activation;

/// The layer of a tensor on a tape, or the tensor itself where it is on none or not in main memory.
pub(crate) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
    let Ok(on_tape) = x.clone().try_into_primitive::<Autodiff<Flex>>() else { return Err(x) };
    let plane = Plane::tokens(Tensor::<D>::from_primitive::<Flex>(on_tape.primitive().clone()));
    let y = plane.ok().and_then(|plane| plane.linear(layer, None, Activation::None));
    let (Some(y), Some(weight)) = (y, super::parameter(&layer.weight)) else { return Err(x) };
    let y = y.into_tensor(D);
    let y = match Transposed.prepare::<NoCheckpointing>([on_tape.node()]).compute_bound().stateful() {
        OpsKind::Tracked(tape) => tape.finish(weight, y),
        OpsKind::UnTracked(tape) => tape.finish(y),
    };
    Ok(Tensor::from_primitive::<Autodiff<Flex>>(y))
}

/// The way back: $\partial s / \partial x = (\partial s / \partial y)\, W^\top$.
#[derive(Debug)]
struct Transposed;

impl Backward<Flex, 1> for Transposed {
    /// $W$, `[from, to]`
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [from, to] = ops.state.shape().dims();
        unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| {
            let mut shape = gradient.shape();
            let rows = shape.num_elements() / to;
            let rows = Flex::float_reshape(gradient, Shape::new([rows, to]));
            let back = Flex::float_matmul(rows, Flex::float_transpose(ops.state));
            let last = shape.num_dims() - 1;
            shape[last] = from;
            Flex::float_reshape(back, shape)
        });
    }
}
