//! A convolution with a following BatchNorm, residual sum and activation.

use super::{Chain, Kernel, Lowering, Region, Role};
use burn::backend::ir::{Conv2dOpIr, ModuleOperationIr as Module, OperationIr};
use burn::tensor::{DType, Tensor};
use cam_nn::{Activation, FusedConv, Window};
use std::sync::Arc;

impl Lowering<'_> {
    pub(super) fn convolution(&self, index: usize) -> Option<Region> {
        let OperationIr::Module(Module::Conv2d(op)) = &self.graph.operators[index].ir else { return None };
        let x = (self.slot)(&op.x);
        let window = window(op)?;
        let weight = Tensor::<4>::from_dispatch(self.constant(&op.weight)?);
        let bias = match &op.bias {
            Some(bias) => Some(self.vector(bias)?),
            None => None,
        };
        if !self.varies(x) {
            return None;
        }
        let mut chain = Chain::new(self, index);
        let norm = chain.then(|operator, _| {
            let OperationIr::Module(Module::BatchNorm(norm)) = operator else { return None };
            let parameters = [&norm.gamma, &norm.beta, &norm.mean, &norm.variance];
            let [gamma, beta, mean, variance] = parameters.map(|parameter| self.vector(parameter));
            let ids = parameters.map(|parameter| parameter.id);
            Some((ids, [gamma?, beta?, mean?, variance?], norm.epsilon.elem::<f64>()))
        });
        let (weight, bias) = match norm {
            None if !self.use_kernels => return None,
            None => (weight, bias),
            Some((ids, [gamma, beta, mean, variance], epsilon)) => {
                let ids = ids.into_iter().chain([op.weight.id]).chain(op.bias.as_ref().map(|bias| bias.id));
                let names = ids.map(|id| self.parameters.names.get(&id).cloned()).collect::<Option<Vec<_>>>();
                let name = names.map(|names| names.join(" "));
                let (weight, bias) = self.parameters.prepared.folded.get(name, || {
                    // Half precision is not precise enough.
                    let dtype = weight.dtype();
                    let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(to_single);
                    let scale = gamma / (variance + epsilon).sqrt();
                    let off = bias.map(to_single).map_or_else(|| -mean.clone(), |bias| bias - mean.clone());
                    let weight = to_single(weight) * scale.clone().reshape([-1, 1, 1, 1]);
                    (weight.cast(dtype), (off * scale + beta).cast(dtype))
                });
                (weight, Some(bias))
            }
        };
        let residual = chain.then_sum();
        let activation = chain.then_activation().unwrap_or(Activation::None);
        let conv = FusedConv::new(weight, bias, window, op.options.groups);
        let kernel: Kernel = Arc::new(move |inputs| {
            let mut inputs = inputs.into_iter().map(Tensor::<4>::from_dispatch);
            let x = inputs.next().expect("the convolution has an input");
            Ok(conv.forward(x, inputs.next(), activation).into_dispatch())
        });
        Some(chain.region([Some(x), residual].into_iter().flatten(), Role::Other, kernel))
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
