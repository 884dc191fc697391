//! From signed evidence to the numbers a picture shows: which sign is kept, and what 1 stands for.

use burn::Tensor;

/// Which sign of the evidence is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rectify {
    /// What speaks for the target: $\max(L, 0)$, as the papers have it.
    #[default]
    Positive,
    /// What speaks against the target: $\max(-L, 0)$, the counterfactual map.
    Negative,
    /// How much there is, for or against: $|L|$.
    Absolute,
    /// Everything, signed.
    Signed,
}

/// What 0 and 1 stand for in a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// The lowest and the highest value of the map itself. A flat map becomes zeros.
    #[default]
    PerMap,
    /// The lowest and the highest value of the batch, so that its maps can be compared.
    Shared,
    /// 1 is the largest magnitude of the map and 0 stays 0, for signed maps.
    Symmetric,
    /// The numbers as they are.
    None,
}

impl Rectify {
    /// Keeps the sign.
    ///
    /// # Shapes
    /// - maps, output: `[batch, positions]`
    pub fn apply(self, maps: Tensor<2>) -> Tensor<2> {
        match self {
            Rectify::Positive => maps.clamp_min(0.0),
            Rectify::Negative => maps.neg().clamp_min(0.0),
            Rectify::Absolute => maps.abs(),
            Rectify::Signed => maps,
        }
    }
}

/// A range below this share of the magnitude is rounding, not evidence.
const FLAT: f32 = 1e-6;

impl Scale {
    /// Scales maps; one whose range is but rounding becomes zeros.
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

    #[test]
    fn the_sign_that_is_asked_for_is_kept() {
        let maps = Tensor::<2>::from_floats([[-2., 3.]], &Device::flex());
        let kept = |r: Rectify| r.apply(maps.clone()).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(kept(Rectify::Positive), [0., 3.]);
        assert_eq!(kept(Rectify::Negative), [2., 0.]);
        assert_eq!(kept(Rectify::Absolute), [2., 3.]);
        assert_eq!(kept(Rectify::Signed), [-2., 3.]);
    }
}
