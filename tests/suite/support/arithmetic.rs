//! How far the numbers of a device may be off.

use super::device;
use burn::tensor::Tensor;
use std::sync::OnceLock;

/// What one rounding costs, of 1, in TF32 and f16: half a unit of their ten bits.
pub const TEN_BITS: f32 = 4.9e-4;

/// How many roundings the mean difference of a map may have: a network of a dozen layers adds some up.
pub const ROUNDINGS: f32 = 16.0;

/// Whether the device of the tests rounds what it multiplies to TF32, as Burn does with f32 on the tensor cores of NVIDIA's cards from Ampere
/// on. Kernels are chosen by shape, so several are asked.
pub fn is_tf32() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // It is 1 with ten bits.
        let factor = 1.0 + 2f32.powi(-12);
        [64, 256, 1024].into_iter().any(|side| {
            let square = Tensor::<2>::full([side, side], factor, &device());
            let product = square.clone().matmul(square).mean().into_scalar::<f32>() / side as f32;
            (product - factor * factor).abs() > TEN_BITS / 2.0
        })
    })
}

/// How far the results of one network are off, of full scale, one of each method or layer.
#[derive(Default)]
pub struct Differences(Vec<Difference>);

struct Difference {
    what: String,
    mean: f32,
    most: f32,
    allowed: f32,
}

impl Differences {
    /// Takes in a result that is off by these at its places, and may be by `allowed` at the farthest.
    pub fn add(&mut self, what: impl Into<String>, off: &[f32], allowed: f32) {
        let most =
            off.iter().fold(0.0, |most: f32, off| if most.is_nan() || most > *off { most } else { *off });
        let mean = off.iter().sum::<f32>() / off.len() as f32;
        self.0.push(Difference { what: what.into(), mean, most, allowed });
    }

    /// Holds each to what it may be off. In TF32 single ones are not to be held to anything, as where a component's sign is nearly a tie; the one in
    /// the middle may be a few roundings off in the mean.
    #[track_caller]
    pub fn judge(&self) {
        assert!(!self.0.is_empty(), "nothing was compared");
        for Difference { what, mean, most, allowed } in &self.0 {
            println!("{most:.1e} of {allowed:.1e} allowed, {mean:.1e} in the mean: {what}");
        }
        let wrong = match is_tf32() {
            true => self.wrong_in_the_middle(),
            false => self.0.iter().filter(|one| one.most.is_nan() || one.most > one.allowed).collect(),
        };
        let wrong: Vec<&str> = wrong.iter().map(|one| one.what.as_str()).collect();
        assert!(wrong.is_empty(), "too far off: {wrong:#?}");
    }

    fn wrong_in_the_middle(&self) -> Vec<&Difference> {
        let mut all: Vec<&Difference> = self.0.iter().collect();
        all.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        let middle = all[all.len() / 2];
        println!("in TF32: {:.1e} in the mean in the middle, {}", middle.mean, middle.what);
        let fine = middle.mean <= ROUNDINGS * TEN_BITS && all.iter().all(|one| one.mean.is_finite());
        if fine { Vec::new() } else { vec![middle] }
    }
}
