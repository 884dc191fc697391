use crate::{Evidence, LayerContext, Method, MethodInfo};

/// CAM: the weight of a channel is its weight in the linear classifier that follows the global average pooling.
///
/// $$ L = \sum_k w^c_k A_k, \qquad y^c = b^c + \sum_k w^c_k \frac{1}{HW} \sum_{i,j} A_{kij} $$
///
/// The weights are read off the network by [`LayerContext::linear_head`], which checks that a global average pooling and a linear layer
/// are all that follows.
///
/// Zhou et al., *Learning Deep Features for Discriminative Localization*, CVPR 2016, equations 1 and 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cam;

impl Method for Cam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("cam", "CAM", "https://arxiv.org/abs/1512.04150").linear_head()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(layer.linear_head()? * layer.activation()) })
    }
}
