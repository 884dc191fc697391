//! Every metric that another library has, against its numbers for the same maps.

use super::file::{Golden, classes, count, input};
use crate::support::{TINY, hashed};
use burn::tensor::Tensor;
use burn_cam::metrics::{
    Evaluator, Imputation, Insertion, Map, MaxBoxAccV2, Metric, Road, Truth, hog, metric_named, pearson, ssim,
};
use burn_cam::{Class, Evidence, GradCam, LayerContext, Method, MethodInfo, Reads, Softmax};

/// References compute in f32, and so do we: probabilities are a part in a million uncertain. A sparse solver and our iterations leave about as much.
const TOLERANCE: f64 = 2e-4;

/// Gives the same map for every image.
struct Given(Vec<f32>);

impl Method for Given {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("given", "Given", "https://example.org").without_class().reads(Reads::Input)
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let device = layer.activation().device();
            Ok(Tensor::<1>::from_floats(self.0.as_slice(), &device).reshape([1, 1, self.0.len()]))
        })
    }
}

/// A metric as the references have it: without noise, in their steps, on zeros.
fn metric(name: &str, steps: usize) -> &'static dyn Metric {
    let silent = Imputation { noise: 0, ..Imputation::PAPER };
    let metric: Box<dyn Metric> = match name {
        "road" => Box::new(Road { imputation: silent, ..Road::COMBINED }),
        "road-morf" => Box::new(Road { imputation: silent, ..Road::MOST_RELEVANT }),
        "road-lerf" => Box::new(Road { imputation: silent, ..Road::LEAST_RELEVANT }),
        "insertion-zero" => Box::new(Insertion { steps, baseline: burn_cam::metrics::Baseline::Zero }),
        _ => {
            let known = metric_named(name).unwrap();
            return known.with_steps(steps).map_or(known, |metric| Box::leak(metric));
        }
    };
    Box::leak(metric)
}

#[test]
fn metrics_are_those_of_other_libraries() {
    let golden = Golden::open("metrics_resnet_tiny");
    let (images, [batch, height, width]) = input(&golden.notes["input"]);
    let (network, asked) = (hashed(TINY), classes(&golden.notes["classes"]));
    let layer = golden.notes["layer"].as_str().unwrap();
    let steps = count(&golden.notes["steps"]);
    let mut compared = 0;
    for image in 0..batch {
        let one = images.clone().narrow(0, image, 1);
        let class = Class(asked[image]);
        let sides = classes(&golden.notes["boxes"][image]);
        let share = |side: usize, all: usize| side as f32 / all as f32;
        let sides = [
            share(sides[0], width),
            share(sides[1], height),
            share(sides[2], width),
            share(sides[3], height),
        ];
        let truth = Truth::of_boxes(height, width, vec![sides]);
        let map = &golden.numbers("maps")[image * height * width..(image + 1) * height * width];
        for (key, numbers) in golden.notes["values"].as_object().unwrap() {
            let expected = numbers[image].as_f64().unwrap();
            let (name, evaluator) = match key.strip_prefix("gradcam/") {
                Some(name) => (name, Evaluator::new(&network).layer(layer).method(GradCam)),
                None => (key.as_str(), Evaluator::new(&network).method(Given(map.to_vec()))),
            };
            let evaluator = evaluator.metric(metric(name, steps));
            let maps = evaluator.evaluate(one.clone(), &class, &Softmax(class), Some(&truth)).unwrap();
            let found = maps[0].measured[0]
                .value()
                .unwrap_or_else(|| panic!("{key}: {:?}", maps[0].measured[0].result));
            println!("{key:24} {expected:10.6} {found:10.6}");
            assert!(
                (found - expected).abs() < TOLERANCE * expected.abs().max(1.0),
                "{key}: {found} is not {expected}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 2 * 20);
}

#[test]
fn boxes_at_all_thresholds_are_those_of_opencv() {
    let golden = Golden::open("metrics_resnet_tiny");
    let (images, [batch, height, width]) = input(&golden.notes["input"]);
    let network = hashed(TINY);
    for image in 0..batch {
        let sides = classes(&golden.notes["boxes"][image]);
        let share = |side: usize, all: usize| side as f32 / all as f32;
        let sides = [
            share(sides[0], width),
            share(sides[1], height),
            share(sides[2], width),
            share(sides[3], height),
        ];
        let map = &golden.numbers("maps")[image * height * width..(image + 1) * height * width];
        let evaluator = Evaluator::new(&network).method(Given(map.to_vec())).metric(&MaxBoxAccV2);
        let truth = Truth::of_boxes(height, width, vec![sides]);
        let one = images.clone().narrow(0, image, 1);
        let maps = evaluator.evaluate(one, &Class(0), &Class(0), Some(&truth)).unwrap();
        let levels = &maps[0].measured[0].result.as_ref().unwrap().parts;
        let expected = &golden.numbers("ious")[image * 1000..(image + 1) * 1000];
        assert!(expected.iter().copied().fold(0.0, f32::max) > 0.2, "a box is found");
        let differ = |step: &usize| {
            let level = (*step as f64 * 0.001 * 255.0).floor() as usize;
            (levels[level] - expected[*step]).abs() > 1e-6
        };
        // A pixel whose value is a whole number of 255 steps within rounding is on the other side in the enlarged map.
        let different = (0..1000).filter(differ).count();
        assert!(different <= 20, "{different} of 1000 thresholds have another best box");
    }
}

#[test]
fn maps_are_compared_as_scipy_and_scikit_image_do() {
    let golden = Golden::open("metrics_resnet_tiny");
    let (_, [_, height, width]) = input(&golden.notes["input"]);
    let maps: Vec<Map> = golden
        .numbers("maps")
        .chunks_exact(height * width)
        .map(|map| Map::new(height, width, map.to_vec()).unwrap())
        .collect();
    let expected = |name: &str| golden.notes["similar"][name].as_f64().unwrap();
    let is = |found: f64, name: &str| {
        assert!((found - expected(name)).abs() < 1e-6, "{name}: {found} is not {}", expected(name))
    };
    is(maps[0].spearman(&maps[1]).unwrap(), "spearman");
    is(ssim(&maps[0], &maps[1]).unwrap(), "ssim");
    is(pearson(&hog(&maps[0]), &hog(&maps[1])).unwrap(), "hog");
}
