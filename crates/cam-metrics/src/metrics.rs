//! The metrics, one file each, which starts with the formula and the paper.
//!
//! $m$ is the map scaled to 0..1, $x$ the input as the model gets it, $y(x)$ the score that the map explains, $p(x)$ how confident the model is of the
//! class, $T$ the pixels of the object.

mod adcc;
mod agreement;
mod arcc;
mod average_drop;
mod average_gain;
mod class_discrimination;
mod coherency;
mod complexity;
mod confidence_change;
mod confidence_drop;
mod deletion;
mod energy_inside;
mod entropy;
mod gini;
mod increase;
mod infidelity;
mod insertion;
mod iou_at_threshold;
mod max_box_acc;
mod max_sensitivity;
mod mirror_stability;
mod pointing_game;
mod px_ap;
mod random_logit;
mod randomization;
mod rank_accuracy;
pub(crate) mod road;
mod sensitivity_n;
mod top_k;

pub use adcc::Adcc;
pub use agreement::Agreement;
pub use arcc::Arcc;
pub use average_drop::AverageDrop;
pub use average_gain::AverageGain;
pub use class_discrimination::ClassDiscrimination;
pub use coherency::Coherency;
pub use complexity::Complexity;
pub use confidence_change::ConfidenceChange;
pub use confidence_drop::ConfidenceDrop;
pub use deletion::Deletion;
pub use energy_inside::EnergyInside;
pub use entropy::Entropy;
pub use gini::Gini;
pub use increase::Increase;
pub use infidelity::Infidelity;
pub use insertion::Insertion;
pub use iou_at_threshold::IouAtThreshold;
pub use max_box_acc::MaxBoxAccV2;
pub use max_sensitivity::MaxSensitivity;
pub use mirror_stability::MirrorStability;
pub use pointing_game::PointingGame;
pub use px_ap::PxAp;
pub use random_logit::RandomLogit;
pub use randomization::Randomization;
pub use rank_accuracy::RankAccuracy;
pub use road::{Removed, Road};
pub use sensitivity_n::SensitivityN;
pub use top_k::TopK;

use crate::{Change, Map, Measurement, Reason, Subject};

/// How two maps are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Similarity {
    /// The rank correlation.
    Spearman,
    /// The [structural similarity](crate::ssim).
    Ssim,
    /// The correlation of the [histograms of oriented gradients](crate::hog).
    Hog,
}

impl Similarity {
    /// Compares two maps of one size.
    ///
    /// # Errors
    /// [`Reason::FlatComparison`] if one of them is flat, or smaller than what is compared.
    pub fn of(self, one: &Map, other: &Map) -> Result<f64, Reason> {
        match self {
            Self::Spearman => one.spearman(other),
            Self::Ssim => crate::ssim(one, other).ok_or(Reason::FlatComparison),
            Self::Hog => {
                let (one, other) = (crate::hog(one), crate::hog(other));
                crate::pearson(&one, &other).ok_or(Reason::FlatComparison)
            }
        }
    }
}

/// Measures the area under the confidences of changed copies; its parts are these.
fn area_of_curve(subject: &Subject<'_>, changes: Vec<Change>) -> Result<Measurement, Reason> {
    let scores = changes.iter().map(|change| Ok(subject.scores(change)?.confidence));
    let curve = scores.collect::<Result<Vec<f64>, Reason>>()?;
    Ok(Measurement { value: area(&curve), parts: curve.iter().map(|value| *value as f32).collect() })
}

/// Returns the area under a curve of equal steps over 0..1: the trapezoidal rule.
fn area(curve: &[f64]) -> f64 {
    let steps = curve.len().max(2) - 1;
    curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).sum::<f64>() / steps as f64
}

/// Returns the harmonic mean of numbers in 0..1; 0 if one of them is 0.
fn harmonic_mean(parts: &[f64]) -> f64 {
    match parts.iter().any(|part| *part <= 0.0) {
        true => 0.0,
        false => parts.len() as f64 / parts.iter().map(|part| 1.0 / part).sum::<f64>(),
    }
}
