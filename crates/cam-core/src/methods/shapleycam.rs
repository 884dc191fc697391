use crate::{Cost, Evidence, LayerContext, Method, MethodInfo};

/// ShapleyCAM: the weight of a channel is its mean gradient, minus half of what the curvature takes from it.
///
/// $$ w_k = \frac{1}{HW} \sum_{i,j} \left(g - \tfrac12 H A\right)\_{kij}, \qquad
///    H A = \left. \frac{\partial}{\partial t} g(A (1 + t)) \right|\_{t = 0} $$
///
/// with $g$ the gradient and $H$ the Hessian of the score in the activation: its product with the activation itself is the change
/// of the gradient along it, here by central differences over two steps, which four more backward passes of the tail give. If the part of the network after the
/// layer is linear, it is zero and the map is that of Grad-CAM; the paper explains a log-odds score ([`LogOdds`](crate::LogOdds)),
/// which is not linear.
///
/// ReLUs are held to what they let through in plain inference if the network names them with
/// [`Taps::relu`](crate::Taps::relu). Of others the difference counts the corners within its step, however small, as curvature,
/// which a derivative at a point does not.
///
/// Cai, *CAMs as Shapley Value-based Explainers*, 2025, equation 14.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShapleyCam;

/// The step along the activation. The error of the differences is of the order of its fourth power; rounding adds 1e-7 over it.
const STEP: f32 = 1e-2;

impl Method for ShapleyCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("shapleycam", "ShapleyCAM", "https://arxiv.org/abs/2501.06261")
            .gradient()
            .second_order()
            .cost(Cost::Passes(5))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            Ok((layer.gradient()? - layer.curvature(STEP)? * 0.5).mean_dim(2) * layer.activation())
        })
    }
}
