//! A flower from above: one or two rings of veined petals about a dotted disc.

use std::f32::consts::TAU;

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{disc, discs, line, polar, smooth};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let (hue, s, l) = dice.pick([
        (330.0, 0.75, 0.7),
        (285.0, 0.55, 0.66),
        (220.0, 0.65, 0.68),
        (0.0, 0.78, 0.6),
        (50.0, 0.2, 0.93),
        (42.0, 0.9, 0.62),
    ]);
    let petal = Tint::near(dice, hue, s, l, 12.0);
    let count = dice.int(7, 11);
    let turn = dice.angle();
    let wide = 2.0 / count as f32;

    if dice.chance(0.4) {
        ring(pen, petal, -0.12, count, turn + TAU / 2.0 / count as f32, wide * 1.1, 0.94);
    }
    ring(pen, petal, 0.0, count, turn, wide, 0.94);

    let heart = if (20.0..70.0).contains(&petal.h) && petal.s > 0.4 {
        Tint::near(dice, 22.0, 0.6, 0.28, 6.0)
    } else {
        Tint::near(dice, 44.0, 0.9, 0.52, 6.0)
    };
    let size = dice.between(0.28, 0.36);
    pen.fill(
        &disc(0.0, 0.0, size),
        Ink::glow(-0.08, -0.08, size * 1.3, heart.lighter(0.1), heart.lighter(-0.12)),
    );
    // Florets at the golden angle, as in a real flower head.
    let florets = (0..34_u32).map(|at| {
        let (x, y) = polar(size * 0.92 * ((at as f32 + 0.5) / 34.0).sqrt(), 2.399_963 * at as f32);
        (x, y, 0.026)
    });
    pen.fill(&discs(florets), heart.lighter(-0.22));
    pen.stroke(&disc(0.0, 0.0, size), 0.04, hsl(heart.h, heart.s, heart.l - 0.26));
}

fn ring(pen: &mut Pen<'_>, petal: Tint, lit: f32, count: u32, turn: f32, wide: f32, long: f32) {
    for at in 0..count {
        let angle = turn + TAU * at as f32 / count as f32;
        let (sin, cos) = angle.sin_cos();
        let to = |along: f32, across: f32| (along * cos - across * sin, along * sin + across * cos);
        let leaf = smooth(&[
            to(0.1, -0.03),
            to(0.5, -wide),
            to(0.8, -wide * 0.95),
            to(long, -wide * 0.15),
            to(long, wide * 0.15),
            to(0.8, wide * 0.95),
            to(0.5, wide),
            to(0.1, 0.03),
        ]);
        pen.fill(&leaf, Ink::glow(0.0, 0.0, 1.0, petal.lighter(lit - 0.2), petal.lighter(lit + 0.06)));
        pen.stroke(&line(&[to(0.35, 0.0), to(0.72, 0.0)]), 0.03, petal.lighter(lit - 0.24));
        pen.stroke(&leaf, 0.035, petal.lighter(lit - 0.32));
    }
}
