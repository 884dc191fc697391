use super::{CLASSES, Head, Outputs, RawOutput, ULTRALYTICS, corners, in_pixels, scores_of_best};
use crate::detect::Suppression;
use crate::{Detections, Filter, Preprocess, Resize};
use burn::Tensor;
use burn::tensor::activation::sigmoid;

/// RT-DETR and Deformable DETR, logits `[batch, 300, classes]` and boxes `[batch, 300, 4]`: center, width and height as shares of the input.
///
/// $$ s_c = \sigma(\text{logits})_c $$
///
/// Each class of a query above the least score is a prediction. Zhao et al., *DETRs Beat YOLOs on Real-time Object Detection*, CVPR 2024;
/// transformers, `RTDetrImageProcessor.post_process_object_detection`.
pub struct RtDetr;

impl Head for RtDetr {
    fn name(&self) -> &'static str {
        "rtdetr"
    }

    fn package(&self) -> &'static str {
        "RT-DETR"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 300, classes] and [batch, 300, 4]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let (_, [_, classes]) = outputs.scores_and_boxes()?;
        Some(classes)
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess { resize: Resize::Squash, filter: Filter::Bilinear, ..ULTRALYTICS }
    }

    fn suppression(&self) -> Suppression {
        Suppression { several_classes: true, ..Suppression::none(0.5) }
    }

    fn detections(&self, outputs: &[RawOutput], input: [usize; 2], _classes: usize) -> Detections {
        let shapes: Vec<Vec<usize>> = outputs.iter().map(|output| output.shape.clone()).collect();
        let places = Outputs { shapes: &shapes, input, names: None, about: "" }.scores_and_boxes();
        let [scores, boxes] = places.map_or([0, 1], |(places, _)| places);
        Detections {
            scores: sigmoid(outputs[scores].tensor::<3>()),
            boxes: corners(in_pixels(outputs[boxes].tensor(), input)),
        }
    }
}

/// RT-DETR as Ultralytics exports it, `[batch, 300, 6]`: center, width and height as shares of the input, the score, and the number of the class.
/// Only its metadata tell it from other networks that return each thing once.
///
/// <https://github.com/ultralytics/ultralytics>, `models/rtdetr/predict.py`.
pub struct UltralyticsRtDetr;

impl Head for UltralyticsRtDetr {
    fn name(&self) -> &'static str {
        "ultralytics-rtdetr"
    }

    fn package(&self) -> &'static str {
        "Ultralytics' RT-DETR"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 300, 6]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [_, 6] = outputs.only()? else { return None };
        outputs.about.contains("rtdetr").then_some(outputs.names.unwrap_or(CLASSES))
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess { resize: Resize::Squash, ..ULTRALYTICS }
    }

    fn suppression(&self) -> Suppression {
        Suppression::none(0.25)
    }

    fn is_sorted(&self) -> bool {
        true
    }

    fn detections(&self, outputs: &[RawOutput], input: [usize; 2], classes: usize) -> Detections {
        let rows: Tensor<3> = outputs[0].tensor();
        let boxes = corners(in_pixels(rows.clone().narrow(2, 0, 4), input));
        Detections { boxes, scores: scores_of_best(&rows, classes) }
    }
}
