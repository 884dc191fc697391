//! Decoders: what the output of a model means, as predictions that can be asked why.

use crate::{Aspect, Error};
use burn::Tensor;
use burn::tensor::TensorReadError;
use cam_core::{AnyOf, Binary, Class, Goal, LikelierSide, Ranked, Sigmoid, Softmax, Target, Warning};
use cam_image::{Logits, class_named, classes_matching};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A target of any kind, shared and not copied by its clones.
pub struct AnyTarget<O = Tensor<2>>(Arc<dyn Target<O> + Send + Sync>);

impl<O> AnyTarget<O> {
    /// Wraps a target.
    pub fn new(target: impl Target<O> + Send + Sync + 'static) -> Self {
        Self(Arc::new(target))
    }
}

impl<O> From<Box<dyn Target<O> + Send + Sync>> for AnyTarget<O> {
    fn from(target: Box<dyn Target<O> + Send + Sync>) -> Self {
        Self(target.into())
    }
}

impl<O> Target<O> for AnyTarget<O> {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        self.0.resolve(output)
    }
}

impl<O> Clone for AnyTarget<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Turns the output of a model into predictions.
///
/// The pipeline knows nothing else of an output: a classifier, a detector or a text prompt is a decoder of its own, and each prediction
/// carries the [target](Prediction::target) that asks why it was made. [`Classify`] is the decoder of class scores.
pub trait Decoder<O = Tensor<2>>: Send + Sync {
    /// Returns its name: `classify`.
    fn name(&self) -> &'static str;

    /// Returns the parts of an output that predictions are made of. They are read from the device together with the maps.
    ///
    /// # Shapes
    /// - output: tensors of `[batch, numbers]`
    ///
    /// # Errors
    /// Why the output is not one that it can decode.
    fn parts(&self, output: &O) -> Result<Vec<Tensor<2>>, Error>;

    /// Returns the predictions of one image, the most confident first.
    ///
    /// `parts` holds the numbers of that image in each of the [`parts`](Self::parts).
    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction<O>>;

    /// Returns what a reader of the maps of an image should know of its output. `parts` are those of [`predictions`](Self::predictions).
    fn warning(&self, _parts: &[&[f32]]) -> Option<Warning> {
        None
    }

    /// Returns the target that a user means by a name or a number.
    ///
    /// # Errors
    /// [`Error::Image`] with similar names when there is no such class.
    fn target(&self, name: &str) -> Result<AnyTarget<O>, Error>;

    /// Returns the target that asks for the prediction of this rank in each image; rank 0 is the most confident.
    fn ranked(&self, rank: usize) -> AnyTarget<O>;

    /// Returns the target that asks how confident the model is of what another target asks: a probability where there is one. By default it is
    /// that target.
    fn confidence(&self, target: AnyTarget<O>) -> AnyTarget<O> {
        target
    }

    /// Returns the name of a class.
    fn label(&self, class: usize) -> Cow<'_, str>;

    /// Returns how many classes there are, and so how many ranks; `None` if the output alone determines that.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// Returns how many of the predictions of an image are explained by default, the most confident first.
    fn explained(&self, _predictions: &[Prediction<O>]) -> usize {
        1
    }

    /// Returns whether [`explained`](Self::explained) depends on the predictions.
    fn explains_several(&self) -> bool {
        false
    }

    /// Makes sure that there is something to explain without a target, before the model runs.
    ///
    /// # Errors
    /// What the decoder lacks; by default nothing.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns whether predictions have places in the image. Then each image is asked for its own, and there may be none.
    fn has_places(&self) -> bool {
        false
    }

