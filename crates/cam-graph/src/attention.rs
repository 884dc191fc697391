//! Splits fused attention into the weight matrix and its product with the values, for methods that read the matrix.

use crate::Error;
use crate::axes::{Axis, Operand};
use crate::graph::{Fused, Operator, Special};
use crate::operators::Slots;
use burn::backend::ir::{
    AttentionOpIr, FloatOperationIr, MatmulOpIr, ModuleOperationIr, OperationIr, TensorId, TensorIr,
};
use burn::backend::{DispatchTensor, TensorMetadata};
use burn::tensor::{Bool, Device, Int, Tensor};

/// Returns the operator unchanged, or the two operators of a fused attention.
pub(crate) fn split(ir: OperationIr, slots: &mut Slots, device: &Device) -> Result<Vec<Operator>, Error> {
    let OperationIr::Module(ModuleOperationIr::Attention(op)) = &ir else {
        return Ok(vec![Operator::new(ir, slots, device)?]);
    };
    let op = op.clone();
    let id = mirrored(op.out.id);
    let (q, k) = (op.query.shape.as_slice(), op.key.shape.as_slice());
    let weights = TensorIr::uninit(id, [q[0], q[1], q[2], k[2]].into(), op.out.dtype);

    let scores = MatmulOpIr { lhs: op.query.clone(), rhs: op.key.clone(), out: weights.clone() };
    let mut first =
        Operator::new(OperationIr::Float(op.out.dtype, FloatOperationIr::Matmul(scores)), slots, device)?;
    let read = [Some(&op.query), Some(&op.key), op.mask.as_ref(), op.attn_bias.as_ref()];
    let [q, k, mask, bias] = read.map(|tensor| tensor.map(|tensor| slots.get_or_insert(tensor.id)));
    let (q, k) = (q.expect("a query"), k.expect("a key"));
    let out = slots.get_or_insert(weights.id);
    first.inputs = [Some(q), Some(k), mask, bias].into_iter().flatten().collect();
    first.special = Special::Weights;
    let options = op.clone();
    first.kernel = Box::new(move |values| {
        let (q, k) = (values.read(q), values.read(k));
        let [mask, bias] = [mask, bias].map(|slot| slot.map(|slot| values.read(slot)));
        values.write(out, matrix(&options, q, k, mask, bias));
    });

    let product = MatmulOpIr { lhs: weights, rhs: op.value.clone(), out: op.out.clone() };
    let mut second =
        Operator::new(OperationIr::Float(op.out.dtype, FloatOperationIr::Matmul(product)), slots, device)?;
    let whole = Operator::new(ir, slots, device)?;
    second.fused = Some(Fused { kernel: whole.kernel, inputs: whole.inputs, attention: op });
    Ok(vec![first, second])
}

/// Returns an unused id for the weights of the attention with this output: the ids of recordings count up from 0.
fn mirrored(id: TensorId) -> TensorId {
    TensorId::new(u64::MAX - id.value())
}

/// Returns the id in the recording of an output, or of the attention whose weights it is.
pub(crate) fn original(id: TensorId) -> TensorId {
    if id.value() > u64::MAX / 2 { mirrored(id) } else { id }
}

/// Returns the axes of the matrix: those of the queries, then the tokens of the keys.
pub(crate) fn axes(operands: &[Operand<'_>]) -> Option<Vec<Axis>> {
    let (q, k) = (operands.first()?.axes?, operands.get(1)?.axes?);
    Some(vec![q[0].clone(), q[1].clone(), q[2].clone(), k[2].clone()])
}

/// Returns $\mathrm{softmax}(Q K^\top \cdot s)$ with the masks and biases of Burn's attention.
///
/// # Shapes
/// - q: `[batch, heads, queries, channels]`, k: `[batch, heads, keys, channels]`
/// - output: `[batch, heads, queries, keys]`
fn matrix(
    op: &AttentionOpIr,
    q: DispatchTensor,
    k: DispatchTensor,
    mask: Option<DispatchTensor>,
    bias: Option<DispatchTensor>,
) -> DispatchTensor {
    let channels = q.shape().as_slice()[3];
    let (q, k) = (Tensor::<4>::from_dispatch(q), Tensor::<4>::from_dispatch(k));
    let scale = op.options.scale.map_or_else(|| (channels as f64).powf(-0.5), |scale| scale.elem::<f64>());
    let mut scores = (q * scale).matmul(k.swap_dims(2, 3));
    if let Some(cap) = op.options.softcap {
        let cap = cap.elem::<f64>();
        scores = (scores / cap).tanh() * cap;
    }
    if let Some(mask) = mask {
        scores = scores.mask_fill(Tensor::<4, Bool>::from_dispatch(mask), f64::NEG_INFINITY);
    }
    if op.options.is_causal {
        let [_, _, queries, keys] = scores.dims();
        let device = scores.device();
        let rows: Tensor<2, Int> = Tensor::arange(0..queries as i64, &device).reshape([queries, 1]);
        let columns: Tensor<2, Int> = Tensor::arange(0..keys as i64, &device).reshape([1, keys]);
        let later = columns.greater(rows + (keys as i64 - queries as i64));
        let later: Tensor<4, Bool> = later.reshape([1, 1, queries, keys]);
        let shape = scores.dims();
        scores = scores.mask_fill(later.expand(shape), f64::NEG_INFINITY);
    }
    if let Some(bias) = bias {
        scores = scores + Tensor::<4>::from_dispatch(bias);
    }
    // As in Burn's attention, a fully masked query has no weights.
    let limits = scores.dtype().finfo().expect("scores are floats");
    let most = scores.clone().max_dim(3).clamp_min(limits.min);
    let weights = (scores - most).exp();
    let sum = weights.clone().sum_dim(3).clamp_min(limits.min_positive);
    (weights / sum).into_dispatch()
}
