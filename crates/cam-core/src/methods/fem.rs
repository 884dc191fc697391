use crate::{Evidence, LayerContext, Method, MethodInfo};

/// FEM: where channels are rarely strong, each counted with its mean; it needs no class and no gradient.
///
/// $$ L = \sum_k \mu_k\thinspace [A_k > \mu_k + K \sigma_k] $$
///
/// with $\mu_k$ and $\sigma_k$ the mean and the standard deviation of a channel over the positions.
///
/// Fuad et al., *Features Understanding in 3D CNNs for Actions Recognition in Video*, IPTA 2020, section III, after the
/// K-sigma rule.
#[derive(Debug, Clone, Copy)]
pub struct Fem {
    /// $K$
    pub sigmas: f32,
    /// How strong positions count.
    pub counted: FemCount,
}

/// How the strong positions of a channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FemCount {
    /// With the mean of the channel, as in the paper: $\mu_k [A_k > \theta_k]$.
    Mean,
    /// As in pytorch-grad-cam: the share of the strong positions, times the activation, $\overline{[A_k > \theta_k]}\thinspace A_k$.
    Share,
}

impl Fem {
    /// The settings of the paper: $K = 2$.
    pub const PAPER: Self = Self { sigmas: 2.0, counted: FemCount::Mean };
}

impl Default for Fem {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for Fem {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("fem", "FEM", "https://ieeexplore.ieee.org/document/9286629").without_class()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = layer.activation();
            let mean = activation.clone().mean_dim(2);
            let deviation = (activation.clone() - mean.clone()).square().mean_dim(2).sqrt();
            let strong = activation.clone().greater(mean.clone() + deviation * self.sigmas).float();
            Ok(match self.counted {
                FemCount::Mean => strong * mean,
                FemCount::Share => strong.mean_dim(2) * activation,
            })
        })
    }
}
