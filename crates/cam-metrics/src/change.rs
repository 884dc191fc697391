//! Changed copies of an input, whose scores metrics read.

use crate::{Imputation, Map, impute};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// An input on the host, as the model gets it: channel by channel, row by row.
#[derive(Debug)]
pub struct Pixels {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
    blurred: OnceLock<Vec<f32>>,
}

impl Pixels {
    /// Makes an input of `channels * height * width` values.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) if they are not as many.
    pub fn new(channels: usize, height: usize, width: usize, values: Vec<f32>) -> Result<Self, crate::Error> {
        match values.len() == channels * height * width {
            true => Ok(Self { channels, height, width, values, blurred: OnceLock::new() }),
            false => Err(crate::Error::Length { height, width, found: values.len() }),
        }
    }

    /// Returns the number of channels, the height and the width.
    pub fn dims(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Returns the values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the input blurred by a Gaussian of 11 x 11 pixels and a standard deviation of 5, with zeros beyond its borders: the
    /// baseline of insertion in the code of RISE.
    pub fn blurred(&self) -> &[f32] {
        self.blurred.get_or_init(|| {
            let weights: Vec<f64> = (-5..=5).map(|x: i32| (-f64::from(x * x) / 50.0).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let along = |values: &[f32], step: usize, place: &dyn Fn(usize) -> usize, length: usize| {
                let blur = |at: usize| {
                    let here = place(at);
                    let sum_of = |(weight, shift): (&f64, i64)| {
                        let other = here as i64 + shift;
                        let inside = (0..length as i64).contains(&other);
                        let at = at as i64 + shift * step as i64;
                        if inside { weight / sum * f64::from(values[at as usize]) } else { 0.0 }
                    };
                    weights.iter().zip(-5..).map(sum_of).sum::<f64>() as f32
                };
                (0..values.len()).map(blur).collect::<Vec<f32>>()
            };
            let rows = along(&self.values, 1, &|at| at % self.width, self.width);
            along(&rows, self.width, &|at| at / self.width % self.height, self.height)
        })
    }
}

/// What is put where something of an input is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Baseline {
    /// Zeros of the normalized input: the mean color.
    #[default]
    Zero,
    /// The input [blurred](Pixels::blurred).
    Blurred,
}

/// Which pixels are taken away first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The most relevant.
    MostRelevant,
    /// The least relevant.
    LeastRelevant,
}

/// A changed copy of an input: what to make of the input and a map. Copies with the same key are the same and are run once.
#[derive(Clone)]
pub struct Change {
    key: Cow<'static, str>,
    reads_map: bool,
    make: Make,
}

type Make = Arc<dyn Fn(&Pixels, &Map) -> Changed + Send + Sync>;

/// A changed copy, to be made on the device.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Changed {
    /// The input where `keep` is 1 and a baseline where it is 0; between them a mixture of both. One value for each pixel.
    Mixed {
        /// How much of the input is kept.
        keep: Vec<f32>,
        /// What is beneath.
        baseline: Baseline,
    },
    /// All values of the copy, channel by channel.
    Values(Vec<f32>),
}

/// The key of the input itself.
const PLAIN: &str = "plain";

impl Change {
    /// Makes a change of a function of the input and the map. The key says what it does, and all that it depends on besides these two.
    pub fn new(
        key: impl Into<Cow<'static, str>>,
        make: impl Fn(&Pixels, &Map) -> Changed + Send + Sync + 'static,
    ) -> Self {
        Self { key: key.into(), reads_map: true, make: Arc::new(make) }
    }

    /// Declares that the map does not matter, so that one copy does for all maps of an image.
    pub fn without_map(self) -> Self {
        Self { reads_map: false, ..self }
    }

    /// The input as it is.
    pub fn plain() -> Self {
        let all = |pixels: &Pixels, _: &Map| keep(vec![1.0; pixels.height * pixels.width], Baseline::Zero);
        Self::new(PLAIN, all).without_map()
    }

