use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Agreement: the mean rank correlation with the maps of the other methods for the same class; baselines do not count.
///
/// $$ \frac1{|P|} \sum_{m' \in P} \rho(m, m') $$
///
/// Krishna et al., *The Disagreement Problem in Explainable Machine Learning*, 2022, section 3.2 (rank correlation).
#[derive(Debug, Clone, Copy, Default)]
pub struct Agreement;

impl Metric for Agreement {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Stability, Better::Higher);
        let paper = "https://arxiv.org/abs/2202.01602";
        MetricInfo::new("agreement", "Agreement with other methods", paper, group, better).peers()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        if subject.peers.is_empty() {
            return Err(Reason::NoPeers);
        }
        let all = subject.peers.iter().map(|peer| subject.map.spearman(peer));
        let sum = all.sum::<Result<f64, Reason>>()?;
        Ok((sum / subject.peers.len() as f64).into())
    }
}
