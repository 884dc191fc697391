//! Tracks the meaning of the axes of each value through the graph, starting at the input.
//!
//! A layer can be mapped to the input if its values have spatial positions: rows and columns of the input, at some resolution. Shapes do
//! not determine this (`[2, 14, 14, 14]` may be anything), so an axis is identified by its origin.
//!
//! - An [`Axis`] is a concatenation of [`Segment`]s: `[class token, patches]` in a vision transformer.
//! - A segment is a product of [`Digit`]s in row-major order: the patches are `[rows, columns]`.
//! - A digit is a part of a [`Root`] like a digit of a number, `index / low % (high / low)`: windows of 7 split the rows into
//!   `[rows / 7, rows % 7]`, and a later reshape joins them again.
//! - A root is the batch, features, or the positions along one axis of the input at one resolution. It records whether these are all
//!   positions in order, or are cut, padded or rolled.
//!
//! Reshapes split and join digits, transposes move axes, slices and concatenations change roots, convolutions make new roots. The axes of
//! an operator that is not understood become features: a value is offered as a layer only if all its axes are understood, never by a
//! guess.

use burn::backend::Slice;
use burn::backend::ir::{
    BaseOperationIr as Base, FloatOperationIr as Float, ModuleOperationIr as Module,
    NumericOperationIr as Numeric, OperationIr,
};
use cam_core::Tokens;

/// What the indices along a root enumerate.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    Batch,
    /// Channels, heads, tokens without a position, or anything else without a position.
    Feature,
    /// Positions along one spatial axis of the input: 0 for the rows of an image, 1 for its columns.
    Space(usize),
    /// Those of an axis of several segments, which a reshape joins with other axes.
    Joined(Axis),
}

/// The origin of the indices of an axis.
#[derive(Clone, Debug, PartialEq)]
struct Root {
    meaning: Meaning,
    /// The number of positions at this resolution.
    grid: usize,
    /// The first index: positive if positions are cut off, negative if padding precedes them.
    start: isize,
    size: usize,
    /// The number of positions by which it is rolled.
    shift: usize,
}

impl Root {
    fn new(meaning: Meaning, size: usize) -> Self {
        Self { meaning, grid: size, start: 0, size, shift: 0 }
    }

    /// Reports whether all positions are present and in order.
    fn is_aligned(&self) -> bool {
        self.start == 0 && self.size == self.grid && self.shift == 0
    }
}

/// The digits of a root from `low` to `high`: `index / low % (high / low)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Digit {
    root: Root,
    low: usize,
    high: usize,
}

impl Digit {
    fn len(&self) -> usize {
        self.high / self.low
    }

    /// Returns the root if the digit is all of it.
    fn whole(&self) -> Option<Root> {
        (self.low == 1 && self.high == self.root.size).then(|| self.root.clone())
    }
}

/// A product of digits in row-major order. Only positions have digits of length 1: the row of an image of one row is known.
pub(crate) type Segment = Vec<Digit>;

/// A concatenation of segments.
pub(crate) type Axis = Vec<Segment>;

fn axis(meaning: Meaning, size: usize) -> Axis {
    vec![segment(Root::new(meaning, size))]
}

fn features(size: usize) -> Axis {
    axis(Meaning::Feature, size)
}

fn segment(root: Root) -> Segment {
    let size = root.size;
    match root.meaning {
        Meaning::Space(_) => vec![Digit { root, low: 1, high: size }],
        _ if size == 1 => vec![],
        _ => vec![Digit { root, low: 1, high: size }],
    }
}

fn length(segment: &Segment) -> usize {
    segment.iter().map(Digit::len).product()
}

/// Returns the root of a segment that is all of one root.
fn root_of(segment: &Segment) -> Option<Root> {
    match segment.as_slice() {
        [digit] => digit.whole(),
        _ => None,
    }
}

/// Returns the root of an axis that is all of one root.
fn root(axis: &Axis) -> Option<Root> {
    match axis.as_slice() {
        [segment] => root_of(segment),
        _ => None,
    }
}

/// Returns the axes of an input `[batch, channels, space ...]`.
pub(crate) fn input(shape: &[usize]) -> Vec<Axis> {
    let space = shape.iter().skip(2).enumerate().map(|(dim, size)| axis(Meaning::Space(dim), *size));
    [axis(Meaning::Batch, shape[0]), features(shape.get(1).copied().unwrap_or(1))]
        .into_iter()
        .chain(space)
        .take(shape.len())
        .collect()
}

