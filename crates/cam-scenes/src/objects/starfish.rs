//! A starfish: five rounded arms with rows of bumps.

use std::f32::consts::{PI, TAU};

use crate::color::Tint;
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{discs, polar, smooth};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.pick([14.0, 28.0, 340.0, 280.0, 185.0]);
    let skin = Tint::near(dice, hue, 0.72, 0.54, 10.0);
    let waist = dice.between(0.34, 0.42);
    let bend = dice.jitter(0.0, 0.16);
    let tip = dice.between(0.09, 0.13);

    let mut points = Vec::new();
    for arm in 0..5 {
        let angle = TAU * arm as f32 / 5.0 + dice.jitter(0.0, 0.07);
        let reach = dice.between(0.9, 0.97);
        points.push(polar(0.62, angle + bend * 0.5 - 0.2));
        points.push(polar(reach - 0.03, angle + bend - tip));
        points.push(polar(reach, angle + bend));
        points.push(polar(reach - 0.03, angle + bend + tip));
        points.push(polar(0.62, angle + bend * 0.5 + 0.2));
        points.push(polar(waist, angle + PI / 5.0));
    }
    let body = smooth(&points);
    pen.fill(&body, Ink::glow(0.0, 0.0, 1.0, skin.lighter(0.08), skin.lighter(-0.08)));

    // Bumps: a row along the middle of each arm, smaller ones beside it.
    let mut middle = vec![(0.0, 0.0, 0.075)];
    let mut beside = Vec::new();
    let steps = dice.int(5, 7);
    for arm in 0..5 {
        let (x, y) = points[arm * 6 + 2];
        let angle = y.atan2(x) - bend;
        for step in 1..=steps {
            let share = step as f32 / (steps as f32 + 0.6);
            let (r, along) = (0.94 * share, angle + bend * share);
            let (x, y) = polar(r, along);
            middle.push((x, y, 0.07 * (1.25 - share)));
            if share < 0.78 {
                let off = 0.16 * (1.1 - share) / r.max(0.2);
                for side in [-1.0, 1.0] {
                    let (x, y) = polar(r + 0.04, along + side * off);
                    beside.push((x, y, 0.036));
                }
            }
        }
    }
    pen.fill_inside(&discs(beside), skin.lighter(-0.2));
    pen.fill_inside(&discs(middle), skin.lighter(0.28));
    pen.stroke(&body, 0.05, skin.lighter(-0.28));
}
