//! Every formula of one layer again, slowly: loops in the names of the paper, on random input and a network that is known by
//! hand.

use crate::common::slow::{self, extremes, mean, narrow, relu, scaled, softmax, wide};
use crate::common::square::{CLASSES, Square};
use crate::common::{Function, close, numbers, seed, uniform};
use burn::prelude::*;
use cam_core::{
    Ablated, AblationCam, Class, Error, Evidence, ExpectedGradients, Explain, Explainer, Fading, Fem,
    FemCount, GScoreCam, GradCamPlusPlus, InputNoise, IntegratedGradients, IsCam, KernelShap, LayerContext,
    Lime, LogOdds, Method, MethodInfo, Nchw, Occlusion, RandomCam, ReciproCam, Rectify, ScoreCam, SmoothGrad,
    SmoothGradCamPlusPlus, SsCam, SuperpixelMasks, Taps, VarGrad, VitCx, methods,
};

/// Sums of some dozen numbers of order one in f32.
const TOLERANCE: f32 = 2e-5;

#[test]
fn gradcam_is_equation_1_and_2() {
    let net = Square::new();
    for c in 0..CLASSES {
        let g = net.gradient(c);
        let alpha = |k: usize| mean((0..net.n).map(|n| g[net.at(k, n)]));
        close(&net.raw(methods::GradCam, &Class(c)), &net.map(alpha), TOLERANCE);
    }
}

#[test]
fn hirescam_is_equation_6() {
    let net = Square::new();
    for c in 0..CLASSES {
        let (g, a) = (net.gradient(c), &net.a);
        let evidence = |k, n| g[net.at(k, n)] * a[net.at(k, n)];
        close(&net.raw(methods::HiResCam, &Class(c)), &net.sum(evidence), TOLERANCE);
    }
}

#[test]
fn gradcamelementwise_is_equation_2() {
    let net = Square::new();
    for c in 0..CLASSES {
        let (g, a) = (net.gradient(c), &net.a);
        let evidence = |k, n| relu(g[net.at(k, n)] * a[net.at(k, n)]);
        close(&net.raw(methods::GradCamElementWise, &Class(c)), &net.sum(evidence), TOLERANCE);
    }
}

#[test]
fn layercam_is_equation_6() {
    let net = Square::new();
    for c in 0..CLASSES {
        let (g, a) = (net.gradient(c), &net.a);
        let evidence = |k, n| relu(g[net.at(k, n)]) * a[net.at(k, n)];
        close(&net.raw(methods::LayerCam, &Class(c)), &net.sum(evidence), TOLERANCE);
    }
}

/// Grad-CAM++ of derivatives: equation 19 of the paper with $g^1$, $g^2$, $g^3$, and equation 5.
fn plusplus(net: &Square, [g1, g2, g3]: [&[f64]; 3], epsilon: f64, bounded: bool) -> Vec<f32> {
    net.map(|k| {
        let sum: f64 = net.channel(k).iter().sum();
        let alpha = |i: usize| match sum * g3[i] {
            added if bounded && added < 0.0 => g2[i] / (2.0 * g2[i] + epsilon),
            added => g2[i] / (2.0 * g2[i] + added + epsilon),
        };
        (0..net.n).map(|n| net.at(k, n)).map(|i| alpha(i) * relu(g1[i])).sum()
    })
}

fn power(g: &[f64], exponent: i32) -> Vec<f64> {
    g.iter().map(|g| g.powi(exponent)).collect()
}

/// What is divided by in Grad-CAM++ comes near to zero, which enlarges rounding: the tolerance is a share of the largest value.
#[track_caller]
fn close_by_share(ours: &[f32], expected: &[f32], share: f32) {
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    close(ours, expected, largest * share);
}

#[test]
fn gradcamplusplus_is_equations_5_and_19() {
    let net = Square::new();
    // A gradient of 1e-3, whose square is what the reference adds; one of 1e-12, whose square and cube f32 hardly holds.
    let sizes = [(1.0, 0.0), (1e-3, 1e-6), (1e-12, 0.0)];
    for ((size, epsilon), bounded) in sizes.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        for c in 0..CLASSES {
            let target = move |output: &Tensor<2>| -> Tensor<1> {
                output.clone().narrow(1, c, 1).squeeze_dim(1) * size
            };
            let g: Vec<f64> = net.gradient(c).iter().map(|g| g * size).collect();
            let expected = plusplus(&net, [&g, &power(&g, 2), &power(&g, 3)], epsilon, bounded);
            let ours = net.raw(GradCamPlusPlus { epsilon: epsilon as f32, bounded }, &target);
            close_by_share(&ours, &expected, 1e-4);
        }
    }
}

