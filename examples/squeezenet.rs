//! A model of one's own: SqueezeNet, which this library does not ship, with a tap a layer and weights of torchvision.
//!
//! ```text
//! cargo run --release --example squeezenet -- squeezenet1_0.safetensors photo.jpg
//! ```
//!
//! What the library asks for is the line `taps.layer(...)` in the forward pass. Everything else here is any Burn model.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{PaddingConfig2d, Relu};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Explainer, GradCam, LayerCam, Model, Nchw, Taps, Top};
use cam_models::{Filter, Preprocess, Resize, Weights, read_photo};
use cam_viz::{HeatMap, Overlay, save};
use std::path::Path;

/// SqueezeNet 1.0 (<https://arxiv.org/abs/1602.07360>), with the names of torchvision's checkpoint.
#[derive(Module, Debug)]
pub struct SqueezeNet {
    features: Vec<Feature>,
    classifier: Vec<Feature>,
}

/// A layer of one of the two sequences.
#[allow(clippy::large_enum_variant, reason = "there are fifteen of them")]
#[derive(Module, Debug)]
enum Feature {
    Conv(Conv2d),
    Pool(MaxPool2d),
    Fire(Fire),
    Relu(Relu),
}

/// Squeezes the channels, then expands them by two sizes of kernel.
#[derive(Module, Debug)]
struct Fire {
    squeeze: Conv2d,
    expand1x1: Conv2d,
    expand3x3: Conv2d,
}

impl SqueezeNet {
    /// With random weights.
    pub fn new(device: &Device) -> Self {
        let conv = |from, to, kernel, stride, padding| {
            Conv2dConfig::new([from, to], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
                .init(device)
        };
        let pool =
            || Feature::Pool(MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init());
        let fire = |from, squeezed, expanded| {
            Feature::Fire(Fire {
                squeeze: conv(from, squeezed, 1, 1, 0),
                expand1x1: conv(squeezed, expanded, 1, 1, 0),
                expand3x3: conv(squeezed, expanded, 3, 1, 1),
            })
        };
        Self {
            features: vec![
                Feature::Conv(conv(3, 96, 7, 2, 0)),
                Feature::Relu(Relu::new()),
                pool(),
                fire(96, 16, 64),
                fire(128, 16, 64),
                fire(128, 32, 128),
                pool(),
                fire(256, 32, 128),
                fire(256, 48, 192),
                fire(384, 48, 192),
                fire(384, 64, 256),
                pool(),
                fire(512, 64, 256),
            ],
            // The first place is the dropout of training.
            classifier: vec![Feature::Relu(Relu::new()), Feature::Conv(conv(512, 1000, 1, 1, 0))],
        }
    }
}

impl Feature {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Feature::Conv(conv) => conv.forward(x),
            Feature::Pool(pool) => pool.forward(x),
            Feature::Relu(relu) => relu.forward(x),
            Feature::Fire(fire) => {
                let x = relu(fire.squeeze.forward(x));
                let expanded = vec![fire.expand1x1.forward(x.clone()), fire.expand3x3.forward(x)];
                relu(Tensor::cat(expanded, 1))
            }
        }
    }
}

impl Model for SqueezeNet {
    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let mut x = images;
        for (place, feature) in self.features.iter().enumerate() {
            x = taps.layer(format_args!("features.{place}"), Nchw, || feature.forward(x)); // the one changed line
        }
        let [_, conv] = &self.classifier[..] else { unreachable!("new() makes two") };
        relu(conv.forward(x)).mean_dims(&[2, 3]).flatten(1, 3)
    }
}

/// What torchvision's weights want to see.
pub fn preprocess() -> Preprocess {
    Preprocess {
        size: [224, 224],
        crop: 0.875,
        resize: Resize::Squash,
        filter: Filter::Bilinear,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    }
}

#[allow(dead_code, reason = "tests use the model alone")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, photo] = &arguments[..] else {
        return Err("usage: squeezenet WEIGHTS PHOTO".into());
    };
    let device = Device::flex();
    let model = Weights::open(Path::new(weights))?.load("squeezenet1_0", SqueezeNet::new(&device))?;
    let photo = read_photo(Path::new(photo))?;
    let (input, _) = preprocess().apply(&photo, &device);

    let explainer = Explainer::new(&model).layer("features.12").method(GradCam).method(LayerCam);
    for maps in explainer.explain(input, &Top)?.maps {
        let heat = HeatMap::new(224, 224, maps.heat.try_to_vec_as::<f32>()?)?;
        let file = format!("squeezenet_{}.png", maps.method);
        save(&Overlay::new(&photo).draw(&heat)?, &file)?;
        println!("{file}: class {}", maps.classes.expect("the top is a class").into_scalar::<i64>());
    }
    Ok(())
}
