//! What must hold whatever the network is.

use crate::common::{
    CHANNELS, CLASSES, Function, LAYERS, Net, close, images, numbers, of_layers, seed, uniform,
};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{
    AblationCam, Class, Classes, Evidence, Explain, Explainer, GradCam, HiResCam, LayerContext, Method,
    MethodInfo, Model, Ncdhw, Nchw, Ncl, Nhwc, Ranked, Rectify, Scale, ShapleyCam, Taps, Tokens, Top,
    UniqueCopies, layers,
};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

fn device() -> Device {
    Device::flex()
}

/// Every method, raw.
fn all<'m, M>(model: &'m M) -> Explainer<'m, M> {
    of_layers().fold(Explainer::new(model).rectify(Rectify::Signed), |all, method| all.method(*method))
}

fn every_layer<'m, M>(model: &'m M) -> Explainer<'m, M> {
    LAYERS.iter().fold(all(model), |all, layer| all.layer(*layer))
}

#[test]
fn taps_change_no_score() {
    let net = Net::new(&device());
    let plain = numbers(&net.forward(images(2, &device()), &Taps::off()));
    let found = every_layer(&net).explain(images(2, &device()), &Class(1)).unwrap();
    close(&numbers(&found.output), &plain, 1e-6);
    for maps in &found.maps {
        close(&numbers(&maps.scores), &[plain[1], plain[CLASSES + 1]], 1e-6);
    }
}

#[test]
fn images_of_a_batch_do_not_mix() {
    let net = Net::new(&device());
    let batch = images(3, &device());
    let explainer = every_layer(&net);
    let together = explainer.explain(batch.clone(), &Classes(vec![0, 4, 2])).unwrap();
    for (image, class) in [0, 4, 2].into_iter().enumerate() {
        let alone = explainer.explain(batch.clone().narrow(0, image, 1), &Class(class)).unwrap();
        for (many, one) in together.maps.iter().zip(&alone.maps) {
            let row = many.heatmap.clone().narrow(0, image, 1);
            close(&numbers(&row), &numbers(&one.heatmap), 2e-4);
        }
    }
}

#[test]
fn several_layers_methods_and_targets_are_each_alone() {
    let net = Net::new(&device());
    let batch = images(2, &device());
    let together = every_layer(&net).explain_each(batch.clone(), &[&Class(3), &Top, &Ranked(1)]).unwrap();
    assert_eq!(together.maps.len(), 3 * LAYERS.len() * of_layers().count());
    let mut maps = together.maps.iter();
    for target in [&Class(3) as &dyn cam_core::Target, &Top, &Ranked(1)] {
        for layer in LAYERS {
            for method in of_layers() {
                let alone = Explainer::new(&net)
                    .layer(layer)
                    .method(*method)
                    .rectify(Rectify::Signed)
                    .explain(batch.clone(), target)
                    .unwrap();
                let together = maps.next().unwrap();
                assert_eq!((together.layer.as_str(), together.method.name), (layer, method.name()));
                close(&numbers(&together.heatmap), &numbers(&alone.maps[0].heatmap), 2e-4);
            }
        }
    }
}

/// A method that only notes the score of each image with the activation multiplied by some factors.
struct Scaled {
    factors: Vec<f32>,
    scores: Arc<Mutex<Vec<f32>>>,
}

impl Method for Scaled {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("scaled", "Scaled", "").replay()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let copies = UniqueCopies::none(layer.activation().dims()[0], self.factors.len());
            let scores = layer.scores_of_edited(&copies, &|activation, chunk| {
                let factors: Vec<f32> = chunk.indices().iter().map(|&number| self.factors[number]).collect();
                let factors = Tensor::<1>::from_floats(factors.as_slice(), &activation.device());
                activation * factors.reshape([-1, 1, 1])
            })?;
            *self.scores.lock().unwrap() = numbers(&scores);
            Ok(layer.activation())
        })
    }
}

/// The scores of a class with the activation of a layer multiplied by each factor.
fn scaled(net: &Net, layer: &str, class: usize, factors: &[f32]) -> Vec<f32> {
    let scores = Arc::default();
    let method = Scaled { factors: factors.to_vec(), scores: Arc::clone(&scores) };
    Explainer::new(net)
        .layer(layer)
        .method(method)
        .copies(2)
        .explain(images(1, &device()), &Class(class))
        .unwrap();
    Arc::into_inner(scores).unwrap().into_inner().unwrap()
}

#[test]
fn gradients_are_finite_differences() {
    let net = Net::new(&device());
    for layer in LAYERS {
        let found = Explainer::new(&net)
            .layer(layer)
            .method(HiResCam)
            .explain(images(1, &device()), &Class(2))
            .unwrap();
        // HiResCAM is gradient times activation: its sum is the slope of the score along the activation.
        let slope: f32 = numbers(&found.maps[0].raw).iter().sum();
        let step = 1e-2;
        let [less, more] = scaled(&net, layer, 2, &[1.0 - step, 1.0 + step])[..] else { unreachable!() };
        let difference = (more - less) / (2.0 * step);
        // A step of 1 % over ReLUs that may switch within it.
        assert!(
            (slope - difference).abs() < 0.02 * slope.abs().max(0.1),
            "{layer}: {slope} is not {difference}"
        );
    }
}

