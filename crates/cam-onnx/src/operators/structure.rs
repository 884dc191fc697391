//! Operators that rearrange arrays.

use super::Operator::{self, Many, One};
use super::{Call, Rebatched, axis_of, lengths};
use crate::array::{Array, Kind};
use crate::error::Reason;
use burn::backend::ops::{FloatTensorOps, IntTensorOps, PadMode};
use burn::backend::{Dispatch, Slice};
use burn::tensor::IndexingUpdateOp;

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Concat", One(concat)),
    ("DepthToSpace", One(depth_to_space)),
    ("Expand", One(expand)),
    ("Flatten", One(flatten)),
    ("Gather", One(gather)),
    ("GatherElements", One(gather_elements)),
    ("GatherND", One(gather_nd)),
    ("Pad", One(pad)),
    ("Reshape", One(reshape)),
    ("ScatterElements", One(scatter_elements)),
    ("ScatterND", One(scatter_nd)),
    ("Slice", One(slice)),
    ("SpaceToDepth", One(space_to_depth)),
    ("Split", Many(split)),
    ("Squeeze", One(squeeze)),
    ("Tile", One(tile)),
    ("Transpose", One(transpose)),
    ("Trilu", One(trilu)),
    ("Unsqueeze", One(unsqueeze)),
];

fn concat(call: &Call<'_>) -> Result<Array, Reason> {
    let axis = call.axis(call.attribute_int("axis", 1))?;
    let mut arrays = call.all_inputs();
    // Beside images of another batch size than that of the export, constants of one image are repeated.
    if let Some(&Rebatched { exported: 1, batch, .. }) = call.batch
        && axis > 0
    {
        let is_of = |array: &Array, length: usize| array.shape().first() == Some(&length);
        if arrays.iter().any(|array| is_of(array, batch)) {
            for array in arrays.iter_mut().filter(|array| is_of(array, 1)) {
                let shape = [&[batch], &array.shape()[1..]].concat();
                *array = array.clone().expand(&shape)?;
            }
        }
    }
    Array::concat(arrays, axis)
}

/// Reshapes an array. 0 keeps a length, and -1 is what remains.
fn reshape(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let target = call.ints_since(5, 1, "shape")?.ok_or("its shape is missing")?;
    let own = x.shape();
    if let Some(shape) = call.with_batch(&own, &target) {
        return x.reshape(&shape);
    }
    let allows_zero = call.attribute_int("allowzero", 0) == 1;
    let mut shape = Vec::new();
    for (dim, length) in target.iter().enumerate() {
        shape.push(match length {
            0 if !allows_zero => *own.get(dim).ok_or("it keeps the length of an axis that is not there")?,
            -1 => 1,
            length => usize::try_from(*length).map_err(|_| format!("the shape {target:?} is not valid"))?,
        });
    }
    let open: Vec<usize> = (0..target.len()).filter(|dim| target[*dim] == -1).collect();
    let (len, known) = (x.len(), shape.iter().product::<usize>());
    match open[..] {
        [] => {}
        [dim] if known > 0 && len.is_multiple_of(known) => shape[dim] = len / known,
        _ => return Err(format!("an array of the shape {own:?} does not fit into {target:?}")),
    }
    x.reshape(&shape)
}

fn flatten(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let (shape, axis) = (x.shape(), call.attribute_int("axis", 1));
    let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
    let axis =
        usize::try_from(axis).ok().filter(|axis| *axis <= shape.len()).ok_or("its axis is not there")?;
    x.reshape(&[shape[..axis].iter().product(), shape[axis..].iter().product()])
}

