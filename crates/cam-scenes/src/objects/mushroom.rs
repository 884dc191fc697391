//! A toadstool, its cap up: a dome with pale spots, gills below it, a stem with a ring.

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{curve, disc, lines, oval, polar, smooth};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.pick([0.0, 12.0, 28.0, 275.0, 325.0]);
    let cap = Tint::near(dice, hue, 0.72, 0.46, 10.0);
    let stem = Tint::near(dice, 42.0, 0.45, 0.87, 8.0);
    let thick = dice.between(0.24, 0.34);
    let bulge = dice.between(1.15, 1.6);

    let foot = smooth(&[
        (-thick, 0.0),
        (thick, 0.0),
        (thick * 1.05, 0.45),
        (thick * bulge, 0.82),
        (0.0, 0.97),
        (-thick * bulge, 0.82),
        (-thick * 1.05, 0.45),
    ]);
    pen.fill(&foot, Ink::fade((-0.4, 0.0), (0.45, 0.0), stem.color(), stem.lighter(-0.22)));
    let marks = (0..5).map(|at| {
        let x = thick * (-0.6 + 0.3 * at as f32);
        let y = dice.between(0.45, 0.6);
        [(x, y), (x * 1.15, y + dice.between(0.1, 0.2))]
    });
    pen.stroke_inside(&lines(marks), 0.035, stem.lighter(-0.35));
    pen.stroke(&foot, 0.05, stem.lighter(-0.42));

    let under = oval(0.0, 0.1, 0.84, 0.2, 0.0);
    pen.fill(&under, stem.lighter(-0.12));
    let gills = (0..13).map(|at| {
        let x = -0.78 + 0.13 * at as f32;
        [(x, 0.32), (x * 0.3, 0.02)]
    });
    pen.stroke_inside(&lines(gills), 0.03, stem.lighter(-0.35));
    let ring = curve(&[(-thick * 1.25, 0.4), (-thick * 0.5, 0.48), (thick * 0.5, 0.48), (thick * 1.25, 0.4)]);
    pen.stroke(&ring, 0.1, stem.lighter(0.04));

    let top = dice.between(-0.95, -0.8);
    let dome = smooth(&[
        (-0.92, 0.1),
        (-0.8, -0.35),
        (-0.45, top * 0.88),
        (0.0, top),
        (0.45, top * 0.88),
        (0.8, -0.35),
        (0.92, 0.1),
        (0.5, 0.2),
        (0.0, 0.12),
        (-0.5, 0.2),
    ]);
    pen.fill(&dome, Ink::glow(-0.25, -0.5, 1.3, cap.lighter(0.1), cap.lighter(-0.16)));
    let pale = hsl(45.0, 0.5, 0.95);
    let count = dice.int(4, 6);
    let turn = dice.between(0.0, 0.5);
    for at in 0..count {
        let (x, y) = polar(0.72, std::f32::consts::PI * (1.0 + (at as f32 + turn) / count as f32));
        let size = dice.between(0.09, 0.13);
        pen.fill_inside(&oval(x, y * 0.82 - 0.02, size, size * 0.8, 0.3 * x), pale);
    }
    let (x, y) = (dice.jitter(0.0, 0.06), dice.jitter(-0.27, 0.03));
    pen.fill_inside(&oval(x, y, dice.between(0.15, 0.2), dice.between(0.12, 0.15), 0.0), pale);
    pen.fill_inside(&disc(dice.jitter(0.31, 0.04), dice.jitter(-0.06, 0.04), 0.075), pale);
    pen.fill_inside(&disc(dice.jitter(-0.33, 0.04), dice.jitter(-0.04, 0.04), 0.065), pale);
    pen.stroke(&dome, 0.05, cap.lighter(-0.3));
}
