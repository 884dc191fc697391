//! Attention in one operator, taken apart so that methods find its matrix.

use super::Call;
use super::Operator::{self, Many};
use crate::array::{Array, Kind};
use crate::error::Reason;
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor};

pub(super) const OPERATORS: &[(&str, Operator)] = &[("Attention", Many(|call| Ok(vec![attention(call)?])))];

/// What is done to the scores of an attention.
pub(super) struct Scores {
    /// The factor of the scores; by default the reciprocal root of the size of a head.
    pub scale: Option<f32>,
    /// What is added to the scores, or `true` where they count.
    pub mask: Option<Array>,
    pub is_causal: bool,
}

/// $\mathrm{softmax}(s Q K^\top + M) V$
///
/// # Shapes
/// - query, key, value: `[batch, heads, tokens, size]`
/// - output: `[batch, heads, tokens, size]`
pub(super) fn attend(
    call: &Call<'_>,
    query: Array,
    key: Array,
    value: Array,
    scores: Scores,
) -> Result<Array, Reason> {
    let ([.., queries, size], [.., keys, _]) = (&query.shape()[..], &key.shape()[..]) else {
        return Err("its queries and keys are no matrices".into());
    };
    let (queries, keys, size) = (*queries, *keys, *size);
    let scale = scores.scale.unwrap_or((size as f32).powf(-0.5));
    let query = query.map(|query| Dispatch::float_mul_scalar(query, scale.into()));
    let mut weights = query.combine(key.permute(&[0, 1, 3, 2])?, Dispatch::float_matmul)?;
    // 1 where a key counts for a query, else 0.
    let mut counts: Option<Array> = None;
    match scores.mask {
        Some(mask) if mask.kind() == Kind::Float => weights = weights.zip(mask, Dispatch::float_add)?,
        Some(mask) => counts = Some(mask.cast(Kind::Bool).cast(Kind::Float)),
        None => {}
    }
    if scores.is_causal {
        let mask =
            (0..queries * keys).map(|place| f32::from(u8::from(place % keys <= place / keys))).collect();
        let mask = Array::floats(mask, &[queries, keys]).beside(&weights, call.device);
        counts = Some(match counts {
            Some(counts) => counts.zip(mask, Dispatch::float_mul)?,
            None => mask,
        });
    }
    if let Some(counts) = &counts {
        let off = counts.clone().map(|counts| {
            Dispatch::float_mul_scalar(Dispatch::float_sub_scalar(counts, 1.0.into()), MASKED.into())
        });
        weights = weights.zip(off, Dispatch::float_add)?;
    }
    let mut weights = weights.map(|weights| Dispatch::softmax(weights, 3));
    if let Some(counts) = counts {
        // A query for which nothing counts has no weights.
        weights = weights.zip(counts, Dispatch::float_mul)?;
    }
    weights.combine(value, Dispatch::float_matmul)
}

/// What is taken from a score that does not count. Infinity would be NaN where nothing counts.
const MASKED: f32 = 1e9;

/// Splits `[batch, tokens, heads * size]` into heads.
pub(super) fn split_heads(x: Array, heads: usize) -> Result<Array, Reason> {
    let [batch, tokens, width] = x.shape()[..] else {
        return Err(format!("the shape {:?} is not one of tokens", x.shape()));
    };
    if heads == 0 || width % heads != 0 {
        return Err(format!("{width} channels cannot be split into {heads} heads"));
    }
    x.reshape(&[batch, tokens, heads, width / heads])?.permute(&[0, 2, 1, 3])
}

/// Joins heads to `[batch, tokens, heads * size]`.
pub(super) fn join_heads(x: Array) -> Result<Array, Reason> {
    let [batch, heads, tokens, size] = x.shape()[..] else { return Err("there are no heads".into()) };
    x.permute(&[0, 2, 1, 3])?.reshape(&[batch, tokens, heads * size])
}

/// ONNX's own attention, since version 23.
fn attention(call: &Call<'_>) -> Result<Array, Reason> {
    let has = |index: usize| call.inputs.get(index).is_some_and(Option::is_some);
    if (4..7).any(has) || call.node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
        return Err("attention with a cache is not supported".into());
    }
    const KNOWN: [&str; 6] =
        ["is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softmax_precision"];
    let mut names = call.node.attributes.iter().filter(|(_, value)| value.float != 0.0 || value.int != 0);
    if let Some((name, _)) = names.find(|(name, _)| !KNOWN.contains(&name.as_str())) {
        return Err(format!("the attribute `{}` is not supported", name.escape_debug()));
    }
    let (query, key, value) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let heads = |name: &str| usize::try_from(call.attribute_int(name, 0)).unwrap_or(0);
    let is_flat = query.rank() == 3;
    let (query, key, value) = match is_flat {
        true => (
            split_heads(query, heads("q_num_heads"))?,
            split_heads(key, heads("kv_num_heads"))?,
            split_heads(value, heads("kv_num_heads"))?,
        ),
        false => (query, key, value),
    };
    // Several heads of queries may share those of keys and values.
    let (of_queries, of_keys) = (query.shape(), key.shape());
    let [_, query_heads, ..] = of_queries[..] else { return Err("there are no heads".into()) };
    let shared =
        |x: Array| {
            let [batch, heads, tokens, size] = x.shape()[..] else { return Err("there are no heads".into()) };
            if heads == query_heads {
                return Ok(x);
            }
            if heads == 0 || query_heads % heads != 0 {
                return Err(format!("{query_heads} heads cannot share {heads}"));
            }
            let times = query_heads / heads;
            x.reshape(&[batch, heads, 1, tokens, size])?
                .expand(&[batch, heads, times, tokens, size])?
                .reshape(&[batch, query_heads, tokens, size])
        };
    if of_keys.len() != 4 {
        return Err("there are no heads".into());
    }
    let scores = Scores {
        scale: call.attribute("scale").map(|scale| scale.float).filter(|scale| *scale != 0.0),
        mask: call.optional(3),
        is_causal: call.attribute_int("is_causal", 0) == 1,
    };
    let y = attend(call, query, shared(key)?, shared(value)?, scores)?;
    if is_flat { join_heads(y) } else { Ok(y) }
}

/// Adds a bias to the channels of tokens, if there is one.
pub(super) fn with_bias(x: Array, bias: Option<Array>) -> Result<Array, Reason> {
    let add: fn(DispatchTensor, DispatchTensor) -> DispatchTensor = Dispatch::float_add;
    match bias {
        Some(bias) => x.zip(bias, add),
        None => Ok(x),
    }
}
