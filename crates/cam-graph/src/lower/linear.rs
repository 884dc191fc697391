//! A linear layer: a matrix product with the reshapes around it, its bias, and a following GELU or residual sum.

use super::{Chain, Kernel, Lowering, Matrix, Region, Role, reshaped};
use burn::backend::TensorMetadata;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, TensorIr,
};
use burn::tensor::{DType, Tensor};
use cam_nn::{Activation as FusedActivation, FusedLinear, to_output_major};
use std::sync::Arc;

/// The time of a layer with at least this many weights (32 MB) and at most this many rows is the time to load its weights from memory.
const MIN_WEIGHTS_IN_PLACE: usize = 1 << 23;
const MAX_ROWS_IN_PLACE: usize = 64;

impl Lowering<'_> {
    pub(super) fn linear(&self, index: usize) -> Option<Region> {
        let (x, weight, bias, out) = match &self.graph.operators[index].ir {
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
        let in_place =
            from * to >= MIN_WEIGHTS_IN_PLACE && x.shape.num_elements() / from <= MAX_ROWS_IN_PLACE;
        if in_place {
            let name = self.parameters.names.get(&weight.id).cloned();
            matrix = self.parameters.prepared.output_major.get(name, || to_output_major(matrix));
        }
        let mut bias = match bias {
            Some(bias) => Some(self.vector(bias)?),
            None => None,
        };
        let mut chain = Chain::new(self, index);
        // A reshape of the input to rows is part of the layer.
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
                    .map(|bias| Tensor::from_dispatch(reshaped(bias, vec![to])))
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
        let (activation, shape) =
            (if gelu { FusedActivation::Gelu } else { FusedActivation::None }, chain.shape.clone());
        let kernel: Kernel = Arc::new(move |inputs| {
            let shapes: Vec<Vec<usize>> =
                inputs.iter().map(|input| input.shape().as_slice().to_vec()).collect();
            // Some tokens may have been removed.
            let rows = shapes[0].iter().product::<usize>() / from;
            let out = match shapes[0].len() == shape.len() {
                true => [&shapes[0][..shape.len() - 1], &[to]].concat(),
                false => shape.clone(),
            };
            let mut inputs = inputs.into_iter();
            let x = inputs.next().expect("the linear layer has an input");
            let x = Tensor::<2>::from_dispatch(reshaped(x, vec![rows, from]));
            let residual =
                inputs.next().map(|residual| Tensor::<2>::from_dispatch(reshaped(residual, vec![rows, to])));
            match layer.forward(x, residual, activation) {
                Ok(y) => Ok(reshaped(y.into_dispatch(), out)),
                Err((x, residual)) => {
                    let back = [Some(x), residual].into_iter().flatten().zip(&shapes);
                    Err(back.map(|(tensor, shape)| reshaped(tensor.into_dispatch(), shape.clone())).collect())
                }
            }
        });
        let is_plain = !gelu && residual.is_none();
        let role = Role::Linear { matrix: Arc::new(Matrix { weight: matrix, bias }), is_plain };
        Some(chain.region([Some(input), residual].into_iter().flatten(), role, kernel))
    }
}
