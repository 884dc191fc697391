//! Maps of random masks: RISE, and D-RISE of boxes.

use super::explain::{Explain, Running};
use super::wrapper::{Wrapper, WrapperInfo};
use crate::engine::{noise, read, upload};
use crate::{Error, FlatMaps, Goal, Input, MapStats, MethodInfo, Rows, Run, Target};
use burn::Tensor;
use burn::tensor::Device;

/// Explains by random masks, without a layer or a gradient: what an image scores without parts of it. It takes the place of the explainer's
/// methods.
///
/// $$ S(x) = \frac{1}{p\thinspace N} \sum_{i=1}^{N} f(I \odot M_i)\thinspace M_i(x) $$
///
/// over masks $M_i$ of cells that are kept with the probability $p$, enlarged linearly and shifted at random. The masks are the same for all
/// images and targets, so that a mask is one pass however many are explained.
///
/// The map is a mean, so each pixel has a standard error, $\sigma(f M_i(x) / p) / \sqrt N$. Masks are added until the mean error of each map is at
/// most [`tolerance`](Self::tolerance) of the range of its values, or until there are [`most`](Self::most). The standard deviation of the
/// explanation ([`AttributionMaps::std`](crate::AttributionMaps::std)) is this error, in the scale of the map.
///
/// Petsiuk et al., *RISE: Randomized Input Sampling for Explanation of Black-box Models*, BMVC 2018, equation 6. With the target
/// [`SimilarBox`](crate::SimilarBox) it is D-RISE: Petsiuk et al., *Black-box Explanation of Object Detectors via Saliency Maps*, CVPR 2021.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, Nchw, Rise, Taps};
///
/// // A network that looks at the left half only.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("x", Nchw, || x).narrow(3, 0, 8).mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// let image = Tensor::<4>::ones([1, 1, 16, 16], &Device::flex());
/// let rise = Rise { cells: 4, most: 512, ..Rise::PAPER };
/// let explanation: Explanation = Explainer::new(&model).layer("x").wrap(rise).explain(image, &Class(0))?;
/// let map = explanation.maps[0].heatmap.clone();
/// let mean = |left: usize| map.clone().narrow(2, left, 8).mean().into_scalar::<f32>();
/// assert!(mean(0) > mean(8) + 0.2);
/// assert!(explanation.maps[0].std.is_some());
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// The cells of a mask along each axis.
    pub cells: usize,
    /// The probability $p$ that a cell is kept.
    pub keep: f64,
    /// The most masks.
    pub most: usize,
    /// The mean standard error of a map, as a share of the range of its values, at which no masks are added.
    pub tolerance: f64,
    /// The seed of the masks.
    pub seed: u64,
}

impl Rise {
    /// The masks of RISE: 7 cells along each axis, of which half are kept, 8000 masks at most.
    pub const PAPER: Self = Self { cells: 7, keep: 0.5, most: 8000, tolerance: 0.02, seed: 0 };
    /// The masks of D-RISE: 16 cells along each axis, of which half are kept, 5000 masks at most.
    pub const BOXES: Self = Self { cells: 16, most: 5000, ..Self::PAPER };

    /// Returns the masks of these numbers, `[masks, positions]`, row-major on a grid of any number of axes.
    fn masks(&self, numbers: std::ops::Range<usize>, grid: &[usize], device: &Device) -> Tensor<2> {
        let positions: usize = grid.iter().product();
        let count = numbers.len();
        let values = numbers.flat_map(|number| self.mask(number, grid)).collect();
        upload::floats(values, [count, positions], device)
    }

