use crate::{Cost, Error, Evidence, LayerContext, Method, MethodInfo, Reads};
use burn::Tensor;

/// LeGrad: how the attention of each block of a vision transformer makes the score of that block.
///
/// $$ L = \frac1B \sum_{l=1}^B \frac{1}{h (n + 1)} \sum_{\text{heads}} \sum_{\text{queries}}
///    \mathrm{relu}\left(\frac{\partial s^l}{\partial A^l}\right) $$
///
/// with $A^l$ the attention weights of block $l$, of which only the keys that are patches are kept, and $s^l$ the score that the
/// mean of the block's tokens gets from the norm and the head at the end of the network: the blocks after it are left
/// out. A block is the outermost named layer that holds one attention; without one the score is the network's own. It reads all
/// blocks, not a layer.
///
/// Bousselham et al., *LeGrad: An Explainability Method for Vision Transformers via Feature Formation Sensitivity*, 2024,
/// equations 7 to 10.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeGrad;

impl Method for LeGrad {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("legrad", "LeGrad", "https://arxiv.org/abs/2404.03214")
            .reads(Reads::Attention)
            .gradient_at_exit()
            .cost(Cost::PerLayer(1))
    }

    /// # Errors
    /// [`Error::NoAttention`](crate::Error::NoAttention) if the network names no attention weights.
    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let layers = layer.attentions()?;
            let mut sum: Option<Tensor<3>> = None;
            for layer in &layers {
                let sensitivity = layer.gradient_at_exit()?.clamp_min(0.0).mean_dim(1);
                sum = Some(match sum {
                    Some(sum) => sum + sensitivity,
                    None => sensitivity,
                });
            }
            Ok(sum.ok_or(Error::NoAttention)? / layers.len() as f32)
        })
    }
}
