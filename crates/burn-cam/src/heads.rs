//! The heads of detectors, one file each: which outputs are theirs, and the boxes and scores that these stand for.
//!
//! A head is found by the shapes of a network's outputs. It says how its package prepares images, and which boxes that keeps.

mod detr;
mod end_to_end;
mod fastestdet;
mod nanodet;
mod rtdetr;
mod yolov5;
mod yolov8;
mod yolox;

use crate::detect::Suppression;
use crate::{Detections, Filter, Preprocess, Resize, ValueRange};
use burn::Tensor;
use burn::tensor::{Device, Int};
use std::borrow::Cow;

/// The heads, in the order in which they are asked.
pub const HEADS: &[&dyn Head] = &[
    &fastestdet::FastestDet,
    &rtdetr::UltralyticsRtDetr,
    &end_to_end::EndToEnd,
    &yolov5::YoloV5,
    &nanodet::NanoDet,
    &yolox::YoloX,
    &yolov8::YoloV8,
    &detr::Detr,
    &rtdetr::RtDetr,
];

/// An output of a network, of any rank.
#[derive(Debug, Clone)]
pub struct RawOutput {
    /// Its shape, batch first.
    pub shape: Vec<usize>,
    /// Its numbers, `[batch, numbers]`.
    pub values: Tensor<2>,
}

impl RawOutput {
    /// Returns it as a tensor of its rank.
    pub fn tensor<const D: usize>(&self) -> Tensor<D> {
        self.values.clone().reshape(<[usize; D]>::try_from(&self.shape[..]).unwrap_or([1; D]))
    }

    /// Returns the device that it is on.
    pub fn device(&self) -> Device {
        self.values.device()
    }
}

/// What a head is found by.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// The shapes of the outputs, batch first.
    pub shapes: &'a [Vec<usize>],
    /// The height and width of the input.
    pub input: [usize; 2],
    /// The number of names of classes, if they are known.
    pub names: Option<usize>,
    /// What the file says about itself, in lower case.
    pub about: &'a str,
}

impl Outputs<'_> {
    /// Returns the shape of the only output without its batch.
    pub(crate) fn only<const D: usize>(&self) -> Option<[usize; D]> {
        match self.shapes {
            [shape] => shape.get(1..)?.try_into().ok(),
            _ => None,
        }
    }

    /// Returns the cells of a pyramid of these strides.
    pub(crate) fn cells(&self, strides: &[usize]) -> usize {
        strides.iter().map(|stride| (self.input[0] / stride) * (self.input[1] / stride)).sum()
    }

    /// Returns the strides whose cells are so many.
    pub(crate) fn strides(&self, cells: usize) -> Option<&'static [usize]> {
        PYRAMIDS.iter().copied().find(|strides| self.cells(strides) == cells)
    }

    /// Returns the places of the outputs of scores, `[rows, classes]`, and of boxes, `[rows, 4]`.
    pub(crate) fn scores_and_boxes(&self) -> Option<([usize; 2], [usize; 2])> {
        let last = |place: usize| match self.shapes.get(place).map(Vec::as_slice) {
            Some(&[_, rows, numbers]) => Some([rows, numbers]),
            _ => None,
        };
        let is_four = |place: usize| last(place).is_some_and(|[_, numbers]| numbers == 4);
        let boxes = (0..self.shapes.len().min(2)).rev().find(|place| is_four(*place))?;
        let scores = 1 - boxes;
        let ([rows, classes], [others, _]) = (last(scores)?, last(boxes)?);
        (rows == others).then_some(([scores, boxes], [rows, classes]))
    }
}

/// The strides of the levels that heads read together.
const PYRAMIDS: [&[usize]; 3] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32]];

/// The head of a detector.
pub trait Head: Send + Sync {
    /// Returns its name: `yolov8`.
    fn name(&self) -> &'static str;

    /// Returns the package that exports such outputs.
    fn package(&self) -> &'static str;

    /// Returns the shapes of its outputs, in words.
    fn shapes(&self) -> &'static str;

    /// Returns how many classes it has, if these outputs are its.
    fn classes(&self, outputs: Outputs<'_>) -> Option<usize>;

    /// Returns how its package prepares images; the size is that of the model.
    fn preprocess(&self) -> Preprocess;

    /// Returns which boxes its package keeps.
    fn suppression(&self) -> Suppression;

    /// Returns whether it sorts its rows by their scores.
    fn is_sorted(&self) -> bool {
        false
    }

    /// Returns boxes, in pixels of an input of this height and width, and scores.
    fn detections(&self, outputs: &[RawOutput], input: [usize; 2], classes: usize) -> Detections;
}

/// Returns the head of these outputs and its number of classes.
pub fn head_of(outputs: Outputs<'_>) -> Option<(&'static dyn Head, usize)> {
    HEADS.iter().find_map(|head| Some((*head, head.classes(outputs)?)))
}

/// How Ultralytics prepares images: scaled between gray bars, values from 0 to 1.
const ULTRALYTICS: Preprocess = Preprocess {
    mean: Cow::Borrowed(&[0.0]),
    std: Cow::Borrowed(&[1.0]),
    crop: 1.0,
    resize: Resize::Letterbox,
    filter: Filter::Linear,
    range: ValueRange::Unit,
    ..Preprocess::IMAGENET
};

/// Returns corners of boxes `[batch, rows, 4]` that are given by their center, width and height.
fn corners(boxes: Tensor<3>) -> Tensor<3> {
    let center = boxes.clone().narrow(2, 0, 2);
    let half = boxes.narrow(2, 2, 2) / 2.0;
    Tensor::cat(vec![center.clone() - half.clone(), center + half], 2)
}

/// The classes of a file that names none: those of COCO.
const CLASSES: usize = 80;

/// Returns the scores of all classes, `[batch, rows, classes]`, of rows that have the score of one and its number at the places 4 and 5.
fn scores_of_best(rows: &Tensor<3>, classes: usize) -> Tensor<3> {
    let [batch, count, _] = rows.dims();
    let class = rows.clone().narrow(2, 5, 1).expand([batch, count, classes]);
    let each: Tensor<3> =
        Tensor::<1, Int>::arange(0..classes as i64, &rows.device()).float().reshape([1, 1, classes]);
    let is_class = (class - each).abs().lower_elem(0.5).float();
    rows.clone().narrow(2, 4, 1) * is_class
}

/// Multiplies x and y of boxes or sizes by the width and the height of the input.
fn in_pixels(boxes: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<3> {
    let size = [width as f32, height as f32, width as f32, height as f32];
    let size: Tensor<3> = Tensor::<1>::from_floats(size, &boxes.device()).reshape([1, 1, 4]);
    boxes * size
}

/// Returns the column and the row of each cell of a grid, `[cells, 2]`.
fn cells([height, width]: [usize; 2], device: &Device) -> Tensor<2> {
    let axis = |length: usize| Tensor::<1, Int>::arange(0..length as i64, device).float();
    let x = axis(width).reshape([1, width]).repeat_dim(0, height).reshape([height * width, 1]);
    let y = axis(height).reshape([height, 1]).repeat_dim(1, width).reshape([height * width, 1]);
    Tensor::cat(vec![x, y], 1)
}
