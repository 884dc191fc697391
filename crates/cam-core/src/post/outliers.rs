//! Tokens with outlying norms.
//!
//! Vision transformers put global information into a few tokens of little content, often in the corners, whose norms exceed those of the
//! others by far. Gradients and activations there say nothing of the place. Darcet et al., *Vision Transformers Need Registers*,
//! ICLR 2024, <https://arxiv.org/abs/2309.16588>.
//!
//! A token is outlying if its norm exceeds the median of all norms by ten times their median deviation,
//! $\lVert x_n \rVert > m + 10 \operatorname{median}_k \lvert \lVert x_k \rVert - m \rvert$. Behind a LayerNorm all tokens have about the same norm, so
//! what the layer reads is looked at as well.

use crate::Error;
use crate::engine::{read, upload};
use burn::Tensor;

/// How many median deviations above the median a norm is outlying.
const DEVIATIONS: f32 = 10.0;

/// Norms of tokens.
///
/// # Shapes
/// - tokens: `[batch, channels, positions]`
/// - output: `[batch, positions]`
pub(crate) fn norms(tokens: Tensor<3>) -> Tensor<2> {
    tokens.square().sum_dim(1).sqrt().squeeze_dim(1)
}

/// Reports which norms are outlying. Where more than half of them are equal, none is.
pub(crate) fn outlying(norms: &[f32]) -> Vec<bool> {
    let median = |mut values: Vec<f32>| {
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f32::total_cmp).1
    };
    let middle = median(norms.to_vec());
    let deviation = median(norms.iter().map(|norm| (norm - middle).abs()).collect());
    norms.iter().map(|norm| deviation > 0.0 && norm - middle > DEVIATIONS * deviation).collect()
}

/// Sets maps to zero where the norms of a layer or of what it reads are outlying.
///
/// # Shapes
/// - maps, output: `[batch, positions]`
/// - norms: `[batch, positions]` each
///
/// # Errors
/// [`Error::Device`] if the norms cannot be read.
pub(crate) async fn omit(maps: Tensor<2>, norms: &[Tensor<2>]) -> Result<Tensor<2>, Error> {
    let [batch, positions] = maps.dims();
    let mut kept = vec![1.0; batch * positions];
    for norms in norms {
        let numbers = read::read_floats(norms.clone()).await?;
        let outlying = numbers.chunks_exact(positions).flat_map(outlying);
        kept.iter_mut()
            .zip(outlying)
            .filter(|(_, is_outlying)| *is_outlying)
            .for_each(|(kept, _)| *kept = 0.0);
    }
    let kept = upload::floats(kept, [batch, positions], &maps.device());
    Ok(maps * kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_far_above_the_median_is_outlying() {
        // The median is 10.5, and the median deviation 1.5.
        let norms = [9.0, 11.0, 10.0, 8.0, 12.0, 20.0, 26.0, 0.0, 10.5];
        let found = outlying(&norms);
        let expected = norms.map(|norm| norm > 25.5);
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_norms_have_no_outliers() {
        assert_eq!(outlying(&[1.0, 1.0, 1.0, 900.0]), [false; 4]);
        assert_eq!(outlying(&[3.0]), [false]);
    }
}
