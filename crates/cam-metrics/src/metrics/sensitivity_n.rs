use crate::change::Cells;
use crate::{Better, Change, Group, Measurement, Metric, MetricInfo, Reason, Subject, pearson};

/// Sensitivity-n: whether the parts that the map calls relevant are those whose removal lowers the score.
///
/// $$ \mathrm{corr}_S \left( \sum_{i \in S} m_i,\ y(x) - y(x_{S = 0}) \right) $$
///
/// over random subsets $S$ of $n$ features. Features are the cells of a grid, since single pixels are far smaller than anything that a map shows.
///
/// Ancona et al., *Towards better understanding of gradient-based attribution methods*, ICLR 2018, equation 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensitivityN {
    /// Cells along each side of the input.
    pub side: usize,
    /// How many cells are removed.
    pub n: usize,
    /// How many subsets are drawn.
    pub samples: u64,
}

impl SensitivityN {
    /// A quarter of 8 x 8 cells, 32 times.
    pub const DEFAULT: Self = Self { side: 8, n: 16, samples: 32 };

    /// Returns for each subset the sum of the map and how much the score falls.
    pub(super) fn pairs(&self, subject: &Subject<'_>) -> Result<(Vec<f64>, Vec<f64>), Reason> {
        let (mut sums, mut drops) = (Vec::new(), Vec::new());
        for cells in self.cells() {
            let removed = cells.removed(subject.map.height(), subject.map.width());
            let inside = subject.map.values().iter().zip(&removed).filter(|(_, removed)| **removed);
            sums.push(inside.map(|(value, _)| f64::from(*value)).sum());
            drops.push(subject.plain().score - subject.scores(&Change::without_cells(cells))?.score);
        }
        Ok((sums, drops))
    }

    fn cells(&self) -> impl Iterator<Item = Cells> {
        let Self { side, n: count, samples } = *self;
        (0..samples).map(move |sample| Cells { side, count, sample })
    }
}

impl Metric for SensitivityN {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Faithfulness, Better::Higher);
        MetricInfo::new("sensitivity-n", "Sensitivity-n", "https://arxiv.org/abs/1711.06104", group, better)
    }

    fn changes(&self) -> Vec<Change> {
        self.cells().map(Change::without_cells).collect()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let (sums, drops) = self.pairs(subject)?;
        Ok(pearson(&sums, &drops).ok_or(Reason::FlatComparison)?.into())
    }
}
