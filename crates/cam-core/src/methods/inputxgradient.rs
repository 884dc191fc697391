use crate::{Evidence, LayerContext, Method, MethodInfo, Reads};

/// Input x Gradient: each number of the input counts with its own gradient. It is HiResCAM at the input.
///
/// $$ L = \frac{\partial y}{\partial x} \odot x $$
///
/// Zero is what an input is compared with: the mean color, where inputs are normalized. If the network is piecewise linear and has no biases,
/// the evidence sums to the score.
///
/// Shrikumar et al., *Not Just a Black Box: Learning Important Features Through Propagating Activation Differences*, 2016, section 3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputXGradient;

impl Method for InputXGradient {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("inputxgradient", "Input x Gradient", "https://arxiv.org/abs/1605.01713")
            .reads(Reads::Input)
            .gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(layer.gradient()? * layer.activation()) })
    }
}
