//! A small network with everything that makes taps hard: nesting, a residual connection around a tapped layer, and
//! BatchNorms behind the taps.

#![allow(dead_code)]

pub mod slow;
pub mod square;

use burn::module::{Module, Param, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::relu;
use cam_core::{Inspect, METHODS, Method, Model, Nchw, NoModule, Reads, Taps};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Uniform};
use std::cell::RefCell;

pub const CHANNELS: usize = 6;
pub const CLASSES: usize = 5;
pub const LAYERS: [&str; 5] = ["stem", "block.bn1", "block.bn2", "block", "last"];

/// A forward pass that captures what it likes, of which nothing is looked at.
pub struct Function<F>(pub F);

impl<I, O, F> Model<I, O> for Function<F>
where
    F: Fn(I, &Taps<'_>) -> O,
{
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        self.0(input, taps)
    }
}

#[derive(Module, Debug)]
pub struct Net {
    stem: Conv2d,
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    last: Conv2d,
    fc: Linear,
}

impl Net {
    pub fn training(device: &Device) -> Self {
        seed(11);
        let weights = |shape: [usize; 4]| {
            let bound = ((shape[1] * 9) as f64).sqrt().recip();
            Param::from_tensor(uniform(shape, -bound, bound, device))
        };
        let conv = |from: usize| Conv2d {
            weight: weights([CHANNELS, from, 3, 3]),
            bias: Some(Param::from_tensor(uniform([CHANNELS], -0.2, 0.2, device))),
            ..Conv2dConfig::new([from, CHANNELS], [3, 3]).with_padding(PaddingConfig2d::Same).init(device)
        };
        let norm = || {
            let mut norm = BatchNormConfig::new(CHANNELS).init(device);
            norm.running_mean = RunningState::new(uniform([CHANNELS], -0.5, 0.5, device));
            norm.running_var = RunningState::new(uniform([CHANNELS], 0.3, 2.0, device));
            norm
        };
        Self {
            stem: conv(3),
            conv1: conv(CHANNELS),
            bn1: norm(),
            conv2: conv(CHANNELS),
            bn2: norm(),
            last: conv(CHANNELS),
            fc: Linear {
                weight: Param::from_tensor(uniform([CHANNELS, CLASSES], -0.4, 0.4, device)),
                ..LinearConfig::new(CHANNELS, CLASSES).with_bias(false).init(device)
            },
        }
    }

    /// In inference, as a user has it.
    pub fn new(device: &Device) -> Self {
        Self::training(device).freeze()
    }
}

impl Model for Net {
    fn module(&self) -> &dyn Inspect {
        self
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let x = taps.layer("stem", Nchw, || relu(self.stem.forward(images)));
        let x = taps.layer("block", Nchw, || {
            let y = taps.layer("bn1", Nchw, || self.bn1.forward(self.conv1.forward(x.clone())));
            let y = taps.layer("bn2", Nchw, || self.bn2.forward(self.conv2.forward(relu(y))));
            relu(x + y)
        });
        let x = taps.layer("last", Nchw, || relu(self.last.forward(x)));
        self.fc.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    }
}

/// The methods that explain any layer of any network: not those that look at the whole network, nor CAM, which needs a linear head.
pub fn of_layers() -> impl Iterator<Item = &'static &'static dyn Method> {
    METHODS.iter().filter(|method| method.info().reads == Reads::Layer && method.name() != "cam")
}

thread_local! {
    /// Each test runs in a thread and has dice of its own; those of a device are shared by all tests that run at once.
    static DICE: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(0));
}

/// What [`uniform`] draws next in this test.
pub fn seed(number: u64) {
    DICE.replace(ChaCha8Rng::seed_from_u64(number));
}

pub fn uniform<const D: usize>(shape: [usize; D], low: f64, high: f64, device: &Device) -> Tensor<D> {
    let distribution = Uniform::new(low, high).unwrap();
    let draw = || DICE.with_borrow_mut(|dice| distribution.sample(dice) as f32);
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

pub fn images(batch: usize, device: &Device) -> Tensor<4> {
    seed(5);
    uniform([batch, 3, 10, 8], -1.0, 1.0, device)
}

pub fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().unwrap()
}

#[track_caller]
pub fn close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance, "number {i}: {a} is not {b}");
    }
}
