//! Attention within windows of an image: tokens are read in place, without window partition and reverse.
//!
//! A linear layer treats all tokens the same way, so it commutes with a reordering of tokens. The order is determined by applying the
//! operators to the indices of the tokens.

use super::{Kernel, Region, Role, deduplicate, reshaped};
use crate::graph::{Graph, Operator, Special};
use crate::values::Slot;
use burn::backend::ir::{BaseOperationIr as Base, OperationIr};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Device, Shape, Tensor};
use cam_nn::{FusedAttention, FusedLinear};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Returns regions of window partition, attention within windows, and window reverse.
pub(crate) fn windowed_attention(graph: &Graph, regions: &[Region]) -> Vec<Region> {
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(index));
    }
    let search = Search { graph, regions, readers };
    regions.iter().filter_map(|region| search.region(region)).collect()
}

struct Search<'a> {
    graph: &'a Graph,
    regions: &'a [Region],
    /// The operators that read a slot.
    readers: HashMap<Slot, Vec<usize>>,
}

impl<'a> Search<'a> {
    fn region(&self, attention: &Region) -> Option<Region> {
        let Role::Attention { fused, windows, .. } = &attention.role else { return None };
        let row = *attention.inputs.first()?;
        let before = self.regions.iter().find(|region| region.output == row)?;
        let after = self.regions.iter().find(|region| region.inputs.first() == Some(&attention.output))?;
        let (first, second) = (plain_linear(before)?, plain_linear(after)?);
        let own = |region: &Region, slot: Slot| {
            self.is_read_within(slot, &region.operators.iter().copied().collect())
        };
        if !own(attention, row) || !own(after, attention.output) {
            return None;
        }
        let (source, mut reordering) = self.partition(before.inputs[0])?;
        let order = self.row_order(&reordering, source, before.inputs[0])?;
        reordering.extend(&before.operators);
        if !self.is_read_within(before.inputs[0], &reordering) {
            return None;
        }
        let (output, back) = self.reverse(after.output, self.shape(source)?, &order)?;

        // All images must be partitioned like the first one.
        let shape = self.shape(source)?.to_vec();
        let (images, rows) = (shape[0], order.len());
        let (of_image, in_window) = (rows / images, rows / windows);
        let same_for_all_images = order.iter().enumerate().all(|(at, row)| {
            let (image, index) = (at / of_image, at % of_image);
            *row == image * of_image + order[index]
        });
        let members: Vec<Vec<usize>> = order[..of_image].chunks(in_window).map(<[usize]>::to_vec).collect();
        let fits =
            of_image % in_window == 0 && (fused.bias.is_none() || fits_bias(fused, members.len(), in_window));
        if !same_for_all_images || !fits {
            return None;
        }
        let fused = FusedAttention { windows: Arc::new(members), ..fused.clone() };
        let kernel: Kernel = Arc::new(move |inputs| {
            let (channels, (x, times)) = (shape[shape.len() - 1], deduplicate(inputs));
            let x = Tensor::<3>::from_dispatch(reshaped(x, vec![images, of_image, channels]));
            match fused.forward_between(&first, &second, x) {
                Ok(y) => Ok(reshaped(y.into_dispatch(), shape.clone())),
                Err(x) => Err(vec![reshaped(x.into_dispatch(), shape.clone()); times]),
            }
        });
        let parts = [&attention.operators, &after.operators].into_iter().flatten().copied();
        let operators: BTreeSet<usize> = reordering.into_iter().chain(parts).chain(back).collect();
        let reads = self.readers.get(&source)?.iter().filter(|reader| operators.contains(reader)).count();
        let is_special = operators.iter().any(|index| self.graph.operators[*index].special != Special::None);
        Some(Region {
            operators: operators.into_iter().collect(),
            output,
            inputs: vec![source; reads],
            kernel,
            role: Role::Other,
            inside: Vec::new(),
            is_special,
        })
    }

