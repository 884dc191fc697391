//! Linear interpolation between grids of any number of axes, on half-pixel centers.
//!
//! The value at index $j$ of $n'$ is read at $x = (j + \tfrac12) \frac{n}{n'} - \tfrac12$ of $n$, clamped to the first and
//! last center: what OpenCV's `resize` and PyTorch's `interpolate(align_corners=False)` do, without antialiasing. It is
//! separable, so each axis is one product with an $n' \times n$ matrix, and signals, images and volumes are one case.

use crate::engine::upload;
use burn::Tensor;
use burn::tensor::Device;
use std::sync::{Mutex, PoisonError};

/// Where the values of a grid are assumed to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sampling {
    /// In the middle of cells of equal size: a cell of the layer covers the pixels it stands for.
    #[default]
    HalfPixel,
    /// The first and the last on the borders of the image, $x = j \frac{n - 1}{n' - 1}$ (`align_corners=True`).
    AlignedCorners,
}

/// Resizes maps. Its matrices stay on the device: each is uploaded once, however many maps and chunks of masks it resizes.
#[derive(Default)]
pub(crate) struct Resizer(Mutex<Vec<CachedMatrix>>);

struct CachedMatrix {
    lengths: [usize; 2],
    sampling: Sampling,
    device: Device,
    matrix: Tensor<2>,
}

impl Resizer {
    /// How many matrices are kept; the oldest goes first. Inputs of ever new sizes must not fill the device.
    const CAPACITY: usize = 64;

    /// Resizes maps on the grid `from` to the grid `to`.
    ///
    /// # Shapes
    /// - maps: `[batch, positions of from]`
    /// - output: `[batch, positions of to]`
    pub fn resize(&self, maps: Tensor<2>, from: &[usize], to: &[usize], sampling: Sampling) -> Tensor<2> {
        let batch = maps.dims()[0];
        let device = maps.device();
        let mut grid = from.to_vec();
        let mut maps = maps;
        for axis in 0..grid.len() {
            let (before, after) =
                (grid[..axis].iter().product::<usize>(), grid[axis + 1..].iter().product::<usize>());
            if grid[axis] == to[axis] {
                continue;
            }
            let matrix = self.matrix([grid[axis], to[axis]], sampling, &device);
            maps = if after == 1 {
                maps.reshape([batch * before, grid[axis]]).matmul(matrix.transpose())
            } else {
                let slabs: Tensor<3> = maps.reshape([batch * before, grid[axis], after]);
                matrix.unsqueeze::<3>().matmul(slabs).reshape([batch * before, to[axis] * after])
            };
            grid[axis] = to[axis];
            maps = maps.reshape([batch, grid.iter().product()]);
        }
        maps
    }

    fn matrix(&self, lengths: [usize; 2], sampling: Sampling, device: &Device) -> Tensor<2> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Devices compare as equal whether they record gradients or not.
        let is_device = |other: &Device| other == device && other.is_autodiff() == device.is_autodiff();
        let is_same = |entry: &&CachedMatrix| {
            entry.lengths == lengths && entry.sampling == sampling && is_device(&entry.device)
        };
        if let Some(entry) = cached.iter().find(is_same) {
            return entry.matrix.clone();
        }
        let matrix = matrix(lengths[0], lengths[1], sampling, device);
        if cached.len() == Self::CAPACITY {
            cached.remove(0);
        }
        cached.push(CachedMatrix { lengths, sampling, device: device.clone(), matrix: matrix.clone() });
        matrix
    }
}

