//! The placement of the objects of a scene, as fractions of its side.

use crate::dice::Dice;

/// The placement of one object: a disc in the unit square.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    /// The center, from the left.
    pub(crate) x: f32,
    /// The center, from the top.
    pub(crate) y: f32,
    /// The radius of the disc that the object fills.
    pub(crate) r: f32,
    /// The rotation of the object, clockwise in radians.
    pub(crate) turn: f32,
}

/// The smallest and the largest diameter of an object, as fractions of the side.
pub(crate) const SIZES: (f32, f32) = (0.22, 0.42);

/// The minimum distance of two objects, in sums of their radii: below 1 they may touch and overlap slightly.
const MIN_DISTANCE: f32 = 0.82;

/// Places for `count` objects, further apart than [`MIN_DISTANCE`] where that can be had.
///
/// It tries whole layouts and keeps the best, so that it always ends, with the same result.
pub(crate) fn place_objects(dice: &mut Dice, count: usize) -> Vec<Placement> {
    // There is no room for four large objects.
    let largest = if count > 3 { 0.34 } else { SIZES.1 };
    let mut best = (f32::NEG_INFINITY, Vec::new());
    for _ in 0..200 {
        let layout: Vec<Placement> = (0..count).map(|_| random_placement(dice, largest)).collect();
        let gap = min_distance(&layout);
        if gap > best.0 {
            best = (gap, layout);
        }
        if best.0 >= MIN_DISTANCE {
            break;
        }
    }
    best.1
}

fn random_placement(dice: &mut Dice, largest: f32) -> Placement {
    let r = dice.between(SIZES.0, largest) / 2.0;
    let inside = |dice: &mut Dice| dice.between(r * 0.96, 1.0 - r * 0.96);
    Placement { x: inside(dice), y: inside(dice), r, turn: dice.angle() }
}

/// Returns the smallest distance of any two placements, in sums of their radii.
fn min_distance(layout: &[Placement]) -> f32 {
    let mut least = f32::INFINITY;
    for (at, a) in layout.iter().enumerate() {
        for b in &layout[..at] {
            least = least.min((a.x - b.x).hypot(a.y - b.y) / (a.r + b.r));
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_apart_and_inside_for_every_count() {
        for seed in 0..2000 {
            for count in 1..=4 {
                let layout = place_objects(&mut Dice::new(seed, 0), count);
                assert_eq!(layout.len(), count);
                assert!(min_distance(&layout) >= MIN_DISTANCE, "seed {seed}, {count} objects: {layout:?}");
                for Placement { x, y, r, .. } in layout {
                    assert!(x.min(y).min(1.0 - x).min(1.0 - y) >= r * 0.959, "seed {seed}");
                    assert!((SIZES.0..SIZES.1).contains(&(2.0 * r)), "seed {seed}");
                }
            }
        }
    }
}
