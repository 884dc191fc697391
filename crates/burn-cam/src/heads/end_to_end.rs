use super::{Head, Outputs, RawOutput, ULTRALYTICS};
use crate::detect::Suppression;
use crate::{Detections, Preprocess};
use burn::Tensor;
use burn::tensor::Int;

/// YOLOv10, YOLO26 and other networks that return each thing once, `[batch, 300, 6]`: left, top, right, bottom in pixels, the score, and the
/// number of the class, sorted by the score.
///
/// <https://github.com/ultralytics/ultralytics>, `nn/modules/head.py`: `Detect.postprocess`.
pub struct EndToEnd;

/// The classes of a file that names none: those of COCO.
const CLASSES: usize = 80;

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
        let [batch, count, _] = rows.dims();
        let class = rows.clone().narrow(2, 5, 1).expand([batch, count, classes]);
        let each: Tensor<3> =
            Tensor::<1, Int>::arange(0..classes as i64, &rows.device()).float().reshape([1, 1, classes]);
        let is_class = (class - each).abs().lower_elem(0.5).float();
        let scores = rows.clone().narrow(2, 4, 1) * is_class;
        Detections { boxes: rows.narrow(2, 0, 4), scores }
    }
}
