//! Noisy linear imputation: each missing pixel is the weighted mean of its neighbors.
//!
//! $$ x_i \sum_{j \in N(i)} w_{ij} = \sum_{j \in N(i)} w_{ij} x_j, \qquad w = \tfrac16 \text{ beside}, \tfrac1{12} \text{ across} $$
//!
//! for every missing pixel $i$, with the neighbors $N(i)$ inside of the image; then noise is added. Rong et al., *A Consistent and Efficient
//! Evaluation Strategy for Attribution Methods*, ICML 2022 (ROAD), whose code is by Tobias Leemann (MIT).
//!
//! The matrix is symmetric and positive definite, and is never stored: conjugate gradients need its product with a vector alone. They start from the solution
//! at half the size, found in the same way, and are preconditioned by a multigrid cycle, so that some ten steps do whatever is missing.

use crate::Pixels;
use crate::change::normal;
use std::ops::Range;

/// How missing pixels are imputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Imputation {
    /// The standard deviation of the noise, in thousandths of the input's units: the paper has 10.
    pub noise: u32,
    /// Which noise is drawn.
    pub seed: u64,
}

impl Imputation {
    /// The settings of the paper.
    pub const PAPER: Self = Self { noise: 10, seed: 0 };
}

/// The vectors of a multigrid cycle at one size.
struct Work {
    /// What is left of the equations.
    rest: Vec<f32>,
    /// What the cycle changes.
    change: Vec<f32>,
    product: Vec<f32>,
}

impl Work {
    fn new(length: usize) -> Self {
        Self { rest: vec![0.0; length], change: vec![0.0; length], product: vec![0.0; length] }
    }
}

const BESIDE: f32 = 1.0 / 6.0;
const ACROSS: f32 = 1.0 / 12.0;

/// The weights of linear enlargement to twice the size.
const NEAR: f32 = 0.75;
const NEXT: f32 = 0.25;

/// What a further step would change, relative to the largest pixel, where iterations end: far below the noise.
const TOLERANCE: f32 = 1e-4;

/// The most steps of conjugate gradients at one size; about ten are needed.
const MOST_STEPS: usize = 200;

/// The damping of smoothing steps, which takes out what varies from pixel to pixel.
const DAMPING: f32 = 0.8;

/// The smoothing steps at the smallest size.
const SWEEPS: usize = 20;

/// Returns the input with the pixels that are not `known` imputed, channel by channel. Without any known pixel they are zeros.
///
/// ```
/// use cam_metrics::{Imputation, Pixels, impute};
///
/// let pixels = Pixels::new(1, 1, 4, vec![0.0, 9.0, 9.0, 3.0])?;
/// let silent = Imputation { noise: 0, seed: 0 };
/// let filled = impute(&pixels, &[true, false, false, true], silent);
/// assert!(filled.iter().zip([0.0, 1.0, 2.0, 3.0]).all(|(x, y)| (x - y).abs() < 1e-3)); // a line from 0 to 3
/// # Ok::<(), cam_metrics::Error>(())
/// ```
pub fn impute(pixels: &Pixels, known: &[bool], imputation: Imputation) -> Vec<f32> {
    let [channels, height, width] = pixels.dims();
    let grid = Grid::new(height, width, known);
    let noise = imputation.noise as f32 / 1000.0;
    let mut filled = Vec::with_capacity(pixels.values().len());
    let planes = pixels.values().chunks_exact((height * width).max(1));
    for (channel, plane) in planes.take(channels).enumerate() {
        let mut values = grid.solve(plane);
        if noise > 0.0 {
            let numbers = normal(imputation.seed, channel as u64);
            let missing = values.iter_mut().zip(known).filter(|(_, known)| !**known);
            missing.zip(numbers).for_each(|((value, _), number)| *value += noise * number);
        }
        filled.extend(values);
    }
    filled
}

/// A grid and which of its pixels are known, with a border of zeros around it so that every pixel has all neighbors.
struct Grid {
    height: usize,
    width: usize,
    /// 1 where a pixel is missing.
    missing: Vec<f32>,
    /// The sum of the weights of the neighbors inside.
    weights: Vec<f32>,
    /// How far a damped step goes: a share of one over the weights where a pixel is missing, else 0.
    steps: Vec<f32>,
    /// The same at half the size, while that is not tiny.
    half: Option<Box<Grid>>,
}

