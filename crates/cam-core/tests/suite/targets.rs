//! What each target asks, again: a row at a time, on the batch and on copies of one image.

use crate::common::slow::{mean, narrow, softmax, wide};
use crate::common::{Function, close, numbers, seed, uniform};
use burn::prelude::*;
use cam_core::{
    BestBox, Binary, Class, Classes, Detections, Error, Explain, Explainer, Finer, Goal, LikelierSide,
    LogOdds, Nchw, Ranked, Region, Rivals, Rows, Sigmoid, Similarity, Softmax, TARGETS, Taps, Target, Top,
    Value, Warning, target_named,
};

const IMAGES: usize = 3;
const CLASSES: usize = 6;

/// A score is a sum of a few numbers of order one in f32.
const TOLERANCE: f32 = 1e-5;

fn logits(rows: usize, number: u64) -> Tensor<2> {
    seed(number);
    uniform([rows, CLASSES], -2.0, 2.0, &Device::flex())
}

fn rows(output: &Tensor<2>) -> Vec<Vec<f64>> {
    numbers(output).chunks(output.dims()[1]).map(wide).collect()
}

/// Resolved on one output and asked of another, for the batch and for copies of each image. The slow target gets the row on
/// which it was resolved, and the row that it is asked of.
#[track_caller]
fn asks(target: &dyn Target, slow: impl Fn(&[f64], &[f64]) -> f64) {
    let (plain, other, copies) = (logits(IMAGES, 1), logits(IMAGES, 2), logits(4, 3));
    let goal = target.resolve(&plain).unwrap();
    let plain = rows(&plain);
    let expected: Vec<f64> = rows(&other).iter().zip(&plain).map(|(row, plain)| slow(plain, row)).collect();
    close(&numbers(&goal.score(&other, Rows::All)), &narrow(&expected), TOLERANCE);
    for (image, plain) in plain.iter().enumerate() {
        let expected: Vec<f64> = rows(&copies).iter().map(|row| slow(plain, row)).collect();
        let found = goal.score(&copies, Rows::Copies { image, copies: 4 });
        close(&numbers(&found), &narrow(&expected), TOLERANCE);
    }
}

/// The classes, the highest logit first.
fn ranking(y: &[f64]) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..y.len()).collect();
    classes.sort_by(|&a, &b| y[b].total_cmp(&y[a]));
    classes
}

#[test]
fn a_class_is_its_logit() {
    asks(&Class(4), |_, y| y[4]);
    asks(&Value(2), |_, y| y[2]);
}

#[test]
fn a_rank_is_the_logit_of_the_class_that_had_it_in_the_plain_output() {
    asks(&Top, |plain, y| y[ranking(plain)[0]]);
    for rank in 0..CLASSES {
        asks(&Ranked(rank), |plain, y| y[ranking(plain)[rank]]);
    }
}

#[test]
fn each_image_has_its_own_class() {
    let plain = rows(&logits(IMAGES, 1));
    let of = |row: &[f64]| [5, 0, 3][plain.iter().position(|other| other == row).unwrap()];
    asks(&Classes(vec![5, 0, 3]), |plain, y| y[of(plain)]);
}

#[test]
fn a_softmax_is_the_probability() {
    asks(&Softmax(Class(1)), |_, y| softmax(y)[1]);
    asks(&Softmax(Top), |plain, y| softmax(y)[ranking(plain)[0]]);
    assert!(Softmax(Top).resolve(&logits(1, 0)).unwrap().is_probability());
}

#[test]
fn log_odds_are_the_logit_and_the_logarithm_of_the_probability() {
    asks(&LogOdds(Class(3)), |_, y| y[3] + softmax(y)[3].ln());
    asks(&LogOdds(Ranked(1)), |plain, y| y[ranking(plain)[1]] + softmax(y)[ranking(plain)[1]].ln());
}

#[test]
fn the_sides_of_a_binary_classifier_have_opposite_signs() {
    asks(&Binary(true), |_, y| y[0]);
    asks(&Binary(false), |_, y| -y[0]);
}

/// The classes whose logits are nearest to that of `c`, without itself.
fn nearest(plain: &[f64], c: usize, count: usize) -> Vec<usize> {
    let mut others: Vec<usize> = (0..plain.len()).filter(|&d| d != c).collect();
    others.sort_by(|&a, &b| (plain[a] - plain[c]).abs().total_cmp(&(plain[b] - plain[c]).abs()));
    others.truncate(count);
    others
}

