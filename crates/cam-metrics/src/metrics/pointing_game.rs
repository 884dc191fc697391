use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// The pointing game: whether the hottest pixel is on the object, or at most so many pixels beside it.
///
/// $$ 1[\min_{t \in T} |\arg\max m - t| \le d] $$
///
/// Of equally hot pixels the first in row order counts. Zhang et al., *Top-down Neural Attention by Excitation Backprop*, ECCV 2016, section 4.1,
/// with $d = 15$ pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointingGame {
    /// How many pixels beside the object still count.
    pub tolerance: usize,
}

impl PointingGame {
    /// The object alone counts.
    pub const STRICT: Self = Self { tolerance: 0 };
    /// The tolerance of the paper.
    pub const PAPER: Self = Self { tolerance: 15 };
}

impl Metric for PointingGame {
    fn info(&self) -> MetricInfo {
        let (name, title) = match self.tolerance {
            0 => ("pointing", "Pointing game"),
            _ => ("pointing-15", "Pointing game, 15 pixels of tolerance"),
        };
        let paper = "https://arxiv.org/abs/1608.00507";
        let info = MetricInfo::new(name, title, paper, Group::Localization, Better::Higher).truth();
        if self.tolerance == 0 { info.by_default() } else { info }
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let asked = subject.asked()?;
        let values = subject.map.values();
        let hottest = (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best });
        Ok(f64::from(u8::from(asked.is_near(hottest, self.tolerance))).into())
    }
}