    /// Returns one mask: cells with random corners, enlarged linearly.
    fn mask(&self, number: usize, grid: &[usize]) -> Vec<f32> {
        let (cells, axes) = (self.cells.max(1), grid.len());
        let corners = (cells + 1).pow(axes as u32);
        let drawn = noise::shares(corners + axes, [self.seed, number as u64]);
        let (kept, shifts) = drawn.split_at(corners);
        let mut mask: Vec<f32> =
            kept.iter().map(|share| f32::from(u8::from(f64::from(*share) < self.keep))).collect();
        let mut shape = vec![cells + 1; axes];
        // Axis by axis, as interpolation is separable.
        for axis in 0..axes {
            let (before, after): (usize, usize) =
                (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
            let (length, cell) = (grid[axis], grid[axis] as f32 / cells as f32);
            let mut longer = vec![0.0; before * length * after];
            for at in 0..length {
                let place = (at as f32 + 0.5 + shifts[axis] * cell) / cell - 0.5;
                let place = place.clamp(0.0, cells as f32);
                let low = (place.floor() as usize).min(cells - 1);
                let share = place - low as f32;
                for outer in 0..before {
                    let from = (outer * (cells + 1) + low) * after;
                    let to = (outer * length + at) * after;
                    for inner in 0..after {
                        longer[to + inner] =
                            mask[from + inner] * (1.0 - share) + mask[from + after + inner] * share;
                    }
                }
            }
            shape[axis] = length;
            mask = longer;
        }
        mask
    }
}

/// The masks after which errors are looked at, again and again.
const BLOCK: usize = 256;

/// What is added up for one target and image.
struct Sums {
    target: usize,
    image: usize,
    /// $\sum f M$ and $\sum (f M)^2$, `[1, positions]` each.
    weighted: Tensor<2>,
    squared: Tensor<2>,
}

impl Sums {
    /// Returns the map and its standard error after so many masks, `[1, positions]` each.
    fn map(&self, masks: usize, keep: f64) -> [Tensor<2>; 2] {
        let count = masks as f64;
        let mean = self.weighted.clone() / count;
        let variance = (self.squared.clone() / count - mean.clone().square()).clamp_min(0.0);
        [mean / keep, (variance / (count - 1.0).max(1.0)).sqrt() / keep]
    }
}

impl<I: Input, O: 'static> Wrapper<I, O> for Rise {
    fn info(&self) -> WrapperInfo {
        WrapperInfo::new("rise", "RISE", PAPER)
    }

    fn run<'a>(
        &'a self,
        inner: &'a dyn Explain<I, O>,
        input: I,
        targets: &'a [&'a dyn Target<O>],
    ) -> Running<'a, O> {
        Box::pin(self.explain(inner, input, targets))
    }
}

const PAPER: &str = "https://arxiv.org/abs/1806.07421";

impl Rise {
    async fn explain<I: Input, O: 'static>(
        &self,
        inner: &dyn Explain<I, O>,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Run<O>, Error> {
        let inference = inner.inference();
        let (output, forward) = inference.forward(input.clone())?;
        let goals =
            targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<Goal<O>>, _>>()?;
        let (batch, grid) = (input.batch(), input.grid());
        let values = input.to_layer();
        let ([_, channels, positions], device) = (values.dims(), values.device());
        let mut per_pass = inference.inputs_per_pass(input.copies(0, 1))?.clamp(1, BLOCK);
        // A model that takes one image at a time is shown one mask at a time.
        if per_pass > 1 && matches!(inference.forward(input.copies(0, 2)), Err(Error::Recording { .. })) {
            per_pass = 1;
        }
        let zeros = || Tensor::<2>::zeros([1, positions], &device);
        let pairs = (0..goals.len()).flat_map(|target| (0..batch).map(move |image| (target, image)));
        let mut sums: Vec<Sums> = pairs
            .map(|(target, image)| Sums { target, image, weighted: zeros(), squared: zeros() })
            .collect();
        let mut done = 0;
        while done < self.most && !goals.is_empty() {
            let end = (done + BLOCK).min(self.most);
            while done < end {
                let next = (done + per_pass).min(end);
                let masks = self.masks(done..next, &grid, &device);
                let copies = next - done;
                for image in 0..batch {
                    let one = values.clone().narrow(0, image, 1).expand([copies, channels, positions]);
                    let masked = one * masks.clone().unsqueeze_dim::<3>(1);
                    let (output, _) = inference.forward(input.copies(image, copies).with_layer(masked))?;
                    for sum in sums.iter_mut().filter(|sum| sum.image == image) {
                        let scores = goals[sum.target].score(&output, Rows::Copies { image, copies });
                        let scores: Tensor<2> = scores.inner().reshape([1, copies]);
                        sum.weighted = sum.weighted.clone() + scores.clone().matmul(masks.clone());
                        sum.squared = sum.squared.clone() + scores.square().matmul(masks.clone().square());
                    }
                }
                done = next;
                inference.report("rise", done, self.most);
            }
            if self.is_accurate(&sums, done).await? {
                break;
            }
        }
        let mut maps = Vec::new();
        for (target, goal) in goals.iter().enumerate() {
            let of_target = sums.iter().filter(|sum| sum.target == target);
            let (raw, error): (Vec<_>, Vec<_>) =
                of_target.map(|sum| sum.map(done, self.keep)).map(|[map, error]| (map, error)).unzip();
            let (raw, error) = (Tensor::cat(raw, 0), Tensor::cat(error, 0));
            let range = (raw.clone().max_dim(1) - raw.clone().min_dim(1)).clamp_min(f32::MIN_POSITIVE);
            let scores = goal.score(&output, Rows::All).inner();
            let stats =
                MapStats::new(&raw, &raw, (values.clone(), &[]), &scores, goal.is_probability(), Vec::new());
            maps.push(FlatMaps {
                layer: crate::INPUT.into(),
                method: MethodInfo::new("rise", "RISE", PAPER),
                target,
                classes: goal.classes().cloned(),
                name: goal.name.as_deref().map(String::from),
                scores,
                heatmap: inference.scale(raw.clone()),
                std: Some(error / range),
                raw,
                raw_grid: grid.clone(),
                stats,
            });
        }
        Ok(Run { output, goals, forward, passes: 1.0 + done as f64, grid, maps })
    }

