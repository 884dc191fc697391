//! Clutter that belongs to no class: scraps of paper, ribbons, confetti, patterned patches.
//!
//! Clutter has the colors and patterns of the objects, so that neither identifies a class by itself. It never has their shapes: only
//! quadrilateral patches and straight bands are patterned; round and pointed scraps are plain.

use std::f32::consts::TAU;

use tiny_skia::Color;

use crate::backdrop::Palette;
use crate::color::{Tint, hsl, with_alpha};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{Outline, arc, blob, curve, discs, line, lines, polar, polygon, polygons};

/// Scatters clutter over the unit square of `pen`.
pub(crate) fn draw(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let count = dice.int(11, 20);
    for _ in 0..count {
        let (x, y, angle) = (dice.between(-0.05, 1.05), dice.between(-0.05, 1.05), dice.angle());
        let mut pen = pen.rotated(x, y, angle);
        match dice.below(14) {
            0..=1 => scrap(&mut pen, palette, dice, angle),
            2..=3 => shard(&mut pen, palette, dice, angle),
            4..=7 => patch(&mut pen, dice, angle),
            8..=9 => ribbon(&mut pen, palette, dice, angle),
            10..=11 => confetti(&mut pen, dice),
            12 => squiggle(&mut pen, dice),
            _ => hatching(&mut pen, palette, dice),
        }
    }
}

/// Returns a tint of the scene or of an object.
fn tint(palette: &Palette, dice: &mut Dice) -> Tint {
    if dice.chance(0.5) { palette.pick(dice) } else { bright(dice) }
}

/// Returns a tint of an object.
fn bright(dice: &mut Dice) -> Tint {
    let (h, s, l, spread) = dice.pick([
        (4.0, 0.82, 0.5, 10.0),
        (4.0, 0.82, 0.5, 10.0),
        (30.0, 0.7, 0.52, 10.0),
        (46.0, 0.88, 0.6, 8.0),
        (125.0, 0.5, 0.35, 25.0),
        (205.0, 0.65, 0.55, 25.0),
        (275.0, 0.55, 0.58, 20.0),
        (330.0, 0.7, 0.62, 15.0),
        (45.0, 0.3, 0.93, 15.0),
        (230.0, 0.2, 0.14, 20.0),
    ]);
    Tint::near(dice, h, s, l, spread)
}

/// Returns two colors that occur together on an object: that of its ground and that of its pattern.
fn pair(dice: &mut Dice) -> (Tint, Color) {
    let ground = bright(dice);
    let dark = hsl(ground.h + 40.0, 0.3, 0.13);
    let pale = hsl(ground.h + 40.0, 0.35, 0.93);
    let on = match dice.below(4) {
        0 if ground.l > 0.3 => dark,
        1 if ground.l < 0.75 => pale,
        2 => bright(dice).color(),
        _ if ground.l > 0.5 => ground.lighter(-0.22),
        _ => ground.lighter(0.24),
    };
    (ground, on)
}

/// Draws the shadow of a paper scrap at its lower right in the image, however the scrap is rotated.
fn shadow(pen: &mut Pen<'_>, outline: &Outline, angle: f32) {
    let (dx, dy) = polar(0.014, 0.9 - angle);
    pen.translated(dx, dy).fill(outline, Color::from_rgba8(20, 15, 40, 60));
}

fn scrap(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice, angle: f32) {
    let r = dice.between(0.05, 0.14);
    let outline = blob(dice, 0.0, 0.0, r, 0.28);
    let tint = tint(palette, dice);
    if dice.chance(0.7) {
        shadow(pen, &outline, angle);
    }
    pen.fill(&outline, Ink::fade((-r, -r), (r, r), tint.lighter(0.07), tint.lighter(-0.07)));
}

fn shard(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice, angle: f32) {
    let count = dice.int(3, 5);
    let r = dice.between(0.05, 0.15);
    let corners: Vec<_> = (0..count)
        .map(|at| {
            polar(r * dice.between(0.7, 1.1), TAU * (at as f32 + dice.jitter(0.0, 0.25)) / count as f32)
        })
        .collect();
    let outline = polygon(&corners);
    let tint = tint(palette, dice);
    if dice.chance(0.7) {
        shadow(pen, &outline, angle);
    }
    pen.fill(&outline, Ink::fade((-r, 0.0), (r, 0.0), tint.lighter(0.05), tint.lighter(-0.08)));
}

