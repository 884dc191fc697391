//! Attention, fused or written as separate operators, of all tokens or within windows, if no tap reads its matrix.

use super::{Chain, Kernel, Lowering, Region, Role, deduplicate, reshaped};
use crate::values::Slot;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    NumericOperationIr as Numeric, OperationIr, SliceOpIr, TensorIr,
};
use burn::backend::{DispatchTensor, Slice, TensorMetadata};
use burn::tensor::{DType, Tensor};
use cam_nn::FusedAttention;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

impl Lowering<'_> {
    /// Returns the region of an attention that ends with this operator.
    pub(super) fn attention(&self, index: usize) -> Option<Region> {
        let Attention { inputs, shape: [batch, heads, tokens, size], operators, windows, bias } =
            self.fused_attention(index).or_else(|| self.written_attention(index))?;
        if !inputs.iter().all(|slot| self.varies(*slot)) {
            return None;
        }
        let is_whole = windows == 1 && bias.is_none();
        let members = (0..windows).map(|window| (window * tokens..(window + 1) * tokens).collect()).collect();
        let fused = FusedAttention { heads, windows: Arc::new(members), bias };
        let role = Role::Attention { fused: fused.clone(), windows: batch, is_whole };
        let by_windows = [batch / windows, windows * tokens];
        let mut chain = Chain::new(self, index);
        chain.operators.extend(&operators);
        // Queries, keys and values that one layer outputs together are read in place.
        let parts = [0, 1, 2].map(|part| {
            let slot = inputs[part];
            let found = self.part(slot, part, heads * size);
            found.or_else(|| self.part_of_heads(slot, part, [batch, heads, tokens, size]))
        });
        if let [Some((row, first)), Some((row_of_keys, second)), Some((row_of_values, third))] = &parts
            && row == row_of_keys
            && row == row_of_values
            && chain.then(|operator, _| is_exchange(operator)).is_some()
            && chain
                .then(|operator, _| {
                    let OperationIr::BaseFloat(Base::Reshape(op)) = operator else { return None };
                    (op.out.shape.as_slice() == [batch, tokens, heads * size]).then_some(())
                })
                .is_some()
        {
            let all: HashSet<usize> = [first, second, third].into_iter().flatten().copied().collect();
            let reads = all.iter().filter(|index| self.graph.operators[**index].inputs[0] == *row).count();
            chain.operators.extend(all);
            let kernel: Kernel = Arc::new(move |inputs| {
                let ([images, of_image], (qkv, times)) = (by_windows, deduplicate(inputs));
                let shape = qkv.shape().as_slice().to_vec();
                let qkv = reshaped(qkv, vec![images, of_image, 3 * heads * size]);
                match fused.forward(Tensor::from_dispatch(qkv)) {
                    Ok(y) => Ok(reshaped(y.into_dispatch(), vec![batch, tokens, heads * size])),
                    Err(qkv) => Err(vec![reshaped(qkv.into_dispatch(), shape); times]),
                }
            });
            return Some(chain.region(vec![*row; reads], role, kernel));
        }
        let mut chain = Chain::new(self, index);
        chain.operators.extend(operators);
        let kernel: Kernel = Arc::new(move |inputs| {
            let rows = |x: &DispatchTensor| {
                let [images, of_image] = by_windows;
                Tensor::<4>::from_dispatch(x.clone()).swap_dims(1, 2).reshape([
                    images,
                    of_image,
                    heads * size,
                ])
            };
            let qkv = Tensor::<3>::cat(inputs.iter().map(rows).collect(), 2);
            let y = fused.forward(qkv).map_err(|_| inputs)?;
            Ok(y.reshape([batch, tokens, heads, size]).swap_dims(1, 2).into_dispatch())
        });
        Some(chain.region(inputs, Role::Other, kernel))
    }

    /// Matches Burn's attention, as the graph splits it.
    fn fused_attention(&self, index: usize) -> Option<Attention> {
        let op = &self.graph.operators[index].fused.as_ref()?.attention;
        let shape: [usize; 4] = op.query.shape.as_slice().try_into().ok()?;
        let is_plain = op.mask.is_none()
            && op.attn_bias.is_none()
            && op.options.softcap.is_none()
            && !op.options.is_causal
            && op.options.scale.is_none_or(|scale| is_default_scale(scale.elem(), shape[3]));
        let same_shapes = op.key.shape.as_slice() == shape && op.value.shape.as_slice() == shape;
        let weights = self.graph.producers[self.graph.operators[index].inputs[0]]?;
        (is_plain && same_shapes && op.out.dtype == DType::F32).then(|| Attention {
            inputs: [&op.query, &op.key, &op.value].map(|tensor| (self.slot)(tensor)),
            shape,
            operators: vec![weights],
            windows: 1,
            bias: None,
        })
    }

    /// Matches attention written as separate operators: `softmax(q * scale @ k.transpose() + bias) @ v`, with the scale at the queries, at
    /// the keys or at the product, and a constant bias of heads or windows.
    fn written_attention(&self, index: usize) -> Option<Attention> {
        let OperationIr::Float(_, Float::Matmul(weighted)) = &self.graph.operators[index].ir else {
            return None;
        };
        let shape: [usize; 4] = weighted.out.shape.as_slice().try_into().ok()?;
        let [batch, heads, tokens, size] = shape;
        let mut back = Backwards { lowering: self, operators: Vec::new() };
        let weights = back.before(&weighted.lhs)?;
        let OperationIr::Activation(Activation::Softmax(softmax)) =
            back.over_windows(weights, [heads, tokens])?
        else {
            return None;
        };
        if softmax.axis + 1 != softmax.out.shape.num_dims() {
            return None;
        }
        let mut scores = back.before(&softmax.input)?;
        let mut biases = Vec::new();
        while let OperationIr::NumericFloat(_, Numeric::Add(op)) = scores {
            let (x, bias) = match self.constant(&op.rhs) {
                Some(bias) => (&op.lhs, bias),
                None => (&op.rhs, self.constant(&op.lhs)?),
            };
            biases.push(bias);
            scores = back.before(x)?;
        }
        scores = back.over_windows(scores, [heads, tokens])?;
        let mut scale = 1.0;
        if let Some((input, factor)) = scaled(scores) {
            scale *= factor;
            scores = back.before(input)?;
        }
        let OperationIr::Float(_, Float::Matmul(product)) = scores else { return None };
        let transposed = back.unscaled(&product.rhs, &mut scale)?;
        let keys = match back.before(transposed)? {
            OperationIr::BaseFloat(Base::SwapDims(op))
                if op.dim1.min(op.dim2) == 2 && op.dim1.max(op.dim2) == 3 =>
            {
                &op.input
            }
            OperationIr::BaseFloat(Base::Permute(op)) if op.axes == [0, 1, 3, 2] => &op.input,
            _ => return None,
        };
        let keys = back.unscaled(keys, &mut scale)?;
        let queries = back.unscaled(&product.lhs, &mut scale)?;
        let shapes_match =
            [queries, keys, &weighted.rhs].iter().all(|tensor| tensor.shape.as_slice() == shape);
        if !is_default_scale(scale, size) || !shapes_match || weighted.out.dtype != DType::F32 {
            return None;
        }
        let (windows, bias) = window_bias(biases, [batch, heads, tokens])?;
        let inputs = [queries, keys, &weighted.rhs].map(|tensor| (self.slot)(tensor));
        Some(Attention { inputs, shape, operators: back.operators, windows, bias })
    }

    /// Returns the value `[batch, tokens, 3 * width]` of which a slot `[batch, heads, tokens, size]` is the first, second or third part, and
    /// the operators that slice it.
    fn part(&self, slot: Slot, part: usize, width: usize) -> Option<(Slot, Vec<usize>)> {
        let (mut at, mut operators, mut is_cut) = (slot, Vec::new(), false);
        loop {
            let index = self.graph.producers[at].filter(|index| !self.taken.contains(index))?;
            let operator = &self.graph.operators[index];
            // The sliced value has three readers, all others have one.
            let is_slice = matches!(operator.ir, OperationIr::BaseFloat(Base::Slice(_)));
            if self.graph.reads[at] != if is_cut { 3 } else { 1 } {
                return None;
            }
            match &operator.ir {
                operator if operators.is_empty() => is_exchange(operator)?,
                OperationIr::BaseFloat(Base::Reshape(_)) => {}
                OperationIr::BaseFloat(Base::Slice(op)) if !is_cut && is_part(op, part, width) => {}
                _ => return None,
            }
            is_cut |= is_slice;
            operators.push(index);
            at = operator.inputs[0];
            let input = operator.ir.inputs().next()?.shape.as_slice();
            if is_cut && input.len() == 3 && input[2] == 3 * width {
                return Some((at, operators));
            }
        }
    }
}

