use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Average gain: how much of the confidence that the whole image lacks is gained when only what the map shows is left.
///
/// $$ \frac{\max(0,\ p(x \circ m) - p(x))}{1 - p(x)} $$
///
/// Zhang et al., *Opti-CAM: Optimizing Saliency Maps for Interpretability*, 2023, equation 12.
#[derive(Debug, Clone, Copy, Default)]
pub struct AverageGain;

impl Metric for AverageGain {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Higher);
        MetricInfo::new("average-gain", "Average gain", "https://arxiv.org/abs/2301.07002", group, better)
    }

    fn changes(&self) -> Vec<Change> {
        vec![Change::masked()]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let plain = subject.plain().confidence;
        let masked = subject.scores(&Change::masked())?.confidence;
        match plain < 1.0 {
            true => Ok(((masked - plain).max(0.0) / (1.0 - plain)).into()),
            false => Err(Reason::NothingToCompare),
        }
    }
}
