//! Compares the bilinear resize with its formula in loops, and checks what holds for every map.

use cam_viz::{Error, HeatMap};
use proptest::prelude::*;

/// Each source pixel is weighted by its distance from the point: `max(0, 1 - |dx|) * max(0, 1 - |dy|)`.
fn reference(map: &HeatMap, width: u32, height: u32) -> Vec<f64> {
    let (w, h) = (f64::from(map.width()), f64::from(map.height()));
    let mut values = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let at_x = ((f64::from(x) + 0.5) * w / f64::from(width) - 0.5).max(0.0).min(w - 1.0);
            let at_y = ((f64::from(y) + 0.5) * h / f64::from(height) - 0.5).max(0.0).min(h - 1.0);
            let mut sum = 0.0;
            for row in 0..map.height() {
                for column in 0..map.width() {
                    let near_x = (1.0 - (at_x - f64::from(column)).abs()).max(0.0);
                    let near_y = (1.0 - (at_y - f64::from(row)).abs()).max(0.0);
                    sum += near_x * near_y * f64::from(map.values()[(row * map.width() + column) as usize]);
                }
            }
            values.push(sum);
        }
    }
    values
}

fn maps() -> impl Strategy<Value = HeatMap> {
    (1u32..12, 1u32..12).prop_flat_map(|(width, height)| {
        prop::collection::vec(-3.0f32..3.0, (width * height) as usize)
            .prop_map(move |values| HeatMap::new(width, height, values).unwrap())
    })
}

proptest! {
    #[test]
    fn the_resize_is_its_formula(map in maps(), width in 1u32..30, height in 1u32..30) {
        let resized = map.resize(width, height).unwrap();
        for (value, expected) in resized.values().iter().zip(reference(&map, width, height)) {
            prop_assert!((f64::from(*value) - expected).abs() < 1e-6, "{value} {expected}");
        }
    }

    #[test]
    fn a_constant_map_stays_constant(value in -1e30f32..1e30, w in 1u32..9, h in 1u32..9, width in 1u32..40, height in 1u32..40) {
        let map = HeatMap::new(w, h, vec![value; (w * h) as usize]).unwrap();
        prop_assert!(map.resize(width, height).unwrap().values().iter().all(|&resized| resized == value));
    }

    #[test]
    fn no_value_leaves_the_range_of_the_map(map in maps(), width in 1u32..60, height in 1u32..60) {
        let lowest = map.values().iter().copied().fold(f32::INFINITY, f32::min);
        let highest = map.peak().2;
        let resized = map.resize(width, height).unwrap();
        prop_assert!(resized.values().iter().all(|value| (lowest..=highest).contains(value)));
    }

    #[test]
    fn at_the_same_size_nothing_changes(map in maps()) {
        prop_assert_eq!(map.resize(map.width(), map.height()).unwrap(), map);
    }

    #[test]
    fn mirroring_before_or_after_is_the_same(map in maps(), width in 1u32..30) {
        let mirror = |map: &HeatMap| {
            let rows = map.values().chunks(map.width() as usize);
            let values: Vec<f32> = rows.flat_map(|row| row.iter().rev().copied()).collect();
            HeatMap::new(map.width(), map.height(), values).unwrap()
        };
        let before = mirror(&map).resize(width, map.height()).unwrap();
        let after = mirror(&map.resize(width, map.height()).unwrap());
        for (one, other) in before.values().iter().zip(after.values()) {
            prop_assert!((one - other).abs() < 1e-5);
        }
    }

    #[test]
    fn the_peak_is_the_first_largest_value(map in maps()) {
        let (x, y, value) = map.peak();
        let at = (y * map.width() + x) as usize;
        prop_assert_eq!(map.values()[at], value);
        prop_assert!(map.values()[..at].iter().all(|&before| before < value));
        prop_assert!(map.values()[at..].iter().all(|&after| after <= value));
    }
}

#[test]
fn numbers_of_opencv_and_pytorch() {
    // cv2.resize(np.float32([[0, 1, 4], [9, 16, 25]]), (4, 3)), the same from F.interpolate(.., mode="bilinear")
    let map = HeatMap::new(3, 2, [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]).unwrap();
    let expected = [0.0, 0.625, 2.125, 4.0, 4.5, 7.0, 10.75, 14.5, 9.0, 13.375, 19.375, 25.0];
    for (got, expected) in map.resize(4, 3).unwrap().values().iter().zip(expected) {
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }
}

#[test]
fn shrinking_samples_points_without_smoothing() {
    let map = HeatMap::new(6, 1, [0.0, 9.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
    assert_eq!(map.resize(2, 1).unwrap().values(), [9.0, 1.0]);
}

#[test]
fn one_pixel_fills_any_size() {
    let map = HeatMap::new(1, 1, [0.3]).unwrap();
    assert_eq!(map.resize(5, 4).unwrap().values(), [0.3; 20]);
}

#[test]
fn a_wrong_number_of_values_is_an_error_that_counts_them() {
    for length in [0, 5, 7] {
        let error = HeatMap::new(3, 2, vec![0.0; length]).unwrap_err();
        assert!(matches!(error, Error::Length { width: 3, height: 2, length: found } if found == length));
        assert_eq!(error.to_string(), format!("3 x 2 pixels need 6 values, got {length}"));
    }
}

#[test]
fn a_value_that_is_not_finite_is_an_error_with_its_position() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = HeatMap::new(2, 2, [0.0, 0.0, 0.0, value]).unwrap_err();
        assert!(matches!(error, Error::NotFinite { x: 1, y: 1, .. }), "{error}");
    }
}

#[test]
fn sizes_without_or_with_far_too_many_pixels_are_errors() {
    let map = HeatMap::new(1, 1, [0.0]).unwrap();
    assert!(matches!(HeatMap::new(0, 3, []), Err(Error::Empty { width: 0, height: 3 })));
    assert!(matches!(map.resize(3, 0), Err(Error::Empty { width: 3, height: 0 })));
    assert!(matches!(map.resize(u32::MAX, u32::MAX), Err(Error::TooLarge { .. })));
}

#[test]
fn a_balanced_map_of_zeros_stays_zero() {
    let zeros = HeatMap::new(2, 1, [0.0, -0.0]).unwrap();
    assert_eq!(zeros.balanced(), zeros);
}
