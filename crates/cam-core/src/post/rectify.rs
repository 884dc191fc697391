//! Which sign of the evidence is kept.

use burn::Tensor;

/// Which sign of the evidence is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rectify {
    /// The evidence for the target: $\max(L, 0)$, as in the papers.
    #[default]
    Positive,
    /// The evidence against the target: $\max(-L, 0)$, the counterfactual map.
    Negative,
    /// The magnitude of the evidence, for or against: $|L|$.
    Absolute,
    /// Everything, with its sign.
    Signed,
}

impl Rectify {
    /// Keeps this sign.
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

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
