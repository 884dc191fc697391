//! A model of one's own: SqueezeNet, which this library does not ship, with a tap a layer and weights of torchvision.
//!
//! ```text
//! cargo run --release --example squeezenet -- squeezenet1_0.safetensors photo.jpg
//! cargo run --release --example squeezenet -- squeezenet1_0.safetensors photo.jpg 281    # a tabby, in place of the top class
//! ```
//!
//! What the library asks for is the line `taps.layer(...)` in the forward pass, and for guided backpropagation `taps.relu(...)`
//! where there is a ReLU. Everything else here is any Burn model.

use burn::module::Module;
use burn::nn::PaddingConfig2d::Explicit;
use burn::nn::Relu;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::prelude::*;
use cam_core::{
    Class, Explain, Explainer, GradCam, Inspect, LayerCam, Model, Nchw, Taps, Target, Top, guided_backprop,
};
use cam_image::{Preprocess, read_photo};
use cam_models::Weights;
use cam_viz::{Gradient, HeatMap, Overlay, save};

/// SqueezeNet 1.0 (<https://arxiv.org/abs/1602.07360>), with the names of torchvision's checkpoint.
#[derive(Module, Debug)]
pub struct SqueezeNet {
    features: Vec<Feature>,
    classifier: (Relu, Conv2d), // in the place of the first is the dropout of training
}

#[allow(clippy::large_enum_variant, reason = "there are thirteen of them")]
#[derive(Module, Debug)]
enum Feature {
    Conv(Conv2d),
    Relu(Relu),
    Pool(MaxPool2d),
    Fire(Fire),
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
        let conv = |from, to, kernel, stride, pad| {
            let config = Conv2dConfig::new([from, to], [kernel, kernel]).with_stride([stride, stride]);
            config.with_padding(Explicit(pad, pad, pad, pad)).init(device)
        };
        let pool =
            || Feature::Pool(MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init());
        let fire = |from, squeezed, expanded| {
            let squeeze = conv(from, squeezed, 1, 1, 0);
            let (expand1x1, expand3x3) =
                (conv(squeezed, expanded, 1, 1, 0), conv(squeezed, expanded, 3, 1, 1));
            Feature::Fire(Fire { squeeze, expand1x1, expand3x3 })
        };
        let mut features = vec![Feature::Conv(conv(3, 96, 7, 2, 0)), Feature::Relu(Relu::new()), pool()];
        features.extend([fire(96, 16, 64), fire(128, 16, 64), fire(128, 32, 128), pool()]);
        features.extend([fire(256, 32, 128), fire(256, 48, 192), fire(384, 48, 192), fire(384, 64, 256)]);
        features.extend([pool(), fire(512, 64, 256)]);
        Self { features, classifier: (Relu::new(), conv(512, 1000, 1, 1, 0)) }
    }
}

impl Feature {
    fn forward(&self, x: Tensor<4>, taps: &Taps<'_>) -> Tensor<4> {
        match self {
            Feature::Conv(conv) => conv.forward(x),
            Feature::Relu(_) => taps.relu(x),
            Feature::Pool(pool) => pool.forward(x),
            Feature::Fire(fire) => {
                let x = taps.relu(fire.squeeze.forward(x));
                taps.relu(Tensor::cat(vec![fire.expand1x1.forward(x.clone()), fire.expand3x3.forward(x)], 1))
            }
        }
    }
}

impl Model for SqueezeNet {
    fn module(&self) -> &dyn Inspect {
        self
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let mut x = images;
        for (place, feature) in self.features.iter().enumerate() {
            x = taps.layer(format_args!("features.{place}"), Nchw, || feature.forward(x, taps)); // the one changed line
        }
        taps.relu(self.classifier.1.forward(x)).mean_dims(&[2, 3]).flatten(1, 3)
    }
}

#[allow(dead_code, reason = "tests use the model alone")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let word = |place: usize| std::env::args().nth(place);
    let [weights, photo] = [1, 2].map(|place| word(place).expect("squeezenet WEIGHTS PHOTO [CLASS]"));
    let target: Box<dyn Target> = match word(3) {
        Some(class) => Box::new(Class(class.parse()?)),
        None => Box::new(Top),
    };
    let device = Device::flex();
    let model = Weights::open(weights.as_ref())?.load("squeezenet1_0", SqueezeNet::new(&device))?;
    let photo = read_photo(photo.as_ref())?;
    let (input, _) = Preprocess::IMAGENET.apply(&photo, &device)?;

    let guided = guided_backprop(&model, &input, &*target)?;
    let guided = Gradient::new(224, 224, guided.try_into_vec_as::<f32>()?)?;
    save(&guided.color(), "squeezenet_guided.png")?;

    let explainer = Explainer::new(&model).layer("features.12").method(GradCam).method(LayerCam);
    for maps in explainer.explain(input, &*target)?.maps {
        let heat = HeatMap::new(224, 224, maps.heatmap.try_to_vec_as::<f32>()?)?;
        save(&Overlay::new(&photo).draw(&heat)?, format!("squeezenet_{}.png", maps.method.name))?;
        save(&guided.times(&heat)?.color(), format!("squeezenet_guided_{}.png", maps.method.name))?;
        let class = maps.classes.expect("a class is asked for").into_scalar::<i64>();
        println!("class {class}: squeezenet_{0}.png, squeezenet_guided_{0}.png", maps.method.name);
    }
    Ok(())
}
