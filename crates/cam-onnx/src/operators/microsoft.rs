//! The operators that onnxruntime's optimizer writes (`com.microsoft`).
//!
//! Definitions: <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>.

use super::Operator::{self, Many, One};
use super::attention::{Scores, attend, join_heads, split_heads, with_bias};
use super::{Call, convolution, elementwise, matrix, quantized};
use crate::array::Array;
use crate::error::Reason;
use burn::backend::Dispatch;
use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Attention", Many(|call| Ok(vec![attention(call)?]))),
    ("BiasGelu", One(|call| Ok(with_bias(call.float(0)?, call.optional(1))?.map(Dispatch::gelu)))),
    ("FastGelu", One(|call| Ok(with_bias(call.float(0)?, call.optional(1))?.map(elementwise::tanh_gelu)))),
    ("FusedConv", One(fused_conv)),
    ("FusedGemm", One(|call| activated(call, matrix::gemm(call)?))),
    ("FusedMatMul", One(fused_mat_mul)),
    ("Gelu", One(|call| Ok(call.float(0)?.map(Dispatch::gelu)))),
    ("MultiHeadAttention", Many(|call| Ok(vec![multi_head_attention(call)?]))),
    ("QGemm", One(quantized::q_gemm)),
    ("QLinearAdd", One(|call| quantized::q_linear_pair(call, Dispatch::float_add))),
    ("QLinearGlobalAveragePool", One(q_linear_global_average_pool)),
    ("QLinearLeakyRelu", One(q_linear_leaky_relu)),
    ("QLinearMul", One(|call| quantized::q_linear_pair(call, Dispatch::float_mul))),
    ("QLinearSigmoid", One(|call| quantized::q_linear(call, |x| Ok(x.map(Dispatch::sigmoid))))),
    ("QuickGelu", One(quick_gelu)),
    ("SkipLayerNormalization", Many(skip_layer_norm)),
];

/// Applies the activation that an attribute names.
fn activated(call: &Call<'_>, x: Array) -> Result<Array, Reason> {
    let parameter = |index: usize, default: f32| {
        let list = call.attribute("activation_params").map(|list| list.floats.as_slice()).unwrap_or_default();
        list.get(index).copied().unwrap_or(default)
    };
    Ok(match call.attribute_text("activation", "") {
        "" => x,
        "Relu" => x.map(Dispatch::relu),
        "Sigmoid" => x.map(Dispatch::sigmoid),
        "Tanh" => x.map(Dispatch::float_tanh),
        "LeakyRelu" => {
            let slope = call.attribute_float("activation_alpha", parameter(0, 0.01));
            x.map(|x| Dispatch::leaky_relu(x, slope.into()))
        }
        "Clip" => {
            let (min, max) = (parameter(0, f32::MIN), parameter(1, f32::MAX));
            x.map(|x| Dispatch::float_clamp(x, min.into(), max.into()))
        }
        "HardSigmoid" => {
            let (alpha, beta) = (parameter(0, 0.2), parameter(1, 0.5));
            x.map(|x| Dispatch::hard_sigmoid(x, alpha.into(), beta.into()))
        }
        other => return Err(format!("the activation `{}` is not supported", other.escape_debug())),
    })
}

fn fused_conv(call: &Call<'_>) -> Result<Array, Reason> {
    let y = convolution::convolve(call, call.float(0)?, call.float(1)?, call.optional(2))?;
    let y = match call.optional(3) {
        Some(residual) => y.zip(residual, Dispatch::float_add)?,
        None => y,
    };
    activated(call, y)
}

fn fused_mat_mul(call: &Call<'_>) -> Result<Array, Reason> {
    let side = |index: usize, name: &str| {
        let x = call.float(index)?;
        let rank = x.rank();
        let mut order: Vec<usize> = (0..rank).collect();
        if call.attribute_int(name, 0) == 1 && rank > 1 {
            order.swap(rank - 2, rank - 1);
        }
        x.permute(&order)
    };
    if ["transBatchA", "transBatchB"].iter().any(|name| call.attribute_int(name, 0) == 1) {
        return Err("transposed batches are not supported".into());
    }
    let alpha = call.attribute_float("alpha", 1.0);
    let y = matrix::product(side(0, "transA")?, side(1, "transB")?)?;
    Ok(if alpha == 1.0 { y } else { y.map(|y| Dispatch::float_mul_scalar(y, alpha.into())) })
}

