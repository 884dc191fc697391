//! One map of several layers.

use crate::Scale;
use crate::explanation::Flat;
use burn::Tensor;

/// How the maps of several layers become one.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explainer, Explanation, Fusion, LayerCam, Nchw, Taps};
///
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("shallow", Nchw, || x);
///     let x = taps.layer("deep", Nchw, || x.square());
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// let image = Tensor::<4>::from_floats([[[[4.0, 0.0, 8.0]]]], &Device::flex());
/// let explainer = Explainer::new(&model).layer("shallow").layer("deep").method(LayerCam).fuse(Fusion::Product);
/// let found: Explanation = explainer.explain(image, &Class(0))?;
/// assert_eq!(found.maps[0].layer, "shallow + deep");
/// // Both layers have a quarter of their largest evidence at the first place.
/// let heat: Vec<f32> = found.maps[0].heat.to_data().try_to_vec().unwrap();
/// assert_eq!(heat, [0.0625, 0.0, 1.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fusion {
    /// The mean, as pytorch-grad-cam.
    Mean,
    /// The largest of the layers at each place, as LayerCAM's authors and torch-cam.
    Max,
    /// The product, which keeps what all layers agree on: RefineCAM (2026, <https://arxiv.org/abs/2605.14641>).
    Product,
    /// The largest, after each map is raised to $\tanh(\gamma L / \max L)$, which lifts weak evidence of shallow layers: LayerCAM,
    /// equation 9, where $\gamma = 2$. The explainer's scale divides by $\max L$; the least value of a rectified map is mostly zero.
    TanhMax(
        /// $\gamma$
        f32,
    ),
}

impl Fusion {
    /// The maps of each target and method, over all layers, as one; those that look at the whole network stay.
    pub(crate) fn of(self, maps: Vec<Flat>, grid: &[usize], scale: Scale) -> Vec<Flat> {
        let mut fused: Vec<(Flat, usize)> = Vec::new();
        for map in maps {
            let map = Flat { heat: self.lift(map.heat), ..map };
            match fused.iter_mut().find(|(one, _)| (one.target, one.method) == (map.target, map.method)) {
                Some((one, count)) => {
                    one.heat = self.join(one.heat.clone(), map.heat);
                    one.layer = format!("{} + {}", one.layer, map.layer);
                    *count += 1;
                }
                None => fused.push((map, 1)),
            }
        }
        let finish = |(map, count): (Flat, usize)| {
            let raw = match self {
                Self::Mean => map.heat / count as f32,
                _ => map.heat,
            };
            Flat { heat: scale.apply(raw.clone()), raw, raw_grid: grid.to_vec(), ..map }
        };
        fused.into_iter().map(finish).collect()
    }

    fn lift(self, heat: Tensor<2>) -> Tensor<2> {
        match self {
            Self::TanhMax(gamma) => (heat * gamma).tanh(),
            _ => heat,
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
