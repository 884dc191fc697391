//! Operators of single elements.

use super::Operator::{self, Many, One};
use super::{Call, Value};
use crate::array::{Array, Kind};
use crate::error::Reason;
use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Abs", One(|call| numeric(call, Dispatch::float_abs, Dispatch::int_abs))),
    ("Acos", One(|call| unary(call, Dispatch::float_acos))),
    ("Acosh", One(|call| unary(call, Dispatch::float_acosh))),
    ("Add", One(|call| binary(call, &ADD))),
    ("And", One(|call| logical(call, Dispatch::bool_and))),
    ("Asin", One(|call| unary(call, Dispatch::float_asin))),
    ("Asinh", One(|call| unary(call, Dispatch::float_asinh))),
    ("Atan", One(|call| unary(call, Dispatch::float_atan))),
    ("Atanh", One(|call| unary(call, Dispatch::float_atanh))),
    ("Cast", One(cast)),
    ("CastLike", One(|call| Ok(call.input(0)?.cast(call.input(1)?.kind())))),
    ("Ceil", One(|call| unary(call, Dispatch::float_ceil))),
    ("Celu", One(celu)),
    ("Clip", One(clip)),
    ("Cos", One(|call| unary(call, Dispatch::float_cos))),
    ("Cosh", One(|call| unary(call, Dispatch::float_cosh))),
    ("Div", One(|call| binary(call, &DIV))),
    ("Dropout", Many(dropout)),
    ("Elu", One(|call| Ok(elu(call.float(0)?, call.attribute_float("alpha", 1.0))))),
    ("Equal", One(|call| compare(call, Dispatch::float_equal, Dispatch::int_equal))),
    ("Erf", One(|call| unary(call, Dispatch::float_erf))),
    ("Exp", One(|call| unary(call, Dispatch::float_exp))),
    ("Floor", One(|call| unary(call, Dispatch::float_floor))),
    ("Gelu", One(gelu)),
    ("Greater", One(|call| compare(call, Dispatch::float_greater, Dispatch::int_greater))),
    ("GreaterOrEqual", One(|call| compare(call, Dispatch::float_greater_equal, Dispatch::int_greater_equal))),
    ("HardSigmoid", One(hard_sigmoid)),
    ("HardSwish", One(hard_swish)),
    ("Identity", One(|call| call.input(0))),
    ("IsInf", One(is_inf)),
    ("IsNaN", One(|call| predicate(call, Dispatch::float_is_nan))),
    ("LeakyRelu", One(leaky_relu)),
    ("Less", One(|call| compare(call, Dispatch::float_lower, Dispatch::int_lower))),
    ("LessOrEqual", One(|call| compare(call, Dispatch::float_lower_equal, Dispatch::int_lower_equal))),
    ("Log", One(|call| unary(call, Dispatch::float_log))),
    ("Max", One(|call| extreme(call, Dispatch::float_lower, Dispatch::int_lower))),
    ("Mean", One(mean)),
    ("Min", One(|call| extreme(call, Dispatch::float_greater, Dispatch::int_greater))),
    ("Mish", One(|call| Ok(mish(call.float(0)?)))),
    ("Mod", One(modulo)),
    ("Mul", One(|call| binary(call, &MUL))),
    ("Neg", One(|call| numeric(call, Dispatch::float_neg, Dispatch::int_neg))),
    ("Not", One(|call| Ok(call.input(0)?.cast(Kind::Bool).map(Dispatch::bool_not)))),
    ("Or", One(|call| logical(call, Dispatch::bool_or))),
    ("PRelu", One(prelu)),
    ("Pow", One(pow)),
    ("Reciprocal", One(|call| unary(call, Dispatch::float_recip))),
    ("Relu", One(|call| unary(call, Dispatch::relu))),
    ("Round", One(|call| unary(call, Dispatch::float_round))),
    ("Selu", One(selu)),
    ("Shrink", One(shrink)),
    ("Sigmoid", One(|call| unary(call, Dispatch::sigmoid))),
    ("Sign", One(|call| numeric(call, Dispatch::float_sign, Dispatch::int_sign))),
    ("Sin", One(|call| unary(call, Dispatch::float_sin))),
    ("Sinh", One(|call| unary(call, Dispatch::float_sinh))),
    ("Softplus", One(|call| Ok(softplus(call.float(0)?)))),
    ("Softsign", One(softsign)),
    ("Sqrt", One(|call| unary(call, Dispatch::float_sqrt))),
    ("Sub", One(|call| binary(call, &SUB))),
    ("Sum", One(sum)),
    ("Swish", One(swish)),
    ("Tan", One(|call| unary(call, Dispatch::float_tan))),
    ("Tanh", One(|call| unary(call, Dispatch::float_tanh))),
    ("ThresholdedRelu", One(thresholded_relu)),
    ("Where", One(select)),
    ("Xor", One(|call| logical(call, Dispatch::bool_xor))),
];

