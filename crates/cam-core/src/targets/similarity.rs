//! The score of a network that ends in features.

use super::{Goal, Target};
use crate::Error;
use burn::Tensor;

/// The cosine between an embedding `[batch, features]` and a concept, for networks that end in features.
///
/// # Shapes
/// - concept: `[features]`, the embedding of what is searched for
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Rows, Similarity, Target};
///
/// # let device = Device::flex();
/// let embedding = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
/// let target = Similarity(Tensor::from_floats([0.0, 2.0], &device)); // the embedding of another image, or of a text
/// let score = target.resolve(&embedding)?.score(&embedding, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [0.8]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Similarity(pub Tensor<1>);

impl Target for Similarity {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let ([_, features], [found]) = (output.dims(), self.0.dims());
        if found != features {
            return Err(Error::ConceptSize { found, expected: features });
        }
        let length = self.0.clone().square().sum().sqrt().clamp_min(f32::MIN_POSITIVE);
        let concept: Tensor<2> = (self.0.clone() / length).unsqueeze();
        Ok(Goal::new(move |output: &Tensor<2>, _| {
            let length = output.clone().square().sum_dim(1).sqrt().clamp_min(f32::MIN_POSITIVE);
            ((output.clone() * concept.clone()).sum_dim(1) / length).squeeze_dim(1)
        }))
    }
}