#[test]
fn a_replay_is_a_full_forward_pass() {
    let net = Net::new(&device());
    let plain = numbers(&net.forward(images(1, &device()), &Taps::off()));
    for layer in LAYERS {
        for (class, score) in plain.iter().enumerate() {
            close(&scaled(&net, layer, class, &[1.0; 3]), &[*score; 3], 1e-6);
        }
    }
}

#[test]
fn an_ablation_runs_only_the_tail() {
    let (before, after) = (Cell::new(0), Cell::new(0));
    let model = Function(|images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("before", Nchw, || {
            before.set(before.get() + images.dims()[0]);
            relu(images)
        });
        let x = taps.layer("here", Nchw, || x * 2.0);
        let x = taps.layer("after", Nchw, || {
            after.set(after.get() + x.dims()[0]);
            x + 1.0
        });
        x.mean_dims(&[2, 3]).flatten(1, 3)
    });
    let explainer = Explainer::new(&model).layer("here").method(AblationCam::PAPER).copies(2);
    explainer.explain(uniform([2, 3, 4, 4], 0.1, 1.0, &device()), &Class(0)).unwrap();
    assert_eq!(before.get(), 2, "the part before the layer runs once, for the two images");
    // Two images, the look at both of them whether the model is in inference, and of each a copy without each of three
    // channels and a whole one.
    assert_eq!(after.get(), 2 + 2 + 2 * (3 + 1));
}

#[test]
fn gradcam_before_pooling_and_a_linear_head_is_cam_and_hirescam() {
    let net = Net::new(&device());
    let found = all(&net).layer("last").explain(images(2, &device()), &Class(4)).unwrap();
    let of = |name: &str| {
        let maps = found.maps.iter().find(|maps| maps.method.name == name).unwrap();
        (numbers(&maps.raw), numbers(&maps.heatmap))
    };
    let places = 10.0 * 8.0;
    // The gradient is the weight of the class over the number of places: one number a channel.
    close(&of("gradcam").0, &of("hirescam").0, 1e-6);
    // CAM: the logit is the mean of the map of the class, but for the bias.
    let logits = numbers(&found.output);
    let mean: Vec<f32> = of("gradcam").0.chunks(80).map(|map| map.iter().sum::<f32>()).collect();
    close(&[mean[1] - mean[0]], &[logits[CLASSES + 4] - logits[4]], 1e-5 * places);
}

#[test]
fn a_map_does_not_depend_on_how_the_layer_is_laid_out() {
    let device = device();
    seed(2);
    let head: Tensor<2> = uniform([3 * 20, 2], -1.0, 1.0, &device);
    let score = |x: Tensor<4>| {
        let batch = x.dims()[0];
        x.square().reshape([batch, 60]).matmul(head.clone())
    };
    let first = Function(|x: Tensor<4>, taps: &Taps<'_>| score(taps.layer("x", Nchw, || x)));
    let last = Function(|x: Tensor<4>, taps: &Taps<'_>| {
        let x = taps.layer("x", Nhwc, || x.permute([0, 2, 3, 1]));
        score(x.permute([0, 3, 1, 2]))
    });
    let tokens = Function(|x: Tensor<4>, taps: &Taps<'_>| {
        let [batch, channels, height, width] = x.dims();
        let x = taps.layer("x", Tokens { prefix: 2, height, width }, || {
            let patches = x.reshape([batch, channels, height * width]).swap_dims(1, 2);
            let prefix = Tensor::ones([batch, 2, channels], &patches.device());
            Tensor::cat(vec![prefix, patches], 1)
        });
        let patches = x.clone().narrow(1, 2, height * width).swap_dims(1, 2);
        score(patches.reshape([batch, channels, height, width]))
            + x.narrow(1, 0, 1).mean_dim(2).reshape([batch, 1])
    });
    let input: Tensor<4> = uniform([2, 3, 4, 5], -1.0, 1.0, &device);
    let maps = |found: Result<cam_core::Explanation, _>| -> Vec<f32> {
        let found: cam_core::Explanation = found.unwrap();
        found.maps.iter().flat_map(|maps| numbers(&maps.raw)).collect()
    };
    let expected = maps(without_ablation(&first).explain(input.clone(), &Class(1)));
    close(&maps(without_ablation(&last).explain(input.clone(), &Class(1))), &expected, 1e-5);
    close(&maps(without_ablation(&tokens).explain(input, &Class(1))), &expected, 1e-5);
}

/// Methods that know which positions are neighbors.
const OF_NEIGHBORS: [&str; 1] = ["vitreciprocam"];

