//! Reductions, orders and cumulative sums.

use super::Operator::{self, Many, One};
use super::{Call, axis_of};
use crate::array::{Array, Kind};
use crate::error::Reason;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("ArgMax", One(|call| extreme_index(call, Dispatch::float_argmax, Dispatch::int_argmax))),
    ("ArgMin", One(|call| extreme_index(call, Dispatch::float_argmin, Dispatch::int_argmin))),
    ("CumSum", One(cumulative_sum)),
    (
        "ReduceL1",
        One(|call| reduce(call, 18, |x, axes| fold(Dispatch::float_abs(x), axes, Dispatch::float_sum_dim))),
    ),
    ("ReduceL2", One(|call| reduce(call, 18, |x, axes| Dispatch::float_sqrt(sum_of_squares(x, axes))))),
    (
        "ReduceLogSum",
        One(|call| reduce(call, 18, |x, axes| Dispatch::float_log(fold(x, axes, Dispatch::float_sum_dim)))),
    ),
    ("ReduceLogSumExp", One(|call| reduce(call, 18, log_sum_exp))),
    ("ReduceMax", One(|call| reduce_any(call, 18, Dispatch::float_max_dim, Dispatch::int_max_dim))),
    ("ReduceMean", One(|call| reduce(call, 18, |x, axes| fold(x, axes, Dispatch::float_mean_dim)))),
    ("ReduceMin", One(|call| reduce_any(call, 18, Dispatch::float_min_dim, Dispatch::int_min_dim))),
    ("ReduceProd", One(|call| reduce_any(call, 18, Dispatch::float_prod_dim, Dispatch::int_prod_dim))),
    ("ReduceSum", One(|call| reduce_any(call, 13, Dispatch::float_sum_dim, Dispatch::int_sum_dim))),
    ("ReduceSumSquare", One(|call| reduce(call, 18, sum_of_squares))),
    ("TopK", Many(top_k)),
];

type ReduceAxis = fn(DispatchTensor, usize) -> DispatchTensor;

fn fold(x: DispatchTensor, axes: &[usize], f: ReduceAxis) -> DispatchTensor {
    axes.iter().fold(x, |x, axis| f(x, *axis))
}

fn sum_of_squares(x: DispatchTensor, axes: &[usize]) -> DispatchTensor {
    fold(Dispatch::float_mul(x.clone(), x), axes, Dispatch::float_sum_dim)
}

/// $m + \log \sum e^{x - m}$ with the maximum $m$.
fn log_sum_exp(x: DispatchTensor, axes: &[usize]) -> DispatchTensor {
    let most = fold(x.clone(), axes, Dispatch::float_max_dim);
    let shifted = Dispatch::float_sub(x.clone(), Dispatch::float_expand(most.clone(), x.shape()));
    let sum = fold(Dispatch::float_exp(shifted), axes, Dispatch::float_sum_dim);
    Dispatch::float_add(Dispatch::float_log(sum), most)
}

/// Reduces the axes that an input (since a version) or an attribute names; by default all.
fn reduce_axes(
    call: &Call<'_>,
    since: i64,
    x: Array,
    f: impl FnOnce(DispatchTensor, &[usize]) -> DispatchTensor,
) -> Result<Array, Reason> {
    let shape = x.shape();
    let axes = call.ints_since(since, 1, "axes")?.filter(|axes| !axes.is_empty());
    let axes = match axes {
        Some(axes) => axes.iter().map(|axis| axis_of(*axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None if call.attribute_int("noop_with_empty_axes", 0) == 1 => return Ok(x),
        None => (0..shape.len()).collect(),
    };
    let keeps = call.attribute_int("keepdims", 1) == 1;
    let length = |dim: usize| match axes.contains(&dim) {
        true => keeps.then_some(1),
        false => Some(shape[dim]),
    };
    let left: Vec<usize> = (0..shape.len()).filter_map(length).collect();
    x.map(|x| f(x, &axes)).reshape(&left)
}

fn reduce(
    call: &Call<'_>,
    since: i64,
    f: fn(DispatchTensor, &[usize]) -> DispatchTensor,
) -> Result<Array, Reason> {
    reduce_axes(call, since, call.float(0)?, f)
}

/// Reduces floats or integers.
fn reduce_any(call: &Call<'_>, since: i64, float: ReduceAxis, int: ReduceAxis) -> Result<Array, Reason> {
    let x = call.filled(0)?;
    let f = if x.kind() == Kind::Float { float } else { int };
    let x = if x.kind() == Kind::Bool { x.cast(Kind::Int) } else { x };
    reduce_axes(call, since, x, |x, axes| fold(x, axes, f))
}

fn extreme_index(
    call: &Call<'_>,
    float: fn(DispatchTensor, usize, burn::tensor::IntDType) -> DispatchTensor,
    int: ReduceAxis,
) -> Result<Array, Reason> {
    let x = call.input(0)?;
    if call.attribute_int("select_last_index", 0) == 1 {
        return Err("the last of several equal indices is not supported".into());
    }
    let axis = call.axis(call.attribute_int("axis", 0))?;
    let mut shape = x.shape();
    match call.attribute_int("keepdims", 1) {
        1 => shape[axis] = 1,
        _ => {
            shape.remove(axis);
        }
    }
    let dtype = x.int_dtype();
    let indices = match x.kind() {
        Kind::Float => x.map(|x| float(x, axis, dtype)),
        _ => x.cast(Kind::Int).map(|x| int(x, axis)),
    };
    indices.reshape(&shape)
}

fn cumulative_sum(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let axis = call.ints(1)?.and_then(|axis| axis.first().copied()).ok_or("its axis is missing")?;
    let axis = call.axis(axis)?;
    let is_reversed = call.attribute_int("reverse", 0) == 1;
    let is_exclusive = call.attribute_int("exclusive", 0) == 1;
    let is_float = x.kind() == Kind::Float;
    let x = if is_reversed { x.flip(&[axis]) } else { x };
    let own = x.clone();
    let mut sum =
        x.map(|x| if is_float { Dispatch::float_cumsum(x, axis) } else { Dispatch::int_cumsum(x, axis) });
    if is_exclusive {
        sum = sum.zip(own, if is_float { Dispatch::float_sub } else { Dispatch::int_sub })?;
    }
    Ok(if is_reversed { sum.flip(&[axis]) } else { sum })
}

/// The largest or smallest elements along an axis, and their indices.
fn top_k(call: &Call<'_>) -> Result<Vec<Array>, Reason> {
    let x = call.input(0)?;
    let count = match call.opset >= 10 {
        true => call.ints(1)?.and_then(|count| count.first().copied()),
        false => call.attribute("k").map(|count| count.int),
    };
    let count =
        count.and_then(|count| usize::try_from(count).ok()).ok_or("the number of elements is missing")?;
    let axis = call.axis(call.attribute_int("axis", -1))?;
    if count > x.shape()[axis] {
        return Err(format!("it needs {count} of {} elements", x.shape()[axis]));
    }
    let is_descending = call.attribute_int("largest", 1) == 1;
    let (kind, dtype) = (x.kind(), x.int_dtype());
    let (values, indices) = match kind {
        Kind::Float => Dispatch::float_sort_with_indices(x.tensor(), axis, is_descending, dtype),
        _ => Dispatch::int_sort_with_indices(x.cast(Kind::Int).tensor(), axis, is_descending),
    };
    Ok(vec![Array::from(values).narrow(axis, 0..count), Array::from(indices).narrow(axis, 0..count)])
}
