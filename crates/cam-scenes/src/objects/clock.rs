//! An alarm clock, twelve o'clock up: two bells, a rim, a dial with marks and hands, two feet.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{arc, disc, line, lines, polar, polygon};

/// The vertical position of the center of the dial.
const Y: f32 = 0.14;

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.angle().to_degrees();
    let case = Tint::near(dice, hue, 0.6, 0.46, 0.0);
    let dark = hsl(dice.between(200.0, 260.0), 0.25, 0.16);

    let feet = [-1.0_f32, 1.0].map(|side| [(0.35 * side, 0.66), (0.46 * side, 0.84)]);
    pen.stroke(&lines(feet), 0.14, dark);
    pen.stroke(&line(&arc(0.0, -0.64, 0.2, PI, TAU, 12)), 0.07, dark);
    for side in [-1.0_f32, 1.0] {
        let up = -FRAC_PI_2 + 0.66 * side;
        let (x, y) = polar(0.76, up);
        let bell = polygon(&arc(x, Y + y, 0.3, up - FRAC_PI_2, up + FRAC_PI_2, 16));
        pen.fill(&bell, Ink::glow(x - 0.1, Y + y - 0.12, 0.4, case.lighter(0.22), case.lighter(-0.05)));
        pen.stroke(&bell, 0.05, case.lighter(-0.25));
    }
    pen.fill(
        &disc(0.0, Y, 0.76),
        Ink::fade((-0.6, -0.5), (0.6, 0.8), case.lighter(0.1), case.lighter(-0.12)),
    );
    pen.stroke(&disc(0.0, Y, 0.755), 0.05, case.lighter(-0.25));
    pen.fill(&disc(0.0, Y, 0.61), hsl(dice.between(30.0, 60.0), 0.5, 0.94));
    pen.stroke(&disc(0.0, Y, 0.61), 0.03, case.lighter(-0.25));

    let mark = |hour: u32, from: f32| {
        let angle = TAU * hour as f32 / 12.0;
        let ((x, y), (u, v)) = (polar(from, angle), polar(0.56, angle));
        [(x, Y + y), (u, Y + v)]
    };
    pen.stroke(&lines((0..12).map(|hour| mark(hour, 0.49))), 0.05, dark);
    pen.stroke(&lines([0, 3, 6, 9].map(|hour| mark(hour, 0.43))), 0.08, dark);

    // The hour hand matches the minute hand.
    let minutes = dice.below(720) as f32;
    let hand = |turns: f32, length: f32| {
        let (x, y) = polar(length, TAU * turns - FRAC_PI_2);
        line(&[(-0.15 * x, Y - 0.15 * y), (x, Y + y)])
    };
    pen.stroke(&hand(minutes / 720.0, 0.28), 0.1, dark);
    pen.stroke(&hand(minutes / 60.0, 0.44), 0.075, dark);
    pen.stroke(&hand(dice.unit(), 0.46), 0.03, hsl(2.0, 0.85, 0.5));
    pen.fill(&disc(0.0, Y, 0.075), dark);
}
