//! Every formula again, slowly: loops in the names of the paper, on random input.
//!
//! The network behind the layer is $y_c = \sum_{kij} v_{ckij} A_{kij}^2 + u_{ck} A_{kij}$, so that its gradient
//! $2 v A + u$ is known by hand, depends on the place, and the score is not linear.

mod common;

use burn::prelude::*;
use cam_core::{Ablated, AblationCam, Class, Explainer, Method, Nchw, Rectify, Scale, Taps, methods};
use common::{close, numbers, uniform};

const K: usize = 4;
const H: usize = 3;
const W: usize = 5;
const N: usize = H * W;
const C: usize = 3;

struct Case {
    a: Vec<f32>,
    v: Vec<f32>,
    u: Vec<f32>,
}

impl Case {
    fn y(&self, a: &[f32], c: usize) -> f64 {
        (0..K * N)
            .map(|i| {
                let a = f64::from(a[i]);
                f64::from(self.v[c * K * N + i]) * a * a + f64::from(self.u[c * K * N + i]) * a
            })
            .sum()
    }

    fn gradient(&self, c: usize, k: usize, n: usize) -> f64 {
        let i = k * N + n;
        2.0 * f64::from(self.v[c * K * N + i]) * f64::from(self.a[i]) + f64::from(self.u[c * K * N + i])
    }
}

/// The raw map of a method by the library, and the case to compute it slowly.
fn raw(method: impl Method + 'static, class: usize) -> (Vec<f32>, Case) {
    let device = Device::flex();
    device.seed(3);
    let a: Tensor<4> = uniform([1, K, H, W], -0.5, 1.0, &device);
    let v: Tensor<2> = uniform([C, K * N], -1.0, 1.0, &device);
    let u: Tensor<2> = uniform([C, K * N], -1.0, 1.0, &device);
    let case = Case { a: numbers(&a), v: numbers(&v), u: numbers(&u) };
    let model = move |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let a = taps.layer("a", Nchw, || images);
        let [batch, ..] = a.dims();
        let a: Tensor<2> = a.reshape([batch, K * N]);
        a.clone().square().matmul(v.clone().transpose()) + a.matmul(u.clone().transpose())
    };
    let found = Explainer::new(&model)
        .layer("a")
        .method(method)
        .rectify(Rectify::Signed)
        .scale(Scale::None)
        .copies(3)
        .explain(a, &Class(class))
        .unwrap();
    (numbers(&found.maps[0].raw), case)
}

/// $\sum_k w_k A_k$ with a weight for each channel and place.
fn map(case: &Case, w: impl Fn(usize, usize) -> f64) -> Vec<f32> {
    (0..N).map(|n| (0..K).map(|k| w(k, n) * f64::from(case.a[k * N + n])).sum::<f64>() as f32).collect()
}

// Sums of some dozen numbers of order one in f32.
const TOLERANCE: f32 = 2e-5;

#[test]
fn gradcam_is_equation_1_and_2() {
    for c in 0..C {
        let (ours, case) = raw(methods::GradCam, c);
        let alpha = |k: usize| (0..N).map(|n| case.gradient(c, k, n)).sum::<f64>() / N as f64;
        close(&ours, &map(&case, |k, _| alpha(k)), TOLERANCE);
    }
}

#[test]
fn hirescam_is_equation_6() {
    for c in 0..C {
        let (ours, case) = raw(methods::HiResCam, c);
        close(&ours, &map(&case, |k, n| case.gradient(c, k, n)), TOLERANCE);
    }
}

#[test]
fn layercam_is_equation_6() {
    for c in 0..C {
        let (ours, case) = raw(methods::LayerCam, c);
        close(&ours, &map(&case, |k, n| case.gradient(c, k, n).max(0.0)), TOLERANCE);
    }
}

fn ablated(case: &Case, c: usize, value: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let y = case.y(&case.a, c);
    let w: Vec<f64> = (0..K)
        .map(|k| {
            let mut without = case.a.clone();
            let channel = k * N..(k + 1) * N;
            let put = value(&case.a[channel.clone()]);
            without[channel].fill(put);
            (y - case.y(&without, c)) / y.abs()
        })
        .collect();
    map(case, |k, _| w[k])
}

#[test]
fn ablationcam_is_equation_2() {
    for c in 0..C {
        let (ours, case) = raw(AblationCam::PAPER, c);
        close(&ours, &ablated(&case, c, |_| 0.0), 2e-4);
    }
}

#[test]
fn ablationcam_replaces_a_channel_with_what_is_asked() {
    let (ours, case) = raw(AblationCam { ablated: Ablated::Mean }, 1);
    close(&ours, &ablated(&case, 1, |a| a.iter().sum::<f32>() / N as f32), 2e-4);
    let (ours, case) = raw(AblationCam { ablated: Ablated::Min }, 1);
    close(&ours, &ablated(&case, 1, |a| a.iter().copied().fold(f32::INFINITY, f32::min)), 2e-4);
    let (ours, case) = raw(AblationCam { ablated: Ablated::Value(0.7) }, 1);
    close(&ours, &ablated(&case, 1, |_| 0.7), 2e-4);
}

#[test]
fn scorecam_is_equations_6_to_9() {
    for c in 0..C {
        let (ours, case) = raw(methods::ScoreCam::PAPER, c);
        // The input is the layer here: the masks need no resizing, and each is put over all channels.
        let scores: Vec<f64> = (0..K)
            .map(|k| {
                let channel = &case.a[k * N..(k + 1) * N];
                let (min, max) = channel
                    .iter()
                    .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
                let masked: Vec<f32> =
                    (0..K * N).map(|i| case.a[i] * (channel[i % N] - min) / (max - min)).collect();
                case.y(&masked, c)
            })
            .collect();
        let sum: f64 = scores.iter().map(|s| s.exp()).sum();
        close(&ours, &map(&case, |k, _| scores[k].exp() / sum), TOLERANCE);
    }
}

#[test]
fn eigencam_is_the_first_right_singular_vector() {
    let (ours, case) = raw(methods::EigenCam, 0);
    let centred: Vec<f64> = (0..K * N)
        .map(|i| {
            let channel = &case.a[i / N * N..(i / N + 1) * N];
            f64::from(case.a[i]) - channel.iter().map(|&x| f64::from(x)).sum::<f64>() / N as f64
        })
        .collect();
    let m = nalgebra::DMatrix::from_column_slice(N, K, &centred);
    let svd = m.clone().svd(false, true);
    let first = svd.singular_values.imax();
    let projection = m * svd.v_t.unwrap().row(first).transpose();
    let energy: Vec<f64> =
        (0..N).map(|n| (0..K).map(|k| f64::from(case.a[k * N + n]).powi(2)).sum()).collect();
    let mean = energy.iter().sum::<f64>() / N as f64;
    let agreement: f64 = (0..N).map(|n| projection[n] * (energy[n] - mean)).sum();
    let expected: Vec<f32> = projection.iter().map(|p| (p * agreement.signum()) as f32).collect();
    close(&ours, &expected, TOLERANCE);
}
