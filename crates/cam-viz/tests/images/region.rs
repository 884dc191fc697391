//! Compares hot regions and Otsu's threshold with simple reference implementations.

use cam_viz::{Area, Error, HeatMap, Overlay, RgbImage, Threshold};
use proptest::prelude::*;

fn maps() -> impl Strategy<Value = HeatMap> {
    (1u32..12, 1u32..12).prop_flat_map(|(width, height)| {
        prop::collection::vec(0.0f32..1.0, (width * height) as usize)
            .prop_map(move |values| HeatMap::new(width, height, values).unwrap())
    })
}

/// The bounding box, number and peak of each region: labels spread to hot neighbors until nothing changes.
fn reference(map: &HeatMap, threshold: f32) -> Vec<(Area, u32, f32)> {
    let (width, height) = (map.width() as i64, map.height() as i64);
    let hot = |at: i64| map.values()[at as usize] >= threshold;
    let mut labels: Vec<i64> = (0..width * height).collect();
    loop {
        let before = labels.clone();
        for at in (0..width * height).filter(|&at| hot(at)) {
            for near in (0..width * height).filter(|&near| hot(near)) {
                let apart = (at % width - near % width).abs().max((at / width - near / width).abs());
                if apart == 1 {
                    labels[at as usize] = labels[at as usize].min(labels[near as usize]);
                }
            }
        }
        if labels == before {
            break;
        }
    }
    let mut regions = Vec::new();
    for label in 0..width * height {
        let members: Vec<i64> =
            (0..width * height).filter(|&at| hot(at) && labels[at as usize] == label).collect();
        if members.is_empty() {
            continue;
        }
        let columns = members.iter().map(|at| (at % width) as u32);
        let rows = members.iter().map(|at| (at / width) as u32);
        let (left, right) = (columns.clone().min().unwrap(), columns.max().unwrap());
        let (top, bottom) = (rows.clone().min().unwrap(), rows.max().unwrap());
        let area = Area { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
        let peak = members.iter().map(|&at| map.values()[at as usize]).fold(0.0, f32::max);
        regions.push((area, members.len() as u32, peak));
    }
    regions.sort_by_key(|(_, pixels, _)| std::cmp::Reverse(*pixels));
    regions
}

/// The variance between the classes of all values below and from a threshold on.
fn variance(map: &HeatMap, threshold: f32) -> f64 {
    let (cold, hot): (Vec<f64>, Vec<f64>) =
        map.values().iter().map(|&value| f64::from(value)).partition(|&value| value < f64::from(threshold));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    match cold.is_empty() || hot.is_empty() {
        true => 0.0,
        false => cold.len() as f64 * hot.len() as f64 * (mean(&cold) - mean(&hot)).powi(2),
    }
}

proptest! {
    #[test]
    fn regions_are_those_of_spreading_labels(map in maps(), threshold in 0.0f32..1.0) {
        let regions = map.regions(threshold);
        let found: Vec<_> = regions.iter().map(|region| (region.area, region.pixels, region.peak)).collect();
        prop_assert_eq!(found, reference(&map, threshold));
    }

    #[test]
    fn no_threshold_splits_the_values_much_better_than_otsu(map in maps()) {
        let best = map.values().iter().map(|&value| variance(&map, value)).fold(0.0, f64::max);
        // Values are binned into 256 steps first, so a value may be on the wrong side of a step.
        let otsu = variance(&map, Threshold::Otsu.value(&map));
        prop_assert!(otsu >= 0.97 * best, "{otsu} {best}");
    }

    #[test]
    fn otsu_scales_with_the_values(map in maps(), factor in 0.1f32..10.0, offset in -5.0f32..5.0) {
        let scaled = HeatMap::new(map.width(), map.height(), map.values().iter().map(|v| v * factor + offset).collect::<Vec<_>>()).unwrap();
        let hot = |map: &HeatMap| {
            let threshold = Threshold::Otsu.value(map);
            map.values().iter().filter(|&&value| value >= threshold).count() as f64
        };
        // Rounding may move a value at the edge of a step into the next.
        prop_assert!(map.values().len() < 3 || (hot(&map) - hot(&scaled)).abs() <= 1.0 + 0.1 * map.values().len() as f64);
    }
}

#[test]
fn otsu_splits_two_clusters_in_the_middle_of_their_gap() {
    let map = HeatMap::new(6, 1, [0.0, 0.1, 0.2, 0.8, 0.9, 1.0]).unwrap();
    assert!((Threshold::Otsu.value(&map) - 0.5).abs() < 0.01);
}

#[test]
fn nothing_is_hot_by_otsu_if_all_values_are_equal() {
    for value in [0.0, 1.0, -3.0, f32::MAX] {
        let map = HeatMap::new(3, 1, [value; 3]).unwrap();
        assert!(map.values().iter().all(|&value| value < Threshold::Otsu.value(&map)));
    }
}

#[test]
fn regions_on_the_photo_are_shifted_by_the_area_and_small_ones_are_omitted() {
    let photo = RgbImage::new(300, 200);
    let mut values = vec![0.0; 100 * 100];
    (0..50).for_each(|y| (10..60).for_each(|x| values[y * 100 + x] = 0.9));
    (80..82).for_each(|x| values[70 * 100 + x] = 1.0);
    let map = HeatMap::new(100, 100, values).unwrap();
    let area = Area { x: 150, y: 20, width: 100, height: 100 };
    let regions = Overlay::new(&photo).area(area).regions(&map).unwrap();
    assert_eq!(map.regions(0.5).len(), 2);
    assert_eq!(regions.len(), 1);
    assert_eq!(regions[0].area, Area { x: 160, y: 20, width: 50, height: 50 });
}

#[test]
fn thresholds_are_parsed_and_displayed() {
    for (given, expected) in
        [("0.25", Threshold::Value(0.25)), ("-1e3", Threshold::Value(-1000.0)), ("OTSU", Threshold::Otsu)]
    {
        let threshold: Threshold = given.parse().unwrap();
        assert_eq!(threshold, expected);
        assert_eq!(threshold.to_string().parse::<Threshold>().unwrap(), expected);
    }
    for given in ["", "half", "nan", "inf", "0,5"] {
        let error = given.parse::<Threshold>().unwrap_err();
        assert_eq!(error.to_string(), format!("invalid threshold {given:?}, expected a number or otsu"));
    }
}

#[test]
fn a_threshold_that_is_not_finite_is_an_error() {
    let photo = RgbImage::new(4, 4);
    let map = HeatMap::new(1, 1, [0.5]).unwrap();
    for level in [f32::NAN, f32::INFINITY] {
        let overlay = Overlay::new(&photo).threshold(Threshold::Value(level));
        assert!(matches!(overlay.regions(&map), Err(Error::Level { .. })));
    }
}
