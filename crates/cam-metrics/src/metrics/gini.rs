use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Sparseness: the Gini index of the map, 0 if all pixels are equal, near 1 if a single one has all.
///
/// $$ 1 - 2 \sum_{k=1}^n \frac{m_{(k)}}{\sum_j m_j} \cdot \frac{n - k + \frac12}n, \qquad m_{(1)} \le \dots \le m_{(n)} $$
///
/// Chalasani et al., *Concise Explanations of Neural Networks using Adversarial Training*, ICML 2020, section 2; Hurley and Rickard, *Comparing Measures of
/// Sparsity*, 2009.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gini;

impl Metric for Gini {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Form, Better::Higher);
        MetricInfo::new("gini", "Gini sparseness", "https://arxiv.org/abs/1810.06583", group, better)
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let (values, sum) = (subject.map.values(), subject.map.sum());
        let n = values.len() as f64;
        // The most relevant pixel has the weight of one half.
        let weighted = subject
            .map
            .descending()
            .iter()
            .zip(0..)
            .map(|(&at, place)| f64::from(values[at as usize]) / sum * (f64::from(place) + 0.5) / n);
        Ok((1.0 - 2.0 * weighted.sum::<f64>()).into())
    }
}
