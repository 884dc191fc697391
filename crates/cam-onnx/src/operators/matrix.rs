//! Products of matrices.

use super::Operator::{self, One};
use super::{Call, Value};
use crate::array::{Array, Kind};
use crate::error::Reason;
use burn::backend::Dispatch;
use burn::backend::ops::{FloatTensorOps, IntTensorOps, ModuleOps};

pub(super) const OPERATORS: &[(&str, Operator)] =
    &[("Einsum", One(einsum)), ("Gemm", One(gemm)), ("MatMul", One(mat_mul))];

fn mat_mul(call: &Call<'_>) -> Result<Array, Reason> {
    product(call.input(0)?, call.input(1)?)
}

/// The product of matrices in the last two axes; vectors are rows on the left and columns on the right.
pub(super) fn product(a: Array, b: Array) -> Result<Array, Reason> {
    let (of_a, of_b) = (a.shape(), b.shape());
    let (Some(inner), Some(rows)) = (of_a.last(), of_b.get(of_b.len().saturating_sub(2))) else {
        return Err("it needs matrices".into());
    };
    if inner != rows {
        return Err(format!("matrices of the shapes {of_a:?} and {of_b:?} cannot be multiplied"));
    }
    let (rows, columns) = (a.len() / (*inner).max(1), of_b.last().copied().filter(|_| of_b.len() > 1));
    let batch = of_b.iter().rev().skip(2).product::<usize>();
    a.check_size(&[rows, columns.unwrap_or(1), batch])?;
    if a.kind() != Kind::Float {
        let rank = of_a.len().max(of_b.len());
        return a.with_rank(rank)?.combine(b.with_rank(rank)?, Dispatch::int_matmul);
    }
    // A matrix on the right is that of a linear layer.
    if of_b.len() == 2 && of_a.len() >= 2 {
        return a.combine(b, |a, b| Dispatch::linear(a, b, None));
    }
    let (row, column) = (of_a.len() == 1, of_b.len() == 1);
    let a = if row { a.reshape(&[1, of_a[0]])? } else { a };
    let b = if column { b.reshape(&[of_b[0], 1])? } else { b };
    let rank = a.rank().max(b.rank());
    let y = a.with_rank(rank)?.combine(b.with_rank(rank)?, Dispatch::float_matmul)?;
    let mut shape = y.shape();
    if column {
        shape.pop();
    }
    if row {
        shape.remove(shape.len() - if column { 1 } else { 2 });
    }
    y.reshape(&shape)
}

/// $\alpha A B + \beta C$, with either matrix transposed.
pub(super) fn gemm(call: &Call<'_>) -> Result<Array, Reason> {
    let matrix = |index: usize, name: &str| {
        let matrix = call.float(index)?;
        if matrix.rank() != 2 {
            return Err(format!("input {index} is no matrix"));
        }
        if call.attribute_int(name, 0) == 1 { matrix.permute(&[1, 0]) } else { Ok(matrix) }
    };
    let (a, b) = (matrix(0, "transA")?, matrix(1, "transB")?);
    let (alpha, beta) = (call.attribute_float("alpha", 1.0), call.attribute_float("beta", 1.0));
    let scaled = |x: Array, factor: f32| match factor {
        1.0 => x,
        factor => x.map(|x| Dispatch::float_mul_scalar(x, factor.into())),
    };
    let is_bias = matches!(call.inputs.get(2), Some(Some(bias)) if bias.shape() == b.shape()[1..]);
    if is_bias && !matches!(call.inputs[0], Some(Value::Known(_))) {
        let bias = scaled(call.float(2)?, beta).tensor();
        let (a, b) = (scaled(a, alpha), b);
        if a.shape()[1] != b.shape()[0] {
            return Err(format!(
                "matrices of the shapes {:?} and {:?} cannot be multiplied",
                a.shape(),
                b.shape()
            ));
        }
        return a.combine(b, |a, b| Dispatch::linear(a, b, Some(bias)));
    }
    let y = scaled(product(a, b)?, alpha);
    match call.optional(2) {
        Some(bias) => y.zip(scaled(bias, beta), Dispatch::float_add),
        None => Ok(y),
    }
}

