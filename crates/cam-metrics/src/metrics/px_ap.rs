use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// PxAP: the area under precision over recall of all pixels of all images, as a threshold falls.
///
/// $$ \sum_l \text{prec}(t_l) \left( \text{rec}(t_l) - \text{rec}(t_{l-1}) \right) $$
///
/// with the thresholds 0, 0.001, .., 0.999 and 1. The parts of a measurement are the histograms over the thresholds of the pixels on the object, and then of the
/// others; the value of one image is its area alone.
///
/// Choe et al., *Evaluating Weakly Supervised Object Localization Methods Right*, CVPR 2020, equations 2 to 4, and its evaluator.
#[derive(Debug, Clone, Copy, Default)]
pub struct PxAp;

/// Bins of a histogram: one for each threshold, and one for 1.
const BINS: usize = 1001;

impl Metric for PxAp {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        MetricInfo::new("pxap", "PxAP", "https://arxiv.org/abs/2007.04178", group, better).truth()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let inside = subject.asked()?.inside();
        let mut parts = vec![0.0f32; 2 * BINS];
        for (value, inside) in subject.map.values().iter().zip(inside) {
            // A threshold is the double nearest to a thousandth, and a pixel a float.
            let mut bin = ((f64::from(*value) * 1000.0) as usize).min(BINS - 1);
            if bin as f64 * 0.001 > f64::from(*value) {
                bin = bin.saturating_sub(1);
            } else if bin + 1 < BINS && (bin + 1) as f64 * 0.001 <= f64::from(*value) {
                bin += 1;
            }
            parts[if *inside { bin } else { BINS + bin }] += 1.0;
        }
        let measurement = Measurement { value: 0.0, parts };
        let value = self.summarize(&[&measurement]).ok_or(Reason::EmptyTruth)?;
        Ok(Measurement { value, ..measurement })
    }

    fn summarize(&self, measured: &[&Measurement]) -> Option<f64> {
        let count = |bin: usize| measured.iter().map(|one| f64::from(one.parts[bin])).sum::<f64>();
        let all: f64 = (0..BINS).map(count).sum();
        if all <= 0.0 {
            return None;
        }
        let (mut right, mut hot, mut area) = (0.0, 0.0, 0.0);
        for bin in (0..BINS).rev() {
            let here = count(bin);
            (right, hot) = (right + here, hot + here + count(BINS + bin));
            if hot > 0.0 {
                area += right / hot * here / all;
            }
        }
        Some(area)
    }
}