fn unary(call: &Call<'_>, f: fn(DispatchTensor) -> DispatchTensor) -> Result<Array, Reason> {
    Ok(call.float(0)?.map(f))
}

/// Applies a function of floats or integers.
fn numeric(
    call: &Call<'_>,
    float: fn(DispatchTensor) -> DispatchTensor,
    int: fn(DispatchTensor) -> DispatchTensor,
) -> Result<Array, Reason> {
    let x = call.input(0)?;
    let f = if x.kind() == Kind::Float { float } else { int };
    Ok(x.map(f))
}

type Pair = fn(DispatchTensor, DispatchTensor) -> DispatchTensor;
type WithScalar = fn(DispatchTensor, Scalar) -> DispatchTensor;

/// A function of two numbers.
pub(super) struct Binary {
    float: Pair,
    int: Pair,
    /// With a constant number on the right.
    scalar: WithScalar,
    /// Whether the sides can be exchanged.
    commutes: bool,
}

const ADD: Binary = Binary {
    float: Dispatch::float_add,
    int: Dispatch::int_add,
    scalar: Dispatch::float_add_scalar,
    commutes: true,
};
const SUB: Binary = Binary {
    float: Dispatch::float_sub,
    int: Dispatch::int_sub,
    scalar: Dispatch::float_sub_scalar,
    commutes: false,
};
const MUL: Binary = Binary {
    float: Dispatch::float_mul,
    int: Dispatch::int_mul,
    scalar: Dispatch::float_mul_scalar,
    commutes: true,
};
const DIV: Binary = Binary {
    float: Dispatch::float_div,
    int: Dispatch::int_div,
    scalar: Dispatch::float_div_scalar,
    commutes: false,
};

fn binary(call: &Call<'_>, op: &Binary) -> Result<Array, Reason> {
    // A constant number needs no tensor.
    for (x, number) in [(0, 1), (1, 0)] {
        if (number == 1 || op.commutes)
            && let Some(scalar) = scalar_beside(call, x, number)
        {
            return Ok(call.float(x)?.map(|x| (op.scalar)(x, scalar.into())));
        }
    }
    let (a, b) = (call.filled(0)?, call.filled(1)?);
    match (a.kind(), b.kind()) {
        (Kind::Float, Kind::Float) => a.zip(b, op.float),
        (Kind::Int, Kind::Int) => a.zip(b, op.int),
        _ => Err("the inputs have different types".into()),
    }
}

/// Returns an input that is one known number, if the other input is of floats that are not known and has at least its rank.
fn scalar_beside(call: &Call<'_>, x: usize, number: usize) -> Option<f32> {
    let is_recorded = !matches!(call.inputs.get(x)?.as_ref()?, Value::Known(_));
    let scalar = call.known_scalar(number)?;
    let fits = call.shape(number).ok()?.len() <= call.shape(x).ok()?.len();
    (is_recorded && fits && call.input(x).ok()?.kind() == Kind::Float).then_some(scalar)
}

