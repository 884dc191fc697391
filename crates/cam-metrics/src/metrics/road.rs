use crate::{Better, Change, Group, Imputation, Measurement, Metric, MetricInfo, Order, Reason, Subject};

/// Remove and debias: the change in confidence when pixels are removed by noisy linear imputation, the mean over several shares.
///
/// $$ \text{MoRF} = \frac1{|P|} \sum_{q \in P} p(x_{\text{without the most relevant}}) - p(x), \qquad \text{ROAD} = \frac{\text{LeRF} - \text{MoRF}}2 $$
///
/// where of percentile $q$ the $q$ % of the other end stay. Imputed pixels tell the model little of where pixels are missing, as black ones do.
/// The parts of the measurement are the confidence at each percentile.
///
/// Rong et al., *A Consistent and Efficient Evaluation Strategy for Attribution Methods*, ICML 2022. Exactly as many pixels stay, of equally relevant ones
/// the first in row order as the more relevant; pytorch-grad-cam removes all that are equal, of a map that is mostly zero the whole image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Road {
    /// Which pixels are removed.
    pub removed: Removed,
    /// How many percent stay.
    pub percentiles: &'static [u32],
    /// How pixels are imputed.
    pub imputation: Imputation,
}

/// Which pixels are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The most relevant: the confidence should fall.
    MostRelevant,
    /// The least relevant: the confidence should stay.
    LeastRelevant,
    /// Both, the half of their difference.
    Both,
}

impl Road {
    /// The most relevant first.
    pub const MOST_RELEVANT: Self = Self::of(Removed::MostRelevant);
    /// The least relevant first.
    pub const LEAST_RELEVANT: Self = Self::of(Removed::LeastRelevant);
    /// Both.
    pub const COMBINED: Self = Self::of(Removed::Both);

    const fn of(removed: Removed) -> Self {
        let percentiles = &[10, 20, 30, 40, 50, 60, 70, 80, 90];
        Self { removed, percentiles, imputation: Imputation::PAPER }
    }

    fn orders(&self) -> &'static [Order] {
        match self.removed {
            Removed::MostRelevant => &[Order::MostRelevant],
            Removed::LeastRelevant => &[Order::LeastRelevant],
            Removed::Both => &[Order::LeastRelevant, Order::MostRelevant],
        }
    }

    fn changes_of(&self, order: Order) -> impl Iterator<Item = Change> {
        let imputation = self.imputation;
        self.percentiles.iter().map(move |percentile| Change::imputed(order, *percentile, imputation))
    }
}

impl Metric for Road {
    fn info(&self) -> MetricInfo {
        let (name, title, better) = match self.removed {
            Removed::MostRelevant => ("road-morf", "ROAD, most relevant first", Better::Lower),
            Removed::LeastRelevant => ("road-lerf", "ROAD, least relevant first", Better::Higher),
            Removed::Both => ("road", "ROAD, combined", Better::Higher),
        };
        let paper = "https://arxiv.org/abs/2202.00449";
        let info = MetricInfo::new(name, title, paper, Group::Faithfulness, better);
        if self.removed == Removed::Both { info.by_default() } else { info }
    }

    fn changes(&self) -> Vec<Change> {
        self.orders().iter().flat_map(|order| self.changes_of(*order)).collect()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let plain = subject.plain().confidence;
        let (mut parts, mut means) = (Vec::new(), Vec::new());
        for order in self.orders() {
            let scores = self.changes_of(*order).map(|change| Ok(subject.scores(&change)?.confidence));
            let scores = scores.collect::<Result<Vec<f64>, Reason>>()?;
            means.push(scores.iter().sum::<f64>() / scores.len().max(1) as f64 - plain);
            parts.extend(scores.iter().map(|score| *score as f32));
        }
        let value = match means[..] {
            [least, most] => (least - most) / 2.0,
            _ => means[0],
        };
        Ok(Measurement { value, parts })
    }
}
