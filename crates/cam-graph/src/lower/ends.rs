//! Ends of transformers: where the output reads a few tokens only, the others are not computed to the end.

use super::{Kernel, Matrix, Region, Role};
use crate::graph::{Graph, Special};
use crate::values::Slot;
use burn::backend::ir::{BaseOperationIr as Base, NumericOperationIr as Numeric, OperationIr, TensorIr};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Tensor;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The ends of transformers whose output reads a few tokens only: what becomes of the others there is computed where somebody looks.
///
/// What is read is cut out early instead of late. It goes back from the slice over what is done to each token by itself, to an attention
/// of whose queries only some are needed.
pub(crate) fn ends(graph: &Graph, regions: &[Region], slot: impl Fn(&TensorIr) -> Slot) -> Vec<Region> {
    let region_of: HashMap<Slot, &Region> = regions.iter().map(|region| (region.output, region)).collect();
    let mut readers: HashMap<Slot, Vec<usize>> = HashMap::new();
    for (place, operator) in graph.operators.iter().enumerate() {
        operator.inputs.iter().for_each(|slot| readers.entry(*slot).or_default().push(place));
    }
    let search = Ends { graph, region_of, readers, slot: &slot };
    (0..graph.operators.len()).filter_map(|place| search.end(place)).collect()
}

struct Ends<'a> {
    graph: &'a Graph,
    /// The region that gives a slot.
    region_of: HashMap<Slot, &'a Region>,
    readers: HashMap<Slot, Vec<usize>>,
    slot: &'a dyn Fn(&TensorIr) -> Slot,
}

/// One step of an end, on the tokens that are needed.
enum Step {
    Region(Kernel, Vec<Slot>),
    Sum(Slot, Slot),
    /// Each token times or plus the same numbers.
    Scale(Slot, Box<DispatchTensor>),
    Shift(Slot, Box<DispatchTensor>),
    /// The needed ones of all tokens.
    Cut(Slot),
    /// The attention of the needed tokens to all.
    Attention {
        x: Slot,
        heads: usize,
        matrix: Arc<Matrix>,
    },
}

impl Ends<'_> {
    fn end(&self, place: usize) -> Option<Region> {
        let OperationIr::BaseFloat(Base::Slice(op)) = &self.graph.operators[place].ir else { return None };
        let &[batch, tokens, width] = op.tensor.shape.as_slice() else { return None };
        let &[_, count, _] = op.out.shape.as_slice() else { return None };
        let is_first =
            op.ranges.first_chunk::<2>().is_some_and(|[_, range]| range.start == 0 && range.step == 1);
        if !is_first || count >= tokens || op.out.shape.as_slice() != [batch, count, width] {
            return None;
        }
        let start = (self.slot)(&op.tensor);
        let mut operators: HashSet<usize> = HashSet::from([place]);
        let mut steps: Vec<(usize, Slot, Step)> = Vec::new();
        let (mut open, mut seen, mut whole) = (vec![start], HashSet::new(), Vec::new());
        let mut has_attention = false;
        // What finishes last is looked at first, so that all readers of a value are known when its turn comes.
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
                .and_then(|place| self.step(at, place));
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
                        Step::Cut(_) => {}
                    }
                    steps.push((self.graph.producers[at]?, at, step));
                }
                None => {
                    whole.push(at);
                    steps.push((0, at, Step::Cut(at)));
                }
            }
        }
        if !has_attention {
            return None;
        }
        // A whole value is read by the operators here as often as they do.
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
        steps.sort_by_key(|(place, ..)| *place);
        let names = inputs.clone();
        let kernel: Kernel = Arc::new(move |inputs| {
            let whole: HashMap<Slot, DispatchTensor> =
                names.iter().copied().zip(inputs.iter().cloned()).collect();
            some_tokens(&steps, &whole, start, count).ok_or(inputs)
        });
        let mut operators: Vec<usize> = operators.into_iter().collect();
        operators.sort_unstable();
        let is_special = operators.iter().any(|place| self.graph.operators[*place].special != Special::None);
        let output = self.graph.operators[place].outputs[0];
        Some(Region { operators, output, inputs, kernel, role: Role::Other, inside: Vec::new(), is_special })
    }

    /// How a value is computed for some of the tokens, and by which operators.
    fn step(&self, at: Slot, place: usize) -> Option<(Vec<usize>, Step)> {
        if let Some(region) = self.region_of.get(&at) {
            return match &region.role {
                Role::Linear { .. } | Role::Norm => {
                    let of_tokens = self.graph.operators[place].shape().len() == 3;
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
        let operator = &self.graph.operators[place];
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
        Some((vec![place], step))
    }
}

/// The first tokens of a value, by steps; `None` where a kernel cannot take them.
fn some_tokens(
    steps: &[(usize, Slot, Step)],
    whole: &HashMap<Slot, DispatchTensor>,
    end: Slot,
    count: usize,
) -> Option<DispatchTensor> {
    let tensor = |tensor: &DispatchTensor| Tensor::<3>::from_dispatch(tensor.clone());
    let mut values: HashMap<Slot, DispatchTensor> = HashMap::new();
    for (_, at, step) in steps {
        let value = match step {
            Step::Cut(slot) => tensor(whole.get(slot)?).narrow(1, 0, count).into_dispatch(),
            Step::Region(kernel, inputs) => {
                let inputs = inputs.iter().map(|slot| values.get(slot).cloned()).collect::<Option<_>>()?;
                kernel(inputs).ok()?
            }
            Step::Sum(a, b) => (tensor(values.get(a)?) + tensor(values.get(b)?)).into_dispatch(),
            Step::Scale(x, numbers) => Dispatch::float_mul(values.get(x)?.clone(), *numbers.clone()),
            Step::Shift(x, numbers) => Dispatch::float_add(values.get(x)?.clone(), *numbers.clone()),
            Step::Attention { x, heads, matrix } => {
                let (weight, bias) = (&matrix.weight, matrix.bias.as_ref());
                cam_nn::attention_of_first(tensor(whole.get(x)?), count, *heads, weight, bias).into_dispatch()
            }
        };
        values.insert(*at, value);
    }
    values.remove(&end)
}
