//! What the reference library gets wrong, and that it is right here. Each is told in `COMPARE.md`, under its number.

use crate::common::{Function, LAYERS, Net, close, images, numbers, of_layers, uniform};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::{DType, TensorData};
use cam_core::{
    AblationCam, Class, Classes, EigenCam, EigenGradCam, Error, Explain, Explainer, Explanation, Flip,
    FullGrad, Fusion, GradCam, HiResCam, KpcaCam, LogOdds, Method, Model, Nchw, Rectify, Scale, ScoreCam,
    ShapleyCam, Smooth, Softmax, Taps, Tokens, Top, Warning, Wrapped, choose_layer, concepts,
    guided_backprop,
};
use std::cell::{Cell, RefCell};

fn device() -> Device {
    Device::flex()
}

fn pooled(x: Tensor<4>) -> Tensor<2> {
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

/// A network that is one tapped layer and the means of its channels.
fn plain(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    pooled(taps.layer("x", Nchw, || x))
}

/// The one map of a method at the layer `x`, signed and unscaled.
fn raw(
    model: &impl Model,
    method: impl Method + 'static,
    image: Tensor<4>,
    target: &dyn cam_core::Target,
) -> Vec<f32> {
    let explainer = Explainer::new(model).layer("x").method(method).rectify(Rectify::Signed);
    numbers(&explainer.explain(image, target).unwrap().maps[0].raw)
}

#[test]
fn q01_layers_are_found_by_name_whatever_their_order() {
    let net = Net::new(&device());
    let with = |layers: &[&str]| {
        let methods = of_layers().fold(Explainer::new(&net), |all, method| all.method(*method));
        let explainer = layers.iter().fold(methods, |all, layer| all.layer(*layer));
        explainer.explain(images(1, &device()), &Class(2)).unwrap().maps
    };
    let backwards: Vec<&str> = LAYERS.into_iter().rev().collect();
    let (there, back) = (with(&LAYERS), with(&backwards));
    for map in &there {
        let same = back
            .iter()
            .find(|other| (&other.layer, other.method.name) == (&map.layer, map.method.name))
            .unwrap();
        close(&numbers(&same.heatmap), &numbers(&map.heatmap), 1e-4);
    }
}

#[test]
fn q02_a_projection_lights_the_object_and_not_the_background() {
    // An object in a corner that a third of the channels see, over weak noise; more channels than places and fewer.
    for (channels, side) in [(6, 9), (30, 6), (64, 7), (300, 5)] {
        device().seed(1);
        let noise: Vec<f32> = numbers(&uniform([1, channels, side, side], 0.0, 0.2, &device()));
        let mut seen = noise;
        for channel in 0..channels / 3 {
            for place in [0, 1, side, side + 1] {
                seen[channel * side * side + place] += 3.0;
            }
        }
        let image = Tensor::from_data(TensorData::new(seen, [1, channels, side, side]), &device());
        let check = |map: Vec<f32>, what: &str| {
            let peak = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
            assert!([0, 1, side, side + 1].contains(&peak), "{what}, {channels} channels: {peak}");
        };
        check(raw(&plain, EigenCam, image.clone(), &Class(0)), "eigencam");
        check(raw(&plain, EigenGradCam, image.clone(), &Class(0)), "eigengradcam");
        check(raw(&plain, KpcaCam::PAPER, image.clone(), &Class(0)), "kpcacam");
        let smooth = Explainer::new(&plain).layer("x").method(HiResCam).eigen_smooth(true);
        check(numbers(&smooth.explain(image, &Class(0)).unwrap().maps[0].raw), "eigen smoothing");
    }
}

#[test]
fn q03_an_ablated_channel_is_zero_in_whatever_place_of_the_pass() {
    // Five equal channels with negative values: each costs the score the same.
    let one: Tensor<4> = uniform([1, 1, 3, 3], -1.0, 0.5, &device());
    let image = one.clone().repeat_dim(1, 5);
    let sum = |x: Tensor<4>, taps: &Taps<'_>| {
        let x = taps.layer("x", Nchw, || x);
        pooled(x).sum_dim(1)
    };
    for copies in [1, 2, 5] {
        let explainer = Explainer::new(&sum).layer("x").method(AblationCam::PAPER).copies(copies);
        let found = explainer.rectify(Rectify::Signed).explain(image.clone(), &Class(0)).unwrap();
        // Each weight is a fifth of the score over its magnitude.
        let sign = numbers(&one.clone().sum())[0].signum();
        close(&numbers(&found.maps[0].raw), &numbers(&(one.clone() * sign)), 1e-5);
    }
}

