//! Attention within windows of an image: its tokens are read where they are, and not put in windows and back.
//!
//! A linear layer does to each token the same, so the tokens may be put in another order before it or after it. Which order that is, is
//! found by doing it to their numbers.

use super::{Kernel, Region, Role, flattened, one_of};
use crate::graph::{Graph, Operator, Special};
use crate::values::Slot;
use burn::backend::ir::{BaseOperationIr as Base, OperationIr};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Device, Shape, Tensor};
use cam_nn::{Activation as Then, FusedAttention, FusedLinear};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The regions that put an image in windows, attend within them, and put it back.
pub(crate) fn windowed(graph: &Graph, regions: &[Region]) -> Vec<Region> {
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (place, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(place));
    }
    let search = Search { graph, regions, readers };
    regions.iter().filter_map(|region| search.windowed(region)).collect()
}

struct Search<'a> {
    graph: &'a Graph,
    regions: &'a [Region],
    /// The operators that read a slot.
    readers: HashMap<Slot, Vec<usize>>,
}

impl<'a> Search<'a> {
    fn windowed(&self, attention: &Region) -> Option<Region> {
        let Role::Attention { fused, windows, .. } = &attention.role else { return None };
        let row = *attention.inputs.first()?;
        let before = self.regions.iter().find(|region| region.output == row)?;
        let after = self.regions.iter().find(|region| region.inputs.first() == Some(&attention.output))?;
        let (first, second) = (plain(before)?, plain(after)?);
        let own = |region: &Region, slot: Slot| {
            self.is_read_within(slot, &region.operators.iter().copied().collect())
        };
        if !own(attention, row) || !own(after, attention.output) {
            return None;
        }
        let (source, mut moved) = self.gathered(before.inputs[0])?;
        let there = self.order(&moved, source, before.inputs[0])?;
        moved.extend(&before.operators);
        if !self.is_read_within(before.inputs[0], &moved) {
            return None;
        }
        let (output, back) = self.scattered(after.output, self.shape(source)?, &there)?;

        // Each image is put in windows as the first one is.
        let shape = self.shape(source)?.to_vec();
        let (images, rows) = (shape[0], there.len());
        let (of_image, in_window) = (rows / images, rows / windows);
        let is_alike = there.iter().enumerate().all(|(at, row)| {
            let (image, place) = (at / of_image, at % of_image);
            *row == image * of_image + there[place]
        });
        let members: Vec<Vec<usize>> = there[..of_image].chunks(in_window).map(<[usize]>::to_vec).collect();
        let fits =
            of_image % in_window == 0 && (fused.bias.is_none() || fits_bias(fused, members.len(), in_window));
        if !is_alike || !fits {
            return None;
        }
        let fused = FusedAttention { members: Arc::new(members), ..fused.clone() };
        let kernel: Kernel = Arc::new(move |inputs| {
            let (channels, (x, times)) = (shape[shape.len() - 1], one_of(inputs));
            let x = Tensor::<2>::from_dispatch(flattened(x, vec![rows, channels]));
            let qkv = first
                .forward(x, None, Then::None)
                .map_err(|(x, _)| vec![flattened(x.into_dispatch(), shape.clone()); times])?;
            // What comes of one kernel the next one takes.
            let width = qkv.dims()[1];
            let seen = fused.forward(qkv.reshape([images, of_image, width])).expect("it comes of a kernel");
            let seen = seen.reshape([rows, width / 3]);
            let y = second.forward(seen, None, Then::None).expect("it comes of a kernel");
            Ok(flattened(y.into_dispatch(), shape.clone()))
        });
        let parts = [&attention.operators, &after.operators].into_iter().flatten().copied();
        let operators: BTreeSet<usize> = moved.into_iter().chain(parts).chain(back).collect();
        let reads = self.readers.get(&source)?.iter().filter(|reader| operators.contains(reader)).count();
        let is_special = operators.iter().any(|place| self.graph.operators[*place].special != Special::None);
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
        self.graph.producers[slot].map(|place| self.graph.operators[place].shape())
    }

    fn is_read_within(&self, slot: Slot, operators: &BTreeSet<usize>) -> bool {
        let readers = self.readers.get(&slot).map_or(&[][..], Vec::as_slice);
        readers.len() == self.graph.reads[slot] as usize
            && readers.iter().all(|reader| operators.contains(reader))
    }

    /// The value that this one is an order of, and the operators in between, which nobody else reads.
    fn gathered(&self, end: Slot) -> Option<(Slot, BTreeSet<usize>)> {
        let (mut open, mut moved, mut source) = (vec![end], BTreeSet::new(), None);
        while let Some(slot) = open.pop() {
            let place = self.graph.producers[slot];
            match place.filter(|place| moves(&self.graph.operators[*place])) {
                Some(place) => {
                    if moved.insert(place) {
                        open.extend(&self.graph.operators[place].inputs);
                    }
                }
                None if source.is_none_or(|known| known == slot) => source = Some(slot),
                None => return None,
            }
        }
        let inside = moved.iter().map(|place| self.graph.operators[*place].outputs[0]);
        let is_own = inside.filter(|slot| *slot != end).all(|slot| self.is_read_within(slot, &moved));
        (is_own && !moved.is_empty()).then_some((source?, moved))
    }

