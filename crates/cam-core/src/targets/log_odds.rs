//! The log-odds of a class.

use super::{Goal, Target};
use crate::{Error, Rows};
use burn::Tensor;
use burn::tensor::activation::{log_sigmoid, log_softmax};

/// The logit of what another target asks for plus its log-probability, $y_c + \log \mathrm{softmax}(y)_c$: it rises with
/// the class and falls with the other classes, and does not saturate.
///
/// One column is never a softmax: its log-probability is that of a sigmoid.
///
/// Cai, *CAMs as Shapley Value-based Explainers*, 2025, the score ReST (residual softmax), equation 15.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOdds<T>(pub T);

impl<T: Target> Target for LogOdds<T> {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.0.resolve(output)?;
        if output.dims()[1] == 1 {
            return Ok(goal.map(|_, score| score.clone() + log_sigmoid(score)));
        }
        let classes = goal.classes.clone();
        let score = move |output: &Tensor<2>, rows: Rows| {
            goal.score(output, rows) + goal.score(&log_softmax(output.clone(), 1), rows)
        };
        Ok(Goal { classes, ..Goal::new(score) })
    }
}