    /// Returns the name of the method that explains by default; `None` if it depends on the network: see
    /// [`default_method`](crate::default_method).
    fn method(&self) -> Option<&'static str> {
        None
    }

    /// Returns whether evidence against a prediction is shown by default, beside that for it.
    fn is_signed(&self) -> bool {
        false
    }

    /// Returns whether predictions with places are explained at the last layer with the coarsest grid, and not where their gradient spreads.
    fn reads_coarsest(&self) -> bool {
        false
    }

    /// Returns the prediction at a point, x and y in pixels of the input: by default the most confident whose box has it. `parts` are those of
    /// [`predictions`](Self::predictions).
    fn at(&self, point: [f32; 2], _parts: &[&[f32]], predictions: &[Prediction<O>]) -> Option<Prediction<O>> {
        predictions.iter().find(|prediction| prediction.is_at(point)).cloned()
    }

    /// Returns the number of the class of this name or number.
    ///
    /// # Errors
    /// [`Error::NotAsked`] by default.
    fn class(&self, name: &str) -> Result<usize, Error> {
        Err(Error::NotAsked { decoder: self.name(), what: format!("the class `{name}`") })
    }

    /// Returns the prediction of a class at a place that the model should have made: left, top, right, bottom, in pixels of the input.
    ///
    /// # Errors
    /// [`Error::NotAsked`] by default.
    fn expected(&self, _class: usize, _bounds: [f32; 4]) -> Result<Prediction<O>, Error> {
        Err(Error::NotAsked { decoder: self.name(), what: "what it should have found".into() })
    }

    /// Returns the prediction of a class in a region of the input, one value for each of its pixels; without a class of the one that most of
    /// the region has. `parts` are those of [`predictions`](Self::predictions).
    ///
    /// # Errors
    /// [`Error::NotAsked`] by default.
    fn within(&self, _mask: &Mask, _class: Option<usize>, _parts: &[&[f32]]) -> Result<Prediction<O>, Error> {
        Err(Error::NotAsked { decoder: self.name(), what: "a region: it has none".into() })
    }

    /// Returns the target that asks for this aspect of a prediction.
    ///
    /// # Errors
    /// [`Error::NotAsked`] by default, for all but the score itself.
    fn aspect(&self, prediction: &Prediction<O>, aspect: &Aspect) -> Result<AnyTarget<O>, Error> {
        match aspect.is_plain() {
            true => Ok(prediction.target()),
            false => Err(Error::NotAsked { decoder: self.name(), what: "parts of its predictions".into() }),
        }
    }
}

/// Where a prediction is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Left, top, right, bottom: in pixels of the input, in the results of an explainer in pixels of the image.
    pub bounds: [f32; 4],
    /// Which row of the output it is, if it is one.
    pub row: Option<usize>,
}

/// A region: which cells of a grid, or pixels of an image, belong to it. It serializes as COCO's run lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mask {
    /// Its width.
    pub width: usize,
    /// Its height.
    pub height: usize,
    /// Row by row.
    pub inside: Vec<bool>,
}

impl Mask {
    /// Creates a region; `None` if there is not one value for each cell.
    pub fn new(width: usize, height: usize, inside: Vec<bool>) -> Option<Self> {
        (inside.len() == width * height).then_some(Self { width, height, inside })
    }

    /// Returns which share of all is inside.
    pub fn share(&self) -> f32 {
        let inside = self.inside.iter().filter(|inside| **inside).count();
        inside as f32 / self.inside.len().max(1) as f32
    }

    /// Returns the lengths of runs outside and inside, column by column, the first outside: uncompressed run lengths as in COCO's files.
    ///
    /// ```
    /// use burn_cam::Mask;
    ///
    /// let mask = Mask::new(2, 2, vec![true, false, true, true]).unwrap();
    /// assert_eq!(mask.counts(), [0, 2, 1, 1]);
    /// ```
    pub fn counts(&self) -> Vec<usize> {
        let columns = (0..self.width).flat_map(|x| (0..self.height).map(move |y| (x, y)));
        let (mut counts, mut last) = (vec![0], false);
        for (x, y) in columns {
            let inside = self.inside[y * self.width + x];
            if inside != last {
                counts.push(0);
                last = inside;
            }
            *counts.last_mut().expect("one at least") += 1;
        }
        counts
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Runs {
            size: [usize; 2],
            counts: Vec<usize>,
        }
        Runs { size: [self.height, self.width], counts: self.counts() }.serialize(serializer)
    }
}

impl Place {
    /// Returns left, top, width and height.
    pub fn area(&self) -> [f32; 4] {
        let [left, top, right, bottom] = self.bounds;
        [left, top, right - left, bottom - top]
    }
}

