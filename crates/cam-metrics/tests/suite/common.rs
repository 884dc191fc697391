//! A small model, and a method that gives a map that is known.

use burn::prelude::*;
use cam_core::{Class, Evidence, LayerContext, Method, MethodInfo, Reads, Taps};
use cam_metrics::{Error, Evaluator, Map, Measured, MeasuredMap, Metric, Truth};

pub const SIDE: usize = 32;

/// Gives the same map for every image.
#[derive(Clone)]
pub struct Given(pub Vec<f32>);

impl Method for Given {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("given", "Given", "https://example.org").without_class().reads(Reads::Input)
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let device = layer.activation().device();
            Ok(Tensor::<1>::from_floats(self.0.as_slice(), &device).reshape([1, 1, self.0.len()]))
        })
    }
}

/// Numbers of no pattern in 0..1.
pub fn number(at: usize) -> f32 {
    let z = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((z ^ (z >> 27)) >> 40) as f32 / (1 << 24) as f32
}

/// A map of a few bumps, without two equal values.
pub fn bumps() -> Vec<f32> {
    let bump = |at: usize, cx: f32, cy: f32, size: f32| {
        let (x, y) = ((at % SIDE) as f32, (at / SIDE) as f32);
        (-((x - cx).powi(2) + (y - cy).powi(2)) / (size * size)).exp()
    };
    (0..SIDE * SIDE)
        .map(|at| bump(at, 9.0, 12.0, 5.0) + 0.6 * bump(at, 24.0, 20.0, 4.0) + 0.01 * number(at))
        .collect()
}

/// The image: two channels.
pub fn image() -> Tensor<4> {
    let values: Vec<f32> = (0..2 * SIDE * SIDE)
        .map(|at| 2.0 * number(at + 7) - 1.0 + if at % SIDE < 12 { 0.8 } else { 0.0 })
        .collect();
    Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 2, SIDE, SIDE])
}

/// The logits of three classes: means of parts of the image, squared for two of them.
pub fn logits(values: &[f32]) -> [f64; 3] {
    let mean = |part: &dyn Fn(usize, usize, usize) -> bool, power: i32| {
        let inside: Vec<f64> = (0..values.len())
            .filter(|at| part(at / (SIDE * SIDE), at / SIDE % SIDE, at % SIDE))
            .map(|at| f64::from(values[at]).powi(power))
            .collect();
        inside.iter().sum::<f64>() / inside.len() as f64
    };
    [
        4.0 * mean(&|c, _, x| c == 0 && x < 16, 1),
        mean(&|c, y, _| c == 1 && y >= 16, 2),
        2.0 * mean(&|_, y, x| y < 16 && x >= 16, 2) - 0.5,
    ]
}

/// The same as a model.
pub fn model(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    let x = taps.layer("x", cam_core::Nchw, || images);
    let mean = |part: Tensor<4>| part.mean_dims(&[1, 2, 3]).reshape([-1, 1]);
    let first = mean(x.clone().slice([0..x.dims()[0], 0..1, 0..SIDE, 0..16])) * 4.0;
    let second = mean(x.clone().slice([0..x.dims()[0], 1..2, 16..SIDE, 0..SIDE]).square());
    let third = mean(x.clone().slice([0..x.dims()[0], 0..2, 0..16, 16..SIDE]).square()) * 2.0 - 0.5;
    Tensor::cat(vec![first, second, third], 1)
}

/// The probability of the first class.
pub fn probability(values: &[f32]) -> f64 {
    let exp = logits(values).map(f64::exp);
    exp[0] / exp.iter().sum::<f64>()
}

pub fn values(image: &Tensor<4>) -> Vec<f32> {
    image.to_data().try_to_vec().unwrap()
}

/// Measures a map of the first class.
pub fn measured(map: Vec<f32>, metric: &'static dyn Metric, truth: Option<&Truth>) -> Measured {
    let mut maps = all_measured(map, &[metric], truth).unwrap();
    maps.remove(0).measured.remove(0)
}

pub fn all_measured(
    map: Vec<f32>,
    metrics: &[&'static dyn Metric],
    truth: Option<&Truth>,
) -> Result<Vec<MeasuredMap>, Error> {
    let evaluator = Evaluator::new(&model).method(Given(map));
    let evaluator = metrics.iter().fold(evaluator, |evaluator, metric| evaluator.metric(*metric));
    evaluator.evaluate(image(), &Class(0), &cam_core::Softmax(Class(0)), truth)
}

/// The value of a metric by its name.
pub fn value(name: &str, map: Vec<f32>, truth: Option<&Truth>) -> f64 {
    let measured = measured(map, cam_metrics::metric_named(name).unwrap(), truth);
    measured.value().unwrap_or_else(|| panic!("{name}: {:?}", measured.result))
}

pub fn scaled(map: &[f32]) -> Vec<f32> {
    Map::new(SIDE, SIDE, map.to_vec()).unwrap().scaled().unwrap().values().to_vec()
}
