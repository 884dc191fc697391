use crate::{Error, Evidence, LayerContext, Method, MethodInfo, Reads};
use burn::Tensor;

/// Gradient times attention of Chefer, Gur and Wolf: attention rollout in which each attention weight counts with what it does for the
/// score.
///
/// $$ R_0 = I, \qquad R_l = R_{l-1} + \bar A_l R_{l-1}, \qquad
///    \bar A_l = \frac1h \sum_{\text{heads}} \mathrm{relu}\left(\frac{\partial y}{\partial A_l} \odot A_l\right), \qquad
///    L = (R_B)_{\text{class token}} $$
///
/// with $A_l$ the attention weights of block $l$ of $B$ blocks. Without a class token it is the mean over the tokens. It reads all blocks, not a
/// layer.
///
/// Chefer, Gur and Wolf, *Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers*, ICCV 2021,
/// equations 5 and 6.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chefer;

impl Method for Chefer {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("chefer", "Gradient times attention", "https://arxiv.org/abs/2103.15679")
            .reads(Reads::Attention)
            .gradient()
    }

    /// # Errors
    /// [`Error::NoAttention`](crate::Error::NoAttention) if the network names no attention weights.
    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let mut relevance: Option<Tensor<3>> = None;
            for layer in layer.attentions()? {
                let weights = layer.attention().ok_or(Error::NoAttention)?;
                let mixed = (layer.attention_gradient()? * weights).clamp_min(0.0);
                let mixed: Tensor<3> = mixed.mean_dim(1).squeeze_dim(1);
                relevance = Some(match relevance {
                    Some(before) => before.clone() + mixed.matmul(before),
                    None => mixed.clone() + Tensor::<2>::eye(mixed.dims()[2], &mixed.device()).unsqueeze(),
                });
            }
            Ok(of_class_token(relevance.ok_or(Error::NoAttention)?, layer))
        })
    }
}

/// Returns what the class token gets from each patch, `[batch, 1, patches]`, of what each token gets from each, `[batch, tokens, tokens]`;
/// without a class token, the mean over the tokens.
pub(super) fn of_class_token(flow: Tensor<3>, layer: &LayerContext<'_>) -> Tensor<3> {
    let patches = layer.grid().iter().product();
    let prefix = flow.dims()[2] - patches;
    let attended = match prefix {
        0 => flow.mean_dim(1),
        _ => flow.narrow(1, 0, 1),
    };
    attended.narrow(2, prefix, patches)
}
