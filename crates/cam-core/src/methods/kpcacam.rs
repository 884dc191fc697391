use crate::post::projection::kernel_component;
use crate::{Evidence, LayerContext, Method, MethodInfo};
use burn::Tensor;

/// KPCA-CAM: the first principal component of the activation in the space of a kernel; it needs no class.
///
/// $$ L = \sqrt{\lambda_1}\thinspace a_1, \qquad \tilde K a_1 = \lambda_1 a_1, \qquad K_{mn} = \tanh(\gamma\thinspace A_m^\top A_n + c) $$
///
/// with $A_n$ the channels at the position $n$, each minus its mean, and $\tilde K$ the kernel matrix centered. The sign is
/// such that the map is positive where the activation stands out from its mean.
///
/// Karmani et al., *KPCA-CAM: Visual Explainability of Deep Computer Vision Models using Kernel PCA*, 2024, equations 3 to 6,
/// with the sigmoid kernel.
#[derive(Debug, Clone, Copy)]
pub struct KpcaCam {
    /// $\gamma$; by default one over the number of channels.
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
    fn info(&self) -> MethodInfo {
        MethodInfo::new("kpcacam", "KPCA-CAM", "https://arxiv.org/abs/2410.00267").without_class()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = layer.activation();
            let gamma = self.gamma.unwrap_or(1.0 / activation.dims()[1] as f32);
            let kernel = |products: Tensor<3>| (products * gamma + self.offset).tanh();
            Ok(kernel_component(activation, kernel).await?.unsqueeze_dim(1))
        })
    }
}
