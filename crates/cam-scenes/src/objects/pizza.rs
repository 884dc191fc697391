//! A slice of pizza, its tip down: a crust, dripping cheese, salami, olives and basil.

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{arc, curve, disc, discs, line, oval, smooth};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let cheese = Tint::near(dice, 45.0, 0.88, 0.64, 6.0);
    let crust = Tint::near(dice, 30.0, 0.6, 0.5, 5.0);
    let salami = Tint::near(dice, 6.0, 0.66, 0.45, 8.0);
    let half = dice.between(0.59, 0.66);

    let mut drip = |x: f32, y: f32| (x + dice.jitter(0.0, 0.02), y + dice.jitter(0.0, 0.05));
    let slice = smooth(&[
        (-half, -0.55),
        (0.0, -0.7),
        (half, -0.55),
        drip(half * 0.72, -0.1),
        drip(half * 0.52, 0.12),
        drip(half * 0.36, 0.5),
        (0.06, 0.92),
        (-0.06, 0.92),
        drip(-half * 0.34, 0.45),
        drip(-half * 0.56, 0.2),
        drip(-half * 0.7, -0.12),
    ]);
    pen.fill(&slice, Ink::fade((0.0, -0.6), (0.0, 0.95), cheese.color(), cheese.lighter(0.06)));
    let melted = dice.int(3, 5);
    for _ in 0..melted {
        let (x, y) = (dice.jitter(0.0, 0.4), dice.between(-0.5, 0.5));
        pen.fill_inside(&oval(x, y, 0.16, 0.09, dice.angle()), cheese.lighter(0.12));
    }
    pen.stroke(&slice, 0.06, hsl(cheese.h - 12.0, 0.75, 0.42));

    let places = [(-0.27, -0.3), (0.27, -0.22), (0.0, 0.12), (0.02, 0.52), (-0.02, -0.52)];
    let round = dice.int(3, 4) as usize;
    for &(x, y) in &places[..round] {
        let (x, y) = (x + dice.jitter(0.0, 0.05), y + dice.jitter(0.0, 0.04));
        let size = if y > 0.35 { 0.13 } else { dice.between(0.17, 0.21) };
        pen.fill_inside(
            &disc(x, y, size),
            Ink::glow(x, y, size, salami.lighter(0.07), salami.lighter(-0.02)),
        );
        pen.stroke_inside(&disc(x, y, size * 0.94), 0.045, salami.lighter(-0.17));
        let flecks =
            [0.4, 2.3, 4.4].map(|angle: f32| (x + 0.09 * angle.cos(), y + 0.09 * angle.sin(), 0.025));
        pen.fill_inside(&discs(flecks), salami.lighter(0.2));
    }
    for _ in 0..dice.int(1, 3) {
        let (x, y) = (dice.jitter(0.0, 0.32), dice.between(-0.5, 0.3));
        pen.stroke_inside(&disc(x, y, 0.065), 0.055, hsl(260.0, 0.2, 0.16));
    }
    for _ in 0..dice.int(2, 3) {
        let (x, y, angle) = (dice.jitter(0.0, 0.35), dice.between(-0.5, 0.35), dice.angle());
        pen.fill_inside(&oval(x, y, 0.12, 0.05, angle), hsl(115.0, 0.5, 0.33));
        let (sin, cos) = angle.sin_cos();
        let rib = line(&[(x - 0.1 * cos, y - 0.1 * sin), (x + 0.1 * cos, y + 0.1 * sin)]);
        pen.stroke_inside(&rib, 0.02, hsl(110.0, 0.5, 0.55));
    }

    let edge = [
        (-half - 0.04, -0.58),
        (-half * 0.5, -0.72),
        (0.0, -0.76),
        (half * 0.5, -0.72),
        (half + 0.04, -0.58),
    ];
    pen.stroke(&curve(&edge), 0.3, crust.lighter(-0.26));
    pen.stroke(&curve(&edge), 0.22, crust.color());
    let shine = arc(0.0, 0.82, 1.62, -1.85, -1.3, 10);
    pen.stroke(&line(&shine), 0.06, crust.lighter(0.16));
    let burns =
        (0..4).map(|at| (-0.45 + 0.3 * at as f32, -0.66 - 0.04 * (at % 2) as f32, dice.between(0.02, 0.04)));
    pen.fill_inside(&discs(burns), crust.lighter(-0.2));
}
