//! The logit of a class.

use super::{Goal, Target};
use crate::engine::upload;
use crate::{Error, Warning};
use burn::Tensor;

/// The class with the highest logit, of each image on its own. A model of one output is asked for [`Value`](crate::Value)
/// or [`Binary`](crate::Binary) instead, and its maps say so ([`Warning::OneOutput`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Top;

impl Target for Top {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        Ranked(0).resolve(output)
    }
}

/// The class at this rank, of each image on its own: 0 is the highest logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranked(pub usize);

impl Target for Ranked {
    /// # Errors
    /// [`Error::UnknownClass`] if there are fewer classes.
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
        let goal = Goal::of_classes(ranking.narrow(1, self.0, 1).reshape([batch]));
        Ok(Goal { warning: (classes == 1).then_some(Warning::OneOutput), ..goal })
    }
}

/// One class, the same for all images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub usize);

impl Target for Class {
    /// # Errors
    /// [`Error::UnknownClass`] if there is no such class.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        Classes(vec![self.0; output.dims()[0]]).resolve(output)
    }
}

/// A class for each image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(pub Vec<usize>);

impl Target for Classes {
    /// # Errors
    /// [`Error::TargetCount`] if there is not one class per image, [`Error::UnknownClass`] if there is no such class.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let [batch, classes] = output.dims();
        if self.0.len() != batch {
            return Err(Error::TargetCount { targets: self.0.len(), images: batch });
        }
        if let Some(&asked) = self.0.iter().find(|&&class| class >= classes) {
            return Err(Error::UnknownClass { asked, classes });
        }
        Ok(Goal::of_classes(upload::indices(&self.0, &output.device().without_autodiff())))
    }
}
