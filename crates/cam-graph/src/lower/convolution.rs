//! A convolution with a following BatchNorm, residual sum and activation, and what comes before it in a DenseNet: a concatenation, a
//! BatchNorm and an activation.

use super::{Chain, Kernel, Lowering, Region, Role};
use crate::values::Slot;
use burn::backend::ir::{
    BaseOperationIr as Base, Conv2dOpIr, ModuleOperationIr as Module, OperationIr, TensorId, TensorIr,
};
use burn::tensor::{DType, Tensor};
use cam_nn::{Activation, ChannelNorm, FusedConv, Window};
use std::sync::Arc;

/// The parameters of a BatchNorm in inference.
struct Norm {
    /// Those of gamma, beta, mean and variance.
    ids: [TensorId; 4],
    values: [Tensor<1>; 4],
    epsilon: f64,
}

impl Norm {
    /// Returns the scale and the shift of each channel. Half precision is not precise enough for them.
    fn affine(self) -> [Tensor<1>; 2] {
        let [gamma, beta, mean, variance] = self.values.map(to_single);
        let scale = gamma / (variance + self.epsilon).sqrt();
        [scale.clone(), beta - mean * scale]
    }
}

impl Lowering<'_> {
    pub(super) fn convolution(&self, index: usize) -> Option<Region> {
        let OperationIr::Module(Module::Conv2d(op)) = &self.graph.operators[index].ir else { return None };
        let x = (self.slot)(&op.x);
        if !self.varies(x) {
            return None;
        }
        let mut chain = Chain::new(self, index);
        let (conv, residual, activation) = self.rest_of_convolution(op, &mut chain)?;
        let kernel: Kernel = Arc::new(move |inputs| {
            let mut inputs = inputs.into_iter().map(Tensor::<4>::from_dispatch);
            let x = inputs.next().expect("the convolution has an input");
            Ok(conv.forward(x, inputs.next(), activation).into_dispatch())
        });
        Some(chain.region([Some(x), residual].into_iter().flatten(), Role::Other, kernel))
    }

    /// Returns the region of a BatchNorm, with the concatenation before it and the activation and the convolution of single pixels after
    /// it, if there are such.
    pub(super) fn normed(&self, index: usize) -> Option<Region> {
        let mut chain = Chain::new(self, index);
        let (images, out): (Vec<Slot>, &TensorIr) = match &self.graph.operators[index].ir {
            OperationIr::BaseFloat(Base::Cat(op)) if op.dim == 1 => {
                (op.tensors.iter().map(|image| (self.slot)(image)).collect(), &op.out)
            }
            OperationIr::Module(Module::BatchNorm(op)) => (vec![(self.slot)(&op.x)], &op.out),
            _ => return None,
        };
        if out.shape.num_dims() != 4 || out.dtype != DType::F32 || !images.iter().any(|x| self.varies(*x)) {
            return None;
        }
        let norm = match self.norm_of(&self.graph.operators[index].ir) {
            Some(norm) => norm,
            None => chain.then(|operator, _| self.norm_of(operator))?,
        };
        let [scale, shift] = norm.affine();
        let norm = ChannelNorm::new(scale, shift, chain.then_activation().unwrap_or(Activation::None));
        let count = images.len();
        let is_pointwise = |op: &Conv2dOpIr| {
            window(op) == Some(Window::default())
                && op.options.groups == 1
                && op.weight.shape.as_slice()[2..] == [1, 1]
                && self.constant(&op.weight).is_some()
        };
        let conv = chain.then(|operator, _| match operator {
            OperationIr::Module(Module::Conv2d(op)) if is_pointwise(op) => Some(op.clone()),
            _ => None,
        });
        let Some(op) = conv else {
            let kernel: Kernel = Arc::new(move |inputs| {
                let images = inputs.into_iter().map(Tensor::<4>::from_dispatch).collect();
                Ok(norm.forward(images).into_dispatch())
            });
            return Some(chain.region(images, Role::Other, kernel));
        };
        let (conv, residual, activation) = self.rest_of_convolution(&op, &mut chain)?;
        let kernel: Kernel = Arc::new(move |inputs| {
            let mut images: Vec<_> = inputs.into_iter().map(Tensor::<4>::from_dispatch).collect();
            let residual = images.split_off(count).pop();
            Ok(conv.forward_normed(images, &norm, residual, activation).into_dispatch())
        });
        Some(chain.region(images.into_iter().chain(residual), Role::Other, kernel))
    }

    /// Returns the parameters of an operator that is a BatchNorm, if they are constants.
    fn norm_of(&self, operator: &OperationIr) -> Option<Norm> {
        let OperationIr::Module(Module::BatchNorm(norm)) = operator else { return None };
        let parameters = [&norm.gamma, &norm.beta, &norm.mean, &norm.variance];
        let [gamma, beta, mean, variance] = parameters.map(|parameter| self.vector(parameter));
        let ids = parameters.map(|parameter| parameter.id);
        Some(Norm { ids, values: [gamma?, beta?, mean?, variance?], epsilon: norm.epsilon.elem() })
    }

    /// Appends what follows a convolution to its chain. Returns the convolution with its norm in it, the residual and the activation.
    fn rest_of_convolution(
        &self,
        op: &Conv2dOpIr,
        chain: &mut Chain<'_>,
    ) -> Option<(FusedConv, Option<Slot>, Activation)> {
        let window = window(op)?;
        let weight = Tensor::<4>::from_dispatch(self.constant(&op.weight)?);
        let bias = match &op.bias {
            Some(bias) => Some(self.vector(bias)?),
            None => None,
        };
        let norm = chain.then(|operator, _| self.norm_of(operator));
        let (weight, bias) = match norm {
            None if !self.use_kernels => return None,
            None => (weight, bias),
            Some(norm) => {
                let ids =
                    norm.ids.into_iter().chain([op.weight.id]).chain(op.bias.as_ref().map(|bias| bias.id));
                let names = ids.map(|id| self.parameters.names.get(&id).cloned()).collect::<Option<Vec<_>>>();
                let name = names.map(|names| names.join(" "));
                let (weight, bias) = self.parameters.prepared.folded.get(name, || {
                    let dtype = weight.dtype();
                    let [scale, shift] = norm.affine();
                    let shift = match bias {
                        Some(bias) => to_single(bias) * scale.clone() + shift,
                        None => shift,
                    };
                    let weight = to_single(weight) * scale.reshape([-1, 1, 1, 1]);
                    (weight.cast(dtype), shift.cast(dtype))
                });
                (weight, Some(bias))
            }
        };
        let residual = chain.then_sum();
        let activation = chain.then_activation().unwrap_or(Activation::None);
        Some((FusedConv::new(weight, bias, window, op.options.groups), residual, activation))
    }
}

fn to_single<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(DType::F32)
}

/// Returns the window of a convolution with symmetric padding.
fn window(op: &Conv2dOpIr) -> Option<Window> {
    let [rows, columns] = op.options.padding;
    (rows.0 == rows.1 && columns.0 == columns.1).then_some(Window {
        stride: op.options.stride,
        padding: [rows.0, columns.0],
        dilation: op.options.dilation,
    })
}