fn sum(call: &Call<'_>) -> Result<Array, Reason> {
    let mut all = call.all_inputs().into_iter();
    let first = all.next().ok_or("it has no inputs")?;
    all.try_fold(first, |sum, next| sum.zip(next, Dispatch::float_add))
}

fn mean(call: &Call<'_>) -> Result<Array, Reason> {
    let count = call.inputs.len() as f32;
    Ok(sum(call)?.map(|sum| Dispatch::float_div_scalar(sum, count.into())))
}

/// Returns the largest or smallest of all inputs. `is_less` compares the first with the second, which replaces it.
fn extreme(call: &Call<'_>, float: Compare, int: Compare) -> Result<Array, Reason> {
    for (x, number) in [(0, 1), (1, 0)] {
        if call.inputs.len() == 2
            && let Some(bound) = scalar_beside(call, x, number)
        {
            // ReLU6 is often written as a minimum and a maximum.
            let clamp: WithScalar = match call.node.operator.as_str() {
                "Max" if bound == 0.0 => return Ok(call.float(x)?.map(Dispatch::relu)),
                "Max" => Dispatch::float_clamp_min,
                _ => Dispatch::float_clamp_max,
            };
            return Ok(call.float(x)?.map(|x| clamp(x, bound.into())));
        }
    }
    let mut all = call.all_inputs().into_iter();
    let first = all.next().ok_or("it has no inputs")?;
    all.try_fold(first, |best, next| {
        let is_float = best.kind() == Kind::Float;
        let shape = crate::array::broadcast(&best.shape(), &next.shape())?;
        let (best, next) = (best.expand(&shape)?, next.expand(&shape)?);
        let dtype = best.bool_dtype();
        best.zip(next, |best, next| match is_float {
            true => Dispatch::float_mask_where(best.clone(), float(best, next.clone(), dtype), next),
            false => Dispatch::int_mask_where(best.clone(), int(best, next.clone(), dtype), next),
        })
    })
}

type Compare = fn(DispatchTensor, DispatchTensor, burn::tensor::BoolDType) -> DispatchTensor;

fn compare(call: &Call<'_>, float: Compare, int: Compare) -> Result<Array, Reason> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let dtype = a.bool_dtype();
    let compare = match (a.kind(), b.kind()) {
        (Kind::Float, Kind::Float) => float,
        (Kind::Int, Kind::Int) => int,
        (Kind::Bool, Kind::Bool) => {
            let (a, b) = (a.cast(Kind::Int), b.cast(Kind::Int));
            return a.zip(b, |a, b| int(a, b, dtype));
        }
        _ => return Err("the inputs have different types".into()),
    };
    a.zip(b, |a, b| compare(a, b, dtype))
}

fn logical(call: &Call<'_>, f: Pair) -> Result<Array, Reason> {
    let (a, b) = (call.input(0)?.cast(Kind::Bool), call.input(1)?.cast(Kind::Bool));
    let shape = crate::array::broadcast(&a.shape(), &b.shape())?;
    a.expand(&shape)?.zip(b.expand(&shape)?, f)
}

fn predicate(
    call: &Call<'_>,
    f: fn(DispatchTensor, burn::tensor::BoolDType) -> DispatchTensor,
) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let dtype = x.bool_dtype();
    Ok(x.map(|x| f(x, dtype)))
}

fn is_inf(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let dtype = x.bool_dtype();
    let detects = |name: &str| call.attribute_int(name, 1) == 1;
    Ok(match (detects("detect_negative"), detects("detect_positive")) {
        (true, true) => x.map(|x| Dispatch::float_is_inf(x, dtype)),
        (true, false) => x.map(|x| Dispatch::float_equal_elem(x, f32::NEG_INFINITY.into(), dtype)),
        (false, true) => x.map(|x| Dispatch::float_equal_elem(x, f32::INFINITY.into(), dtype)),
        (false, false) => x.map(|x| Dispatch::float_is_inf(Dispatch::float_mul_scalar(x, 0.0.into()), dtype)),
    })
}

