//! A butterfly from above, its head up: four wings with dark margins, cells and eye spots.

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{curve, discs, lines, oval, smooth};

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let hue = dice.pick([22.0, 48.0, 205.0, 270.0, 320.0, 165.0]);
    let wing = Tint::near(dice, hue, 0.8, 0.56, 12.0);
    let spot = wing.rotated(dice.pick([150.0, 180.0, -120.0, 40.0]));
    let margin = hsl(wing.h + 200.0, 0.25, 0.14);
    let span = dice.between(0.86, 0.92);
    let lower = dice.between(0.58, 0.7);
    let eyes = dice.between(0.1, 0.15);

    let mirror =
        |points: &[(f32, f32)], side: f32| points.iter().map(|&(x, y)| (x * side, y)).collect::<Vec<_>>();
    let fore =
        [(0.04, -0.1), (0.3, -0.52), (0.7, -0.66), (span, -0.42), (0.82, -0.08), (0.5, 0.1), (0.05, 0.08)];
    let hind = [(0.04, 0.0), (0.5, 0.06), (lower, 0.3), (lower - 0.06, 0.62), (0.36, 0.82), (0.16, 0.5)];
    for side in [-1.0, 1.0] {
        for (points, heart) in [(&hind[..], (0.2, 0.25)), (&fore[..], (0.25, -0.2))] {
            let outline = smooth(&mirror(points, side));
            pen.fill(&outline, margin);
            pen.stroke(&outline, 0.05, margin);
            // The colored part: the same wing, scaled toward its root.
            let cell: Vec<_> = mirror(points, side)
                .into_iter()
                .map(|(x, y)| (heart.0 * side + (x - heart.0 * side) * 0.78, heart.1 + (y - heart.1) * 0.78))
                .collect();
            let ink = Ink::glow(0.0, 0.0, 0.9, wing.lighter(0.22), wing.lighter(-0.04));
            pen.fill(&smooth(&cell), ink);
        }
        let veins = [
            [(0.06, -0.06), (0.62, -0.54)],
            [(0.06, -0.04), (0.76, -0.3)],
            [(0.06, 0.0), (0.68, -0.04)],
            [(0.06, 0.06), (0.5, 0.36)],
            [(0.06, 0.08), (0.34, 0.66)],
        ];
        pen.stroke(&lines(veins.map(|vein| mirror(&vein, side))), 0.035, margin);
        let (big, small) = ((0.58 * side, -0.3), (0.4 * side, 0.42));
        pen.fill(&discs([(big.0, big.1, eyes + 0.04), (small.0, small.1, eyes)]), spot.lighter(-0.18));
        pen.fill(&discs([(big.0, big.1, eyes * 0.75), (small.0, small.1, eyes * 0.55)]), spot.lighter(0.3));
        let dots = [
            (0.83, -0.4),
            (0.83, -0.24),
            (0.74, -0.08),
            (0.72, -0.57),
            (0.56, 0.35),
            (0.5, 0.6),
            (0.36, 0.74),
        ];
        let dots = mirror(&dots, side).into_iter().map(|(x, y)| (x, y, 0.035));
        pen.fill_inside(&discs(dots), hsl(50.0, 0.5, 0.95));
        let feeler = mirror(&[(0.03, -0.42), (0.1, -0.7), (0.26, -0.86)], side);
        pen.stroke(&curve(&feeler), 0.045, margin);
        pen.fill(&discs([(0.26 * side, -0.86, 0.055)]), margin);
    }
    pen.fill(&oval(0.0, 0.1, 0.085, 0.5, 0.0), hsl(wing.h, 0.3, 0.2));
    pen.fill(&discs([(0.0, -0.42, 0.1)]), hsl(wing.h, 0.3, 0.16));
    let rings = [0.12_f32, 0.24, 0.36, 0.48].map(|y| [(-0.05, y), (0.05, y)]);
    pen.stroke(&lines(rings), 0.035, wing.lighter(0.1));
}
