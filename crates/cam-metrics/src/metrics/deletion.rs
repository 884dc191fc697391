use super::area_of_curve;
use crate::{Baseline, Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Deletion: the area under the confidence while the most relevant pixels are taken away, step by step.
///
/// $$ \int_0^1 p(x_{\text{without first } f}) \thinspace df $$
///
/// by the trapezoidal rule over equal steps. The parts of the measurement are the curve, from the whole image to nothing left.
///
/// Petsiuk et al., *RISE: Randomized Input Sampling for Explanation of Black-box Models*, BMVC 2018, algorithm 1 and section 4.3. Its code
/// has 224 steps; of equally relevant pixels the first in row order go first here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// The number of steps.
    pub steps: usize,
    /// What is put where pixels are taken away.
    pub baseline: Baseline,
}

impl Deletion {
    /// The baseline of zeros of the paper, in 20 steps.
    pub const PAPER: Self = Self { steps: 20, baseline: Baseline::Zero };
}

impl Metric for Deletion {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Lower);
        MetricInfo::new("deletion", "Deletion", "https://arxiv.org/abs/1806.07421", group, better)
            .by_default()
    }

    fn changes(&self) -> Vec<Change> {
        (0..=self.steps).map(|step| Change::deleted(step, self.steps, self.baseline)).collect()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        area_of_curve(subject, self.changes())
    }

    fn with_steps(&self, steps: usize) -> Option<Box<dyn Metric>> {
        Some(Box::new(Self { steps: steps.max(1), ..*self }))
    }

    fn with_baseline(&self, baseline: Baseline) -> Option<Box<dyn Metric>> {
        Some(Box::new(Self { baseline, ..*self }))
    }
}
