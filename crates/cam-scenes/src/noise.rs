//! Smooth noise.

use tiny_skia::Pixmap;

use crate::dice::Dice;

/// Value noise: random values on a square lattice over the image, interpolated smoothly.
///
/// The lattice does not depend on the pixels, so the pattern is the same at any side.
pub(crate) struct Lattice {
    cells: usize,
    /// Gray levels at the corners of the cells, row by row.
    levels: Vec<f32>,
}

impl Lattice {
    /// Makes a lattice of `cells` by `cells` cells that changes pixels by up to `strength` gray levels either way.
    pub(crate) fn new(dice: &mut Dice, cells: usize, strength: f32) -> Self {
        let mut bytes = vec![0; (cells + 1) * (cells + 1)];
        dice.fill(&mut bytes);
        let levels = bytes.into_iter().map(|byte| (f32::from(byte) / 127.5 - 1.0) * strength).collect();
        Self { cells, levels }
    }

    /// Returns the levels along a row of corners.
    fn row(&self, row: usize) -> &[f32] {
        &self.levels[row * (self.cells + 1)..][..self.cells + 1]
    }

    /// Returns for each pixel of a line its cell and the position of its center within the cell, eased.
    fn steps(&self, side: usize) -> Vec<(usize, f32)> {
        let step = |at: usize| {
            let position = (at as f32 + 0.5) / side as f32 * self.cells as f32;
            let cell = (position as usize).min(self.cells - 1);
            let t = position - cell as f32;
            (cell, t * t * (3.0 - 2.0 * t))
        };
        (0..side).map(step).collect()
    }
}

/// Adds the sum of lattices to each pixel of an opaque square image.
pub(crate) fn add(lattices: &[Lattice], image: &mut Pixmap) {
    let side = image.width() as usize;
    let steps: Vec<_> = lattices.iter().map(|lattice| lattice.steps(side)).collect();
    let mut between = Vec::new();
    let mut offsets = vec![0.0_f32; side];
    for (y, line) in image.data_mut().chunks_exact_mut(side * 4).enumerate() {
        offsets.fill(0.0);
        for (lattice, steps) in lattices.iter().zip(&steps) {
            let (top, down) = steps[y];
            between.clear();
            between
                .extend(lattice.row(top).iter().zip(lattice.row(top + 1)).map(|(a, b)| a + (b - a) * down));
            for (by, &(left, right)) in offsets.iter_mut().zip(steps) {
                *by += between[left] + (between[left + 1] - between[left]) * right;
            }
        }
        for (pixel, &by) in line.chunks_exact_mut(4).zip(&offsets) {
            let by = by as i8;
            pixel[..3].iter_mut().for_each(|channel| *channel = channel.saturating_add_signed(by));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_stays_within_its_strength() {
        let mut image = Pixmap::new(50, 50).expect("an image");
        image.fill(tiny_skia::Color::from_rgba8(100, 100, 100, 255));
        add(&[Lattice::new(&mut Dice::new(1, 1), 9, 20.0)], &mut image);
        let levels = || image.pixels().iter().map(|pixel| pixel.red());
        assert!(levels().all(|level| (80..=120).contains(&level)));
        assert!(levels().max() > Some(108) && levels().min() < Some(92));
    }
}
