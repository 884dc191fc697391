//! What looks at a whole network, again: FullGrad and guided backpropagation of two layers by hand.

use crate::common::slow::{self, narrow, resized, slope, wide};
use crate::common::{close, numbers, seed, uniform};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use cam_core::{
    Class, Error, Evidence, Explain, Explainer, FullGrad, Inspect, LayerContext, Method, MethodInfo, Model,
    Nchw, NoModule, Reads, Rectify, Scale, Scaled, Taps, guided_backprop, guided_gradcam,
};

const CLASSES: usize = 3;

/// Two convolutions with biases and ReLUs behind them, the first of 2 x 2 pixels side by side, the second of one; then a
/// linear layer without a bias. All of it is piecewise linear.
struct Biased {
    w1: Tensor<4>,
    b1: Tensor<1>,
    w2: Tensor<4>,
    b2: Tensor<1>,
    head: Tensor<2>,
    image: Tensor<4>,
}

/// The channels of the input, behind the first and behind the second convolution, and their grids.
const CHANNELS: [usize; 3] = [2, 3, 2];
const GRIDS: [[usize; 2]; 3] = [[4, 6], [2, 3], [2, 3]];

impl Biased {
    fn new() -> Self {
        let device = Device::flex();
        seed(19);
        Self {
            w1: uniform([CHANNELS[1], CHANNELS[0], 2, 2], -1.0, 1.0, &device),
            b1: uniform([CHANNELS[1]], -1.0, 1.0, &device),
            w2: uniform([CHANNELS[2], CHANNELS[1], 1, 1], -1.0, 1.0, &device),
            b2: uniform([CHANNELS[2]], -1.0, 1.0, &device),
            head: uniform([CHANNELS[2] * 6, CLASSES], -1.0, 1.0, &device),
            image: uniform([1, CHANNELS[0], 4, 6], -1.0, 1.0, &device),
        }
    }

    fn raw(&self, method: impl Method + 'static, class: usize) -> Vec<f32> {
        let explainer = Explainer::new(self).method(method).rectify(Rectify::Signed).scale(Scale::None);
        let found = explainer.explain(self.image.clone(), &Class(class)).unwrap();
        assert_eq!(found.maps[0].layer, "biases");
        numbers(&found.maps[0].raw)
    }

    /// The score with a number added to one of the values of the input (stage 0) or to what one of the convolutions gives.
    fn y(&self, class: usize, stage: usize, place: usize, by: f64) -> f64 {
        let [w1, w2] = [&self.w1, &self.w2].map(|w| wide(&numbers(w)));
        let [b1, b2] = [&self.b1, &self.b2].map(|b| wide(&numbers(b)));
        let head = wide(&numbers(&self.head));
        let changed = |here: usize, mut values: Vec<f64>| {
            if here == stage {
                values[place] += by;
            }
            values
        };
        let x = changed(0, wide(&numbers(&self.image)));
        let mut z1 = Vec::new();
        for out in 0..3 {
            for (row, column) in (0..2).flat_map(|row| (0..3).map(move |column| (row, column))) {
                let mut sum = b1[out];
                for (k, i, j) in (0..8).map(|n| (n / 4, n / 2 % 2, n % 2)) {
                    sum +=
                        w1[((out * 2 + k) * 2 + i) * 2 + j] * x[(k * 4 + 2 * row + i) * 6 + 2 * column + j];
                }
                z1.push(sum);
            }
        }
        let z1 = changed(1, z1);
        let of =
            |out: usize, n: usize| (0..3).map(|k| w2[out * 3 + k] * slow::relu(z1[k * 6 + n])).sum::<f64>();
        let z2 = changed(2, (0..12).map(|i| b2[i / 6] + of(i / 6, i % 6)).collect());
        (0..12).map(|i| slow::relu(z2[i]) * head[i * CLASSES + class]).sum()
    }

    fn gradient(&self, class: usize, stage: usize) -> Vec<f64> {
        let [height, width] = GRIDS[stage];
        (0..CHANNELS[stage] * height * width).map(|i| slope(|by| self.y(class, stage, i, by))).collect()
    }
}

impl Model for Biased {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let step = |size| ConvOptions::new([size, size], [0, 0], [1, 1], 1);
        let (b1, b2) = (self.b1.clone(), self.b2.clone());
        let z1 = taps
            .biased("conv1", Nchw, Some(b1.clone()), || conv2d(images, self.w1.clone(), Some(b1), step(2)));
        let z2 = taps
            .biased("conv2", Nchw, Some(b2.clone()), || conv2d(relu(z1), self.w2.clone(), Some(b2), step(1)));
        relu(z2).flatten::<2>(1, 3).matmul(self.head.clone())
    }
}

