//! A baseline that looks at the middle of every image.

use burn::Tensor;
use burn::tensor::TensorData;
use cam_core::{Evidence, LayerContext, Method, MethodInfo, Reads};

/// A Gaussian around the center of the input, whatever is in it: photographers put objects there, so that it is the baseline that a
/// method has to beat in localization. Its standard deviation is a quarter of each side.
///
/// $$ L_{xy} = \exp\left(-\frac{(x - \frac12)^2 + (y - \frac12)^2}{2 \cdot 0.25^2}\right) $$
///
/// with $x$ and $y$ as shares of the width and the height. Judd et al., *Learning to Predict Where Humans Look*, ICCV 2009, compare with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CenteredGaussian;

impl Method for CenteredGaussian {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("gaussian", "Centered Gaussian", "https://doi.org/10.1109/ICCV.2009.5459462")
            .without_class()
            .reads(Reads::Input)
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        const SIGMA: f64 = 0.25;
        Box::pin(async move {
            let (batch, device) = (layer.activation().dims()[0], layer.activation().device());
            let grid = layer.grid().to_vec();
            let positions = grid.iter().product();
            let value = |mut at: usize| {
                let mut distance = 0.0;
                for size in grid.iter().rev() {
                    distance += ((at % size) as f64 / *size as f64 + 0.5 / *size as f64 - 0.5).powi(2);
                    at /= size;
                }
                (-distance / (2.0 * SIGMA * SIGMA)).exp() as f32
            };
            let values: Vec<f32> = (0..positions).map(value).collect();
            let map = Tensor::<3>::from_data(TensorData::new(values, [1, 1, positions]), &device);
            Ok(map.expand([batch, 1, positions]))
        })
    }
}
