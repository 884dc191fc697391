//! Attention.

use crate::FusedLinear;
use crate::cpu::{Backward, HostTensor, buffers, on_tokens, with_custom_grad};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cam_kernels::Attention;
use std::sync::Arc;

/// Attention within windows of tokens.
#[derive(Debug, Clone)]
pub struct FusedAttention {
    /// The number of heads, which split the channels.
    pub heads: usize,
    /// The tokens of each window, as indices within an image. All windows have the same number of tokens.
    pub windows: Arc<Vec<Vec<usize>>>,
    /// A bias added to the scores: `[windows, heads, window tokens, window tokens]`, or `[1, heads, ..]` if all windows share it.
    pub bias: Option<Arc<Vec<f32>>>,
}

impl FusedAttention {
    /// Returns the attention of concatenated queries, keys and values.
    ///
    /// # Errors
    /// Returns the input if the kernels cannot take it.
    ///
    /// # Shapes
    /// - qkv: `[batch, tokens, 3 * heads * size]`, in the order queries, keys, values
    /// - output: `[batch, tokens, heads * size]`
    pub fn forward(&self, qkv: Tensor<3>) -> Result<Tensor<3>, Tensor<3>> {
        on_tokens([qkv], |[qkv]| self.attend(qkv)).or_else(|[qkv]| {
            let attention = self.clone();
            with_custom_grad(qkv, |qkv| {
                let output = attention.attend(&qkv);
                (output, Backward::new(move |gradient| attention.input_gradient(&qkv, gradient)))
            })
        })
    }

    /// Returns the attention of tokens between two linear layers: `input` gives queries, keys and values, and `output` is applied to the
    /// attended values.
    ///
    /// # Errors
    /// Returns the input if the kernels cannot take it.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, in_features]`, output: `[batch, tokens, out_features]`
    pub fn forward_between(
        &self,
        input: &FusedLinear,
        output: &FusedLinear,
        x: Tensor<3>,
    ) -> Result<Tensor<3>, Tensor<3>> {
        let x = match HostTensor::from_tokens(x) {
            Ok(x) => {
                // Each value is dropped as soon as it is read, so that the next kernel can reuse its memory.
                let qkv = input.run(&x);
                drop(x);
                let attended = self.attend(&qkv);
                drop(qkv);
                return Ok(output.run(&attended).into_tokens());
            }
            Err(x) => x,
        };
        with_custom_grad(x, |x| {
            let qkv = input.run(&x);
            let y = output.run(&self.attend(&qkv));
            let (attention, input_backward, output_backward) =
                (self.clone(), input.backward(), output.backward());
            let backward = Backward::new(move |gradient| {
                let gradient = output_backward.run(gradient);
                input_backward.run(&attention.input_gradient(&qkv, &gradient))
            });
            (y, backward)
        })
    }

    fn kernel(&self, qkv: &HostTensor) -> Attention<'_> {
        let [_, height, width, channels] = qkv.shape();
        Attention {
            heads: self.heads,
            size: channels / 3 / self.heads,
            tokens: height * width,
            windows: &self.windows,
            bias: self.bias.as_ref().map(|bias| bias.as_slice()),
        }
    }

    fn attend(&self, qkv: &HostTensor) -> HostTensor {
        let [batch, height, width, channels] = qkv.shape();
        let out = buffers::take(batch * height * width * channels / 3);
        let out = self.kernel(qkv).forward(&qkv.channels_last(), out);
        HostTensor::new(out, [batch, height, width, channels / 3])
    }

    fn input_gradient(&self, qkv: &HostTensor, gradient: &HostTensor) -> HostTensor {
        let x = qkv.channels_last();
        let out = self.kernel(qkv).backward(&x, &gradient.channels_last(), buffers::take(x.len()));
        HostTensor::new(out, qkv.shape())
    }
}

/// Returns the attention of the first tokens to all tokens without computing keys and values: queries are multiplied with the weights of
/// the keys and then with the tokens, and the attended tokens with the weights of the values,
///
/// $$ Q K^\top = (Q W_K^\top) X^\top + \text{const}, \qquad P V = (P X) W_V + b_V $$
///
/// The constant, from the bias of the keys, is the same for all keys of a query, so the softmax does not depend on it. It uses Burn's
/// operations, so it runs on any device, with or without a tape.
///
/// # Shapes
/// - x: `[batch, tokens, width]`
/// - weight: `[width, 3 * width]`, bias: `[3 * width]`, in the order queries, keys, values
/// - output: `[batch, first, width]`
pub fn first_token_attention(
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
    // Weights are matrices per head and tokens are matrices per image, so rows are grouped by one, then by the other.
    let regroup = |x: Tensor<3>, [from, to]: [usize; 2]| {
        let [_, _, channels] = x.dims();
        x.reshape([from, to, first, channels]).swap_dims(0, 1).reshape([to, from * first, channels])
    };
    let (by_images, by_heads) = ([heads, batch], [batch, heads]);
    let query_tokens = x.clone().narrow(1, 0, first).reshape([1, batch * first, width]);
    let q = biased(query_tokens.matmul(w_q), 0) * (size as f64).powf(-0.5);
    let scores = regroup(q.matmul(w_k.swap_dims(1, 2)), by_images).matmul(x.clone().swap_dims(1, 2));
    let attended = regroup(softmax(scores, 2).matmul(x), by_heads);
    let output = regroup(biased(attended.matmul(w_v), 2), by_images).reshape([batch, heads, first, size]);
    output.swap_dims(1, 2).reshape([batch, first, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, forward_and_backward, random};
    use cam_kernels::Activation;

    #[test]
    fn attention_between_layers_equals_that_of_the_parts_forward_and_backward() {
        let layer =
            |from: usize, to: usize| FusedLinear::new(random([from, to]), Some(random([to]))).unwrap();
        let (input, output) = (layer(16, 48), layer(16, 16));
        let windows = Arc::new(vec![vec![0, 2, 4], vec![1, 3, 5]]);
        let attention = FusedAttention { heads: 2, windows, bias: None };
        let apply = |layer: &FusedLinear, x: Tensor<3>, width: usize| {
            layer.forward(x.reshape([12, 16]), None, Activation::None).unwrap().reshape([2, 6, width])
        };
        let x = random([2, 6, 16]);
        let parts = forward_and_backward(&x, |x| {
            apply(&output, attention.forward(apply(&input, x, 48)).unwrap(), 16)
        });
        let whole = forward_and_backward(&x, |x| attention.forward_between(&input, &output, x).unwrap());
        assert_same(whole, parts);
    }
}