#[test]
fn fullgrad_is_equation_4() {
    let net = Biased::new();
    let biases = [wide(&numbers(&net.b1)), wide(&numbers(&net.b2))];
    let x = wide(&numbers(&net.image));
    for class in 0..CLASSES {
        for together in [true, false] {
            let psi = |values: Vec<f64>, stage: usize| -> Vec<f64> {
                let places = GRIDS[stage][0] * GRIDS[stage][1];
                let magnitudes: Vec<f64> = values.iter().map(|x| x.abs()).collect();
                let group = if together { magnitudes.len() } else { places };
                let scaled: Vec<f64> = magnitudes.chunks(group).flat_map(slow::scaled).collect();
                let map: Vec<f64> =
                    (0..places).map(|n| scaled.iter().skip(n).step_by(places).sum()).collect();
                resized(&map, GRIDS[stage], GRIDS[0])
            };
            let input = net.gradient(class, 0).iter().zip(&x).map(|(g, x)| g * x).collect();
            let mut expected = psi(input, 0);
            for (l, bias) in biases.iter().enumerate() {
                let gradient = net.gradient(class, l + 1);
                let part = gradient.iter().enumerate().map(|(i, g)| g * bias[i / 6]).collect();
                expected = expected.iter().zip(psi(part, l + 1)).map(|(sum, part)| sum + part).collect();
            }
            let scaled = if together { Scaled::Layer } else { Scaled::Channel };
            // A few numbers of order one in f32, divided by the largest of them.
            close(&net.raw(FullGrad { scaled }, class), &narrow(&expected), 1e-5);
        }
    }
}

/// Gradient times input and gradient times bias, unscaled and signed: what FullGrad is made of. The biases' share is spread
/// evenly over the places.
struct Complete;

impl Method for Complete {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("complete", "Complete", "https://arxiv.org/abs/1905.00780")
            .reads(Reads::Biases)
            .gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let mut evidence = (layer.gradient()? * layer.activation()).sum_dim(1);
            let places = evidence.dims()[2] as f32;
            for (layer, bias) in layer.biases()? {
                let part = layer.gradient()? * bias.reshape([1, -1, 1]);
                evidence = evidence + part.sum_dim(1).sum_dim(2) / places;
            }
            Ok(evidence)
        })
    }
}

#[test]
fn what_input_and_biases_contribute_is_the_whole_score() {
    let net = Biased::new();
    for class in 0..CLASSES {
        let sum: f32 = net.raw(Complete, class).iter().sum();
        // The sum of some hundred numbers of order one in f32.
        close(&[sum], &[net.y(class, 0, 0, 0.0) as f32], 1e-5);
    }
}

#[test]
fn a_network_that_names_no_biases_is_refused() {
    let plain = |x: Tensor<4>, _: &Taps<'_>| -> Tensor<2> { x.mean_dims(&[2, 3]).flatten(1, 3) };
    let found = Explainer::new(&plain).method(FullGrad::PAPER).explain(Biased::new().image, &Class(0));
    assert_eq!(found.err(), Some(Error::NoBiases));
}

/// $y = W_3 (\mathrm{relu}(W_2 x_1) + x_1)$, $x_1 = \mathrm{relu}(W_1 x)$, with a tap where two ways part.
struct Rectified {
    w: [Tensor<2>; 3],
}

const PIXELS: usize = 12;
const UNITS: usize = 8;

impl Rectified {
    fn new() -> Self {
        let device = Device::flex();
        seed(23);
        let sizes = [[PIXELS, UNITS], [UNITS, UNITS], [UNITS, CLASSES]];
        Self { w: sizes.map(|size| uniform(size, -1.0, 1.0, &device)) }
    }

    fn images() -> Tensor<4> {
        let device = Device::flex();
        seed(29);
        uniform([2, 1, 3, 4], -1.0, 1.0, &device)
    }
}

impl Model for Rectified {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let batch = images.dims()[0];
        let x: Tensor<2> = images.reshape([batch, PIXELS]);
        let x1 =
            taps.layer("x1", Nchw, || taps.relu(x.matmul(self.w[0].clone())).reshape([batch, UNITS, 1, 1]));
        // The ways part at the layer itself: each reads it on its own.
        let x1 = || -> Tensor<2> { x1.clone().reshape([batch, UNITS]) };
        let x2 = taps.relu(x1().matmul(self.w[1].clone())) + x1();
        x2.matmul(self.w[2].clone())
    }
}

/// $x W$ of a row.
fn through(x: &[f64], w: &[f64]) -> Vec<f64> {
    let columns = w.len() / x.len();
    (0..columns).map(|j| (0..x.len()).map(|i| x[i] * w[i * columns + j]).sum()).collect()
}

