use super::TopK;
use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Relevance rank accuracy: how many of the most relevant pixels are on the object, of as many as it has.
///
/// $$ \frac{|\text{top}_{|T|}(m) \cap T|}{|T|} $$
///
/// Arras et al., *CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations*, 2022, equation 3.
#[derive(Debug, Clone, Copy, Default)]
pub struct RankAccuracy;

impl Metric for RankAccuracy {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        let paper = "https://arxiv.org/abs/2003.07258";
        MetricInfo::new("rank-accuracy", "Relevance rank accuracy", paper, group, better).truth().by_default()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        Ok(TopK::share(subject, subject.asked()?.count())?.into())
    }
}
