//! Targets: which score of the output a map explains.

use crate::{Error, Rows, send};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::{log_softmax, softmax};
use std::rc::Rc;

/// What is asked of an output of type `O`: one score an image, whose origin the map shows.
///
/// It is resolved once on the plain output of the batch, so that every further pass (gradients, ablations, masks, views)
/// asks for the same thing. A closure `|output: &O| -> Tensor<1>` that gives one score a row is a target too:
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Rows, Target};
///
/// // How much likelier the first class is than the second.
/// let margin = |logits: &Tensor<2>| -> Tensor<1> {
///     let of = |class| logits.clone().narrow(1, class, 1).squeeze_dim(1);
///     of(0) - of(1)
/// };
/// let logits = Tensor::<2>::from_floats([[3.0, 1.0, 0.0]], &Device::flex());
/// let score = margin.resolve(&logits)?.score(&logits, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [2.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub trait Target<O = Tensor<2>> {
    /// Looks at the output of the batch and fixes what is asked of each image.
    fn resolve(&self, output: &O) -> Result<Goal<O>, Error>;
}

/// A target that is resolved for the images of one batch. It is a target itself, which stays what it is: with it further
/// views of the same images are asked for the same thing.
pub struct Goal<O = Tensor<2>> {
    classes: Option<Tensor<1, Int>>,
    probability: bool,
    score: Score<O>,
}

/// One score a row of an output.
type Score<O> = Rc<dyn Fn(&O, Rows) -> Tensor<1>>;

impl<O> Goal<O> {
    /// A goal from a function that gives one score a row, `[rows]`; the rows say which images they stand for.
    pub fn new(score: impl Fn(&O, Rows) -> Tensor<1> + 'static) -> Self {
        Self { classes: None, probability: false, score: Rc::new(score) }
    }

    /// The class of each image, where the goal is a class: `[batch]`.
    pub fn classes(&self) -> Option<&Tensor<1, Int>> {
        self.classes.as_ref()
    }

    /// Whether the score is a probability.
    pub fn is_probability(&self) -> bool {
        self.probability
    }

    /// The scores of an output, `[rows]`.
    pub fn score(&self, output: &O, rows: Rows) -> Tensor<1> {
        (self.score)(output, rows)
    }
}

impl<O: 'static> Goal<O> {
    /// What is asked of one image, asked of each of `copies` rows.
    pub(crate) fn of_image(&self, image: usize, copies: usize) -> Self {
        let (goal, all) = (self.clone(), Rows::Copies { image, copies });
        let rows_of = move |rows: Rows| match rows {
            Rows::All => all,
            Rows::Copies { copies, .. } => Rows::Copies { image, copies },
        };
        Self {
            classes: self.classes.clone().map(|classes| all.of(classes)),
            probability: self.probability,
            score: Rc::new(move |output, rows| goal.score(output, rows_of(rows))),
        }
    }
}

impl Goal<Tensor<2>> {
    /// The logit of one class an image.
    ///
    /// # Shapes
    /// - classes: `[batch]`
    pub fn of_classes(classes: Tensor<1, Int>) -> Self {
        let asked = classes.clone();
        let score = move |output: &Tensor<2>, rows: Rows| {
            let classes = rows.of(asked.clone());
            let count = classes.dims()[0];
            output.clone().gather(1, classes.reshape([count, 1])).reshape([count])
        };
        Self { classes: Some(classes), ..Self::new(score) }
    }
}

impl<O> Clone for Goal<O> {
    fn clone(&self) -> Self {
        Self { classes: self.classes.clone(), probability: self.probability, score: Rc::clone(&self.score) }
    }
}

impl<O> Target<O> for Goal<O> {
    fn resolve(&self, _: &O) -> Result<Goal<O>, Error> {
        Ok(self.clone())
    }
}

impl<O, F> Target<O> for F
where
    F: Fn(&O) -> Tensor<1> + Clone + 'static,
{
    fn resolve(&self, _: &O) -> Result<Goal<O>, Error> {
        let score = self.clone();
        Ok(Goal::new(move |output, _| score(output)))
    }
}

/// The class with the highest logit, of each image on its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Top;

