//! What the classifier of a transformer reads of its tokens.

use crate::TokenPool;
use burn::prelude::*;

/// Returns one vector of the tokens of each image. `prefix` tokens in front belong to no patch; the first of them is the class token.
///
/// # Shapes
/// - x: `[batch, tokens, width]`
/// - output: `[batch, width]`
pub(crate) fn pooled(x: Tensor<3>, pool: TokenPool, prefix: usize) -> Tensor<2> {
    let [_, tokens, _] = x.dims();
    let patches = |x: Tensor<3>| if prefix == 0 { x } else { x.narrow(1, prefix, tokens - prefix) };
    let mean = |x: Tensor<3>| patches(x).mean_dim(1).squeeze_dim::<2>(1);
    let max = |x: Tensor<3>| patches(x).max_dim(1).squeeze_dim::<2>(1);
    match pool {
        TokenPool::Token => x.narrow(1, 0, 1).squeeze_dim(1),
        TokenPool::Avg => mean(x),
        TokenPool::Max => max(x),
        TokenPool::AvgMax => (mean(x.clone()) + max(x)) * 0.5,
    }
}