    /// The first value of this shape that is made of another by the way back from an order, and the operators in between.
    fn scattered(&self, start: Slot, shape: &[usize], there: &[usize]) -> Option<(Slot, BTreeSet<usize>)> {
        let mut known: BTreeSet<Slot> = BTreeSet::from([start]);
        let mut moved: BTreeSet<usize> = BTreeSet::new();
        let first = self.graph.producers[start]? + 1;
        for place in first..self.graph.operators.len() {
            let operator = &self.graph.operators[place];
            if !moves(operator) || !operator.inputs.iter().all(|slot| known.contains(slot)) {
                continue;
            }
            let output = operator.outputs[0];
            known.insert(output);
            moved.insert(place);
            let inside = known.iter().filter(|slot| **slot != output);
            if operator.shape() != shape || !inside.clone().all(|slot| self.is_read_within(*slot, &moved)) {
                continue;
            }
            let back = self.order(&moved, start, output)?;
            if back.len() == there.len() && back.iter().enumerate().all(|(at, row)| there[*row] == at) {
                return Some((output, moved));
            }
        }
        None
    }

    /// Which row of a value each row of another is, that these operators make of it; `None` where they do not move whole rows.
    fn order(&self, operators: &BTreeSet<usize>, from: Slot, to: Slot) -> Option<Vec<usize>> {
        let [before, after] = [self.shape(from)?, self.shape(to)?].map(of_one_channel);
        let rows = before.iter().product::<usize>();
        // Numbers of single precision count to 2^24.
        if after.iter().product::<usize>() != rows || rows >= 1 << 24 {
            return None;
        }
        let count: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let numbers = Tensor::<1>::from_floats(count.as_slice(), &Device::flex()).into_dispatch();
        let mut values = HashMap::from([(from, flattened(numbers, before))]);
        for operator in operators.iter().map(|place| &self.graph.operators[*place]) {
            if moves(operator) {
                let inputs =
                    operator.inputs.iter().map(|slot| values.get(slot).cloned()).collect::<Option<_>>()?;
                values.insert(operator.outputs[0], rows_moved(&operator.ir, inputs)?);
            }
        }
        let found = Tensor::<1>::from_dispatch(flattened(values.remove(&to)?, vec![rows]));
        let found: Vec<f32> = found.into_data().try_into_vec::<f32>().ok()?;
        Some(found.into_iter().map(|row| row as usize).collect())
    }
}

/// The same shape with one channel, which is the last axis.
fn of_one_channel(shape: &[usize]) -> Vec<usize> {
    [&shape[..shape.len().saturating_sub(1)], &[1]].concat()
}

/// What an operator makes of values of one channel, as it moves rows; `None` where it moves channels.
fn rows_moved(operator: &OperationIr, mut inputs: Vec<DispatchTensor>) -> Option<DispatchTensor> {
    let OperationIr::BaseFloat(op) = operator else { return None };
    let channels = |shape: &Shape| shape.as_slice().last().copied();
    let is_last = |shape: &Shape, axis: usize| axis + 1 == shape.num_dims();
    if let Base::Cat(op) = op {
        return (!is_last(&op.out.shape, op.dim)).then(|| Dispatch::float_cat(inputs, op.dim));
    }
    let x = inputs.pop()?;
    match op {
        Base::Reshape(op) => (channels(&op.input.shape) == channels(&op.out.shape))
            .then(|| flattened(x, of_one_channel(op.out.shape.as_slice()))),
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
            // As many channels may be the same in reverse.
            let stays = channels(&op.tensor.shape) == channels(&op.out.shape)
                && op.ranges.get(of_rows).is_none_or(|range| range.step == 1);
            stays.then(|| Dispatch::float_slice(x, &op.ranges[..of_rows.min(op.ranges.len())]))
        }
        _ => None,
    }
}

/// The linear layer that a region is, and nothing else.
fn plain(region: &Region) -> Option<FusedLinear> {
    let Role::Linear { matrix, is_plain: true } = &region.role else { return None };
    FusedLinear::new(matrix.weight.clone(), matrix.bias.clone())
}

/// Whether a bias is of so many windows, or the same for all.
fn fits_bias(fused: &FusedAttention, windows: usize, tokens: usize) -> bool {
    let square = fused.heads * tokens * tokens;
    fused.bias.as_ref().is_some_and(|bias| [square, windows * square].contains(&bias.len()))
}

/// Whether an operator puts numbers of one value, or of several made of one, in another order.
fn moves(operator: &Operator) -> bool {
    let OperationIr::BaseFloat(op) = &operator.ir else { return false };
    let is_order =
        matches!(op, Base::Reshape(_) | Base::SwapDims(_) | Base::Permute(_) | Base::Slice(_) | Base::Cat(_));
    is_order && operator.constants.is_empty()
}
