//! Predictions: what the logits of an image mean.

use crate::{Error, Logits};
use burn::tensor::{Tensor, TensorReadError, try_read_sync};
use serde::{Deserialize, Serialize};

/// A class, and how sure the network is of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The number of the class.
    pub class: usize,
    /// Its name.
    pub label: String,
    /// The output of the network.
    pub logit: f32,
    /// Its softmax over the classes, or its sigmoid where classes do not exclude each other.
    pub probability: f32,
}

impl Prediction {
    /// Returns the `count` classes with the highest logits of each image, highest first. A class without a name is called by its number.
    ///
    /// # Shapes
    /// - logits: `[batch, classes]`
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn from_logits(
        logits: Tensor<2>,
        kind: Logits,
        labels: &[String],
        count: usize,
    ) -> Result<Vec<Vec<Self>>, Error> {
        let cannot =
            || Err(Error::Device { reason: "its numbers can only be read without blocking here".into() });
        try_read_sync(Self::from_logits_async(logits, kind, labels, count)).unwrap_or_else(cannot)
    }

    /// Like [`from_logits`](Self::from_logits), without blocking.
    ///
    /// # Errors
    /// Those of [`from_logits`](Self::from_logits).
    pub async fn from_logits_async(
        logits: Tensor<2>,
        kind: Logits,
        labels: &[String],
        count: usize,
    ) -> Result<Vec<Vec<Self>>, Error> {
        let [_, classes] = logits.dims();
        let read = logits.inner().into_data_async().await?;
        let logits: Vec<f32> = read.try_into_vec_as().map_err(TensorReadError::from)?;
        Ok(Self::from_values(&logits, classes, kind, labels, count))
    }

    /// Like [`from_logits`](Self::from_logits), for logits that were read already: row-major, `classes` of each image.
    ///
    /// ```
    /// use cam_image::{Logits, Prediction};
    ///
    /// let labels = ["tabby".to_string(), "tiger cat".to_string()];
    /// let found = Prediction::from_values(&[0.0, 2.0, 3.0, 1.0], 2, Logits::Softmax, &labels, 1);
    /// assert_eq!([&found[0][0].label, &found[1][0].label], ["tiger cat", "tabby"]);
    /// assert!((found[0][0].probability - 0.88).abs() < 0.01);
    /// ```
    pub fn from_values(
        logits: &[f32],
        classes: usize,
        kind: Logits,
        labels: &[String],
        count: usize,
    ) -> Vec<Vec<Self>> {
        let of_image = |logits: &[f32]| {
            let probabilities = kind.probabilities(logits);
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let prediction = |class: usize| Prediction {
                class,
                label: labels.get(class).cloned().unwrap_or_else(|| class.to_string()),
                logit: logits[class],
                probability: probabilities[class],
            };
            order.into_iter().take(count).map(prediction).collect()
        };
        logits.chunks_exact(classes.max(1)).map(of_image).collect()
    }
}
