use super::gradcamplusplus::bounded;
use crate::engine::noise::normal;
use crate::{Cost, Evidence, LayerContext, Method, MethodInfo};
use burn::Tensor;

/// Smooth Grad-CAM++: Grad-CAM++ with its derivatives averaged over noisy copies of the input.
///
/// $$ w_k = \sum_{i,j} \alpha_{kij}\thinspace \mathrm{relu}\left(\overline{g}\_{kij}\right), \qquad
///    \alpha\_{kij} = \frac{\overline{g^2}}{2\thinspace \overline{g^2} + \overline{g^3} \sum_{a,b} A_{kab}} $$
///
/// with the mean over $n$ inputs $x + \mathcal N(0, \sigma^2)$, and $A$ the activation of the input itself. All images of a batch
/// get the same noise, so that their maps do not depend on each other.
///
/// Omeiza et al., *Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for Deep Convolutional Neural Network
/// Models*, 2019, equations 8 to 10.
#[derive(Debug, Clone, Copy)]
pub struct SmoothGradCamPlusPlus {
    /// Noisy copies of the input.
    pub samples: usize,
    /// The standard deviation of the noise, in the units of the input as the network gets it.
    pub sigma: f64,
    /// Which noise is drawn.
    pub seed: u64,
    /// Whether $\overline{g^3} \sum A$ counts as zero if it is negative, so that $\alpha$ is at most a half.
    pub bounded: bool,
}

impl SmoothGradCamPlusPlus {
    /// The paper's formula with the settings of torch-cam, 4 samples and deviation 0.3, as it names none. The denominator passes zero
    /// if a channel sums to a negative number, or if most gradients are positive and a few far more negative.
    pub const PAPER: Self = Self { samples: 4, sigma: 0.3, seed: 0, bounded: false };

    /// The same without poles: rounding alone moves the paper's by a tenth of full scale in a trained ViT.
    pub const BOUNDED: Self = Self { bounded: true, ..Self::PAPER };
}

impl Default for SmoothGradCamPlusPlus {
    fn default() -> Self {
        Self::BOUNDED
    }
}

impl Method for SmoothGradCamPlusPlus {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("smoothgradcam++", "Smooth Grad-CAM++", "https://arxiv.org/abs/1908.01224")
            .gradient_under_noise()
            .cost(Cost::Passes(1 + 2 * self.samples as u32))
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { seed, ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = layer.activation();
            let samples = self.samples.max(1);
            let mut powers: Option<[Tensor<3>; 3]> = None;
            for index in 0..samples {
                let stream = [self.seed, index as u64];
                let [_, g] = layer.gradient_under_noise(|shape| {
                    normal([1, shape[1], shape[2]], self.sigma, &[stream], &activation.device())
                })?;
                let sample = [g.clone(), g.clone().square(), g.clone().square() * g];
                powers = Some(match powers {
                    None => sample,
                    Some([a, b, c]) => {
                        let [x, y, z] = sample;
                        [a + x, b + y, c + z]
                    }
                });
            }
            let Some(powers) = powers else { return Ok(activation) };
            let [first, second, third] = powers.map(|sum| sum / samples as f32);
            let added = bounded(third * activation.clone().sum_dim(2), self.bounded);
            let denominator = second.clone() * 2.0 + added;
            let undefined = denominator.clone().equal_elem(0.0);
            let alpha = (second / denominator.mask_fill(undefined.clone(), 1.0)).mask_fill(undefined, 0.0);
            Ok((alpha * first.clamp_min(0.0)).sum_dim(2) * activation)
        })
    }
}