#[test]
fn smoothgradcamplusplus_averages_the_powers_of_noisy_gradients() {
    for bounded in [false, true] {
        let net = Square::new();
        let method = SmoothGradCamPlusPlus { samples: 5, sigma: 0.3, seed: 7, bounded };
        let ours = net.raw(method, &Class(1));
        let noisy = net.changed_inputs();
        assert_eq!(noisy.len(), 5);
        let averaged = |exponent| -> Vec<f64> {
            let gradients: Vec<Vec<f64>> =
                noisy.iter().map(|a| power(&net.gradient_at(a, 1), exponent)).collect();
            (0..net.k * net.n).map(|i| mean(gradients.iter().map(|g| g[i]))).collect()
        };
        let powers = [1, 2, 3].map(averaged);
        close_by_share(&ours, &plusplus(&net, powers.each_ref().map(|g| &g[..]), 0.0, bounded), 1e-4);
    }
}

#[test]
fn smoothgradcamplusplus_without_noise_is_gradcamplusplus() {
    let net = Square::new();
    let plain = net.raw(GradCamPlusPlus::PAPER, &Class(2));
    let smooth =
        net.raw(SmoothGradCamPlusPlus { samples: 3, sigma: 0.0, ..SmoothGradCamPlusPlus::PAPER }, &Class(2));
    close_by_share(&smooth, &plain, 1e-4);
}

#[test]
fn the_noise_of_smoothgradcamplusplus_is_its_seed_and_its_deviation() {
    let drawn = |seed| {
        let net = Square::sized(8, [16, 16]);
        net.raw(SmoothGradCamPlusPlus { samples: 2, seed, ..SmoothGradCamPlusPlus::PAPER }, &Class(0));
        let noise = |input: Vec<f64>| input.iter().zip(&net.a).map(|(x, a)| x - a).collect::<Vec<_>>();
        net.changed_inputs().into_iter().flat_map(noise).collect::<Vec<_>>()
    };
    let (first, again, other) = (drawn(0), drawn(0), drawn(1 << 32));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_ne!(first[..2048], first[2048..], "each sample has its own");
    let deviation = mean(first.iter().map(|x| x * x)).sqrt();
    // Of 4096 draws the mean has a deviation of 0.3 / 64, the deviation one of 0.3 / 90: four of each.
    assert!(mean(first.iter().copied()).abs() < 0.019, "{}", mean(first.iter().copied()));
    assert!((deviation - 0.3).abs() < 0.014, "{deviation}");
}

#[test]
fn xgradcam_is_equation_8() {
    let net = Square::new();
    for c in 0..CLASSES {
        let g = net.gradient(c);
        let alpha = |k: usize| {
            let sum: f64 = net.channel(k).iter().sum();
            (0..net.n).map(|n| net.at(k, n)).map(|i| net.a[i] / sum * g[i]).sum()
        };
        close_by_share(&net.raw(methods::XGradCam, &Class(c)), &net.map(alpha), 1e-4);
    }
}

#[test]
fn a_channel_that_sums_to_zero_has_no_weight_in_xgradcam() {
    let mut net = Square::new();
    for n in 0..net.n {
        // 1, -1, 1, -1, ... 0: the sum is exact.
        net.a[n] = [1.0, -1.0][n % 2] * f64::from(n + 1 < net.n);
    }
    let with = net.raw(methods::XGradCam, &Class(0));
    let g = net.gradient(0);
    let alpha = |k: usize| match k {
        0 => 0.0,
        _ => {
            let sum: f64 = net.channel(k).iter().sum();
            (0..net.n).map(|n| net.at(k, n)).map(|i| net.a[i] / sum * g[i]).sum()
        }
    };
    close_by_share(&with, &net.map(alpha), 1e-4);
}

/// The gradient and its product with the Hessian, $g - \frac12 H A$, averaged over the places.
fn shapley(net: &Square, g: &[f64], ha: &[f64]) -> Vec<f32> {
    net.map(|k| mean((0..net.n).map(|n| net.at(k, n)).map(|i| g[i] - 0.5 * ha[i])))
}

#[test]
fn shapleycam_is_equation_14() {
    let net = Square::new();
    for c in 0..CLASSES {
        let ha: Vec<f64> = net.v(c).iter().zip(&net.a).map(|(v, a)| 2.0 * v * a).collect();
        // The difference along the activation is exact for a square; rounding over the step of 5e-3 is left.
        close(&net.raw(methods::ShapleyCam, &Class(c)), &shapley(&net, &net.gradient(c), &ha), 2e-4);
    }
}