fn quick_gelu(call: &Call<'_>) -> Result<Array, Reason> {
    let alpha = call.attribute_float("alpha", 1.702);
    Ok(call.float(0)?.map(|x| elementwise::swish_of(x, alpha)))
}

/// A layer norm of a sum, and the sum as the last output.
fn skip_layer_norm(call: &Call<'_>) -> Result<Vec<Array>, Reason> {
    let sum = call.float(0)?.zip(call.float(1)?, Dispatch::float_add)?;
    let sum = with_bias(sum, call.optional(4))?;
    let epsilon = f64::from(call.attribute_float("epsilon", 1e-12));
    let (scale, bias) = (call.float(2)?.tensor(), call.optional(3).map(Array::tensor));
    let y = sum.clone().map(|x| Dispatch::layer_norm(x, scale, bias, epsilon));
    // The mean and deviation of training are not used.
    Ok(vec![y, sum.clone(), sum.clone(), sum])
}

/// Inputs: tokens `[batch, tokens, width]`, the weight `[width, 3 * width]` and bias of queries, keys and values.
fn attention(call: &Call<'_>) -> Result<Array, Reason> {
    let has = |index: usize| call.inputs.get(index).is_some_and(Option::is_some);
    if has(3) || has(4) || call.attribute("qkv_hidden_sizes").is_some() {
        return Err("attention with a mask, a cache or heads of several sizes is not supported".into());
    }
    let heads = usize::try_from(call.attribute_int("num_heads", 0)).unwrap_or(0);
    let qkv = with_bias(matrix::product(call.float(0)?, call.float(1)?)?, call.optional(2))?;
    let width = qkv.shape().last().copied().unwrap_or(0) / 3;
    let part = |part: usize| split_heads(qkv.clone().narrow(2, part * width..(part + 1) * width), heads);
    let scores = Scores {
        scale: call.attribute("scale").map(|scale| scale.float).filter(|scale| *scale != 0.0),
        mask: call.optional(5),
        is_causal: call.attribute_int("unidirectional", 0) == 1,
    };
    join_heads(attend(call, part(0)?, part(1)?, part(2)?, scores)?)
}

/// Inputs: queries, keys and values `[batch, tokens, width]`, and the bias of all three.
fn multi_head_attention(call: &Call<'_>) -> Result<Array, Reason> {
    let has = |index: usize| call.inputs.get(index).is_some_and(Option::is_some);
    if has(4) || (6..9).any(has) || !has(1) || !has(2) {
        return Err("attention with packed inputs, a mask of keys or a cache is not supported".into());
    }
    let heads = usize::try_from(call.attribute_int("num_heads", 0)).unwrap_or(0);
    let bias = call.optional(3);
    let side = |index: usize| {
        let x = call.float(index)?;
        let width = x.shape().last().copied().unwrap_or(0);
        let bias = bias.clone().filter(|bias| bias.len() == 3 * width);
        let bias = bias.map(|bias| bias.narrow(0, index * width..(index + 1) * width));
        split_heads(with_bias(x, bias)?, heads)
    };
    let scores = Scores {
        scale: call.attribute("scale").map(|scale| scale.float).filter(|scale| *scale != 0.0),
        mask: call.optional(5),
        is_causal: call.attribute_int("unidirectional", 0) == 1,
    };
    join_heads(attend(call, side(0)?, side(1)?, side(2)?, scores)?)
}

fn q_linear_global_average_pool(call: &Call<'_>) -> Result<Array, Reason> {
    if call.attribute_int("channels_last", 0) == 1 {
        return Err("quantized pooling of channels in the last axis is not supported".into());
    }
    quantized::q_linear(call, |x| {
        let rank = x.rank();
        Ok(x.map(|x| (2..rank).fold(x, Dispatch::float_mean_dim)))
    })
}

fn q_linear_leaky_relu(call: &Call<'_>) -> Result<Array, Reason> {
    let slope = call.attribute_float("alpha", 0.01);
    quantized::q_linear(call, |x| Ok(x.map(|x| Dispatch::leaky_relu(x, slope.into()))))
}
