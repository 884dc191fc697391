//! What methods of masked superpixels share: the superpixels, their masks, and least squares.

use crate::engine::noise::shares;
use crate::engine::{read::read_floats, upload};
use crate::{Chunk, Cost, Error, LayerContext, MethodInfo, Reads, UniqueCopies};
use burn::Tensor;
use burn::tensor::{Device, Int};
use nalgebra::{DMatrix, DVector};

/// The superpixels of [`KernelShap`](crate::KernelShap) and [`Lime`](crate::Lime), and their masks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuperpixelMasks {
    /// About so many superpixels.
    pub regions: usize,
    /// $n$, the masked inputs.
    pub samples: usize,
    /// What replaces a superpixel, in the units of the input as the network gets it: 0 is the mean color where inputs are normalized.
    pub value: f32,
    /// Which masks are drawn.
    pub seed: u64,
}

impl SuperpixelMasks {
    /// Fifty superpixels and a thousand masked inputs.
    pub const PAPER: Self = Self { regions: 50, samples: 1000, value: 0.0, seed: 0 };
}

/// Solves weighted least squares with a penalty on the squares of the solution.
pub(super) fn least_squares(
    design: &DMatrix<f64>,
    values: &DVector<f64>,
    weights: Option<&DVector<f64>>,
    ridge: f64,
) -> Vec<f64> {
    /// What keeps the equations solvable where masks are too few to tell superpixels apart, of their diagonal.
    const LEAST: f64 = 1e-9;
    let weighted = match weights {
        Some(weights) => DMatrix::from_fn(design.nrows(), design.ncols(), |i, s| design[(i, s)] * weights[i]),
        None => design.clone(),
    };
    let mut normal = weighted.tr_mul(design);
    let least = LEAST * normal.trace().max(1.0);
    for s in 0..normal.ncols() {
        normal[(s, s)] += ridge + least;
    }
    let right = weighted.tr_mul(values);
    // Only numbers that are not finite cannot be solved: no map is made of them.
    let factors = normal.cholesky();
    factors.map_or_else(|| vec![f64::NAN; right.len()], |factors| factors.solve(&right).as_slice().to_vec())
}

impl SuperpixelMasks {
    pub(super) fn info(self, name: &'static str, title: &'static str, paper: &'static str) -> MethodInfo {
        MethodInfo::new(name, title, paper)
            .reads(Reads::Input)
            .masked_inputs()
            .cost(Cost::Passes(self.samples as u32 + 1))
    }

    /// Scores masked inputs and gives each place the weight of its superpixel, which `solve` makes of the masks `[samples, regions]`, their
    /// scores, and the scores of nothing and of the whole input. `draw` makes a mask of random shares, one more than there are regions.
    pub(super) async fn weights(
        self,
        layer: &LayerContext<'_>,
        draw: impl Fn(&[f32]) -> Vec<bool>,
        solve: impl Fn(&DMatrix<f64>, &DVector<f64>, [f64; 2]) -> Vec<f64>,
    ) -> Result<Tensor<3>, Error> {
        let input = layer.activation();
        let ([batch, channels, positions], device) = (input.dims(), input.device());
        let pixels = read_floats(input).await?;
        let images = pixels.chunks_exact(channels * positions);
        let labels: Vec<Superpixels> =
            images.map(|image| Superpixels::of(image, layer.grid(), self.regions)).collect();
        let regions = labels.iter().map(|labels| labels.count).max().unwrap_or(1);
        let samples = self.samples.max(2);
        // Each mask, its complement, the next mask. The last mask keeps nothing.
        let mut kept: Vec<f32> = Vec::with_capacity((samples + 1) * regions);
        for sample in 0..samples {
            let mask = draw(&shares(regions + 1, [self.seed, (sample / 2) as u64]));
            kept.extend(mask.into_iter().map(|is_kept| f32::from(u8::from(is_kept == (sample % 2 == 0)))));
        }
        kept.extend(vec![0.0; regions]);
        let table: Tensor<2> = upload::floats(kept.clone(), [samples + 1, regions], &device);
        let places: Vec<Tensor<1, Int>> = labels.iter().map(|labels| labels.upload(&device)).collect();
        let masked = |inputs: Tensor<3>, chunk: &Chunk<'_>| {
            let kept = table.clone().select(0, chunk.indices_tensor());
            let kept = kept.select(1, places[chunk.image()].clone()).unsqueeze_dim::<3>(1);
            inputs * kept.clone() + (kept.neg() + 1.0) * self.value
        };
        let scores = layer.scores_of_inputs(&UniqueCopies::none(batch, samples + 1), &masked)?;
        let scores = Tensor::cat(vec![scores, layer.score()?.unsqueeze_dim(1)], 1);
        let scores = read_floats(scores).await?;
        let mut values = Vec::with_capacity(batch * positions);
        for (scores, labels) in scores.chunks_exact(samples + 2).zip(&labels) {
            let wide: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
            let of_image = |i: usize, s: usize| f64::from(kept[i * regions + s]);
            let masks = DMatrix::from_fn(samples, labels.count, of_image);
            let ends = [wide[samples], wide[samples + 1]];
            let weights = match labels.count {
                1 => vec![ends[1] - ends[0]],
                _ => solve(&masks, &DVector::from_row_slice(&wide[..samples]), ends),
            };
            values.extend(labels.of_position.iter().map(|&region| weights[region] as f32));
        }
        Ok(upload::floats(values, [batch, 1, positions], &device))
    }
}

