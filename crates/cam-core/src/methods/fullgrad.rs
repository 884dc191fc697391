use crate::{Evidence, LayerContext, Method, MethodInfo, Reads, Scale};
use burn::Tensor;

/// FullGrad: what the input and every bias of the network contribute to the score.
///
/// $$ L = \psi(\nabla_x y \circ x) + \sum_{l} \sum_{c} \mathrm{Up}\thinspace \psi(b^l_c\thinspace \nabla_{z^l_c} y) $$
///
/// with $z^l = \ldots + b^l$ the output of a layer that ends by adding a bias, and $\psi$ the magnitude scaled to 0..1. Unscaled
/// and signed, the sums are the score itself if all activations are piecewise linear. It reads the whole network, not a
/// layer; the network names its biases with [`Taps::biased`](crate::Taps::biased).
///
/// Srinivas and Fleuret, *Full-Gradient Representation for Neural Network Visualization*, NeurIPS 2019, equation 4.
#[derive(Debug, Clone, Copy, Default)]
pub struct FullGrad {
    /// What is scaled to 0..1 together.
    pub scaled: Scaled,
}

/// What FullGrad scales to 0..1 together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scaled {
    /// All channels of a layer, as in the authors' code, so that they keep their magnitudes.
    #[default]
    Layer,
    /// Each channel on its own, as in pytorch-grad-cam.
    Channel,
}

impl FullGrad {
    /// The settings of the paper's code.
    pub const PAPER: Self = Self { scaled: Scaled::Layer };

    /// Computes $\sum_c \psi$, `[batch, positions]`.
    fn psi(self, contribution: Tensor<3>) -> Tensor<2> {
        let [batch, channels, positions] = contribution.dims();
        let magnitude = contribution.abs();
        let scaled = match self.scaled {
            Scaled::Layer => Scale::PerMap.apply(magnitude.reshape([batch, channels * positions])),
            Scaled::Channel => Scale::PerMap.apply(magnitude.reshape([batch * channels, positions])),
        };
        scaled.reshape([batch, channels, positions]).sum_dim(1).reshape([batch, positions])
    }
}

impl Method for FullGrad {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("fullgrad", "FullGrad", "https://arxiv.org/abs/1905.00780")
            .reads(Reads::Biases)
            .gradient()
    }

    /// # Errors
    /// [`Error::NoBiases`](crate::Error::NoBiases) if the network names none.
    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let biases = layer.biases()?;
            let mut map = self.psi(layer.gradient()? * layer.activation());
            for (biased, bias) in biases {
                let channels = bias.dims()[0];
                let part = self.psi(biased.gradient()? * bias.reshape([1, channels, 1]));
                map = map + biased.resize(part, layer.grid());
            }
            Ok(map.unsqueeze_dim(1))
        })
    }
}