#[test]
fn shapleycam_of_log_odds_takes_the_curvature_of_the_softmax() {
    let net = Square::new();
    let entries = net.k * net.n;
    for c in 0..CLASSES {
        // s = 2 y_c - log sum exp y, so g = 2 y_c' - sum_d p_d y_d'.
        let gradient = |a: &[f64]| -> Vec<f64> {
            let p = softmax(&net.logits(a));
            let of: Vec<Vec<f64>> = (0..CLASSES).map(|d| net.gradient_at(a, d)).collect();
            (0..entries)
                .map(|i| 2.0 * of[c][i] - (0..CLASSES).map(|d| p[d] * of[d][i]).sum::<f64>())
                .collect()
        };
        let along = |step: f64| gradient(&net.a.iter().map(|a| a * (1.0 + step)).collect::<Vec<_>>());
        let (more, less) = (along(1e-5), along(-1e-5));
        let ha: Vec<f64> = more.iter().zip(&less).map(|(m, l)| (m - l) / 2e-5).collect();
        let expected = shapley(&net, &gradient(&net.a), &ha);
        // The difference leaves the third derivative of the softmax times the square of the step, 2.5e-5.
        close(&net.raw(methods::ShapleyCam, &LogOdds(Class(c))), &expected, 1e-3);
        let differs = net.raw(methods::GradCam, &LogOdds(Class(c)));
        assert!(differs.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 0.05), "the curvature counts");
    }
}

#[test]
fn cam_is_the_weights_of_the_classifier() {
    let device = Device::flex();
    seed(8);
    let (a, w): (Tensor<4>, Tensor<2>) =
        (uniform([2, 4, 3, 5], -1.0, 1.0, &device), uniform([CLASSES, 4], -1.0, 1.0, &device));
    let (a_, w_) = (numbers(&a), numbers(&w));
    let model = Function(move |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let pooled: Tensor<2> = taps.layer("a", Nchw, || images).mean_dims(&[2, 3]).flatten(1, 3);
        pooled.matmul(w.clone().transpose()) + 0.7
    });
    for c in 0..CLASSES {
        let explainer = Explainer::new(&model).layer("a").method(methods::Cam);
        let found = explainer.explain(a.clone(), &Class(c)).unwrap();
        let mut expected = Vec::new();
        for image in 0..2 {
            for n in 0..15 {
                expected.push((0..4).map(|k| w_[c * 4 + k] * a_[(image * 4 + k) * 15 + n]).sum());
            }
        }
        close(&numbers(&found.maps[0].raw), &expected, TOLERANCE);
    }
}

#[test]
fn cam_refuses_what_is_no_linear_classifier() {
    fn refused(model: impl Fn(Tensor<4>, &Taps<'_>) -> Tensor<2>) -> Option<Error> {
        let image = uniform([1, 3, 4, 4], 0.1, 1.0, &Device::flex());
        Explainer::new(&model).layer("a").method(methods::Cam).explain(image, &Class(0)).err()
    }
    fn pooled(x: Tensor<4>) -> Tensor<2> {
        x.mean_dims(&[2, 3]).flatten(1, 3)
    }
    let not_linear = Some(Error::NotLinear { layer: "a".into() });
    // A gradient that differs from place to place, one that does not but grows, and a linear classifier.
    assert_eq!(refused(|x, taps| pooled(taps.layer("a", Nchw, || x).square())), not_linear);
    assert_eq!(refused(|x, taps| pooled(taps.layer("a", Nchw, || x)).square()), not_linear);
    assert_eq!(refused(|x, taps| pooled(taps.layer("a", Nchw, || x)) * 3.0), None);
}

#[test]
fn fem_counts_where_channels_are_strong() {
    let mut net = Square::new();
    for k in 0..net.k {
        net.a[k * (net.n + 1)] = 3.0;
    }
    for sigmas in [0.5, 2.0] {
        let mu = |k: usize| mean(net.channel(k).iter().copied());
        let sigma = |k: usize| mean(net.channel(k).iter().map(|a| (a - mu(k)).powi(2))).sqrt();
        let strong = |k: usize, n: usize| f64::from(net.channel(k)[n] > mu(k) + f64::from(sigmas) * sigma(k));
        let share = |k: usize| mean((0..net.n).map(|n| strong(k, n)));
        assert!((0..net.k).all(|k| share(k) > 0.0 && share(k) < 0.5));
        let counted = |counted| net.raw(Fem { sigmas, counted }, &Class(0));
        close(&counted(FemCount::Mean), &net.sum(|k, n| mu(k) * strong(k, n)), TOLERANCE);
        close(&counted(FemCount::Share), &net.map(share), TOLERANCE);
    }
}

#[test]
fn randomcam_weighs_channels_evenly_between_minus_one_and_one() {
    const K: usize = 256;
    // Channel k is 1 at place k alone, so that the raw map is the weights.
    let eye = Tensor::<2>::eye(K, &Device::flex()).reshape([1, K, 1, K]).repeat_dim(0, 2);
    let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        taps.layer("a", Nchw, || images).mean_dims(&[2, 3]).flatten(1, 3)
    };
    let weights = |seed| {
        let explainer = Explainer::new(&model).layer("a").method(RandomCam { seed }).rectify(Rectify::Signed);
        numbers(&explainer.explain(eye.clone(), &Class(0)).unwrap().maps[0].raw)
    };
    let w = weights(4);
    assert_eq!(w, weights(4));
    assert_ne!(w, weights(5));
    assert_eq!(w[..K], w[K..], "all images of a batch have the same");
    assert!(w.iter().all(|w| w.abs() < 1.0));
    // Of 256 draws the mean has a deviation of 0.036, that of the square (1/3) one of 0.019: four of each.
    let w = wide(&w[..K]);
    assert!(mean(w.iter().copied()).abs() < 0.15);
    assert!((mean(w.iter().map(|w| w * w)) - 1.0 / 3.0).abs() < 0.08);
}

