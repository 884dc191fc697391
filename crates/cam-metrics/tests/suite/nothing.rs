//! What cannot be measured has no value, and a reason.

use crate::common::{Given, SIDE, all_measured, bumps, image, measured, model};
use burn::prelude::*;
use cam_core::{Class, Reads, Taps};
use cam_metrics::{Error, Evaluator, METRICS, Mask, Metric, Reason, Truth, metric_named};

fn truth(side: f32) -> Truth {
    Truth::of_boxes(SIDE, SIDE, vec![[0.1, 0.1, 0.1 + side, 0.1 + side]])
}

#[test]
fn a_flat_map_has_no_value_of_any_metric() {
    let truth = truth(0.4);
    for metric in METRICS {
        let flat = measured(vec![0.25; SIDE * SIDE], *metric, Some(&truth));
        assert_eq!(flat.result, Err(Reason::FlatMap), "{}", metric.name());
    }
}

/// A model whose score, and so each map of it, is NaN.
fn broken(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    let x = taps.layer("x", cam_core::Nchw, || images.log());
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

#[test]
fn a_map_with_nan_has_no_value() {
    let evaluator = Evaluator::new(&broken).layer("x").method(cam_core::EigenCam).method(cam_core::HiResCam);
    let evaluator =
        evaluator.metric(metric_named("entropy").unwrap()).metric(metric_named("deletion").unwrap());
    let maps = evaluator.evaluate(image().neg().abs().neg(), &Class(0), &Class(0), None);
    // Either the map is refused, or it holds NaN and nothing is measured.
    match maps {
        Ok(maps) => {
            assert!(maps.iter().flat_map(|map| &map.measured).all(|measured| measured.result.is_err()))
        }
        Err(Error::Core(cam_core::Error::NonFinite { .. })) => {}
        Err(error) => panic!("{error}"),
    }
    let map = cam_metrics::Map::new(1, 2, vec![0.0, f32::NAN]).unwrap();
    assert_eq!(map.scaled().unwrap_err(), Reason::NonFiniteMap);
}

#[test]
fn without_a_truth_or_with_an_empty_one_there_is_no_localization() {
    let empty = Truth::of_mask(Mask::new(SIDE, SIDE, vec![false; SIDE * SIDE]).unwrap());
    let mut localizations = 0;
    for metric in METRICS.iter().filter(|metric| metric.info().needs.truth) {
        assert_eq!(measured(bumps(), *metric, None).result, Err(Reason::NoTruth), "{}", metric.name());
        assert_eq!(
            measured(bumps(), *metric, Some(&empty)).result,
            Err(Reason::EmptyTruth),
            "{}",
            metric.name()
        );
        localizations += 1;
    }
    assert!(localizations >= 8);
    let one = measured(bumps(), metric_named("discrimination").unwrap(), Some(&truth(0.4)));
    assert_eq!(one.result, Err(Reason::OneClass));
}

#[test]
fn comparisons_that_cannot_be_made_say_so() {
    let result = |name| measured(bumps(), metric_named(name).unwrap(), None).result;
    assert_eq!(result("agreement"), Err(Reason::NoPeers));
    assert_eq!(result("mprt"), Err(Reason::NoRetake));
    assert_eq!(result("random-logit"), Err(Reason::NoRetake));
}

#[test]
fn a_batch_and_a_truth_of_another_size_are_refused() {
    let evaluator = Evaluator::new(&model).method(Given(bumps())).metric(metric_named("entropy").unwrap());
    let two = Tensor::cat(vec![image(), image()], 0);
    let error = evaluator.evaluate(two, &Class(0), &Class(0), None).unwrap_err();
    assert!(matches!(error, Error::Batch { found: 2 }), "{error}");
    let small = Truth::of_boxes(4, 4, vec![[0.0, 0.0, 1.0, 1.0]]);
    let error = evaluator.evaluate(image(), &Class(0), &Class(0), Some(&small)).unwrap_err();
    assert!(matches!(error, Error::TruthSize { truth: [4, 4], .. }), "{error}");
}

#[test]
fn metrics_are_known_by_name_and_declare_themselves() {
    let names: std::collections::HashSet<&str> = METRICS.iter().map(|metric| metric.name()).collect();
    assert_eq!(names.len(), METRICS.len(), "each name is that of one metric");
    for metric in METRICS {
        let info = metric.info();
        assert!(info.paper.starts_with("https://") && !info.title.is_empty());
        assert_eq!(info.name, info.name.to_lowercase());
    }
    assert!(metric_named("deletio").is_err());
    assert_eq!(cam_core::Method::info(&cam_metrics::CenteredGaussian).reads, Reads::Input);
}

#[test]
fn what_a_metric_has_not_declared_is_refused() {
    struct Undeclared;
    impl Metric for Undeclared {
        fn info(&self) -> cam_metrics::MetricInfo {
            let (group, better) = (cam_metrics::Group::Form, cam_metrics::Better::Lower);
            cam_metrics::MetricInfo::new("undeclared", "Undeclared", "https://example.org", group, better)
        }

        fn measure(&self, subject: &cam_metrics::Subject<'_>) -> Result<cam_metrics::Measurement, Reason> {
            Ok(subject.scores(&cam_metrics::Change::masked())?.score.into())
        }
    }
    let maps = all_measured(bumps(), &[&Undeclared], None).unwrap();
    assert_eq!(maps[0].measured[0].result, Err(Reason::Undeclared));
}
