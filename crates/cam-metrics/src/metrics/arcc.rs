use super::road::Removed;
use super::{Coherency, Complexity, Road, harmonic_mean};
use crate::{Better, Change, Group, Imputation, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// ARCC: ROAD, coherency and complexity in one number.
///
/// $$ 3 \left( \frac1{\text{coherency}} + \frac1{1 - \text{complexity}} + \frac1{\mathrm{clip}(2\thinspace\text{ROAD}, 0, 1)} \right)^{-1} $$
///
/// with ROAD of the percentiles 20, 40, 60 and 80. The parts of the measurement are the three. *RefineCAM*, 2026, as pytorch-grad-cam computes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arcc;

const ROAD: Road =
    Road { removed: Removed::Both, percentiles: &[20, 40, 60, 80], imputation: Imputation::PAPER };

impl Metric for Arcc {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Higher);
        MetricInfo::new("arcc", "ARCC", "https://arxiv.org/abs/2605.14641", group, better)
    }

    fn changes(&self) -> Vec<Change> {
        ROAD.changes()
    }

    fn retakes(&self) -> Vec<Retake> {
        Coherency.retakes()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let road = (2.0 * ROAD.measure(subject)?.value).clamp(0.0, 1.0);
        let (coherency, complexity) = (Coherency::of(subject)?, Complexity::of(subject));
        let parts = [road, coherency, complexity].map(|part| part as f32).to_vec();
        Ok(Measurement { value: harmonic_mean(&[coherency, 1.0 - complexity, road]), parts })
    }
}
