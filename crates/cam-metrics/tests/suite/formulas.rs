//! Each formula as its paper has it, with loops.

use crate::common::{SIDE, all_measured, bumps, image, logits, number, probability, scaled, value, values};
use cam_metrics::{Imputation, Mask, Pixels, Truth, impute, metric_named};

const PIXELS: usize = SIDE * SIDE;

/// Scores are of f32, and maps are scaled in f32.
const ROUNDING: f64 = 2e-5;

#[track_caller]
fn is(name: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < ROUNDING * expected.abs().max(1.0),
        "{name}: {found} is not {expected}"
    );
}

/// The image times the map.
fn masked(map: &[f32]) -> Vec<f32> {
    values(&image()).iter().enumerate().map(|(at, value)| value * map[at % PIXELS]).collect()
}

/// The pixels from the most relevant to the least.
fn order(map: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..map.len()).collect();
    order.sort_by(|&a, &b| map[b].partial_cmp(&map[a]).unwrap().then(a.cmp(&b)));
    order
}

/// An object in the upper left, and one of another class in the lower right.
fn truth() -> Truth {
    let mask = |inside: &dyn Fn(usize, usize) -> bool| {
        Mask::new(SIDE, SIDE, (0..PIXELS).map(|at| inside(at % SIDE, at / SIDE)).collect()).unwrap()
    };
    Truth::of_mask(mask(&|x, y| (4..15).contains(&x) && (5..20).contains(&y)))
        .others(mask(&|x, y| (20..30).contains(&x) && y >= 15))
}

#[test]
fn the_model_is_the_one_that_is_written_with_loops() {
    let maps = all_measured(bumps(), &[metric_named("increase").unwrap()], None).unwrap();
    is("logit", maps[0].score, logits(&values(&image()))[0]);
    is("probability", maps[0].confidence, probability(&values(&image())));
}

#[test]
fn changes_of_the_confidence() {
    let (plain, kept) = (probability(&values(&image())), probability(&masked(&scaled(&bumps()))));
    assert!((plain - kept).abs() > 0.01, "the map changes the confidence");
    is("average-drop", value("average-drop", bumps(), None), (plain - kept).max(0.0) / plain);
    is("average-gain", value("average-gain", bumps(), None), (kept - plain).max(0.0) / (1.0 - plain));
    is("confidence-change", value("confidence-change", bumps(), None), kept - plain);
    is("confidence-drop", value("confidence-drop", bumps(), None), (plain - kept).max(0.0));
    is("increase", value("increase", bumps(), None), f64::from(u8::from(kept > plain)));
    // The map turned inside out keeps the other part of the image.
    let inverse: Vec<f32> = bumps().iter().map(|value| 2.0 - value).collect();
    let kept = probability(&masked(&scaled(&inverse)));
    is("inverse", value("confidence-change", inverse, None), kept - plain);
}

#[test]
fn insertion_and_deletion() {
    let plain = values(&image());
    let blurred = Pixels::new(2, SIDE, SIDE, plain.clone()).unwrap().blurred().to_vec();
    let order = order(&scaled(&bumps()));
    let steps = 20;
    let (mut insertion, mut deletion) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        let first: std::collections::HashSet<usize> =
            order[..(PIXELS * step + steps / 2) / steps].iter().copied().collect();
        let mixed = |inside: &dyn Fn(usize) -> f32, outside: &dyn Fn(usize) -> f32| {
            let pick = |at: usize| if first.contains(&(at % PIXELS)) { inside(at) } else { outside(at) };
            probability(&(0..2 * PIXELS).map(pick).collect::<Vec<f32>>())
        };
        insertion.push(mixed(&|at| plain[at], &|at| blurred[at]));
        deletion.push(mixed(&|_| 0.0, &|at| plain[at]));
    }
    // The area of the code of RISE.
    let area =
        |curve: &[f64]| (curve.iter().sum::<f64>() - curve[0] / 2.0 - curve[steps] / 2.0) / steps as f64;
    is("insertion", value("insertion", bumps(), None), area(&insertion));
    is("deletion", value("deletion", bumps(), None), area(&deletion));
    let maps = all_measured(bumps(), &[metric_named("deletion").unwrap()], None).unwrap();
    let parts = &maps[0].measured[0].result.as_ref().unwrap().parts;
    deletion.iter().zip(parts).for_each(|(slow, fast)| is("curve", f64::from(*fast), *slow));
    assert!(deletion.iter().any(|value| (value - deletion[0]).abs() > 0.01), "the curve is not flat");
}