impl Grid {
    fn new(height: usize, width: usize, known: &[bool]) -> Self {
        const TINY: usize = 8;
        let half = (height.min(width) > TINY && known.contains(&false)).then(|| {
            let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
            let any = |at: usize| {
                let (y, x) = (at / columns * 2, at % columns * 2);
                let pixels = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
                pixels.iter().any(|&(y, x)| y < height && x < width && known[y * width + x])
            };
            Box::new(Self::new(rows, columns, &(0..rows * columns).map(any).collect::<Vec<_>>()))
        });
        let grid = Self { height, width, missing: Vec::new(), weights: Vec::new(), steps: Vec::new(), half };
        let missing = grid.padded(known.iter().map(|known| if *known { 0.0 } else { 1.0 }));
        let ones = grid.padded(std::iter::repeat_n(1.0, height * width));
        let mut weights = vec![0.0; ones.len()];
        grid.neighbors(&ones, &mut weights);
        let steps = missing.iter().zip(&weights);
        let steps =
            steps.map(|(missing, weight)| if *missing > 0.0 { DAMPING / weight } else { 0.0 }).collect();
        Self { missing, weights, steps, ..grid }
    }

    /// Returns the length of a row with its border.
    fn stride(&self) -> usize {
        self.width + 2
    }

    fn padded(&self, values: impl IntoIterator<Item = f32>) -> Vec<f32> {
        let stride = self.stride();
        let mut padded = vec![0.0; (self.height + 2) * stride];
        let rows = padded.chunks_exact_mut(stride.max(1)).skip(1).take(self.height);
        let places = rows.flat_map(|row| row[1..=self.width].iter_mut());
        places.zip(values).for_each(|(place, value)| *place = value);
        padded
    }