impl Target for Top {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        Ranked(0).resolve(output)
    }
}

/// The class at a place of the ranking of each image: 0 is the highest logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranked(pub usize);

impl Target for Ranked {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let [batch, classes] = output.dims();
        if self.0 >= classes {
            return Err(Error::UnknownClass { asked: self.0, classes });
        }
        let logits = output.clone().inner();
        let ranking = match self.0 {
            0 => logits.argmax(1),
            _ => logits.argsort_descending(1),
        };
        Ok(Goal::of_classes(ranking.narrow(1, self.0, 1).reshape([batch])))
    }
}

/// One class, the same for all images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub usize);

impl Target for Class {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        Classes(vec![self.0; output.dims()[0]]).resolve(output)
    }
}

/// A class for each image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(pub Vec<usize>);

impl Target for Classes {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let [batch, classes] = output.dims();
        if self.0.len() != batch {
            return Err(Error::TargetCount { targets: self.0.len(), images: batch });
        }
        if let Some(&asked) = self.0.iter().find(|&&class| class >= classes) {
            return Err(Error::UnknownClass { asked, classes });
        }
        Ok(Goal::of_classes(send::places(&self.0, &output.device().without_autodiff())))
    }
}

/// The probability of what another target asks for: its score on the softmax of the output.
///
/// Next to 1 the gradient of a softmax vanishes; [`LogOdds`] does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Softmax<T>(pub T);

impl<T: Target> Target for Softmax<T> {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.0.resolve(output)?;
        let classes = goal.classes.clone();
        let score = move |output: &Tensor<2>, rows: Rows| goal.score(&softmax(output.clone(), 1), rows);
        Ok(Goal { classes, probability: true, ..Goal::new(score) })
    }
}

/// The logit of what another target asks for plus its log-probability, $y_c + \log \mathrm{softmax}(y)_c$: it grows with
/// the class and falls with its rivals, and does not saturate.
///
/// Cai, *CAMs as Shapley Value-based Explainers*, 2025, the score ReST (residual softmax), equation 15.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOdds<T>(pub T);

impl<T: Target> Target for LogOdds<T> {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.0.resolve(output)?;
        let classes = goal.classes.clone();
        let score = move |output: &Tensor<2>, rows: Rows| {
            goal.score(output, rows) + goal.score(&log_softmax(output.clone(), 1), rows)
        };
        Ok(Goal { classes, ..Goal::new(score) })
    }
}

/// One column of the output as it is: a regression's value, or the one logit of a binary classifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Value(pub usize);

impl Target for Value {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = Class(self.0).resolve(output)?;
        Ok(Goal { classes: None, ..goal })
    }
}

/// A side of a binary classifier with one logit, `[batch, 1]`: the logit for `true`, its negative for `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary(pub bool);

impl Target for Binary {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = Value(0).resolve(output)?;
        let sign = if self.0 { 1.0 } else { -1.0 };
        Ok(Goal::new(move |output, rows| goal.score(output, rows) * sign))
    }
}

/// What sets a class apart from those that are like it: Finer-CAM.
///
/// $$ y = \sum_d p_d \, (y_c - \alpha\, y_d) $$
///
/// over the classes $d$ whose logits are nearest to that of $c$ in the plain output. The comparison is fixed there, so that
/// every further pass asks for the same one.
///
/// Zhang et al., *Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation*, CVPR 2025, equation 5.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Finer, Rows, Target};
///
/// let logits = Tensor::<2>::from_floats([[3.0, 2.0, -9.0]], &Device::flex());
/// let against_the_nearest = Finer { with: 1, alpha: 1.0, ..Finer::paper(Class(0)) };
/// let score = against_the_nearest.resolve(&logits)?.score(&logits, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [1.0]); // 3 - 2
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finer<T = Top> {
    /// Which class is explained.
    pub of: T,
    /// How many classes it is compared with; with none the class is alone.
    pub with: usize,
    /// $\alpha$: how much of the others is taken away; 0 leaves the class alone.
    pub alpha: f32,
    /// $p_d$
    pub weights: Rivals,
}

