//! Copies are run once for all that read them, in chunks that do not change the numbers.

use crate::common::{Given, bumps, image, logits, model};
use burn::prelude::*;
use cam_core::{Class, GradCam, Nchw, Taps};
use cam_metrics::{Evaluator, MeasuredMap, metric_named};
use std::cell::Cell;

thread_local! {
    /// Images that the counted model has seen.
    static RUN: Cell<usize> = const { Cell::new(0) };
}

fn counted(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    RUN.set(RUN.get() + images.dims()[0]);
    model(images, taps)
}

/// Returns how many images are run for these metrics.
fn run(metrics: &[&str], maps: usize) -> usize {
    let evaluator = Evaluator::new(&counted);
    let evaluator = (0..maps).fold(evaluator, |evaluator, map| {
        evaluator.method(Given(bumps().iter().map(|value| value.powi(map as i32 + 1)).collect()))
    });
    let evaluator =
        metrics.iter().fold(evaluator, |evaluator, name| evaluator.metric(metric_named(name).unwrap()));
    RUN.set(0);
    evaluator.evaluate(image(), &Class(0), &Class(0), None).unwrap();
    RUN.get()
}

#[test]
fn a_copy_is_run_once_for_all_metrics_and_methods_that_read_it() {
    let base = run(&[], 1);
    // With copies to run, the layers are traced once more to know how much memory a copy takes.
    let traced = run(&["average-drop"], 1) - 1;
    assert!(traced - base <= 1);
    let copies = |metrics: &[&str], maps| run(metrics, maps) - traced;
    assert_eq!(copies(&["average-drop", "increase", "average-gain", "confidence-change"], 1), 1);
    // Both curves have 19 steps between their ends, and the two ends that are no plain image.
    assert_eq!(copies(&["insertion", "deletion"], 1), 19 + 19 + 2);
    assert_eq!(copies(&["insertion", "deletion"], 3), 3 * (19 + 19) + 2, "the ends are shared by all maps");
    // Coherency takes one map more, whose explainer checks first that the model is in inference.
    assert_eq!(copies(&["road", "road-morf", "road-lerf", "arcc"], 1), 18 + 2);
    assert_eq!(
        copies(&["sensitivity-n", "infidelity"], 3),
        32,
        "what does not read the map is run for all maps"
    );
    assert_eq!(
        copies(&["entropy", "gini", "complexity"], 3) + traced,
        base,
        "the form of a map costs no pass"
    );
}

fn bits(maps: &[MeasuredMap]) -> Vec<Option<u64>> {
    maps.iter().flat_map(|map| &map.measured).map(|measured| measured.value().map(f64::to_bits)).collect()
}

#[test]
fn numbers_are_the_same_to_the_bit_however_many_copies_a_pass_carries() {
    let measured = |copies: usize| {
        let names = ["insertion", "deletion", "road", "average-drop", "sensitivity-n", "coherency"];
        let evaluator =
            Evaluator::new(&model).layer("x").copies(copies).method(Given(bumps())).method(GradCam);
        let evaluator =
            names.iter().fold(evaluator, |evaluator, name| evaluator.metric(metric_named(name).unwrap()));
        bits(&evaluator.evaluate(image(), &Class(0), &Class(0), None).unwrap())
    };
    let all = measured(usize::MAX);
    assert!(all.iter().filter(|value| value.is_some()).count() >= 10);
    for copies in [1, 3, 8] {
        assert_eq!(measured(copies), all, "{copies} copies");
    }
}

#[test]
fn memory_bounds_how_many_copies_a_pass_carries() {
    thread_local! {
        static MOST: Cell<usize> = const { Cell::new(0) };
    }
    fn watched(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        MOST.set(MOST.get().max(images.dims()[0]));
        let x = taps.layer("x", Nchw, || images);
        x.mean_dims(&[2, 3]).flatten(1, 3)
    }
    let most = |bytes: usize| {
        let evaluator = Evaluator::new(&watched).layer("x").memory(bytes).method(GradCam);
        MOST.set(0);
        evaluator
            .metric(metric_named("deletion").unwrap())
            .evaluate(image(), &Class(0), &Class(0), None)
            .unwrap();
        MOST.get()
    };
    assert_eq!(most(1), 1);
    assert!((2..20).contains(&most(4 * 2 * 32 * 32 * 80)), "{}", most(4 * 2 * 32 * 32 * 80));
    assert_eq!(most(1 << 30), 20);
    assert!(logits(&[0.5; 2 * 32 * 32])[0] > 0.0);
}