    fn unpadded<'v>(&self, values: &'v [f32]) -> impl Iterator<Item = f32> + use<'v> {
        let (height, width) = (self.height, self.width);
        let rows = values.chunks_exact(self.stride()).skip(1).take(height);
        rows.flat_map(move |row| row[1..=width].iter().copied())
    }

    /// Writes the weighted sum of the neighbors of each pixel.
    fn neighbors(&self, values: &[f32], sums: &mut [f32]) {
        let (stride, width) = (self.stride(), self.width);
        for y in 1..=self.height {
            let row = |y: usize| &values[y * stride..(y + 1) * stride];
            let (above, here, below) = (row(y - 1), row(y), row(y + 1));
            let sums = &mut sums[y * stride + 1..y * stride + 1 + width];
            for (x, sum) in sums.iter_mut().enumerate() {
                let beside = above[x + 1] + below[x + 1] + here[x] + here[x + 2];
                let across = above[x] + above[x + 2] + below[x] + below[x + 2];
                *sum = BESIDE * beside + ACROSS * across;
            }
        }
    }

    /// Returns the plane with its missing pixels filled.
    fn solve(&self, plane: &[f32]) -> Vec<f32> {
        let largest = plane.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let known = self.padded(plane.iter().copied());
        let mut values: Vec<f32> =
            known.iter().zip(&self.missing).map(|(value, missing)| value * (1.0 - missing)).collect();
        if self.missing.iter().sum::<f32>() as usize >= plane.len() {
            return vec![0.0; plane.len()];
        }
        if let Some(half) = &self.half {
            self.guess(half, &half.solve(&self.halved(plane)), &mut values);
        }
        self.iterate(&mut values, TOLERANCE * largest);
        self.unpadded(&values).collect()
    }

    /// Returns the means of the known pixels in squares of four.
    fn halved(&self, plane: &[f32]) -> Vec<f32> {
        let (rows, columns) = (self.height.div_ceil(2), self.width.div_ceil(2));
        let mean = |at: usize| {
            let (y, x) = (at / columns * 2, at % columns * 2);
            let (mut sum, mut count) = (0.0, 0.0);
            for (y, x) in [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)] {
                if y < self.height && x < self.width && self.missing[(y + 1) * self.stride() + x + 1] == 0.0 {
                    (sum, count) = (sum + plane[y * self.width + x], count + 1.0);
                }
            }
            if count > 0.0 { sum / count } else { 0.0 }
        };
        (0..rows * columns).map(mean).collect()
    }

    /// Fills the missing pixels with a solution at half the size, enlarged linearly.
    fn guess(&self, half: &Self, solution: &[f32], values: &mut [f32]) {
        // The nearest pixel has three quarters of the weight along each side, the next one a quarter.
        let axis = |at: usize, length: usize| {
            let near = at / 2;
            let next = if at.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(length - 1) };
            (near, next)
        };
        for y in 0..self.height {
            let (near_row, next_row) = axis(y, half.height);
            for x in 0..self.width {
                let at = (y + 1) * self.stride() + x + 1;
                if self.missing[at] == 0.0 {
                    continue;
                }
                let (near, next) = axis(x, half.width);
                let row = |y: usize| {
                    0.75 * solution[y * half.width + near] + 0.25 * solution[y * half.width + next]
                };
                values[at] = 0.75 * row(near_row) + 0.25 * row(next_row);
            }
        }
    }

    /// Improves the missing values by conjugate gradients, preconditioned by multigrid, until what a further step would change is small.
    fn iterate(&self, values: &mut [f32], tolerance: f32) {
        // What is needed at each size, made once: large memory costs time to get.
        let mut work: Vec<Work> = self.sizes().map(Work::new).collect();
        let mut product = vec![0.0; values.len()];
        self.apply(values, &mut product);
        work[0].rest.iter_mut().zip(&product).for_each(|(rest, product)| *rest = -product);
        self.cycle(&mut work);
        let mut direction = work[0].change.clone();
        let mut length = self.dot(&work[0].rest, &work[0].change);
        for _ in 0..MOST_STEPS {
            if work[0].change.iter().all(|change| change.abs() <= tolerance) {
                break;
            }
            self.apply(&direction, &mut product);
            let curvature = self.dot(&direction, &product);
            if curvature.is_nan() || curvature <= 0.0 {
                break;
            }
            let step = (length / curvature) as f32;
            values.iter_mut().zip(&direction).for_each(|(value, direction)| *value += step * direction);
            work[0].rest.iter_mut().zip(&product).for_each(|(rest, product)| *rest -= step * product);
            self.cycle(&mut work);
            let next = self.dot(&work[0].rest, &work[0].change);
            let turn = (next / length) as f32;
            length = next;
            direction
                .iter_mut()
                .zip(&work[0].change)
                .for_each(|(direction, new)| *direction = new + turn * *direction);
        }
    }

    /// Returns the lengths of this grid and of those at smaller sizes.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(self), |grid| grid.half.as_deref()).map(|grid| grid.missing.len())
    }

    /// Multiplies by the matrix: how far each missing pixel is from the weighted sum of its neighbors.
    fn apply(&self, values: &[f32], product: &mut [f32]) {
        self.neighbors(values, product);
        let parts = product.iter_mut().zip(values).zip(&self.weights).zip(&self.missing);
        parts.for_each(|(((product, value), weight), missing)| {
            *product = missing * (weight * value - *product)
        });
    }

    /// Solves the equations roughly, from `rest` to `change` of the first work: what is smooth at half the size, the rest by damped steps. It is symmetric,
    /// as conjugate gradients need.
    fn cycle(&self, work: &mut [Work]) {
        let Some((Work { rest, change, product }, smaller)) = work.split_first_mut() else { return };
        // The first step from zero.
        change
            .iter_mut()
            .zip(&self.steps)
            .zip(&*rest)
            .for_each(|((change, step), rest)| *change = step * rest);
        self.apply(change, product);
        self.smooth(rest, product, change);
        match &self.half {
            Some(half) => {
                self.apply(change, product);
                product.iter_mut().zip(&*rest).for_each(|(product, rest)| *product = rest - *product);
                self.reduce(half, product, &mut smaller[0].rest);
                half.cycle(smaller);
                self.enlarge(half, &smaller[0].change, change);
            }
            None => {
                for _ in 0..SWEEPS {
                    self.apply(change, product);
                    self.smooth(rest, product, change);
                }
            }
        }
        for _ in 0..2 {
            self.apply(change, product);
            self.smooth(rest, product, change);
        }
    }

    /// Takes a damped step to where each equation holds alone.
    fn smooth(&self, rest: &[f32], product: &[f32], change: &mut [f32]) {
        let parts = change.iter_mut().zip(&self.steps).zip(rest).zip(product);
        parts.for_each(|(((change, step), rest), product)| *change += step * (rest - product));
    }

    /// Adds values at half the size, enlarged linearly, to the missing pixels: the nearest has three quarters of the weight along each side, the next one a
    /// quarter.
    fn enlarge(&self, half: &Self, values: &[f32], change: &mut [f32]) {
        let mut between = vec![0.0; half.stride()];
        for y in 0..self.height {
            let (near, next) = half.rows_of(y);
            let rows = values[near].iter().zip(&values[next]);
            between
                .iter_mut()
                .zip(rows)
                .for_each(|(between, (near, next))| *between = NEAR * near + NEXT * next);
            let row = (y + 1) * self.stride() + 1..(y + 2) * self.stride();
            let pairs = change[row.clone()].chunks_exact_mut(2).zip(self.missing[row].chunks_exact(2));
            for ((pair, missing), around) in pairs.zip(between.windows(3)) {
                pair[0] += missing[0] * (NEAR * around[1] + NEXT * around[0]);
                pair[1] += missing[1] * (NEAR * around[1] + NEXT * around[2]);
            }
        }
    }

    /// Sums values, which are zero where a pixel is known, at half the size: the transpose of [`enlarge`](Self::enlarge).
    fn reduce(&self, half: &Self, values: &[f32], sums: &mut [f32]) {
        sums.fill(0.0);
        let mut between = vec![0.0; half.stride()];
        for y in 0..self.height {
            between.fill(0.0);
            let row = (y + 1) * self.stride() + 1..(y + 2) * self.stride();
            for (at, pair) in values[row].chunks_exact(2).enumerate() {
                between[at] += NEXT * pair[0];
                between[at + 1] += NEAR * (pair[0] + pair[1]);
                between[at + 2] += NEXT * pair[1];
            }
            let (near, next) = half.rows_of(y);
            sums[near].iter_mut().zip(&between).for_each(|(sum, value)| *sum += NEAR * value);
            sums[next].iter_mut().zip(&between).for_each(|(sum, value)| *sum += NEXT * value);
        }
        sums.iter_mut().zip(&half.missing).for_each(|(sum, missing)| *sum *= missing);
    }

    /// Returns where the nearest row to a row of the grid of twice the size is, and the next one, which may be the border.
    fn rows_of(&self, y: usize) -> (Range<usize>, Range<usize>) {
        let near = y / 2 + 1;
        let next = if y.is_multiple_of(2) { near - 1 } else { near + 1 };
        let row = |y: usize| y * self.stride()..(y + 1) * self.stride();
        (row(near), row(next))
    }

    fn dot(&self, one: &[f32], other: &[f32]) -> f64 {
        // Rows at a time, so that sums of many small numbers keep their digits.
        let rows = one.chunks(self.stride()).zip(other.chunks(self.stride()));
        rows.map(|(a, b)| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(height: usize, width: usize) -> Pixels {
        let value = |at: usize| {
            let (x, y) = ((at % width) as f32, (at / width) as f32);
            (x / 9.0).sin() + (y / 5.0).cos() + (at * 7919 % 97) as f32 / 200.0
        };
        Pixels::new(2, height, width, (0..2 * height * width).map(value).collect()).unwrap()
    }

    #[test]
    fn each_missing_pixel_is_the_mean_of_its_neighbors() {
        let (height, width) = (37, 52);
        let pixels = photo(height, width);
        let known: Vec<bool> = (0..height * width)
            .map(|at| (at % width < 3 || at / width > 30) || at * 31 % 17 == 0 && at % width > 40)
            .collect();
        let filled = impute(&pixels, &known, Imputation { noise: 0, seed: 0 });
        for (at, &value) in filled.iter().enumerate() {
            let (plane, y, x) = (at / (height * width), at / width % height, at % width);
            if known[y * width + x] {
                assert_eq!(value, pixels.values()[at]);
                continue;
            }
            let (mut sum, mut weights) = (0.0, 0.0);
            for dy in -1..=1i64 {
                for dx in -1..=1i64 {
                    let (row, column) = (y as i64 + dy, x as i64 + dx);
                    if (dy, dx) == (0, 0)
                        || !(0..height as i64).contains(&row)
                        || !(0..width as i64).contains(&column)
                    {
                        continue;
                    }
                    let weight = if dy == 0 || dx == 0 { 1.0 / 6.0 } else { 1.0 / 12.0 };
                    sum +=
                        weight * f64::from(filled[(plane * height + row as usize) * width + column as usize]);
                    weights += weight;
                }
            }
            // The tolerance of the iterations, of a largest pixel of about 2.5, and rounding.
            assert!((sum / weights - f64::from(value)).abs() < 5e-4, "{} is not {value}", sum / weights);
        }
    }

    #[test]
    fn noise_is_on_the_missing_pixels_alone_and_is_seeded() {
        let pixels = photo(20, 20);
        let known: Vec<bool> = (0..400).map(|at| at % 3 > 0).collect();
        let [silent, noisy, again, other] = [(0, 0), (10, 0), (10, 0), (10, 1)]
            .map(|(noise, seed)| impute(&pixels, &known, Imputation { noise, seed }));
        assert_eq!(noisy, again);
        assert_ne!(noisy, other);
        let differences: Vec<f32> = noisy.iter().zip(&silent).map(|(a, b)| a - b).collect();
        let missing: Vec<f32> =
            differences.iter().enumerate().filter(|(at, _)| !known[at % 400]).map(|(_, x)| *x).collect();
        assert!(differences.iter().enumerate().all(|(at, x)| !known[at % 400] || *x == 0.0));
        let deviation = (missing.iter().map(|x| x * x).sum::<f32>() / missing.len() as f32).sqrt();
        // Of 268 numbers, a standard deviation is within a tenth of its own.
        assert!((deviation - 0.01).abs() < 0.002, "{deviation}");
    }

    #[test]
    fn without_a_known_pixel_there_is_nothing() {
        assert_eq!(impute(&photo(12, 9), &[false; 108], Imputation { noise: 0, seed: 0 }), vec![0.0; 216]);
    }
}
