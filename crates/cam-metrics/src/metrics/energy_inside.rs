use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Energy inside: how much of the map is on the object.
///
/// $$ \frac{\sum_{i \in T} m_i}{\sum_i m_i} $$
///
/// Wang et al., *Score-CAM*, CVPRW 2020, equation 10 (the energy-based pointing game); relevance mass accuracy of Arras et al., 2022.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnergyInside;

impl Metric for EnergyInside {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        MetricInfo::new("energy", "Energy inside", "https://arxiv.org/abs/1910.01279", group, better)
            .truth()
            .by_default()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let inside = subject.asked()?.inside();
        let values = subject.map.values().iter().zip(inside).filter(|(_, inside)| **inside);
        Ok((values.map(|(value, _)| f64::from(*value)).sum::<f64>() / subject.map.sum()).into())
    }
}