/// How Finer-CAM weighs the classes that it compares with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rivals {
    /// All the same, $p_d = 1 / n$, as in the paper.
    #[default]
    Even,
    /// By their probabilities among all classes, brought to the sum 1, as pytorch-grad-cam.
    Probable,
}

impl<T> Finer<T> {
    /// The settings of the paper: three classes, evenly, $\alpha = 0.6$.
    pub fn paper(of: T) -> Self {
        Self { of, with: 3, alpha: 0.6, weights: Rivals::Even }
    }
}

impl<T: Target> Target for Finer<T> {
    /// # Errors
    /// [`Error::NotAClass`] when the target inside asks for no class, [`Error::UnknownClass`] when there are fewer classes
    /// than it is compared with.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.of.resolve(output)?;
        let chosen = goal.classes.clone().ok_or(Error::NotAClass)?;
        let [batch, classes] = output.dims();
        if self.with == 0 {
            return Ok(goal);
        }
        if self.with >= classes {
            return Err(Error::UnknownClass { asked: self.with, classes });
        }
        let plain = output.clone().inner();
        let logit = plain.clone().gather(1, chosen.clone().reshape([batch, 1]));
        // The class itself is the nearest to itself: it is left out by its number, as another may have the same logit.
        let itself = Tensor::<1, Int>::arange(0..classes as i64, &plain.device()).unsqueeze::<2>();
        let itself = itself
            .expand([batch, classes])
            .equal(chosen.clone().reshape([batch, 1]).expand([batch, classes]));
        let distance = (plain - logit).abs().mask_fill(itself, f32::INFINITY);
        let rivals = distance.argsort(1).narrow(1, 0, self.with);
        let Self { with, alpha, weights, .. } = *self;
        let score = move |output: &Tensor<2>, rows: Rows| {
            let rivals = rows.of(rivals.clone());
            let of = |values: Tensor<2>| values.gather(1, rivals.clone());
            let class: Tensor<2> = goal.score(output, rows).unsqueeze_dim(1);
            let apart = class - of(output.clone()) * alpha;
            match weights {
                Rivals::Even => (apart.sum_dim(1) / with as f32).squeeze_dim(1),
                Rivals::Probable => {
                    let shares = of(softmax(output.clone(), 1));
                    let sum = shares.clone().sum_dim(1).clamp_min(f32::MIN_POSITIVE);
                    ((apart * shares).sum_dim(1) / sum).squeeze_dim(1)
                }
            }
        };
        Ok(Goal { classes: Some(chosen), ..Goal::new(score) })
    }
}

/// A class in a part of a segmentation `[batch, classes, height, width]`: its logits summed over a mask.
///
/// # Shapes
/// - mask: `[1, height, width]` for all images, or `[batch, height, width]` with one each; 1 inside, 0 outside
///
/// Vinogradova et al., *Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping*, AAAI 2020.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Region, Rows, Target};
///
/// # let device = Device::flex();
/// let logits = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]]]], &device);
/// let right = Region { class: 0, mask: Tensor::from_floats([[[0.0, 1.0], [0.0, 1.0]]], &device) };
/// let score = right.resolve(&logits)?.score(&logits, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [6.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Region {
    /// The class.
    pub class: usize,
    /// Which pixels are asked for, `[1 or batch, height, width]`.
    pub mask: Tensor<3>,
}

impl Target<Tensor<4>> for Region {
    fn resolve(&self, output: &Tensor<4>) -> Result<Goal<Tensor<4>>, Error> {
        let [batch, classes, height, width] = output.dims();
        let [masks, rows, columns] = self.mask.dims();
        if self.class >= classes {
            return Err(Error::UnknownClass { asked: self.class, classes });
        }
        if masks != 1 && masks != batch {
            return Err(Error::TargetCount { targets: masks, images: batch });
        }
        if [rows, columns] != [height, width] {
            return Err(Error::MaskSize { found: [rows, columns], expected: [height, width] });
        }
        let (class, mask) = (self.class, self.mask.clone().expand([batch, height, width]));
        Ok(Goal::new(move |output: &Tensor<4>, rows: Rows| {
            let logits: Tensor<3> = output.clone().narrow(1, class, 1).squeeze_dim(1);
            let masked = logits * rows.of(mask.clone());
            let count = masked.dims()[0];
            masked.sum_dims(&[1, 2]).reshape([count])
        }))
    }
}