/// Which superpixel each position is in.
struct Superpixels {
    count: usize,
    of_position: Vec<usize>,
}

impl Superpixels {
    /// Joins the positions of an image, `channels * positions`, to about so many regions of one color (Achanta et al., *SLIC Superpixels*, TPAMI
    /// 2012): the means of color and place, from an even grid of places.
    fn of(image: &[f32], grid: &[usize], regions: usize) -> Self {
        /// How often the means are moved.
        const ROUNDS: usize = 10;
        /// How much a region's own size counts, of the range of all colors: SLIC's usual 10 of 100.
        const COMPACT: f64 = 0.1;
        let positions: usize = grid.iter().product();
        let channels = image.len() / positions;
        let spacing = (positions as f64 / regions.clamp(1, positions) as f64).powf(1.0 / grid.len() as f64);
        let (low, high) = image
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
        let color = 1.0 / (COMPACT * f64::from(high - low).max(f64::MIN_POSITIVE) * (channels as f64).sqrt());
        let feature = |position: usize| -> Vec<f64> {
            let place = unravel(position, grid).into_iter().map(|at| at as f64 / spacing);
            let colors = (0..channels).map(|c| f64::from(image[c * positions + position]) * color);
            place.chain(colors).collect()
        };
        let features: Vec<Vec<f64>> = (0..positions).map(feature).collect();
        let cells: Vec<usize> = grid
            .iter()
            .map(|&length| ((length as f64 / spacing).round() as usize).clamp(1, length))
            .collect();
        let seed = |cell: usize| {
            let places = unravel(cell, &cells).into_iter().zip(grid).zip(&cells);
            let at = places.map(|((at, length), cells)| (2 * at + 1) * length / (2 * cells));
            at.zip(grid).fold(0, |index, (at, length)| index * length + at)
        };
        let seeds = (0..cells.iter().product()).map(seed);
        let mut means: Vec<Vec<f64>> = seeds.map(|position| features[position].clone()).collect();
        let mut of_position = vec![0; positions];
        for _ in 0..ROUNDS {
            for (of, feature) in of_position.iter_mut().zip(&features) {
                let near = means.iter().enumerate().filter(|(_, mean)| {
                    mean.iter().zip(feature).take(grid.len()).all(|(a, b)| (a - b).abs() <= 2.0)
                });
                let apart =
                    |mean: &[f64]| mean.iter().zip(feature).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                let nearest =
                    near.map(|(region, mean)| (apart(mean), region)).min_by(|a, b| a.0.total_cmp(&b.0));
                *of = nearest.map_or(*of, |(_, region)| region);
            }
            let mut sums = vec![(vec![0.0; features[0].len()], 0.0); means.len()];
            for (region, feature) in of_position.iter().zip(&features) {
                let (sum, count) = &mut sums[*region];
                sum.iter_mut().zip(feature).for_each(|(sum, value)| *sum += value);
                *count += 1.0;
            }
            for (mean, (sum, count)) in means.iter_mut().zip(sums).filter(|(_, (_, count))| *count > 0.0) {
                *mean = sum.into_iter().map(|sum| sum / count).collect();
            }
        }
        // Regions that are empty in the end have no number.
        let mut numbers = vec![None; means.len()];
        let mut count = 0;
        for of in &mut of_position {
            *of = *numbers[*of].get_or_insert_with(|| {
                count += 1;
                count - 1
            });
        }
        Self { count, of_position }
    }

    fn upload(&self, device: &Device) -> Tensor<1, Int> {
        upload::indices(&self.of_position, device)
    }
}

/// Returns the indices along each axis of a position in row-major order.
fn unravel(mut position: usize, grid: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = grid
        .iter()
        .rev()
        .map(|&length| {
            let index = position % length;
            position /= length;
            index
        })
        .collect();
    at.reverse();
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superpixels_follow_colors() {
        // The left third of a picture is dark.
        let (height, width) = (24, 36);
        let image: Vec<f32> = (0..height * width).map(|i| if i % width < 13 { 0.0 } else { 1.0 }).collect();
        let found = Superpixels::of(&image, &[height, width], 6);
        assert!((4..=6).contains(&found.count), "{}", found.count);
        for region in 0..found.count {
            let inside: Vec<usize> =
                (0..height * width).filter(|&i| found.of_position[i] == region).collect();
            assert!(inside.len() > 40, "{}", inside.len());
            assert!(inside.iter().all(|&i| image[i] == image[inside[0]]), "region {region} has one color");
        }
    }
}
