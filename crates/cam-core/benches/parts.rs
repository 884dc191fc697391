//! What the parts of this crate cost, without a large network: `cargo bench -p cam-core`.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::relu;
use cam_core::{
    AblationCam, EigenCam, Explain, Explainer, Explanation, Fusion, GradCam, Inspect, KpcaCam, METHODS,
    Method, Model, Nchw, Reads, ScoreCam, Smooth, Tapped, Taps, Top, Wrapped, method_named,
};
use divan::Bencher;

fn main() {
    divan::main();
}

/// Three convolutions and a linear layer for images of 64 x 64 pixels.
#[derive(Module, Debug)]
struct Net {
    convolutions: [Conv2d; 3],
    head: Linear,
}

impl Net {
    fn new() -> Self {
        let device = Device::flex();
        device.seed(0);
        let convolution = |from, to| {
            let around = PaddingConfig2d::Explicit(1, 1, 1, 1);
            Conv2dConfig::new([from, to], [3, 3]).with_stride([2, 2]).with_padding(around).init(&device)
        };
        Self {
            convolutions: [convolution(3, 16), convolution(16, 32), convolution(32, 64)],
            head: LinearConfig::new(64, 10).init(&device),
        }
    }
}

impl Model for Net {
    fn module(&self) -> &dyn Inspect {
        self
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let mut x = images;
        for (place, convolution) in self.convolutions.iter().enumerate() {
            x = taps.layer(format_args!("layer{place}"), Nchw, || relu(convolution.forward(x)));
        }
        self.head.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    }
}

/// Two layers' means, so that next to nothing but what the library does is measured.
fn means(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    taps.layer("x", Nchw, || images).mean_dims(&[2, 3]).flatten(1, 3)
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(0.0, 1.0), &Device::flex())
}

/// An explanation with its maps read, of an explainer that has looked whether its model is in inference.
fn explain(bencher: Bencher<'_, '_>, explainer: &impl Explain<Tensor<4>, Tensor<2>>, images: &Tensor<4>) {
    let run = || {
        let found: Explanation = explainer.explain(images.clone(), &Top).expect("the network has this layer");
        found.maps.iter().map(|maps| maps.heatmap.to_data()).collect::<Vec<_>>()
    };
    run();
    bencher.bench_local(run);
}

mod taps {
    use super::*;

    #[divan::bench]
    fn off(bencher: Bencher) {
        let (net, images) = (Net::new(), random([1, 3, 64, 64]));
        bencher.bench_local(|| net.forward(images.clone(), &Taps::off()).to_data());
    }

    #[divan::bench]
    fn listed(bencher: Bencher) {
        let (net, images) = (Net::new(), random([1, 3, 64, 64]));
        bencher.bench_local(|| cam_core::layers(&net, images.clone()).unwrap());
    }
}

/// Every method at the last layer of a small network.
#[divan::bench(args = of_layers())]
fn method(bencher: Bencher, name: &str) {
    let net = Net::new();
    let explainer = Explainer::new(&net).layer("layer2").method(method_named(name).unwrap());
    explain(bencher, &explainer, &random([1, 3, 64, 64]));
}

/// The names of the methods that look at a layer, but for SS-CAM, which runs the network 35 times a channel.
fn of_layers() -> impl Iterator<Item = &'static str> {
    METHODS
        .iter()
        .filter(|method| method.info().reads == Reads::Layer)
        .map(Method::name)
        .filter(|name| *name != "sscam")
}

/// Ablations of the second layer, at so many copies a pass.
#[divan::bench(args = [1, 4, 16, 64])]
fn ablations(bencher: Bencher, copies: usize) {
    let net = Net::new();
    let explainer = Explainer::new(&net).layer("layer1").method(AblationCam::PAPER).copies(copies);
    explain(bencher, &explainer, &random([1, 3, 64, 64]));
}

/// Masks of the last layer, at so many copies a pass.
#[divan::bench(args = [1, 4, 16, 64])]
fn masks(bencher: Bencher, copies: usize) {
    let net = Net::new();
    let explainer = Explainer::new(&net).layer("layer2").method(ScoreCam::PAPER).copies(copies);
    explain(bencher, &explainer, &random([1, 3, 64, 64]));
}

/// From the grid of a layer to that of a picture, with the scaling and the numbers of the warnings: 7 x 7 of 2048 channels.
#[divan::bench(args = [1, 8])]
fn finish(bencher: Bencher, batch: usize) {
    let layer = random([batch, 2048, 7, 7]);
    let model = Tapped::new(&layer, |layer: &Tensor<4>, images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let rows = images.dims()[0];
        taps.layer("x", Nchw, || layer.clone().narrow(0, 0, rows)).mean_dims(&[2, 3]).flatten(1, 3)
    });
    explain(bencher, &Explainer::new(&model).layer("x").method(GradCam), &random([batch, 3, 224, 224]));
}

mod projections {
    use super::*;

    /// The layers of ResNet-50, VGG-16 and DeiT-tiny, channels and side.
    const LAYERS: [(usize, usize); 3] = [(2048, 7), (512, 14), (192, 14)];

    #[divan::bench(args = LAYERS)]
    fn eigencam(bencher: Bencher, (channels, side): (usize, usize)) {
        explain(
            bencher,
            &Explainer::new(&means).layer("x").method(EigenCam),
            &random([1, channels, side, side]),
        );
    }

    #[divan::bench(args = LAYERS)]
    fn kpcacam(bencher: Bencher, (channels, side): (usize, usize)) {
        let explainer = Explainer::new(&means).layer("x").method(KpcaCam::PAPER);
        explain(bencher, &explainer, &random([1, channels, side, side]));
    }
}

#[divan::bench]
fn fusion(bencher: Bencher) {
    let net = Net::new();
    let explainer =
        ["layer0", "layer1", "layer2"].iter().fold(Explainer::new(&net), |all, layer| all.layer(*layer));
    explain(bencher, &explainer.wrap(Fusion::Product), &random([1, 3, 64, 64]));
}

#[divan::bench]
fn smoothing(bencher: Bencher) {
    let (net, images) = (Net::new(), random([1, 3, 64, 64]));
    let explainer = Explainer::new(&net).layer("layer2");
    let smooth = Wrapped::new(&explainer, Smooth::augmented());
    bencher.bench_local(|| smooth.explain(images.clone(), &Top).unwrap().maps[0].heatmap.to_data());
}
