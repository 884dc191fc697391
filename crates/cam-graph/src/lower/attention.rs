//! Attention, Burn's or written by hand, of all tokens or within windows, whose matrix nobody looks at.

use super::{Chain, Kernel, Lowering, Region, Role, flattened, one_of};
use crate::values::Slot;
use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    NumericOperationIr as Numeric, OperationIr, SliceOpIr, TensorIr,
};
use burn::backend::{DispatchTensor, Slice, TensorMetadata};
use burn::tensor::{DType, Tensor};
use cam_nn::FusedAttention;
use std::collections::HashSet;
use std::sync::Arc;

impl Lowering<'_> {
    /// Attention of all tokens to all, whose matrix nobody looks at.
    pub(super) fn attention(&self, place: usize) -> Option<Region> {
        let Attention { inputs, shape: [batch, heads, tokens, size], operators, windows, bias } =
            self.fused_attention(place).or_else(|| self.written_attention(place))?;
        if !inputs.iter().all(|slot| self.varies(*slot)) {
            return None;
        }
        let is_whole = windows == 1 && bias.is_none();
        let members = (0..windows).map(|window| (window * tokens..(window + 1) * tokens).collect()).collect();
        let fused = FusedAttention { heads, members: Arc::new(members), bias };
        let role = Role::Attention { fused: fused.clone(), windows: batch, is_whole };
        let by_windows = [batch / windows, windows * tokens];
        let mut chain = Chain::new(self, place);
        chain.operators.extend(&operators);
        // Queries, keys and values that one layer gave side by side are read where they are.
        let parts = [0, 1, 2].map(|part| self.part(inputs[part], part, heads * size));
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
            let reads = all.iter().filter(|place| self.graph.operators[**place].inputs[0] == *row).count();
            chain.operators.extend(all);
            let kernel: Kernel = Arc::new(move |inputs| {
                let ([images, of_image], (qkv, times)) = (by_windows, one_of(inputs));
                let shape = qkv.shape().as_slice().to_vec();
                let qkv = flattened(qkv, vec![images, of_image, 3 * heads * size]);
                match fused.forward(Tensor::from_dispatch(qkv)) {
                    Ok(y) => Ok(flattened(y.into_dispatch(), vec![batch, tokens, heads * size])),
                    Err(qkv) => Err(vec![flattened(qkv.into_dispatch(), shape); times]),
                }
            });
            return Some(chain.region(vec![*row; reads], role, kernel));
        }
        let mut chain = Chain::new(self, place);
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

    /// Burn's attention, split as it is in a graph.
    fn fused_attention(&self, place: usize) -> Option<Attention> {
        let op = &self.graph.operators[place].fused.as_ref()?.attention;
        let shape: [usize; 4] = op.query.shape.as_slice().try_into().ok()?;
        let is_plain = op.mask.is_none()
            && op.attn_bias.is_none()
            && op.options.softcap.is_none()
            && !op.options.is_causal
            && op.options.scale.is_none_or(|scale| is_usual(scale.elem(), shape[3]));
        let of_one_form = op.key.shape.as_slice() == shape && op.value.shape.as_slice() == shape;
        let weights = self.graph.producers[self.graph.operators[place].inputs[0]]?;
        (is_plain && of_one_form && op.out.dtype == DType::F32).then(|| Attention {
            inputs: [&op.query, &op.key, &op.value].map(|tensor| (self.slot)(tensor)),
            shape,
            operators: vec![weights],
            windows: 1,
            bias: None,
        })
    }

    /// Attention as it is written by hand: `softmax(q * scale @ k.transpose() + bias) @ v`, the scale at the queries or at the product,
    /// the bias a constant of heads or windows.
    fn written_attention(&self, place: usize) -> Option<Attention> {
        let OperationIr::Float(_, Float::Matmul(taken)) = &self.graph.operators[place].ir else {
            return None;
        };
        let shape: [usize; 4] = taken.out.shape.as_slice().try_into().ok()?;
        let [batch, heads, tokens, size] = shape;
        let mut back = Backwards { lowering: self, operators: Vec::new() };
        let weights = back.before(&taken.lhs)?;
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
        let OperationIr::Float(_, Float::Matmul(fits)) = scores else { return None };
        let keys = match back.before(&fits.rhs)? {
            OperationIr::BaseFloat(Base::SwapDims(op))
                if op.dim1.min(op.dim2) == 2 && op.dim1.max(op.dim2) == 3 =>
            {
                &op.input
            }
            OperationIr::BaseFloat(Base::Permute(op)) if op.axes == [0, 1, 3, 2] => &op.input,
            _ => return None,
        };
        let asked = self.graph.producers[(self.slot)(&fits.lhs)];
        let queries = match asked.and_then(|place| scaled(&self.graph.operators[place].ir)) {
            Some((input, factor)) => {
                back.before(&fits.lhs)?;
                scale *= factor;
                input
            }
            None => &fits.lhs,
        };
        let forms = [queries, keys, &taken.rhs].iter().all(|tensor| tensor.shape.as_slice() == shape);
        if !is_usual(scale, size) || !forms || taken.out.dtype != DType::F32 {
            return None;
        }
        let (windows, bias) = window_bias(biases, [batch, heads, tokens])?;
        let inputs = [queries, keys, &taken.rhs].map(|tensor| (self.slot)(tensor));
        Some(Attention { inputs, shape, operators: back.operators, windows, bias })
    }

    /// The value `[batch, tokens, 3 * width]` whose first, second or third part `[batch, heads, tokens, size]` is, and the operators
    /// that cut it out.
    fn part(&self, slot: Slot, part: usize, width: usize) -> Option<(Slot, Vec<usize>)> {
        let (mut at, mut operators, mut is_cut) = (slot, Vec::new(), false);
        loop {
            let place = self.graph.producers[at].filter(|place| !self.taken.contains(place))?;
            let operator = &self.graph.operators[place];
            // What is cut is read by three, everything else by one.
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
            operators.push(place);
            at = operator.inputs[0];
            let input = operator.ir.inputs().next()?.shape.as_slice();
            if is_cut && input.len() == 3 && input[2] == 3 * width {
                return Some((at, operators));
            }
        }
    }
}