/// The weights of Ablation-CAM with the channel replaced by a value made of it.
fn ablated(net: &Square, c: usize, value: impl Fn(&[f64]) -> f64) -> Vec<f32> {
    let y = net.y(&net.a, c);
    net.map(|k| {
        let mut without = net.a.clone();
        without[k * net.n..(k + 1) * net.n].fill(value(net.channel(k)));
        (y - net.y(&without, c)) / y.abs()
    })
}

// The rounding of sums of sixty numbers, divided by the score.
const OF_THE_SCORE: f32 = 2e-4;

#[test]
fn ablationcam_is_equation_2() {
    let net = Square::new();
    for c in 0..CLASSES {
        close(&net.raw(AblationCam::PAPER, &Class(c)), &ablated(&net, c, |_| 0.0), OF_THE_SCORE);
    }
}

#[test]
fn ablationcam_replaces_a_channel_with_what_is_asked() {
    let net = Square::new();
    let ours = |ablated| net.raw(AblationCam { ablated }, &Class(1));
    close(&ours(Ablated::Mean), &ablated(&net, 1, |a| mean(a.iter().copied())), OF_THE_SCORE);
    close(&ours(Ablated::Min), &ablated(&net, 1, |a| extremes(a).0), OF_THE_SCORE);
    close(&ours(Ablated::Value(0.7)), &ablated(&net, 1, |_| f64::from(0.7f32)), OF_THE_SCORE);
}

/// $X \circ s(A_k)$ times a number.
fn masked(net: &Square, k: usize, share: f64) -> Vec<f64> {
    let mask = scaled(net.channel(k));
    (0..net.k * net.n).map(|i| share * net.a[i] * mask[i % net.n]).collect()
}

/// The map of channels weighted by the softmax of their scores; those without a score count for nothing.
fn by_scores(net: &Square, scores: &[Option<f64>]) -> Vec<f32> {
    let sum: f64 = scores.iter().flatten().map(|s| s.exp()).sum();
    net.map(|k| scores[k].map_or(0.0, |s| s.exp() / sum))
}

#[test]
fn scorecam_is_equations_6_to_9() {
    let net = Square::new();
    for c in 0..CLASSES {
        let scores: Vec<_> = (0..net.k).map(|k| Some(net.y(&masked(&net, k, 1.0), c))).collect();
        close(&net.raw(ScoreCam::PAPER, &Class(c)), &by_scores(&net, &scores), TOLERANCE);
    }
}

#[test]
fn faster_scorecam_tries_the_channels_that_vary_most() {
    let net = Square::new();
    let variance = |k: usize| {
        let mu = mean(net.channel(k).iter().copied());
        mean(net.channel(k).iter().map(|a| (a - mu).powi(2)))
    };
    for channels in 1..=net.k {
        let rank = |k: usize| (0..net.k).filter(|&other| variance(other) > variance(k)).count();
        let score = |k: usize| (rank(k) < channels).then(|| net.y(&masked(&net, k, 1.0), 2));
        let scores: Vec<_> = (0..net.k).map(score).collect();
        let ours = net.raw(ScoreCam { channels: Some(channels), ..ScoreCam::PAPER }, &Class(2));
        close(&ours, &by_scores(&net, &scores), TOLERANCE);
    }
}

#[test]
fn sscam_without_noise_is_scorecam() {
    let net = Square::new();
    let smooth = net.raw(SsCam { samples: 3, sigma: 0.0, ..SsCam::PAPER }, &Class(1));
    close(&smooth, &net.raw(ScoreCam::PAPER, &Class(1)), TOLERANCE);
}

