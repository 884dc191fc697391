//! The probability of a class.

use super::{Goal, Target};
use crate::{Error, Rows};
use burn::Tensor;
use burn::tensor::activation::{sigmoid, softmax};

/// The probability of what another target asks for: its score on the softmax of the output.
///
/// One column is never a softmax: its probability is the sigmoid of the score.
///
/// Close to 1 the gradient of a softmax vanishes; that of [`LogOdds`](crate::LogOdds) does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Softmax<T>(pub T);

impl<T: Target> Target for Softmax<T> {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.0.resolve(output)?;
        if output.dims()[1] == 1 {
            let goal = goal.map(|_, score| sigmoid(score));
            return Ok(Goal { is_probability: true, ..goal });
        }
        let classes = goal.classes.clone();
        let score = move |output: &Tensor<2>, rows: Rows| goal.score(&softmax(output.clone(), 1), rows);
        Ok(Goal { classes, is_probability: true, ..Goal::new(score) })
    }
}
