//! The threshold from which on values are hot.
//!
//! Otsu's threshold splits the values into a cold and a hot class such that the variance between the classes is largest:
//!
//! ```text
//! n_cold * n_hot * (mean_cold - mean_hot)^2
//! ```
//!
//! Otsu, *A Threshold Selection Method from Gray-Level Histograms*, IEEE Transactions on Systems, Man, and Cybernetics, 1979.

use crate::{Error, HeatMap};
use std::{fmt, str::FromStr};

/// The threshold from which on values are hot.
///
/// ```
/// use cam_viz::{HeatMap, Threshold};
///
/// let heat = HeatMap::new(4, 1, [0.0, 0.1, 0.7, 1.0])?;
/// assert_eq!("0.8".parse::<Threshold>()?.value(&heat), 0.8);
/// let otsu = "otsu".parse::<Threshold>()?.value(&heat);
/// assert!(0.1 < otsu && otsu <= 0.7);
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Threshold {
    /// A fixed value. The default is 0.5.
    Value(f32),
    /// Otsu's threshold, which splits the values of a map best into cold and hot ones. If all are equal, none is hot.
    Otsu,
}

impl Threshold {
    /// Returns the threshold for a map.
    pub fn value(self, map: &HeatMap) -> f32 {
        match self {
            Self::Value(value) => value,
            Self::Otsu => otsu(map),
        }
    }

    /// Returns the threshold for a map if it is finite.
    pub(crate) fn finite_value(self, map: &HeatMap) -> Result<f32, Error> {
        let level = self.value(map);
        if level.is_finite() { Ok(level) } else { Err(Error::Level { level }) }
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

    /// Parses a finite number, or `otsu` in any case.
    fn from_str(given: &str) -> Result<Self, Error> {
        if given.eq_ignore_ascii_case("otsu") {
            return Ok(Self::Otsu);
        }
        let value = given.parse().ok().filter(|value: &f32| value.is_finite());
        value.map(Self::Value).ok_or_else(|| Error::UnknownThreshold { given: given.to_owned() })
    }
}

/// The number of candidate thresholds between the smallest and the largest value.
const STEPS: usize = 256;

fn otsu(map: &HeatMap) -> f32 {
    let (low, high) = (f64::from(map.min()), f64::from(map.peak().2));
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
    // Both ends have a pixel, so no class is empty. Of equal cuts the middle one is taken: the center of a gap.
    let best = (1..STEPS).map(between).fold(0.0, f64::max);
    let cuts: Vec<usize> = (1..STEPS).filter(|&cut| between(cut) >= best * (1.0 - 1e-12)).collect();
    let threshold = low + cuts[cuts.len() / 2] as f64 / STEPS as f64 * (high - low);
    (threshold as f32).max(map.min().next_up())
}