/// Returns the axes of a further input. One of the same shape as the main input has the same positions.
pub(crate) fn further_input(shape: &[usize], main: &[usize]) -> Vec<Axis> {
    let same_shape = shape.len() == main.len() && shape.get(2..) == main.get(2..);
    if same_shape {
        return input(shape);
    }
    let first = if shape.first() == main.first() { Meaning::Batch } else { Meaning::Feature };
    let meanings = std::iter::once(first).chain(std::iter::repeat(Meaning::Feature));
    shape.iter().zip(meanings).map(|(size, meaning)| axis(meaning, *size)).collect()
}

/// The layout of a value, in terms of the layouts of [`cam_core`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    Ncl,
    Nchw,
    Nhwc,
    Ncdhw,
    Tokens(Tokens),
    Attention(Tokens),
}

/// Returns the layout of a value with these axes, if it has one.
///
/// - space: the number of spatial axes of the input
pub(crate) fn layout(axes: &[Axis], space: usize) -> Option<Layout> {
    let (batch, rest) = axes.split_first()?;
    let is_batch = root(batch).is_some_and(|root| root.meaning == Meaning::Batch && root.is_aligned());
    let positions =
        rest.iter().flatten().flatten().filter(|digit| matches!(digit.root.meaning, Meaning::Space(_)));
    // A value of one position is that of a classifier.
    if !is_batch || positions.map(Digit::len).product::<usize>() == 1 {
        return None;
    }
    let channels = |axis: &Axis| axis.iter().flatten().all(|digit| digit.root.meaning == Meaning::Feature);
    let along = |axis: &Axis, dim: usize| {
        root(axis).is_some_and(|root| root.meaning == Meaning::Space(dim) && root.is_aligned())
    };
    match (space, rest) {
        (1, [c, l]) if channels(c) && along(l, 0) => Some(Layout::Ncl),
        (2, [c, h, w]) if channels(c) && along(h, 0) && along(w, 1) => Some(Layout::Nchw),
        (2, [h, w, c]) if channels(c) && along(h, 0) && along(w, 1) => Some(Layout::Nhwc),
        (2, [t, c]) if channels(c) => tokens(t).map(Layout::Tokens),
        (2, [c, q, k]) if channels(c) && tokens(q) == tokens(k) => tokens(k).map(Layout::Attention),
        (3, [c, d, h, w]) if channels(c) && along(d, 0) && along(h, 1) && along(w, 2) => Some(Layout::Ncdhw),
        _ => None,
    }
}

/// Returns the layout of tokens: some without a position, then one per position in row-major order.
fn tokens(axis: &Axis) -> Option<Tokens> {
    let (patches, before) = axis.split_last()?;
    let [h, w] = patches.as_slice() else { return None };
    let (h, w) = (h.whole()?, w.whole()?);
    let in_order =
        h.meaning == Meaning::Space(0) && w.meaning == Meaning::Space(1) && h.is_aligned() && w.is_aligned();
    let prefix_is_features = before.iter().flatten().all(|digit| digit.root.meaning == Meaning::Feature);
    (in_order && prefix_is_features).then(|| Tokens {
        prefix: before.iter().map(length).sum(),
        height: h.size,
        width: w.size,
    })
}

/// What is known about an input of an operator.
pub(crate) struct Operand<'a> {
    /// `None` for constants and for values that are not understood.
    pub axes: Option<&'a [Axis]>,
    pub shape: &'a [usize],
    pub constant: bool,
    /// The indices that a constant holds, if it holds indices.
    pub indices: Option<Vec<i64>>,
}

impl Operand<'_> {
    /// Returns what is known about an axis; `None` for a constant, which is compatible with anything.
    fn axis(&self, dim: usize) -> Option<Axis> {
        match self.axes {
            Some(axes) => Some(axes[dim].clone()),
            None => (!self.constant).then(|| features(self.shape[dim])),
        }
    }
}

/// Returns what several operands know about one axis if they agree, else features.
fn agree(operands: impl IntoIterator<Item = Axis>, size: usize) -> Axis {
    // For an axis of length 1 only operands that know its root count.
    let mut known = operands.into_iter().filter(|axis| size != 1 || root(axis).is_some());
    let first = known.next();
    first.filter(|first| known.all(|other| other == *first)).unwrap_or_else(|| features(size))
}

