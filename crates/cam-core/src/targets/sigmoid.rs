//! The probability of a class that others do not exclude.

use super::{Goal, Target};
use crate::Error;
use burn::Tensor;
use burn::tensor::activation::sigmoid;

/// The probability of what another target asks for, where classes do not exclude each other: the sigmoid of its score.
///
/// Close to 0 and 1 its gradient vanishes; that of the logit does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sigmoid<T>(pub T);

impl<T: Target> Target for Sigmoid<T> {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.0.resolve(output)?.map(|_, score| sigmoid(score));
        Ok(Goal { is_probability: true, ..goal })
    }
}
