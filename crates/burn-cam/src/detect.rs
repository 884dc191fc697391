//! The decoder of detectors: boxes with classes and scores, of which those that show one thing twice are suppressed.

use crate::ask::Aspect;
use crate::decoder::name_of;
use crate::{AnyTarget, Decoder, Error, Place, Prediction};
use burn::Tensor;
use cam_core::{BestBox, Detection, DetectionRow, Detections, Goal, Part, SimilarBox, Target};
use cam_image::class_named;
use std::borrow::Cow;
use std::sync::Arc;

/// An output that is, or holds, the boxes of a detector.
pub trait BoxOutput: Clone + 'static {
    /// Returns the boxes and the scores of so many classes.
    fn detections(&self, classes: usize) -> Detections;
}

impl BoxOutput for Detections {
    fn detections(&self, _classes: usize) -> Detections {
        self.clone()
    }
}

/// A row of numbers for each image, as the decoder makes it: what a model of unknown type returns.
impl BoxOutput for Tensor<2> {
    fn detections(&self, classes: usize) -> Detections {
        let [batch, numbers] = self.dims();
        let count = numbers / (4 + classes);
        Detections {
            boxes: self.clone().narrow(1, 0, 4 * count).reshape([batch, count, 4]),
            scores: self.clone().narrow(1, 4 * count, classes * count).reshape([batch, count, classes]),
        }
    }
}

/// Returns detections as one row of numbers for each image, `[batch, boxes * (4 + classes)]`: first the boxes, then the scores.
#[cfg(feature = "onnx")]
pub(crate) fn flat(Detections { boxes, scores }: Detections) -> Tensor<2> {
    let ([batch, count, _], [_, _, classes]) = (boxes.dims(), scores.dims());
    Tensor::cat(vec![boxes.reshape([batch, 4 * count]), scores.reshape([batch, classes * count])], 1)
}

/// How boxes become predictions: which are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Suppression {
    /// The least score of a prediction.
    pub min_score: f32,
    /// From which intersection over union on a box is one that is found already; `None` keeps all.
    pub overlap: Option<f32>,
    /// Whether a box may suppress those of other classes.
    pub across_classes: bool,
    /// Whether each class of a row above the least score is a prediction, and not the best one only.
    pub several_classes: bool,
    /// The most predictions of an image.
    pub most: usize,
}

impl Suppression {
    /// Returns suppression within each class, of boxes that overlap by more than this.
    pub const fn new(min_score: f32, overlap: f32) -> Self {
        Self { min_score, overlap: Some(overlap), across_classes: false, several_classes: false, most: 300 }
    }

    /// Returns no suppression: the network returns each thing once.
    pub const fn none(min_score: f32) -> Self {
        Self { overlap: None, ..Self::new(min_score, 1.0) }
    }
}

impl Default for Suppression {
    fn default() -> Self {
        Self::new(0.25, 0.45)
    }
}

/// The decoder of a detector: its boxes, the most confident first, without those that show the same thing again.
///
/// A network with an output of [`Detections`] is explained like any other: one map for each box.
///
/// ```
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::prelude::*;
/// use burn::tensor::activation::{relu, sigmoid};
/// use burn_cam::{Detect, Detections, HiResCam, ImageExplainer};
///
/// /// Predicts a box of 64 x 64 pixels around each cell of 32 x 32.
/// #[derive(Module, Debug)]
/// struct Cells {
///     stem: Conv2d,
///     head: Conv2d,
/// }
///
/// impl Cells {
///     fn forward(&self, images: Tensor<4>) -> Detections {
///         let scores = sigmoid(self.head.forward(relu(self.stem.forward(images))));
///         let [batch, classes, height, width] = scores.dims();
///         let device = scores.device();
///         let axis = |cells: usize| Tensor::<1, Int>::arange(0..cells as i64, &device).float() * 32.0 + 16.0;
///         let x: Tensor<2> = axis(width).reshape([1, width]).repeat_dim(0, height);
///         let y: Tensor<2> = axis(height).reshape([height, 1]).repeat_dim(1, width);
///         let edges = vec![x.clone() - 32.0, y.clone() - 32.0, x + 32.0, y + 32.0];
///         let boxes: Tensor<3> = Tensor::stack(edges, 2);
///         Detections {
///             boxes: boxes.reshape([1, height * width, 4]).repeat_dim(0, batch),
///             scores: scores.reshape([batch, classes, height * width]).swap_dims(1, 2),
///         }
///     }
/// }
///
/// let device = Device::flex();
/// let net = Cells {
///     stem: Conv2dConfig::new([3, 8], [32, 32]).with_stride([32, 32]).init(&device),
///     head: Conv2dConfig::new([8, 2], [3, 3]).with_padding(burn::nn::PaddingConfig2d::Same).init(&device),
/// };
/// let model = burn_cam::record_with(&net, Detect::new(["cat", "dog"]), Cells::forward)?;
/// let found = ImageExplainer::new(&model).method(HiResCam).explain(burn_cam::image::RgbImage::new(300, 200))?;
/// for map in &found.maps {
///     println!("{} at {:?}: hottest at {:?}", map.label, map.bounds, map.peak());
/// }
/// # assert!(!found.maps.is_empty() && found.maps.iter().all(|map| map.bounds.is_some()));
/// # Ok::<(), burn_cam::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Detect {
    labels: Arc<[String]>,
    suppression: Suppression,
    /// How many are explained by default.
    explained: usize,
    /// Whether a row is another place of another image.
    sorted: bool,
}

