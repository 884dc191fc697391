use super::Similarity;
use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// Random logit: how much the map resembles that of another class of the same image. A method that explains the class does not show the same for
/// both.
///
/// $$ \text{sim}\left(m_c(x),\ m_{c'}(x)\right) $$
///
/// Sixt et al., *When Explanations Lie: Why Many Modified BP Attributions Fail*, ICML 2020, section 4.1 (random logit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomLogit {
    /// How maps are compared.
    pub similarity: Similarity,
}

impl RandomLogit {
    /// By rank correlation.
    pub const SPEARMAN: Self = Self { similarity: Similarity::Spearman };
    /// By structural similarity.
    pub const SSIM: Self = Self { similarity: Similarity::Ssim };
}

impl Metric for RandomLogit {
    fn info(&self) -> MetricInfo {
        let (name, title) = match self.similarity {
            Similarity::Spearman => ("random-logit", "Random logit"),
            Similarity::Ssim => ("random-logit-ssim", "Random logit, SSIM"),
            Similarity::Hog => ("random-logit-hog", "Random logit, HOG"),
        };
        MetricInfo::new(name, title, "https://arxiv.org/abs/1912.09818", Group::Sanity, Better::Lower)
    }

    fn retakes(&self) -> Vec<Retake> {
        vec![Retake::OtherClass]
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        Ok(self.similarity.of(subject.map, subject.retake(Retake::OtherClass)?)?.into())
    }
}