fn cast(call: &Call<'_>) -> Result<Array, Reason> {
    Ok(call.input(0)?.cast(Kind::of_type(call.attribute_int("to", 1))?))
}

fn dropout(call: &Call<'_>) -> Result<Vec<Array>, Reason> {
    let x = call.input(0)?;
    if call.known_scalar(2).is_some_and(|is_training| is_training != 0.0) {
        return Err("training mode is not supported: export the model in inference mode".into());
    }
    let mut outputs = vec![x.clone()];
    if call.node.outputs.len() > 1 {
        outputs.push(
            x.map(|x| Dispatch::float_mul_scalar(x, 0.0.into())).cast(Kind::Bool).map(Dispatch::bool_not),
        );
    }
    Ok(outputs)
}

fn modulo(call: &Call<'_>) -> Result<Array, Reason> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let is_fmod = call.attribute_int("fmod", 0) == 1;
    match (a.kind(), is_fmod) {
        // The sign of the dividend: a - trunc(a / b) b.
        (Kind::Float, true) => a.zip(b, |a, b| {
            let times = Dispatch::float_trunc(Dispatch::float_div(a.clone(), b.clone()));
            Dispatch::float_sub(a, Dispatch::float_mul(times, b))
        }),
        (Kind::Float, false) => a.zip(b, Dispatch::float_remainder),
        (Kind::Int, false) => a.zip(b, Dispatch::int_remainder),
        (Kind::Int, true) => a.zip(b, |a, b| {
            let times = Dispatch::int_div(a.clone(), b.clone());
            Dispatch::int_sub(a, Dispatch::int_mul(times, b))
        }),
        _ => Err("the inputs are no numbers".into()),
    }
}

fn pow(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.input(0)?;
    if x.kind() == Kind::Float
        && let Some(exponent) = call.known_scalar(1)
    {
        return Ok(x.map(|x| power(x, exponent)));
    }
    let (is_int, exponent) = (x.kind() == Kind::Int, call.input(1)?.cast(Kind::Float));
    let y = x.cast(Kind::Float).zip(exponent, Dispatch::float_powf)?;
    Ok(if is_int { y.cast(Kind::Int) } else { y })
}

/// Returns a power with a constant exponent. Products and roots are exact for negative numbers, too.
pub(super) fn power(x: DispatchTensor, exponent: f32) -> DispatchTensor {
    match exponent {
        1.0 => x,
        2.0 => Dispatch::float_mul(x.clone(), x),
        3.0 => Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x),
        0.5 => Dispatch::float_sqrt(x),
        -1.0 => Dispatch::float_recip(x),
        exponent => Dispatch::float_powf_scalar(x, exponent.into()),
    }
}

fn clip(call: &Call<'_>) -> Result<Array, Reason> {
    let bound = |index: usize, name: &str| match call.opset >= 11 {
        true => Ok(call.floats(index)?.and_then(|bound| bound.first().copied())),
        false => Ok::<_, Reason>(call.attribute(name).map(|bound| bound.float)),
    };
    let (min, max) = (bound(1, "min")?, bound(2, "max")?);
    let x = call.input(0)?;
    let is_float = x.kind() == Kind::Float;
    // The limits of the type are no bounds.
    let (min, max) = (min.filter(|min| *min > f32::MIN), max.filter(|max| *max < f32::MAX));
    Ok(match (min, max) {
        (None, None) => x,
        (Some(min), Some(max)) if is_float && min <= max => {
            x.map(|x| Dispatch::float_clamp(x, min.into(), max.into()))
        }
        (Some(_), Some(max)) if is_float => x.map(|x| {
            let zeros = Dispatch::float_mul_scalar(x, 0.0.into());
            Dispatch::float_add_scalar(zeros, max.into())
        }),
        (Some(0.0), None) if is_float => x.map(Dispatch::relu),
        (Some(min), None) if is_float => x.map(|x| Dispatch::float_clamp_min(x, min.into())),
        (None, Some(max)) if is_float => x.map(|x| Dispatch::float_clamp_max(x, max.into())),
        (min, max) => {
            let x = match min {
                Some(min) => x.map(|x| Dispatch::int_clamp_min(x, (min as i64).into())),
                None => x,
            };
            match max {
                Some(max) => x.map(|x| Dispatch::int_clamp_max(x, (max as i64).into())),
                None => x,
            }
        }
    })
}

