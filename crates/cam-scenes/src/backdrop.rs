//! Backgrounds: a gradient with hills, tiles or rays, made uneven by noise.

use std::f32::consts::TAU;

use tiny_skia::{Pixmap, Transform};

use crate::color::Tint;
use crate::dice::Dice;
use crate::noise::{self, Lattice};
use crate::pen::{Ink, Pen};
use crate::shapes::{polar, polygon};

/// The tints of the backdrop and of part of the clutter of a scene.
pub(crate) struct Palette {
    tints: [Tint; 3],
}

impl Palette {
    /// Chooses three matching tints, from pale to deep.
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let hue = dice.between(0.0, 360.0);
        let apart = dice.pick([24.0, 40.0, 120.0, 165.0, -30.0]);
        let (s, l) =
            dice.pick([(0.5, 0.78), (0.4, 0.66), (0.55, 0.56), (0.35, 0.42), (0.2, 0.7), (0.45, 0.3)]);
        Self { tints: [0.0, 1.0, 2.0].map(|step| Tint::near(dice, hue + apart * step, s, l, 8.0)) }
    }

    /// Returns one of the tints, slightly lighter or darker.
    pub(crate) fn pick(&self, dice: &mut Dice) -> Tint {
        let tint = dice.pick(self.tints);
        Tint { l: dice.jitter(tint.l, 0.12), ..tint }
    }
}

/// Paints the whole square `image`.
pub(crate) fn draw(image: &mut Pixmap, palette: &Palette, dice: &mut Dice) {
    let side = image.width() as f32;
    let uneven = [Lattice::new(dice, 7, 14.0), Lattice::new(dice, 37, 6.0)];
    let mut pen = Pen::new(image, Transform::from_scale(side, side));

    let all = polygon(&[(-0.1, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.1, 1.1)]);
    let (from, to) = (palette.pick(dice), palette.pick(dice));
    let (dx, dy) = polar(0.55, dice.angle());
    if dice.chance(0.7) {
        pen.fill(
            &all,
            Ink::fade((0.5 - dx, 0.5 - dy), (0.5 + dx, 0.5 + dy), from.lighter(0.06), to.lighter(-0.06)),
        );
    } else {
        pen.fill(&all, Ink::glow(0.5 + 0.6 * dx, 0.5 + 0.6 * dy, 1.0, from.lighter(0.1), to.lighter(-0.08)));
    }
    match dice.below(5) {
        0 | 1 => hills(&mut pen, palette, dice),
        2 => tiles(&mut pen, palette, dice),
        3 => rays(&mut pen, palette, dice),
        _ => {}
    }
    noise::add(&uneven, image);
}

fn hills(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let mut pen = pen.rotated(0.5, 0.5, if dice.chance(0.6) { 0.0 } else { dice.angle() });
    let count = dice.int(2, 4);
    for hill in 0..count {
        let level = -0.3 + 0.8 * (hill as f32 + dice.unit()) / count as f32;
        let (high, waves, phase) = (dice.between(0.03, 0.1), dice.between(0.8, 2.2), dice.angle());
        let mut land: Vec<_> = (0..=28)
            .map(|at| {
                let x = -0.8 + 1.6 * at as f32 / 28.0;
                (x, level + high * (phase + TAU * waves * x).sin())
            })
            .collect();
        land.extend([(0.8, 0.9), (-0.8, 0.9)]);
        let tint = palette.pick(dice);
        pen.fill(
            &polygon(&land),
            Ink::fade((0.0, level - 0.1), (0.0, level + 0.4), tint.lighter(0.05), tint.lighter(-0.12)),
        );
    }
}

fn tiles(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let count = dice.int(4, 6);
    let mut pen = pen.rotated(0.5, 0.5, dice.angle());
    let size = 1.5 / count as f32;
    for (row, column) in (0..count).flat_map(|row| (0..count).map(move |column| (row, column))) {
        let (x, y) = (-0.75 + size * column as f32, -0.75 + size * row as f32);
        let tint = palette.pick(dice);
        if dice.chance(0.6) {
            pen.fill(&polygon(&[(x, y), (x + size, y), (x + size, y + size), (x, y + size)]), tint.color());
        }
    }
}

fn rays(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let count = dice.int(6, 10);
    let mut pen = pen.rotated(dice.between(-0.1, 1.1), dice.between(-0.1, 1.1), dice.angle());
    for ray in 0..count {
        let from = TAU * ray as f32 / count as f32;
        let (a, b) = (polar(1.8, from), polar(1.8, from + TAU * dice.between(0.35, 0.6) / count as f32));
        pen.fill(&polygon(&[(0.0, 0.0), a, b]), palette.pick(dice).color());
    }
}