impl Lowering<'_> {
    /// Returns what [`part`](Self::part) does where heads and tokens are exchanged in all parts together, before they are split:
    /// `qkv.reshape([batch, tokens, 3, heads, size]).permute([2, 0, 3, 1, 4])`.
    fn part_of_heads(
        &self,
        slot: Slot,
        part: usize,
        [batch, heads, tokens, size]: [usize; 4],
    ) -> Option<(Slot, Vec<usize>)> {
        let (mut at, mut operators) = (slot, Vec::new());
        let mut before = |reads: u32| {
            let index = self.graph.producers[at].filter(|index| !self.taken.contains(index))?;
            let operator = &self.graph.operators[index];
            let is_read = self.graph.reads[at] == reads;
            operators.push(index);
            at = *operator.inputs.first()?;
            is_read.then_some(&operator.ir)
        };
        let is = |tensor: &TensorIr, shape: &[usize]| (tensor.shape.as_slice() == shape).then_some(());
        let OperationIr::BaseFloat(Base::Reshape(squeezed)) = before(1)? else { return None };
        is(&squeezed.input, &[1, batch, heads, tokens, size])?;
        let OperationIr::BaseFloat(Base::Slice(cut)) = before(1)? else { return None };
        is(&cut.tensor, &[3, batch, heads, tokens, size])?;
        if !cuts(cut, 0, part..part + 1) {
            return None;
        }
        let OperationIr::BaseFloat(Base::Permute(exchanged)) = before(3)? else { return None };
        if exchanged.axes != [2, 0, 3, 1, 4] {
            return None;
        }
        let OperationIr::BaseFloat(Base::Reshape(split)) = before(1)? else { return None };
        is(&split.input, &[batch, tokens, 3 * heads * size])?;
        Some((at, operators))
    }
}