#[test]
fn sscam_averages_the_scores_of_noisy_masks() {
    const SAMPLES: usize = 40;
    let net = Square::new();
    let ours = net.raw(SsCam { samples: SAMPLES, sigma: 0.5, seed: 7, channels: None }, &Class(0));
    // The network saw the channels in turn, sample after sample.
    let inputs = net.changed_inputs();
    assert_eq!(inputs.len(), SAMPLES * net.k);
    assert_ne!(inputs[0], inputs[net.k], "each sample has its own noise");
    let score = |k: usize| mean((0..SAMPLES).map(|sample| net.y(&inputs[sample * net.k + k], 0)));
    let scores: Vec<_> = (0..net.k).map(|k| Some(score(k))).collect();
    close(&ours, &by_scores(&net, &scores), TOLERANCE);

    let mut noise = Vec::new();
    for (row, input) in inputs.iter().enumerate() {
        let mask = scaled(net.channel(row % net.k));
        let seen = |k: usize, n: usize| input[net.at(k, n)] / net.a[net.at(k, n)];
        for n in 0..net.n {
            // One mask for all channels, as far as the division of f32 tells.
            let strongest =
                (0..net.k).max_by(|&a, &b| net.channel(a)[n].total_cmp(&net.channel(b)[n])).unwrap();
            noise.push(seen(strongest, n) - mask[n]);
            assert!((input[net.at(0, n)] - net.a[net.at(0, n)] * seen(strongest, n)).abs() < 1e-5);
        }
    }
    // Of 2400 draws the mean has a deviation of 0.0102, the deviation one of 0.0072: four of each.
    assert!(mean(noise.iter().copied()).abs() < 0.041);
    assert!((mean(noise.iter().map(|x| x * x)).sqrt() - 0.5).abs() < 0.029);
}

#[test]
fn the_noise_of_sscam_is_its_seed() {
    let net = Square::new();
    let map = |seed| net.raw(SsCam { samples: 2, sigma: 0.5, seed, channels: None }, &Class(0));
    assert_eq!(map(0), map(0));
    assert_ne!(map(0), map(1));
}

#[test]
fn iscam_integrates_the_scores_of_fading_masks() {
    const STEPS: usize = 5;
    let net = Square::new();
    let even = |i: usize| i as f64 / STEPS as f64;
    let accumulated = |i: usize| (1..=i).map(even).sum();
    let fadings: [(_, &dyn Fn(usize) -> f64); 2] =
        [(Fading::Even, &even), (Fading::Accumulated, &accumulated)];
    for (fading, share) in fadings {
        let score = |k: usize| mean((1..=STEPS).map(|i| net.y(&masked(&net, k, share(i)), 1)));
        let scores: Vec<_> = (0..net.k).map(|k| Some(score(k))).collect();
        close(
            &net.raw(IsCam { steps: STEPS, fading, channels: None }, &Class(1)),
            &by_scores(&net, &scores),
            TOLERANCE,
        );
    }
}

/// A method that shows the gradient under a noise of its own.
struct UnderNoise(Vec<f32>);

impl Method for UnderNoise {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("undernoise", "Under noise", "").gradient_under_noise()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let noise = |shape: &[usize; 3]| {
                Tensor::<1>::from_floats(self.0.as_slice(), &Device::flex()).reshape(*shape)
            };
            let [activation, gradient] = layer.gradient_under_noise(noise)?;
            Ok(gradient * activation)
        })
    }
}

#[test]
fn a_method_sees_the_activation_and_the_gradient_of_a_noisy_input() {
    let net = Square::new();
    let noise: Vec<f64> = (0..net.k * net.n).map(|i| (i as f64).sin()).collect();
    let noisy: Vec<f64> = net.a.iter().zip(&noise).map(|(a, noise)| a + noise).collect();
    let g = net.gradient_at(&noisy, 2);
    let expected = net.sum(|k, n| g[net.at(k, n)] * noisy[net.at(k, n)]);
    close(&net.raw(UnderNoise(narrow(&noise)), &Class(2)), &expected, TOLERANCE);
}

#[test]
fn reciprocam_scores_each_place_alone_and_under_a_gaussian() {
    let net = Square::new();
    let [_, width] = net.grid;
    let gauss = [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]];
    let place = |p: usize, n: usize| f64::from(n == p);
    let spread = |p: usize, n: usize| {
        let row = n / width + 1;
        let column = n % width + 1;
        match (row.checked_sub(p / width), column.checked_sub(p % width)) {
            (Some(down @ 0..3), Some(across @ 0..3)) => gauss[down][across] / 16.0,
            _ => 0.0,
        }
    };
    let methods: [(_, &dyn Fn(usize, usize) -> f64); 2] =
        [(ReciproCam::PAPER, &place), (ReciproCam::VIT, &spread)];
    for ((method, mask), c) in methods.into_iter().flat_map(|case| (0..CLASSES).map(move |c| (case, c))) {
        let score = |p: usize| {
            let kept: Vec<f64> = (0..net.k * net.n).map(|i| net.a[i] * mask(p, i % net.n)).collect();
            net.y(&kept, c)
        };
        let scores: Vec<f64> = (0..net.n).map(score).collect();
        let expected: Vec<f64> = scores.iter().map(|s| s - extremes(&scores).0).collect();
        close(&net.raw(method, &Class(c)), &narrow(&expected), TOLERANCE);
    }
}

