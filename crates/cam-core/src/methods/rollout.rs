use super::chefer::of_class_token;
use crate::{Error, Evidence, LayerContext, Method, MethodInfo, Reads};
use burn::Tensor;

/// Attention rollout: how much of each patch reaches the class token if attention weights are what mixes tokens; it needs
/// no class.
///
/// $$ L = (\tilde A_B \cdots \tilde A_2 \tilde A_1)_{\text{class token}}, \qquad
///    \tilde A_l = \tfrac12 \overline{A_l} + \tfrac12 I $$
///
/// with $\overline{A_l}$ the mean of the attention weights over the heads. Without a class token it is the mean over the
/// tokens. It reads all blocks, not a layer.
///
/// Abnar and Zuidema, *Quantifying Attention Flow in Transformers*, ACL 2020, section 3.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rollout;

impl Method for Rollout {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("rollout", "Attention rollout", "https://arxiv.org/abs/2005.00928")
            .reads(Reads::Attention)
            .without_class()
    }

    /// # Errors
    /// [`Error::NoAttention`](crate::Error::NoAttention) if the network names no attention weights.
    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let mut flow: Option<Tensor<3>> = None;
            for weights in layer.attentions()?.iter().filter_map(LayerContext::attention) {
                let tokens = weights.dims()[2];
                let mixed = weights.mean_dim(1).squeeze_dim::<3>(1);
                let residual = Tensor::<2>::eye(tokens, &mixed.device()).unsqueeze::<3>();
                let mixed = (mixed + residual) * 0.5;
                flow = Some(match flow {
                    Some(flow) => mixed.matmul(flow),
                    None => mixed,
                });
            }
            Ok(of_class_token(flow.ok_or(Error::NoAttention)?, layer))
        })
    }
}