#[test]
fn finer_is_equation_5() {
    for with in 1..CLASSES {
        for alpha in [0.0, 0.6, 1.0] {
            asks(&Finer { of: Class(2), with, alpha, weights: Rivals::Even }, |plain, y| {
                mean(nearest(plain, 2, with).into_iter().map(|d| y[2] - f64::from(alpha) * y[d]))
            });
            asks(&Finer { of: Top, with, alpha, weights: Rivals::Probable }, |plain, y| {
                let (c, p) = (ranking(plain)[0], softmax(y));
                let rivals = nearest(plain, c, with);
                let apart: f64 = rivals.iter().map(|&d| p[d] * (y[c] - f64::from(alpha) * y[d])).sum();
                apart / rivals.iter().map(|&d| p[d]).sum::<f64>()
            });
        }
    }
}

#[test]
fn finer_compares_with_a_class_of_the_same_logit_and_not_with_itself() {
    let goal = |c| Finer { of: Class(c), with: 1, alpha: 1.0, weights: Rivals::Even };
    let plain = Tensor::<2>::from_floats([[0.0, 3.0, 1.0, 3.0]], &Device::flex());
    let other = Tensor::<2>::from_floats([[0.0, 7.0, 1.0, 2.0]], &Device::flex());
    for (c, apart) in [(1, 5.0), (3, -5.0)] {
        let goal = goal(c).resolve(&plain).unwrap();
        assert_eq!(numbers(&goal.score(&other, Rows::All)), [apart]);
    }
}

#[test]
fn finer_needs_a_class_and_compares_with_as_many_others_as_there_are() {
    let score = |of: &dyn Target, count| {
        let plain = logits(1, 0).narrow(1, 0, count);
        numbers(&of.resolve(&plain).unwrap().score(&plain, Rows::All))
    };
    let finer = |with| Finer { of: Class(0), with, alpha: 0.6, weights: Rivals::Even };
    for count in [2, 3] {
        assert_eq!(score(&Finer::paper(Class(0)), count), score(&finer(count - 1), count), "{count} classes");
    }
    assert_eq!(score(&Finer::paper(Class(0)), 1), score(&Class(0), 1));
    let refused = Finer::paper(Value(0)).resolve(&logits(1, 0)).err();
    assert_eq!(refused, Some(Error::NotAClass));
}

#[test]
fn a_goal_stays_what_it_is() {
    let goal = Top.resolve(&logits(IMAGES, 1)).unwrap();
    // Resolved again, on an output with other classes at the top.
    let again = goal.resolve(&logits(IMAGES, 2)).unwrap();
    let (first, second) =
        (goal.score(&logits(IMAGES, 3), Rows::All), again.score(&logits(IMAGES, 3), Rows::All));
    assert_eq!(numbers(&first), numbers(&second));
    asks(&goal, |plain, y| y[ranking(plain)[0]]);
}

#[test]
fn the_top_class_of_one_output_hints_at_its_value() {
    let model = Function(|x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("x", Nchw, || x.square());
        x.mean_dims(&[1, 2, 3]).flatten(1, 3)
    });
    let images = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]]]], &Device::flex());
    let warnings = |target: &dyn Target| {
        let found = Explainer::new(&model).explain(images.clone(), target).unwrap();
        found.maps[0].warnings().unwrap().remove(0)
    };
    assert_eq!(warnings(&Top), [Warning::OneOutput]);
    assert_eq!(warnings(&Value(0)), []);
    let refused = Explainer::new(&model).explain(images.clone(), &Class(3)).err().unwrap();
    assert!(refused.to_string().contains("one output: explain `Value(0)`"), "{refused}");
}

#[test]
fn a_closure_is_asked_of_every_row() {
    let spread = |output: &Tensor<2>| -> Tensor<1> {
        (output.clone().max_dim(1) - output.clone().min_dim(1)).squeeze_dim(1)
    };
    asks(&spread, |_, y| y[ranking(y)[0]] - y[ranking(y)[CLASSES - 1]]);
}

#[test]
fn a_similarity_is_the_cosine() {
    let concept: Vec<f64> = (0..CLASSES).map(|i| (i as f64 + 0.5).cos()).collect();
    let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let target = Similarity(Tensor::from_floats(narrow(&concept).as_slice(), &Device::flex()));
    asks(&target, |_, y| {
        y.iter().zip(&concept).map(|(y, c)| y * c).sum::<f64>() / (length(y) * length(&concept))
    });
    let short = Similarity(Tensor::ones([2], &Device::flex())).resolve(&logits(1, 0)).err();
    assert_eq!(short, Some(Error::ConceptSize { found: 2, expected: CLASSES }));
}