fn select(call: &Call<'_>) -> Result<Array, Reason> {
    let (condition, yes, no) = (call.input(0)?.cast(Kind::Bool), call.input(1)?, call.input(2)?);
    if yes.kind() != no.kind() {
        return Err("the inputs have different types".into());
    }
    let shape = crate::array::broadcast(&yes.shape(), &no.shape())?;
    let shape = crate::array::broadcast(&condition.shape(), &shape)?;
    let (condition, yes, no) = (condition.expand(&shape)?, yes.expand(&shape)?, no.expand(&shape)?);
    let kind = yes.kind();
    let condition = condition.tensor();
    no.zip(yes, |no, yes| match kind {
        Kind::Float => Dispatch::float_mask_where(no, condition, yes),
        Kind::Int => Dispatch::int_mask_where(no, condition, yes),
        Kind::Bool => Dispatch::bool_mask_where(no, condition, yes),
    })
}

/// $x \Phi(x)$, or its approximation by a hyperbolic tangent.
fn gelu(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    Ok(match call.attribute_text("approximate", "none") {
        "tanh" => x.map(tanh_gelu),
        _ => x.map(Dispatch::gelu),
    })
}

/// $\frac{x}{2} (1 + \tanh(\sqrt{2 / \pi} (x + 0.044715 x^3)))$
pub(super) fn tanh_gelu(x: DispatchTensor) -> DispatchTensor {
    let cube = Dispatch::float_mul_scalar(power(x.clone(), 3.0), 0.044715.into());
    let inner = Dispatch::float_mul_scalar(
        Dispatch::float_add(x.clone(), cube),
        (2.0 / std::f64::consts::PI).sqrt().into(),
    );
    let factor = Dispatch::float_add_scalar(Dispatch::float_tanh(inner), 1.0.into());
    Dispatch::float_mul(Dispatch::float_mul_scalar(x, 0.5.into()), factor)
}

/// $\max(0, \min(1, \alpha x + \beta))$
fn hard_sigmoid(call: &Call<'_>) -> Result<Array, Reason> {
    let (alpha, beta) = (call.attribute_float("alpha", 0.2), call.attribute_float("beta", 0.5));
    Ok(call.float(0)?.map(|x| Dispatch::hard_sigmoid(x, alpha.into(), beta.into())))
}

/// $x \max(0, \min(1, x / 6 + 1 / 2))$
fn hard_swish(call: &Call<'_>) -> Result<Array, Reason> {
    let gate = |x: DispatchTensor| Dispatch::hard_sigmoid(x, (1.0 / 6.0).into(), 0.5.into());
    Ok(call.float(0)?.map(|x| Dispatch::float_mul(x.clone(), gate(x))))
}

/// $x \sigma(\alpha x)$
fn swish(call: &Call<'_>) -> Result<Array, Reason> {
    let alpha = call.attribute_float("alpha", 1.0);
    Ok(call.float(0)?.map(|x| swish_of(x, alpha)))
}

pub(super) fn swish_of(x: DispatchTensor, alpha: f32) -> DispatchTensor {
    let scaled = if alpha == 1.0 { x.clone() } else { Dispatch::float_mul_scalar(x.clone(), alpha.into()) };
    Dispatch::float_mul(x, Dispatch::sigmoid(scaled))
}

fn leaky_relu(call: &Call<'_>) -> Result<Array, Reason> {
    let slope = call.attribute_float("alpha", 0.01);
    Ok(call.float(0)?.map(|x| Dispatch::leaky_relu(x, slope.into())))
}

