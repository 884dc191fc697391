//! The hot regions of a map: pixels that reach a threshold, together where they touch (also at a corner).
//!
//! Otsu's threshold parts the values into a cold and a hot class such that the variance between the classes is largest:
//!
//! ```text
//! n_cold * n_hot * (mean_cold - mean_hot)^2
//! ```
//!
//! Otsu, *A Threshold Selection Method from Gray-Level Histograms*, IEEE Transactions on Systems, Man, and Cybernetics, 1979.

use crate::{Area, Error, HeatMap};
use std::{fmt, str::FromStr};

/// From which value on a place is hot.
///
/// ```
/// use cam_viz::{HeatMap, Threshold};
///
/// let heat = HeatMap::new(4, 1, [0.0, 0.1, 0.7, 1.0])?;
/// assert_eq!("0.8".parse::<Threshold>()?.of(&heat), 0.8);
/// let otsu = "otsu".parse::<Threshold>()?.of(&heat);
/// assert!(0.1 < otsu && otsu <= 0.7);
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Threshold {
    /// This value. The default is 0.5.
    Value(f32),
    /// What parts the values of the map best into cold and hot ones. Where all are the same, none is hot.
    Otsu,
}

impl Threshold {
    /// The threshold for this map.
    pub fn of(self, map: &HeatMap) -> f32 {
        match self {
            Self::Value(value) => value,
            Self::Otsu => otsu(map),
        }
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Value(0.5)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Otsu => f.pad("otsu"),
        }
    }
}

impl FromStr for Threshold {
    type Err = Error;

    /// A finite number, or `otsu`; capitals do not matter.
    fn from_str(given: &str) -> Result<Self, Error> {
        if given.eq_ignore_ascii_case("otsu") {
            return Ok(Self::Otsu);
        }
        let value = given.parse().ok().filter(|value: &f32| value.is_finite());
        value.map(Self::Value).ok_or_else(|| Error::UnknownThreshold { given: given.to_owned() })
    }
}

/// Pixels of a map that are hot and touch one another.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Region {
    /// The smallest rectangle around them.
    pub area: Area,
    /// How many they are.
    pub pixels: u32,
    /// Their largest value.
    pub peak: f32,
}

impl HeatMap {
    /// The regions whose values are at least `threshold`, the largest first, in pixels of the map.
    ///
    /// ```
    /// use cam_viz::{Area, HeatMap};
    ///
    /// let heat = HeatMap::new(5, 1, [0.9, 0.2, 0.6, 0.8, 0.1])?;
    /// let regions = heat.regions(0.5);
    /// assert_eq!(regions.len(), 2);
    /// assert_eq!(regions[0].area, Area { x: 2, y: 0, width: 2, height: 1 });
    /// assert_eq!((regions[0].pixels, regions[0].peak), (2, 0.8));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn regions(&self, threshold: f32) -> Vec<Region> {
        let mut open: Vec<bool> = self.values().iter().map(|&value| value >= threshold).collect();
        let mut regions = Vec::new();
        for start in 0..open.len() {
            if open[start] {
                regions.push(self.flood(start, &mut open));
            }
        }
        regions.sort_by_key(|region| std::cmp::Reverse(region.pixels));
        regions
    }

    /// The region of an open pixel, which is closed with all that belong to it.
    fn flood(&self, start: usize, open: &mut [bool]) -> Region {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
        let (mut pixels, mut peak) = (0, f32::NEG_INFINITY);
        open[start] = false;
        let mut waiting = vec![start];
        while let Some(at) = waiting.pop() {
            let (x, y) = (at % width, at / width);
            (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
            pixels += 1;
            peak = peak.max(self.values()[at]);
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for column in x.saturating_sub(1)..(x + 2).min(width) {
                    let near = row * width + column;
                    if std::mem::take(&mut open[near]) {
                        waiting.push(near);
                    }
                }
            }
        }
        let length = |first: usize, last: usize| (last - first + 1) as u32;
        let area =
            Area { x: left as u32, y: top as u32, width: length(left, right), height: length(top, bottom) };
        Region { area, pixels, peak }
    }
}

/// Of how many steps between the least and the largest value the best is taken.
const STEPS: usize = 256;

fn otsu(map: &HeatMap) -> f32 {
    let (low, high) = (f64::from(map.least()), f64::from(map.peak().2));
    if low == high {
        return map.peak().2.next_up();
    }
    let mut counts = [0.0; STEPS];
    for &value in map.values() {
        let step = (f64::from(value) - low) / (high - low) * STEPS as f64;
        counts[(step as usize).min(STEPS - 1)] += 1.0;
    }
    let sum = |steps: std::ops::Range<usize>| {
        steps.fold((0.0, 0.0), |(n, sum), step| (n + counts[step], sum + counts[step] * step as f64))
    };
    let between = |cut: usize| {
        let ((cold, cold_sum), (hot, hot_sum)) = (sum(0..cut), sum(cut..STEPS));
        cold * hot * (cold_sum / cold - hot_sum / hot).powi(2)
    };
    // Both ends have a pixel, so no class is empty. Of equals the middle one: a gap is parted in its middle.
    let best = (1..STEPS).map(between).fold(0.0, f64::max);
    let cuts: Vec<usize> = (1..STEPS).filter(|&cut| between(cut) >= best * (1.0 - 1e-12)).collect();
    let threshold = low + cuts[cuts.len() / 2] as f64 / STEPS as f64 * (high - low);
    (threshold as f32).max(map.least().next_up())
}
