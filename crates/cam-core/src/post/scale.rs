//! What 0 and 1 stand for in a map.

use burn::Tensor;

/// What 0 and 1 stand for in a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scale {
    /// The lowest and the highest value of the map itself. A flat map becomes zeros.
    #[default]
    PerMap,
    /// The lowest and the highest value of the batch, so that its maps are comparable.
    Shared,
    /// 1 is the largest magnitude of the map and 0 stays 0, for signed maps.
    Symmetric,
    /// Leaves the numbers as they are.
    None,
}

/// A range below this share of the magnitude is rounding and no evidence.
const FLAT: f32 = 1e-6;

impl Scale {
    /// Scales maps; a map whose range is only rounding becomes zeros.
    ///
    /// # Shapes
    /// - maps, output: `[batch, positions]`
    pub fn apply(self, maps: Tensor<2>) -> Tensor<2> {
        let (low, high) = match self {
            Scale::None => return maps,
            Scale::PerMap => (maps.clone().min_dim(1), maps.clone().max_dim(1)),
            Scale::Shared => (maps.clone().min().reshape([1, 1]), maps.clone().max().reshape([1, 1])),
            Scale::Symmetric => {
                let high = maps.clone().max_abs_dim(1);
                (high.zeros_like(), high)
            }
        };
        let range = high.clone() - low.clone();
        let flat = range.clone().lower_equal(low.clone().abs().max_pair(high.abs()) * FLAT);
        let scaled = (maps - low) / range.mask_fill(flat.clone(), 1.0);
        let shape = scaled.dims();
        scaled.mask_fill(flat.expand(shape), 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn scaled<const N: usize>(scale: Scale, rows: [[f32; N]; 2]) -> Vec<f32> {
        scale.apply(Tensor::from_floats(rows, &Device::flex())).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn each_map_fills_zero_to_one_on_its_own() {
        assert_eq!(scaled(Scale::PerMap, [[1., 2., 3.], [10., 10., 30.]]), [0., 0.5, 1., 0., 0., 1.]);
    }

    #[test]
    fn a_shared_scale_keeps_the_maps_comparable() {
        assert_eq!(scaled(Scale::Shared, [[0., 1.], [2., 4.]]), [0., 0.25, 0.5, 1.]);
    }

    #[test]
    fn a_symmetric_scale_keeps_the_sign() {
        assert_eq!(scaled(Scale::Symmetric, [[-4., 1.], [0., 2.]]), [-1., 0.25, 0., 1.]);
    }

    #[test]
    fn a_flat_map_becomes_zeros_and_not_noise() {
        let rounding = 1.0 + f32::EPSILON;
        assert_eq!(scaled(Scale::PerMap, [[1., rounding], [0., 0.]]), [0.; 4]);
        assert_eq!(scaled(Scale::Symmetric, [[0., 0.], [0., 0.]]), [0.; 4]);
    }

    #[test]
    fn tiny_evidence_counts_as_much_as_large() {
        assert_eq!(scaled(Scale::PerMap, [[0., 1e-20], [0., 1e20]]), [0., 1., 0., 1.]);
    }
}