/// The cosine between an embedding `[batch, features]` and a concept, for networks that end in features.
///
/// # Shapes
/// - concept: `[features]`, the embedding of what is looked for
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Rows, Similarity, Target};
///
/// # let device = Device::flex();
/// let embedding = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
/// let like_it = Similarity(Tensor::from_floats([0.0, 2.0], &device)); // the embedding of another picture, or of a text
/// let score = like_it.resolve(&embedding)?.score(&embedding, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [0.8]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Similarity(pub Tensor<1>);

impl Target for Similarity {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let ([_, features], [found]) = (output.dims(), self.0.dims());
        if found != features {
            return Err(Error::ConceptSize { found, expected: features });
        }
        let length = self.0.clone().square().sum().sqrt().clamp_min(f32::MIN_POSITIVE);
        let concept: Tensor<2> = (self.0.clone() / length).unsqueeze();
        Ok(Goal::new(move |output: &Tensor<2>, _| {
            let length = output.clone().square().sum_dim(1).sqrt().clamp_min(f32::MIN_POSITIVE);
            ((output.clone() * concept.clone()).sum_dim(1) / length).squeeze_dim(1)
        }))
    }
}

/// What a detector gives: boxes and the scores of their classes.
#[derive(Debug, Clone)]
pub struct Detections {
    /// `[batch, boxes, 4]`: left, top, right, bottom, in any unit.
    pub boxes: Tensor<3>,
    /// `[batch, boxes, classes]`
    pub scores: Tensor<3>,
}

/// A box of a class that a detector should find, the same in all images: the score of the class in a detection, weighted by how much it
/// overlaps the box, of the detection where that is most.
///
/// $$ y = \max_d \mathrm{IoU}(b, b_d)\, s_{d c} $$
///
/// The detection is looked for anew in each pass, as its place in the list may change. Where nothing is detected the score is 0.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{BestBox, Detections, Rows, Target};
///
/// # let device = Device::flex();
/// let found = Detections {
///     boxes: Tensor::from_floats([[[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 4.0, 4.0]]], &device),
///     scores: Tensor::from_floats([[[0.9], [0.5]]], &device),
/// };
/// let wanted = BestBox { bounds: [0.0, 0.0, 4.0, 4.0], class: 0 };
/// let score = wanted.resolve(&found)?.score(&found, Rows::All);
/// // The first is surer, but overlaps the box by a quarter: 0.225.
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [0.5]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestBox {
    /// Left, top, right, bottom, in the unit of the detector.
    pub bounds: [f32; 4],
    /// The class.
    pub class: usize,
}

impl Target<Detections> for BestBox {
    fn resolve(&self, output: &Detections) -> Result<Goal<Detections>, Error> {
        let [_, _, classes] = output.scores.dims();
        if self.class >= classes {
            return Err(Error::UnknownClass { asked: self.class, classes });
        }
        let Self { bounds, class } = *self;
        Ok(Goal::new(move |output: &Detections, _| {
            let scores: Tensor<2> = output.scores.clone().narrow(2, class, 1).squeeze_dim(2);
            if let [rows, 0] = scores.dims() {
                return Tensor::zeros([rows], &scores.device());
            }
            let weighted = overlap(output.boxes.clone(), bounds) * scores;
            weighted.max_dim(1).squeeze_dim(1)
        }))
    }
}

/// Intersection over union of each box with one, `[batch, boxes]`.
fn overlap(boxes: Tensor<3>, [left, top, right, bottom]: [f32; 4]) -> Tensor<2> {
    let side = |place: usize| -> Tensor<2> { boxes.clone().narrow(2, place, 1).squeeze_dim(2) };
    let width = (side(2).clamp_max(right) - side(0).clamp_min(left)).clamp_min(0.0);
    let height = (side(3).clamp_max(bottom) - side(1).clamp_min(top)).clamp_min(0.0);
    let shared = width * height;
    let area = (side(2) - side(0)) * (side(3) - side(1));
    let united = area + (right - left) * (bottom - top) - shared.clone();
    shared / united.clamp_min(f32::MIN_POSITIVE)
}
