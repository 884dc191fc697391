//! A half-moon slice of watermelon, its cut side up: striped rind, pale pith, flesh with seeds.

use std::f32::consts::PI;

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{arc, lines, oval, polar, polygon};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.pick([352.0, 358.0, 8.0, 44.0]);
    let flesh = Tint::near(dice, hue, 0.82, 0.58, 5.0);
    let rind = Tint::near(dice, 125.0, 0.55, 0.3, 20.0);
    let top = -0.42;

    let slice = polygon(&arc(0.0, top, 0.9, 0.0, PI, 40));
    pen.fill(&slice, rind.color());
    let wedge = dice.int(9, 13);
    let stripes = (0..wedge).map(|at| {
        let angle = PI * (at as f32 + 0.5) / wedge as f32;
        let ((x, y), (u, v)) = (polar(0.8, angle - 0.03), polar(0.95, angle + 0.03));
        [(x, top + y), (u, top + v)]
    });
    pen.stroke_inside(&lines(stripes), 0.08, rind.lighter(0.16));
    pen.fill(&polygon(&arc(0.0, top, 0.77, 0.0, PI, 40)), hsl(dice.between(70.0, 100.0), 0.5, 0.85));
    let inner = polygon(&arc(0.0, top, 0.7, 0.0, PI, 40));
    pen.fill(&inner, Ink::glow(0.0, top, 0.75, flesh.lighter(-0.06), flesh.lighter(0.06)));

    let seed = hsl(20.0, 0.5, 0.11);
    let turn = dice.between(-0.05, 0.05);
    for (row, count) in [(0.28, dice.int(2, 3)), (0.53, dice.int(4, 6))] {
        for at in 0..count {
            let angle = PI * (at as f32 + 0.5) / count as f32 + turn + dice.jitter(0.0, 0.05);
            let (x, y) = polar(row + dice.jitter(0.0, 0.03), angle);
            pen.fill(&oval(x, top + y, 0.085, 0.05, angle), seed);
        }
    }
    pen.stroke(&slice, 0.05, rind.lighter(-0.15));
}
