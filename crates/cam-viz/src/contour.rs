//! Lines of equal value, by marching squares.
//!
//! Four neighbouring values span a square. A line crosses each of its sides whose ends lie on different sides of the
//! level, where the linear interpolation has the level's value. Where all four sides are crossed, the saddle of the
//! bilinear surface, `(a c - b d) / (a + c - b - d)`, says which corners are together.
//!
//! Lorensen and Cline, *Marching Cubes*, SIGGRAPH 1987, in two dimensions; the saddle as in Nielson and Hamann, *The
//! Asymptotic Decider*, Visualization 1991.

use crate::{HeatMap, line::Segment};

/// The line at which the values of a map reach a level, in pixels of the map.
pub(crate) fn contour(map: &HeatMap, level: f32) -> Vec<Segment> {
    let (width, height) = (map.width() as usize, map.height() as usize);
    let mut segments = Vec::new();
    for y in 1..height {
        for x in 1..width {
            let [above, here] = [(y - 1) * width + x, y * width + x].map(|end| &map.values()[end - 1..=end]);
            square([above[0], above[1], here[1], here[0]], level, |[from, to]| {
                let place = |[right, down]: [f32; 2]| [x as f32 - 0.5 + right, y as f32 - 0.5 + down];
                segments.push(Segment { from: place(from), to: place(to) });
            });
        }
    }
    segments
}

/// The lines through a square of side 1 whose corners, clockwise from the top left, have these values.
fn square(corners: [f32; 4], level: f32, mut line: impl FnMut([[f32; 2]; 2])) {
    let hot = corners.map(|value| value >= level);
    if hot == [hot[0]; 4] {
        return;
    }
    let [a, b, c, d] = corners.map(f64::from);
    let level = f64::from(level);
    let share = |from: f64, to: f64| ((level - from) / (to - from)) as f32;
    // On the sides above, right, below, left.
    let [above, right, below, left] =
        [[share(a, b), 0.0], [1.0, share(b, c)], [share(d, c), 1.0], [0.0, share(a, d)]];
    match hot.map(|one| one == hot[0]) {
        [_, false, false, false] => line([left, above]),
        [_, false, true, true] => line([above, right]),
        [_, true, false, true] => line([right, below]),
        [_, true, true, false] => line([below, left]),
        [_, true, false, false] => line([left, right]),
        [_, false, false, true] => line([above, below]),
        [_, true, true, true] => {}
        [_, false, true, false] => {
            let saddle = (a * c - b * d) / (a + c - b - d);
            if (saddle >= level) == hot[0] {
                line([above, right]);
                line([below, left]);
            } else {
                line([left, above]);
                line([right, below]);
            }
        }
    }
}
