use super::{Head, Outputs, RawOutput, ULTRALYTICS, corners};
use crate::detect::Suppression;
use crate::{Detections, Preprocess};
use burn::Tensor;

/// YOLOv8, YOLO11 and other heads of Ultralytics without anchors, `[batch, 4 + classes, cells]`: center, width and height in pixels, and the
/// probability of each class. Coefficients of masks and points of poses after them are not read: then the names of the classes have to be
/// known.
///
/// <https://github.com/ultralytics/ultralytics>, `nn/modules/head.py`: `Detect`; `utils/nms.py`: `non_max_suppression`.
pub struct YoloV8;

impl Head for YoloV8 {
    fn name(&self) -> &'static str {
        "yolov8"
    }

    fn package(&self) -> &'static str {
        "Ultralytics"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 4 + classes, cells]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [_, numbers, cells] = outputs.shapes.first()?[..] else { return None };
        outputs.strides(cells)?;
        match outputs.names {
            Some(names) if outputs.shapes.len() <= 2 => (numbers >= 4 + names).then_some(names),
            None if outputs.shapes.len() == 1 => numbers.checked_sub(4).filter(|classes| *classes > 0),
            _ => None,
        }
    }

    fn preprocess(&self) -> Preprocess {
        ULTRALYTICS
    }

    fn suppression(&self) -> Suppression {
        Suppression::new(0.25, 0.7)
    }

    fn detections(&self, outputs: &[RawOutput], _input: [usize; 2], classes: usize) -> Detections {
        let rows: Tensor<3> = outputs[0].tensor::<3>().swap_dims(1, 2);
        Detections { boxes: corners(rows.clone().narrow(2, 0, 4)), scores: rows.narrow(2, 4, classes) }
    }
}
