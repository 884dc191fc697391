//! Seeded random numbers that never change.
//!
//! ChaCha with eight rounds is a published stream; the steps from its words to numbers are written
//! out here, so that neither a new generator nor a new distribution upstream can move a scene.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One stream of random numbers of a scene.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// Stream number `stream` of the scene `seed`: streams of one seed do not depend on each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// A number in `[low, high)`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// `value` moved by up to `spread` either way.
    pub(crate) fn about(&mut self, value: f32, spread: f32) -> f32 {
        self.between(value - spread, value + spread)
    }

    /// A whole number in `0..count`; 0 when `count` is 0.
    pub(crate) fn below(&mut self, count: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(count)) >> 32) as u32
    }

    /// A whole number in `low..=high`.
    pub(crate) fn whole(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True with probability `share`.
    pub(crate) fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    /// An angle in radians, in `[0, 2 pi)`.
    pub(crate) fn angle(&mut self) -> f32 {
        self.between(0.0, std::f32::consts::TAU)
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0, "nothing to pick from") };
        choices[self.below(N as u32) as usize]
    }

    /// `into` filled with random bytes.
    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        self.0.fill_bytes(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(7, 0);
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&dice.unit()));
            assert!(dice.below(3) < 3);
            assert!((2..=5).contains(&dice.whole(2, 5)));
        }
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn the_stream_never_changes() {
        let mut dice = Dice::new(42, 3);
        assert_eq!([0; 6].map(|_| dice.below(1_000_000)), [274511, 456762, 239411, 671962, 409216, 871822]);
    }

    #[test]
    fn streams_and_seeds_differ() {
        let first = |seed, stream| Dice::new(seed, stream).unit();
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
        assert_eq!(first(1, 0), first(1, 0));
    }
}