/// What a model found in an image: a class, and in decoders of other outputs what else it is of.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// use burn_cam::ImageExplainer;
///
/// # let model = Classifier::builtin(&Device::flex())?;
/// # let image = cam_scenes::Scene::draw(7, 200)?.image;
/// let found = ImageExplainer::new(&model).explain(&image)?;
/// let second = &found.predictions[1];
/// let why = ImageExplainer::new(&model).target(second.target()).explain(&image)?;
/// assert_eq!(why.maps[0].label, second.label);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub struct Prediction<O = Tensor<2>> {
    /// The number of the class.
    pub class: usize,
    /// The name of the class.
    pub label: String,
    /// The output of the model for it: of a classifier the logit.
    pub score: f32,
    /// How confident the model is, 0 to 1.
    pub probability: f32,
    /// Where it is; `None` if it is of the whole image.
    pub place: Option<Place>,
    /// The region that it is of: on the grid of the output, in the results of an explainer one value for each pixel of the image. `None` if it
    /// has none.
    pub mask: Option<Arc<Mask>>,
    /// What the score is in, of a number that is no score of a class; then there is no probability.
    pub unit: Option<Arc<str>>,
    target: AnyTarget<O>,
}

impl<O> Prediction<O> {
    /// Creates a prediction that `target` explains.
    pub fn new(
        class: usize,
        label: impl Into<String>,
        score: f32,
        probability: f32,
        target: impl Target<O> + Send + Sync + 'static,
    ) -> Self {
        Self {
            class,
            label: label.into(),
            score,
            probability,
            place: None,
            mask: None,
            unit: None,
            target: AnyTarget::new(target),
        }
    }

    /// Sets where it is.
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Sets what its score is in: it is a number, and not the score of a class.
    pub fn in_unit(self, unit: impl Into<Arc<str>>) -> Self {
        Self { unit: Some(unit.into()), ..self }
    }

    /// Sets the region that it is of.
    pub fn within(self, mask: Arc<Mask>) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// Sets what is asked of it.
    pub fn with_target(self, target: AnyTarget<O>) -> Self {
        Self { target, ..self }
    }

    /// Returns whether a point is in its box.
    pub fn is_at(&self, [x, y]: [f32; 2]) -> bool {
        self.place.is_some_and(|Place { bounds: [left, top, right, bottom], .. }| {
            (left..=right).contains(&x) && (top..=bottom).contains(&y)
        })
    }

    /// Returns the target that asks why the model predicts this.
    pub fn target(&self) -> AnyTarget<O> {
        self.target.clone()
    }
}

impl<O> Clone for Prediction<O> {
    fn clone(&self) -> Self {
        Self {
            label: self.label.clone(),
            mask: self.mask.clone(),
            unit: self.unit.clone(),
            target: self.target(),
            ..*self
        }
    }
}

impl<O> fmt::Debug for Prediction<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, label, score, probability, .. } = self;
        let mut parts = f.debug_struct("Prediction");
        parts.field("class", class).field("label", label).field("score", score);
        parts.field("probability", probability).field("place", &self.place).finish_non_exhaustive()
    }
}

impl<O> Serialize for Prediction<O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Numbers<'a> {
            class: usize,
            label: &'a str,
            score: f32,
            #[serde(skip_serializing_if = "Option::is_none")]
            probability: Option<f32>,
            #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
            bounds: Option<[f32; 4]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            mask: Option<&'a Mask>,
            #[serde(skip_serializing_if = "Option::is_none")]
            unit: Option<&'a str>,
        }
        let Self { class, label, score, probability, place, .. } = self;
        let bounds = place.map(|place| place.area());
        let (class, score, unit) = (*class, *score, self.unit.as_deref());
        let probability = unit.is_none().then_some(*probability);
        Numbers { class, label, score, probability, bounds, mask: self.mask.as_deref(), unit }
            .serialize(serializer)
    }
}

