//! Targets: which score of the output a map explains.

mod detector;
mod finer;
mod region;
mod similarity;

use crate::{Error, Rows, send};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::{log_softmax, softmax};
pub use detector::{BestBox, Detections};
pub use finer::{Finer, Rivals};
pub use region::Region;
pub use similarity::Similarity;
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

    /// The scores of an output, one a row.
    pub(crate) fn score_each(&self, output: &O, rows: Rows, batch: usize) -> Result<Tensor<1>, Error> {
        let score = self.score(output, rows);
        let [found] = score.dims();
        let expected = match rows {
            Rows::All => batch,
            Rows::Copies { copies, .. } => copies,
        };
        if found == expected { Ok(score) } else { Err(Error::ScoreCount { found, expected }) }
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
