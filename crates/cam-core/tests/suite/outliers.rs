//! Tokens with outlying norms are reported, and left out on request; maps that are cut at zero last have no steps.

use crate::common::numbers;
use burn::prelude::*;
use cam_core::{Class, Explain, Explainer, GradCam, HiResCam, Nchw, Taps, Tokens, Warning};

const TOKENS: Tokens = Tokens { prefix: 0, height: 4, width: 4 };

/// A block of 16 tokens of 3 channels, which a norm brings to length 1, and the mean of each channel as the score of a class.
fn forward(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    let block = taps.layer("block", TOKENS, || images.reshape([1, 3, 16]).swap_dims(1, 2));
    let norm = taps.layer("norm", TOKENS, || {
        let length = block.clone().square().sum_dim(2).sqrt();
        block / length
    });
    norm.mean_dim(1).squeeze_dim(1)
}

/// The tokens have lengths of about 10 but the first one, which has 900.
fn images() -> Tensor<4> {
    let channel = |channel: usize, token: usize| match (channel, token) {
        (0, 0) => 900.0,
        (_, 0) => 0.0,
        (0, token) => 1.0 + token as f32 / 10.0,
        (_, token) => 6.0 + token as f32 / 7.0,
    };
    let values: Vec<f32> = (0..3).flat_map(|c| (0..16).map(move |t| channel(c, t))).collect();
    Tensor::from_data(TensorData::new(values, [1, 3, 4, 4]), &Device::flex())
}

#[test]
fn outlying_tokens_that_hold_the_heat_are_reported_behind_a_norm_too_and_left_out_on_request() {
    for layer in ["block", "norm"] {
        let explain = |omit: bool| {
            let explainer = Explainer::new(&forward).layer(layer).method(HiResCam).omit_outliers(omit);
            explainer.explain(images(), &Class(0)).unwrap().maps.remove(0)
        };
        let (plain, without) = (explain(false), explain(true));
        let (raw, left) = (numbers(&plain.raw), numbers(&without.raw));
        let is_outlying = |warning: &Warning| matches!(warning, Warning::OutlyingTokens { .. });
        // The gradient of the block vanishes where the channel is all of the token: there is no heat to report.
        if layer == "norm" {
            let share = 100.0 * raw[0] / raw.iter().sum::<f32>();
            let expected = Warning::OutlyingTokens { outlying: 1, tokens: 16, percent: share.round() as u8 };
            assert!(share > 10.0);
            assert_eq!(plain.warnings().unwrap()[0], [expected]);
        }
        assert!(!without.warnings().unwrap()[0].iter().any(is_outlying));
        assert_eq!((left[0], &left[1..]), (0.0, &raw[1..]), "{layer}");
        assert!(numbers(&without.heatmap)[0] < 1e-6, "{layer}");
    }
}

#[test]
fn tokens_of_like_norms_are_not_reported() {
    let mut images = images();
    images = images.slice_fill(s![.., 0, 0, 0], 1.0).slice_fill(s![.., 1.., 0, 0], 6.0);
    let found = Explainer::new(&forward).layer("norm").method(HiResCam).explain(images, &Class(0)).unwrap();
    assert!(found.maps[0].warnings().unwrap()[0].is_empty());
}

#[test]
fn a_map_that_is_cut_last_ends_where_the_evidence_changes_its_sign() {
    // A layer of two columns, 1 and -3, whose evidence between them is linear: zero at a quarter of the way.
    let model = |images: Tensor<4>, taps: &Taps<'_>| {
        let x = taps.layer("features", Nchw, || {
            Tensor::<4>::from_floats([[[[1.0, -3.0]]]], &Device::flex())
                + images.mean().reshape([1, 1, 1, 1]) * 0.0
        });
        x.mean_dims(&[2, 3]).flatten::<2>(1, 3)
    };
    let explain = |last: bool| {
        let explainer = Explainer::new(&model).layer("features").method(GradCam).rectify_last(last);
        let images = Tensor::<4>::zeros([1, 1, 1, 8], &Device::flex());
        numbers(&explainer.explain(images, &Class(0)).unwrap().maps[0].heatmap)
    };
    // Positions of the pixels between the centers of the two columns, from 0 to 1.
    let along = [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0];
    let expected = |value: fn(f32) -> f32| along.map(|x| value(x).max(0.0));
    let close = |a: &[f32], b: [f32; 8]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(&explain(false), expected(|x| 1.0 - x)), "{:?}", explain(false));
    assert!(close(&explain(true), expected(|x| 1.0 - 4.0 * x)), "{:?}", explain(true));
}