#[test]
fn q04_of_the_channels_that_are_tried_each_counts_once() {
    let image: Tensor<4> = uniform([1, 10, 3, 3], 0.0, 1.0, &device());
    for tried in [1, 6, 9, 10] {
        let map =
            raw(&plain, ScoreCam { channels: Some(tried), ..ScoreCam::PAPER }, image.clone(), &Class(0));
        // Weights are a softmax, so the map lies between the least and the highest channel.
        assert!(map.iter().all(|x| (0.0..=1.0).contains(x)));
        if tried == 10 {
            close(&map, &raw(&plain, ScoreCam::PAPER, image.clone(), &Class(0)), 1e-6);
        }
    }
}

#[test]
fn q06_a_negative_score_does_not_turn_ablationcam_inside_out() {
    let image: Tensor<4> = uniform([1, 4, 3, 3], 0.1, 1.0, &device());
    let shifted = |by: f32| {
        Function(move |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
            let x = taps.layer("x", Nchw, || x);
            pooled(x).sum_dim(1) * 2.0 + by
        })
    };
    // The same evidence with a bias that makes the score negative.
    let (above, below) = (shifted(0.0), shifted(-100.0));
    let (above, below) = (
        raw(&above, AblationCam::PAPER, image.clone(), &Class(0)),
        raw(&below, AblationCam::PAPER, image, &Class(0)),
    );
    assert!(above.iter().zip(&below).all(|(a, b)| *a > 0.0 && *b > 0.0), "{above:?} {below:?}");
}

#[test]
fn q07_tiny_evidence_fills_the_scale() {
    let image: Tensor<4> = uniform([1, 2, 3, 3], 0.1, 1.0, &device());
    let tiny = |x: Tensor<4>, taps: &Taps<'_>| plain(x, taps) * 1e-12;
    let heat = Explainer::new(&tiny).layer("x").explain(image, &Class(0)).unwrap().maps[0].heatmap.clone();
    assert_eq!((heat.clone().max().into_scalar::<f32>(), heat.min().into_scalar::<f32>()), (1.0, 0.0));
}

#[test]
fn q08_no_evidence_is_told_and_magnitudes_can_be_kept() {
    let image: Tensor<4> = uniform([2, 2, 3, 3], 0.1, 1.0, &device());
    let against = |x: Tensor<4>, taps: &Taps<'_>| plain(x, taps).neg();
    let found = Explainer::new(&against).layer("x").explain(image.clone(), &Class(0)).unwrap();
    assert_eq!(found.maps[0].warnings().unwrap(), [[Warning::NothingKept], [Warning::NothingKept]]);
    assert!(numbers(&found.maps[0].raw).iter().all(|x| *x < 0.0), "the raw map is signed");
    // The counterfactual map shows it.
    let negative = Explainer::new(&against).layer("x").rectify(Rectify::Negative);
    assert_eq!(negative.explain(image.clone(), &Class(0)).unwrap().maps[0].warnings().unwrap(), [[], []]);
    // The second image has half the evidence of the first, and the shared scale keeps it so.
    let first = image.narrow(0, 0, 1);
    let pair = Tensor::cat(vec![first.clone(), first * 0.5], 0);
    let shared = Explainer::new(&plain).layer("x").scale(Scale::Shared).explain(pair, &Class(0)).unwrap();
    let heat = shared.maps[0].heatmap.clone();
    assert!(heat.narrow(0, 1, 1).max().into_scalar::<f32>() < 0.6);
}