    /// Returns whether the mean error of each map is small enough.
    async fn is_accurate(&self, sums: &[Sums], masks: usize) -> Result<bool, Error> {
        let shares = sums.iter().map(|sum| {
            let [map, error] = sum.map(masks, self.keep);
            error.mean() / (map.clone().max() - map.min()).clamp_min(f32::MIN_POSITIVE)
        });
        let shares = read::read_floats(Tensor::cat(shares.collect(), 0)).await?;
        Ok(shares.iter().all(|share| f64::from(*share) <= self.tolerance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_their_share_and_depend_on_their_number_alone() {
        let rise = Rise { cells: 7, keep: 0.3, ..Rise::PAPER };
        let mean = |mask: &[f32]| mask.iter().map(|value| f64::from(*value)).sum::<f64>() / mask.len() as f64;
        let means: Vec<f64> = (0..400).map(|number| mean(&rise.mask(number, &[20, 30]))).collect();
        let all = means.iter().sum::<f64>() / 400.0;
        // The deviation of the mean of a mask is about 0.07.
        assert!((all - 0.3).abs() < 0.015, "{all}");
        assert_eq!(rise.mask(5, &[8, 8]), rise.mask(5, &[8, 8]));
        assert_ne!(rise.mask(5, &[8, 8]), rise.mask(6, &[8, 8]));
        assert!(rise.mask(5, &[8, 8]).iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn a_mask_is_what_two_loops_make_of_its_corners() {
        let rise = Rise { cells: 3, ..Rise::PAPER };
        let (height, width) = (9, 12);
        let mask = rise.mask(11, &[height, width]);
        let drawn = noise::shares(16 + 2, [0, 11]);
        let corner = |row: usize, column: usize| if drawn[row * 4 + column] < 0.5 { 1.0 } else { 0.0 };
        for y in 0..height {
            for x in 0..width {
                let place = |at: usize, length: usize, shift: f32| {
                    ((at as f32 + 0.5) * 3.0 / length as f32 + shift - 0.5).clamp(0.0, 3.0)
                };
                let (down, across) = (place(y, height, drawn[16]), place(x, width, drawn[17]));
                let mut expected = 0.0;
                for row in 0..4 {
                    for column in 0..4 {
                        let near = |at: f32, corner: usize| (1.0 - (at - corner as f32).abs()).max(0.0);
                        expected += corner(row, column) * near(down, row) * near(across, column);
                    }
                }
                assert!((mask[y * width + x] - expected).abs() < 1e-5, "{x}, {y}");
            }
        }
    }
}
