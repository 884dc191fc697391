//! A ladybird from above, its head up: spotted wing cases, a dark head, six legs.

use crate::color::{Tint, hsl, with_alpha};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{disc, discs, line, lines, oval};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.pick([2.0, 8.0, 28.0, 48.0]);
    let shell = Tint::near(dice, hue, 0.85, 0.5, 8.0);
    let dark = hsl(dice.between(200.0, 300.0), 0.15, 0.12);

    let left = [
        [(-0.5, -0.3), (-0.78, -0.36), (-0.9, -0.26)],
        [(-0.5, 0.15), (-0.82, 0.1), (-0.95, 0.2)],
        [(-0.5, 0.5), (-0.7, 0.54), (-0.76, 0.64)],
    ];
    let legs = left.into_iter().flat_map(|leg| [leg, leg.map(|(x, y): (f32, f32)| (-x, y))]);
    pen.stroke(&lines(legs), 0.09, dark);
    let feelers =
        [-1.0_f32, 1.0].map(|side| [(0.1 * side, -0.72), (0.24 * side, -0.88), (0.38 * side, -0.91)]);
    pen.stroke(&lines(feelers), 0.06, dark);
    pen.fill(&oval(0.0, -0.56, 0.42, 0.32, 0.0), dark);
    pen.fill(&discs([(-0.24, -0.66, 0.1), (0.24, -0.66, 0.1)]), hsl(50.0, 0.3, 0.95));

    let body = oval(0.0, 0.2, 0.74, 0.76, 0.0);
    pen.fill(&body, Ink::glow(-0.2, -0.1, 1.1, shell.lighter(0.08), shell.lighter(-0.14)));
    let pairs = dice.int(2, 3);
    let size = dice.between(0.13, 0.16) + 0.03 * (3 - pairs) as f32;
    let spots = (0..pairs).flat_map(|row| {
        let y = -0.26 + 1.02 * (row as f32 + 0.4) / pairs as f32;
        let x = if row % 2 == 0 { dice.between(0.34, 0.44) } else { dice.between(0.24, 0.32) };
        let y = y + dice.jitter(0.0, 0.02);
        [(-x, y, size), (x, y, size)]
    });
    pen.fill_inside(&discs(spots), dark);
    if dice.chance(0.5) {
        pen.fill_inside(&disc(0.0, -0.36, size), dark);
    }
    pen.stroke(&line(&[(0.0, -0.55), (0.0, 0.95)]), 0.05, dark);
    pen.stroke(&body, 0.05, with_alpha(shell.lighter(-0.32), 0.9));
}