#[test]
fn q09_masked_passes_come_a_chunk_at_a_time_and_hold_nothing() {
    let (most, passes) = (Cell::new(0), Cell::new(0));
    let watched = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        most.set(most.get().max(x.dims()[0]));
        passes.set(passes.get() + x.dims()[0]);
        plain(x, taps)
    });
    let explainer = Explainer::new(&watched).layer("x").method(ScoreCam::PAPER).copies(4);
    let image: Tensor<4> = uniform([1, 11, 3, 3], 0.0, 1.0, &device());
    let (one, other) = (Class(0), Class(1));
    explainer.explain_each(image, &[&one, &other]).unwrap();
    assert_eq!(most.get(), 4);
    // The first pass, the look whether the model is in inference, and one pass a channel for both classes together.
    assert_eq!(passes.get(), 1 + 1 + 11);
}

#[test]
fn q10_shapleycam_explains_tokens_and_several_layers() {
    let tokens = Tokens { prefix: 1, height: 2, width: 3 };
    let model = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let [batch, channels, ..] = x.dims();
        let x: Tensor<3> = x.reshape([batch, channels, 6]).swap_dims(1, 2);
        let class = x.clone().mean_dim(1);
        let x = taps.layer("a", tokens, || Tensor::cat(vec![class, x], 1));
        let x = taps.layer("b", tokens, || x.square());
        x.mean_dim(1).squeeze_dim(1)
    });
    let image: Tensor<4> = uniform([2, 4, 2, 3], 0.1, 1.0, &device());
    let explainer = Explainer::new(&model).layer("b").layer("a").method(ShapleyCam).method(GradCam);
    let found = explainer.rectify(Rectify::Signed).explain(image, &LogOdds(Top)).unwrap();
    assert_eq!(found.maps.len(), 4);
    assert!(found.maps.iter().all(|maps| maps.raw.dims() == [2, 2, 3]));
    let (shapley, gradcam) = (numbers(&found.maps[2].raw), numbers(&found.maps[3].raw));
    assert!(
        shapley.iter().zip(&gradcam).any(|(a, b)| (a - b).abs() > 1e-3 * b.abs()),
        "it sees the curvature"
    );
}

#[test]
fn q11_too_few_targets_are_an_error() {
    let found = Explainer::new(&plain).layer("x").explain(images(3, &device()), &Classes(vec![0, 1]));
    assert_eq!(found.err().unwrap(), Error::TargetCount { targets: 2, images: 3 });
}

#[test]
fn q12_a_wrong_layer_is_an_error_that_says_which_there_are() {
    let found = Explainer::new(&plain).layer("y").explain(images(1, &device()), &Top);
    assert_eq!(found.err().unwrap(), Error::UnknownLayer { asked: "y".into(), known: vec!["x".into()] });
}

#[test]
fn q13_a_model_is_as_it_was_after_it_is_explained() {
    let net = Net::new(&device());
    let before = net.forward(images(1, &device()), &Taps::off());
    let explainer = of_layers().fold(Explainer::new(&net).layer("stem"), |all, method| all.method(*method));
    explainer.explain(images(1, &device()), &Top).unwrap();
    let after = net.forward(images(1, &device()), &Taps::off());
    after.into_data().assert_eq(&before.into_data(), true);
}

