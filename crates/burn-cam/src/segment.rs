//! The decoder of segmentations: the region of each class, the largest first.

use crate::ask::Aspect;
use crate::decoder::name_of;
use crate::{AnyTarget, Decoder, Error, Logits, Mask, Part, Place, Prediction};
use burn::Tensor;
use cam_core::{Goal, Region, Rows, Target};
use cam_image::class_named;
use std::borrow::Cow;
use std::sync::Arc;

/// An output that is, or holds, the scores of classes at each position.
pub trait MapOutput: Clone + 'static {
    /// Returns the scores, `[batch, classes, height, width]`, of which these are the last three axes.
    fn scores(&self, shape: [usize; 3]) -> Tensor<4>;
}

impl MapOutput for Tensor<4> {
    fn scores(&self, _shape: [usize; 3]) -> Tensor<4> {
        self.clone()
    }
}

/// A row of numbers for each image: what a model of unknown type returns.
impl MapOutput for Tensor<2> {
    fn scores(&self, [classes, height, width]: [usize; 3]) -> Tensor<4> {
        self.clone().reshape([self.dims()[0], classes, height, width])
    }
}

/// The decoder of a segmentation, `[batch, classes, height, width]`, of any stride: the region of each class, where its score is the highest. Of
/// one channel alone the region is where it is more likely than not.
///
/// The target of a region is its class summed over it, as in Seg-Grad-CAM (Vinogradova et al., *Towards Interpretable Semantic Segmentation
/// via Gradient-weighted Class Activation Mapping*, AAAI 2020); the layer is by default the last one with the coarsest grid, the bottleneck.
///
/// ```
/// use burn::nn::PaddingConfig2d;
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::prelude::*;
/// use burn_cam::{ImageExplainer, Segment};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     stem: Conv2d,
///     head: Conv2d,
/// }
///
/// let device = Device::flex();
/// let net = Net {
///     stem: Conv2dConfig::new([3, 8], [8, 8]).with_stride([8, 8]).init(&device),
///     head: Conv2dConfig::new([8, 3], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device),
/// };
/// let decoder = Segment::new(["sky", "road", "tree"], [224, 224], [28, 28]);
/// let model = burn_cam::record_with(&net, decoder, |net, images| net.head.forward(net.stem.forward(images)))?;
/// let found = ImageExplainer::new(&model).explain(burn_cam::image::RgbImage::new(300, 200))?;
/// assert_eq!(found.maps[0].label, found.predictions[0].label);
/// assert!(found.predictions[0].mask.is_some());
/// # Ok::<(), burn_cam::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Segment {
    labels: Arc<[String]>,
    /// Height and width of the input in pixels.
    input: [usize; 2],
    /// Height and width of the output.
    grid: [usize; 2],
    logits: Logits,
}

/// The share of an image from which on a region is explained by default.
const LEAST_SHARE: f32 = 0.005;

impl Segment {
    /// Creates a decoder of classes with these names, for an input and an output of these heights and widths.
    pub fn new(
        labels: impl IntoIterator<Item = impl Into<String>>,
        input: [usize; 2],
        grid: [usize; 2],
    ) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        Self { labels, input, grid, logits: Logits::default() }
    }

    /// Sets what the scores are: by default the logits of a softmax, of one channel those of a sigmoid; or probabilities already.
    pub fn logits(self, logits: Logits) -> Self {
        Self { logits, ..self }
    }

    fn shape(&self) -> [usize; 3] {
        [self.labels.len(), self.grid[0], self.grid[1]]
    }

    fn named(&self, class: usize) -> Cow<'_, str> {
        name_of(&self.labels, class)
    }

    /// Returns the class of each position; `None` where there is none.
    fn classes_of(&self, scores: &[f32]) -> Vec<Option<usize>> {
        let cells = self.grid[0] * self.grid[1];
        if self.labels.len() == 1 {
            let least = if self.logits == Logits::None { 0.5 } else { 0.0 };
            return scores.iter().map(|score| (*score >= least).then_some(0)).collect();
        }
        let best = |cell: usize| {
            let classes = (0..self.labels.len()).map(|class| (class, scores[class * cells + cell]));
            classes.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(class, _)| class)
        };
        (0..cells).map(best).collect()
    }

    /// Returns the prediction that a class is where the mask is.
    fn region<O: MapOutput>(&self, class: usize, mask: Vec<bool>, scores: &[f32]) -> Prediction<O> {
        let [height, width] = self.grid;
        let cells = height * width;
        let probability = |cell: &usize| {
            let logits: Vec<f32> = (0..self.labels.len()).map(|class| scores[class * cells + cell]).collect();
            self.logits.probabilities(&logits)[class]
        };
        let inside = || (0..cells).filter(|cell| mask[*cell]);
        let count = inside().count().max(1) as f32;
        let probability = inside().map(|cell| probability(&cell)).sum::<f32>() / count;
        let score = inside().map(|cell| scores[class * cells + cell]).sum::<f32>();
        let (stride_y, stride_x) =
            (self.input[0] as f32 / height as f32, self.input[1] as f32 / width as f32);
        let edges =
            inside().fold([f32::MAX, f32::MAX, 0.0, 0.0], |[left, top, right, bottom]: [f32; 4], cell| {
                let (x, y) = ((cell % width) as f32, (cell / width) as f32);
                [left.min(x), top.min(y), right.max(x + 1.0), bottom.max(y + 1.0)]
            });
        let bounds = [edges[0] * stride_x, edges[1] * stride_y, edges[2] * stride_x, edges[3] * stride_y];
        let mask = Arc::new(Mask { width, height, inside: mask });
        let target = OfRegion { class, against: None, mask: Arc::clone(&mask), shape: self.shape() };
        Prediction::new(class, self.named(class), score, probability, AnyTarget::<O>::new(target))
            .at(Place { bounds, row: Some(class) })
            .within(mask)
    }
}

