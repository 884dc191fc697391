use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Change in confidence when only what the map shows is left: `CamMultImageConfidenceChange` of pytorch-grad-cam.
///
/// $$ p(x \circ m) - p(x) $$
///
/// Gildenblat, *PyTorch library for CAM methods*, 2021.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfidenceChange;

impl Metric for ConfidenceChange {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Higher);
        let paper = "https://github.com/jacobgil/pytorch-grad-cam";
        MetricInfo::new("confidence-change", "Change in confidence", paper, group, better)
    }

    fn changes(&self) -> Vec<Change> {
        vec![Change::masked()]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let masked = subject.scores(&Change::masked())?.confidence;
        Ok((masked - subject.plain().confidence).into())
    }
}
