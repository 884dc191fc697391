use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Increase in confidence: whether what the map shows makes the model more confident than the whole image.
///
/// $$ 1[p(x \circ m) > p(x)] $$
///
/// Chattopadhay et al., *Grad-CAM++*, WACV 2018, section 4.1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Increase;

impl Metric for Increase {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Higher);
        MetricInfo::new(
            "increase",
            "Increase in confidence",
            "https://arxiv.org/abs/1710.11063",
            group,
            better,
        )
        .by_default()
    }

    fn changes(&self) -> Vec<Change> {
        vec![Change::masked()]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let masked = subject.scores(&Change::masked())?.confidence;
        Ok(f64::from(u8::from(masked > subject.plain().confidence)).into())
    }
}
