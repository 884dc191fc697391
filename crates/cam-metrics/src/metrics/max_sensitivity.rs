use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Retake, Subject};

/// Max-sensitivity: how far the map moves when the input has a little noise.
///
/// $$ \max_{\|\delta\|_\infty \le 0.02} \frac{\|m(x + \delta) - m(x)\|_2}{\|m(x)\|_2} $$
///
/// over random $\delta$, uniform in the units of the normalized input. Yeh et al., *On the (In)fidelity and Sensitivity of Explanations*, NeurIPS 2019,
/// definition 3.1; Captum's `sensitivity_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxSensitivity {
    /// How many noises are drawn.
    pub samples: u32,
}

impl MaxSensitivity {
    /// Ten noises, as in Captum.
    pub const DEFAULT: Self = Self { samples: 10 };
}

impl Metric for MaxSensitivity {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Stability, Better::Lower);
        MetricInfo::new(
            "max-sensitivity",
            "Max-sensitivity",
            "https://arxiv.org/abs/1901.09392",
            group,
            better,
        )
    }

    fn retakes(&self) -> Vec<Retake> {
        (0..self.samples).map(Retake::Noisy).collect()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let length =
            |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let map = subject.map.values();
        let plain = length(&mut map.iter().map(|value| f64::from(*value)));
        let mut most = 0.0f64;
        for retake in self.retakes() {
            let noisy = subject.retake(retake)?.values();
            let difference = length(&mut noisy.iter().zip(map).map(|(a, b)| f64::from(*a) - f64::from(*b)));
            most = most.max(difference / plain);
        }
        Ok(most.into())
    }
}