/// Makes the weights of linear interpolation from `from` to `to` values: `[to, from]`.
fn matrix(from: usize, to: usize, sampling: Sampling, device: &Device) -> Tensor<2> {
    let mut weights = vec![0f32; to * from];
    for (j, row) in weights.chunks_exact_mut(from).enumerate() {
        let position = match sampling {
            Sampling::HalfPixel => (j as f64 + 0.5) * from as f64 / to as f64 - 0.5,
            Sampling::AlignedCorners => (j * (from - 1)) as f64 / (to - 1).max(1) as f64,
        };
        let position = position.clamp(0.0, (from - 1) as f64);
        let low = position.floor() as usize;
        let share = (position - low as f64) as f32;
        row[low] += 1.0 - share;
        row[(low + 1).min(from - 1)] += share;
    }
    upload::floats(weights, [to, from], device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, a value at a time.
    fn slowly(map: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        let read = |j: usize, n: usize, m: usize| {
            let x = ((j as f32 + 0.5) * n as f32 / m as f32 - 0.5).max(0.0).min((n - 1) as f32);
            (x as usize, ((x as usize) + 1).min(n - 1), x - x.floor())
        };
        let mut out = Vec::new();
        for y in 0..to[0] {
            for x in 0..to[1] {
                let (y0, y1, fy) = read(y, from[0], to[0]);
                let (x0, x1, fx) = read(x, from[1], to[1]);
                let at = |y: usize, x: usize| map[y * from[1] + x];
                let top = at(y0, x0) * (1.0 - fx) + at(y0, x1) * fx;
                let bottom = at(y1, x0) * (1.0 - fx) + at(y1, x1) * fx;
                out.push(top * (1.0 - fy) + bottom * fy);
            }
        }
        out
    }

    fn resized(map: Vec<f32>, from: &[usize], to: &[usize]) -> Vec<f32> {
        let map = Tensor::<1>::from_floats(map.as_slice(), &Device::flex());
        Resizer::default()
            .resize(map.unsqueeze(), from, to, Sampling::HalfPixel)
            .into_data()
            .try_to_vec()
            .unwrap()
    }

    proptest! {
        #[test]
        fn it_is_the_definition(h in 1usize..6, w in 1usize..6, y in 1usize..12, x in 1usize..12, seed in 0u32..1000) {
            let map: Vec<f32> = (0..h * w).map(|i| ((i as u32 * 7919 + seed) % 101) as f32 / 50.0 - 1.0).collect();
            for (a, b) in resized(map.clone(), &[h, w], &[y, x]).iter().zip(slowly(&map, [h, w], [y, x])) {
                prop_assert!((a - b).abs() < 1e-5, "{a} is not {b}");
            }
        }
    }

    #[test]
    fn aligned_corners_keep_the_corners() {
        let map = Tensor::<2>::from_floats([[0.0, 1.0, 4.0]], &Device::flex());
        let resizer = Resizer::default();
        let resize = |map, from, to| resizer.resize(map, &[from], &[to], Sampling::AlignedCorners);
        let wide: Vec<f32> = resize(map.clone(), 3, 5).into_data().try_to_vec().unwrap();
        assert_eq!(wide, [0.0, 0.5, 1.0, 2.5, 4.0]);
        assert_eq!(resize(map, 3, 1).into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn a_matrix_is_uploaded_once_and_the_oldest_of_many_is_dropped() {
        let (resizer, map) = (Resizer::default(), Tensor::<2>::ones([1, 9], &Device::flex()));
        let uploads_of = |to: [usize; 2], sampling| {
            let before = crate::testing::uploads();
            resizer.resize(map.clone(), &[3, 3], &to, sampling);
            crate::testing::uploads() - before
        };
        let (half, aligned) = (Sampling::HalfPixel, Sampling::AlignedCorners);
        assert_eq!([(); 2].map(|()| uploads_of([5, 7], half)), [2, 0]);
        assert_eq!([(); 2].map(|()| uploads_of([5, 5], aligned)), [1, 0], "both axes are one");
        for to in 8..8 + Resizer::CAPACITY {
            assert_eq!(uploads_of([to, 3], half), 1);
        }
        assert_eq!(uploads_of([5, 7], half), 2);
        assert_eq!(resizer.0.lock().unwrap().len(), Resizer::CAPACITY);
    }

    #[test]
    fn volumes_and_signals_are_resized_like_images() {
        let line = vec![0.0, 1.0, 4.0];
        let as_image = slowly(&line, [1, 3], [1, 7]);
        for (from, to) in [(&[3][..], &[7][..]), (&[1, 3, 1], &[1, 7, 1])] {
            for (a, b) in resized(line.clone(), from, to).iter().zip(&as_image) {
                assert!((a - b).abs() < 1e-6, "{a} is not {b}");
            }
        }
    }
}
