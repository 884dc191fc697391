use crate::{Error, Method, Scale, Seen, Sight};
use burn::Tensor;

/// FullGrad: what the input and every bias of the network contribute to the score.
///
/// $$ L = \psi(\nabla_x y \circ x) + \sum_{l} \sum_{c} \mathrm{Up}\, \psi(b^l_c\, \nabla_{z^l_c} y) $$
///
/// with $z^l = \ldots + b^l$ the output of a layer that ends by adding a bias, and $\psi$ the magnitude scaled to 0..1. Unscaled
/// and signed, the sums are the score itself where all activations are piecewise linear. It looks at the whole network, not at a
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
    /// Each channel on its own, as pytorch-grad-cam.
    Channel,
}

impl FullGrad {
    /// The settings of the paper's code.
    pub const PAPER: Self = Self { scaled: Scaled::Layer };

    /// $\sum_c \psi$, `[batch, positions]`
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
    fn name(&self) -> &'static str {
        "fullgrad"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/1905.00780"
    }

    fn sight(&self) -> Sight {
        Sight::Biases
    }

    /// # Errors
    /// [`Error::NoBiases`] when the network names none.
    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let biases = seen.biases();
        if biases.is_empty() {
            return Err(Error::NoBiases);
        }
        let mut map = self.psi(seen.gradient()? * seen.activation());
        for (layer, bias) in biases {
            let channels = bias.dims()[0];
            let part = self.psi(layer.gradient()? * bias.reshape([1, channels, 1]));
            map = map + layer.resized(part, seen.grid());
        }
        Ok(map.unsqueeze_dim(1))
    }
}