    /// The input times the map.
    pub fn masked() -> Self {
        Self::new("masked", |_, map| keep(map.values().to_vec(), Baseline::Zero))
    }

    /// The input with the most relevant `step / steps` of its pixels in place, and the baseline elsewhere: insertion.
    pub fn inserted(step: usize, steps: usize, baseline: Baseline) -> Self {
        Self::first(step, steps, baseline, true)
    }

    /// The input without the most relevant `step / steps` of its pixels, and the baseline there: deletion.
    pub fn deleted(step: usize, steps: usize, baseline: Baseline) -> Self {
        Self::first(step, steps, baseline, false)
    }

    fn first(step: usize, steps: usize, baseline: Baseline, kept: bool) -> Self {
        let (none, all) = (step == 0, step >= steps);
        match (kept, none, all) {
            (true, _, true) | (false, true, _) => return Self::plain(),
            (true, true, _) | (false, _, true) => {
                let nothing =
                    move |pixels: &Pixels, _: &Map| keep(vec![0.0; pixels.height * pixels.width], baseline);
                return Self::new(format!("baseline {baseline:?}"), nothing).without_map();
            }
            _ => {}
        }
        let verb = if kept { "insert" } else { "delete" };
        Self::new(format!("{verb} {step}/{steps} {baseline:?}"), move |_, map| {
            let order = map.descending();
            let count = (order.len() * step + steps / 2) / steps;
            let (inside, outside) = if kept { (1.0, 0.0) } else { (0.0, 1.0) };
            let mut kept = vec![outside; order.len()];
            order[..count].iter().for_each(|&at| kept[at as usize] = inside);
            keep(kept, baseline)
        })
    }

    /// The input without the share of its pixels that is first in this order, which are imputed from their neighbors, with noise:
    /// remove and debias (ROAD). `percentile` is how many percent stay, as pytorch-grad-cam counts.
    pub fn imputed(order: Order, percentile: u32, imputation: Imputation) -> Self {
        Self::new(format!("impute {order:?} {percentile} {imputation:?}"), move |pixels, map| {
            let descending = map.descending();
            let last = descending.len().saturating_sub(1);
            let stay = (last * percentile as usize).div_ceil(100).max(1);
            let mut known = vec![false; descending.len()];
            let kept = match order {
                Order::MostRelevant => &descending[descending.len() - stay..],
                Order::LeastRelevant => &descending[..stay],
            };
            kept.iter().for_each(|&at| known[at as usize] = true);
            Changed::Values(impute(pixels, &known, imputation))
        })
    }

    /// The input with zeros in a random half of the cells of a grid; see [`Cells`].
    pub(crate) fn without_cells(cells: Cells) -> Self {
        Self::new(cells.key(), move |pixels, _| {
            let [_, height, width] = pixels.dims();
            let removed = cells.removed(height, width);
            keep(removed.iter().map(|removed| if *removed { 0.0 } else { 1.0 }).collect(), Baseline::Zero)
        })
        .without_map()
    }

    /// Returns what tells it from other changes.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns whether the map matters.
    pub fn reads_map(&self) -> bool {
        self.reads_map
    }

    /// Returns whether it is the input itself.
    pub fn is_plain(&self) -> bool {
        self.key == PLAIN
    }

    /// Makes the copy.
    pub fn make(&self, pixels: &Pixels, map: &Map) -> Changed {
        (self.make)(pixels, map)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Change").field(&self.key).finish()
    }
}

fn keep(keep: Vec<f32>, baseline: Baseline) -> Changed {
    Changed::Mixed { keep, baseline }
}

/// A random subset of the cells of a square grid over the input, which is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cells {
    /// Cells along each side.
    pub side: usize,
    /// How many are taken away.
    pub count: usize,
    /// Which of the samples it is.
    pub sample: u64,
}

impl Cells {
    fn key(self) -> String {
        let Self { side, count, sample } = self;
        format!("without {count} of {side} x {side} cells, {sample}")
    }