    fn shape(&self, slot: Slot) -> Option<&'a [usize]> {
        self.graph.producers[slot].map(|index| self.graph.operators[index].shape())
    }

    fn is_read_within(&self, slot: Slot, operators: &BTreeSet<usize>) -> bool {
        let readers = self.readers.get(&slot).map_or(&[][..], Vec::as_slice);
        readers.len() == self.graph.reads[slot] as usize
            && readers.iter().all(|reader| operators.contains(reader))
    }

    /// Returns the value of which this one is a reordering, and the operators in between, whose outputs have no other readers.
    fn partition(&self, end: Slot) -> Option<(Slot, BTreeSet<usize>)> {
        let (mut open, mut reordering, mut source) = (vec![end], BTreeSet::new(), None);
        while let Some(slot) = open.pop() {
            let index = self.graph.producers[slot];
            match index.filter(|index| reorders(&self.graph.operators[*index])) {
                Some(index) => {
                    if reordering.insert(index) {
                        open.extend(&self.graph.operators[index].inputs);
                    }
                }
                None if source.is_none_or(|known| known == slot) => source = Some(slot),
                None => return None,
            }
        }
        let inside = reordering.iter().map(|index| self.graph.operators[*index].outputs[0]);
        let is_own = inside.filter(|slot| *slot != end).all(|slot| self.is_read_within(slot, &reordering));
        (is_own && !reordering.is_empty()).then_some((source?, reordering))
    }

    /// Returns the first value of this shape that reverses an order of another value, and the operators in between.
    fn reverse(&self, start: Slot, shape: &[usize], order: &[usize]) -> Option<(Slot, BTreeSet<usize>)> {
        let mut known: BTreeSet<Slot> = BTreeSet::from([start]);
        let mut reordering: BTreeSet<usize> = BTreeSet::new();
        let first = self.graph.producers[start]? + 1;
        for index in first..self.graph.operators.len() {
            let operator = &self.graph.operators[index];
            if !reorders(operator) || !operator.inputs.iter().all(|slot| known.contains(slot)) {
                continue;
            }
            let output = operator.outputs[0];
            known.insert(output);
            reordering.insert(index);
            let inside = known.iter().filter(|slot| **slot != output);
            if operator.shape() != shape
                || !inside.clone().all(|slot| self.is_read_within(*slot, &reordering))
            {
                continue;
            }
            let back = self.row_order(&reordering, start, output)?;
            if back.len() == order.len() && back.iter().enumerate().all(|(at, row)| order[*row] == at) {
                return Some((output, reordering));
            }
        }
        None
    }

    /// Returns for each row of a value the row of another value from which these operators copy it; `None` if they do not move whole rows.
    fn row_order(&self, operators: &BTreeSet<usize>, from: Slot, to: Slot) -> Option<Vec<usize>> {
        let [before, after] = [self.shape(from)?, self.shape(to)?].map(with_one_channel);
        let rows = before.iter().product::<usize>();
        // Single precision represents integers up to 2^24.
        if after.iter().product::<usize>() != rows || rows >= 1 << 24 {
            return None;
        }
        let count: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let numbers = Tensor::<1>::from_floats(count.as_slice(), &Device::flex()).into_dispatch();
        let mut values = HashMap::from([(from, reshaped(numbers, before))]);
        for operator in operators.iter().map(|index| &self.graph.operators[*index]) {
            if reorders(operator) {
                let inputs =
                    operator.inputs.iter().map(|slot| values.get(slot).cloned()).collect::<Option<_>>()?;
                values.insert(operator.outputs[0], move_rows(&operator.ir, inputs)?);
            }
        }
        let found = Tensor::<1>::from_dispatch(reshaped(values.remove(&to)?, vec![rows]));
        let found: Vec<f32> = found.into_data().try_into_vec::<f32>().ok()?;
        Some(found.into_iter().map(|row| row as usize).collect())
    }
}

/// Returns the shape with one channel in the last axis.
fn with_one_channel(shape: &[usize]) -> Vec<usize> {
    [&shape[..shape.len().saturating_sub(1)], &[1]].concat()
}

/// Applies an operator that moves rows to values of one channel. Returns `None` if it moves channels.
fn move_rows(operator: &OperationIr, mut inputs: Vec<DispatchTensor>) -> Option<DispatchTensor> {
    let OperationIr::BaseFloat(op) = operator else { return None };
    let channels = |shape: &Shape| shape.as_slice().last().copied();
    let is_last = |shape: &Shape, axis: usize| axis + 1 == shape.num_dims();
    if let Base::Cat(op) = op {
        return (!is_last(&op.out.shape, op.dim)).then(|| Dispatch::float_cat(inputs, op.dim));
    }
    let x = inputs.pop()?;
    match op {
        Base::Reshape(op) => (channels(&op.input.shape) == channels(&op.out.shape))
            .then(|| reshaped(x, with_one_channel(op.out.shape.as_slice()))),
        Base::SwapDims(op) => {
            let moves_channels = is_last(&op.out.shape, op.dim1) || is_last(&op.out.shape, op.dim2);
            (!moves_channels).then(|| Dispatch::float_swap_dims(x, op.dim1, op.dim2))
        }
        Base::Permute(op) => {
            let stays = op.axes.last().is_some_and(|axis| is_last(&op.out.shape, *axis));
            stays.then(|| Dispatch::float_permute(x, &op.axes))
        }
        Base::Slice(op) => {
            let of_rows = op.out.shape.num_dims() - 1;
            // The same number of channels may be reversed.
            let stays = channels(&op.tensor.shape) == channels(&op.out.shape)
                && op.ranges.get(of_rows).is_none_or(|range| range.step == 1);
            stays.then(|| Dispatch::float_slice(x, &op.ranges[..of_rows.min(op.ranges.len())]))
        }
        _ => None,
    }
}

/// Returns the linear layer of a region that is only a linear layer.
fn plain_linear(region: &Region) -> Option<FusedLinear> {
    let Role::Linear { matrix, is_plain: true } = &region.role else { return None };
    FusedLinear::new(matrix.weight.clone(), matrix.bias.clone())
}

/// Reports whether a bias is for this number of windows, or the same for all.
fn fits_bias(fused: &FusedAttention, windows: usize, tokens: usize) -> bool {
    let square = fused.heads * tokens * tokens;
    fused.bias.as_ref().is_some_and(|bias| [square, windows * square].contains(&bias.len()))
}

/// Reports whether an operator only reorders the values of its inputs.
fn reorders(operator: &Operator) -> bool {
    let OperationIr::BaseFloat(op) = &operator.ir else { return false };
    let is_order =
        matches!(op, Base::Reshape(_) | Base::SwapDims(_) | Base::Permute(_) | Base::Slice(_) | Base::Cat(_));
    is_order && operator.constants.is_empty()
}
