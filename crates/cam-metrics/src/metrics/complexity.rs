use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Complexity: the mean of the map; a map that shows less is easier to read.
///
/// $$ \frac1{HW} \sum_i m_i $$
///
/// Poppi et al., *Revisiting The Evaluation of Class Activation Mapping for Explainability*, 2021, equation 3.
#[derive(Debug, Clone, Copy, Default)]
pub struct Complexity;

impl Complexity {
    pub(super) fn of(subject: &Subject<'_>) -> f64 {
        subject.map.sum() / subject.map.values().len() as f64
    }
}

impl Metric for Complexity {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Form, Better::Lower);
        MetricInfo::new("complexity", "Complexity", "https://arxiv.org/abs/2104.10252", group, better)
            .by_default()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        Ok(Self::of(subject).into())
    }
}
