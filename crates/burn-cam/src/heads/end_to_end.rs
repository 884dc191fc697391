use super::{CLASSES, Head, Outputs, RawOutput, ULTRALYTICS, scores_of_best};
use crate::detect::Suppression;
use crate::{Detections, Preprocess};
use burn::Tensor;

/// YOLOv10, YOLO26 and other networks that return each thing once, `[batch, 300, 6]`: left, top, right, bottom in pixels, the score, and the
/// number of the class, sorted by the score.
///
/// <https://github.com/ultralytics/ultralytics>, `nn/modules/head.py`: `Detect.postprocess`.
pub struct EndToEnd;

impl Head for EndToEnd {
    fn name(&self) -> &'static str {
        "yolov10"
    }

    fn package(&self) -> &'static str {
        "Ultralytics"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 300, 6]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [rows, 6] = outputs.only()? else { return None };
        outputs.strides(rows).is_none().then_some(outputs.names.unwrap_or(CLASSES))
    }

    fn preprocess(&self) -> Preprocess {
        ULTRALYTICS
    }

    fn suppression(&self) -> Suppression {
        Suppression::none(0.25)
    }

    fn is_sorted(&self) -> bool {
        true
    }

    fn detections(&self, outputs: &[RawOutput], _input: [usize; 2], classes: usize) -> Detections {
        let rows: Tensor<3> = outputs[0].tensor();
        Detections { boxes: rows.clone().narrow(2, 0, 4), scores: scores_of_best(&rows, classes) }
    }
}
