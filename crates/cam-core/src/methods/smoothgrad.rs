use crate::engine::noise::normal;
use crate::{Cost, Error, Evidence, LayerContext, Method, MethodInfo, Reads};
use burn::Tensor;

/// SmoothGrad: the gradient in the input, averaged over noisy copies of it.
///
/// $$ L = \left\lvert \frac1n \sum_{i=1}^n \frac{\partial y}{\partial x} (x + \mathcal N(0, \sigma^2)) \right\rvert $$
///
/// with $\sigma$ a share of the range of each input. Magnitudes count: the sign of a gradient tells whether a number should be higher, and not
/// whether it speaks for the class. All images of a batch get the same noise but for its deviation.
///
/// Smilkov et al., *SmoothGrad: removing noise by adding noise*, 2017, section 3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmoothGrad {
    /// Which noise.
    pub noise: InputNoise,
}

/// The noise of [`SmoothGrad`] and [`VarGrad`](crate::VarGrad).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputNoise {
    /// Noisy copies of the input.
    pub samples: usize,
    /// The standard deviation, as a share of the range from the lowest to the highest number of an input.
    pub level: f64,
    /// Which noise is drawn.
    pub seed: u64,
}

impl InputNoise {
    /// The settings of SmoothGrad's paper: 50 samples, and 15 %, in the middle of the 10 % to 20 % that it recommends.
    pub const PAPER: Self = Self { samples: 50, level: 0.15, seed: 0 };

    /// Returns the sums of the gradients of noisy inputs and of their squares, each divided by the number of samples.
    pub(super) fn moments(self, layer: &LayerContext<'_>) -> Result<[Tensor<3>; 2], Error> {
        let input = layer.activation();
        let (batch, samples) = (input.dims()[0], self.samples.max(1));
        let flat = input.clone().reshape([batch as i32, -1]);
        let range: Tensor<2> = flat.clone().max_dim(1) - flat.min_dim(1);
        let range = range.unsqueeze_dim::<3>(2);
        let (mut first, mut second) = (input.zeros_like(), input.zeros_like());
        for sample in 0..samples {
            let stream = [self.seed, sample as u64];
            let noise = |shape: &[usize; 3]| {
                normal([1, shape[1], shape[2]], self.level, &[stream], &input.device()) * range.clone()
            };
            let [_, gradient] = layer.gradient_under_noise(noise)?;
            first = first + gradient.clone();
            second = second + gradient.square();
            layer.report(sample + 1, samples);
        }
        Ok([first, second].map(|sum| sum / samples as f32))
    }

    /// Returns what is declared of a method that takes this noise.
    pub(super) fn info(self, name: &'static str, title: &'static str, paper: &'static str) -> MethodInfo {
        MethodInfo::new(name, title, paper)
            .reads(Reads::Input)
            .gradient_under_noise()
            .cost(Cost::Passes(1 + 2 * self.samples as u32))
    }
}

impl SmoothGrad {
    /// The settings of the paper.
    pub const PAPER: Self = Self { noise: InputNoise::PAPER };
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for SmoothGrad {
    fn info(&self) -> MethodInfo {
        self.noise.info("smoothgrad", "SmoothGrad", "https://arxiv.org/abs/1706.03825")
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { noise: InputNoise { seed, ..self.noise } }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let [mean, _] = self.noise.moments(layer)?;
            Ok(mean.abs())
        })
    }
}