/// $R W^\top$ of a row.
fn back(r: &[f64], w: &[f64]) -> Vec<f64> {
    w.chunks(r.len()).map(|row| row.iter().zip(r).map(|(w, r)| w * r).sum()).collect()
}

/// $[z > 0] [R > 0] R$
fn guided(z: &[f64], r: &[f64]) -> Vec<f64> {
    z.iter().zip(r).map(|(&z, &r)| if z > 0.0 && r > 0.0 { r } else { 0.0 }).collect()
}

#[test]
fn guided_backpropagation_stops_what_speaks_against_the_score_at_each_relu() {
    let net = Rectified::new();
    let [w1, w2, w3] = net.w.each_ref().map(|w| wide(&numbers(w)));
    for class in 0..CLASSES {
        let mut expected = Vec::new();
        for x in numbers(&Rectified::images()).chunks(PIXELS).map(wide) {
            let z1 = through(&x, &w1);
            let x1: Vec<f64> = z1.iter().map(|&z| slow::relu(z)).collect();
            let z2 = through(&x1, &w2);
            let r: Vec<f64> = (0..UNITS).map(|i| w3[i * CLASSES + class]).collect();
            // Two ways to x1: through the second ReLU and around it.
            let branch = back(&guided(&z2, &r), &w2);
            let r1: Vec<f64> = branch.iter().zip(&r).map(|(a, b)| a + b).collect();
            expected.extend(back(&guided(&z1, &r1), &w1));
        }
        let found = guided_backprop(&net, &Rectified::images(), &Class(class)).unwrap();
        // Sums of a dozen numbers of order one in f32.
        close(&numbers(&found), &narrow(&expected), 1e-5);
    }
}

#[test]
fn guided_gradcam_is_the_guided_gradient_where_the_map_is_hot() {
    let images: Tensor<4> = uniform([2, 3, 2, 2], -1.0, 1.0, &Device::flex());
    let heat: Tensor<2> = uniform([2, 4], 0.0, 1.0, &Device::flex());
    let (gradient, hot) = (numbers(&images), numbers(&heat));
    let expected: Vec<f32> = (0..24).map(|i| gradient[i] * hot[i / 12 * 4 + i % 4]).collect();
    assert_eq!(numbers(&guided_gradcam(&images, heat)), expected);
}

#[test]
fn the_activations_of_the_taps_are_the_plain_ones_elsewhere() {
    let x: Tensor<4> = uniform([1, 2, 3, 3], -3.0, 3.0, &Device::flex());
    let off = Taps::off();
    let same = |a: Tensor<4>, b: Tensor<4>| assert_eq!(numbers(&a), numbers(&b));
    same(off.relu(x.clone()), relu(x.clone()));
    same(off.gelu(x.clone()), burn::tensor::activation::gelu(x.clone()));
    same(off.silu(x.clone()), burn::tensor::activation::silu(x));
}

fn pooled(x: Tensor<4>) -> Tensor<2> {
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

fn refused(model: impl Fn(Tensor<4>, &Taps<'_>) -> Tensor<2>) -> Option<Error> {
    guided_backprop(&model, &Rectified::images(), &Class(0)).err()
}

#[test]
fn what_guided_backpropagation_has_no_rule_for_is_refused() {
    assert_eq!(refused(|x, _| pooled(relu(x))), Some(Error::NoRelu));
    let smooth = |activation| Some(Error::NotGuided { activation });
    assert_eq!(refused(|x, taps| pooled(taps.gelu(taps.relu(x)))), smooth("GELU"));
    assert_eq!(refused(|x, taps| pooled(taps.silu(taps.relu(x)))), smooth("SiLU"));
    let apart = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.relu(x.clone()).inner() * x.inner());
    assert_eq!(refused(apart), Some(Error::NotConnected { layer: "input".into() }));
}

#[test]
fn a_value_that_two_pieces_read_has_to_be_a_layer() {
    let unnamed = |x: Tensor<4>, taps: &Taps<'_>| {
        let shared = x * 2.0;
        let once = taps.relu(shared.clone());
        pooled(taps.relu(shared + once))
    };
    assert_eq!(refused(unnamed), Some(Error::SharedPiece));

    let named = |x: Tensor<4>, taps: &Taps<'_>| {
        let shared = taps.layer("shared", Nchw, || x * 2.0);
        let once = taps.relu(shared.clone());
        pooled(taps.relu(shared + once))
    };
    // Where x > 0 both ways are open: 2 + 2, over the twelve places of the mean.
    let gradient = numbers(&guided_backprop(&named, &Rectified::images(), &Class(0)).unwrap());
    let expected: Vec<f32> =
        numbers(&Rectified::images()).iter().map(|&x| if x > 0.0 { 4.0 / 12.0 } else { 0.0 }).collect();
    close(&gradient, &expected, 1e-6);
}
