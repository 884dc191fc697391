use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Drop in confidence when only what the map shows is left, not divided by the confidence: `DropInConfidence` of pytorch-grad-cam.
///
/// $$ \max(0,\ p(x) - p(x \circ m)) $$
///
/// Gildenblat, *PyTorch library for CAM methods*, 2021.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfidenceDrop;

impl Metric for ConfidenceDrop {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Lower);
        let paper = "https://github.com/jacobgil/pytorch-grad-cam";
        MetricInfo::new("confidence-drop", "Drop in confidence", paper, group, better)
    }

    fn changes(&self) -> Vec<Change> {
        vec![Change::masked()]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let masked = subject.scores(&Change::masked())?.confidence;
        Ok((subject.plain().confidence - masked).max(0.0).into())
    }
}
