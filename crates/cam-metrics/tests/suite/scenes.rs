//! What metrics say of drawn scenes, whose objects are known.

use burn::Tensor;
use burn::tensor::Device;
use cam_core::{Class, Evidence, GradCam, LayerContext, Method, MethodInfo, RandomCam, Reads, Softmax};
use cam_metrics::{Better, CenteredGaussian, Evaluator, Mask, Measurement, Truth, metric_named, summarize};
use cam_models::Classifier;
use cam_scenes::Scene;
use std::collections::HashMap;

/// A method turned inside out.
struct Inverse<M>(M);

impl<M: Method> Method for Inverse<M> {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("inverse", "Inside out", "https://example.org").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let evidence = self.0.evidence(layer).await?.sum_dim(1).clamp_min(0.0);
            let most = evidence.clone().max_dim(2);
            Ok(most - evidence)
        })
    }
}

/// The true mask of the object as a map: a method that knows where things are.
struct Oracle(Vec<bool>, bool);

impl Method for Oracle {
    fn info(&self) -> MethodInfo {
        let name = if self.1 { "object" } else { "background" };
        MethodInfo::new(name, "Oracle", "https://example.org").without_class().reads(Reads::Input)
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let values: Vec<f32> =
                self.0.iter().map(|inside| f32::from(u8::from(*inside == self.1))).collect();
            let device = layer.activation().device();
            Ok(Tensor::<1>::from_floats(values.as_slice(), &device).reshape([1, 1, values.len()]))
        })
    }
}

fn mask(scene: &Scene, object: usize) -> Mask {
    let (width, height) = scene.image.dimensions();
    Mask::new(height as usize, width as usize, scene.objects[object].mask.as_slice().to_vec()).unwrap()
}

const METRICS: [&str; 12] = [
    "average-drop",
    "insertion",
    "deletion",
    "road",
    "pointing",
    "energy",
    "top-k",
    "iou",
    "rank-accuracy",
    "discrimination",
    "maxboxaccv2",
    "pxap",
];

/// The value of each metric of each method, over both objects of some scenes.
fn measured(scenes: usize) -> HashMap<(&'static str, &'static str), f64> {
    let device = Device::flex();
    let model = Classifier::builtin(&device).unwrap();
    let preprocess = model.card().preprocess();
    let mut values: HashMap<_, Vec<(usize, Option<Measurement>)>> = HashMap::new();
    let drawn =
        (30_000..).map(|seed| Scene::draw(seed, 128).unwrap()).filter(|scene| scene.objects.len() == 2);
    for (number, scene) in drawn.take(scenes).enumerate() {
        let (input, _) = preprocess.apply(&scene.image, &device).unwrap();
        for (object, other) in [(0, 1), (1, 0)] {
            let truth = Truth::of_mask(mask(&scene, object)).others(mask(&scene, other));
            let inside = truth.asked.inside().to_vec();
            let evaluator = Evaluator::new(&model)
                .layer(&model.card().layer)
                .method(GradCam)
                .method(Inverse(GradCam))
                .method(Oracle(inside.clone(), true))
                .method(Oracle(inside, false))
                .baseline(RandomCam::PAPER)
                .baseline(CenteredGaussian);
            let evaluator = METRICS
                .iter()
                .fold(evaluator, |evaluator, name| evaluator.metric(metric_named(name).unwrap()));
            let class = Class(scene.objects[object].class.index());
            let maps = evaluator.evaluate(input.clone(), &class, &Softmax(class), Some(&truth)).unwrap();
            for map in maps {
                for one in map.measured {
                    values
                        .entry((map.method.name, one.metric.name))
                        .or_default()
                        .push((number, one.result.ok()));
                }
            }
        }
    }
    let summary = |((method, name), values): ((&'static str, &'static str), Vec<_>)| {
        ((method, name), summarize(metric_named(name).unwrap(), &values, 0).value.unwrap())
    };
    values.into_iter().map(summary).collect()
}

#[test]
fn methods_have_the_order_that_is_known() {
    let found = measured(8);
    let of = |method, metric| found[&(method, metric)];
    for metric in METRICS {
        println!(
            "{metric:14} Grad-CAM {:.3}, inside out {:.3}, random {:.3}, Gaussian {:.3}, object {:.3}, background {:.3}",
            of("gradcam", metric),
            of("inverse", metric),
            of("randomcam", metric),
            of("gaussian", metric),
            of("object", metric),
            of("background", metric),
        );
    }
    // Grad-CAM is far above random where it counts.
    assert!(of("gradcam", "pointing") > of("randomcam", "pointing") + 0.4);
    assert!(of("gradcam", "energy") > 1.5 * of("randomcam", "energy"));
    assert!(of("gradcam", "discrimination") > 0.8);
    // A map that knows no class has half of what is on objects on either, and one of the object has all.
    assert!((of("gaussian", "discrimination") - 0.5).abs() < 0.1);
    assert_eq!(of("object", "discrimination"), 1.0);
    assert!(of("object", "maxboxaccv2") > 0.99 && of("object", "pxap") > 0.99);
    // Without the object the model sees less of it than without the background.
    assert!(of("object", "deletion") < of("background", "deletion"));
    assert!(of("object", "average-drop") < of("background", "average-drop"));
    assert!(of("object", "road") > of("background", "road"));
    // A map that is inside out is found by all of these.
    let worse = METRICS.iter().filter(|metric| {
        let better: Better = metric_named(metric).unwrap().info().better;
        better.prefers(of("gradcam", metric), of("inverse", metric))
    });
    assert!(worse.count() >= 10, "a map that is inside out is worse by nearly all metrics");
}

#[test]
fn a_random_map_has_the_energy_of_the_area_of_the_object() {
    // The mean of a map of noise: any pixel is as likely as another.
    let device = Device::flex();
    let model = Classifier::builtin(&device).unwrap();
    let (mut energy, mut area) = (0.0, 0.0);
    for seed in 0..20 {
        let scene = Scene::draw(40_000 + seed, 128).unwrap();
        let truth = Truth::of_mask(mask(&scene, 0));
        let (input, _) = model.card().preprocess().apply(&scene.image, &device).unwrap();
        area += truth.asked.count() as f64 / (128.0 * 128.0);
        let noise = crate::common::Given(
            (0..128 * 128).map(|at| crate::common::number(at + seed as usize)).collect(),
        );
        let evaluator = Evaluator::new(&model).method(noise).metric(metric_named("energy").unwrap());
        let maps = evaluator.evaluate(input, &Class(0), &Class(0), Some(&truth)).unwrap();
        energy += maps[0].measured[0].value().unwrap();
    }
    // Each object has some thousand pixels, whose mean is that of all within a few percent.
    assert!((energy - area).abs() < 0.03 * area, "{energy} is not {area}");
}