#[test]
fn remove_and_debias() {
    let pixels = Pixels::new(2, SIDE, SIDE, values(&image())).unwrap();
    let map = scaled(&bumps());
    let plain = probability(pixels.values());
    // pytorch-grad-cam: keep what is below the percentile, of the map or of what is left of 1.
    let score = |map: &[f64], percentile: f64| {
        let mut sorted = map.to_vec();
        sorted.sort_by(f64::total_cmp);
        let place = percentile / 100.0 * (PIXELS - 1) as f64;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        let threshold = low + (high - low) * place.fract();
        let known: Vec<bool> = map.iter().map(|value| *value < threshold).collect();
        probability(&impute(&pixels, &known, Imputation::PAPER))
    };
    let wide: Vec<f64> = map.iter().map(|value| f64::from(*value)).collect();
    let inverse: Vec<f64> = wide.iter().map(|value| 1.0 - value).collect();
    let mean = |map: &[f64], percentiles: &[u32]| {
        percentiles.iter().map(|percentile| score(map, f64::from(*percentile))).sum::<f64>()
            / percentiles.len() as f64
    };
    let all = [10, 20, 30, 40, 50, 60, 70, 80, 90];
    let (most, least) = (mean(&wide, &all), mean(&inverse, &all));
    is("road-morf", value("road-morf", bumps(), None), most - plain);
    is("road-lerf", value("road-lerf", bumps(), None), least - plain);
    is("road", value("road", bumps(), None), (least - most) / 2.0);
    assert!((least - most).abs() > 0.01);

    let complexity = wide.iter().sum::<f64>() / PIXELS as f64;
    is("complexity", value("complexity", bumps(), None), complexity);
    // The map of this method is always the same, so that its coherency is 1.
    is("coherency", value("coherency", bumps(), None), 1.0);
    let four = [20, 40, 60, 80];
    let road = (mean(&inverse, &four) - mean(&wide, &four)).clamp(0.0, 1.0);
    assert!(road > 0.0);
    is("arcc", value("arcc", bumps(), None), 3.0 / (1.0 + 1.0 / (1.0 - complexity) + 1.0 / road));
    let drop = (plain - probability(&masked(&map))).max(0.0) / plain;
    is("adcc", value("adcc", bumps(), None), 3.0 / (1.0 + 1.0 / (1.0 - complexity) + 1.0 / (1.0 - drop)));
}

#[test]
fn where_the_map_is() {
    let (truth, map) = (truth(), scaled(&bumps()));
    let asked = |at: usize| truth.asked.inside()[at];
    let other = |at: usize| truth.others.as_ref().unwrap().inside()[at];
    let sum = |part: &dyn Fn(usize) -> bool| {
        (0..PIXELS).filter(|at| part(*at)).map(|at| f64::from(map[at])).sum::<f64>()
    };
    let of = |name: &str| value(name, bumps(), Some(&truth));
    is("pointing", of("pointing"), 1.0);
    is("energy", of("energy"), sum(&asked) / sum(&|_| true));
    is("discrimination", of("discrimination"), sum(&asked) / (sum(&asked) + sum(&other)));
    let order = order(&map);
    let top = |count: usize| order[..count].iter().filter(|at| asked(**at)).count() as f64 / count as f64;
    is("top-k", of("top-k"), top(1000));
    is("rank-accuracy", of("rank-accuracy"), top(truth.asked.count()));
    let count = |part: &dyn Fn(usize) -> bool| (0..PIXELS).filter(|at| part(*at)).count() as f64;
    let hot = |at: usize| map[at] >= 0.5;
    is("iou", of("iou"), count(&|at| hot(at) && asked(at)) / count(&|at| hot(at) || asked(at)));

    // Precision over recall, a threshold at a time.
    let (mut before, mut area) = (0.0, 0.0);
    for step in (0..=1000).rev() {
        let hot = |at: usize| f64::from(map[at]) >= f64::from(step) * 0.001;
        let (right, all) = (count(&|at| hot(at) && asked(at)), count(&hot));
        let recall = right / truth.asked.count() as f64;
        area += if all > 0.0 { right / all * (recall - before) } else { 0.0 };
        before = recall;
    }
    is("pxap", of("pxap"), area);
    assert!(area > 0.3 && area < 0.99);
}

#[test]
fn the_pointing_game_has_a_tolerance() {
    let mut map = vec![0.0; PIXELS];
    map[20 * SIDE + 20] = 1.0;
    let at = |x: usize, y: usize| {
        Truth::of_mask(Mask::of_boxes(SIDE, SIDE, &[[x as f32, y as f32, x as f32 + 1.0, y as f32 + 1.0]]))
    };
    for (x, y, strict, near) in
        [(20, 20, 1.0, 1.0), (20, 5, 0.0, 1.0), (20, 4, 0.0, 0.0), (9, 9, 0.0, 0.0), (10, 9, 0.0, 1.0)]
    {
        // 11 and 11 pixels aside are 15.6 pixels away, 10 and 11 are 14.9.
        assert_eq!(value("pointing", map.clone(), Some(&at(x, y))), strict, "{x}, {y}");
        assert_eq!(value("pointing-15", map.clone(), Some(&at(x, y))), near, "{x}, {y}");
    }
}

