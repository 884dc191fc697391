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