#[test]
fn gscorecam_tries_the_channels_with_the_highest_gradients() {
    let net = Square::new();
    for (channels, c) in (1..=net.k).flat_map(|channels| (0..CLASSES).map(move |c| (channels, c))) {
        let g = net.gradient(c);
        let mean_gradient = |k: usize| mean((0..net.n).map(|n| g[net.at(k, n)]));
        let rank = |k: usize| (0..net.k).filter(|&other| mean_gradient(other) > mean_gradient(k)).count();
        let score = |k: usize| (rank(k) < channels).then(|| net.y(&masked(&net, k, 1.0), c));
        let scores: Vec<_> = (0..net.k).map(score).collect();
        let ours = net.raw(GScoreCam { channels, ..GScoreCam::PAPER }, &Class(c));
        close(&ours, &by_scores(&net, &scores), TOLERANCE);
    }
}

/// The masks of ViT-CX: the two clusters whose farthest channels are nearest are joined, again and again.
fn cluster_masks(net: &Square, distance: f64) -> Vec<Vec<f64>> {
    let scaled: Vec<Vec<f64>> = (0..net.k).map(|k| scaled(net.channel(k))).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let apart = |a: usize, b: usize| {
        1.0 - dot(&scaled[a], &scaled[b]) / (dot(&scaled[a], &scaled[a]) * dot(&scaled[b], &scaled[b])).sqrt()
    };
    let mut clusters: Vec<Vec<usize>> = (0..net.k).map(|k| vec![k]).collect();
    loop {
        let farthest = |a: &[usize], b: &[usize]| {
            a.iter()
                .flat_map(|&a| b.iter().map(move |&b| (a, b)))
                .map(|(a, b)| apart(a, b))
                .fold(0.0, f64::max)
        };
        let pairs = (0..clusters.len()).flat_map(|i| (0..i).map(move |j| (j, i)));
        let nearest = pairs
            .map(|(j, i)| (farthest(&clusters[i], &clusters[j]), j, i))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        match nearest {
            Some((far, j, i)) if far < distance => {
                let joined = clusters.remove(i);
                clusters[j].extend(joined);
            }
            _ => break,
        }
    }
    let sum = |cluster: &Vec<usize>| -> Vec<f64> {
        (0..net.n).map(|n| cluster.iter().map(|&k| scaled[k][n]).sum()).collect()
    };
    clusters.iter().map(|cluster| slow::scaled(&sum(cluster))).collect()
}

#[test]
fn vitcx_weighs_clusters_of_channels_by_what_they_cause() {
    let net = Square::sized(8, [3, 5]);
    let y = net.y(&net.a, 1);
    let counts: Vec<usize> = [0.02, 0.27, 0.9]
        .into_iter()
        .map(|distance| {
            let masks = cluster_masks(&net, distance);
            let ours = net.raw(VitCx { distance, sigma: 0.4, seed: 3, ..VitCx::PAPER }, &Class(1));
            let inputs = net.changed_inputs();
            assert_eq!(inputs.len(), 2 * masks.len());
            let (seen, noisy) = inputs.split_at(masks.len());
            let mut found = vec![None; net.n];
            // Clusters have numbers in the order of their first channels, here and there.
            for ((mask, seen), noisy) in masks.iter().zip(seen).zip(noisy) {
                for i in 0..net.k * net.n {
                    let noise = noisy[i] - net.a[i];
                    assert!((seen[i] - net.a[i] * mask[i % net.n] - noise).abs() < 1e-5);
                    assert_eq!(mask[i % net.n] == 1.0, noise == 0.0, "what is kept is not disturbed");
                }
                let caused = net.y(seen, 1) - net.y(noisy, 1) + y;
                let cover = |n: usize| masks.iter().map(|mask| mask[n]).sum::<f64>();
                for n in (0..net.n).filter(|&n| cover(n) > 0.0) {
                    *found[n].get_or_insert(0.0) += caused * mask[n] / cover(n);
                }
            }
            let covered: Vec<f64> = found.iter().flatten().copied().collect();
            let expected: Vec<f64> =
                found.iter().map(|x| x.map_or(0.0, |x| x - extremes(&covered).0)).collect();
            close(&ours, &narrow(&expected), 1e-4);
            masks.len()
        })
        .collect();
    assert!(counts[0] == net.k && counts[2] == 1 && (2..net.k).contains(&counts[1]), "{counts:?}");
}

#[test]
fn inputxgradient_is_the_input_times_its_gradient() {
    let net = Square::new();
    for c in 0..CLASSES {
        let g = net.gradient(c);
        let evidence = |k, n| g[net.at(k, n)] * net.a[net.at(k, n)];
        close(&net.raw(methods::InputXGradient, &Class(c)), &net.sum(evidence), TOLERANCE);
    }
}