#[test]
fn q14_an_activation_without_a_guided_rule_is_refused() {
    let image = images(1, &device());
    let smooth = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> { pooled(taps.gelu(taps.relu(x))) };
    let unnamed = |x: Tensor<4>, _: &Taps<'_>| -> Tensor<2> { pooled(relu(x)) };
    let refused = |model: &dyn Fn(Tensor<4>, &Taps<'_>) -> Tensor<2>| {
        guided_backprop(&Function(|x: Tensor<4>, taps: &Taps<'_>| model(x, taps)), &image, &Top)
            .err()
            .unwrap()
    };
    assert_eq!(refused(&smooth), Error::NotGuided { activation: "GELU" });
    assert_eq!(refused(&unnamed), Error::NoRelu);
}

#[test]
fn q15_a_score_that_does_not_depend_on_the_layer_is_an_error() {
    let aside = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        taps.layer("x", Nchw, || x.clone());
        pooled(x)
    };
    let found = Explainer::new(&aside).layer("x").explain(images(1, &device()), &Top);
    assert_eq!(found.err().unwrap(), Error::NotConnected { layer: "x".into() });
}

#[test]
fn q16_a_layer_of_half_precision_is_explained_in_single() {
    let half = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("x", Nchw, || x.cast(DType::F16));
        pooled(x.cast(DType::F32))
    };
    let image: Tensor<4> = uniform([2, 3, 4, 4], 0.1, 1.0, &device());
    let of = |model: &dyn Fn(Tensor<4>, &Taps<'_>) -> Tensor<2>| -> Explanation {
        let model = Function(|x: Tensor<4>, taps: &Taps<'_>| model(x, taps));
        let explainer =
            of_layers().fold(Explainer::new(&model).layer("x"), |all, method| all.method(*method));
        explainer.explain(image.clone(), &Class(1)).unwrap()
    };
    for (half, single) in of(&half).maps.iter().zip(&of(&plain).maps) {
        assert_eq!(half.raw.dtype(), DType::F32);
        // Half precision keeps eleven bits; a share of those in front of a softmax, a threshold or a quotient.
        if !["fem", "randomcam", "sscam"].contains(&half.method.name) {
            close(&numbers(&half.heatmap), &numbers(&single.heatmap), 0.05);
        }
    }
}

#[test]
fn q17_concepts_are_found_without_touching_what_they_are_found_in() {
    let image: Tensor<4> = uniform([2, 5, 4, 4], 0.0, 1.0, &device());
    let before = numbers(&image);
    let found = concepts(&plain, "x", image.clone(), 3, 0).unwrap();
    assert_eq!(numbers(&image), before);
    assert_eq!(
        (found.vectors.dims(), found.heatmaps.len(), found.heatmaps[0].dims()),
        ([3, 5], 3, [2, 4, 4])
    );
    let hole = image.clone().greater_elem(0.9);
    let broken = image.mask_fill(hole, f32::NAN);
    assert!(matches!(concepts(&plain, "x", broken, 3, 0).err(), Some(Error::NonFinite { .. })));
}

#[test]
fn q18_all_layers_of_a_fusion_share_one_pass() {
    let passes = Cell::new(0);
    let net = Net::new(&device());
    let counted = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        passes.set(passes.get() + 1);
        net.forward(x, taps)
    });
    let explainer = LAYERS.iter().fold(Explainer::new(&counted), |all, layer| all.layer(*layer));
    let explainer = explainer.wrap(Fusion::Product);
    explainer.explain(images(1, &device()), &Top).unwrap();
    passes.set(0);
    let found = explainer.explain(images(1, &device()), &Top).unwrap();
    assert_eq!((found.maps.len(), passes.get()), (1, 1));
}

#[test]
fn q19_a_bias_belongs_to_the_layer_that_names_it() {
    // The layer that is built first runs last; a bias that met the other layer's gradient would give another map.
    let (first, last): (Tensor<1>, Tensor<1>) =
        (Tensor::from_floats([1.0, -2.0], &device()), Tensor::from_floats([0.5, 3.0], &device()));
    let order = RefCell::new(Vec::new());
    let model = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let bias = |bias: &Tensor<1>| bias.clone().reshape([1, 2, 1, 1]);
        let x = taps.biased("b", Nchw, Some(last.clone()), || x * 3.0 + bias(&last));
        order.borrow_mut().push("b");
        let x = taps.biased("a", Nchw, Some(first.clone()), || relu(x) * 0.5 + bias(&first));
        pooled(relu(x))
    });
    let image: Tensor<4> = uniform([1, 2, 2, 2], 1.0, 2.0, &device());
    let found = Explainer::new(&model).method(FullGrad::PAPER).scale(Scale::None).explain(image, &Class(1));
    let maps = found.unwrap().maps;
    assert_eq!(maps[0].layer, "biases");
    // Channel 1, all units open: dy/db = 0.5 / 4 and dy/da = 1 / 4 at each place. Each part is flat over the places of its
    // channel and zero in the other, so that scaled together it is 1; the input adds x times its gradient, scaled.
    let heat = numbers(&maps[0].raw);
    assert!(heat.iter().all(|x| *x >= 2.0), "{heat:?}");
}