/// A product of one or two arrays in Einstein's notation, as products of matrices.
fn einsum(call: &Call<'_>) -> Result<Array, Reason> {
    let equation: String =
        call.attribute_text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let unsupported = || format!("the equation `{}` is not supported", equation.escape_debug());
    let (terms, output) = equation.split_once("->").ok_or_else(unsupported)?;
    let terms: Vec<&str> = terms.split(',').collect();
    let arrays = call.all_inputs();
    if terms.len() != arrays.len() || equation.contains('.') || terms.iter().any(|term| has_twice(term)) {
        return Err(unsupported());
    }
    let output: Vec<char> = output.chars().collect();
    let mut operands = terms.iter().zip(arrays).map(|(term, array)| {
        let labels: Vec<char> = term.chars().collect();
        if labels.len() != array.rank() { Err(unsupported()) } else { Ok((labels, array)) }
    });
    let mut product = operands.next().ok_or_else(unsupported)??;
    let rest: Vec<_> = operands.collect::<Result<_, _>>()?;
    for (index, next) in rest.iter().enumerate() {
        let later: Vec<char> = rest[index + 1..].iter().flat_map(|(labels, _)| labels.clone()).collect();
        product = contract(product, next.clone(), |label| output.contains(&label) || later.contains(&label))?;
    }
    let (labels, array) = without(product, |label| output.contains(&label))?;
    let order: Option<Vec<usize>> =
        output.iter().map(|label| labels.iter().position(|other| other == label)).collect();
    array.permute(&order.ok_or_else(unsupported)?)
}

fn has_twice(term: &str) -> bool {
    term.chars().enumerate().any(|(index, label)| term.chars().skip(index + 1).any(|other| other == label))
}

/// Sums the axes whose labels are not kept.
fn without(
    (mut labels, mut array): (Vec<char>, Array),
    is_kept: impl Fn(char) -> bool,
) -> Result<(Vec<char>, Array), Reason> {
    while let Some(axis) = labels.iter().position(|label| !is_kept(*label)) {
        let mut shape = array.shape();
        shape.remove(axis);
        labels.remove(axis);
        array = array.map(|x| Dispatch::float_sum_dim(x, axis)).reshape(&shape)?;
    }
    Ok((labels, array))
}

/// Multiplies two arrays and sums over the labels that are in both and not kept.
fn contract(
    a: (Vec<char>, Array),
    b: (Vec<char>, Array),
    is_kept: impl Fn(char) -> bool,
) -> Result<(Vec<char>, Array), Reason> {
    let a = without(a, |label| is_kept(label) || b.0.contains(&label))?;
    let b = without(b, |label| is_kept(label) || a.0.contains(&label))?;
    let ((of_a, a), (of_b, b)) = (a, b);
    let both = |label: &&char| of_b.contains(label);
    let batch: Vec<char> = of_a.iter().filter(both).filter(|label| is_kept(**label)).copied().collect();
    let inner: Vec<char> = of_a.iter().filter(both).filter(|label| !is_kept(**label)).copied().collect();
    let only = |labels: &[char], others: &[char]| -> Vec<char> {
        labels.iter().filter(|label| !others.contains(label)).copied().collect()
    };
    let (rows, columns) = (only(&of_a, &of_b), only(&of_b, &of_a));
    let length = |label: &char| {
        let find =
            |labels: &[char], shape: &[usize]| labels.iter().position(|l| l == label).map(|axis| shape[axis]);
        find(&of_a, &a.shape()).or_else(|| find(&of_b, &b.shape())).unwrap_or(1)
    };
    let shape = |labels: &[char]| labels.iter().map(length).collect::<Vec<usize>>();
    let size = |labels: &[char]| shape(labels).iter().product::<usize>();
    let sizes = [size(&batch), size(&rows), size(&inner), size(&columns)];
    let arranged = |array: &Array, labels: &[char], groups: [&[char]; 3], sizes: [usize; 3]| {
        let order = groups.concat();
        let axes: Vec<usize> =
            order.iter().filter_map(|label| labels.iter().position(|other| other == label)).collect();
        array.clone().permute(&axes)?.reshape(&sizes)
    };
    let left = arranged(&a, &of_a, [&batch, &rows, &inner], [sizes[0], sizes[1], sizes[2]])?;
    let right = arranged(&b, &of_b, [&batch, &inner, &columns], [sizes[0], sizes[2], sizes[3]])?;
    let whole = [shape(&batch), shape(&rows), shape(&columns)].concat();
    let y = left.combine(right, Dispatch::float_matmul)?.reshape(&whole)?;
    Ok(([batch, rows, columns].concat(), y))
}
