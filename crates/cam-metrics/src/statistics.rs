//! How much two lists of numbers, or two maps, have in common.

use crate::Map;

/// Returns the correlation of two lists; `None` if one of them is the same everywhere.
///
/// ```
/// use cam_metrics::pearson;
///
/// assert_eq!(pearson(&[0.0, 1.0, 2.0], &[3.0, 5.0, 7.0]), Some(1.0));
/// assert_eq!(pearson(&[0.0, 1.0, 2.0], &[1.0, 1.0, 1.0]), None);
/// ```
pub fn pearson(one: &[f64], other: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(one), mean(other));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in one.iter().zip(other) {
        let (x, y) = (x - a, y - b);
        (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
    }
    let scale = (aa * bb).sqrt();
    (scale > 0.0).then(|| (ab / scale).clamp(-1.0, 1.0))
}

/// Returns the rank of each value from 1 up; equal ones share the mean of their ranks.
///
/// ```
/// assert_eq!(cam_metrics::ranks(&[0.5, 0.1, 0.5, 0.9]), [2.5, 1.0, 2.5, 4.0]);
/// ```
pub fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&a, &b| values[a as usize] == values[b as usize]) {
        let rank = (2 * first + group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|&at| ranks[at as usize] = rank);
        first += group.len();
    }
    ranks
}

/// Returns the structural similarity of two maps of one size in 0..1: the mean over all windows of 7 x 7 pixels inside of them.
///
/// Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity*, 2004, equation 13, with the sample covariance, as
/// scikit-image computes it. A map that is smaller than the window has no such window and gives `None`.
pub fn ssim(one: &Map, other: &Map) -> Option<f64> {
    const SIDE: usize = 7;
    const C1: f64 = 0.01 * 0.01;
    const C2: f64 = 0.03 * 0.03;
    let (height, width) = (one.height(), one.width());
    if height < SIDE || width < SIDE || (height, width) != (other.height(), other.width()) {
        return None;
    }
    let value = |map: &Map, at: usize| f64::from(map.values()[at]);
    let sums = |of: &dyn Fn(usize) -> f64| windows(height, width, SIDE, of);
    let (a, b) = (sums(&|at| value(one, at)), sums(&|at| value(other, at)));
    let aa = sums(&|at| value(one, at).powi(2));
    let bb = sums(&|at| value(other, at).powi(2));
    let ab = sums(&|at| value(one, at) * value(other, at));
    let count = (SIDE * SIDE) as f64;
    let one_window = |at: usize| {
        let (x, y) = (a[at] / count, b[at] / count);
        let covariance = |sum: f64, product: f64| (sum / count - product) * count / (count - 1.0);
        let (xx, yy, xy) = (covariance(aa[at], x * x), covariance(bb[at], y * y), covariance(ab[at], x * y));
        (2.0 * x * y + C1) * (2.0 * xy + C2) / ((x * x + y * y + C1) * (xx + yy + C2))
    };
    Some((0..a.len()).map(one_window).sum::<f64>() / a.len() as f64)
}

/// Returns the sums over all windows that lie inside.
fn windows(height: usize, width: usize, side: usize, of: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let mut table = vec![0.0; (height + 1) * (width + 1)];
    for y in 0..height {
        for x in 0..width {
            let above = table[y * (width + 1) + x + 1] - table[y * (width + 1) + x];
            table[(y + 1) * (width + 1) + x + 1] =
                of(y * width + x) + above + table[(y + 1) * (width + 1) + x];
        }
    }
    let at = |y: usize, x: usize| table[y * (width + 1) + x];
    let window = |y: usize, x: usize| at(y + side, x + side) - at(y, x + side) - at(y + side, x) + at(y, x);
    (0..=height - side)
        .flat_map(|y| (0..=width - side).map(move |x| (y, x)))
        .map(|(y, x)| window(y, x))
        .collect()
}

/// Returns the histogram of oriented gradients of a map: 9 orientations in cells of 16 x 16 pixels, blocks of 3 x 3 cells scaled by `L2-Hys`.
///
/// Dalal and Triggs, *Histograms of Oriented Gradients for Human Detection*, CVPR 2005, as scikit-image computes it. It is empty for a map
/// that is smaller than a block.
pub fn hog(map: &Map) -> Vec<f64> {
    const ORIENTATIONS: usize = 9;
    const CELL: usize = 16;
    const BLOCK: usize = 3;
    let (height, width) = (map.height(), map.width());
    let (rows, columns) = (height / CELL, width / CELL);
    if rows < BLOCK || columns < BLOCK {
        return Vec::new();
    }
    let value = |y: usize, x: usize| f64::from(map.values()[y * width + x]);
    let mut cells = vec![[0.0; ORIENTATIONS]; rows * columns];
    for y in 0..rows * CELL {
        for x in 0..columns * CELL {
            // At the borders there is no gradient across.
            let inner = |at: usize, size: usize| at > 0 && at + 1 < size;
            let dy = if inner(y, height) { value(y + 1, x) - value(y - 1, x) } else { 0.0 };
            let dx = if inner(x, width) { value(y, x + 1) - value(y, x - 1) } else { 0.0 };
            let degrees = dy.atan2(dx).to_degrees().rem_euclid(180.0);
            let bin = ((degrees / 180.0 * ORIENTATIONS as f64) as usize).min(ORIENTATIONS - 1);
            cells[y / CELL * columns + x / CELL][bin] += dx.hypot(dy) / (CELL * CELL) as f64;
        }
    }
    let mut features = Vec::new();
    for top in 0..=rows - BLOCK {
        for left in 0..=columns - BLOCK {
            let places = (0..BLOCK * BLOCK).map(|i| (top + i / BLOCK) * columns + left + i % BLOCK);
            let mut block: Vec<f64> = places.flat_map(|at| cells[at]).collect();
            let scale = |block: &mut [f64]| {
                let length = (block.iter().map(|x| x * x).sum::<f64>() + 1e-10).sqrt();
                block.iter_mut().for_each(|x| *x /= length);
            };
            scale(&mut block);
            block.iter_mut().for_each(|x| *x = x.min(0.2));
            scale(&mut block);
            features.extend(block);
        }
    }
    features
}
