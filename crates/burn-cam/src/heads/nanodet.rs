use super::{Head, Outputs, RawOutput, cells};
use crate::detect::Suppression;
use crate::{ChannelOrder, Detections, Filter, Preprocess, Resize, ValueRange};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::softmax;
use std::borrow::Cow;

/// NanoDet-Plus, `[batch, cells, classes + 32]`: probabilities of classes, and for each edge of a box a distribution over its distance from the
/// corner of the cell, in eight steps of the stride $d$.
///
/// $$ \text{distance} = d\thinspace \sum_{n=0}^{7} n\thinspace \mathrm{softmax}(t)_n $$
///
/// <https://github.com/RangiLyu/nanodet>, `nanodet/model/head/nanodet_plus_head.py`: `get_bboxes`.
pub struct NanoDet;

/// The strides of NanoDet-Plus.
const STRIDES: [usize; 4] = [8, 16, 32, 64];
/// The steps of a distance.
const STEPS: usize = 8;

/// Returns the height and width of a level; what is left over has a cell, too.
fn level(input: [usize; 2], stride: usize) -> [usize; 2] {
    input.map(|side| side.div_ceil(stride))
}

impl Head for NanoDet {
    fn name(&self) -> &'static str {
        "nanodet"
    }

    fn package(&self) -> &'static str {
        "NanoDet-Plus"
    }

    fn shapes(&self) -> &'static str {
        "[batch, cells, classes + 32]"
    }

    fn classes(&self, outputs: Outputs<'_>) -> Option<usize> {
        let [rows, numbers] = outputs.only()?;
        let cells: usize =
            STRIDES.iter().map(|stride| level(outputs.input, *stride).iter().product::<usize>()).sum();
        let classes = numbers.checked_sub(4 * STEPS).filter(|classes| *classes > 0)?;
        (rows == cells && outputs.names.is_none_or(|names| names == classes)).then_some(classes)
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess {
            order: ChannelOrder::Bgr,
            range: ValueRange::Byte,
            mean: Cow::Borrowed(&[103.53, 116.28, 123.675]),
            std: Cow::Borrowed(&[57.375, 57.12, 58.395]),
            crop: 1.0,
            resize: Resize::Squash,
            filter: Filter::Linear,
            ..Preprocess::IMAGENET
        }
    }

    fn suppression(&self) -> Suppression {
        Suppression { several_classes: true, most: 100, ..Suppression::new(0.35, 0.6) }
    }

    fn detections(&self, outputs: &[RawOutput], input: [usize; 2], classes: usize) -> Detections {
        let rows: Tensor<3> = outputs[0].tensor();
        let ([batch, count, _], device) = (rows.dims(), rows.device());
        let levels = STRIDES.iter().map(|stride| {
            let corners = cells(level(input, *stride), &device) * *stride as f32;
            let strides = corners.full_like(*stride as f32);
            (corners, strides.narrow(1, 0, 1))
        });
        let (corners, strides): (Vec<_>, Vec<_>) = levels.unzip();
        let corner: Tensor<3> = Tensor::cat(corners, 0).unsqueeze_dim(0);
        let stride: Tensor<3> = Tensor::cat(strides, 0).unsqueeze_dim(0);
        let steps: Tensor<4> =
            Tensor::<1, Int>::arange(0..STEPS as i64, &device).float().reshape([1, 1, 1, STEPS]);
        let distribution: Tensor<4> =
            rows.clone().narrow(2, classes, 4 * STEPS).reshape([batch, count, 4, STEPS]);
        let distance: Tensor<3> = (softmax(distribution, 3) * steps).sum_dim(3).squeeze_dim::<3>(3) * stride;
        let low = corner.clone() - distance.clone().narrow(2, 0, 2);
        let high = corner + distance.narrow(2, 2, 2);
        Detections { boxes: Tensor::cat(vec![low, high], 2), scores: rows.narrow(2, 0, classes) }
    }
}