/// Operators one before the other, each read by the next alone.
struct Backwards<'a> {
    lowering: &'a Lowering<'a>,
    operators: Vec<usize>,
}

impl<'a> Backwards<'a> {
    /// The operator that gives a value which nobody else reads.
    fn before(&mut self, tensor: &TensorIr) -> Option<&'a OperationIr> {
        let graph = self.lowering.graph;
        let slot = (self.lowering.slot)(tensor);
        let place = graph.producers[slot].filter(|place| !self.lowering.taken.contains(place))?;
        self.operators.push(place);
        (graph.reads[slot] == 1).then_some(&graph.operators[place].ir)
    }

    /// The operator before one that only gives the windows of an image an axis of their own, or takes it away.
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

/// The sum of constants that are added to the scores of windows, and for how many windows of an image it is.
///
/// # Shapes
/// - biases: `[1, windows, heads, tokens, tokens]` or `[windows, heads, tokens, tokens]`, each axis of heads or windows of length 1 where it
///   is the same for all
/// - output: `[windows, heads, tokens, tokens]`
#[allow(clippy::type_complexity, reason = "a count and numbers")]
fn window_bias(
    biases: Vec<DispatchTensor>,
    [batch, heads, tokens]: [usize; 3],
) -> Option<(usize, Option<Arc<Vec<f32>>>)> {
    if biases.is_empty() {
        return Some((1, None));
    }
    let mut windows = 1;
    let mut forms = Vec::new();
    for bias in biases {
        let form = match *bias.shape().as_slice() {
            [1, of_windows, of_heads, rows, columns] | [of_windows, of_heads, rows, columns] => {
                [of_windows, of_heads, rows, columns]
            }
            _ => return None,
        };
        let fits = form[2..] == [tokens, tokens] && [1, heads].contains(&form[1]) && batch % form[0] == 0;
        if !fits || (form[0] != 1 && windows != 1 && form[0] != windows) {
            return None;
        }
        windows = windows.max(form[0]);
        forms.push((bias, form));
    }
    let whole = [windows, heads, tokens, tokens];
    let add = |sum: Option<Tensor<4>>, (bias, form): (DispatchTensor, [usize; 4])| {
        let bias = Tensor::<4>::from_dispatch(flattened(bias, form.to_vec())).expand(whole);
        Some(sum.map_or_else(|| bias.clone(), |sum| sum + bias.clone()))
    };
    let sum = forms.into_iter().fold(None, add)?;
    Some((windows, Some(Arc::new(sum.into_data().try_into_vec::<f32>().ok()?))))
}

/// Attention of queries, keys and values.
struct Attention {
    inputs: [Slot; 3],
    /// Of each of them: batch, heads, tokens, size.
    shape: [usize; 4],
    /// What it consists of, without the operator that gives its output.
    operators: Vec<usize>,
    /// The windows of an image, which lie side by side in the batch.
    windows: usize,
    /// `[windows, heads, tokens, tokens]`, or the same for all windows
    bias: Option<Arc<Vec<f32>>>,
}

/// Whether scores are divided by the root of the size of a head.
fn is_usual(scale: f64, size: usize) -> bool {
    (scale * (size as f64).sqrt() - 1.0).abs() < 1e-6
}

/// What an operator multiplies by a number, and the number.
fn scaled(operator: &OperationIr) -> Option<(&TensorIr, f64)> {
    match operator {
        OperationIr::NumericFloat(_, Numeric::MulScalar(op)) => Some((&op.lhs, op.rhs.elem())),
        OperationIr::NumericFloat(_, Numeric::DivScalar(op)) => Some((&op.lhs, 1.0 / op.rhs.elem::<f64>())),
        _ => None,
    }
}

/// Whether a slice cuts a third out of `[batch, tokens, 3, heads, size]` or `[batch, tokens, 3 * width]`.
fn is_part(op: &SliceOpIr, part: usize, width: usize) -> bool {
    let shape = op.tensor.shape.as_slice();
    let third = if shape.len() == 5 { 1 } else { width };
    let cuts = |(axis, range): (usize, &Slice)| {
        let (from, to) = if axis == 2 { (part * third, (part + 1) * third) } else { (0, shape[axis]) };
        range.start == from as isize
            && range.end.unwrap_or(shape[axis] as isize) == to as isize
            && range.step == 1
    };
    shape.get(2) == Some(&(3 * third)) && op.ranges.len() > 2 && op.ranges.iter().enumerate().all(cuts)
}

/// Whether an operator exchanges heads and tokens.
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
