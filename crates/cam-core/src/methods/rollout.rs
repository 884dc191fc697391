use crate::{Error, Method, Seen, Sight};
use burn::Tensor;

/// Attention rollout: how much of each patch reaches the class token if attention weights are what mixes tokens; it asks
/// for no class.
///
/// $$ L = (\tilde A_B \cdots \tilde A_2 \tilde A_1)_{\text{class token}}, \qquad
///    \tilde A_l = \tfrac12 \overline{A_l} + \tfrac12 I $$
///
/// with $\overline{A_l}$ the mean of the attention weights over the heads. Without a class token it is the mean over the
/// tokens. It looks at all blocks, not at a layer.
///
/// Abnar and Zuidema, *Quantifying Attention Flow in Transformers*, ACL 2020, section 3.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rollout;

impl Method for Rollout {
    fn name(&self) -> &'static str {
        "rollout"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/2005.00928"
    }

    fn sight(&self) -> Sight {
        Sight::Attention
    }

    /// # Errors
    /// [`Error::NoAttention`] when the network names no attention weights.
    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let mut flow: Option<Tensor<3>> = None;
        for weights in seen.attentions().iter().filter_map(Seen::attention) {
            let tokens = weights.dims()[2];
            let mixed = weights.mean_dim(1).squeeze_dim::<3>(1);
            let residual = Tensor::<2>::eye(tokens, &mixed.device()).unsqueeze::<3>();
            let mixed = (mixed + residual) * 0.5;
            flow = Some(match flow {
                Some(flow) => mixed.matmul(flow),
                None => mixed,
            });
        }
        let flow = flow.ok_or(Error::NoAttention)?;
        let patches = seen.grid().iter().product();
        let prefix = flow.dims()[2] - patches;
        let looked_at = match prefix {
            0 => flow.mean_dim(1),
            _ => flow.narrow(1, 0, 1),
        };
        Ok(looked_at.narrow(2, prefix, patches))
    }
}
