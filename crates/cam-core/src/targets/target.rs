//! What a target is: which score of the output a map explains.

use super::goal::Goal;
use crate::{Error, Rows};
use burn::Tensor;

/// One score per image of an output of type `O`; a map shows where the score comes from.
///
/// It is resolved once on the plain output of the batch, so that every further pass (gradients, ablations, masks, views)
/// is asked for the same score. A closure `|output: &O| -> Tensor<1>` that gives one score per row is a target too:
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Rows, Target};
///
/// // How much higher the logit of the first class is than that of the second.
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
    /// Looks at the output of the batch and fixes which score is asked of each image.
    ///
    /// # Errors
    /// What the output lacks: a class, a size.
    fn resolve(&self, output: &O) -> Result<Goal<O>, Error>;
}

impl<O, F> Target<O> for F
where
    F: Fn(&O) -> Tensor<1> + Clone + 'static,
{
    fn resolve(&self, _: &O) -> Result<Goal<O>, Error> {
        let score = self.clone();
        Ok(Goal::new(move |output: &O, _: Rows| score(output)))
    }
}

/// A target of unknown type that threads may share.
pub type BoxedTarget<O = Tensor<2>> = Box<dyn Target<O> + Send + Sync>;

impl<O> Target<O> for BoxedTarget<O> {
    fn resolve(&self, output: &O) -> Result<Goal<O>, Error> {
        (**self).resolve(output)
    }
}
