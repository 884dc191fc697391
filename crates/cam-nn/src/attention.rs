//! Attention.

use crate::cpu::{Backward, HostTensor, memory, on_tokens, with_custom_grad};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cam_kernels::Attention;
use std::sync::Arc;

/// Attention within windows of tokens.
#[derive(Debug, Clone)]
pub struct FusedAttention {
    /// Heads, among which the channels are shared out.
    pub heads: usize,
    /// The tokens of each window, counted within an image. All windows have as many.
    pub members: Arc<Vec<Vec<usize>>>,
    /// What is added to the fit of a query and a key: `[windows, heads, window tokens, window tokens]`, or the same for all windows.
    pub bias: Option<Arc<Vec<f32>>>,
}

impl FusedAttention {
    /// Returns the attention of queries, keys and values, which lie side by side, on a tape or not; gives them back where the kernels
    /// cannot take them.
    ///
    /// # Shapes
    /// - qkv: `[batch, tokens, 3 * heads * size]`, queries before keys before values
    /// - output: `[batch, tokens, heads * size]`
    pub fn forward(&self, qkv: Tensor<3>) -> Result<Tensor<3>, Tensor<3>> {
        on_tokens([qkv], |[qkv]| self.seen(qkv)).or_else(|[qkv]| {
            let attention = self.clone();
            with_custom_grad(qkv, |qkv| {
                let seen = attention.seen(&qkv);
                (seen, Backward::new(move |gradient| attention.gradient_before(&qkv, gradient)))
            })
        })
    }

    fn kernel(&self, qkv: &HostTensor) -> Attention<'_> {
        let [_, height, width, channels] = qkv.shape();
        Attention {
            heads: self.heads,
            size: channels / 3 / self.heads,
            tokens: height * width,
            windows: &self.members,
            bias: self.bias.as_ref().map(|bias| bias.as_slice()),
        }
    }

    fn seen(&self, qkv: &HostTensor) -> HostTensor {
        let [batch, height, width, channels] = qkv.shape();
        let out = memory::take(batch * height * width * channels / 3);
        let out = self.kernel(qkv).forward(&qkv.channels_last(), out);
        HostTensor::new(out, [batch, height, width, channels / 3])
    }

    fn gradient_before(&self, qkv: &HostTensor, gradient: &HostTensor) -> HostTensor {
        let x = qkv.channels_last();
        let out = self.kernel(qkv).backward(&x, &gradient.channels_last(), memory::take(x.len()));
        HostTensor::new(out, qkv.shape())
    }
}

/// Attention of the first tokens to all, from what queries, keys and values are made of, without building keys and values: a query
/// goes through the weights of the keys to the tokens themselves, and what it takes of them through the weights of the values,
///
/// $$ Q K^\top = (Q W_K^\top)\, X^\top + \text{const}, \qquad P V = (P X)\, W_V + b_V $$
///
/// The constant, of the keys' bias, is the same for all keys of a query, and a softmax does not see it. It is computed by Burn's
/// operations, on a tape or not.
///
/// # Shapes
/// - x: `[batch, tokens, width]`
/// - weight: `[width, 3 * width]` and bias `[3 * width]`, of queries before keys before values
/// - output: `[batch, first, width]`
pub fn attention_of_first(
    x: Tensor<3>,
    first: usize,
    heads: usize,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> Tensor<3> {
    let [batch, _, width] = x.dims();
    let size = width / heads;
    let weight = weight.clone().reshape([width, 3 * heads, size]).swap_dims(0, 1);
    let [w_q, w_k, w_v] = [0, 1, 2].map(|part| weight.clone().narrow(0, part * heads, heads));
    let biased = |x: Tensor<3>, part: usize| match bias {
        Some(bias) => x + bias.clone().reshape([3 * heads, 1, size]).narrow(0, part * heads, heads),
        None => x,
    };
    // A matrix of weights serves a head, one of tokens an image: what is grouped by one is grouped by the other.
    let regroup = |x: Tensor<3>, [from, to]: [usize; 2]| {
        let [_, _, channels] = x.dims();
        x.reshape([from, to, first, channels]).swap_dims(0, 1).reshape([to, from * first, channels])
    };
    let (by_images, by_heads) = ([heads, batch], [batch, heads]);
    let asking = x.clone().narrow(1, 0, first).reshape([1, batch * first, width]);
    let q = biased(asking.matmul(w_q), 0) * (size as f64).powf(-0.5);
    let fits = regroup(q.matmul(w_k.swap_dims(1, 2)), by_images).matmul(x.clone().swap_dims(1, 2));
    let taken = regroup(softmax(fits, 2).matmul(x), by_heads);
    let seen = regroup(biased(taken.matmul(w_v), 2), by_images).reshape([batch, heads, first, size]);
    seen.swap_dims(1, 2).reshape([batch, first, width])
}