fn squeeze(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let shape = x.shape();
    let axes = match call.ints_since(13, 1, "axes")? {
        Some(axes) => axes.iter().map(|axis| axis_of(*axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).filter(|dim| shape[*dim] == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|axis| shape[**axis] != 1) {
        return Err(format!("axis {axis} of the shape {shape:?} has not the length 1"));
    }
    let left: Vec<usize> = (0..shape.len()).filter(|dim| !axes.contains(dim)).map(|dim| shape[dim]).collect();
    x.reshape(&left)
}

fn unsqueeze(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let axes = call.ints_since(13, 1, "axes")?.ok_or("its axes are missing")?;
    let rank = x.rank() + axes.len();
    let mut axes = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    let mut shape = x.shape();
    for axis in axes {
        if axis > shape.len() {
            return Err("an axis is named twice".into());
        }
        shape.insert(axis, 1);
    }
    x.reshape(&shape)
}

fn transpose(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let order = match call.attribute_ints("perm") {
        Some(order) => lengths(order)?,
        None => (0..x.rank()).rev().collect(),
    };
    x.permute(&order)
}

fn split(call: &Call<'_>) -> Result<Vec<Array>, Reason> {
    let x = call.input(0)?;
    let axis = call.axis(call.attribute_int("axis", 0))?;
    let (length, count) = (x.shape()[axis], call.node.outputs.len());
    let sizes = match call.ints_since(13, 1, "split")? {
        Some(sizes) => lengths(&sizes)?,
        None => {
            let size = length.div_ceil(count);
            (0..count).map(|part| size.min(length.saturating_sub(part * size))).collect()
        }
    };
    if sizes.iter().sum::<usize>() != length || sizes.len() < count {
        return Err(format!("an axis of the length {length} cannot be split into {sizes:?}"));
    }
    let mut start = 0;
    let part = |size: usize| {
        start += size;
        x.clone().narrow(axis, start - size..start)
    };
    Ok(sizes.into_iter().map(part).collect())
}

fn slice(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let shape = x.shape();
    let starts = call.ints_since(10, 1, "starts")?.ok_or("its starts are missing")?;
    let ends = call.ints_since(10, 2, "ends")?.ok_or("its ends are missing")?;
    let axes = call.ints_since(10, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if call.opset >= 10 { call.ints(4)? } else { None };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps have different lengths".into());
    }
    let mut ranges = vec![Slice::full(); shape.len()];
    let mut flipped = Vec::new();
    for ((start, end), (axis, step)) in starts.iter().zip(&ends).zip(axes.iter().zip(&steps)) {
        let axis = axis_of(*axis, shape.len())?;
        let length = shape[axis] as i64;
        let from_start = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
        // A negative step runs over the flipped axis.
        let (start, end) = match *step {
            0 => return Err("a step is 0".into()),
            1.. => (from_start(*start).clamp(0, length), from_start(*end).clamp(0, length)),
            _ => {
                flipped.push(axis);
                let start = from_start(*start).clamp(-1, length - 1);
                let end = from_start(*end).clamp(-1, length - 1);
                (length - 1 - start, length - 1 - end)
            }
        };
        ranges[axis] = Slice::new(
            start as isize,
            Some(end.max(start) as isize),
            step.unsigned_abs().min(1 << 40) as isize,
        );
    }
    let x = if flipped.is_empty() { x } else { x.flip(&flipped) };
    let is_empty = |range: &Slice| range.end == Some(range.start);
    if ranges.iter().any(is_empty) {
        let lengths =
            ranges.iter().zip(&shape).map(|(range, length)| if is_empty(range) { 0 } else { *length });
        return x.empty(&lengths.collect::<Vec<_>>());
    }
    Ok(x.slice(&ranges))
}

/// Indices that may count from the end, as indices from the start.
pub(super) fn from_start(indices: Array, length: usize) -> Array {
    let dtype = indices.bool_dtype();
    indices.map(|indices| {
        let is_negative = Dispatch::int_lower_elem(indices.clone(), 0.into(), dtype);
        let wrapped = Dispatch::int_add_scalar(indices.clone(), (length as i64).into());
        Dispatch::int_mask_where(indices, is_negative, wrapped)
    })
}

/// Positions on an axis of this length that indices mean. Those beyond it, which only an image can make behind [`indices`], are kept within.
fn positions(indices: Array, length: usize) -> Array {
    let last = length.saturating_sub(1) as i64;
    from_start(indices, length).map(|indices| Dispatch::int_clamp(indices, 0.into(), last.into()))
}

/// Returns the second input: indices, of axes of these lengths in turn.
fn indices(call: &Call<'_>, lengths: &[usize]) -> Result<Array, Reason> {
    let indices = call.input(1)?.cast(Kind::Int);
    if indices.len() > 0 && lengths.contains(&0) {
        return Err("its indices are of an axis without positions".into());
    }
    for (index, length) in call.ints(1).ok().flatten().iter().flatten().zip(lengths.iter().cycle()) {
        position(*index, *length)?;
    }
    Ok(indices)
}

/// Returns the position on an axis of this length that an index means, which may count from the end.
fn position(index: i64, length: usize) -> Result<usize, Reason> {
    let from_start = if index < 0 { index.saturating_add(length as i64) } else { index };
    let position = usize::try_from(from_start).ok().filter(|position| *position < length);
    position.ok_or_else(|| format!("the index {index} is not within {length} positions"))
}

/// Selects positions of an axis: the axis is replaced by those of the indices.
fn gather(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let axis = call.axis(call.attribute_int("axis", 0))?;
    let (shape, of_indices) = (x.shape(), call.shape(1)?);
    let replaced = [&shape[..axis], &of_indices, &shape[axis + 1..]].concat();
    if let Some(known) = call.ints(1).ok().flatten() {
        let indices =
            known.iter().map(|index| position(*index, shape[axis])).collect::<Result<Vec<_>, _>>()?;
        if let [first, .., last] | [first @ last] = indices[..]
            && indices.windows(2).all(|pair| pair[1] == pair[0] + 1)
        {
            return x.narrow(axis, first..last + 1).reshape(&replaced);
        }
        let indices = Array::ints(indices.into_iter().map(|index| index as i64).collect());
        let indices = indices.beside(&x, call.device);
        return x.select(axis, indices)?.reshape(&replaced);
    }
    let indices = positions(indices(call, &shape[axis..=axis])?, shape[axis]);
    let count = indices.len();
    x.select(axis, indices.reshape(&[count])?)?.reshape(&replaced)
}

fn gather_elements(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let axis = call.axis(call.attribute_int("axis", 0))?;
    let indices = positions_along(call, &x.shape(), axis)?;
    Ok(x.gather(axis, indices))
}

/// Returns the second input: for each element of a shape, but along one axis, positions on that axis.
fn positions_along(call: &Call<'_>, shape: &[usize], axis: usize) -> Result<Array, Reason> {
    let of_indices = call.shape(1)?;
    let fits = |(place, (own, other)): (usize, (&usize, &usize))| place == axis || own == other;
    if of_indices.len() != shape.len() || !shape.iter().zip(&of_indices).enumerate().all(fits) {
        return Err(format!(
            "indices of the shape {of_indices:?} do not fit the shape {shape:?} along axis {axis}"
        ));
    }
    Ok(positions(indices(call, &[shape[axis]])?, shape[axis]))
}

/// Rows of an array that tuples of indices name, as positions in the array whose first axes are flattened.
fn flat_indices(call: &Call<'_>, shape: &[usize]) -> Result<(Array, usize), Reason> {
    let of_indices = call.shape(1)?;
    let depth = *of_indices.last().ok_or("its indices have no axes")?;
    if depth == 0 || depth > shape.len() {
        return Err(format!("indices of {depth} axes do not fit the shape {shape:?}"));
    }
    let indices = indices(call, &shape[..depth])?;
    let count = indices.len() / depth;
    let indices = indices.reshape(&[count, depth])?;
    let mut flat: Option<Array> = None;
    for (axis, length) in shape[..depth].iter().enumerate() {
        let step: usize = shape[axis + 1..depth].iter().product();
        let along = positions(indices.clone().narrow(1, axis..axis + 1), *length)
            .map(|along| Dispatch::int_mul_scalar(along, (step as i64).into()));
        flat = Some(match flat {
            Some(flat) => flat.zip(along, Dispatch::int_add)?,
            None => along,
        });
    }
    Ok((flat.expect("there is an axis").reshape(&[count])?, depth))
}

fn gather_nd(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let shape = x.shape();
    let of_indices = call.shape(1)?;
    let batch = usize::try_from(call.attribute_int("batch_dims", 0)).unwrap_or(usize::MAX);
    if batch > 0 {
        return gather_nd_in_batches(call, x, batch);
    }
    let (flat, depth) = flat_indices(call, &shape)?;
    let rows: usize = shape[..depth].iter().product();
    let x = x.reshape(&[&[rows][..], &shape[depth..]].concat())?;
    x.select(0, flat)?.reshape(&[&of_indices[..of_indices.len() - 1], &shape[depth..]].concat())
}

/// With leading axes in common, an image selects only among its own rows: the batch becomes one more index.
fn gather_nd_in_batches(call: &Call<'_>, x: Array, batch: usize) -> Result<Array, Reason> {
    let (shape, of_indices) = (x.shape(), call.shape(1)?);
    if batch >= of_indices.len() || shape.get(..batch) != of_indices.get(..batch) {
        return Err(format!("the shapes {shape:?} and {of_indices:?} have not {batch} axes in common"));
    }
    let depth = of_indices[of_indices.len() - 1];
    let groups: usize = shape[..batch].iter().product();
    let of_group: usize =
        shape[batch..].get(..depth).ok_or("its indices have too many axes")?.iter().product();
    let count: usize = of_indices[batch..of_indices.len() - 1].iter().product();
    let indices = indices(call, &shape[batch..batch + depth])?.reshape(&[groups * count, depth])?;
    let mut flat =
        Array::ints((0..groups).flat_map(|group| vec![(group * of_group) as i64; count]).collect());
    if !indices.is_known() {
        flat = flat.on(call.device);
    }
    for axis in 0..depth {
        let length = shape[batch + axis];
        let step: usize = shape[batch + axis + 1..batch + depth].iter().product();
        let along = positions(indices.clone().narrow(1, axis..axis + 1).reshape(&[groups * count])?, length);
        let along = along.map(|along| Dispatch::int_mul_scalar(along, (step as i64).into()));
        flat = flat.zip(along, Dispatch::int_add)?;
    }
    let rest = &shape[batch + depth..];
    let x = x.reshape(&[&[groups * of_group][..], rest].concat())?;
    let flat = if x.is_known() || !flat.is_known() { flat } else { flat.on(call.device) };
    x.select(0, flat)?.reshape(&[&of_indices[..of_indices.len() - 1], rest].concat())
}

/// How scattered values meet those that are there.
fn update(call: &Call<'_>) -> Result<bool, Reason> {
    match call.attribute_text("reduction", "none") {
        "none" => Ok(false),
        "add" => Ok(true),
        other => Err(format!("the reduction `{}` is not supported", other.escape_debug())),
    }
}

/// Takes away what is there from values that replace it, as Burn adds them.
fn without(values: Array, there: Array) -> Result<Array, Reason> {
    let is_float = values.kind() == Kind::Float;
    values.zip(there, if is_float { Dispatch::float_sub } else { Dispatch::int_sub })
}

fn scatter_nd(call: &Call<'_>) -> Result<Array, Reason> {
    let (x, values) = (call.input(0)?, call.input(2)?);
    let (shape, kind) = (x.shape(), x.kind());
    let adds = update(call)?;
    let (flat, depth) = flat_indices(call, &shape)?;
    let rows: usize = shape[..depth].iter().product();
    let count = flat.len();
    // An empty row shape is a row of one element.
    let row: Vec<usize> = if depth == shape.len() { vec![1] } else { shape[depth..].to_vec() };
    let width: usize = row.iter().product();
    let (x, values) = (x.reshape(&[rows, width])?, values.reshape(&[count, width])?);
    let (x, values) =
        if kind == Kind::Bool { (x.cast(Kind::Int), values.cast(Kind::Int)) } else { (x, values) };
    let is_float = kind == Kind::Float;
    let values = if adds { values } else { without(values, x.clone().select(0, flat.clone())?)? };
    let (indices, values) = (flat.tensor(), values.tensor());
    let x = x.map(|x| match is_float {
        true => Dispatch::float_select_assign(x, 0, indices, values, IndexingUpdateOp::Add),
        false => Dispatch::int_select_assign(x, 0, indices, values, IndexingUpdateOp::Add),
    });
    x.cast(kind).reshape(&shape)
}

fn scatter_elements(call: &Call<'_>) -> Result<Array, Reason> {
    let (x, values) = (call.input(0)?, call.input(2)?);
    let kind = x.kind();
    let axis = call.axis(call.attribute_int("axis", 0))?;
    let adds = update(call)?;
    let indices = positions_along(call, &x.shape(), axis)?;
    if values.shape() != indices.shape() {
        return Err("its updates have not the shape of its indices".into());
    }
    let (x, values) =
        if kind == Kind::Bool { (x.cast(Kind::Int), values.cast(Kind::Int)) } else { (x, values) };
    let is_float = kind == Kind::Float;
    let values = if adds { values } else { without(values, x.clone().gather(axis, indices.clone()))? };
    let (indices, values) = (indices.tensor(), values.tensor());
    let x = x.map(|x| match is_float {
        true => Dispatch::float_scatter(axis, x, indices, values, IndexingUpdateOp::Add),
        false => Dispatch::int_scatter(axis, x, indices, values, IndexingUpdateOp::Add),
    });
    Ok(x.cast(kind))
}

fn expand(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let target = lengths(&call.ints(1)?.ok_or("its shape is missing")?)?;
    let shape = crate::array::broadcast(&x.shape(), &target)?;
    x.expand(&shape)
}

fn tile(call: &Call<'_>) -> Result<Array, Reason> {
    let mut x = call.input(0)?;
    let repeats = lengths(&call.ints(1)?.ok_or("its repeats are missing")?)?;
    let shape = x.shape();
    if repeats.len() != shape.len() {
        return Err(format!("{repeats:?} repeats do not fit the shape {shape:?}"));
    }
    x.check_size(
        &shape.iter().zip(&repeats).map(|(length, times)| length.saturating_mul(*times)).collect::<Vec<_>>(),
    )?;
    for (axis, times) in repeats.into_iter().enumerate() {
        x = match times {
            0 => return Err("it repeats an axis 0 times".into()),
            1 => x,
            times => Array::concat(vec![x; times], axis)?,
        };
    }
    Ok(x)
}

fn pad(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let shape = x.shape();
    let name = if call.opset >= 2 { "pads" } else { "paddings" };
    let pads = call.ints_since(11, 1, name)?.ok_or("its pads are missing")?;
    let axes = if call.opset >= 18 { call.ints(3)? } else { None };
    let axes = axes.unwrap_or_else(|| (0..shape.len() as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads do not fit {} axes", pads.len(), axes.len()));
    }
    let (mut padding, mut ranges) = (vec![(0, 0); shape.len()], vec![Slice::full(); shape.len()]);
    for (place, axis) in axes.iter().enumerate() {
        let axis = axis_of(*axis, shape.len())?;
        let (before, behind) = (pads[place], pads[place + axes.len()]);
        let length = shape[axis] as i64;
        // Negative padding cuts off.
        let (from, to) = ((-before).max(0), length - (-behind).max(0));
        if from >= to {
            return Err("it cuts off a whole axis".into());
        }
        ranges[axis] = Slice::new(from as isize, Some(to as isize), 1);
        padding[axis] = (before.max(0) as usize, behind.max(0) as usize);
    }
    let x = x.slice(&ranges);
    if padding.iter().all(|sides| *sides == (0, 0)) {
        return Ok(x);
    }
    let padded = x
        .shape()
        .iter()
        .zip(&padding)
        .map(|(length, (a, b))| length.saturating_add(a.saturating_add(*b)))
        .collect::<Vec<_>>();
    x.check_size(&padded)?;
    let value = match call.opset >= 11 {
        true => call.floats(2)?.and_then(|value| value.first().copied()).unwrap_or(0.0),
        false => call.attribute_float("value", 0.0),
    };
    let mode = match call.attribute_text("mode", "constant") {
        "constant" => PadMode::Constant(value),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        other => return Err(format!("the mode `{}` is not supported", other.escape_debug())),
    };
    let kind = x.kind();
    let x = if kind == Kind::Bool { x.cast(Kind::Int) } else { x };
    let x = match x.kind() {
        Kind::Float => x.map(|x| Dispatch::float_pad(x, &padding, mode)),
        _ => x.map(|x| Dispatch::int_pad(x, &padding, mode)),
    };
    Ok(x.cast(kind))
}

/// Returns an image's shape `[batch, channels, height, width]` and the size of a block.
fn blocks(call: &Call<'_>) -> Result<([usize; 4], usize), Reason> {
    let shape = call.shape(0)?;
    let size = usize::try_from(call.attribute_int("blocksize", 0)).ok().filter(|size| *size > 0);
    let image = <[usize; 4]>::try_from(shape)
        .map_err(|shape| format!("it needs an image, not the shape {shape:?}"))?;
    Ok((image, size.ok_or("its block size is missing")?))
}

fn depth_to_space(call: &Call<'_>) -> Result<Array, Reason> {
    let ([n, c, h, w], size) = blocks(call)?;
    let channels = c / (size * size);
    let is_crd = call.attribute_text("mode", "DCR") == "CRD";
    if channels * size * size != c {
        return Err(format!("{c} channels cannot be split into blocks of {size} x {size}"));
    }
    let (split, order) = match is_crd {
        true => ([n, channels, size, size, h, w], [0, 1, 4, 2, 5, 3]),
        false => ([n, size, size, channels, h, w], [0, 3, 4, 1, 5, 2]),
    };
    call.float(0)?.reshape(&split)?.permute(&order)?.reshape(&[n, channels, h * size, w * size])
}

fn space_to_depth(call: &Call<'_>) -> Result<Array, Reason> {
    let ([n, c, h, w], size) = blocks(call)?;
    let split = [n, c, h / size, size, w / size, size];
    let order = match call.attribute_text("mode", "DCR") {
        "CRD" => [0, 1, 3, 5, 2, 4],
        _ => [0, 3, 5, 1, 2, 4],
    };
    call.float(0)?.reshape(&split)?.permute(&order)?.reshape(&[n, c * size * size, h / size, w / size])
}

/// The upper or lower triangle of matrices; all else is zero.
fn trilu(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let shift = call.ints(1)?.and_then(|shift| shift.first().copied()).unwrap_or(0);
    let is_upper = call.attribute_int("upper", 1) == 1;
    let [.., rows, columns] = x.shape()[..] else { return Err("it needs a matrix".into()) };
    let is_kept = |index: usize| {
        let diagonal = (index % columns) as i64 - (index / columns) as i64;
        if is_upper { diagonal >= shift } else { diagonal <= shift }
    };
    let mask = (0..rows * columns).map(|index| f32::from(u8::from(is_kept(index)))).collect();
    let mask = Array::floats(mask, &[rows, columns]);
    let mask = mask.beside(&x, call.device);
    let kind = x.kind();
    Ok(x.cast(Kind::Float).zip(mask, Dispatch::float_mul)?.cast(kind))
}
