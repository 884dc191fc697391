//! Pillow's `resize`, to the bit: a convolution whose support grows with the reduction, along rows first, and rounded before it goes along
//! columns, which determines where an overshoot is clipped.
//!
//! `Resample.c` of Pillow: `precompute_coeffs`, `normalize_coeffs_8bpc`, and the two passes for bytes and for floats.

use crate::Filter;
use image::RgbImage;
use std::f64::consts::PI;

/// Shares of bytes are integers of so many bits behind the point.
const BITS: u32 = 32 - 8 - 2;

/// The samples that one sample of an axis is mixed of: the first one, and the share of each from there on.
struct Mix<S> {
    first: usize,
    shares: Vec<S>,
}

/// Returns the weight of a sample at this distance from the center, in samples of the coarser grid, and where weights end.
fn weight(filter: Filter) -> (fn(f64) -> f64, f64) {
    fn sinc(x: f64) -> f64 {
        if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
    }
    match filter {
        Filter::Box | Filter::Nearest => (|x| f64::from(u8::from(-0.5 < x && x <= 0.5)), 0.5),
        Filter::Bilinear | Filter::Linear => (|x| (1.0 - x.abs()).max(0.0), 1.0),
        Filter::Hamming => {
            let weight = |x: f64| match x.abs() {
                x if x < 1.0 => sinc(x) * (0.54 + 0.46 * (PI * x).cos()),
                _ => 0.0,
            };
            (weight, 1.0)
        }
        Filter::Bicubic => {
            let weight = |x: f64| match x.abs() {
                x if x < 1.0 => ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0,
                x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
                _ => 0.0,
            };
            (weight, 2.0)
        }
        Filter::Lanczos => (|x| if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }, 3.0),
    }
}

/// Returns what the samples of an axis are mixed of.
fn mixes(from: usize, to: usize, filter: Filter) -> Vec<Mix<f64>> {
    let scale = from as f64 / to as f64;
    if filter == Filter::Nearest {
        // Summed up as Pillow does: a place between two samples lies on one side by the rounding of the sum.
        let places = std::iter::successors(Some(0.5 * scale), |place| Some(place + scale));
        return places
            .take(to)
            .map(|place| Mix { first: (place as usize).min(from - 1), shares: vec![1.0] })
            .collect();
    }
    let (weight, support) = weight(filter);
    // OpenCV's filter takes the samples beside the center alone.
    let grown = if filter == Filter::Linear { 1.0 } else { scale.max(1.0) };
    let support = support * grown;
    let mix = |at: usize| {
        let center = (at as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let shares = (first..end).map(|place| weight((place as f64 - center + 0.5) * (1.0 / grown)));
        let mut shares: Vec<f64> = shares.collect();
        let sum: f64 = shares.iter().sum();
        if sum != 0.0 {
            shares.iter_mut().for_each(|share| *share /= sum);
        }
        Mix { first, shares }
    };
    (0..to).map(mix).collect()
}

/// Returns the shares as integers.
fn integers(mixes: Vec<Mix<f64>>) -> Vec<Mix<i32>> {
    // Rounded away from zero, as in C.
    let integer = |share: f64| (share * f64::from(1 << BITS) + 0.5f64.copysign(share)) as i32;
    let mix =
        |Mix { first, shares }: Mix<f64>| Mix { first, shares: shares.into_iter().map(integer).collect() };
    mixes.into_iter().map(mix).collect()
}

/// Half of the last bit of a byte, from which a sum starts that is rounded.
const HALF: i32 = 1 << (BITS - 1);

fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Resizes an image.
pub(crate) fn resize(photo: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let [from_width, from_height, to_width, to_height] =
        [photo.width(), photo.height(), width, height].map(|side| side as usize);
    let mut pixels: Vec<u8>;
    let mut read = photo.as_raw();
    if to_width != from_width {
        let columns = integers(mixes(from_width, to_width, filter));
        pixels = Vec::with_capacity(3 * to_width * from_height);
        for row in read.as_chunks::<3>().0.chunks_exact(from_width) {
            for Mix { first, shares } in &columns {
                let mut sums = [HALF; 3];
                for (pixel, share) in row[*first..].iter().zip(shares) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(*value) * share;
                    }
                }
                pixels.extend(sums.map(byte));
            }
        }
        read = &pixels;
    }
    let pixels = match to_height == from_height {
        true => read.clone(),
        false => {
            let rows: Vec<&[u8]> = read.chunks_exact(3 * to_width).collect();
            let mut pixels = Vec::with_capacity(3 * to_width * to_height);
            let mut sums = vec![0; 3 * to_width];
            for Mix { first, shares } in integers(mixes(from_height, to_height, filter)) {
                sums.fill(HALF);
                for (row, share) in rows[first..].iter().zip(shares) {
                    for (sum, value) in sums.iter_mut().zip(*row) {
                        *sum += i32::from(*value) * share;
                    }
                }
                pixels.extend(sums.iter().map(|sum| byte(*sum)));
            }
            pixels
        }
    };
    RgbImage::from_raw(width, height, pixels).expect("an image of the requested size")
}

/// Resizes a band of floats.
pub(crate) fn resize_band(band: &[f32], from: [u32; 2], to: [u32; 2], filter: Filter) -> Vec<f32> {
    let ([width, height], [to_width, to_height]) =
        (from.map(|side| side as usize), to.map(|side| side as usize));
    let mixed = |samples: &mut dyn Iterator<Item = f32>, shares: &[f64]| {
        samples.zip(shares).map(|(value, share)| f64::from(value) * share).sum::<f64>() as f32
    };
    let mut values = band.to_vec();
    if to_width != width {
        let columns = mixes(width, to_width, filter);
        let of_row = |row: &[f32]| -> Vec<f32> {
            columns.iter().map(|mix| mixed(&mut row[mix.first..].iter().copied(), &mix.shares)).collect()
        };
        values = values.chunks_exact(width).flat_map(of_row).collect();
    }
    if to_height != height {
        let rows = mixes(height, to_height, filter);
        let at = |mix: &Mix<f64>, x: usize| {
            mixed(&mut values[mix.first * to_width + x..].iter().step_by(to_width).copied(), &mix.shares)
        };
        values = rows
            .iter()
            .flat_map(|mix| (0..to_width).map(move |x| (mix, x)))
            .map(|(mix, x)| at(mix, x))
            .collect();
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three gray levels, whose mixes are never clipped.
    #[test]
    fn bands_are_resized_as_photos_are() {
        let photo = RgbImage::from_fn(37, 23, |x, y| image::Rgb([100 + (x * y % 3) as u8 * 20; 3]));
        let band: Vec<f32> = photo.pixels().map(|pixel| f32::from(pixel.0[0])).collect();
        for filter in [
            Filter::Nearest,
            Filter::Box,
            Filter::Bilinear,
            Filter::Hamming,
            Filter::Bicubic,
            Filter::Lanczos,
        ] {
            for to in [[20, 90], [50, 11], [37, 23]] {
                let bytes = resize(&photo, to[0], to[1], filter);
                let floats = resize_band(&band, [37, 23], to, filter);
                assert_eq!(floats.len(), bytes.pixels().len());
                for (pixel, value) in bytes.pixels().zip(floats) {
                    // Each of two passes rounds to half a gray level at most, which a negative share enlarges.
                    assert!((f32::from(pixel.0[0]) - value).abs() < 1.5, "{filter:?} to {to:?}");
                }
            }
        }
    }
}
