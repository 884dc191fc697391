//! What logits stand for.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What logits stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Logits {
    /// One class of all: probabilities are their softmax. One logit alone is that of a sigmoid.
    #[default]
    Softmax,
    /// Each class is present or not: probabilities are their sigmoids.
    Sigmoid,
    /// They are probabilities already.
    None,
}

impl FromStr for Logits {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "softmax" => Ok(Self::Softmax),
            "sigmoid" => Ok(Self::Sigmoid),
            "none" => Ok(Self::None),
            _ => Err("there are softmax, sigmoid and none".into()),
        }
    }
}

impl Logits {
    /// Returns the probabilities that the logits of one image stand for.
    ///
    /// # Shapes
    /// - logits, output: `[classes]`
    pub fn probabilities(self, logits: &[f32]) -> Vec<f32> {
        let kind = if logits.len() == 1 && self == Self::Softmax { Self::Sigmoid } else { self };
        let logits = logits.iter().map(|&logit| f64::from(logit));
        match kind {
            Self::Softmax => {
                let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.map(|logit| (logit - most).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| (power / sum) as f32).collect()
            }
            Self::Sigmoid => logits.map(|logit| (1.0 / (1.0 + (-logit).exp())) as f32).collect(),
            Self::None => logits.map(|logit| logit as f32).collect(),
        }
    }
}
