use super::{Head, Outputs, RawOutput, cells, corners};
use crate::detect::Suppression;
use crate::{ChannelOrder, Detections, Filter, Preprocess, Resize, ValueRange};
use burn::Tensor;
use std::borrow::Cow;

/// YOLOX without its grid in the file, `[batch, cells, 5 + classes]`: for each cell at $(i, j)$ of a level of stride $d$ four numbers $t$ of a
/// box, objectness $o$, and probabilities $p$ of classes.
///
/// $$ s_c = o\thinspace p_c \qquad x = (j + t_1)\thinspace d \quad y = (i + t_2)\thinspace d \quad \text{width} = d\thinspace e^{t_3} \quad
/// \text{height} = d\thinspace e^{t_4} $$
///
/// <https://github.com/Megvii-BaseDetection/YOLOX>, `yolox/utils/demo_utils.py`: `demo_postprocess`; `tools/export_onnx.py` leaves the grid
/// out unless it is told otherwise.
pub struct YoloX;

impl Head for YoloX {
    fn name(&self) -> &'static str {
        "yolox"
    }

    fn package(&self) -> &'static str {
        "YOLOX"
    }

    fn shapes(&self) -> &'static str {
        "[batch, cells, 5 + classes]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [rows, numbers] = outputs.only()?;
        outputs.strides(rows).filter(|strides| strides.len() == 3)?;
        numbers
            .checked_sub(5)
            .filter(|classes| *classes > 0 && outputs.names.is_none_or(|names| names == *classes))
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess {
            order: ChannelOrder::Bgr,
            range: ValueRange::Byte,
            mean: Cow::Borrowed(&[0.0]),
            std: Cow::Borrowed(&[1.0]),
            crop: 1.0,
            resize: Resize::Corner,
            filter: Filter::Linear,
            ..Preprocess::IMAGENET
        }
    }

    fn suppression(&self) -> Suppression {
        Suppression { across_classes: true, ..Suppression::new(0.25, 0.45) }
    }

    fn detections(&self, outputs: &[RawOutput], input: [usize; 2], classes: usize) -> Detections {
        let rows: Tensor<3> = outputs[0].tensor();
        let (count, device) = (rows.dims()[1], rows.device());
        let known = Outputs { shapes: &[], input, names: None, about: "" };
        let levels = known.strides(count).unwrap_or_default().iter().map(|stride| {
            let cells = cells(input.map(|side| side / stride), &device);
            let strides = cells.full_like(*stride as f32);
            (cells, strides)
        });
        let (grids, strides): (Vec<_>, Vec<_>) = levels.unzip();
        let (grid, stride) =
            (Tensor::cat(grids, 0).unsqueeze_dim(0), Tensor::cat(strides, 0).unsqueeze_dim(0));
        let center = (rows.clone().narrow(2, 0, 2) + grid) * stride.clone();
        let size = rows.clone().narrow(2, 2, 2).exp() * stride;
        let scores = rows.clone().narrow(2, 5, classes) * rows.narrow(2, 4, 1);
        Detections { boxes: corners(Tensor::cat(vec![center, size], 2)), scores }
    }
}
