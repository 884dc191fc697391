use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// Coherency: whether the method gives the same map of what the map shows.
///
/// $$ \frac12 \left(1 + \mathrm{corr}(m(x \circ m(x)),\ m(x))\right) $$
///
/// Poppi et al., *Revisiting The Evaluation of Class Activation Mapping for Explainability*, 2021, equation 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct Coherency;

impl Coherency {
    pub(super) fn of(subject: &Subject<'_>) -> Result<f64, Reason> {
        Ok(0.5 * (1.0 + subject.retake(Retake::Masked)?.pearson(subject.map)?))
    }
}

impl Metric for Coherency {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Form, Better::Higher);
        MetricInfo::new("coherency", "Coherency", "https://arxiv.org/abs/2104.10252", group, better)
    }

    fn retakes(&self) -> Vec<Retake> {
        vec![Retake::Masked]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        Ok(Self::of(subject)?.into())
    }
}
