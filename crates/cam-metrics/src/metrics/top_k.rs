use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Top-k intersection: how many of the $k$ most relevant pixels are on the object.
///
/// $$ \frac{|\text{top}_k(m) \cap T|}k $$
///
/// Theiner et al., *Interpretable Semantic Photo Geolocation*, WACV 2022; Quantus has $k = 1000$, too. Of a smaller map all pixels are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopK {
    /// How many pixels.
    pub k: usize,
}

impl TopK {
    /// 1000 pixels.
    pub const DEFAULT: Self = Self { k: 1000 };

    /// Returns which share of the most relevant pixels is on the object.
    pub(super) fn share(subject: &Subject<'_>, k: usize) -> Result<f64, Reason> {
        let inside = subject.asked()?.inside();
        let top = &subject.map.descending()[..k.min(inside.len())];
        Ok(top.iter().filter(|&&at| inside[at as usize]).count() as f64 / top.len() as f64)
    }
}

impl Metric for TopK {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        let paper = "https://arxiv.org/abs/2104.14995";
        MetricInfo::new("top-k", "Top-k intersection", paper, group, better).truth()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        Ok(Self::share(subject, self.k)?.into())
    }
}