/// The decoder of a classifier: one score for each class.
///
/// One score alone stands for a class and for its opposite, which is class 1 and is called `not NAME`. Its probability is a sigmoid,
/// never a softmax. Of classes that do not exclude each other ([`Logits::Sigmoid`]), all with a probability of at least a half are
/// explained by default.
///
/// ```
/// use burn_cam::{Classify, Decoder};
///
/// let decoder = Classify::new(["cat", "dog"]);
/// let predictions = decoder.predictions(&[&[0.0, 2.0]]);
/// assert_eq!(predictions[0].label, "dog");
/// assert!((predictions[0].probability - 0.88).abs() < 0.01);
///
/// let decoder = Classify::new(["tumor"]);
/// let predictions = decoder.predictions(&[&[-2.0]]);
/// assert_eq!(predictions[0].label, "not tumor");
/// assert!((predictions[0].probability - 0.88).abs() < 0.01);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Classify {
    labels: Arc<[String]>,
    logits: Logits,
}

impl Classify {
    /// Creates a decoder of classes with these names, whose scores are the logits of a softmax. A class without a name is called by its
    /// number.
    pub fn new(labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), logits: Logits::default() }
    }

    /// Sets what the scores are the logits of.
    pub fn logits(self, logits: Logits) -> Self {
        Self { logits, ..self }
    }

    /// Sets the names of the classes.
    pub fn labels(self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), ..self }
    }
}

/// Returns the name of a class; its number if it has none.
pub(crate) fn name_of(labels: &[String], class: usize) -> Cow<'_, str> {
    labels.get(class).map_or_else(|| class.to_string().into(), |name| name.as_str().into())
}

/// By how much probabilities in half precision may differ from what they should be.
const ROUNDING: f32 = 1e-3;

/// Returns whether all scores can be probabilities, but for rounding.
fn are_shares(scores: &[f32]) -> bool {
    scores.iter().all(|score| (-ROUNDING..=1.0 + ROUNDING).contains(score))
}

/// From which probability on an image is of a class.
const LIKELY: f32 = 0.5;

impl Classify {
    /// Returns the predictions of a model of one output: the class and its opposite, the likelier one first.
    fn sides(&self, score: f32) -> Vec<Prediction> {
        let probability = self.logits.probabilities(&[score])[0];
        let class = Prediction::new(0, self.label(0), score, probability, Binary(true));
        let opposite = Prediction::new(1, self.opposite(), -score, 1.0 - probability, Binary(false));
        if score >= self.threshold() { vec![class, opposite] } else { vec![opposite, class] }
    }

    /// Returns the predictions of a model of several outputs, the most confident first.
    fn classes_of(&self, scores: &[f32]) -> Vec<Prediction> {
        let probabilities = self.logits.probabilities(scores);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let prediction = |class: usize| {
            Prediction::new(class, self.label(class), scores[class], probabilities[class], Class(class))
        };
        order.into_iter().map(prediction).collect()
    }

    /// Returns from which output on an image is of the class of a model of one output.
    fn threshold(&self) -> f32 {
        if self.logits == Logits::None { LIKELY } else { 0.0 }
    }

    /// Returns the name of what is not the only class.
    fn opposite(&self) -> String {
        format!("not {}", self.name_of(0))
    }

    fn name_of(&self, class: usize) -> Cow<'_, str> {
        name_of(&self.labels, class)
    }

    /// Returns whether the labels are those of a model of one output.
    fn is_one(&self) -> bool {
        self.labels.len() == 1
    }
}

/// The prediction of a rank: of the classes, or of the two sides of one output.
struct RankedOrSide {
    rank: usize,
    threshold: f32,
}

impl Target for RankedOrSide {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, cam_core::Error> {
        let Self { rank, threshold } = *self;
        match output.dims()[1] {
            1 => LikelierSide { threshold, rank }.resolve(output),
            _ => Ranked(rank).resolve(output),
        }
    }
}

