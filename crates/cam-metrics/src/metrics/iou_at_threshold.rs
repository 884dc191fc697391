use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Intersection over union of the object and what of the map is above a threshold.
///
/// $$ \frac{|\{m \ge t\} \cap T|}{|\{m \ge t\} \cup T|} $$
///
/// Zhou et al., *Learning Deep Features for Discriminative Localization*, CVPR 2016, section 3.2, thresholds maps; Chefer et al., *Transformer
/// Interpretability Beyond Attention Visualization*, CVPR 2021, section 4, measures them so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IouAtThreshold {
    /// The threshold, of a map in 0..1.
    pub threshold: f32,
}

impl IouAtThreshold {
    /// One half.
    pub const HALF: Self = Self { threshold: 0.5 };
}

impl Metric for IouAtThreshold {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        let paper = "https://arxiv.org/abs/2012.09838";
        MetricInfo::new("iou", "IoU at a threshold of one half", paper, group, better).truth().by_default()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let inside = subject.asked()?.inside();
        let (mut both, mut either) = (0, 0);
        for (value, &inside) in subject.map.values().iter().zip(inside) {
            let hot = *value >= self.threshold;
            both += usize::from(hot && inside);
            either += usize::from(hot || inside);
        }
        Ok((f64::from(both as u32) / f64::from(either as u32)).into())
    }
}
