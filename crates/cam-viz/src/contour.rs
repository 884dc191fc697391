//! Lines of equal value, by marching squares.
//!
//! Four neighboring values form a square. A line crosses each of its sides whose ends lie on different sides of the level, at the
//! point where linear interpolation gives the level. Where all four sides are crossed, the saddle of the bilinear surface,
//! `(a c - b d) / (a + c - b - d)`, determines which corners are connected.
//!
//! Lorensen and Cline, *Marching Cubes*, SIGGRAPH 1987, in two dimensions; the saddle as in Nielson and Hamann, *The
//! Asymptotic Decider*, Visualization 1991.

use crate::{HeatMap, line::Segment};

/// Returns the contour of a map at a level, in pixels of the map.
pub(crate) fn contour(map: &HeatMap, level: f32) -> Vec<Segment> {
    let (width, height) = (map.width() as usize, map.height() as usize);
    let mut segments = Vec::new();
    for y in 1..height {
        for x in 1..width {
            let [above, here] = [(y - 1) * width + x, y * width + x].map(|end| &map.values()[end - 1..=end]);
            square([above[0], above[1], here[1], here[0]], level, |[from, to]| {
                let point = |[right, down]: [f32; 2]| [x as f32 - 0.5 + right, y as f32 - 0.5 + down];
                segments.push(Segment { from: point(from), to: point(to) });
            });
        }
    }
    segments
}

/// Finds the lines through a unit square whose corners, clockwise from the top left, have these values.
fn square(corners: [f32; 4], level: f32, mut line: impl FnMut([[f32; 2]; 2])) {
    let hot = corners.map(|value| value >= level);
    if hot == [hot[0]; 4] {
        return;
    }
    let [a, b, c, d] = corners.map(f64::from);
    let level = f64::from(level);
    let fraction = |from: f64, to: f64| ((level - from) / (to - from)) as f32;
    // The crossings of the top, right, bottom and left sides.
    let [above, right, below, left] =
        [[fraction(a, b), 0.0], [1.0, fraction(b, c)], [fraction(d, c), 1.0], [0.0, fraction(a, d)]];
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The value of the bilinear surface at a point, by its definition: pixels are weighted by their distance.
    fn at(map: &HeatMap, [x, y]: [f32; 2]) -> f64 {
        let near = |at: f32, pixel: u32| (1.0 - (f64::from(at) - 0.5 - f64::from(pixel)).abs()).max(0.0);
        let pixels = (0..map.height()).flat_map(|row| (0..map.width()).map(move |column| (column, row)));
        let weighed = pixels
            .zip(map.values())
            .map(|((column, row), value)| near(x, column) * near(y, row) * f64::from(*value));
        weighed.sum()
    }

    fn maps() -> impl Strategy<Value = HeatMap> {
        (1u32..8, 1u32..8).prop_flat_map(|(width, height)| {
            prop::collection::vec(-1.0f32..1.0, (width * height) as usize)
                .prop_map(move |values| HeatMap::new(width, height, values).unwrap())
        })
    }

    proptest! {
        #[test]
        fn contours_end_where_the_surface_has_the_level(map in maps(), level in -1.0f32..1.0) {
            for segment in contour(&map, level) {
                for end in [segment.from, segment.to] {
                    prop_assert!((at(&map, end) - f64::from(level)).abs() < 1e-4, "{end:?}");
                }
            }
        }

        #[test]
        fn contours_are_closed_or_end_at_the_border(map in maps(), level in -1.0f32..1.0) {
            let mut ends = std::collections::HashMap::new();
            for segment in contour(&map, level) {
                for [x, y] in [segment.from, segment.to] {
                    // Both squares at a side compute the same crossing, except for rounding.
                    *ends.entry([(x * 1e3).round() as i64, (y * 1e3).round() as i64]).or_insert(0) += 1;
                }
            }
            let border = |[x, y]: [i64; 2]| {
                x == 500 || y == 500 || x == i64::from(map.width()) * 1000 - 500 || y == i64::from(map.height()) * 1000 - 500
            };
            for (end, count) in ends {
                prop_assert!(count % 2 == 0 || border(end), "{end:?}: {count}");
            }
        }

        #[test]
        fn contours_cross_exactly_the_sides_whose_ends_they_separate(map in maps(), level in -1.0f32..1.0) {
            let (width, height) = (map.width() as usize, map.height() as usize);
            let hot = |x: usize, y: usize| map.values()[y * width + x] >= level;
            let mut crossings = 0;
            for y in 0..height {
                for x in 0..width {
                    // A side within the map belongs to two squares, a side at the border to one.
                    let squares = |along: usize, size: usize, across: usize| {
                        if size < 2 { 0 } else { 1 + usize::from(along > 0 && along + 1 < across) }
                    };
                    if x + 1 < width && hot(x, y) != hot(x + 1, y) {
                        crossings += squares(y, height, height);
                    }
                    if y + 1 < height && hot(x, y) != hot(x, y + 1) {
                        crossings += squares(x, width, width);
                    }
                }
            }
            prop_assert_eq!(2 * contour(&map, level).len(), crossings);
        }
    }

    #[test]
    fn a_saddle_connects_the_corners_that_the_surface_connects() {
        // The bilinear saddle of these corners is 0.5 * (0.9 * 0.9 - 0.2 * 0.2) / (0.9 - 0.2) = 0.55.
        let map = HeatMap::new(2, 2, [0.9, 0.2, 0.2, 0.9]).unwrap();
        let through_the_middle = |level: f32| {
            let lengths = contour(&map, level).into_iter().map(|line| {
                // Lines around the hot corners separate them, lines around the cold ones connect them.
                let middle = [(line.from[0] + line.to[0]) / 2.0, (line.from[1] + line.to[1]) / 2.0];
                (middle[0] - middle[1]).abs() < 1e-6
            });
            lengths.collect::<Vec<_>>()
        };
        assert_eq!(through_the_middle(0.5), [false; 2], "the hot corners are connected");
        assert_eq!(through_the_middle(0.6), [true; 2], "the hot corners are separated");
    }

    #[test]
    fn the_contour_of_a_cone_is_a_circle_within_a_hundredth_of_a_pixel() {
        let cone = |at: u32| 30.0 - ((at % 64) as f32 - 31.5).hypot((at / 64) as f32 - 31.5);
        let map = HeatMap::new(64, 64, (0..64 * 64).map(cone).collect::<Vec<_>>()).unwrap();
        let lines = contour(&map, 10.0);
        assert!(lines.len() > 100);
        for line in lines {
            let radius = (line.from[0] - 32.0).hypot(line.from[1] - 32.0);
            assert!((radius - 20.0).abs() < 0.01, "{radius}");
        }
    }
}