/// The score of a class in a region, or how much higher it is than that of another.
struct OfRegion {
    class: usize,
    against: Option<usize>,
    mask: Arc<Mask>,
    shape: [usize; 3],
}

impl<O: MapOutput> Target<O> for OfRegion {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        let shape = self.shape;
        let scores = output.scores(shape);
        let weights: Vec<f32> = self.mask.inside.iter().map(|inside| f32::from(u8::from(*inside))).collect();
        let device = scores.device().without_autodiff();
        let mask: Tensor<3> =
            Tensor::<1>::from_floats(&weights[..], &device).reshape([1, self.mask.height, self.mask.width]);
        let of = |class: usize| Region { class, mask: mask.clone() }.resolve(&scores);
        let goal = of(self.class)?;
        let against = self.against.map(of).transpose()?;
        Ok(Goal::new(move |output: &O, rows: Rows| {
            let scores = output.scores(shape);
            let score = goal.score(&scores, rows);
            match &against {
                Some(other) => score - other.score(&scores, rows),
                None => score,
            }
        }))
    }
}

/// The class that has most of an image.
struct Largest {
    decoder: Segment,
    rank: usize,
}

impl<O: MapOutput> Target<O> for Largest {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        let scores = output.scores(self.decoder.shape()).inner().narrow(0, 0, 1).try_to_vec_as::<f32>()?;
        let found: Vec<Prediction<O>> = Decoder::<O>::predictions(&self.decoder, &[&scores]);
        let missing = cam_core::Error::UnknownBox { asked: self.rank, boxes: found.len() };
        found.get(self.rank).ok_or(missing)?.target().resolve(output)
    }
}

