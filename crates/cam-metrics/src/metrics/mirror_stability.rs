use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// Stability under mirroring: whether the map of the mirrored image is the mirrored map.
///
/// $$ \mathrm{corr}\left(m(x),\ \text{mirror}(m(\text{mirror}(x)))\right) $$
///
/// It is equivariance under the augmentation that networks are trained with: Crabbé and van der Schaar, *Evaluating the Robustness of Interpretability Methods
/// through Explanation Invariance and Equivariance*, NeurIPS 2023.
#[derive(Debug, Clone, Copy, Default)]
pub struct MirrorStability;

impl Metric for MirrorStability {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Stability, Better::Higher);
        let paper = "https://arxiv.org/abs/2304.06715";
        MetricInfo::new("mirror-stability", "Stability under mirroring", paper, group, better)
    }

    fn retakes(&self) -> Vec<Retake> {
        vec![Retake::Mirrored]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        Ok(subject.map.pearson(subject.retake(Retake::Mirrored)?)?.into())
    }
}