impl Detect {
    /// Creates a decoder of boxes of classes with these names.
    pub fn new(labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        Self { labels, suppression: Suppression::default(), explained: 5, sorted: false }
    }

    /// Sets which boxes are kept.
    pub fn suppression(self, suppression: Suppression) -> Self {
        Self { suppression, ..self }
    }

    /// States that the network sorts its boxes by their scores, so that a row is another place of another image: in passes of changed images
    /// a box is found by its place.
    pub fn sorted(self, sorted: bool) -> Self {
        Self { sorted, ..self }
    }

    /// Returns the rows that are predictions, with the class and the score of each, the most confident first.
    pub fn kept(&self, boxes: &[f32], scores: &[f32]) -> Vec<(usize, usize, f32)> {
        let Suppression { min_score, overlap, across_classes, several_classes, most } = self.suppression;
        let classes = self.labels.len().max(1);
        let mut candidates: Vec<(usize, usize, f32)> = Vec::new();
        for (row, scores) in scores.chunks_exact(classes).enumerate() {
            let named = scores.iter().copied().enumerate().filter(|(_, score)| *score > min_score);
            if several_classes {
                candidates.extend(named.map(|(class, score)| (row, class, score)));
            } else if let Some((class, score)) = first_of_best(named) {
                candidates.push((row, class, score));
            }
        }
        candidates.sort_by(|a, b| b.2.total_cmp(&a.2));
        candidates.truncate(MOST_CANDIDATES);
        let bounds = |row: usize| <[f32; 4]>::try_from(&boxes[4 * row..4 * row + 4]).expect("four numbers");
        let mut kept: Vec<(usize, usize, f32)> = Vec::new();
        for candidate in candidates {
            if kept.len() == most {
                break;
            }
            let is_found = |(row, class, _): &(usize, usize, f32)| {
                (across_classes || *class == candidate.1)
                    && overlap.is_some_and(|most| iou(bounds(*row), bounds(candidate.0)) > most)
            };
            if !kept.iter().any(is_found) {
                kept.push(candidate);
            }
        }
        kept
    }

    fn row(&self, place: &Place) -> DetectionRow {
        place.row.filter(|_| !self.sorted).map_or(DetectionRow::Near(place.bounds), DetectionRow::At)
    }

    fn named(&self, class: usize) -> Cow<'_, str> {
        name_of(&self.labels, class)
    }
}

/// The most boxes that are compared with each other, as in Ultralytics' packages.
const MOST_CANDIDATES: usize = 30_000;

/// Returns the best score, and the first of several that are equal.
fn first_of_best(scores: impl Iterator<Item = (usize, f32)>) -> Option<(usize, f32)> {
    scores.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Returns the intersection over union of two boxes.
pub(crate) fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
    let area = |[left, top, right, bottom]: [f32; 4]| (right - left) * (bottom - top);
    let shared = side(0) * side(1);
    shared / (area(a) + area(b) - shared).max(f32::MIN_POSITIVE)
}

/// A target of detections, asked of an output that holds them.
struct Held<T> {
    target: T,
    classes: usize,
}

impl<O: BoxOutput, T: Target<Detections>> Target<O> for Held<T> {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        let classes = self.classes;
        let goal = self.target.resolve(&output.detections(classes))?;
        Ok(Goal::new(move |output: &O, rows| goal.score(&output.detections(classes), rows)))
    }
}

/// The prediction of a rank, of the first image of a batch.
struct RankedBox {
    decoder: Detect,
    rank: usize,
}

impl<O: BoxOutput> Target<O> for RankedBox {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        let Detections { boxes, scores } = output.detections(self.decoder.labels.len());
        let first = |values: Tensor<3>| values.inner().narrow(0, 0, 1).try_to_vec_as::<f32>();
        let (boxes, scores) = (first(boxes)?, first(scores)?);
        // Of what is below the least score, too: of a blank image.
        let any = Suppression { min_score: f32::NEG_INFINITY, ..self.decoder.suppression };
        let kept = self.decoder.clone().suppression(any).kept(&boxes, &scores);
        let missing = cam_core::Error::UnknownBox { asked: self.rank, boxes: kept.len() };
        let (row, class, _) = *kept.get(self.rank).ok_or(missing)?;
        self.decoder.target_of(DetectionRow::At(row), class, &Aspect::default())?.resolve(output)
    }
}

