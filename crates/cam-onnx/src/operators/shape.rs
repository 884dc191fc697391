//! Operators that make arrays: constants, shapes, ranges.

use super::Operator::{self, One};
use super::{Call, lengths};
use crate::array::{Array, Kind, check_known};
use crate::error::Reason;
use burn::tensor::TensorData;

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Constant", One(constant)),
    ("ConstantOfShape", One(constant_of_shape)),
    ("EyeLike", One(eye_like)),
    ("NonZero", One(non_zero)),
    ("OneHot", One(one_hot)),
    ("Range", One(range)),
    ("Shape", One(shape)),
    ("Size", One(|call| Ok(Array::int(call.shape(0)?.iter().product::<usize>() as i64)))),
];

fn constant(call: &Call<'_>) -> Result<Array, Reason> {
    for name in ["value", "value_float", "value_floats", "value_int", "value_ints"] {
        let Some(attribute) = call.attribute(name) else { continue };
        return Ok(match name {
            "value" => attribute.tensor.clone().ok_or("its value is no tensor")?,
            "value_float" => Array::scalar(attribute.float),
            "value_floats" => Array::floats(attribute.floats.clone(), &[attribute.floats.len()]),
            "value_int" => Array::int(attribute.int),
            _ => Array::ints(attribute.ints.clone()),
        });
    }
    Err("its value is missing or is no array of numbers".into())
}

fn constant_of_shape(call: &Call<'_>) -> Result<Array, Reason> {
    let shape = lengths(&call.ints(0)?.ok_or("its shape is missing")?)?;
    let value = call.attribute("value").and_then(|value| value.tensor.clone());
    let value = value.unwrap_or_else(|| Array::floats(vec![0.0], &[1]));
    if value.len() != 1 {
        return Err("its value is not one number".into());
    }
    if shape.contains(&0) {
        return Ok(match value.kind() {
            Kind::Float => Array::floats(Vec::new(), &shape),
            _ => Array::known(TensorData::new(Vec::<i64>::new(), shape)),
        });
    }
    value.reshape(&[])?.expand(&shape)
}

fn eye_like(call: &Call<'_>) -> Result<Array, Reason> {
    let [rows, columns] = call.shape(0)?[..] else { return Err("it needs a matrix".into()) };
    let shift = call.attribute_int("k", 0);
    check_known(rows.saturating_mul(columns))?;
    let is_one = |index: usize| (index % columns) as i64 - (index / columns) as i64 == shift;
    let eye = (0..rows * columns).map(|index| f32::from(u8::from(is_one(index)))).collect();
    Ok(Array::floats(eye, &[rows, columns]).cast(Kind::of_type(call.attribute_int("dtype", 1))?))
}

/// The indices of elements that are not zero, `[rank, count]`. Their number must be known.
fn non_zero(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.numbers(0)?.ok_or("its input is missing")?;
    let shape = x.shape();
    let shape = if shape.is_empty() { vec![1] } else { shape };
    let places: Vec<usize> = x
        .to_floats()
        .iter()
        .enumerate()
        .filter(|(_, number)| **number != 0.0)
        .map(|(place, _)| place)
        .collect();
    let along = |axis: usize| {
        let step: usize = shape[axis + 1..].iter().product();
        let length = shape[axis];
        places.iter().map(move |place| (place / step % length) as i64)
    };
    let indices: Vec<i64> = (0..shape.len()).flat_map(along).collect();
    Ok(Array::known(TensorData::new(indices, [shape.len(), places.len()])))
}

fn one_hot(call: &Call<'_>) -> Result<Array, Reason> {
    let depth = call.ints(1)?.and_then(|depth| depth.first().copied()).ok_or("its depth is missing")?;
    let depth = usize::try_from(depth).map_err(|_| "its depth is negative")?;
    let values = call.numbers(2)?.ok_or("its values are missing")?;
    let (kind, values) = (values.kind(), values.to_floats());
    let [off, on] = values[..] else { return Err("it needs two values".into()) };
    let indices = call.input(0)?.cast(Kind::Int);
    let rank = indices.rank() + 1;
    let axis = super::axis_of(call.attribute_int("axis", -1), rank)?;
    let mut shape = indices.shape();
    shape.insert(axis, 1);
    let mut classes = vec![1; rank];
    classes[axis] = depth;
    check_known(depth)?;
    let classes = Array::ints((0..depth as i64).collect()).reshape(&classes)?;
    let classes = classes.beside(&indices, call.device);
    let indices = indices.reshape(&shape)?;
    let dtype = indices.bool_dtype();
    let indices = super::structure::from_start(indices, depth);
    let is_class = indices.zip(classes, |a, b| {
        use burn::backend::{Dispatch, ops::IntTensorOps};
        Dispatch::int_equal(a, b, dtype)
    })?;
    let hot = is_class.cast(Kind::Float).map(|hot| {
        use burn::backend::{Dispatch, ops::FloatTensorOps};
        Dispatch::float_add_scalar(Dispatch::float_mul_scalar(hot, (on - off).into()), off.into())
    });
    Ok(hot.cast(kind))
}

fn range(call: &Call<'_>) -> Result<Array, Reason> {
    let bound = |index: usize| call.numbers(index)?.ok_or_else(|| format!("input {index} is missing"));
    let [start, limit, step] = [bound(0)?, bound(1)?, bound(2)?];
    let too_long = |count: f64| {
        if count.is_nan() {
            return Err("the range has no end".to_string());
        }
        let count = count.max(0.0) as usize;
        check_known(count).map(|()| count)
    };
    if start.kind() == Kind::Int {
        let [start, limit, step] =
            [start, limit, step].map(|bound| bound.to_ints().first().copied().unwrap_or(0));
        let count = too_long(((limit as f64 - start as f64) / step as f64).ceil())?;
        return Ok(Array::ints(
            (0..count as i64).map(|index| start.wrapping_add(index.wrapping_mul(step))).collect(),
        ));
    }
    let [start, limit, step] =
        [start, limit, step].map(|bound| bound.to_floats().first().copied().unwrap_or(0.0));
    let count = too_long(((f64::from(limit) - f64::from(start)) / f64::from(step)).ceil())?;
    Ok(Array::floats((0..count).map(|index| start + index as f32 * step).collect(), &[count]))
}

/// The shape of an array or, since version 15, a range of it.
fn shape(call: &Call<'_>) -> Result<Array, Reason> {
    let shape = call.shape(0)?;
    let rank = shape.len() as i64;
    let index = |place: i64| (if place < 0 { place + rank } else { place }).clamp(0, rank) as usize;
    let (start, end) = (index(call.attribute_int("start", 0)), index(call.attribute_int("end", rank)));
    Ok(Array::ints(shape[start..end.max(start)].iter().map(|length| *length as i64).collect()))
}
