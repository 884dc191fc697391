//! Smooth random unevenness of a picture.

use tiny_skia::Pixmap;

use crate::dice::Dice;

/// Random values on a square lattice laid over the picture, smooth in between.
///
/// The lattice belongs to the scene, not to its pixels: any side shows the same pattern.
pub(crate) struct Lattice {
    cells: usize,
    /// Gray levels at the corners of the cells, row by row.
    levels: Vec<f32>,
}

impl Lattice {
    /// A lattice of `cells` by `cells` cells that moves pixels by up to `strength` gray levels either way.
    pub(crate) fn new(dice: &mut Dice, cells: usize, strength: f32) -> Self {
        let mut bytes = vec![0; (cells + 1) * (cells + 1)];
        dice.fill(&mut bytes);
        let levels = bytes.into_iter().map(|byte| (f32::from(byte) / 127.5 - 1.0) * strength).collect();
        Self { cells, levels }
    }

    /// The levels along the row of corners number `row`.
    fn row(&self, row: usize) -> &[f32] {
        &self.levels[row * (self.cells + 1)..][..self.cells + 1]
    }

    /// For each pixel of a line of `side`: its cell, and how far into the cell its middle lies, eased.
    fn steps(&self, side: usize) -> Vec<(usize, f32)> {
        let step = |at: usize| {
            let place = (at as f32 + 0.5) / side as f32 * self.cells as f32;
            let cell = (place as usize).min(self.cells - 1);
            let t = place - cell as f32;
            (cell, t * t * (3.0 - 2.0 * t))
        };
        (0..side).map(step).collect()
    }
}

/// Adds the sum of `lattices` to each pixel of an opaque square picture.
pub(crate) fn add(lattices: &[Lattice], picture: &mut Pixmap) {
    let side = picture.width() as usize;
    let steps: Vec<_> = lattices.iter().map(|lattice| lattice.steps(side)).collect();
    let mut between = Vec::new();
    let mut moves = vec![0.0_f32; side];
    for (y, line) in picture.data_mut().chunks_exact_mut(side * 4).enumerate() {
        moves.fill(0.0);
        for (lattice, steps) in lattices.iter().zip(&steps) {
            let (top, down) = steps[y];
            between.clear();
            between
                .extend(lattice.row(top).iter().zip(lattice.row(top + 1)).map(|(a, b)| a + (b - a) * down));
            for (by, &(left, right)) in moves.iter_mut().zip(steps) {
                *by += between[left] + (between[left + 1] - between[left]) * right;
            }
        }
        for (pixel, &by) in line.chunks_exact_mut(4).zip(&moves) {
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
        let mut picture = Pixmap::new(50, 50).expect("a picture");
        picture.fill(tiny_skia::Color::from_rgba8(100, 100, 100, 255));
        add(&[Lattice::new(&mut Dice::new(1, 1), 9, 20.0)], &mut picture);
        let levels = || picture.pixels().iter().map(|pixel| pixel.red());
        assert!(levels().all(|level| (80..=120).contains(&level)));
        assert!(levels().max() > Some(108) && levels().min() < Some(92));
    }
}
