//! A number of the output.

use super::{Class, Goal, Target};
use crate::Error;
use burn::Tensor;

/// One column of the output as it is: the value of a regression, or the one logit of a binary classifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Value(pub usize);

impl Target for Value {
    /// # Errors
    /// [`Error::UnknownClass`] if there is no such column.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = Class(self.0).resolve(output)?;
        Ok(Goal { classes: None, ..goal })
    }
}

/// One side of a binary classifier with one logit, `[batch, 1]`: the logit for `true`, its negative for `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary(pub bool);

impl Target for Binary {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = Value(0).resolve(output)?;
        let sign = if self.0 { 1.0 } else { -1.0 };
        Ok(Goal::new(move |output, rows| goal.score(output, rows) * sign))
    }
}
