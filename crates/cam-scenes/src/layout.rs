//! Where the objects of a scene lie, in shares of its side.

use crate::dice::Dice;

/// The place of one object: a disc in the unit square.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The middle, from the left.
    pub(crate) x: f32,
    /// The middle, from the top.
    pub(crate) y: f32,
    /// The radius of the disc that the object fills.
    pub(crate) r: f32,
    /// The turn of the object, clockwise in radians.
    pub(crate) turn: f32,
}

/// The least and the greatest diameter of an object, in shares of the side.
pub(crate) const SIZES: (f32, f32) = (0.22, 0.42);

/// The least distance of two objects, in sums of their radii: below 1 they may touch and overlap a little.
const APART: f32 = 0.82;

/// Places for `count` objects, further apart than [`APART`] where that can be had.
///
/// Tries whole layouts and keeps the best, so that it always ends, and always alike.
pub(crate) fn places(dice: &mut Dice, count: usize) -> Vec<Place> {
    // Four large objects have no room beside each other.
    let largest = if count > 3 { 0.34 } else { SIZES.1 };
    let mut best = (f32::NEG_INFINITY, Vec::new());
    for _ in 0..200 {
        let layout: Vec<Place> = (0..count).map(|_| place(dice, largest)).collect();
        let gap = closest(&layout);
        if gap > best.0 {
            best = (gap, layout);
        }
        if best.0 >= APART {
            break;
        }
    }
    best.1
}

fn place(dice: &mut Dice, largest: f32) -> Place {
    let r = dice.between(SIZES.0, largest) / 2.0;
    let inside = |dice: &mut Dice| dice.between(r * 0.96, 1.0 - r * 0.96);
    Place { x: inside(dice), y: inside(dice), r, turn: dice.angle() }
}

/// The least distance of any two places, in sums of their radii.
fn closest(layout: &[Place]) -> f32 {
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
                let layout = places(&mut Dice::new(seed, 0), count);
                assert_eq!(layout.len(), count);
                assert!(closest(&layout) >= APART, "seed {seed}, {count} objects: {layout:?}");
                for Place { x, y, r, .. } in layout {
                    assert!(x.min(y).min(1.0 - x).min(1.0 - y) >= r * 0.959, "seed {seed}");
                    assert!((SIZES.0..SIZES.1).contains(&(2.0 * r)), "seed {seed}");
                }
            }
        }
    }
}
