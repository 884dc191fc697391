//! Skips unread tokens: if the output of a transformer reads only a few tokens, the last operators are not computed for the others.

use super::{Kernel, Matrix, Region, Role};
use crate::graph::{Graph, Special};
use crate::values::Slot;
use burn::backend::ir::{BaseOperationIr as Base, NumericOperationIr as Numeric, OperationIr, TensorIr};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Tensor;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Returns regions at the ends of transformers whose output reads only a few tokens. The other tokens are computed only if a tap reads
/// them.
///
/// The slice of these tokens is moved forward: from its position back over operators that treat each token by itself, to an attention of
/// which only some queries are needed.
pub(crate) fn unread_tokens(
    graph: &Graph,
    regions: &[Region],
    slot: impl Fn(&TensorIr) -> Slot,
) -> Vec<Region> {
    let region_of: HashMap<Slot, &Region> = regions.iter().map(|region| (region.output, region)).collect();
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (index, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(index));
    }
    let search = Search { graph, region_of, readers, slot: &slot };
    (0..graph.operators.len()).filter_map(|index| search.region(index)).collect()
}

struct Search<'a> {
    graph: &'a Graph,
    /// The region that writes each slot.
    region_of: HashMap<Slot, &'a Region>,
    readers: HashMap<Slot, Vec<usize>>,
    slot: &'a dyn Fn(&TensorIr) -> Slot,
}

/// A step of such a region, on the needed tokens.
enum Step {
    Region(Kernel, Vec<Slot>),
    Sum(Slot, Slot),
    /// Multiplies each token by the same values, or adds them.
    Scale(Slot, Box<DispatchTensor>),
    Shift(Slot, Box<DispatchTensor>),
    /// Slices the needed tokens.
    Slice(Slot),
    /// The attention of the needed tokens to all tokens.
    Attention {
        x: Slot,
        heads: usize,
        matrix: Arc<Matrix>,
    },
}

