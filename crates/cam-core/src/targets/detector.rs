//! The scores of a detector: of a box that it should find, and of one that it found.

use super::{Goal, Target};
use crate::Error;
use burn::Tensor;
use burn::tensor::Int;

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
            let scores = output.scores_of(class);
            if let [rows, 0] = scores.dims() {
                return Tensor::zeros([rows], &scores.device());
            }
            let weighted = intersection_over_union(output.boxes.clone(), bounds) * scores;
            weighted.max_dim(1).squeeze_dim(1)
        }))
    }
}

impl Detections {
    /// Returns the scores of a class, `[batch, boxes]`.
    fn scores_of(&self, class: usize) -> Tensor<2> {
        self.scores.clone().narrow(2, class, 1).squeeze_dim(2)
    }

    /// Returns the box that overlaps this one most, weighted by its score, `[batch, 1]`.
    fn row_at(&self, bounds: [f32; 4], class: usize) -> Tensor<2, Int> {
        let boxes = self.boxes.clone().inner();
        (intersection_over_union(boxes, bounds) * self.scores_of(class).inner()).argmax(1)
    }
}

/// What of a box is explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The score of its class: why is there such a thing?
    #[default]
    Score,
    /// Its left edge: why is it there, and not further left?
    Left,
    /// Its upper edge.
    Top,
    /// Its right edge.
    Right,
    /// Its lower edge.
    Bottom,
}

impl Part {
    /// The parts with their names: `score`, `left`, `top`, `right`, `bottom`.
    pub const ALL: [(&str, Self); 5] = [
        ("score", Self::Score),
        ("left", Self::Left),
        ("top", Self::Top),
        ("right", Self::Right),
        ("bottom", Self::Bottom),
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, part)| *part == self).map_or("score", |(name, _)| name)
    }

    /// Returns which of the four numbers of a box it is, and the sign that makes the box larger.
    fn edge(self) -> Option<(usize, f32)> {
        match self {
            Self::Score => None,
            Self::Left => Some((0, -1.0)),
            Self::Top => Some((1, -1.0)),
            Self::Right => Some((2, 1.0)),
            Self::Bottom => Some((3, 1.0)),
        }
    }
}

/// Which row of [`Detections`] is meant, in every pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DetectionRow {
    /// This one: in a dense head a row stands for the same place of every image.
    At(usize),
    /// The one that overlaps this box most, weighted by its score, where rows are sorted by their scores.
    Near([f32; 4]),
}

/// A box that a detector has found, in one image or at the same row of all: the score of its class, the score against another class, or one
/// of its edges.
///
/// $$ y = s_{dc} \qquad y = s_{dc} - s_{da} \qquad y = \pm b_{dk} $$
///
/// An edge counts in the direction that makes the box larger, so that positive evidence is what moves it outwards.
///
/// The gradient of a box's score at every place is that of ODAM: Zhao and Chan, *ODAM: Gradient-based instance-specific visual explanations
/// for object detection*, ICLR 2023.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Detection, DetectionRow, Detections, Part, Rows, Target};
///
/// # let device = Device::flex();
/// let found = Detections {
///     boxes: Tensor::from_floats([[[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 4.0, 4.0]]], &device),
///     scores: Tensor::from_floats([[[0.9, 0.1], [0.5, 0.25]]], &device),
/// };
/// let score = |target: Detection| {
///     let score = target.resolve(&found)?.score(&found, Rows::All);
///     Ok::<_, cam_core::Error>(score.into_data().try_to_vec::<f32>().unwrap()[0])
/// };
/// let second = Detection::new(DetectionRow::At(1), 0);
/// assert_eq!(score(second)?, 0.5);
/// assert_eq!(score(second.against(1))?, 0.25);
/// assert_eq!(score(second.part(Part::Left))?, -1.0);
/// let near = Detection::new(DetectionRow::Near([1.0, 0.0, 4.0, 5.0]), 0);
/// assert_eq!(score(near)?, 0.5);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    row: DetectionRow,
    class: usize,
    against: Option<usize>,
    part: Part,
}

impl Detection {
    /// Creates the target of the score of a class in a row.
    pub fn new(row: DetectionRow, class: usize) -> Self {
        Self { row, class, against: None, part: Part::Score }
    }

    /// Asks for the score against that of another class: why this and not that?
    pub fn against(self, class: usize) -> Self {
        Self { against: Some(class), ..self }
    }

    /// Asks for a part of the box.
    pub fn part(self, part: Part) -> Self {
        Self { part, ..self }
    }
}

