//! How far our maps are from the stored ones.

use super::file::{Golden, largest};

/// Distances at many places, of full scale.
#[derive(Default)]
pub struct Distance(Vec<f32>);

impl Distance {
    /// At every place.
    pub fn everywhere(&self) -> &[f32] {
        &self.0
    }

    /// At the farthest place.
    pub fn farthest(&self) -> f32 {
        largest(&self.0)
    }

    /// The share of the places that are farther.
    pub fn share_beyond(&self, tolerance: f32) -> f32 {
        self.0.iter().filter(|off| **off > tolerance).count() as f32 / self.0.len() as f32
    }

    /// Adds the distances between two lists of numbers; the largest of those expected is full scale.
    pub fn add(&mut self, expected: &[f32], found: impl IntoIterator<Item = f32>) {
        let full = largest(expected).max(f32::MIN_POSITIVE);
        let before = self.0.len();
        self.0.extend(expected.iter().zip(found).map(|(a, b)| (a - b).abs() / full));
        assert_eq!(self.0.len() - before, expected.len());
    }
}

/// Our maps of a batch.
pub struct Ours {
    /// `[batch, places]`
    pub raw: Vec<f32>,
    /// `[batch, height, width]`
    pub heat: Vec<f32>,
    /// `[batch, height, width]`
    pub size: [usize; 3],
}

impl Ours {
    /// The distances from what is stored under a path: `raw` and `map`. `signless`: the sign of the reference's is an accident.
    pub fn distance(&self, golden: &Golden, path: &str, step: usize, signless: bool) -> Distance {
        let [batch, height, width] = self.size;
        let mut distance = Distance::default();
        for image in 0..batch {
            let mut negated = false;
            if let Some(expected) = golden.get(&format!("{path}/raw")) {
                let (expected, raw) = (part(expected, image, batch), part(&self.raw, image, batch));
                let agreement: f32 = expected.iter().zip(raw).map(|(a, b)| a * b).sum();
                negated = signless && agreement < 0.0;
                let sign = if negated { -1.0 } else { 1.0 };
                distance.add(expected, raw.iter().map(|x| sign * x));
            }
            let map = if negated { "map_negated" } else { "map" };
            if let Some(expected) = golden.get(&format!("{path}/{map}")) {
                let heat = part(&self.heat, image, batch);
                let every = thinned(heat, [height, width], step).collect::<Vec<_>>();
                let expected = part(expected, image, batch);
                assert_eq!(expected.len(), every.len(), "{path}");
                // A map is between 0 and 1 whatever its largest value is.
                distance.0.extend(expected.iter().zip(every).map(|(a, b)| (a - b).abs()));
            }
        }
        assert!(!distance.0.is_empty(), "nothing is stored of {path}");
        distance
    }
}

/// The part of one image of a batch.
pub fn part(numbers: &[f32], image: usize, batch: usize) -> &[f32] {
    let size = numbers.len() / batch;
    &numbers[image * size..][..size]
}

/// Every `step`-th row and column of planes `[.., height, width]`.
pub fn thinned(planes: &[f32], [height, width]: [usize; 2], step: usize) -> impl Iterator<Item = f32> + '_ {
    planes.chunks_exact(height * width).flat_map(move |plane| {
        plane.chunks_exact(width).step_by(step).flat_map(move |row| row.iter().step_by(step).copied())
    })
}