/// A sequence of operators in reverse order, each with the next one as its only reader.
struct Backwards<'a> {
    lowering: &'a Lowering<'a>,
    operators: Vec<usize>,
}

impl<'a> Backwards<'a> {
    /// Returns the operator of a value with a single reader.
    fn before(&mut self, tensor: &TensorIr) -> Option<&'a OperationIr> {
        let graph = self.lowering.graph;
        let slot = (self.lowering.slot)(tensor);
        let index = graph.producers[slot].filter(|index| !self.lowering.taken.contains(index))?;
        self.operators.push(index);
        (graph.reads[slot] == 1).then_some(&graph.operators[index].ir)
    }

    /// Returns the value before one that is multiplied by a number, which is multiplied to `scale`; else the value itself.
    fn unscaled(&mut self, tensor: &'a TensorIr, scale: &mut f64) -> Option<&'a TensorIr> {
        let graph = self.lowering.graph;
        let producer = graph.producers[(self.lowering.slot)(tensor)];
        let Some((input, factor)) = producer.and_then(|index| scaled(&graph.operators[index].ir)) else {
            return Some(tensor);
        };
        self.before(tensor)?;
        *scale *= factor;
        Some(input)
    }

    /// Returns the operator before one that only splits off the axis of windows or merges it; else the operator itself.
    fn over_windows(
        &mut self,
        operator: &'a OperationIr,
        [heads, tokens]: [usize; 2],
    ) -> Option<&'a OperationIr> {
        let OperationIr::BaseFloat(Base::Reshape(op)) = operator else { return Some(operator) };
        let is_kept = |tensor: &TensorIr| tensor.shape.as_slice().ends_with(&[heads, tokens, tokens]);
        if is_kept(&op.input) && is_kept(&op.out) { self.before(&op.input) } else { None }
    }
}

