//! The score of a region of a segmentation.

use super::{Goal, Target};
use crate::{Error, Rows};
use burn::Tensor;

/// A class in a region of a segmentation `[batch, classes, height, width]`: its logits summed over a mask.
///
/// # Shapes
/// - mask: `[1, height, width]` for all images, or `[batch, height, width]` with one each; 1 inside, 0 outside
///
/// Vinogradova et al., *Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping*, AAAI 2020.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Region, Rows, Target};
///
/// # let device = Device::flex();
/// let logits = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]]]], &device);
/// let right = Region { class: 0, mask: Tensor::from_floats([[[0.0, 1.0], [0.0, 1.0]]], &device) };
/// let score = right.resolve(&logits)?.score(&logits, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [6.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Region {
    /// The class.
    pub class: usize,
    /// Which pixels belong to the region, `[1 or batch, height, width]`.
    pub mask: Tensor<3>,
}

impl Target<Tensor<4>> for Region {
    fn resolve(&self, output: &Tensor<4>) -> Result<Goal<Tensor<4>>, Error> {
        let [batch, classes, height, width] = output.dims();
        let [masks, rows, columns] = self.mask.dims();
        if self.class >= classes {
            return Err(Error::UnknownClass { asked: self.class, classes });
        }
        if masks != 1 && masks != batch {
            return Err(Error::TargetCount { targets: masks, images: batch });
        }
        if [rows, columns] != [height, width] {
            return Err(Error::MaskSize { found: [rows, columns], expected: [height, width] });
        }
        let (class, mask) = (self.class, self.mask.clone().expand([batch, height, width]));
        Ok(Goal::new(move |output: &Tensor<4>, rows: Rows| {
            let logits: Tensor<3> = output.clone().narrow(1, class, 1).squeeze_dim(1);
            let masked = logits * rows.of(mask.clone());
            let count = masked.dims()[0];
            masked.sum_dims(&[1, 2]).reshape([count])
        }))
    }
}
