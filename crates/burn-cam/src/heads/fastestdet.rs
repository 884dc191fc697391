use super::{Head, Outputs, RawOutput, ULTRALYTICS, cells};
use crate::detect::Suppression;
use crate::{ChannelOrder, Detections, Preprocess, Resize};
use burn::Tensor;
use burn::tensor::activation::sigmoid;

/// FastestDet: one level without anchors, `[batch, 5 + classes, height, width]`: objectness $o$, four numbers $t$ of a box, probabilities
/// $p$ of classes, for each cell $(i, j)$.
///
/// $$ s_c = o^{0.6}\thinspace p_c^{0.4} \qquad x = \frac{j + \tanh t_1}{w} \quad y = \frac{i + \tanh t_2}{h} \quad
/// (\sigma(t_3), \sigma(t_4)) = \text{width, height} $$
///
/// <https://github.com/dog-qiuqiu/FastestDet>, `utils/tool.py`: `handle_preds`.
pub struct FastestDet;

impl Head for FastestDet {
    fn name(&self) -> &'static str {
        "fastestdet"
    }

    fn package(&self) -> &'static str {
        "FastestDet"
    }

    fn shapes(&self) -> &'static str {
        "[batch, 5 + classes, height / 16, width / 16]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [numbers, height, width] = outputs.only()?;
        let is_level = [height, width] == outputs.input.map(|side| side / 16);
        (is_level && outputs.names.is_none_or(|names| names + 5 == numbers))
            .then(|| numbers.checked_sub(5))?
            .filter(|classes| *classes > 0)
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess { order: ChannelOrder::Bgr, resize: Resize::Squash, ..ULTRALYTICS }
    }

    fn suppression(&self) -> Suppression {
        Suppression::new(0.25, 0.45)
    }

    fn detections(&self, outputs: &[RawOutput], [rows, columns]: [usize; 2], classes: usize) -> Detections {
        let map: Tensor<4> = outputs[0].tensor();
        let [batch, numbers, height, width] = map.dims();
        let map: Tensor<3> = map.reshape([batch, numbers, height * width]).swap_dims(1, 2);
        let part = |from: usize, count: usize| map.clone().narrow(2, from, count);
        let scores = part(0, 1).powf_scalar(0.6) * part(5, classes).powf_scalar(0.4);
        let device = map.device();
        let scale = |x: f32, y: f32| Tensor::<1>::from_floats([x, y], &device).reshape([1, 1, 2]);
        let (across, down) = (columns as f32, rows as f32);
        let cells = cells([height, width], &device).unsqueeze_dim(0);
        let center = (part(1, 2).tanh() + cells) * scale(across / width as f32, down / height as f32);
        let half = sigmoid(part(3, 2)) * scale(across / 2.0, down / 2.0);
        Detections { boxes: Tensor::cat(vec![center.clone() - half.clone(), center + half], 2), scores }
    }
}