impl Target<Detections> for Detection {
    /// # Errors
    /// [`Error::UnknownClass`] if there is no such class, [`Error::UnknownBox`] if there is no such row.
    fn resolve(&self, output: &Detections) -> Result<Goal<Detections>, Error> {
        let [_, boxes, classes] = output.scores.dims();
        if let Some(asked) = [Some(self.class), self.against].into_iter().flatten().find(|&c| c >= classes) {
            return Err(Error::UnknownClass { asked, classes });
        }
        let asked = if let DetectionRow::At(row) = self.row { row } else { 0 };
        if asked >= boxes {
            return Err(Error::UnknownBox { asked, boxes });
        }
        let Self { row, class, against, part } = *self;
        Ok(Goal::new(move |output: &Detections, _| {
            let chosen = |values: Tensor<2>| -> Tensor<1> {
                match row {
                    DetectionRow::At(row) => values.narrow(1, row, 1).squeeze_dim(1),
                    DetectionRow::Near(bounds) => {
                        values.gather(1, output.row_at(bounds, class)).squeeze_dim(1)
                    }
                }
            };
            if let Some((edge, sign)) = part.edge() {
                return chosen(output.boxes.clone().narrow(2, edge, 1).squeeze_dim(2)) * sign;
            }
            let score = chosen(output.scores_of(class));
            match against {
                Some(other) => score - chosen(output.scores_of(other)),
                None => score,
            }
        }))
    }
}

/// How well a detector finds a box again, whatever row it is in: the score of D-RISE, for passes of masked images.
///
/// $$ y = \max_j \mathrm{IoU}(b_t, b_j) \thinspace \cos(p_t, p_j) \thinspace O_j $$
///
/// with the scores $p$ of all classes. Networks with an objectness multiply it into their scores, so $O_j$ is the highest score of the row;
/// without it, the cosine would find boxes of the same class however improbable they are.
///
/// Petsiuk et al., *Black-box Explanation of Object Detectors via Saliency Maps*, CVPR 2021, equations 2 to 4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimilarBox {
    /// The row of the plain output that is found again.
    pub row: usize,
}

impl Target<Detections> for SimilarBox {
    /// # Errors
    /// [`Error::UnknownBox`] if there is no such row in the first image.
    fn resolve(&self, output: &Detections) -> Result<Goal<Detections>, Error> {
        let [_, boxes, classes] = output.scores.dims();
        if self.row >= boxes {
            return Err(Error::UnknownBox { asked: self.row, boxes });
        }
        let row = |values: Tensor<3>| values.inner().narrow(0, 0, 1).narrow(1, self.row, 1);
        let bounds: Tensor<3> = row(output.boxes.clone());
        let scores = unit(row(output.scores.clone()));
        Ok(Goal::new(move |output: &Detections, _| {
            let [rows, boxes, _] = output.scores.dims();
            if boxes == 0 {
                return Tensor::zeros([rows], &output.scores.device());
            }
            let overlap = intersection_over_union_with(output.boxes.clone(), bounds.clone());
            let same = unit(output.scores.clone()) * scores.clone().expand([rows, boxes, classes]);
            let cosine: Tensor<2> = same.sum_dim(2).squeeze_dim(2);
            let objectness: Tensor<2> = output.scores.clone().max_dim(2).squeeze_dim(2);
            (overlap * cosine * objectness).max_dim(1).squeeze_dim(1)
        }))
    }
}

/// Returns vectors along the last axis with the length 1.
fn unit(vectors: Tensor<3>) -> Tensor<3> {
    let length = vectors.clone().square().sum_dim(2).sqrt().clamp_min(f32::MIN_POSITIVE);
    vectors / length
}

/// Computes the intersection over union of each box with one on the device, `[1, 1, 4]`.
fn intersection_over_union_with(boxes: Tensor<3>, one: Tensor<3>) -> Tensor<2> {
    let [rows, count, _] = boxes.dims();
    let side = |index: usize| -> Tensor<2> { boxes.clone().narrow(2, index, 1).squeeze_dim(2) };
    let of_one = |index: usize| -> Tensor<2> {
        one.clone().narrow(2, index, 1).expand([rows, count, 1]).squeeze_dim(2)
    };
    let low = |axis: usize| side(axis).max_pair(of_one(axis));
    let high = |axis: usize| side(axis + 2).min_pair(of_one(axis + 2));
    let shared = (high(0) - low(0)).clamp_min(0.0) * (high(1) - low(1)).clamp_min(0.0);
    let area = |x: &dyn Fn(usize) -> Tensor<2>| (x(2) - x(0)) * (x(3) - x(1));
    let united = area(&side) + area(&of_one) - shared.clone();
    shared / united.clamp_min(f32::MIN_POSITIVE)
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
