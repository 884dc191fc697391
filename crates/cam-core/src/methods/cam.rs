use crate::{Error, Method, Seen};
use burn::Tensor;

/// CAM: the weight of a channel is its weight in the linear classifier that follows the global average pooling.
///
/// $$ L = \sum_k w^c_k A_k, \qquad y^c = b^c + \sum_k w^c_k \frac{1}{HW} \sum_{i,j} A_{kij} $$
///
/// The weights are read off the network rather than asked for: behind a pooling and a linear layer the gradient is
/// $w^c_k / HW$ at every place. That the layer is followed by no more than these is made sure of: the gradient has to be the same
/// at every place, and at twice the activation.
///
/// Zhou et al., *Learning Deep Features for Discriminative Localization*, CVPR 2016, equations 1 and 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cam;

/// Rounding, of the largest gradient.
const SAME: f32 = 1e-3;

impl Method for Cam {
    fn name(&self) -> &'static str {
        "cam"
    }

    fn paper(&self) -> &'static str {
        "https://arxiv.org/abs/1512.04150"
    }

    /// # Errors
    /// [`Error::NotLinear`] when something else than a global average pooling and a linear layer follows.
    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let gradient = seen.gradient()?;
        let places = gradient.dims()[2];
        let mean = gradient.clone().mean_dim(2);
        let largest = gradient.clone().abs().max();
        let doubled = seen.gradient_of_edited(|activation| activation * 2.0)?;
        let off = (gradient - mean.clone()).abs().max() + (doubled - mean.clone()).abs().max();
        let layer = seen.name().to_string();
        seen.check(Tensor::cat(vec![off, largest], 0), move |numbers| match numbers[0] > SAME * numbers[1] {
            true => Err(Error::NotLinear { layer: layer.clone() }),
            false => Ok(()),
        });
        Ok(mean * places as f32 * seen.activation())
    }
}