/// Methods whose numbers do not depend on a constant in the score, which the tokens' prefix adds.
fn without_ablation<'m, M>(model: &'m M) -> Explainer<'m, M> {
    of_layers()
        .filter(|method| method.name() != "ablationcam")
        .fold(Explainer::new(model).layer("x"), |all, method| all.method(*method))
}

#[test]
fn signals_and_volumes_are_explained_as_images_are() {
    let device = device();
    seed(9);
    let values: Tensor<1> = uniform([2 * 3 * 12], 0.1, 1.0, &device);
    let weights: Tensor<1> = uniform([12], -1.0, 1.0, &device);
    fn classes<const D: usize>(x: Tensor<D>, weights: &Tensor<1>) -> Tensor<2> {
        let [batch, channels] = [x.dims()[0], x.dims()[1]];
        let x: Tensor<3> = x.square().reshape([batch, channels, 12]);
        (x * weights.clone().reshape([1, 1, 12])).sum_dim(2).reshape([batch, channels])
    }
    let signal = Function(|x: Tensor<3>, taps: &Taps<'_>| classes(taps.layer("x", Ncl, || x), &weights));
    let picture = Function(|x: Tensor<4>, taps: &Taps<'_>| classes(taps.layer("x", Nchw, || x), &weights));
    let volume = Function(|x: Tensor<5>, taps: &Taps<'_>| classes(taps.layer("x", Ncdhw, || x), &weights));

    let signals = all(&signal).layer("x").explain(values.clone().reshape([2, 3, 12]), &Class(2)).unwrap();
    let images = all(&picture).layer("x").explain(values.clone().reshape([2, 3, 3, 4]), &Class(2)).unwrap();
    let volumes = all(&volume).layer("x").explain(values.reshape([2, 3, 2, 3, 2]), &Class(2)).unwrap();
    for ((signal, picture), volume) in signals.maps.iter().zip(&images.maps).zip(&volumes.maps) {
        if OF_NEIGHBORS.contains(&signal.method.name) {
            continue;
        }
        assert_eq!((signal.heatmap.dims(), volume.heatmap.dims()), ([2, 12], [2, 2, 3, 2]));
        close(&numbers(&signal.heatmap), &numbers(&picture.heatmap), 1e-5);
        close(&numbers(&volume.heatmap), &numbers(&picture.heatmap), 1e-5);
    }
}

#[test]
fn any_output_and_any_score_can_be_explained() {
    // A segmentation: `[batch, classes, height, width]`; the score of a class is its sum over the picture.
    let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<4> { taps.layer("x", Nchw, || x).square() };
    let target = |output: &Tensor<4>| -> Tensor<1> {
        let batch = output.dims()[0];
        output.clone().narrow(1, 1, 1).sum_dims(&[2, 3]).reshape([batch])
    };
    let input: Tensor<4> = uniform([2, 3, 4, 4], 0.0, 1.0, &device());
    let found = all(&model).layer("x").explain(input.clone(), &target).unwrap();
    assert!(found.maps[0].classes.is_none());
    let hires = found.maps.iter().find(|maps| maps.method.name == "hirescam").unwrap();
    close(&numbers(&hires.raw), &numbers(&(input.narrow(1, 1, 1).square() * 2.0)), 1e-6);
}

#[test]
fn the_layers_are_listed_as_they_finish() {
    let net = Net::new(&device());
    let listed = layers(&net, images(1, &device())).unwrap();
    let names: Vec<_> = listed.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, LAYERS);
    assert_eq!((listed[3].channels, listed[3].grid.as_slice()), (CHANNELS, &[10, 8][..]));
}

#[test]
fn scaled_maps_fill_zero_to_one() {
    let net = Net::new(&device());
    let found = every_layer(&net).rectify(Rectify::Positive).scale(Scale::PerMap);
    for maps in found.explain(images(2, &device()), &Top).unwrap().maps {
        for map in numbers(&maps.heatmap).chunks(80) {
            let (low, high) = map.iter().fold((1f32, 0f32), |(l, h), &x| (l.min(x), h.max(x)));
            assert!((low, high) == (0.0, 1.0) || (low, high) == (0.0, 0.0), "{low} to {high}");
        }
    }
}

#[test]
fn shapleycam_of_a_logit_behind_relus_is_gradcam() {
    let device = device();
    let weights: Tensor<2> = uniform([12, 12], -1.0, 1.0, &device);
    let head: Tensor<2> = uniform([12, 3], -1.0, 1.0, &device);
    let model = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("x", Nchw, || x);
        let batch = x.dims()[0];
        let x = taps.relu(x.reshape([batch, 12]).matmul(weights.clone()));
        taps.relu(x.matmul(weights.clone())).matmul(head.clone())
    });
    let found = Explainer::new(&model)
        .layer("x")
        .method(ShapleyCam)
        .method(GradCam)
        .explain(uniform([2, 3, 2, 2], -1.0, 1.0, &device), &Class(1))
        .unwrap();
    // A piecewise linear score has no curvature; rounding of the gradients, over the step of 5e-3.
    close(&numbers(&found.maps[0].raw), &numbers(&found.maps[1].raw), 1e-3);
}