/// $\max(0, x) + \alpha \min(0, x)$ with a slope for each channel or element.
fn prelu(call: &Call<'_>) -> Result<Array, Reason> {
    let (x, slope) = (call.float(0)?, call.float(1)?);
    let positive = x.clone().map(Dispatch::relu);
    let negative = x.map(|x| Dispatch::float_clamp_max(x, 0.0.into()));
    positive.zip(negative.zip(slope, Dispatch::float_mul)?, Dispatch::float_add)
}

/// $x$ above zero, $\alpha (e^x - 1)$ below.
fn elu(x: Array, alpha: f32) -> Array {
    x.map(|x| {
        let below = Dispatch::float_exp(Dispatch::float_clamp_max(x.clone(), 0.0.into()));
        let below = Dispatch::float_mul_scalar(Dispatch::float_sub_scalar(below, 1.0.into()), alpha.into());
        Dispatch::float_add(Dispatch::float_clamp_min(x, 0.0.into()), below)
    })
}

/// $\gamma$ times an ELU.
fn selu(call: &Call<'_>) -> Result<Array, Reason> {
    let alpha = call.attribute_float("alpha", 1.673_263_2);
    let gamma = call.attribute_float("gamma", 1.050_701);
    Ok(elu(call.float(0)?, alpha).map(|x| Dispatch::float_mul_scalar(x, gamma.into())))
}

/// $\max(0, x) + \min(0, \alpha (e^{x / \alpha} - 1))$
fn celu(call: &Call<'_>) -> Result<Array, Reason> {
    let alpha = call.attribute_float("alpha", 1.0);
    let scaled = call.float(0)?.map(|x| Dispatch::float_div_scalar(x, alpha.into()));
    Ok(elu(scaled, 1.0).map(|x| Dispatch::float_mul_scalar(x, alpha.into())))
}

/// $\log(1 + e^x)$, without overflow: $\max(0, x) + \log(1 + e^{-|x|})$
fn softplus(x: Array) -> Array {
    x.map(|x| {
        let small = Dispatch::float_exp(Dispatch::float_neg(Dispatch::float_abs(x.clone())));
        Dispatch::float_add(Dispatch::float_clamp_min(x, 0.0.into()), Dispatch::float_log1p(small))
    })
}

/// $x \tanh(\log(1 + e^x))$
fn mish(x: Array) -> Array {
    let gate = softplus(x.clone()).map(Dispatch::float_tanh).tensor();
    x.map(|x| Dispatch::float_mul(x, gate))
}

/// $x / (1 + |x|)$
fn softsign(call: &Call<'_>) -> Result<Array, Reason> {
    let divisor = |x: DispatchTensor| Dispatch::float_add_scalar(Dispatch::float_abs(x), 1.0.into());
    Ok(call.float(0)?.map(|x| Dispatch::float_div(x.clone(), divisor(x))))
}

/// $x$ above a threshold, else 0.
fn thresholded_relu(call: &Call<'_>) -> Result<Array, Reason> {
    let threshold = call.attribute_float("alpha", 1.0);
    let x = call.float(0)?;
    let dtype = x.bool_dtype();
    Ok(x.map(|x| {
        let below = Dispatch::float_lower_equal_elem(x.clone(), threshold.into(), dtype);
        Dispatch::float_mask_fill(x, below, 0.0.into())
    }))
}

/// $x$ nearer to zero by a bias, 0 within a distance of zero.
fn shrink(call: &Call<'_>) -> Result<Array, Reason> {
    let (bias, distance) = (call.attribute_float("bias", 0.0), call.attribute_float("lambd", 0.5));
    let x = call.float(0)?;
    let dtype = x.bool_dtype();
    Ok(x.map(|x| {
        let near = Dispatch::float_lower_equal_elem(Dispatch::float_abs(x.clone()), distance.into(), dtype);
        let moved = Dispatch::float_mul_scalar(Dispatch::float_sign(x.clone()), bias.into());
        Dispatch::float_mask_fill(Dispatch::float_sub(x, moved), near, 0.0.into())
    }))
}
