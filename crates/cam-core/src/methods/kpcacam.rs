use crate::method::Evidence;
use crate::projection::kernel_component;
use crate::read::now;
use crate::{Error, Method, Seen};
use burn::Tensor;

/// KPCA-CAM: the first principal component of the activation in the space of a kernel; it asks for no class.
///
/// $$ L = \sqrt{\lambda_1}\, a_1, \qquad \tilde K a_1 = \lambda_1 a_1, \qquad K_{mn} = \tanh(\gamma\, A_m^\top A_n + c) $$
///
/// with $A_n$ the channels at the place $n$, each less its mean, and $\tilde K$ the kernel matrix centered. The sign is
/// such that the map is positive where the activation stands out from its mean.
///
/// Karmani et al., *KPCA-CAM: Visual Explainability of Deep Computer Vision Models using Kernel PCA*, 2024, equations 3 to 6,
/// with the sigmoid kernel.
#[derive(Debug, Clone, Copy)]
pub struct KpcaCam {
    /// $\gamma$; one over the number of channels where nothing is said.
    pub gamma: Option<f32>,
    /// $c$
    pub offset: f32,
}

impl KpcaCam {
    /// The settings of the paper's code: $\gamma$ one over the number of channels, $c = 1$.
    pub const PAPER: Self = Self { gamma: None, offset: 1.0 };
}

impl Default for KpcaCam {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for KpcaCam {
    fn name(&self) -> &'static str {
        "kpcacam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/2410.00267"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        now(self.evidence_async(seen))
    }

    fn evidence_async<'a>(&'a self, seen: &'a Seen<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = seen.activation();
            let gamma = self.gamma.unwrap_or(1.0 / activation.dims()[1] as f32);
            let kernel = |products: Tensor<3>| (products * gamma + self.offset).tanh();
            Ok(kernel_component(activation, kernel).await?.unsqueeze_dim(1))
        })
    }
}