#[test]
fn smoothgrad_and_vargrad_are_the_mean_and_the_variance_of_noisy_gradients() {
    let net = Square::sized(8, [16, 16]);
    let noise = InputNoise { samples: 6, level: 0.2, seed: 5 };
    let mut seen = Vec::new();
    let gradients = |inputs: &[Vec<f64>]| -> Vec<Vec<f64>> {
        assert_eq!(inputs.len(), noise.samples);
        inputs.iter().map(|input| net.gradient_at(input, 2)).collect()
    };
    let at = |gradients: &[Vec<f64>], i: usize| gradients.iter().map(|g| g[i]).collect::<Vec<_>>();

    let smooth = net.raw(SmoothGrad { noise }, &Class(2));
    seen.extend(net.changed_inputs());
    let g = gradients(&seen);
    close(&smooth, &net.sum(|k, n| mean(at(&g, net.at(k, n))).abs()), TOLERANCE);

    let varied = net.raw(VarGrad { noise }, &Class(2));
    let inputs = net.changed_inputs();
    assert_eq!(inputs, seen, "both see the same noise");
    let variance = |values: Vec<f64>| {
        let middle = mean(values.iter().copied());
        mean(values.iter().map(|value| (value - middle).powi(2)))
    };
    // The difference of two means of squares of order ten.
    close(&varied, &net.sum(|k, n| variance(at(&g, net.at(k, n)))), 1e-4);

    let (low, high) = extremes(&net.a);
    let drawn = seen.iter().flat_map(|input| input.iter().zip(&net.a).map(|(x, a)| x - a));
    let deviation = mean(drawn.map(|x| x * x)).sqrt();
    // Of 12288 draws the deviation has one of 0.0064 of it: four of each.
    assert!((deviation / (0.2 * (high - low)) - 1.0).abs() < 0.026, "{deviation}");
}

#[test]
fn integrated_gradients_are_equation_1() {
    let net = Square::new();
    for (c, baseline) in (0..CLASSES).flat_map(|c| [(c, 0.0), (c, 0.25)]) {
        let (v, u) = (net.v(c), net.u(c));
        // The gradient is linear on the way, so that the middle of each step is exact.
        let part = |i: usize| {
            let (a, b) = (net.a[i], f64::from(baseline));
            v[i] * (a * a - b * b) + u[i] * (a - b)
        };
        let ours = net.raw(IntegratedGradients { steps: 7, baseline }, &Class(c));
        close(&ours, &net.sum(|k, n| part(net.at(k, n))), TOLERANCE);
        let sum: f64 = ours.iter().map(|&x| f64::from(x)).sum();
        let plain = vec![f64::from(baseline); net.k * net.n];
        assert!((sum - (net.y(&net.a, c) - net.y(&plain, c))).abs() < 1e-4, "complete");
    }
}

#[test]
fn expected_gradients_are_integrated_gradients_from_drawn_baselines() {
    const SAMPLES: usize = 4000;
    let net = Square::new();
    let (v, u) = (net.v(1), net.u(1));
    // Of a baseline b that is drawn evenly around m up to h away: v (a^2 - b^2) + u (a - b) in the mean.
    let part = |k: usize, n: usize| {
        let (low, high) = extremes(net.channel(k));
        let (m, h) = ((low + high) / 2.0, (high - low) / 2.0);
        let i = net.at(k, n);
        v[i] * (net.a[i].powi(2) - m * m - h * h / 3.0) + u[i] * (net.a[i] - m)
    };
    let map = |seed, samples| net.raw(ExpectedGradients { samples, seed }, &Class(1));
    // A sample of a place has a deviation of at most 2.5 here, the mean of all one of 0.04: four of each.
    close(&map(2, SAMPLES), &net.sum(part), 0.16);
    assert_eq!(map(2, 3), map(2, 3));
    assert_ne!(map(2, 3), map(3, 3));
}

#[test]
fn occlusion_is_what_windows_over_a_place_take_from_the_score() {
    let net = Square::sized(2, [6, 9]);
    let [height, width] = net.grid;
    for (parts, value) in [(3, 0.0), (4, 0.3), (1, 0.0)] {
        let (down, across) = (height.div_ceil(parts), width.div_ceil(parts));
        let starts = |length: usize, window: usize| -> Vec<usize> {
            let stride = (window / 2).max(1);
            let mut starts: Vec<usize> = (0..=length - window).step_by(stride).collect();
            if starts.last() != Some(&(length - window)) {
                starts.push(length - window);
            }
            starts
        };
        let y = net.y(&net.a, 0);
        let (mut lost, mut cover) = (vec![0.0; net.n], vec![0.0; net.n]);
        for top in starts(height, down) {
            for left in starts(width, across) {
                let is_in = |n: usize| {
                    (top..top + down).contains(&(n / width)) && (left..left + across).contains(&(n % width))
                };
                let covered: Vec<f64> = (0..net.k * net.n)
                    .map(|i| if is_in(i % net.n) { f64::from(value) } else { net.a[i] })
                    .collect();
                for n in (0..net.n).filter(|&n| is_in(n)) {
                    lost[n] += y - net.y(&covered, 0);
                    cover[n] += 1.0;
                }
            }
        }
        let expected: Vec<f64> = lost.iter().zip(&cover).map(|(lost, cover)| lost / cover).collect();
        close(&net.raw(Occlusion { parts, value }, &Class(0)), &narrow(&expected), 1e-4);
    }
}

