use super::{Head, Outputs, RawOutput, corners, in_pixels};
use crate::detect::Suppression;
use crate::{Detections, Filter, Preprocess, Resize};
use burn::tensor::activation::softmax;

/// DETR, logits `[batch, 100, classes + 1]` and boxes `[batch, 100, 4]`: center, width and height as shares of the input. The last class is
/// that there is nothing.
///
/// $$ s_c = \mathrm{softmax}(\text{logits})_c $$
///
/// Carion et al., *End-to-End Object Detection with Transformers*, ECCV 2020; transformers, `DetrImageProcessor.post_process_object_detection`.
pub struct Detr;

/// The queries of DETR. Its successors have more, and other scores.
const QUERIES: usize = 100;

impl Head for Detr {
    fn name(&self) -> &'static str {
        "detr"
    }

    fn package(&self) -> &'static str {
        "DETR"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 100, classes + 1] and [batch, 100, 4]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let (_, [rows, classes]) = outputs.scores_and_boxes()?;
        (rows == QUERIES).then(|| classes.checked_sub(1))?.filter(|classes| *classes > 0)
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess { crop: 1.0, resize: Resize::Squash, filter: Filter::Bilinear, ..Preprocess::IMAGENET }
    }

    fn suppression(&self) -> Suppression {
        Suppression { most: QUERIES, ..Suppression::none(0.5) }
    }

    fn detections(&self, outputs: &[RawOutput], input: [usize; 2], classes: usize) -> Detections {
        let shapes: Vec<Vec<usize>> = outputs.iter().map(|output| output.shape.clone()).collect();
        let places = Outputs { shapes: &shapes, input, names: None, about: "" }.scores_and_boxes();
        let [scores, boxes] = places.map_or([0, 1], |(places, _)| places);
        Detections {
            scores: softmax(outputs[scores].tensor::<3>(), 2).narrow(2, 0, classes),
            boxes: corners(in_pixels(outputs[boxes].tensor(), input)),
        }
    }
}
