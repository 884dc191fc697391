//! One map of several layers.

use super::explain::{Explain, Running};
use super::wrapper::{Wrapper, WrapperInfo};
use crate::{FlatMaps, Input, Target};
use burn::Tensor;

/// How the maps of several layers become one, for each target and method.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, Fusion, LayerCam, Nchw, Taps};
///
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("shallow", Nchw, || x);
///     let x = taps.layer("deep", Nchw, || x.square());
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0, 8.0]]]], &Device::flex());
/// let explainer = Explainer::new(&model).layer("shallow").layer("deep").method(LayerCam).wrap(Fusion::Product);
/// let explanation: Explanation = explainer.explain(image, &Class(0))?;
/// assert_eq!(explanation.maps[0].layer, "shallow + deep");
/// // Both layers have a quarter of their largest evidence at the first position.
/// let heatmap: Vec<f32> = explanation.maps[0].heatmap.to_data().try_to_vec().unwrap();
/// assert_eq!(heatmap, [0.0625, 0.0, 1.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Fusion {
    /// The mean, as in pytorch-grad-cam.
    Mean,
    /// The largest of the layers at each position, as in torch-cam and by LayerCAM's authors.
    Max,
    /// The product, which keeps what all layers agree on: RefineCAM (2026, <https://arxiv.org/abs/2605.14641>).
    Product,
    /// The largest, after each map is replaced by $\tanh(\gamma L / \max L)$, which lifts weak evidence of shallow layers: LayerCAM,
    /// equation 9, where $\gamma = 2$. The explainer's scale divides by $\max L$; the lowest value of a rectified map is mostly zero.
    TanhMax(
        /// $\gamma$
        f32,
    ),
}

impl<I: Input, O: 'static> Wrapper<I, O> for Fusion {
    fn info(&self) -> WrapperInfo {
        match self {
            Self::Mean => WrapperInfo::new("mean", "Mean of the layers", ""),
            Self::Max => WrapperInfo::new("max", "Maximum of the layers", ""),
            Self::Product => WrapperInfo::new("product", "RefineCAM", "https://arxiv.org/abs/2605.14641"),
            Self::TanhMax(_) => {
                WrapperInfo::new("tanh", "LayerCAM fusion", "https://ieeexplore.ieee.org/document/9462463")
            }
        }
    }

    fn run<'a>(
        &'a self,
        inner: &'a dyn Explain<I, O>,
        input: I,
        targets: &'a [&'a dyn Target<O>],
    ) -> Running<'a, O> {
        Box::pin(async move {
            let mut run = inner.run(input, targets).await?;
            let scale = |maps| inner.inference().scale(maps);
            run.maps = self.fuse(run.maps, &run.grid, scale);
            Ok(run)
        })
    }
}

impl Fusion {
    /// Fuses the maps of each target and method.
    fn fuse(
        self,
        maps: Vec<FlatMaps>,
        grid: &[usize],
        scale: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Vec<FlatMaps> {
        let mut fused: Vec<(FlatMaps, usize)> = Vec::new();
        for map in maps {
            let map = FlatMaps { heatmap: self.lift(map.heatmap), ..map };
            let is_like = |other: &FlatMaps| (other.target, other.method) == (map.target, map.method);
            match fused.iter_mut().find(|(other, _)| is_like(other)) {
                Some((other, count)) => {
                    other.heatmap = self.join(other.heatmap.clone(), map.heatmap);
                    other.layer = format!("{} + {}", other.layer, map.layer);
                    *count += 1;
                }
                None => fused.push((map, 1)),
            }
        }
        let finish = |(map, count): (FlatMaps, usize)| {
            let raw = match self {
                Self::Mean => map.heatmap / count as f32,
                _ => map.heatmap,
            };
            FlatMaps { heatmap: scale(raw.clone()), raw, raw_grid: grid.to_vec(), ..map }
        };
        fused.into_iter().map(finish).collect()
    }

    fn lift(self, heatmap: Tensor<2>) -> Tensor<2> {
        match self {
            Self::TanhMax(gamma) => (heatmap * gamma).tanh(),
            _ => heatmap,
        }
    }

    fn join(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mean => a + b,
            Self::Product => a * b,
            Self::Max | Self::TanhMax(_) => a.max_pair(b),
        }
    }
}
