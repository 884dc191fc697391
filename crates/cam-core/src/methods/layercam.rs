use crate::{Error, Method, Seen};
use burn::Tensor;

/// LayerCAM: each element counts with its own gradient, where that is positive.
///
/// $$ w_{kij} = \mathrm{relu}\left(\frac{\partial y}{\partial A_{kij}}\right) $$
///
/// Jiang et al., *LayerCAM: Exploring Hierarchical Class Activation Maps for Localization*, IEEE TIP 2021, equation 6.
#[derive(Debug, Clone, Copy, Default)]
pub struct LayerCam;

impl Method for LayerCam {
    fn name(&self) -> &'static str {
        "layercam"
    }

    fn paper(&self) -> &'static str {
        "https://ieeexplore.ieee.org/document/9462463"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        Ok(seen.gradient()?.clamp_min(0.0) * seen.activation())
    }
}
