use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Average drop: how much confidence is lost when only what the map shows is left.
///
/// $$ \frac{\max(0,\ p(x) - p(x \circ m))}{p(x)} $$
///
/// Chattopadhay et al., *Grad-CAM++*, WACV 2018, section 4.1; there in percent, here a share.
#[derive(Debug, Clone, Copy, Default)]
pub struct AverageDrop;

impl Metric for AverageDrop {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Lower);
        MetricInfo::new("average-drop", "Average drop", "https://arxiv.org/abs/1710.11063", group, better)
            .by_default()
    }

    fn changes(&self) -> Vec<Change> {
        vec![Change::masked()]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let plain = subject.plain().confidence;
        let masked = subject.scores(&Change::masked())?.confidence;
        match plain > 0.0 {
            true => Ok(((plain - masked).max(0.0) / plain).into()),
            false => Err(Reason::NothingToCompare),
        }
    }
}
