//! A fish swimming to the left: fins, a round eye, and scales or stripes on its body.

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{arc, curve, disc, line, lines, smooth};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.pick([28.0, 48.0, 150.0, 195.0, 225.0, 340.0]);
    let skin = Tint::near(dice, hue, 0.7, 0.55, 12.0);
    let fins = skin.rotated(dice.pick([-35.0, 35.0, 150.0, 0.0]));
    let edge = skin.lighter(-0.35);
    let tall = dice.between(0.46, 0.58);

    let tail = smooth(&[(0.42, 0.0), (0.75, -0.3), (0.93, -0.36), (0.82, 0.0), (0.93, 0.36), (0.75, 0.3)]);
    let back = smooth(&[(-0.35, -0.3), (-0.15, -tall - 0.2), (0.2, -tall - 0.14), (0.45, -0.2)]);
    let belly = smooth(&[(-0.1, 0.3), (0.05, tall + 0.16), (0.3, tall + 0.12), (0.35, 0.2)]);
    for fin in [&tail, &back, &belly] {
        pen.fill(fin, Ink::fade((0.0, -0.6), (0.5, 0.6), fins.lighter(0.1), fins.lighter(-0.08)));
    }
    let rays = (0..9).map(|at| {
        let y = (at as f32 - 4.0) * 0.085;
        [(0.45, y * 0.2), (0.95, y * 1.2)]
    });
    let tops = (0..6).map(|at| {
        let x = -0.2 + 0.11 * at as f32;
        [(x - 0.05, -0.2), (x + 0.08, -1.0)]
    });
    pen.stroke_inside(&lines(rays.chain(tops)), 0.025, fins.lighter(-0.25));
    for fin in [&tail, &back, &belly] {
        pen.stroke(fin, 0.04, fins.lighter(-0.35));
    }

    // The body is drawn again over the fins; its outline clips its pattern.
    let body = smooth(&[
        (-0.95, 0.04),
        (-0.7, -0.3),
        (-0.2, -tall),
        (0.3, -0.34),
        (0.58, -0.09),
        (0.58, 0.09),
        (0.3, 0.34),
        (-0.2, tall),
        (-0.7, 0.34),
    ]);
    pen.fill(&body, Ink::fade((0.0, -tall), (0.0, tall), skin.lighter(-0.06), skin.lighter(0.24)));
    let half = |x: f32| tall * (1.0 - ((x + 0.2) / 0.8).powi(2)).max(0.0).powf(0.75);
    if dice.chance(0.5) {
        let count = dice.int(2, 4);
        let stripe = if dice.chance(0.5) { hsl(0.0, 0.0, 0.97) } else { skin.lighter(-0.3) };
        for at in 0..count {
            let x = -0.34 + 0.78 * (at as f32 + 0.3) / count as f32;
            let tip = half(x + 0.03) - 0.06;
            let band = curve(&[(x + 0.03, -tip), (x - 0.05, 0.0), (x + 0.03, tip)]);
            pen.stroke(&band, 0.13, stripe);
        }
    } else {
        let step = dice.between(0.15, 0.19);
        let scales = (0..6).flat_map(|column| {
            let x = -0.32 + step * column as f32;
            let tip = half(x) - 0.06;
            let shift = if column % 2 == 0 { 0.0 } else { 0.5 };
            (-5..5).map(move |row| (x, (row as f32 + shift) * step, tip)).filter(|(_, y, tip)| y.abs() < *tip)
        });
        let scales = scales.map(|(x, y, _)| arc(x, y, step * 0.52, 1.6, 4.7, 8));
        pen.stroke(&lines(scales), 0.04, skin.lighter(-0.27));
    }
    let fin = smooth(&[(-0.22, 0.1), (0.08, 0.05), (0.14, 0.2), (0.05, 0.32), (-0.12, 0.24)]);
    pen.fill(&fin, fins.lighter(0.05));
    pen.stroke(&fin, 0.03, fins.lighter(-0.35));
    pen.stroke(&curve(&[(-0.44, -0.3), (-0.37, -0.1), (-0.38, 0.12), (-0.46, 0.3)]), 0.045, edge);
    pen.stroke(&body, 0.05, edge);
    pen.stroke(&line(&[(-0.93, 0.1), (-0.76, 0.12)]), 0.045, edge);
    pen.fill(&disc(-0.6, -0.1, 0.13), hsl(0.0, 0.0, 0.98));
    pen.fill(&disc(-0.62, -0.1, 0.075), hsl(230.0, 0.3, 0.1));
    pen.fill(&disc(-0.64, -0.125, 0.025), hsl(0.0, 0.0, 1.0));
}