/// The superpixels of the places, as numbers: those that all inputs show together or hide together.
fn superpixels(net: &Square, inputs: &[Vec<f64>], value: f64) -> Vec<usize> {
    let shown = |n: usize| -> Vec<bool> { inputs.iter().map(|input| input[n] != value).collect() };
    let patterns: Vec<Vec<bool>> = (0..net.n).map(shown).collect();
    patterns.iter().map(|one| patterns.iter().position(|other| other == one).unwrap()).collect()
}

#[test]
fn kernelshap_and_lime_find_what_each_superpixel_adds() {
    let net = Square::sized(2, [6, 8]);
    let (v, u, value) = (net.v(2), net.u(2), 0.25);
    // The score is a sum over the places: what one adds does not depend on the others.
    let added = |n: usize| -> f64 {
        (0..net.k)
            .map(|k| (net.at(k, n), f64::from(value)))
            .map(|(i, b)| v[i] * (net.a[i].powi(2) - b * b) + u[i] * (net.a[i] - b))
            .sum()
    };
    let masks = SuperpixelMasks { regions: 6, samples: 200, value, seed: 1 };
    let check = |ours: Vec<f32>, tolerance: f32| {
        let of = superpixels(&net, &net.changed_inputs(), f64::from(value));
        let expected: Vec<f64> =
            (0..net.n).map(|n| (0..net.n).filter(|&m| of[m] == of[n]).map(added).sum()).collect();
        close(&ours, &narrow(&expected), tolerance);
        let mut regions = of;
        regions.sort_unstable();
        regions.dedup();
        assert!((4..=8).contains(&regions.len()), "{regions:?}");
    };
    // Equations in f64, of scores of order ten in f32.
    check(net.raw(KernelShap { masks }, &Class(2)), 1e-4);
    check(net.raw(Lime { masks, width: 0.25, ridge: 0.0 }, &Class(2)), 1e-4);
    let map = |seed| net.raw(KernelShap { masks: SuperpixelMasks { seed, samples: 4, ..masks } }, &Class(2));
    assert_eq!(map(1), map(1));
    assert_ne!(map(1), map(2));
}

#[test]
fn lime_weighs_masks_by_how_near_they_are_and_holds_its_weights_small() {
    let net = Square::sized(1, [1, 6]);
    // A target that is no sum over the places.
    let squared =
        |output: &Tensor<2>| -> Tensor<1> { output.clone().narrow(1, 0, 1).squeeze_dim(1).square() };
    let masks = SuperpixelMasks { regions: 6, samples: 40, value: 0.0, seed: 4 };
    let lime = Lime { masks, width: 0.4, ridge: 0.7 };
    let ours = net.raw(lime, &squared);
    let inputs = net.changed_inputs();
    let of = superpixels(&net, &inputs, 0.0);
    assert_eq!(of, [0, 1, 2, 3, 4, 5], "each place is a superpixel");
    // The weights and the intercept are where the derivative of the loss is zero. The last input shows nothing.
    let z: Vec<Vec<f64>> = inputs[..40]
        .iter()
        .map(|input| input.iter().map(|x| f64::from(u8::from(*x != 0.0))).collect())
        .collect();
    let near: Vec<f64> =
        z.iter().map(|z| (-((1.0 - (z.iter().sum::<f64>() / 6.0).sqrt()) / 0.4).powi(2)).exp()).collect();
    let scores: Vec<f64> = inputs.iter().map(|input| net.y(input, 0).powi(2)).collect();
    let w = wide(&ours);
    let linear = |i: usize| (0..6).map(|s| w[s] * z[i][s]).sum::<f64>();
    let total: f64 = near.iter().sum();
    let b = (0..40).map(|i| near[i] * (scores[i] - linear(i))).sum::<f64>() / total;
    for s in 0..6 {
        let slope: f64 = (0..40).map(|i| near[i] * (scores[i] - b - linear(i)) * z[i][s]).sum();
        assert!((slope - 0.7 * w[s]).abs() < 1e-3 * (1.0 + w[s].abs()), "{s}: {slope} is not {}", 0.7 * w[s]);
    }
}
