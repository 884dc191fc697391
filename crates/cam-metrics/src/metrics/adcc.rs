use super::{AverageDrop, Coherency, Complexity, harmonic_mean};
use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// ADCC: average drop, coherency and complexity in one number.
///
/// $$ 3 \left( \frac1{\text{coherency}} + \frac1{1 - \text{complexity}} + \frac1{1 - \text{average drop}} \right)^{-1} $$
///
/// The parts of the measurement are the three. Poppi et al., *Revisiting The Evaluation of Class Activation Mapping for Explainability*,
/// 2021, equation 4.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adcc;

impl Metric for Adcc {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Higher);
        MetricInfo::new("adcc", "ADCC", "https://arxiv.org/abs/2104.10252", group, better)
    }

    fn changes(&self) -> Vec<Change> {
        AverageDrop.changes()
    }

    fn retakes(&self) -> Vec<Retake> {
        Coherency.retakes()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let drop = AverageDrop.measure(subject)?.value;
        let (coherency, complexity) = (Coherency::of(subject)?, Complexity::of(subject));
        let parts = [drop, coherency, complexity].map(|part| part as f32).to_vec();
        Ok(Measurement { value: harmonic_mean(&[coherency, 1.0 - complexity, 1.0 - drop]), parts })
    }
}
