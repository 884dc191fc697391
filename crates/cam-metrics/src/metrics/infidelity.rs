use super::SensitivityN;
use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Infidelity: how far the map is from saying how much the score falls when parts are removed.
///
/// $$ \frac1{|S|} \sum_S \left( \beta \sum_{i \in S} m_i - (y(x) - y(x_{S = 0})) \right)^2, \qquad \beta = \frac{\sum_S a_S b_S}{\sum_S a_S^2} $$
///
/// with $a_S$ the sum of the map in the removed part and $b_S$ the fall of the score: a map has no units, so it is scaled as fits best. The parts that are
/// removed are those of [`SensitivityN`].
///
/// Yeh et al., *On the (In)fidelity and Sensitivity of Explanations*, NeurIPS 2019, definition 2.1 and the scaling of proposition 2.1's code; Captum's
/// `infidelity` with `normalize=True`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Infidelity {
    /// What is removed.
    pub removed: SensitivityN,
}

impl Infidelity {
    /// The parts of [`SensitivityN::DEFAULT`].
    pub const DEFAULT: Self = Self { removed: SensitivityN::DEFAULT };
}

impl Metric for Infidelity {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Lower);
        MetricInfo::new("infidelity", "Infidelity", "https://arxiv.org/abs/1901.09392", group, better)
    }

    fn changes(&self) -> Vec<Change> {
        self.removed.changes()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let (sums, drops) = self.removed.pairs(subject)?;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let length = dot(&sums, &sums);
        let scale = if length > 0.0 { dot(&sums, &drops) / length } else { 0.0 };
        let errors = sums.iter().zip(&drops).map(|(sum, drop)| (scale * sum - drop).powi(2));
        Ok((errors.sum::<f64>() / drops.len().max(1) as f64).into())
    }
}
