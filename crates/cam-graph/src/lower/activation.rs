//! Activations, one operator or a value times a gate of it, and gates of channels.

use super::{Chain, Kernel, Lowering, Region, Role};
use crate::values::Slot;
use burn::backend::ir::{
    ActivationOperationIr as Operator, NumericOperationIr as Numeric, OperationIr, ScalarIr,
};
use burn::tensor::{DType, Tensor};
use cam_nn::Activation;
use std::sync::Arc;

impl Chain<'_> {
    /// Appends an activation of the end, if one follows.
    pub(super) fn then_activation(&mut self) -> Option<Activation> {
        self.then(|operator, _| activation(operator)).or_else(|| self.then_gate())
    }

    /// Appends the two operators of $x g(x)$, if they follow.
    fn then_gate(&mut self) -> Option<Activation> {
        let lowering = self.lowering;
        let (x, [gate, product]) = (self.end, lowering.readers.get(&self.end)?.as_slice().try_into().ok()?);
        let gated = lowering.gate(x, gate, product)?;
        self.operators.extend([gate, product]);
        self.end = lowering.graph.operators[product].outputs[0];
        Some(gated)
    }
}

impl Lowering<'_> {
    /// Returns what the product of a value and its gate is, if these operators are it and nothing else reads the value.
    fn gate(&self, x: Slot, gate: usize, product: usize) -> Option<Activation> {
        let [gate_operator, product_operator] = [gate, product].map(|index| &self.graph.operators[index]);
        let OperationIr::NumericFloat(_, Numeric::Mul(op)) = &product_operator.ir else { return None };
        let mut sides = [&op.lhs, &op.rhs].map(|side| (self.slot)(side));
        sides.sort_unstable();
        let mut expected = [x, gate_operator.outputs[0]];
        expected.sort_unstable();
        let is_alone = self.graph.reads[x] == 2 && self.graph.reads[gate_operator.outputs[0]] == 1;
        let is_free = [gate, product]
            .iter()
            .all(|index| !self.taken.contains(index) && self.graph.operators[*index].fused.is_none());
        match activation(&gate_operator.ir)? {
            Activation::Sigmoid if sides == expected && is_alone && is_free => Some(Activation::Silu),
            Activation::HardSigmoid if sides == expected && is_alone && is_free => {
                Some(Activation::HardSwish)
            }
            _ => None,
        }
    }
}

impl Lowering<'_> {
    /// Returns the region of a product of images and a gate of each channel, as in squeeze-and-excitation.
    pub(super) fn gated_channels(&self, index: usize) -> Option<Region> {
        let OperationIr::NumericFloat(DType::F32, Numeric::Mul(op)) = &self.graph.operators[index].ir else {
            return None;
        };
        let shapes = [&op.lhs, &op.rhs].map(|side| <[usize; 4]>::try_from(side.shape.as_slice()).ok());
        let [left, right] = [shapes[0]?, shapes[1]?];
        let is_gate = |gate: [usize; 4], x: [usize; 4]| gate == [x[0], x[1], 1, 1] && x[2] * x[3] > 1;
        let sides = match () {
            () if is_gate(right, left) => [&op.lhs, &op.rhs],
            () if is_gate(left, right) => [&op.rhs, &op.lhs],
            () => return None,
        };
        let inputs = sides.map(|side| (self.slot)(side));
        if !inputs.iter().all(|slot| self.varies(*slot)) {
            return None;
        }
        let kernel: Kernel = Arc::new(|inputs| {
            let mut inputs = inputs.into_iter().map(Tensor::<4>::from_dispatch);
            let mut next = || inputs.next().expect("the product has two inputs");
            let (x, gates) = (next(), next());
            let product = cam_nn::gated_channels(x, gates);
            product.map(Tensor::into_dispatch).map_err(|inputs| inputs.map(Tensor::into_dispatch).into())
        });
        Some(Chain::new(self, index).region(inputs, Role::Other, kernel))
    }
}

/// Returns the activation that an operator is. GELU has a gradient of its own and is not among them.
fn activation(operator: &OperationIr) -> Option<Activation> {
    let is = |number: &ScalarIr, expected: f32| (number.elem::<f32>() - expected).abs() < 1e-6;
    Some(match operator {
        OperationIr::Activation(Operator::Relu(_)) => Activation::Relu,
        OperationIr::Activation(Operator::LeakyRelu(op)) => Activation::LeakyRelu(op.rhs.elem()),
        OperationIr::Activation(Operator::Sigmoid(_)) => Activation::Sigmoid,
        OperationIr::Activation(Operator::HardSigmoid(op))
            if is(&op.alpha, 1.0 / 6.0) && is(&op.beta, 0.5) =>
        {
            Activation::HardSigmoid
        }
        OperationIr::NumericFloat(_, Numeric::Clamp(op)) => Activation::Clamp([op.min.elem(), op.max.elem()]),
        _ => return None,
    })
}
