//! Targets: which score of the output a map explains.

use crate::{Error, Rows};
use burn::Tensor;
use burn::tensor::Int;

/// What is asked of an output of type `O`: one score an image, whose origin the map shows.
///
/// It is resolved once on the plain output of the batch, so that every further pass (gradients, ablations, masks, views)
/// asks for the same thing. A closure `|output: &O| -> Tensor<1>` that gives one score a row is a target too.
pub trait Target<O = Tensor<2>> {
    /// Looks at the output of the batch and fixes what is asked of each image.
    fn resolve(&self, output: &O) -> Result<Goal<O>, Error>;
}

/// A target that is resolved for the images of one batch.
pub struct Goal<O = Tensor<2>> {
    classes: Option<Tensor<1, Int>>,
    score: Score<O>,
}

/// One score a row of an output.
type Score<O> = Box<dyn Fn(&O, Rows) -> Tensor<1>>;

impl<O> Goal<O> {
    /// A goal from a function that gives one score a row, `[rows]`; the rows say which images they stand for.
    pub fn new(score: impl Fn(&O, Rows) -> Tensor<1> + 'static) -> Self {
        Self { classes: None, score: Box::new(score) }
    }

    /// The class of each image, where the goal is a class: `[batch]`.
    pub fn classes(&self) -> Option<&Tensor<1, Int>> {
        self.classes.as_ref()
    }

    /// The scores of an output, `[rows]`.
    pub fn score(&self, output: &O, rows: Rows) -> Tensor<1> {
        (self.score)(output, rows)
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
            let classes = rows.of_classes(asked.clone());
            let count = classes.dims()[0];
            output.clone().gather(1, classes.reshape([count, 1])).reshape([count])
        };
        Self { classes: Some(classes), score: Box::new(score) }
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
        let numbers: Vec<i64> = self.0.iter().map(|&class| class as i64).collect();
        let device = output.device().without_autodiff();
        Ok(Goal::of_classes(Tensor::from_data(numbers.as_slice(), &device)))
    }
}