#[test]
fn a_region_is_the_sum_of_a_class_over_its_mask() {
    const H: usize = 3;
    const W: usize = 4;
    let device = Device::flex();
    let output = |batch| -> Tensor<4> { uniform([batch, 2, H, W], -1.0, 1.0, &device) };
    let sum = |output: &[f32], mask: &[f32]| (0..H * W).map(|n| output[H * W + n] * mask[n]).sum::<f32>();
    for masks in [1, IMAGES] {
        let mask: Tensor<3> = uniform([masks, H, W], 0.0, 1.0, &device).round();
        let mask_: Vec<Vec<f32>> = numbers(&mask).chunks(H * W).map(<[f32]>::to_vec).collect();
        let goal = Region { class: 1, mask }.resolve(&output(IMAGES)).unwrap();
        let (all, copies) = (output(IMAGES), output(5));
        let expected: Vec<f32> = numbers(&all)
            .chunks(2 * H * W)
            .enumerate()
            .map(|(image, row)| sum(row, &mask_[image % masks]))
            .collect();
        close(&numbers(&goal.score(&all, Rows::All)), &expected, TOLERANCE);
        for image in 0..IMAGES {
            let expected: Vec<f32> =
                numbers(&copies).chunks(2 * H * W).map(|row| sum(row, &mask_[image % masks])).collect();
            let found = goal.score(&copies, Rows::Copies { image, copies: 5 });
            close(&numbers(&found), &expected, TOLERANCE);
        }
    }
}

#[test]
fn a_region_fits_the_output() {
    let output = Tensor::<4>::zeros([3, 2, 4, 5], &Device::flex());
    let refused =
        |class, shape| Region { class, mask: Tensor::ones(shape, &Device::flex()) }.resolve(&output).err();
    assert_eq!(refused(2, [1, 4, 5]), Some(Error::UnknownClass { asked: 2, classes: 2 }));
    assert_eq!(refused(0, [2, 4, 5]), Some(Error::TargetCount { targets: 2, images: 3 }));
    assert_eq!(refused(0, [1, 5, 4]), Some(Error::MaskSize { found: [5, 4], expected: [4, 5] }));
    assert_eq!(refused(1, [3, 4, 5]), None);
}

fn overlap(a: &[f64], b: &[f64]) -> f64 {
    let shared = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let area = |x: &[f64]| (x[2] - x[0]) * (x[3] - x[1]);
    let both = shared(0) * shared(1);
    both / (area(a) + area(b) - both)
}

fn detections(batch: usize) -> Detections {
    let device = Device::flex();
    seed(batch as u64);
    let corner: Tensor<3> = uniform([batch, 5, 2], 0.0, 0.5, &device);
    let size: Tensor<3> = uniform([batch, 5, 2], 0.1, 0.5, &device);
    let boxes = Tensor::cat(vec![corner.clone(), corner + size], 2);
    Detections { boxes, scores: uniform([batch, 5, 2], 0.0, 1.0, &device) }
}

#[test]
fn the_best_box_is_the_largest_overlap_times_score() {
    let bounds = [0.2, 0.1, 0.7, 0.6];
    let goal = BestBox { bounds, class: 1 }.resolve(&detections(IMAGES)).unwrap();
    for rows in [Rows::All, Rows::Copies { image: 1, copies: IMAGES }] {
        let found = detections(IMAGES);
        let (boxes, scores) = (numbers(&found.boxes), numbers(&found.scores));
        let weighted = |d: usize| {
            overlap(&wide(&boxes[4 * d..4 * d + 4]), &wide(&bounds)) * f64::from(scores[2 * d + 1])
        };
        let expected: Vec<f64> =
            (0..IMAGES).map(|image| (5 * image..5 * image + 5).map(weighted).fold(0.0, f64::max)).collect();
        assert!(expected.iter().all(|&y| y > 0.0));
        close(&numbers(&goal.score(&found, rows)), &narrow(&expected), TOLERANCE);
    }
}

#[test]
fn a_box_apart_from_all_others_scores_nothing() {
    let goal: Goal<Detections> =
        BestBox { bounds: [5.0, 5.0, 6.0, 6.0], class: 0 }.resolve(&detections(2)).unwrap();
    assert_eq!(numbers(&goal.score(&detections(2), Rows::All)), [0.0, 0.0]);
    let refused = BestBox { bounds: [0.0; 4], class: 2 }.resolve(&detections(2)).err();
    assert_eq!(refused, Some(Error::UnknownClass { asked: 2, classes: 2 }));
}