impl<O: MapOutput> Decoder<O> for Segment {
    fn name(&self) -> &'static str {
        "segment"
    }

    /// # Errors
    /// [`Error::LabelCount`] when there are more or fewer names than classes.
    fn parts(&self, output: &O) -> Result<Vec<Tensor<2>>, Error> {
        let scores = output.scores(self.shape()).inner();
        let [batch, classes, height, width] = scores.dims();
        match [classes, height, width] == self.shape() {
            true => Ok(vec![scores.reshape([batch, classes * height * width])]),
            false => Err(Error::LabelCount { names: self.labels.len(), classes }),
        }
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction<O>> {
        let Some(scores) = parts.first() else { return Vec::new() };
        let classes = self.classes_of(scores);
        let count = |class: usize| classes.iter().filter(|found| **found == Some(class)).count();
        let mut found: Vec<(usize, usize)> =
            (0..self.labels.len()).map(|class| (class, count(class))).collect();
        found.retain(|(_, count)| *count > 0);
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mask = |class: usize| classes.iter().map(|found| *found == Some(class)).collect();
        found.into_iter().map(|(class, _)| self.region(class, mask(class), scores)).collect()
    }

    fn target(&self, name: &str) -> Result<AnyTarget<O>, Error> {
        let class = class_named(&self.labels, name)?;
        let [_, height, width] = self.shape();
        let mask = Arc::new(Mask { width, height, inside: vec![true; height * width] });
        Ok(AnyTarget::new(OfRegion { class, against: None, mask, shape: self.shape() }))
    }

    fn ranked(&self, rank: usize) -> AnyTarget<O> {
        AnyTarget::new(Largest { decoder: self.clone(), rank })
    }

    fn label(&self, class: usize) -> Cow<'_, str> {
        self.named(class)
    }

    fn explained(&self, predictions: &[Prediction<O>]) -> usize {
        let is_seen = |prediction: &&Prediction<O>| {
            prediction.mask.as_ref().is_some_and(|mask| mask.share() >= LEAST_SHARE)
        };
        predictions.iter().take_while(is_seen).count().clamp(1, 5).min(predictions.len())
    }

    fn explains_several(&self) -> bool {
        true
    }

    fn has_places(&self) -> bool {
        true
    }

    fn method(&self) -> Option<&'static str> {
        Some("gradcam")
    }

    fn reads_coarsest(&self) -> bool {
        true
    }

    fn class(&self, name: &str) -> Result<usize, Error> {
        Ok(class_named(&self.labels, name)?)
    }

    /// Returns what is connected with a point in the region of its class.
    fn at(&self, [x, y]: [f32; 2], parts: &[&[f32]], _: &[Prediction<O>]) -> Option<Prediction<O>> {
        let [height, width] = self.grid;
        let cell = |at: f32, side: usize, cells: usize| {
            let cell = (at / side as f32 * cells as f32).floor();
            (cell >= 0.0 && cell < cells as f32).then_some(cell as usize)
        };
        let start = cell(y, self.input[0], height)? * width + cell(x, self.input[1], width)?;
        let scores = parts.first()?;
        let classes = self.classes_of(scores);
        let class = classes[start]?;
        let mut inside = vec![false; height * width];
        let mut left = vec![start];
        while let Some(cell) = left.pop() {
            if classes[cell] != Some(class) || std::mem::replace(&mut inside[cell], true) {
                continue;
            }
            let (column, row) = (cell % width, cell / width);
            left.extend((column > 0).then(|| cell - 1));
            left.extend((column + 1 < width).then_some(cell + 1));
            left.extend((row > 0).then(|| cell - width));
            left.extend((row + 1 < height).then_some(cell + width));
        }
        Some(self.region(class, inside, scores))
    }

    fn within(&self, mask: &Mask, class: Option<usize>, parts: &[&[f32]]) -> Result<Prediction<O>, Error> {
        let [height, width] = self.grid;
        // The pixel at the center of a cell.
        let center = |cell: usize, cells: usize, side: usize| (2 * cell + 1) * side / (2 * cells);
        let cells = (0..height * width).map(|cell| {
            let (row, column) =
                (center(cell / width, height, mask.height), center(cell % width, width, mask.width));
            mask.inside[row * mask.width + column]
        });
        let inside: Vec<bool> = cells.collect();
        let scores = parts.first().copied().unwrap_or_default();
        let mut counts = vec![0; self.labels.len()];
        let found = self.classes_of(scores);
        found
            .iter()
            .zip(&inside)
            .filter(|(_, inside)| **inside)
            .filter_map(|(class, _)| *class)
            .for_each(|class| counts[class] += 1);
        let most = (0..counts.len()).rev().max_by_key(|class| counts[*class]).unwrap_or_default();
        match inside.contains(&true) {
            true => Ok(self.region(class.unwrap_or(most), inside, scores)),
            false => Err(Error::EmptyMask { grid: self.grid }),
        }
    }

    fn aspect(&self, prediction: &Prediction<O>, aspect: &Aspect) -> Result<AnyTarget<O>, Error> {
        if aspect.part != Part::Score {
            return Err(Error::NotAsked {
                decoder: "segment",
                what: "an edge: its regions have none".into(),
            });
        }
        match (&aspect.against, &prediction.mask) {
            (Some(other), Some(mask)) => Ok(AnyTarget::new(OfRegion {
                class: prediction.class,
                against: Some(class_named(&self.labels, other)?),
                mask: Arc::clone(mask),
                shape: self.shape(),
            })),
            _ => Ok(prediction.target()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_where_a_class_is_highest_and_a_point_has_what_is_connected() {
        let decoder = Segment::new(["sky", "dog"], [40, 80], [2, 4]);
        let sky = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let dog = [0.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0];
        let scores = [sky, dog].concat();
        let found: Vec<Prediction<Tensor<2>>> = decoder.predictions(&[&scores]);
        let classes: Vec<(&str, [f32; 4])> =
            found.iter().map(|region| (region.label.as_str(), region.place.unwrap().bounds)).collect();
        assert_eq!(classes, [("sky", [0.0, 0.0, 60.0, 40.0]), ("dog", [20.0, 0.0, 80.0, 40.0])]);
        let at: Prediction<Tensor<2>> = decoder.at([70.0, 30.0], &[&scores], &[]).unwrap();
        assert_eq!((at.label.as_str(), at.place.unwrap().bounds), ("dog", [60.0, 0.0, 80.0, 40.0]));
        assert!(Decoder::<Tensor<2>>::at(&decoder, [90.0, 30.0], &[&scores], &[]).is_none());
    }
}
