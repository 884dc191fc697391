//! Models with one output, which stands for a class and for its opposite.

use super::{Goal, Target};
use crate::Error;
use burn::Tensor;

/// One side of a binary classifier with one logit, `[batch, 1]`: the logit for `true`, its negative for `false`.
///
/// It is class 0 for `true`, class 1 for `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary(pub bool);

impl Target for Binary {
    /// # Errors
    /// [`Error::UnknownClass`] if the output has no columns.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        goal(output, |logits| logits.full_like(if self.0 { 1.0 } else { -1.0 }))
    }
}

/// The side of a binary classifier with one output, `[batch, 1]`, that each image is on: the class where the output is
/// at least the threshold, its opposite below.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{LikelierSide, Rows, Target};
///
/// let logits = Tensor::<2>::from_floats([[3.0], [-2.0]], &Device::flex());
/// let goal = LikelierSide { threshold: 0.0, rank: 0 }.resolve(&logits)?;
/// assert_eq!(goal.score(&logits, Rows::All).into_data().try_to_vec::<f32>().unwrap(), [3.0, 2.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelierSide {
    /// From which output on an image is of the class: 0 of a logit, 0.5 of a probability.
    pub threshold: f32,
    /// 0 asks for this side, 1 for the other one.
    pub rank: usize,
}

impl Target for LikelierSide {
    /// # Errors
    /// [`Error::UnknownClass`] for any other rank, and if the output has no columns.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let Self { threshold, rank } = *self;
        if rank > 1 {
            return Err(Error::UnknownClass { asked: rank, classes: 2 });
        }
        let first = if rank == 0 { 1.0 } else { -1.0 };
        goal(output, |logits| {
            let opposite = logits.clone().lower_elem(threshold);
            logits.full_like(first).mask_fill(opposite, -first)
        })
    }
}

/// Returns the goal of the output of each image, times the sign that is found for it in the plain output.
fn goal(output: &Tensor<2>, sign: impl Fn(Tensor<1>) -> Tensor<1>) -> Result<Goal, Error> {
    let goal = super::Class(0).resolve(output)?;
    let logits: Tensor<1> = output.clone().inner().narrow(1, 0, 1).squeeze_dim(1);
    let sign = sign(logits);
    let classes = sign.clone().lower_elem(0.0).int();
    let score = move |output: &Tensor<2>, rows: crate::Rows| goal.score(output, rows) * rows.of(sign.clone());
    Ok(Goal { classes: Some(classes), ..Goal::new(score) })
}
