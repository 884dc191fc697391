//! A convolution with the BatchNorm, the sum with a shortcut and the ReLU that follow it.

use super::{Chain, Kernel, Lowering, Region, Role};
use burn::backend::ir::{
    ActivationOperationIr as Activation, Conv2dOpIr, ModuleOperationIr as Module, OperationIr,
};
use burn::tensor::{DType, Tensor};
use cam_nn::{Activation as Then, FusedConv, Window};
use std::sync::Arc;

impl Lowering<'_> {
    pub(super) fn convolution(&self, place: usize) -> Option<Region> {
        let OperationIr::Module(Module::Conv2d(op)) = &self.graph.operators[place].ir else { return None };
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
        let mut chain = Chain::new(self, place);
        let norm = chain.then(|operator, _| {
            let OperationIr::Module(Module::BatchNorm(norm)) = operator else { return None };
            let parameters = [&norm.gamma, &norm.beta, &norm.mean, &norm.variance];
            let [gamma, beta, mean, variance] = parameters.map(|parameter| self.vector(parameter));
            let ids = parameters.map(|parameter| parameter.id);
            Some((ids, [gamma?, beta?, mean?, variance?], norm.epsilon.elem::<f64>()))
        });
        let (weight, bias) = match norm {
            None if !self.by_kernels => return None,
            None => (weight, bias),
            Some((ids, [gamma, beta, mean, variance], epsilon)) => {
                let ids = ids.into_iter().chain([op.weight.id]).chain(op.bias.as_ref().map(|bias| bias.id));
                let names = ids.map(|id| self.parameters.names.get(&id).cloned()).collect::<Option<Vec<_>>>();
                let name = names.map(|names| names.join(" "));
                let (weight, bias) = self.parameters.prepared.folded.get(name, || {
                    // Half precision has too few bits for it.
                    let dtype = weight.dtype();
                    let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(single);
                    let scale = gamma / (variance + epsilon).sqrt();
                    let off = bias.map(single).map_or_else(|| -mean.clone(), |bias| bias - mean.clone());
                    let weight = single(weight) * scale.clone().reshape([-1, 1, 1, 1]);
                    (weight.cast(dtype), (off * scale + beta).cast(dtype))
                });
                (weight, Some(bias))
            }
        };
        let residual = chain.then_sum();
        let relu = chain.then(|operator, _| {
            matches!(operator, OperationIr::Activation(Activation::Relu(_))).then_some(())
        });
        let conv = FusedConv::new(weight, bias, window, op.options.groups);
        let then = if relu.is_some() { Then::Relu } else { Then::None };
        let kernel: Kernel = Arc::new(move |inputs| {
            let mut inputs = inputs.into_iter().map(Tensor::<4>::from_dispatch);
            let x = inputs.next().expect("a convolution has an input");
            Ok(conv.forward(x, inputs.next(), then).into_dispatch())
        });
        Some(chain.region([Some(x), residual].into_iter().flatten(), Role::Other, kernel))
    }
}

fn single<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(DType::F32)
}

/// The window of a convolution that pads both sides alike.
fn window(op: &Conv2dOpIr) -> Option<Window> {
    let [rows, columns] = op.options.padding;
    (rows.0 == rows.1 && columns.0 == columns.1).then_some(Window {
        stride: op.options.stride,
        padding: [rows.0, columns.0],
        dilation: op.options.dilation,
    })
}
