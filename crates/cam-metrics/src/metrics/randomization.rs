use super::Similarity;
use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// Model-parameter randomization: how much the map resembles that of the same model with random parameters. A method whose map stays the same does
/// not explain the model.
///
/// $$ \text{sim}\left(m_\theta(x),\ m_{\theta'}(x)\right) $$
///
/// The layers are randomized in stages from the output down. *Cascading*: all stages so far; the value is that of the whole network. *Independent*: one stage at a
/// time; the value is the mean. The parts of the measurement are the stages.
///
/// Adebayo et al., *Sanity Checks for Saliency Maps*, NeurIPS 2018, sections 3 and 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Randomization {
    /// How maps are compared.
    pub similarity: Similarity,
    /// Whether stages stay random while those before them become so.
    pub cascading: bool,
}

impl Randomization {
    /// Cascading, by rank correlation.
    pub const SPEARMAN: Self = Self { similarity: Similarity::Spearman, cascading: true };
    /// Cascading, by structural similarity.
    pub const SSIM: Self = Self { similarity: Similarity::Ssim, cascading: true };
    /// Cascading, by histograms of gradients.
    pub const HOG: Self = Self { similarity: Similarity::Hog, cascading: true };
    /// Independent, by rank correlation.
    pub const INDEPENDENT: Self = Self { similarity: Similarity::Spearman, cascading: false };
}

impl Metric for Randomization {
    fn info(&self) -> MetricInfo {
        let (name, title) = match (self.cascading, self.similarity) {
            (true, Similarity::Spearman) => ("mprt", "Parameter randomization"),
            (true, Similarity::Ssim) => ("mprt-ssim", "Parameter randomization, SSIM"),
            (true, Similarity::Hog) => ("mprt-hog", "Parameter randomization, HOG"),
            (false, _) => ("mprt-independent", "Parameter randomization, one stage at a time"),
        };
        let paper = "https://arxiv.org/abs/1810.03292";
        let info = MetricInfo::new(name, title, paper, Group::Sanity, Better::Lower).randomized();
        if *self == Self::SPEARMAN { info.limited() } else { info }
    }

    fn retakes(&self) -> Vec<Retake> {
        match self.cascading {
            true => (1..=Retake::STAGES).map(Retake::Cascading).collect(),
            false => (0..Retake::STAGES).map(Retake::Independent).collect(),
        }
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let stages = self.retakes();
        let each = stages.iter().map(|stage| self.similarity.of(subject.map, subject.retake(*stage)?));
        let each: Vec<Result<f64, Reason>> = each.collect();
        let parts = each.iter().map(|stage| stage.map_or(f32::NAN, |value| value as f32)).collect();
        let value = match self.cascading {
            true => each.last().copied().unwrap_or(Err(Reason::NoRetake))?,
            false => each.iter().copied().sum::<Result<f64, Reason>>()? / stages.len() as f64,
        };
        Ok(Measurement { value, parts })
    }
}