impl Detect {
    fn target_of<O: BoxOutput>(
        &self,
        row: DetectionRow,
        class: usize,
        aspect: &Aspect,
    ) -> Result<AnyTarget<O>, cam_core::Error> {
        let against = aspect.against.as_ref().map(|name| class_named(&self.labels, name));
        let mut target = Detection::new(row, class).part(aspect.part);
        if let Some(Ok(other)) = against {
            target = target.against(other);
        }
        Ok(AnyTarget::new(Held { target, classes: self.labels.len() }))
    }
}

impl<O: BoxOutput> Decoder<O> for Detect {
    fn name(&self) -> &'static str {
        "detect"
    }

    /// # Errors
    /// [`Error::LabelCount`] when there are more or fewer names than classes.
    fn parts(&self, output: &O) -> Result<Vec<Tensor<2>>, Error> {
        let Detections { boxes, scores } = output.detections(self.labels.len());
        let ([batch, count, _], [_, _, classes]) = (boxes.dims(), scores.dims());
        if classes != self.labels.len() {
            return Err(Error::LabelCount { names: self.labels.len(), classes });
        }
        let boxes = boxes.inner().reshape([batch, 4 * count]);
        Ok(vec![boxes, scores.inner().reshape([batch, classes * count])])
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction<O>> {
        let [boxes, scores] = parts else { return Vec::new() };
        let prediction = |(row, class, score): (usize, usize, f32)| {
            let bounds = <[f32; 4]>::try_from(&boxes[4 * row..4 * row + 4]).expect("four numbers");
            let place = Place { bounds, row: Some(row) };
            let target = self.target_of(self.row(&place), class, &Aspect::default()).expect("a plain target");
            Prediction::new(class, self.named(class), score, score, target).at(place)
        };
        self.kept(boxes, scores).into_iter().map(prediction).collect()
    }

    fn target(&self, name: &str) -> Result<AnyTarget<O>, Error> {
        let class = class_named(&self.labels, name)?;
        let target = move |output: &Detections| -> Tensor<1> {
            let scores: Tensor<2> = output.scores.clone().narrow(2, class, 1).squeeze_dim(2);
            scores.max_dim(1).squeeze_dim(1)
        };
        Ok(AnyTarget::new(Held { target, classes: self.labels.len() }))
    }

    fn ranked(&self, rank: usize) -> AnyTarget<O> {
        AnyTarget::new(RankedBox { decoder: self.clone(), rank })
    }

    fn label(&self, class: usize) -> Cow<'_, str> {
        self.named(class)
    }

    fn explained(&self, predictions: &[Prediction<O>]) -> usize {
        predictions.len().min(self.explained)
    }

    fn explains_several(&self) -> bool {
        true
    }

    fn has_places(&self) -> bool {
        true
    }

    /// The mean of a gradient says nothing of a place; the gradient times the activation at every place is ODAM.
    fn method(&self) -> Option<&'static str> {
        Some("hirescam")
    }

    fn class(&self, name: &str) -> Result<usize, Error> {
        Ok(class_named(&self.labels, name)?)
    }

    fn expected(&self, class: usize, bounds: [f32; 4]) -> Result<Prediction<O>, Error> {
        let target = Held { target: BestBox { bounds, class }, classes: self.labels.len() };
        let place = Place { bounds, row: None };
        Ok(Prediction::new(class, self.named(class), 0.0, 0.0, AnyTarget::<O>::new(target)).at(place))
    }

    fn aspect(&self, prediction: &Prediction<O>, aspect: &Aspect) -> Result<AnyTarget<O>, Error> {
        let Some(place) = prediction.place.filter(|_| !aspect.is_plain()) else {
            return Ok(prediction.target());
        };
        if let Some(other) = &aspect.against {
            class_named(&self.labels, other)?;
        }
        if let (Some(row), true) =
            (place.row, aspect.again && aspect.against.is_none() && aspect.part == Part::Score)
        {
            return Ok(AnyTarget::new(Held { target: SimilarBox { row }, classes: self.labels.len() }));
        }
        Ok(self.target_of(self.row(&place), prediction.class, aspect)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_found_once_per_class() {
        let boxes = [0.0, 0.0, 10.0, 10.0, 1.0, 0.0, 11.0, 10.0, 0.0, 0.0, 10.0, 10.0, 50.0, 0.0, 60.0, 10.0];
        let scores = [0.9, 0.1, 0.8, 0.2, 0.1, 0.7, 0.2, 0.3];
        let decoder = Detect::new(["cat", "dog"]);
        let rows = |decoder: &Detect| {
            decoder.kept(&boxes, &scores).iter().map(|(row, class, _)| (*row, *class)).collect::<Vec<_>>()
        };
        assert_eq!(rows(&decoder), [(0, 0), (2, 1), (3, 1)]);
        let across = Suppression { across_classes: true, ..Suppression::default() };
        assert_eq!(rows(&decoder.clone().suppression(across)), [(0, 0), (3, 1)]);
        let all = Suppression { several_classes: true, ..Suppression::none(0.15) };
        assert_eq!(rows(&decoder.suppression(all)).len(), 6);
    }
}
