use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Entropy: over how many pixels the map is spread, in nats.
///
/// $$ -\sum_i q_i \ln q_i, \qquad q_i = \frac{m_i}{\sum_j m_j} $$
///
/// Bhatt et al., *Evaluating and Aggregating Feature-based Model Explanations*, IJCAI 2020, equation 5 (complexity); Quantus calls it `Complexity`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entropy;

impl Metric for Entropy {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Form, Better::Lower);
        MetricInfo::new("entropy", "Entropy", "https://arxiv.org/abs/2005.00631", group, better)
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let sum = subject.map.sum();
        let shares = subject.map.values().iter().map(|value| f64::from(*value) / sum);
        Ok((-shares.filter(|share| *share > 0.0).map(|share| share * share.ln()).sum::<f64>()).into())
    }
}