#[test]
fn finer_with_nothing_to_compare_is_refused_or_the_class_itself() {
    let alone = Finer { of: Class(2), with: 0, alpha: 0.6, weights: Rivals::Even };
    if let Ok(goal) = alone.resolve(&logits(IMAGES, 1)) {
        let class = Class(2).resolve(&logits(IMAGES, 1)).unwrap();
        let score = |goal: &Goal| numbers(&goal.score(&logits(IMAGES, 1), Rows::All));
        assert_eq!(score(&goal), score(&class));
    }
}

#[test]
fn a_detector_that_finds_nothing_scores_nothing() {
    let device = Device::flex();
    let nothing =
        || Detections { boxes: Tensor::zeros([2, 0, 4], &device), scores: Tensor::zeros([2, 0, 3], &device) };
    let goal = BestBox { bounds: [0.0, 0.0, 1.0, 1.0], class: 0 }.resolve(&nothing()).unwrap();
    assert_eq!(numbers(&goal.score(&nothing(), Rows::All)), [0.0, 0.0]);
}

#[test]
fn a_score_of_a_class_has_a_name_and_is_what_the_name_means() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, ["logit", "softmax", "sigmoid", "log-odds", "finer"]);
    let logits = logits(IMAGES, 1);
    let score = |target: &dyn Target| numbers(&target.resolve(&logits).unwrap().score(&logits, Rows::All));
    let by_name = |name: &str| score(&(target_named(name).unwrap().build)(Box::new(Class(2))));
    assert_eq!(by_name("logit"), score(&Class(2)));
    assert_eq!(by_name("softmax"), score(&Softmax(Class(2))));
    assert_eq!(by_name("sigmoid"), score(&Sigmoid(Class(2))));
    assert_eq!(by_name("log-odds"), score(&LogOdds(Class(2))));
    assert_eq!(by_name("finer"), score(&Finer::paper(Class(2))));
    let error = target_named("logits").err().unwrap();
    assert_eq!(
        error.to_string(),
        "no score is called `logits`; there are logit, softmax, sigmoid, log-odds, finer"
    );
}

#[test]
fn one_output_is_a_class_and_its_opposite_and_never_a_softmax() {
    let plain = Tensor::<2>::from_floats([[2.0], [-3.0], [0.0]], &Device::flex());
    let goal = |target: &dyn Target| target.resolve(&plain).unwrap();
    let scores = |target: &dyn Target| numbers(&goal(target).score(&plain, Rows::All));
    let classes =
        |target: &dyn Target| goal(target).classes().unwrap().to_data().try_to_vec_as::<i64>().unwrap();
    let side = |rank| LikelierSide { threshold: 0.0, rank };
    assert_eq!((scores(&side(0)), classes(&side(0))), (vec![2.0, 3.0, 0.0], vec![0, 1, 0]));
    assert_eq!((scores(&side(1)), classes(&side(1))), (vec![-2.0, -3.0, 0.0], vec![1, 0, 1]));
    assert_eq!((scores(&Binary(false)), classes(&Binary(false))), (vec![-2.0, 3.0, 0.0], vec![1, 1, 1]));
    assert!(side(2).resolve(&plain).is_err());
    // The side is that of the plain output, whatever a further pass gives.
    let later = Tensor::<2>::from_floats([[-1.0], [-1.0], [-1.0]], &Device::flex());
    assert_eq!(numbers(&goal(&side(0)).score(&later, Rows::All)), [-1.0, 1.0, -1.0]);
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    for target in [&Softmax(side(0)) as &dyn Target, &Sigmoid(side(0))] {
        assert!(goal(target).is_probability());
        for (found, logit) in scores(target).into_iter().zip([2.0, 3.0, 0.0]) {
            assert!((found - sigmoid(logit)).abs() < TOLERANCE, "{found} for {logit}");
        }
    }
    for (found, logit) in scores(&LogOdds(Class(0))).into_iter().zip([2.0f32, -3.0, 0.0]) {
        assert!((found - logit - sigmoid(logit).ln()).abs() < TOLERANCE, "{found} for {logit}");
    }
    assert_eq!(scores(&Finer::paper(side(0))), scores(&side(0)));
}
