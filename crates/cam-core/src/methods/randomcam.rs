use crate::engine::noise::uniform;
use crate::{Evidence, LayerContext, Method, MethodInfo};

/// Random CAM: every channel has a random weight; the baseline that a method has to beat.
///
/// $$ w_k \sim \mathcal U(-1, 1) $$
///
/// The weights depend on the seed alone, so that a map can be reproduced: all images of a batch get the same weights.
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
    fn info(&self) -> MethodInfo {
        MethodInfo::new("randomcam", "Random CAM", "https://github.com/jacobgil/pytorch-grad-cam")
            .without_class()
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { seed }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = layer.activation();
            let [_, channels, _] = activation.dims();
            Ok(uniform([1, channels, 1], &[[self.seed, 0]], &activation.device()) * activation)
        })
    }
}
