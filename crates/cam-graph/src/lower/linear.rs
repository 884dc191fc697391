//! A linear layer: the product with a matrix, the reshapes around it, its bias, and the GELU or the sum that follows.

use super::{Chain, Kernel, Lowering, Matrix, Region, Role, flattened};
use burn::backend::TensorMetadata;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, TensorIr,
};
use burn::tensor::{DType, Tensor};
use cam_nn::{Activation as Then, FusedLinear, by_outputs};
use std::sync::Arc;

/// A layer of so many weights (32 MB) and so few rows takes as long as its weights take to come from memory.
const LARGE: usize = 1 << 23;
const FEW: usize = 64;

impl Lowering<'_> {
    pub(super) fn linear(&self, place: usize) -> Option<Region> {
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
        let mut matrix = self.matrix(weight, [from, to])?;
        let in_place = from * to >= LARGE && x.shape.num_elements() / from <= FEW;
        if in_place {
            let name = self.parameters.names.get(&weight.id).cloned();
            matrix = self.parameters.prepared.by_outputs.get(name, || by_outputs(matrix));
        }
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
        let layer = if in_place { layer.in_place() } else { layer };
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
        let is_plain = !gelu && residual.is_none();
        let role = Role::Linear { matrix: Arc::new(Matrix { weight: matrix, bias }), is_plain };
        Some(chain.region([Some(input), residual].into_iter().flatten(), role, kernel))
    }
}
