//! Quantized operators, computed with floats: $s (q - z)$ with a scale and a zero point, and rounding where the model rounds.
//!
//! In a recording, a quantized value is the number that it stands for: layers show what the network computes with, and gradients pass. They
//! pass rounding unchanged and are zero where a value is clipped: the straight-through estimator, Bengio et al.,
//! <https://arxiv.org/abs/1308.3432>.

use super::Operator::{self, Many, One};
use super::{Call, axis_of, convolution, matrix};
use crate::array::{Array, Kind};
use crate::error::Reason;
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("ConvInteger", One(conv_integer)),
    ("DequantizeLinear", One(dequantize)),
    ("DynamicQuantizeLinear", Many(dynamic_quantize)),
    ("MatMulInteger", One(mat_mul_integer)),
    ("QLinearConv", One(q_linear_conv)),
    ("QLinearMatMul", One(q_linear_mat_mul)),
    ("QuantizeLinear", One(quantize)),
];

/// A scale and a zero point, for a whole array or along one of its axes.
struct Scale {
    scale: Array,
    zero_point: Option<Array>,
}

impl Scale {
    /// - index: of the scale among the inputs; the zero point follows it
    /// - shape: of the quantized array
    fn new(call: &Call<'_>, index: usize, shape: &[usize], axis: i64) -> Result<Self, Reason> {
        let scale = call.float(index)?;
        if call.attribute_int("block_size", 0) != 0 || scale.rank() > 1 {
            return Err("scales of blocks are not supported".into());
        }
        let along = |array: Array| match array.len() {
            1 => array.reshape(&vec![1; shape.len()]),
            length => {
                let axis = axis_of(axis, shape.len())?;
                let mut form = vec![1; shape.len()];
                form[axis] = length;
                array.reshape(&form)
            }
        };
        let zero_point = call.optional(index + 1).map(|array| along(array.cast(Kind::Float))).transpose()?;
        Ok(Self { scale: along(scale)?, zero_point })
    }

    /// $s (q - z)$
    fn dequantize(&self, quantized: Array) -> Result<Array, Reason> {
        let quantized = quantized.cast(Kind::Float);
        let centered = match &self.zero_point {
            Some(zero_point) => quantized.zip(zero_point.clone(), Dispatch::float_sub)?,
            None => quantized,
        };
        centered.zip(self.scale.clone(), Dispatch::float_mul)
    }

    /// $\mathrm{clip}(\mathrm{round}(x / s) + z)$
    fn quantize(&self, x: Array, [low, high]: [f32; 2]) -> Result<Array, Reason> {
        let rounded = round(x.zip(self.scale.clone(), Dispatch::float_div)?);
        let shifted = match &self.zero_point {
            Some(zero_point) => rounded.zip(zero_point.clone(), Dispatch::float_add)?,
            None => rounded,
        };
        Ok(shifted.map(|x| Dispatch::float_clamp(x, low.into(), high.into())))
    }

    /// Quantizes an output. In a recording it becomes the number that it stands for again.
    fn output(&self, x: Array, range: [f32; 2]) -> Result<Array, Reason> {
        let is_known = x.is_known();
        let quantized = self.quantize(x, range)?;
        if is_known { Ok(quantized) } else { self.dequantize(quantized) }
    }
}

/// Returns the numbers that an input stands for. Its scale follows it.
fn real(call: &Call<'_>, index: usize, axis: i64) -> Result<(Array, Scale), Reason> {
    let x = call.filled(index)?;
    let scale = Scale::new(call, index + 1, &x.shape(), axis)?;
    let x = if call.is_quantized(index) { x } else { scale.dequantize(x)? };
    Ok((x, scale))
}

/// Reports whether an operator gives quantized values; `None` for operators that give what they get.
pub(super) fn gives_quantized(operator: &str) -> Option<bool> {
    match operator {
        "ConvInteger" | "DequantizeLinear" | "DynamicQuantizeLinear" | "MatMulInteger" | "Shape" => {
            Some(false)
        }
        operator => zero_point_of_output(operator).map(|_| true),
    }
}

