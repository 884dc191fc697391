//! The score of several classes together.

use super::{Goal, Target};
use crate::engine::upload;
use crate::{Error, Rows};
use burn::Tensor;
use burn::tensor::activation::{log_sigmoid, log_softmax};

/// The log of the summed probability of several classes, $\log \sum_{c \in S} p_c$: what makes it any of them. The probabilities are the
/// softmax over all classes, or of classes that do not exclude each other their sigmoids.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{AnyOf, Rows, Target};
///
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0, 0.0, 0.0]], &Device::flex());
/// let score = AnyOf::new([1, 3], "either").resolve(&logits)?.score(&logits, Rows::All);
/// let score = score.into_data().try_to_vec::<f32>().unwrap()[0];
/// assert!((score - 0.5f32.ln()).abs() < 1e-6);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf {
    classes: Vec<usize>,
    name: String,
    exclusive: bool,
}

impl AnyOf {
    /// Makes a target of these classes, which exclude each other, with a name for their maps.
    pub fn new(classes: impl IntoIterator<Item = usize>, name: impl Into<String>) -> Self {
        Self { classes: classes.into_iter().collect(), name: name.into(), exclusive: true }
    }

    /// Sets that the classes do not exclude each other.
    pub fn independent(self) -> Self {
        Self { exclusive: false, ..self }
    }
}

impl Target for AnyOf {
    /// # Errors
    /// [`Error::UnknownClass`].
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let [_, classes] = output.dims();
        if let Some(&asked) = self.classes.iter().find(|class| **class >= classes) {
            return Err(Error::UnknownClass { asked, classes });
        }
        let chosen = upload::indices(&self.classes, &output.device().inner());
        let exclusive = self.exclusive;
        let score = move |output: &Tensor<2>, _: Rows| {
            let logs = if exclusive { log_softmax(output.clone(), 1) } else { log_sigmoid(output.clone()) };
            let logs = logs.select(1, chosen.clone());
            // The largest is taken out, so that the exponentials neither vanish nor overflow.
            let largest = logs.clone().detach().max_dim(1);
            ((logs - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim(1)
        };
        Ok(Goal::new(score).named(&self.name))
    }
}
