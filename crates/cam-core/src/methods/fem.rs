use crate::{Error, Method, Seen};
use burn::Tensor;

/// FEM: where channels are rarely strong, each counted with its mean; it asks for no class and no gradient.
///
/// $$ L = \sum_k \mu_k\, [A_k > \mu_k + K \sigma_k] $$
///
/// with $\mu_k$ and $\sigma_k$ the mean and the standard deviation of a channel over the places.
///
/// Fuad et al., *Features Understanding in 3D CNNs for Actions Recognition in Video*, IPTA 2020, section III, after the
/// K-sigma rule.
#[derive(Debug, Clone, Copy)]
pub struct Fem {
    /// $K$
    pub sigmas: f32,
    /// How strong places count.
    pub counted: FemCount,
}

/// How the strong places of a channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FemCount {
    /// With the mean of the channel, as in the paper: $\mu_k [A_k > \theta_k]$.
    Mean,
    /// As pytorch-grad-cam: the share of the strong places, times the activation, $\overline{[A_k > \theta_k]}\, A_k$.
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
    fn name(&self) -> &'static str {
        "fem"
    }

    fn paper(&self) -> &'static str {
        "https://ieeexplore.ieee.org/document/9286629"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let activation = seen.activation();
        let mean = activation.clone().mean_dim(2);
        let deviation = (activation.clone() - mean.clone()).square().mean_dim(2).sqrt();
        let strong = activation.clone().greater(mean.clone() + deviation * self.sigmas).float();
        Ok(match self.counted {
            FemCount::Mean => strong * mean,
            FemCount::Share => strong.mean_dim(2) * activation,
        })
    }
}