/// Rounds, and lets gradients pass.
fn round(x: Array) -> Array {
    x.map(|x| cam_graph::straight_through(Dispatch::float_round(x)))
}

/// Returns the smallest and the largest quantized value, by the type of the zero point.
fn range(call: &Call<'_>) -> [f32; 2] {
    match call.attribute_ints(RANGE) {
        Some(&[low, high]) => [low as f32, high as f32],
        _ => [0.0, 255.0],
    }
}

/// The attribute that holds the range of the quantized output. It is set when a file is read, as only there types have a width.
pub(crate) const RANGE: &str = "cam:range";

/// Returns the input that is the zero point of the output of a quantizing operator.
pub(crate) fn zero_point_of_output(operator: &str) -> Option<usize> {
    Some(match operator {
        "QuantizeLinear" => 2,
        "QGemm" => 8,
        "QLinearConv" | "QLinearMatMul" => 7,
        "QLinearAdd" | "QLinearMul" => 7,
        "QLinearGlobalAveragePool" | "QLinearSigmoid" | "QLinearLeakyRelu" => 4,
        _ => return None,
    })
}

/// Reports whether an operator rounds what depends on its input.
pub(crate) fn rounds(operator: &str) -> bool {
    operator == "DynamicQuantizeLinear" || zero_point_of_output(operator).is_some()
}

/// Returns the range of an integer type.
pub(crate) fn range_of_type(kind: i64) -> Option<[i64; 2]> {
    Some(match kind {
        2 => [0, 255],
        3 => [-128, 127],
        4 => [0, 65_535],
        5 => [-32_768, 32_767],
        _ => return None,
    })
}

fn quantize(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let scale = Scale::new(call, 1, &x.shape(), call.attribute_int("axis", 1))?;
    scale.output(x, range(call))
}

fn dequantize(call: &Call<'_>) -> Result<Array, Reason> {
    Ok(real(call, 0, call.attribute_int("axis", 1))?.0)
}

/// Quantizes to 0 .. 255 by the range of the values and zero. The scale and the zero point have no gradient.
fn dynamic_quantize(call: &Call<'_>) -> Result<Vec<Array>, Reason> {
    let x = call.float(0)?;
    let axes = 0..x.rank();
    let least = x
        .clone()
        .map(|x| Dispatch::float_clamp_max(axes.clone().fold(x, Dispatch::float_min_dim), 0.0.into()));
    let most =
        x.clone().map(|x| Dispatch::float_clamp_min(axes.fold(x, Dispatch::float_max_dim), 0.0.into()));
    let scale = most.zip(least.clone(), Dispatch::float_sub)?;
    let scale = scale.map(|scale| cam_graph::detached(Dispatch::float_div_scalar(scale, 255.0.into())));
    let zero_point = least.zip(scale.clone(), Dispatch::float_div)?;
    let zero_point = zero_point.map(|zero| {
        let zero = Dispatch::float_clamp(Dispatch::float_neg(zero), 0.0.into(), 255.0.into());
        cam_graph::detached(Dispatch::float_round(zero))
    });
    let quantizer = Scale { scale: scale.clone(), zero_point: Some(zero_point.clone()) };
    let quantized = quantizer.quantize(x, [0.0, 255.0])?;
    Ok(vec![quantized, scale.reshape(&[])?, zero_point.reshape(&[])?])
}

/// Returns an input minus its zero point, which may differ along an axis.
fn centered(call: &Call<'_>, index: usize, zero_point: usize, axis: usize) -> Result<Array, Reason> {
    if call.is_quantized(index) {
        return Err(
            "integer arithmetic of values that are quantized by a constant scale is not supported".into()
        );
    }
    let x = call.filled(index)?.cast(Kind::Float);
    let Some(zero) = call.optional(zero_point) else { return Ok(x) };
    let mut form = vec![1; x.rank()];
    if zero.len() > 1 {
        form[axis] = zero.len();
    }
    x.zip(zero.cast(Kind::Float).reshape(&form)?, Dispatch::float_sub)
}

fn conv_integer(call: &Call<'_>) -> Result<Array, Reason> {
    convolution::convolve(call, centered(call, 0, 2, 0)?, centered(call, 1, 3, 0)?, None)
}