impl Decoder for Classify {
    fn name(&self) -> &'static str {
        "classify"
    }

    /// # Errors
    /// [`Error::LabelCount`] when there are more or fewer names than classes.
    fn parts(&self, output: &Tensor<2>) -> Result<Vec<Tensor<2>>, Error> {
        let ([_, classes], names) = (output.dims(), self.labels.len());
        match names == 0 || names == classes {
            true => Ok(vec![output.clone().inner()]),
            false => Err(Error::LabelCount { names, classes }),
        }
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction> {
        let scores = parts.first().copied().unwrap_or_default();
        let found = match scores {
            [score] => self.sides(*score),
            _ => self.classes_of(scores),
        };
        match self.logits == Logits::None && !are_shares(scores) {
            true => found.into_iter().map(|prediction| prediction.in_unit("")).collect(),
            false => found,
        }
    }

    fn warning(&self, parts: &[&[f32]]) -> Option<Warning> {
        let scores = parts.first().copied().unwrap_or_default();
        let sum: f32 = scores.iter().sum();
        match self.logits {
            Logits::Softmax if scores.len() > 1 && are_shares(scores) && (sum - 1.0).abs() < ROUNDING => {
                Some(Warning::Probabilities)
            }
            Logits::None if !are_shares(scores) => Some(Warning::NoProbabilities),
            _ => None,
        }
    }

    fn target(&self, name: &str) -> Result<AnyTarget, Error> {
        if self.is_one() {
            let class = class_named(&[self.name_of(0).into(), self.opposite()], name)?;
            return Ok(AnyTarget::new(Binary(class == 0)));
        }
        let class = class_named(&self.labels, name);
        let matching = match class.is_err() && name.contains(['*', '?']) {
            true => classes_matching(&self.labels, name),
            false => Vec::new(),
        };
        match matching[..] {
            [] => Ok(AnyTarget::new(Class(class?))),
            [only] => Ok(AnyTarget::new(Class(only))),
            ref several => {
                let any = AnyOf::new(several.iter().copied(), format!("{name} ({} classes)", several.len()));
                Ok(AnyTarget::new(if self.logits == Logits::Sigmoid { any.independent() } else { any }))
            }
        }
    }

    fn ranked(&self, rank: usize) -> AnyTarget {
        AnyTarget::new(RankedOrSide { rank, threshold: self.threshold() })
    }

    fn confidence(&self, target: AnyTarget) -> AnyTarget {
        match self.logits {
            Logits::Softmax => AnyTarget::new(Softmax(target)),
            Logits::Sigmoid => AnyTarget::new(Sigmoid(target)),
            Logits::None => target,
        }
    }

    fn label(&self, class: usize) -> Cow<'_, str> {
        if self.is_one() && class == 1 { self.opposite().into() } else { self.name_of(class) }
    }

    fn classes(&self) -> Option<usize> {
        match self.labels.len() {
            0 => None,
            1 => Some(2),
            count => Some(count),
        }
    }

    fn explained(&self, predictions: &[Prediction]) -> usize {
        let likely = || predictions.iter().take_while(|prediction| prediction.probability >= LIKELY).count();
        if self.explains_several() { likely().max(1) } else { 1 }
    }

    fn explains_several(&self) -> bool {
        self.logits == Logits::Sigmoid && !self.is_one()
    }
}

/// The parts of an output, read from the device.
pub(crate) struct OutputParts {
    /// Row-major, one row for each image.
    numbers: Vec<Vec<f32>>,
    /// The numbers of a row.
    lengths: Vec<usize>,
}

impl OutputParts {
    /// Reads parts from the device.
    pub async fn read(parts: Vec<Tensor<2>>) -> Result<Self, cam_core::Error> {
        let mut numbers = Vec::new();
        let shapes = parts.iter().map(Tensor::dims).collect();
        for part in parts {
            let read = part.into_data_async().await?;
            numbers.push(read.try_into_vec_as().map_err(TensorReadError::from)?);
        }
        Ok(Self::new(shapes, numbers))
    }

    /// Puts together what was read of tensors of these shapes.
    pub fn new(shapes: Vec<[usize; 2]>, numbers: Vec<Vec<f32>>) -> Self {
        Self { numbers, lengths: shapes.into_iter().map(|[_, length]| length).collect() }
    }

    /// Returns whether all numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.numbers.iter().flatten().all(|number| number.is_finite())
    }

    /// Returns the numbers of the image at a place of the batch.
    pub fn of(&self, place: usize) -> Vec<&[f32]> {
        let parts = self.numbers.iter().zip(&self.lengths);
        parts.map(|(numbers, length)| &numbers[place * length..(place + 1) * length]).collect()
    }

    /// Returns the predictions of the image at a place of the batch.
    pub fn predictions<O>(&self, decoder: &dyn Decoder<O>, place: usize) -> Vec<Prediction<O>> {
        decoder.predictions(&self.of(place))
    }
}