#[test]
fn how_much_of_the_map_is_in_few_pixels() {
    let map = scaled(&bumps());
    let sum: f64 = map.iter().map(|value| f64::from(*value)).sum();
    let entropy = -map
        .iter()
        .map(|value| f64::from(*value) / sum)
        .filter(|q| *q > 0.0)
        .map(|q| q * q.ln())
        .sum::<f64>();
    is("entropy", value("entropy", bumps(), None), entropy);
    // The mean difference of all pairs, over twice the mean.
    let mut differences = 0.0;
    for a in &map {
        for b in &map {
            differences += f64::from((a - b).abs());
        }
    }
    let n = PIXELS as f64;
    is("gini", value("gini", bumps(), None), differences / (2.0 * n * n * (sum / n)));
    let mut one = vec![0.0; PIXELS];
    one[5] = 1.0;
    is("one pixel", value("gini", one, None), 1.0 - 1.0 / n);
}

#[test]
fn what_falls_when_cells_are_removed() {
    // What the metrics see of a cell is found by removing one cell of a map at a time.
    let metric = cam_metrics::metrics::SensitivityN { side: 8, n: 16, samples: 32 };
    assert_eq!(cam_metrics::Metric::passes(&metric), 32);
    let (plain, map) = (values(&image()), scaled(&bumps()));
    let mut pairs = Vec::new();
    for change in cam_metrics::Metric::changes(&metric) {
        let pixels = Pixels::new(2, SIDE, SIDE, plain.clone()).unwrap();
        let given = cam_metrics::Map::new(SIDE, SIDE, map.clone()).unwrap();
        let cam_metrics::Changed::Mixed { keep, .. } = change.make(&pixels, &given) else {
            panic!("a mixture")
        };
        let changed: Vec<f32> =
            plain.iter().enumerate().map(|(at, value)| value * keep[at % PIXELS]).collect();
        let removed = (0..PIXELS).filter(|at| keep[*at] == 0.0);
        pairs.push((
            removed.map(|at| f64::from(map[at])).sum::<f64>(),
            logits(&plain)[0] - logits(&changed)[0],
        ));
    }
    let n = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (a, b) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let covariance = mean(&|pair| (pair.0 - a) * (pair.1 - b));
    let deviation = (mean(&|pair| (pair.0 - a).powi(2)) * mean(&|pair| (pair.1 - b).powi(2))).sqrt();
    is("sensitivity-n", value("sensitivity-n", bumps(), None), covariance / deviation);
    let beta = mean(&|pair| pair.0 * pair.1) / mean(&|pair| pair.0 * pair.0);
    is("infidelity", value("infidelity", bumps(), None), mean(&|pair| (beta * pair.0 - pair.1).powi(2)));
}

#[test]
fn structural_similarity_and_histograms_of_gradients() {
    let map = |shift: usize| {
        cam_metrics::Map::new(64, 64, (0..64 * 64).map(|at| number(at / 5 + shift)).collect()).unwrap()
    };
    let (one, other) = (map(0), map(40));
    // A window at a time, with the variances of a sample.
    let mut total = 0.0;
    for top in 0..58 {
        for left in 0..58 {
            let window = |map: &cam_metrics::Map| {
                (0..49)
                    .map(|i| f64::from(map.values()[(top + i / 7) * 64 + left + i % 7]))
                    .collect::<Vec<f64>>()
            };
            let (a, b) = (window(&one), window(&other));
            let mean = |values: &[f64]| values.iter().sum::<f64>() / 49.0;
            let (x, y) = (mean(&a), mean(&b));
            let covariance = |a: &[f64], b: &[f64]| {
                a.iter().zip(b).map(|(p, q)| (p - mean(a)) * (q - mean(b))).sum::<f64>() / 48.0
            };
            let (c1, c2) = (1e-4, 9e-4);
            total += (2.0 * x * y + c1) * (2.0 * covariance(&a, &b) + c2)
                / ((x * x + y * y + c1) * (covariance(&a, &a) + covariance(&b, &b) + c2));
        }
    }
    let found = cam_metrics::ssim(&one, &other).unwrap();
    assert!((found - total / (58.0 * 58.0)).abs() < 1e-9, "{found}");
    assert_eq!(cam_metrics::ssim(&one, &one), Some(1.0));
    // Four cells along each side: 2 x 2 blocks of 9 cells of 9 orientations.
    let features = cam_metrics::hog(&one);
    assert_eq!(features.len(), 4 * 81);
    assert!(features.chunks(81).all(|block| (block.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6));
}