fn mat_mul_integer(call: &Call<'_>) -> Result<Array, Reason> {
    let last = call.shape(1)?.len().saturating_sub(1);
    let row = call.shape(0)?.len().saturating_sub(2);
    matrix::product(centered(call, 0, 2, row)?, centered(call, 1, 3, last)?)
}

/// Inputs: x, its scale and zero point; the weight, its scales and zero points; the scale and zero point of the output; the bias, whose
/// scale is the product of those of x and the weight.
fn q_linear_conv(call: &Call<'_>) -> Result<Array, Reason> {
    let ((x, of_x), (weight, of_weight)) = (real(call, 0, 1)?, real(call, 3, 0)?);
    let bias = match call.optional(8) {
        Some(bias) => {
            let channels = bias.len();
            let scale = of_weight.scale.clone();
            let count = scale.len();
            let of_x = of_x.scale.clone().reshape(&[1])?;
            let scale = scale.reshape(&[count])?.zip(of_x, Dispatch::float_mul)?;
            Some(bias.cast(Kind::Float).zip(scale.expand(&[channels])?, Dispatch::float_mul)?)
        }
        None => None,
    };
    let y = convolution::convolve(call, x, weight, bias)?;
    Scale::new(call, 6, &y.shape(), 1)?.output(y, range(call))
}

fn q_linear_mat_mul(call: &Call<'_>) -> Result<Array, Reason> {
    let y = matrix::product(real(call, 0, -2)?.0, real(call, 3, -1)?.0)?;
    Scale::new(call, 6, &y.shape(), -1)?.output(y, range(call))
}

/// Inputs: a, its scale and zero point; b, its scales and zero points; the bias, whose scale is the product of those of a and b; the scale
/// and zero point of the output, which is of floats without them.
pub(super) fn q_gemm(call: &Call<'_>) -> Result<Array, Reason> {
    let is_transposed = |name: &str| call.attribute_int(name, 0) == 1;
    let of_columns = if is_transposed("transB") { 0 } else { 1 };
    let ((a, of_a), (b, of_b)) = (real(call, 0, 1)?, real(call, 3, of_columns)?);
    let (scale, count) = (of_b.scale.clone(), of_b.scale.len());
    let scale = scale.reshape(&[count])?.zip(of_a.scale.clone().reshape(&[1])?, Dispatch::float_mul)?;
    let turned = |x: Array, name: &str| if is_transposed(name) { x.permute(&[1, 0]) } else { Ok(x) };
    let (a, b) = (turned(a, "transA")?, turned(b, "transB")?);
    let alpha = call.attribute_float("alpha", 1.0);
    let mut y = matrix::product(a, b)?.map(|y| Dispatch::float_mul_scalar(y, alpha.into()));
    if let Some(bias) = call.optional(6) {
        y = y.zip(bias.cast(Kind::Float).zip(scale, Dispatch::float_mul)?, Dispatch::float_add)?;
    }
    match call.optional(7) {
        Some(_) => Scale::new(call, 7, &y.shape(), 1)?.output(y, range(call)),
        None => Ok(y),
    }
}

/// A function of two quantized arrays, with onnxruntime's order of inputs: a, its scale and zero point, b, its own, those of the output.
pub(super) fn q_linear_pair(
    call: &Call<'_>,
    f: fn(burn::backend::DispatchTensor, burn::backend::DispatchTensor) -> burn::backend::DispatchTensor,
) -> Result<Array, Reason> {
    let y = real(call, 0, 1)?.0.zip(real(call, 3, 1)?.0, f)?;
    Scale::new(call, 6, &y.shape(), 1)?.output(y, range(call))
}

/// A function of one quantized array: x, its scale and zero point, those of the output.
pub(super) fn q_linear(
    call: &Call<'_>,
    f: impl FnOnce(Array) -> Result<Array, Reason>,
) -> Result<Array, Reason> {
    let y = f(real(call, 0, 1)?.0)?;
    Scale::new(call, 3, &y.shape(), 1)?.output(y, range(call))
}
