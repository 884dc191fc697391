//! The built-in metrics.

use crate::metrics::*;
use crate::{Error, Metric};

/// All built-in metrics, with their default settings. The tool's `--metrics`, its list and its help come from here.
pub static METRICS: &[&dyn Metric] = &[
    &AverageDrop,
    &Increase,
    &AverageGain,
    &ConfidenceChange,
    &ConfidenceDrop,
    &Insertion::PAPER,
    &Deletion::PAPER,
    &Road::MOST_RELEVANT,
    &Road::LEAST_RELEVANT,
    &Road::COMBINED,
    &Adcc,
    &Arcc,
    &SensitivityN::DEFAULT,
    &Infidelity::DEFAULT,
    &PointingGame::STRICT,
    &PointingGame::PAPER,
    &EnergyInside,
    &TopK::DEFAULT,
    &IouAtThreshold::HALF,
    &RankAccuracy,
    &MaxBoxAccV2,
    &PxAp,
    &ClassDiscrimination,
    &Complexity,
    &Entropy,
    &Gini,
    &Coherency,
    &MaxSensitivity::DEFAULT,
    &MirrorStability,
    &Agreement,
    &RandomLogit::SPEARMAN,
    &RandomLogit::SSIM,
    &Randomization::SPEARMAN,
    &Randomization::SSIM,
    &Randomization::HOG,
    &Randomization::INDEPENDENT,
];

/// Returns the built-in metric with this name.
///
/// # Errors
/// [`Error::UnknownMetric`] with the names of all metrics.
///
/// ```
/// use cam_metrics::{Metric, metric_named};
///
/// assert_eq!(metric_named("deletion")?.info().paper, "https://arxiv.org/abs/1806.07421");
/// assert!(metric_named("deletian").err().unwrap().to_string().contains("did you mean deletion?"));
/// # Ok::<(), cam_metrics::Error>(())
/// ```
pub fn metric_named(name: &str) -> Result<&'static dyn Metric, Error> {
    METRICS.iter().copied().find(|metric| metric.name() == name).ok_or_else(|| Error::UnknownMetric {
        asked: name.into(),
        known: METRICS.iter().map(|metric| metric.name().into()).collect(),
    })
}
