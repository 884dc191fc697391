//! A score of a detector.

use super::{Goal, Target};
use crate::Error;
use burn::Tensor;

/// The output of a detector: boxes and the scores of their classes.
#[derive(Debug, Clone)]
pub struct Detections {
    /// `[batch, boxes, 4]`: left, top, right, bottom, in any unit.
    pub boxes: Tensor<3>,
    /// `[batch, boxes, classes]`
    pub scores: Tensor<3>,
}

/// A box of a class that a detector should find, the same in all images: the highest score of the class in a detection, weighted by how
/// much the detection overlaps the box.
///
/// $$ y = \max_d \mathrm{IoU}(b, b_d)\thinspace s_{d c} $$
///
/// The detection is searched again in each pass, because its index in the list may change. If nothing is detected, the score is 0.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{BestBox, Detections, Rows, Target};
///
/// # let device = Device::flex();
/// let found = Detections {
///     boxes: Tensor::from_floats([[[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 4.0, 4.0]]], &device),
///     scores: Tensor::from_floats([[[0.9], [0.5]]], &device),
/// };
/// let target = BestBox { bounds: [0.0, 0.0, 4.0, 4.0], class: 0 };
/// let score = target.resolve(&found)?.score(&found, Rows::All);
/// // The first has the higher score, but overlaps the box by a quarter: 0.225.
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [0.5]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestBox {
    /// Left, top, right, bottom, in the unit of the detector.
    pub bounds: [f32; 4],
    /// The class.
    pub class: usize,
}

impl Target<Detections> for BestBox {
    fn resolve(&self, output: &Detections) -> Result<Goal<Detections>, Error> {
        let [_, _, classes] = output.scores.dims();
        if self.class >= classes {
            return Err(Error::UnknownClass { asked: self.class, classes });
        }
        let Self { bounds, class } = *self;
        Ok(Goal::new(move |output: &Detections, _| {
            let scores: Tensor<2> = output.scores.clone().narrow(2, class, 1).squeeze_dim(2);
            if let [rows, 0] = scores.dims() {
                return Tensor::zeros([rows], &scores.device());
            }
            let weighted = intersection_over_union(output.boxes.clone(), bounds) * scores;
            weighted.max_dim(1).squeeze_dim(1)
        }))
    }
}

/// Computes the intersection over union of each box with one, `[batch, boxes]`.
fn intersection_over_union(boxes: Tensor<3>, [left, top, right, bottom]: [f32; 4]) -> Tensor<2> {
    let side = |index: usize| -> Tensor<2> { boxes.clone().narrow(2, index, 1).squeeze_dim(2) };
    let width = (side(2).clamp_max(right) - side(0).clamp_min(left)).clamp_min(0.0);
    let height = (side(3).clamp_max(bottom) - side(1).clamp_min(top)).clamp_min(0.0);
    let shared = width * height;
    let area = (side(2) - side(0)) * (side(3) - side(1));
    let united = area + (right - left) * (bottom - top) - shared.clone();
    shared / united.clamp_min(f32::MIN_POSITIVE)
}
