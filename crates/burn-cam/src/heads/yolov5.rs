use super::{Head, Outputs, RawOutput, ULTRALYTICS, corners};
use crate::detect::Suppression;
use crate::{Detections, Preprocess};
use burn::Tensor;

/// YOLOv5 and YOLOv7 with their grid in the file, `[batch, 3 cells, 5 + classes]`, for three anchors of each cell: center, width and height in
/// pixels, objectness $o$, and probabilities $p$ of classes.
///
/// $$ s_c = o\thinspace p_c $$
///
/// <https://github.com/ultralytics/yolov5>, `models/yolo.py`: `Detect`; `utils/general.py`: `non_max_suppression`.
pub struct YoloV5;

impl Head for YoloV5 {
    fn name(&self) -> &'static str {
        "yolov5"
    }

    fn package(&self) -> &'static str {
        "YOLOv5"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 3 cells, 5 + classes]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [_, rows, numbers] = outputs.shapes.first()?[..] else { return None };
        if rows % 3 != 0 {
            return None;
        }
        outputs.strides(rows / 3)?;
        numbers
            .checked_sub(5)
            .filter(|classes| *classes > 0 && outputs.names.is_none_or(|names| names == *classes))
    }

    fn preprocess(&self) -> Preprocess {
        ULTRALYTICS
    }

    fn suppression(&self) -> Suppression {
        Suppression::new(0.25, 0.45)
    }

    fn detections(&self, outputs: &[RawOutput], _input: [usize; 2], classes: usize) -> Detections {
        let rows: Tensor<3> = outputs[0].tensor();
        let objectness = rows.clone().narrow(2, 4, 1);
        let scores = rows.clone().narrow(2, 5, classes) * objectness;
        Detections { boxes: corners(rows.narrow(2, 0, 4)), scores }
    }
}
