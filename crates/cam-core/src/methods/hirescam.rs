use crate::{Error, Method, Seen};
use burn::Tensor;

/// HiResCAM: each element counts with its own gradient.
///
/// $$ w_{kij} = \frac{\partial y}{\partial A_{kij}} $$
///
/// Draelos and Carin, *Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks*, 2020,
/// equation 6.
#[derive(Debug, Clone, Copy, Default)]
pub struct HiResCam;

impl Method for HiResCam {
    fn name(&self) -> &'static str {
        "hirescam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/2011.08891"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        Ok(seen.gradient()? * seen.activation())
    }
}
