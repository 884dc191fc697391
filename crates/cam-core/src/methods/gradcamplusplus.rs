use crate::{Evidence, LayerContext, Method, MethodInfo};
use burn::Tensor;

/// Grad-CAM++: the weight of a channel is the sum of its positive gradients, each position weighted so that every region of an
/// object counts the same, whatever its size.
///
/// $$ w_k = \sum_{i,j} \alpha_{kij}\thinspace \mathrm{relu}\left(\frac{\partial y}{\partial A_{kij}}\right), \qquad
///    \alpha_{kij} = \frac{g^2}{2 g^2 + g^3 \sum_{a,b} A_{kab}}, \quad g = \frac{\partial y}{\partial A_{kij}} $$
///
/// The score is the exponential of the logit, whose higher derivatives are the powers of $g$; its common factor cancels in
/// $\alpha$ and scales the whole map in $w$. If $g$ or the denominator is zero, so is $\alpha$.
///
/// Chattopadhyay et al., *Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks*, WACV 2018, equations 5
/// and 19.
#[derive(Debug, Clone, Copy)]
pub struct GradCamPlusPlus {
    /// Added to the denominator, in the unit of $g^2$: above 0 it damps gradients that are smaller than its root.
    pub epsilon: f32,
    /// Whether $g^3 \sum A$ counts as zero if it is negative, so that $\alpha$ is at most a half.
    pub bounded: bool,
}

impl GradCamPlusPlus {
    /// As in the paper. Its layers end in a ReLU; if a channel sums to a negative number, the denominator passes zero and a
    /// single position can outweigh all others.
    pub const PAPER: Self = Self { epsilon: 0.0, bounded: false };

    /// As in pytorch-grad-cam, $\epsilon = 10^{-6}$: gradients far below 1e-3 are damped, and with them most of the positions where
    /// the denominator passes zero in a layer of both signs, like those of vision transformers.
    pub const DAMPED: Self = Self { epsilon: 1e-6, bounded: false };

    /// As in pytorch-grad-cam if no channel sums to a negative number, as after a ReLU, and without poles otherwise: rounding
    /// alone moves [`DAMPED`](Self::DAMPED) by a thousandth of full scale in a trained ViT.
    pub const BOUNDED: Self = Self { epsilon: 1e-6, bounded: true };
}

impl Default for GradCamPlusPlus {
    fn default() -> Self {
        Self::BOUNDED
    }
}

impl Method for GradCamPlusPlus {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("gradcam++", "Grad-CAM++", "https://arxiv.org/abs/1710.11063").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let (activation, g) = (layer.activation(), layer.gradient()?);
            let sum = activation.clone().sum_dim(2);
            // g squared is cancelled, so that small gradients do not vanish: a = 1 / (2 + g S + e / g^2).
            let is_zero = g.clone().equal_elem(0.0);
            let mut denominator = bounded(g.clone() * sum, self.bounded) + 2.0;
            if self.epsilon != 0.0 {
                denominator =
                    denominator + g.clone().square().mask_fill(is_zero.clone(), 1.0).recip() * self.epsilon;
            }
            let undefined = denominator.clone().equal_elem(0.0).bool_or(is_zero);
            let alpha = denominator.mask_fill(undefined.clone(), 1.0).recip().mask_fill(undefined, 0.0);
            Ok((alpha * g.clamp_min(0.0)).sum_dim(2) * activation)
        })
    }
}

/// Bounds what the sum of the activations adds to the denominator of $\alpha$, which a negative sum would bring to zero and beyond.
pub(super) fn bounded(added: Tensor<3>, bounded: bool) -> Tensor<3> {
    match bounded {
        true => added.clamp_min(0.0),
        false => added,
    }
}
