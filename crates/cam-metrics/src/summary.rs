//! The values of many images: their mean or what a metric makes of them, how sure that is, and which method is best.

use crate::{Better, Measurement, Metric};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

/// The value of a metric over many maps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The value of all of them; `None` if there is none.
    pub value: Option<f64>,
    /// Where it lies in 95 of 100 sets of images like this one.
    pub interval: Option<Interval>,
    /// How many maps have a value.
    pub count: usize,
    /// How many have none, and are left out.
    pub missing: usize,
}

/// An interval, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// How many sets of images are drawn for an interval.
const RESAMPLES: usize = 1000;

/// Summarizes the values of one metric. Each value comes with the number of its image: values of one image are drawn together for the interval,
/// because they are not independent.
///
/// ```
/// use cam_metrics::{metric_named, summarize};
///
/// let values = [(0, Some(1.0.into())), (1, Some(0.0.into())), (2, None), (3, Some(1.0.into()))];
/// let summary = summarize(metric_named("pointing")?, &values, 0);
/// assert_eq!((summary.value, summary.count, summary.missing), (Some(2.0 / 3.0), 3, 1));
/// # Ok::<(), cam_metrics::Error>(())
/// ```
pub fn summarize(metric: &dyn Metric, values: &[(usize, Option<Measurement>)], seed: u64) -> Summary {
    let found: Vec<(usize, &Measurement)> =
        values.iter().filter_map(|(image, value)| Some((*image, value.as_ref()?))).collect();
    let all: Vec<&Measurement> = found.iter().map(|(_, value)| *value).collect();
    let mut of_image: Vec<Vec<&Measurement>> = Vec::new();
    for image in found.chunk_by(|a, b| a.0 == b.0) {
        of_image.push(image.iter().map(|(_, value)| *value).collect());
    }
    let interval = bootstrap(of_image.len(), seed, |drawn| {
        metric.summarize(&drawn.iter().flat_map(|&image| of_image[image].iter().copied()).collect::<Vec<_>>())
    });
    Summary { value: metric.summarize(&all), interval, count: all.len(), missing: values.len() - all.len() }
}

/// Returns the interval in which 95 of 100 values lie that are computed of as many units drawn with replacement; `None` of fewer than two
/// units.
///
/// Efron, *Bootstrap Methods: Another Look at the Jackknife*, 1979: the percentile interval.
pub fn bootstrap(units: usize, seed: u64, value: impl Fn(&[usize]) -> Option<f64>) -> Option<Interval> {
    if units < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = vec![0; units];
    let mut values = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.iter_mut().for_each(|unit| *unit = (rng.next_u64() % units as u64) as usize);
        values.extend(value(&drawn));
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied();
    Some(Interval { low: at(0.025)?, high: at(0.975)? })
}

/// Returns the rank of each value, 1 for the best; what has no value has no rank, and equal values share the better rank.
///
/// ```
/// use cam_metrics::{Better, ranking};
///
/// assert_eq!(ranking(Better::Lower, &[Some(0.3), None, Some(0.1), Some(0.3)]), [Some(2), None, Some(1), Some(2)]);
/// ```
pub fn ranking(better: Better, values: &[Option<f64>]) -> Vec<Option<usize>> {
    let rank =
        |value: f64| values.iter().flatten().filter(|other| better.prefers(**other, value)).count() + 1;
    values.iter().map(|value| value.map(rank)).collect()
}
