//! A target that is resolved for the images of one batch.

use super::target::Target;
use crate::{Error, Rows, Warning};
use burn::Tensor;
use burn::tensor::Int;
use std::rc::Rc;

/// A target that is resolved for the images of one batch. It is also a target, which resolves to itself: with it, further
/// views of the same images are asked for the same score.
pub struct Goal<O = Tensor<2>> {
    pub(super) classes: Option<Tensor<1, Int>>,
    pub(super) is_probability: bool,
    pub(super) score: Score<O>,
    /// What a reader of its maps should know.
    pub(crate) warning: Option<Warning>,
    /// What its maps are called, if it is no class.
    pub(crate) name: Option<Rc<str>>,
}

/// Gives one score per row of an output.
type Score<O> = Rc<dyn Fn(&O, Rows) -> Tensor<1>>;

impl<O> Goal<O> {
    /// Makes a goal of a function that gives one score per row, `[rows]`; the rows tell which images they stand for.
    pub fn new(score: impl Fn(&O, Rows) -> Tensor<1> + 'static) -> Self {
        Self { classes: None, is_probability: false, score: Rc::new(score), warning: None, name: None }
    }

    /// Sets what its maps are called, if it is no class.
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Returns the class of each image, if the goal is a class: `[batch]`.
    pub fn classes(&self) -> Option<&Tensor<1, Int>> {
        self.classes.as_ref()
    }

    /// Whether the score is a probability.
    pub fn is_probability(&self) -> bool {
        self.is_probability
    }

    /// Returns the scores of an output, `[rows]`.
    pub fn score(&self, output: &O, rows: Rows) -> Tensor<1> {
        (self.score)(output, rows)
    }

    /// Returns a goal whose scores are those of this one changed by a function of the output and the scores, `[rows]` each; it is of the
    /// same classes.
    pub fn map(self, change: impl Fn(&O, Tensor<1>) -> Tensor<1> + 'static) -> Self
    where
        O: 'static,
    {
        let Self { classes, score, warning, name, .. } = self;
        let score: Score<O> = Rc::new(move |output, rows| change(output, score(output, rows)));
        Self { classes, is_probability: false, score, warning, name }
    }

    /// Returns the scores of an output, after checking that there is one per row.
    pub(crate) fn score_each(&self, output: &O, rows: Rows, batch: usize) -> Result<Tensor<1>, Error> {
        let score = self.score(output, rows);
        let ([found], expected) = (score.dims(), rows.count(batch));
        if found == expected { Ok(score) } else { Err(Error::ScoreCount { found, expected }) }
    }
}

impl<O: 'static> Goal<O> {
    /// Returns the goal of one image for `copies` rows that all show that image.
    pub(crate) fn of_image(&self, image: usize, copies: usize) -> Self {
        let (goal, all) = (self.clone(), Rows::Copies { image, copies });
        let rows_of = move |rows: Rows| match rows {
            Rows::All => all,
            Rows::Copies { copies, .. } => Rows::Copies { image, copies },
        };
        Self {
            classes: self.classes.clone().map(|classes| all.of(classes)),
            is_probability: self.is_probability,
            warning: self.warning,
            name: self.name.clone(),
            score: Rc::new(move |output, rows| goal.score(output, rows_of(rows))),
        }
    }
}

impl Goal<Tensor<2>> {
    /// Makes the goal of the logit of one class per image.
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
        let Self { classes, is_probability, score, warning, name } = self;
        let (classes, score, name) = (classes.clone(), Rc::clone(score), name.clone());
        Self { classes, is_probability: *is_probability, score, warning: *warning, name }
    }
}

impl<O> Target<O> for Goal<O> {
    fn resolve(&self, _: &O) -> Result<Goal<O>, Error> {
        Ok(self.clone())
    }
}