impl Search<'_> {
    fn region(&self, index: usize) -> Option<Region> {
        let OperationIr::BaseFloat(Base::Slice(op)) = &self.graph.operators[index].ir else { return None };
        let &[batch, tokens, width] = op.tensor.shape.as_slice() else { return None };
        let &[_, count, _] = op.out.shape.as_slice() else { return None };
        let is_first =
            op.ranges.first_chunk::<2>().is_some_and(|[_, range]| range.start == 0 && range.step == 1);
        if !is_first || count >= tokens || op.out.shape.as_slice() != [batch, count, width] {
            return None;
        }
        let start = (self.slot)(&op.tensor);
        let mut operators: HashSet<usize> = HashSet::from([index]);
        let mut steps: Vec<(usize, Slot, Step)> = Vec::new();
        let (mut open, mut seen, mut whole) = (vec![start], HashSet::new(), Vec::new());
        let mut has_attention = false;
        // The latest value is processed first, so that all readers of a value are known by then.
        while let Some(at) = open.iter().max_by_key(|slot| self.graph.producers[**slot]).copied() {
            open.retain(|slot| *slot != at);
            if !seen.insert(at) {
                continue;
            }
            let is_own = |operators: &HashSet<usize>| {
                self.readers.get(&at).is_some_and(|readers| {
                    readers.len() == self.graph.reads[at] as usize
                        && readers.iter().all(|reader| operators.contains(reader))
                })
            };
            let found = self.graph.producers[at]
                .filter(|_| is_own(&operators))
                .and_then(|index| self.step(at, index));
            match found {
                Some((own, step)) => {
                    operators.extend(own);
                    match &step {
                        Step::Region(_, inputs) => open.extend(inputs),
                        Step::Sum(a, b) => open.extend([*a, *b]),
                        Step::Scale(x, _) | Step::Shift(x, _) => open.push(*x),
                        Step::Attention { x, .. } => {
                            has_attention = true;
                            whole.push(*x);
                        }
                        Step::Slice(_) => {}
                    }
                    steps.push((self.graph.producers[at]?, at, step));
                }
                None => {
                    whole.push(at);
                    steps.push((0, at, Step::Slice(at)));
                }
            }
        }
        if !has_attention {
            return None;
        }
        // A value of all tokens counts once per read of the operators of this region.
        whole.sort_unstable();
        whole.dedup();
        let reads = |slot: &Slot| {
            let own = self
                .readers
                .get(slot)
                .map_or(0, |readers| readers.iter().filter(|reader| operators.contains(reader)).count());
            vec![*slot; own]
        };
        let inputs: Vec<Slot> = whole.iter().flat_map(reads).collect();
        steps.sort_by_key(|(index, ..)| *index);
        let names = inputs.clone();
        let kernel: Kernel = Arc::new(move |inputs| {
            let whole: HashMap<Slot, DispatchTensor> =
                names.iter().copied().zip(inputs.iter().cloned()).collect();
            compute_tokens(&steps, &whole, start, count).ok_or(inputs)
        });
        let mut operators: Vec<usize> = operators.into_iter().collect();
        operators.sort_unstable();
        let is_special = operators.iter().any(|index| self.graph.operators[*index].special != Special::None);
        let output = self.graph.operators[index].outputs[0];
        Some(Region { operators, output, inputs, kernel, role: Role::Other, inside: Vec::new(), is_special })
    }

    /// Returns the step that computes a value for some tokens, and the operators that it replaces.
    fn step(&self, at: Slot, index: usize) -> Option<(Vec<usize>, Step)> {
        if let Some(region) = self.region_of.get(&at) {
            return match &region.role {
                Role::Linear { .. } | Role::Norm => {
                    let of_tokens = self.graph.operators[index].shape().len() == 3;
                    let step = Step::Region(region.kernel.clone(), region.inputs.clone());
                    of_tokens.then(|| (region.operators.clone(), step))
                }
                Role::Attention { fused, is_whole: true, .. } => {
                    let row = self.region_of.get(&region.inputs[0])?;
                    let Role::Linear { matrix, is_plain: true } = &row.role else { return None };
                    if self.graph.reads[row.output] as usize != region.inputs.len() {
                        return None;
                    }
                    let step =
                        Step::Attention { x: row.inputs[0], heads: fused.heads, matrix: matrix.clone() };
                    Some(([&region.operators[..], &row.operators].concat(), step))
                }
                Role::Attention { .. } | Role::Other => None,
            };
        }
        let operator = &self.graph.operators[index];
        let OperationIr::NumericFloat(_, op @ (Numeric::Add(pair) | Numeric::Mul(pair))) = &operator.ir
        else {
            return None;
        };
        let shape = operator.shape();
        let is_sum = matches!(op, Numeric::Add(_));
        let [lhs, rhs] = [&pair.lhs, &pair.rhs].map(|side| ((self.slot)(side), side.shape.as_slice()));
        let constant = |slot: Slot| self.graph.constants[slot].clone();
        let step = match (constant(lhs.0), constant(rhs.0)) {
            (None, None) if is_sum && lhs.1 == shape && rhs.1 == shape => Step::Sum(lhs.0, rhs.0),
            (None, Some(numbers)) | (Some(numbers), None) => {
                let x = if self.graph.constants[lhs.0].is_none() { lhs } else { rhs };
                let form = numbers.shape();
                let is_same_for_all = form.as_slice().iter().rev().nth(1).is_none_or(|tokens| *tokens == 1);
                if !is_same_for_all || x.1 != shape || shape.len() != 3 {
                    return None;
                }
                let numbers = Box::new(numbers);
                if is_sum { Step::Shift(x.0, numbers) } else { Step::Scale(x.0, numbers) }
            }
            _ => return None,
        };
        Some((vec![index], step))
    }
}

/// Computes the first tokens of a value by the steps. Returns `None` if a kernel cannot take them.
fn compute_tokens(
    steps: &[(usize, Slot, Step)],
    whole: &HashMap<Slot, DispatchTensor>,
    end: Slot,
    count: usize,
) -> Option<DispatchTensor> {
    let tensor = |tensor: &DispatchTensor| Tensor::<3>::from_dispatch(tensor.clone());
    let mut values: HashMap<Slot, DispatchTensor> = HashMap::new();
    for (_, at, step) in steps {
        let value = match step {
            Step::Slice(slot) => tensor(whole.get(slot)?).narrow(1, 0, count).into_dispatch(),
            Step::Region(kernel, inputs) => {
                let inputs = inputs.iter().map(|slot| values.get(slot).cloned()).collect::<Option<_>>()?;
                kernel(inputs).ok()?
            }
            Step::Sum(a, b) => (tensor(values.get(a)?) + tensor(values.get(b)?)).into_dispatch(),
            Step::Scale(x, numbers) => Dispatch::float_mul(values.get(x)?.clone(), *numbers.clone()),
            Step::Shift(x, numbers) => Dispatch::float_add(values.get(x)?.clone(), *numbers.clone()),
            Step::Attention { x, heads, matrix } => {
                let (weight, bias) = (&matrix.weight, matrix.bias.as_ref());
                cam_nn::first_token_attention(tensor(whole.get(x)?), count, *heads, weight, bias)
                    .into_dispatch()
            }
        };
        values.insert(*at, value);
    }
    values.remove(&end)
}