#[test]
fn q21_register_tokens_and_grids_that_are_not_square_are_no_places() {
    let tokens = Tokens { prefix: 3, height: 2, width: 4 };
    // A transformer's end: the class token alone is read, after it has looked at the others once.
    let model = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let [batch, channels, ..] = x.dims();
        let patches: Tensor<3> = x.reshape([batch, channels, 8]).swap_dims(1, 2);
        let prefix = Tensor::ones([batch, 3, channels], &patches.device());
        let x = taps.layer("norm1", tokens, || Tensor::cat(vec![prefix, patches], 1));
        let x = taps.layer("block", tokens, || x.clone() + x.square().mean_dim(1));
        x.narrow(1, 0, 1).squeeze_dim(1)
    });
    let image: Tensor<4> = uniform([1, 3, 2, 4], 0.1, 1.0, &device());
    assert_eq!(
        choose_layer(&model, &image, &Class(0)).unwrap(),
        "norm1",
        "no gradient comes to places behind it"
    );
    let found = Explainer::new(&model).layer("block").layer("norm1").explain(image, &Class(0)).unwrap();
    assert_eq!(found.maps[0].warnings().unwrap(), [[Warning::NoEvidence]]);
    assert_eq!((found.maps[1].raw.dims(), found.maps[1].warnings().unwrap()), ([1, 2, 4], vec![vec![]]));
}

#[test]
fn q22_every_view_is_asked_for_the_class_of_the_plain_image() {
    // Left and right half are two classes; a mirrored image is of the other.
    let halves = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("x", Nchw, || x);
        let half = |from: usize| pooled(x.clone().narrow(3, from, 2)).sum_dim(1);
        Tensor::cat(vec![half(0), half(2)], 1)
    };
    let image = Tensor::<4>::from_floats([[[[5.0, 4.0, 1.0, 1.0]]]], &device());
    let explainer = Explainer::new(&halves).layer("x").method(HiResCam);
    let found = Wrapped::new(&explainer, Smooth::new().view(Flip)).explain(image, &Top).unwrap();
    let class: i64 = found.maps[0].classes.clone().unwrap().into_scalar();
    assert_eq!(class, 0);
    // In the mirrored view the left half shows what was right: asked for the class 0 the map is there, and comes back right.
    let heat = numbers(&found.maps[0].heatmap);
    assert!(heat[2] + heat[3] > 0.0 && heat[0] + heat[1] == 0.0, "{heat:?}");
    assert_eq!(heat.iter().copied().fold(0.0, f32::max), 1.0, "a mean map is scaled again");
}

#[test]
fn a_saturated_softmax_is_told() {
    let image = Tensor::<4>::from_floats([[[[40.0, 30.0]], [[0.0, 1.0]]]], &device());
    let found = Explainer::new(&plain).layer("x").explain(image, &Softmax(Top)).unwrap();
    assert!(found.maps[0].warnings().unwrap()[0].contains(&Warning::Saturated));
}

#[test]
fn a_layer_of_dead_channels_is_told() {
    let mut seen = vec![0f32; 20 * 4];
    seen[..4].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    let image = Tensor::<4>::from_data(TensorData::new(seen, [1, 20, 2, 2]), &device());
    let found = Explainer::new(&plain).layer("x").explain(image, &Class(0)).unwrap();
    assert_eq!(found.maps[0].warnings().unwrap(), [[Warning::DeadChannels { dead: 19, channels: 20 }]]);
}
