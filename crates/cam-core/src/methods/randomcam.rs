use crate::noise::uniform;
use crate::{Error, Method, Seen};
use burn::Tensor;

/// Random CAM: every channel has a random weight; the baseline that a method has to beat.
///
/// $$ w_k \sim \mathcal U(-1, 1) $$
///
/// The weights depend on the seed alone, so that a map can be made again: all images of a batch get the same.
///
/// Gildenblat, *PyTorch library for CAM methods*, 2021.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomCam {
    /// Which weights are drawn.
    pub seed: u64,
}

impl RandomCam {
    /// Seed 0.
    pub const PAPER: Self = Self { seed: 0 };
}

impl Method for RandomCam {
    fn name(&self) -> &'static str {
        "randomcam"
    }

    fn paper(&self) -> &'static str {
        "https://github.com/jacobgil/pytorch-grad-cam"
    }

    fn evidence(&self, seen: &Seen<'_>) -> Result<Tensor<3>, Error> {
        let activation = seen.activation();
        let [_, channels, _] = activation.dims();
        Ok(uniform([1, channels, 1], &[[self.seed, 0]], &activation.device()) * activation)
    }
}
