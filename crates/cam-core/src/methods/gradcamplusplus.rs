use crate::{Error, Method, Seen};
use burn::Tensor;

/// Grad-CAM++: the weight of a channel is the sum of its positive gradients, each place counted such that every region of an
/// object weighs the same, whatever its size.
///
/// $$ w_k = \sum_{i,j} \alpha_{kij}\, \mathrm{relu}\left(\frac{\partial y}{\partial A_{kij}}\right), \qquad
///    \alpha_{kij} = \frac{g^2}{2 g^2 + g^3 \sum_{a,b} A_{kab}}, \quad g = \frac{\partial y}{\partial A_{kij}} $$
///
/// The score is the exponential of the logit, whose higher derivatives are the powers of $g$; its common factor cancels in
/// $\alpha$ and scales the whole map in $w$. Where $g$ or the denominator is zero, $\alpha$ is.
///
/// Chattopadhyay et al., *Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks*, WACV 2018, equations 5
/// and 19.
#[derive(Debug, Clone, Copy)]
pub struct GradCamPlusPlus {
    /// Added to the denominator, in the unit of $g^2$: above 0 it damps gradients that are smaller than its root.
    pub epsilon: f32,
    /// Whether $g^3 \sum A$ counts as zero where it is negative, so that $\alpha$ is at most a half.
    pub bounded: bool,
}

impl GradCamPlusPlus {
    /// As the paper has it. Its layers end in a ReLU; where a channel sums to a negative number the denominator passes zero and a
    /// single place can outweigh all others.
    pub const PAPER: Self = Self { epsilon: 0.0, bounded: false };

    /// As pytorch-grad-cam has it, $\epsilon = 10^{-6}$: gradients far below 1e-3 are damped, and with them most of the places where
    /// the denominator of a layer of either sign, as those of vision transformers are, passes zero.
    pub const DAMPED: Self = Self { epsilon: 1e-6, bounded: false };

    /// As pytorch-grad-cam has it where no channel sums to a negative number, as behind a ReLU, and without poles elsewhere: rounding
    /// alone moves [`DAMPED`](Self::DAMPED) by a thousandth of full scale in a trained ViT.
    pub const BOUNDED: Self = Self { epsilon: 1e-6, bounded: true };
}

impl Default for GradCamPlusPlus {
    fn default() -> Self {
        Self::BOUNDED
    }
}

impl Method for GradCamPlusPlus {
    fn name(&self) -> &'static str {
        "gradcam++"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/1710.11063"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let (activation, g) = (seen.activation(), seen.gradient()?);
        let sum = activation.clone().sum_dim(2);
        // g squared is cancelled, so that small gradients do not vanish: a = 1 / (2 + g S + e / g^2).
        let unseen = g.clone().equal_elem(0.0);
        let mut denominator = bounded(g.clone() * sum, self.bounded) + 2.0;
        if self.epsilon != 0.0 {
            denominator =
                denominator + g.clone().square().mask_fill(unseen.clone(), 1.0).recip() * self.epsilon;
        }
        let undefined = denominator.clone().equal_elem(0.0).bool_or(unseen);
        let alpha = denominator.mask_fill(undefined.clone(), 1.0).recip().mask_fill(undefined, 0.0);
        Ok((alpha * g.clamp_min(0.0)).sum_dim(2) * activation)
    }
}

/// What the sum of the activations adds to the denominator of $\alpha$, which a negative sum would bring to zero and beyond.
pub(super) fn bounded(added: Tensor<3>, bounded: bool) -> Tensor<3> {
    match bounded {
        true => added.clamp_min(0.0),
        false => added,
    }
}