/// Returns the axes of the output of an operator, given those of its inputs.
///
/// - shape: of the first output
pub(crate) fn follow(operator: &OperationIr, operands: &[Operand<'_>], shape: &[usize]) -> Option<Vec<Axis>> {
    let known = |operand: usize| operands.get(operand).and_then(|operand| operand.axes);
    let axes = match operator {
        OperationIr::Module(op) => match op {
            Module::Attention(_) => {
                let (q, v) = (known(0)?, known(2)?);
                vec![q[0].clone(), q[1].clone(), q[2].clone(), v[3].clone()]
            }
            Module::Linear(_) => projected(known(0)?, shape),
            Module::LayerNorm(_) | Module::BatchNorm(_) => known(0)?.to_vec(),
            Module::Unfold4d(op) => {
                let (known, from) = (known(0)?, operands[0].shape);
                let reach = [0, 1].map(|dim| op.options.dilation[dim] * (op.kernel_size[dim] - 1));
                let [height, width] = [0, 1].map(|dim| {
                    (from[2 + dim] + 2 * op.options.padding[dim]).saturating_sub(reach[dim] + 1)
                        / op.options.stride[dim]
                        + 1
                });
                let image = resampled(known, &[shape[0], shape[1], height, width], &reach);
                let positions = [&image[2][..], &image[3][..]].concat().concat();
                vec![image[0].clone(), features(shape[1]), vec![positions]]
            }
            Module::Conv1d(op) => {
                resampled(known(0)?, shape, &reach(&op.weight.shape[2..], &op.options.dilation))
            }
            Module::Conv2d(op) => {
                resampled(known(0)?, shape, &reach(&op.weight.shape[2..], &op.options.dilation))
            }
            Module::Conv3d(op) => {
                resampled(known(0)?, shape, &reach(&op.weight.shape[2..], &op.options.dilation))
            }
            Module::DeformableConv2d(op) => {
                resampled(known(0)?, shape, &reach(&op.weight.shape[2..], &op.options.dilation))
            }
            Module::AvgPool1d(op) => resampled(known(0)?, shape, &reach(&[op.kernel_size], &[1])),
            Module::AvgPool2d(op) => resampled(known(0)?, shape, &reach(&op.kernel_size, &[1, 1])),
            Module::MaxPool1d(op) => resampled(known(0)?, shape, &reach(&[op.kernel_size], &[op.dilation])),
            Module::MaxPool2d(op) => resampled(known(0)?, shape, &reach(&op.kernel_size, &op.dilation)),
            Module::MaxPool1dWithIndices(op) => {
                resampled(known(0)?, shape, &reach(&[op.kernel_size], &[op.dilation]))
            }
            Module::MaxPool2dWithIndices(op) => {
                resampled(known(0)?, shape, &reach(&op.kernel_size, &op.dilation))
            }
            Module::ConvTranspose1d(_)
            | Module::ConvTranspose2d(_)
            | Module::ConvTranspose3d(_)
            | Module::AdaptiveAvgPool1d(_)
            | Module::AdaptiveAvgPool2d(_)
            | Module::AdaptiveAvgPool3d(_)
            | Module::Interpolate(_) => resampled(known(0)?, shape, &[]),
            _ => return None,
        },
        OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => match op {
            Base::Permute(op) => {
                op.axes.iter().map(|axis| known(0).map(|axes| axes[*axis].clone())).collect::<Option<_>>()?
            }
            Base::SwapDims(op) => {
                let mut axes = known(0)?.to_vec();
                axes.swap(op.dim1, op.dim2);
                axes
            }
            Base::Reshape(_) => regrouped(known(0)?, operands[0].shape, shape),
            Base::Slice(op) => {
                let sliced = |(dim, axis): (usize, &Axis)| match op.ranges.get(dim) {
                    Some(range) => cut(axis, operands[0].shape[dim], range, shape[dim]),
                    None => axis.clone(),
                };
                known(0)?.iter().enumerate().map(sliced).collect()
            }
            Base::Select(op) => {
                let mut axes = known(0)?.to_vec();
                let indices = operands.get(1).and_then(|operand| operand.indices.as_ref());
                axes[op.dim] = indices
                    .and_then(|indices| picked(&axes[op.dim], operands[0].shape[op.dim], indices))
                    .unwrap_or_else(|| features(shape[op.dim]));
                axes
            }
            Base::Cat(op) => joined(operands, op.dim, shape)?,
            Base::Unfold(op) => {
                let mut axes = known(0)?.to_vec();
                axes[op.dim] = strided(&axes[op.dim], shape[op.dim], op.size - 1);
                axes.push(features(op.size));
                axes
            }
            Base::Expand(_) | Base::RepeatDim(_) => {
                let (axes, from) = (known(0)?, operands[0].shape);
                let lead = shape.len().checked_sub(axes.len())?;
                let grown = |dim: usize| match dim.checked_sub(lead) {
                    Some(before) if from[before] == shape[dim] => axes[before].clone(),
                    _ => features(shape[dim]),
                };
                (0..shape.len()).map(grown).collect()
            }
            Base::Flip(op) => {
                let mut axes = known(0)?.to_vec();
                op.axes.iter().for_each(|dim| axes[*dim] = features(shape[*dim]));
                axes
            }
            Base::Gather(op) => {
                let mut axes = known(0)?.to_vec();
                axes[op.dim] = features(shape[op.dim]);
                axes
            }
            Base::SliceAssign(op) => assigned(&op.ranges, operands, shape)?,
            Base::Scatter(_) | Base::ScatterNd(_) | Base::GatherNd(_) | Base::SelectAssign(_) => return None,
            _ => elementwise(operands, shape)?,
        },
        OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => match op {
            Numeric::Pad(op) => {
                let padded = |(dim, axis): (usize, &Axis)| match op.padding.get(dim) {
                    Some(&(before, after)) if before + after > 0 => padded(axis, before, after, shape[dim]),
                    _ => axis.clone(),
                };
                known(0)?.iter().enumerate().map(padded).collect()
            }
            Numeric::Sort(op) => rearranged(known(0)?, op.dim, shape),
            Numeric::ArgSort(op) => rearranged(known(0)?, op.dim, shape),
            Numeric::SortWithIndices(op) => rearranged(known(0)?, op.dim, shape),
            Numeric::TopK(op) | Numeric::ArgTopK(op) => rearranged(known(0)?, op.axis, shape),
            Numeric::TopKWithIndices(op) => rearranged(known(0)?, op.dim, shape),
            // Reductions leave an axis of length 1, which `elementwise` treats as no axis; a total reduction leaves no axes.
            _ if operands.len() == 1 && shape.len() != operands[0].shape.len() => return None,
            _ => elementwise(operands, shape)?,
        },
        OperationIr::Float(_, op) => match op {
            Float::Matmul(_) => multiplied(operands, shape)?,
            Float::GridSample2d(_) | Float::Random(_) => return None,
            _ => elementwise(operands, shape)?,
        },
        OperationIr::Activation(_) | OperationIr::Bool(_) | OperationIr::Int(_) => {
            elementwise(operands, shape)?
        }
        _ => return None,
    };
    // Axes that do not fit the shape were not understood.
    let fits = axes.len() == shape.len()
        && axes.iter().zip(shape).all(|(axis, size)| axis.iter().map(length).sum::<usize>() == *size);
    fits.then(|| coarsened(axes))
}

/// Turns positions that are grouped into squares, once no axis distinguishes those of a square, into positions at a coarser resolution.
/// Padding that completes a square is absorbed.
fn coarsened(axes: Vec<Axis>) -> Vec<Axis> {
    let is_split = |digit: &Digit| {
        matches!(digit.root.meaning, Meaning::Space(_))
            && digit.low > 1
            && digit.high == digit.root.size
            && covers(&digit.root, digit.low - 1)
    };
    let digits: Vec<Digit> = axes.iter().flatten().flatten().cloned().collect();
    let is_alone = |digit: &Digit| digits.iter().filter(|other| other.root == digit.root).count() == 1;
    let coarse = |digit: Digit| match is_split(&digit) && is_alone(&digit) {
        true => {
            let size = digit.len();
            Digit { root: Root::new(digit.root.meaning, size), low: 1, high: size }
        }
        false => digit,
    };
    let segments =
        |axis: Axis| axis.into_iter().map(|segment| segment.into_iter().map(coarse).collect()).collect();
    axes.into_iter().map(segments).collect()
}

/// Returns axes of which a weight matrix mixes the last.
fn projected(axes: &[Axis], shape: &[usize]) -> Vec<Axis> {
    let mut axes = axes.to_vec();
    if let (Some(last), Some(size)) = (axes.last_mut(), shape.last()) {
        *last = features(*size);
    }
    axes
}

fn rearranged(axes: &[Axis], dim: usize, shape: &[usize]) -> Vec<Axis> {
    let mut axes = axes.to_vec();
    axes[dim] = features(shape[dim]);
    axes
}

/// Returns how far the windows of a convolution or pooling extend beyond their first position.
fn reach(kernel: &[usize], dilation: &[usize]) -> Vec<usize> {
    kernel.iter().zip(dilation).map(|(size, dilation)| dilation * (size - 1)).collect()
}

/// Returns the axes `[batch, channels, space ...]` with other channels and another resolution. Padding of the input within the reach of the
/// windows is absorbed, as if the convolution had padded; axes that are rolled, cut or padded by more become features.
fn resampled(axes: &[Axis], shape: &[usize], reach: &[usize]) -> Vec<Axis> {
    let moved = |(dim, size): (usize, &usize)| match (dim, axes.get(dim)) {
        (0, Some(batch)) => batch.clone(),
        (1, _) | (_, None) => features(*size),
        (_, Some(axis)) => match root(axis) {
            Some(root) if covers(&root, reach.get(dim - 2).copied().unwrap_or(0)) => {
                vec![segment(Root::new(root.meaning, *size))]
            }
            _ => features(*size),
        },
    };
    shape.iter().enumerate().map(moved).collect()
}

/// Reports whether all positions are present, with no more padding than the reach of a window.
fn covers(root: &Root, reach: usize) -> bool {
    let (before, behind) = (-root.start, root.start + root.size as isize - root.grid as isize);
    let within = 0..=reach as isize;
    matches!(root.meaning, Meaning::Space(_))
        && root.shift == 0
        && within.contains(&before)
        && within.contains(&behind)
}

/// Returns the axes of a product of matrices in the last two axes.
fn multiplied(operands: &[Operand<'_>], shape: &[usize]) -> Option<Vec<Axis>> {
    let (lhs, rhs) = (operands.first()?, operands.get(1)?);
    let rank = shape.len();
    if rank < 2 {
        return None;
    }
    let side = |operand: &Operand<'_>, dim: usize| match operand.axes {
        Some(axes) if axes.len() == rank => axes[dim].clone(),
        _ => features(shape[dim]),
    };
    lhs.axes.or(rhs.axes)?;
    let batch = elementwise_axes(&[lhs, rhs], &shape[..rank - 2], rank);
    Some(batch.into_iter().chain([side(lhs, rank - 2), side(rhs, rank - 1)]).collect())
}

/// Returns the axes of an elementwise operator with broadcasting: what is known about each axis, if all operands agree.
fn elementwise(operands: &[Operand<'_>], shape: &[usize]) -> Option<Vec<Axis>> {
    operands.iter().find(|operand| operand.axes.is_some())?;
    Some(elementwise_axes(&operands.iter().collect::<Vec<_>>(), shape, shape.len()))
}

/// Returns the first axes of values that are broadcast to this rank.
fn elementwise_axes(operands: &[&Operand<'_>], shape: &[usize], rank: usize) -> Vec<Axis> {
    let at = |dim: usize| {
        let known = operands.iter().filter_map(|operand| {
            let before = dim.checked_sub(rank.checked_sub(operand.shape.len())?)?;
            (operand.shape[before] == shape[dim]).then(|| operand.axis(before))?
        });
        agree(known, shape[dim])
    };
    (0..shape.len()).map(at).collect()
}

/// Returns the axes of a value of which a part is replaced by another value.
fn assigned(ranges: &[Slice], operands: &[Operand<'_>], shape: &[usize]) -> Option<Vec<Axis>> {
    let (whole, part) = (operands.first()?, operands.get(1)?);
    whole.axes.or(part.axes)?;
    let at = |dim: usize| {
        let (size, left) = (shape[dim], part.shape[dim]);
        let range = ranges.get(dim).cloned().unwrap_or(Slice::full());
        match (whole.axis(dim), part.axis(dim)) {
            (Some(whole), None) => whole,
            (Some(whole), Some(part)) if cut(&whole, size, &range, left) == part => whole,
            (None, Some(part)) if left == size => part,
            // Positions that are written into a constant are padded by it.
            (None, Some(part)) if range.step == 1 && range.start >= 0 => {
                let before = range.start as usize;
                padded(&part, before, size - before - left, size)
            }
            _ => features(size),
        }
    };
    Some((0..shape.len()).map(at).collect())
}

/// Returns the axes after a reshape: the smallest groups of neighboring axes with the same product of sizes before and after are split
/// and joined.
fn regrouped(axes: &[Axis], from: &[usize], to: &[usize]) -> Vec<Axis> {
    let (mut taken, mut given) = (0, 0);
    let mut all = Vec::new();
    while taken < from.len() && given < to.len() {
        let (first_taken, first_given) = (taken, given);
        let (mut before, mut after) = (from[taken], to[given]);
        (taken, given) = (taken + 1, given + 1);
        while before != after {
            if before < after && taken < from.len() {
                before *= from[taken];
                taken += 1;
            } else if given < to.len() {
                after *= to[given];
                given += 1;
            } else {
                break;
            }
        }
        all.extend(regroup(&axes[first_taken..taken], &from[first_taken..taken], &to[first_given..given]));
    }
    // The remaining axes have length 1.
    all.extend(to[given..].iter().map(|size| features(*size)));
    all
}

fn regroup(axes: &[Axis], from: &[usize], to: &[usize]) -> Vec<Axis> {
    let unknown = || to.iter().map(|size| features(*size)).collect();
    let long = |sizes: &[usize]| (0..sizes.len()).filter(|dim| sizes[*dim] > 1).collect::<Vec<_>>();
    if let ([before], [after]) = (long(from).as_slice(), long(to).as_slice()) {
        let kept = |dim: usize| if dim == *after { axes[*before].clone() } else { features(to[dim]) };
        return (0..to.len()).map(kept).collect();
    }
    let digits = axes.iter().flat_map(|axis| match axis.as_slice() {
        [one] => one.clone(),
        many => segment(Root::new(Meaning::Joined(axis.clone()), many.iter().map(length).sum())),
    });
    let mut digits: Vec<Digit> = join(digits.filter(|digit| digit.len() > 1));
    digits.reverse();
    let mut all = Vec::new();
    for &size in to {
        let (mut segment, mut left) = (Vec::new(), size);
        while left > 1 {
            let Some(digit) = digits.pop() else { return unknown() };
            let length = digit.len();
            if left % length == 0 {
                segment.push(digit);
                left /= length;
            } else if length % left == 0 {
                let middle = digit.low * (length / left);
                segment.push(Digit { low: middle, ..digit.clone() });
                digits.push(Digit { high: middle, ..digit });
                left = 1;
            } else {
                return unknown();
            }
        }
        let segment = join(segment);
        all.push(match root_of(&segment) {
            Some(Root { meaning: Meaning::Joined(axis), .. }) => axis,
            _ => vec![segment],
        });
    }
    all
}

/// Joins digits that continue each other.
fn join(digits: impl IntoIterator<Item = Digit>) -> Vec<Digit> {
    let mut joined: Vec<Digit> = Vec::new();
    for digit in digits {
        match joined.last_mut() {
            Some(last) if last.root == digit.root && last.low == digit.high => last.low = digit.low,
            _ => joined.push(digit),
        }
    }
    joined
}

/// Returns an axis after a slice.
fn cut(axis: &Axis, size: usize, range: &Slice, left: usize) -> Axis {
    let index = |at: isize| if at < 0 { at + size as isize } else { at }.clamp(0, size as isize) as usize;
    let (start, end) = (index(range.start), range.end.map_or(size, index));
    if left == size && range.step == 1 {
        return axis.clone();
    }
    if range.step != 1 {
        // Every n-th position is a grid if it starts within the first n.
        let begins = range.step > 0 && start < range.step as usize && end == size;
        return if begins { strided(axis, left, range.step as usize - 1) } else { features(left) };
    }
    if end.saturating_sub(start) != left {
        return features(left);
    }
    part(axis, start, end).unwrap_or_else(|| features(left))
}

/// Returns a range of an axis.
fn part(axis: &Axis, start: usize, end: usize) -> Option<Axis> {
    let (mut all, mut at) = (Vec::new(), 0);
    for next in axis {
        let size = length(next);
        let (from, to) = (start.max(at), end.min(at + size));
        if from < to {
            all.push(match to - from == size {
                true => next.clone(),
                false => {
                    let root = root_of(next)?;
                    let start = root.start + (from - at) as isize;
                    match root.meaning {
                        Meaning::Space(_) => segment(Root { start, size: to - from, ..root }),
                        _ => segment(Root::new(Meaning::Feature, to - from)),
                    }
                }
            });
        }
        at += size;
    }
    Some(all)
}

/// Returns positions at another resolution, if the axis has all positions in order.
fn strided(axis: &Axis, size: usize, reach: usize) -> Axis {
    match root(axis) {
        Some(root) if covers(&root, reach) => vec![segment(Root::new(root.meaning, size))],
        _ => features(size),
    }
}

/// Returns an axis after a selection by constant indices: a range, every n-th index, or all in rolled order.
fn picked(axis: &Axis, size: usize, indices: &[i64]) -> Option<Axis> {
    let indices: Vec<usize> =
        indices.iter().map(|index| usize::try_from(*index).ok()).collect::<Option<_>>()?;
    let (first, last) = (*indices.first()?, *indices.last()?);
    let step = match indices.as_slice() {
        [a, b, ..] => (b + size - a) % size,
        _ => 1,
    };
    if indices.windows(2).all(|pair| pair[1] == pair[0] + step) {
        return match step {
            1 => part(axis, first, last + 1),
            _ if first < step && last + step >= size => Some(strided(axis, indices.len(), step - 1)),
            _ => None,
        };
    }
    let is_rolled = indices.len() == size && indices.windows(2).all(|pair| pair[1] == (pair[0] + 1) % size);
    is_rolled.then(|| Some(merged([part(axis, first, size)?, part(axis, 0, first)?].concat())))?
}

fn padded(axis: &Axis, before: usize, after: usize, size: usize) -> Axis {
    match root(axis) {
        Some(root) if matches!(root.meaning, Meaning::Space(_)) => {
            vec![segment(Root {
                start: root.start - before as isize,
                size: root.size + before + after,
                ..root
            })]
        }
        _ => features(size),
    }
}

/// Returns the axes of a concatenation.
fn joined(operands: &[Operand<'_>], dim: usize, shape: &[usize]) -> Option<Vec<Axis>> {
    operands.iter().find(|operand| operand.axes.is_some())?;
    let mut axes: Vec<Axis> = (0..shape.len())
        .map(|dim| agree(operands.iter().filter_map(|operand| operand.axis(dim)), shape[dim]))
        .collect();
    let mut segments: Axis = Vec::new();
    for operand in operands {
        let size = operand.shape[dim];
        let own = operand.axes.map_or_else(|| features(size), |axes| axes[dim].clone());
        // A constant next to positions is padding.
        match (segments.as_slice(), root(&own)) {
            ([last], _) if operand.constant && is_space(last) => {
                segments = vec![
                    root_of(last)
                        .map_or_else(Vec::new, |root| segment(Root { size: root.size + size, ..root })),
                ];
            }
            ([first], Some(own))
                if operands[0].constant && !is_space(first) && matches!(own.meaning, Meaning::Space(_)) =>
            {
                let before = length(first);
                segments = vec![segment(Root {
                    start: own.start - before as isize,
                    size: own.size + before,
                    ..own
                })];
            }
            _ => segments.extend(own),
        }
    }
    axes[dim] = merged(segments);
    Some(axes)
}

/// Reports whether a segment is positions along one axis.
fn is_space(segment: &Segment) -> bool {
    root_of(segment).is_some_and(|root| matches!(root.meaning, Meaning::Space(_)))
}

/// Merges segments: those that continue each other become one, two that are exchanged become a rolled root, and neighboring features
/// become features.
fn merged(segments: Axis) -> Axis {
    if segments.iter().flatten().all(|digit| digit.root.meaning == Meaning::Feature) {
        return features(segments.iter().map(length).sum());
    }
    let mut all: Axis = Vec::new();
    for next in segments {
        let merged = match all.last().and_then(root_of).zip(root_of(&next)) {
            Some((a, b)) if (&a.meaning, a.grid, a.shift) == (&b.meaning, b.grid, b.shift) => follow_on(a, b),
            _ => None,
        };
        match merged {
            Some(root) => {
                all.pop();
                all.push(segment(root));
            }
            None => all.push(next),
        }
    }
    all
}

fn follow_on(a: Root, b: Root) -> Option<Root> {
    if a.start + a.size as isize == b.start {
        return Some(Root { size: a.size + b.size, ..a });
    }
    // `[k .. end, 0 .. k]`
    let rolled = b.start == 0 && a.start == b.size as isize && a.size + b.size == a.grid;
    (rolled && matches!(a.meaning, Meaning::Space(_))).then(|| Root {
        start: 0,
        size: a.grid,
        shift: (a.shift + b.size) % a.grid,
        ..a
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<Axis> {
        input(&[2, 3, 8, 12])
    }

    #[test]
    fn windows_are_split_and_joined_again() {
        let last = vec![image()[0].clone(), image()[2].clone(), image()[3].clone(), image()[1].clone()];
        let split = regrouped(&last, &[2, 8, 12, 3], &[2, 2, 4, 3, 4, 3]);
        let moved: Vec<Axis> = [0, 1, 3, 2, 4, 5].map(|dim| split[dim].clone()).to_vec();
        let windows = regrouped(&moved, &[2, 2, 3, 4, 4, 3], &[12, 16, 3]);
        assert_eq!(layout(&windows, 2), None, "a window is not an image");
        let back = regrouped(&windows, &[12, 16, 3], &[2, 2, 3, 4, 4, 3]);
        let back: Vec<Axis> = [0, 1, 3, 2, 4, 5].map(|dim| back[dim].clone()).to_vec();
        assert_eq!(layout(&regrouped(&back, &[2, 2, 4, 3, 4, 3], &[2, 8, 12, 3]), 2), Some(Layout::Nhwc));
        // Without the permutation rows and columns are mixed.
        let mixed = regrouped(&windows, &[12, 16, 3], &[2, 8, 12, 3]);
        assert_eq!(layout(&mixed, 2), None);
    }

    #[test]
    fn a_rolled_image_is_not_a_layer_until_it_is_rolled_back() {
        let rows = &image()[2];
        let roll = |axis: &Axis, by: usize| {
            merged([part(axis, by, 8).unwrap(), part(axis, 0, by).unwrap()].concat())
        };
        let rolled = roll(rows, 3);
        let with = |rows: Axis| vec![image()[0].clone(), image()[1].clone(), rows, image()[3].clone()];
        assert_eq!(layout(&with(rolled.clone()), 2), None);
        assert_eq!(layout(&with(roll(&rolled, 4)), 2), None);
        assert_eq!(layout(&with(roll(&rolled, 5)), 2), Some(Layout::Nchw));
        assert_eq!(picked(rows, 8, &[3, 4, 5, 6, 7, 0, 1, 2]), Some(rolled));
    }

    #[test]
    fn padding_must_be_cut_off_again() {
        let rows = &image()[2];
        let with = |rows: Axis| vec![image()[0].clone(), image()[1].clone(), rows, image()[3].clone()];
        let padded = padded(rows, 1, 3, 12);
        assert_eq!(layout(&with(padded.clone()), 2), None);
        assert_eq!(layout(&with(part(&padded, 0, 8).unwrap()), 2), None, "shifted by one row");
        assert_eq!(layout(&with(part(&padded, 1, 9).unwrap()), 2), Some(Layout::Nchw));
        let halved = resampled(&with(padded.clone()), &[2, 5, 6, 6], &[3, 3]);
        assert_eq!(layout(&halved, 2), Some(Layout::Nchw), "a convolution absorbs padding");
        let beyond = resampled(&with(padded), &[2, 5, 6, 6], &[2, 2]);
        assert_eq!(layout(&beyond, 2), None, "padding beyond the reach of a window shifts all positions");
        let cut = resampled(&with(part(rows, 1, 7).unwrap()), &[2, 5, 6, 6], &[3, 3]);
        assert_eq!(layout(&cut, 2), None, "positions are missing");
    }

    #[test]
    fn tokens_are_a_prefix_and_the_positions_in_order() {
        let [batch, channels, rows, columns] = <[Axis; 4]>::try_from(image()).unwrap();
        let flat = regrouped(&[batch.clone(), channels.clone(), rows, columns], &[2, 3, 8, 12], &[2, 3, 96]);
        let tokens = vec![batch, flat[2].clone(), channels];
        assert_eq!(layout(&tokens, 2), Some(Layout::Tokens(Tokens { prefix: 0, height: 8, width: 12 })));
        let mut with_class = tokens.clone();
        with_class[1] = [features(1), tokens[1].clone()].concat();
        assert_eq!(layout(&with_class, 2), Some(Layout::Tokens(Tokens { prefix: 1, height: 8, width: 12 })));
        let mut without = with_class.clone();
        without[1] = part(&with_class[1], 1, 97).unwrap();
        assert_eq!(layout(&without, 2), layout(&tokens, 2));
        without[1] = part(&with_class[1], 0, 96).unwrap_or_else(|| features(96));
        assert_eq!(layout(&without, 2), None, "a position is missing");
        let back = regrouped(
            &[tokens[0].clone(), tokens[2].clone(), tokens[1].clone()],
            &[2, 3, 96],
            &[2, 3, 8, 12],
        );
        assert_eq!(layout(&back, 2), Some(Layout::Nchw));
        let wrong = regrouped(
            &[tokens[0].clone(), tokens[2].clone(), tokens[1].clone()],
            &[2, 3, 96],
            &[2, 3, 12, 8],
        );
        assert_eq!(layout(&wrong, 2), None, "rows and columns exchanged");
    }

    #[test]
    fn shapes_alone_do_not_make_a_layer() {
        let axes = vec![axis(Meaning::Batch, 2), features(14), features(14), features(14)];
        assert_eq!(layout(&axes, 2), None);
        let mut channels_last = image();
        channels_last.swap(1, 2);
        assert_eq!(layout(&channels_last, 2), None, "`[batch, rows, channels, columns]`");
    }
}