/// Returns the number of windows per image, and the sum of the constants that are added to their scores.
///
/// # Shapes
/// - biases: `[1, windows, heads, tokens, tokens]` or `[windows, heads, tokens, tokens]`, where axes of heads or windows may have
///   length 1
/// - output: `[windows, heads, tokens, tokens]`
#[allow(clippy::type_complexity, reason = "a count and values")]
fn window_bias(
    biases: Vec<DispatchTensor>,
    [batch, heads, tokens]: [usize; 3],
) -> Option<(usize, Option<Arc<Vec<f32>>>)> {
    if biases.is_empty() {
        return Some((1, None));
    }
    let mut windows = 1;
    let mut shapes_match = Vec::new();
    for bias in biases {
        let form = match *bias.shape().as_slice() {
            [1, of_windows, of_heads, rows, columns] | [of_windows, of_heads, rows, columns] => {
                [of_windows, of_heads, rows, columns]
            }
            _ => return None,
        };
        let product = form[2..] == [tokens, tokens] && [1, heads].contains(&form[1]) && batch % form[0] == 0;
        if !product || (form[0] != 1 && windows != 1 && form[0] != windows) {
            return None;
        }
        windows = windows.max(form[0]);
        shapes_match.push((bias, form));
    }
    let whole = [windows, heads, tokens, tokens];
    let add = |sum: Option<Tensor<4>>, (bias, form): (DispatchTensor, [usize; 4])| {
        let bias = Tensor::<4>::from_dispatch(reshaped(bias, form.to_vec())).expand(whole);
        Some(sum.map_or_else(|| bias.clone(), |sum| sum + bias.clone()))
    };
    let sum = shapes_match.into_iter().fold(None, add)?;
    Some((windows, Some(Arc::new(sum.into_data().try_into_vec::<f32>().ok()?))))
}

/// A matched attention of queries, keys and values.
struct Attention {
    inputs: [Slot; 3],
    /// The shape of each input: batch, heads, tokens, size.
    shape: [usize; 4],
    /// Its operators, except the last one.
    operators: Vec<usize>,
    /// The number of windows per image, which are contiguous in the batch.
    windows: usize,
    /// `[windows, heads, tokens, tokens]`
    bias: Option<Arc<Vec<f32>>>,
}

/// Reports whether the scale is the reciprocal square root of the size of a head.
fn is_default_scale(scale: f64, size: usize) -> bool {
    (scale * (size as f64).sqrt() - 1.0).abs() < 1e-6
}

/// Returns the input and the factor of an operator that multiplies by a number.
fn scaled(operator: &OperationIr) -> Option<(&TensorIr, f64)> {
    match operator {
        OperationIr::NumericFloat(_, Numeric::MulScalar(op)) => Some((&op.lhs, op.rhs.elem())),
        OperationIr::NumericFloat(_, Numeric::DivScalar(op)) => Some((&op.lhs, 1.0 / op.rhs.elem::<f64>())),
        _ => None,
    }
}

/// Reports whether a slice is one third of `[batch, tokens, 3, heads, size]` or `[batch, tokens, 3 * width]`.
fn is_part(op: &SliceOpIr, part: usize, width: usize) -> bool {
    let shape = op.tensor.shape.as_slice();
    let third = if shape.len() == 5 { 1 } else { width };
    shape.get(2) == Some(&(3 * third)) && cuts(op, 2, part * third..(part + 1) * third)
}

/// Reports whether a slice is a range of an axis, and the whole of all others.
fn cuts(op: &SliceOpIr, axis: usize, range: Range<usize>) -> bool {
    let shape = op.tensor.shape.as_slice();
    let is_cut = |(at, slice): (usize, &Slice)| {
        let expected = if at == axis { range.clone() } else { 0..shape[at] };
        slice.start == expected.start as isize
            && slice.end.unwrap_or(shape[at] as isize) == expected.end as isize
            && slice.step == 1
    };
    op.ranges.len() > axis && op.ranges.iter().enumerate().all(is_cut)
}

/// Returns `Some` if an operator swaps heads and tokens.
fn is_exchange(operator: &OperationIr) -> Option<()> {
    let is_one = match operator {
        OperationIr::BaseFloat(Base::SwapDims(op)) => {
            [op.dim1, op.dim2] == [1, 2] || [op.dim1, op.dim2] == [2, 1]
        }
        OperationIr::BaseFloat(Base::Permute(op)) => op.axes == [0, 2, 1, 3],
        _ => false,
    };
    is_one.then_some(())
}
