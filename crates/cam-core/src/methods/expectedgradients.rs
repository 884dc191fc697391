use crate::engine::noise::{shares, uniform};
use crate::{Cost, Evidence, LayerContext, Method, MethodInfo, Reads};
use burn::Tensor;

/// Expected gradients: integrated gradients from many baselines, each at one place on the way.
///
/// $$ L = \frac1n \sum_{i=1}^n (x - x'_i) \odot \frac{\partial y}{\partial x} (x'_i + \alpha_i (x - x'_i)),
///    \qquad \alpha_i \sim \mathcal U(0, 1) $$
///
/// The baselines are drawn: each number evenly between the lowest and the highest of its channel in this input, so that no color is taken for
/// nothing, as the one baseline of [`IntegratedGradients`](crate::IntegratedGradients) is. In the mean over many the evidence sums to
/// $y(x) - \mathrm{mean}\thinspace y(x'_i)$. The places on the way are spread evenly, one in each $n$-th part.
///
/// Erion et al., *Improving performance of deep learning models with axiomatic attribution priors and expected gradients*, Nature Machine
/// Intelligence 2021, equation 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedGradients {
    /// $n$
    pub samples: usize,
    /// Which baselines are drawn.
    pub seed: u64,
}

impl ExpectedGradients {
    /// One hundred samples.
    pub const PAPER: Self = Self { samples: 100, seed: 0 };
}

impl Default for ExpectedGradients {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for ExpectedGradients {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("expectedgradients", "Expected gradients", "https://arxiv.org/abs/1906.10670")
            .reads(Reads::Input)
            .gradient_under_noise()
            .cost(Cost::Passes(1 + 2 * self.samples as u32))
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { seed, ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let (input, samples) = (layer.activation(), self.samples.max(1));
            let ([_, channels, positions], device) = (input.dims(), input.device());
            let (low, high) = (input.clone().min_dim(2), input.clone().max_dim(2));
            let (middle, half) = ((low.clone() + high.clone()) / 2.0, (high - low) / 2.0);
            let within = shares(samples, [self.seed, u64::MAX]);
            let mut sum: Tensor<3> = input.zeros_like();
            for (sample, within) in within.into_iter().enumerate() {
                let drawn = uniform([1, channels, positions], &[[self.seed, sample as u64]], &device);
                let way = input.clone() - (drawn * half.clone() + middle.clone());
                let back = 1.0 - (sample as f32 + within) / samples as f32;
                let [_, gradient] = layer.gradient_under_noise(|_| way.clone() * -back)?;
                sum = sum + way * gradient;
                layer.report(sample + 1, samples);
            }
            Ok(sum / samples as f32)
        })
    }
}