    /// Returns which pixels are taken away.
    pub fn removed(self, height: usize, width: usize) -> Vec<bool> {
        let all = self.side * self.side;
        // A subset of the cells is those whose numbers are lowest.
        let mut order: Vec<usize> = (0..all).collect();
        order.sort_by_key(|&cell| hash(self.sample, cell as u64));
        let mut cells = vec![false; all];
        order[..self.count.min(all)].iter().for_each(|&cell| cells[cell] = true);
        let cell = |at: usize| {
            let (row, column) = (at / width * self.side / height, at % width * self.side / width);
            cells[row * self.side + column]
        };
        (0..height * width).map(cell).collect()
    }
}

/// Mixes two numbers into one (splitmix64): random numbers that any language computes in a line.
pub(crate) fn hash(stream: u64, index: u64) -> u64 {
    let step = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mix = |z: u64| {
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(step(stream + 1)).wrapping_add(step(index + 1)))
}

/// Draws numbers of the standard normal distribution: the same for a stream in every run.
pub(crate) fn normal(seed: u64, stream: u64) -> impl Iterator<Item = f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    <StandardNormal as Distribution<f32>>::sample_iter(StandardNormal, rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[f32]) -> Map {
        Map::new(1, values.len(), values.to_vec()).unwrap()
    }

    #[test]
    fn insertion_and_deletion_take_the_most_relevant_first() {
        let pixels = Pixels::new(1, 1, 4, vec![1.0; 4]).unwrap();
        let map = map(&[0.2, 0.9, 0.1, 0.5]);
        let kept = |change: Change| match change.make(&pixels, &map) {
            Changed::Mixed { keep, .. } => keep,
            Changed::Values(_) => unreachable!("a mixture"),
        };
        assert_eq!(kept(Change::inserted(1, 4, Baseline::Zero)), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(kept(Change::deleted(2, 4, Baseline::Zero)), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(kept(Change::deleted(4, 4, Baseline::Zero)), [0.0; 4]);
        assert!(
            Change::inserted(4, 4, Baseline::Blurred).is_plain()
                && Change::deleted(0, 4, Baseline::Zero).is_plain()
        );
        // The ends of both curves are one copy each, for every map.
        assert_eq!(Change::inserted(0, 4, Baseline::Zero).key(), Change::deleted(4, 4, Baseline::Zero).key());
        assert!(!Change::inserted(0, 4, Baseline::Zero).reads_map());
    }

    #[test]
    fn a_blur_is_the_sum_over_its_window() {
        let (height, width) = (13, 9);
        let values: Vec<f32> =
            (0..2 * height * width).map(|i| (i * 7919 % 101) as f32 / 50.0 - 1.0).collect();
        let pixels = Pixels::new(2, height, width, values.clone()).unwrap();
        let weight = |x: i64, y: i64| (-((x * x + y * y) as f64) / 50.0).exp();
        let sum: f64 = (-5..=5).flat_map(|y| (-5..=5).map(move |x| weight(x, y))).sum();
        for at in 0..values.len() {
            let (c, y, x) = (at / (height * width), at / width % height, at % width);
            let mut slow = 0.0;
            for dy in -5..=5i64 {
                for dx in -5..=5i64 {
                    let (y, x) = (y as i64 + dy, x as i64 + dx);
                    if (0..height as i64).contains(&y) && (0..width as i64).contains(&x) {
                        let value = values[c * height * width + y as usize * width + x as usize];
                        slow += weight(dx, dy) / sum * f64::from(value);
                    }
                }
            }
            assert!((slow - f64::from(pixels.blurred()[at])).abs() < 1e-6);
        }
    }

    #[test]
    fn as_many_cells_as_asked_are_taken_away() {
        let cells = |sample| Cells { side: 4, count: 5, sample }.removed(8, 8);
        for sample in 0..20 {
            assert_eq!(cells(sample).iter().filter(|removed| **removed).count(), 5 * 4);
        }
        assert_ne!(cells(0), cells(1));
        assert_eq!(cells(3), cells(3));
    }
}