/// Draws a quadrilateral piece of patterned paper.
fn patch(pen: &mut Pen<'_>, dice: &mut Dice, angle: f32) {
    let (w, h) = (dice.between(0.12, 0.3), dice.between(0.08, 0.2));
    let lean = dice.jitter(0.0, 0.06);
    let at = |u: f32, v: f32| ((u - 0.5) * w + (v - 0.5) * lean, (v - 0.5) * h);
    let quad =
        |u: f32, v: f32, du: f32, dv: f32| [at(u, v), at(u + du, v), at(u + du, v + dv), at(u, v + dv)];
    let (ground, on) = pair(dice);
    let outline = polygon(&quad(0.0, 0.0, 1.0, 1.0));
    if dice.chance(0.8) {
        shadow(pen, &outline, angle);
    }
    pen.fill(&outline, Ink::fade(at(0.0, 0.0), at(1.0, 1.0), ground.lighter(0.05), ground.lighter(-0.06)));

    let step = dice.between(0.028, 0.05);
    let (columns, rows) = ((w / step) as u32, (h / step) as u32);
    let (du, dv) = (1.0 / columns as f32, 1.0 / rows as f32);
    let cells = || (0..rows).flat_map(move |row| (0..columns).map(move |column| (column, row)));
    let middle = |column: u32, row: u32| at((column as f32 + 0.5) * du, (row as f32 + 0.5) * dv);
    match dice.below(6) {
        0 => {
            let r = step * dice.between(0.22, 0.36);
            pen.fill(&discs(cells().map(|(column, row)| middle(column, row)).map(|(x, y)| (x, y, r))), on);
        }
        1 => pen.fill(&polygons((0..columns).map(|c| quad(c as f32 * du, 0.0, du * 0.5, 1.0))), on),
        2 => {
            let dark = cells().filter(|(column, row)| (column + row) % 2 == 0);
            pen.fill(&polygons(dark.map(|(c, r)| quad(c as f32 * du, r as f32 * dv, du, dv))), on);
        }
        3 => {
            let scales = cells().map(|(column, row)| {
                let (x, y) = middle(column, row);
                arc(x, y, step * 0.42, 0.3, 2.9, 5)
            });
            pen.stroke(&lines(scales), step * 0.2, on);
        }
        4 => {
            let zigzags = (0..rows).map(|row| {
                let v = (row as f32 + 0.5) * dv;
                (0..=columns * 2)
                    .map(|c| at(c as f32 * du / 2.0, v + dv * if c % 2 == 0 { -0.25 } else { 0.25 }))
                    .collect::<Vec<_>>()
            });
            pen.stroke(&lines(zigzags), step * 0.25, on);
        }
        _ => {
            let seeds = cells().map(|(column, row)| {
                let ((x, y), (dx, dy)) = (middle(column, row), polar(step * 0.2, dice.angle()));
                [(x - dx, y - dy), (x + dx, y + dy)]
            });
            pen.stroke(&lines(seeds), step * 0.28, on);
        }
    }
}

/// Draws a straight or bent band, plain or with a line along it.
fn ribbon(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice, angle: f32) {
    let long = dice.between(0.15, 0.45);
    let wide = dice.between(0.02, 0.05);
    let points: Vec<_> =
        (0..5).map(|at| (long * (at as f32 / 4.0 - 0.5) * 2.0, dice.jitter(0.0, 0.05))).collect();
    let tint = tint(palette, dice);
    let (dx, dy) = polar(0.01, 0.9 - angle);
    pen.translated(dx, dy).stroke(&curve(&points), wide, Color::from_rgba8(20, 15, 40, 50));
    pen.stroke(&curve(&points), wide, tint.color());
    if dice.chance(0.5) {
        let on = if tint.l > 0.5 { tint.lighter(-0.3) } else { tint.lighter(0.35) };
        pen.stroke(&curve(&points), wide * 0.25, on);
    }
}

/// Draws a cloud of small dots or dashes.
fn confetti(pen: &mut Pen<'_>, dice: &mut Dice) {
    let count = dice.int(6, 16);
    let spread = dice.between(0.08, 0.2);
    let color = bright(dice).color();
    let size = dice.between(0.006, 0.014);
    let round = dice.chance(0.5);
    let dots: Vec<_> = (0..count)
        .map(|_| (dice.jitter(0.0, spread), dice.jitter(0.0, spread), dice.angle(), dice.between(0.6, 1.3)))
        .collect();
    if round {
        pen.fill(&discs(dots.into_iter().map(|(x, y, _, scale)| (x, y, size * scale))), color);
    } else {
        let dashes = dots.into_iter().map(|(x, y, angle, scale)| {
            let (dx, dy) = polar(size * 1.2 * scale, angle);
            [(x - dx, y - dy), (x + dx, y + dy)]
        });
        pen.stroke(&lines(dashes), size, color);
    }
}

/// Draws a thin wavy or zigzag line.
fn squiggle(pen: &mut Pen<'_>, dice: &mut Dice) {
    let (step, high) = (dice.between(0.02, 0.045), dice.between(0.015, 0.045));
    let count = dice.int(6, 12);
    let points: Vec<_> = (0..count)
        .map(|at| (step * (at as f32 - count as f32 / 2.0), if at % 2 == 0 { high } else { -high }))
        .collect();
    let path = if dice.chance(0.5) { curve(&points) } else { line(&points) };
    pen.stroke(&path, dice.between(0.006, 0.016), bright(dice).color());
}

/// Draws a few parallel pencil lines.
fn hatching(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let count = dice.int(5, 10);
    let step = dice.between(0.014, 0.026);
    let strokes = (0..count).map(|at| {
        let y = step * (at as f32 - count as f32 / 2.0);
        [(-dice.between(0.05, 0.15), y), (dice.between(0.05, 0.15), y + 0.01)]
    });
    let strokes = lines(strokes);
    pen.stroke(&strokes, step * 0.3, with_alpha(tint(palette, dice).color(), 0.8));
}
