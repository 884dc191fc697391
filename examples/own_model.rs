//! A network of your own, trained by ordinary Burn training, and explained as it is: nothing in it knows of this library.
//!
//! ```text
//! cargo run --release --features train --example own_model             # half a minute on a laptop; writes cam-out/own_model.png
//! cargo run --release --features train --example own_model -- --steps 400
//! ```
//!
//! It learns to tell which of ten drawn objects are in a picture. Several times meanwhile it is recorded and explained, in training mode
//! as it is: the share of maps that point at their object is printed beside the loss, and a row of the sheet shows where it looks.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::BinaryCrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::relu;
use burn_cam::{ImageExplainer, ImageModel, Logits, Preprocess};
use cam_scenes::{Class, Scene};
use cam_viz::{Figure, Sheet};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

/// Pixels on each side of a picture.
const SIDE: usize = 96;

/// A small residual network, as one writes it in Burn.
#[derive(Module, Debug)]
struct Net {
    stem: Conv2d,
    stages: Vec<Stage>,
    dropout: Dropout,
    head: Linear,
}

/// Halves the resolution, then adds what it learns to it.
#[derive(Module, Debug)]
struct Stage {
    down: Conv2d,
    norm: BatchNorm,
    block: Block,
}

#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
}

fn conv(from: usize, to: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
    Conv2dConfig::new([from, to], [3, 3]).with_stride([stride, stride]).with_padding(padding).init(device)
}

impl Net {
    fn new(classes: usize, device: &Device) -> Self {
        let stage = |from, to| Stage {
            down: conv(from, to, 2, device),
            norm: BatchNormConfig::new(to).init(device),
            block: Block {
                conv1: conv(to, to, 1, device),
                norm1: BatchNormConfig::new(to).init(device),
                conv2: conv(to, to, 1, device),
                norm2: BatchNormConfig::new(to).init(device),
            },
        };
        Self {
            stem: conv(3, 16, 2, device),
            stages: vec![stage(16, 24), stage(24, 48), stage(48, 96)],
            dropout: DropoutConfig::new(0.1).init(),
            head: LinearConfig::new(96, classes).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.stages.iter().fold(relu(self.stem.forward(images)), |x, stage| stage.forward(x));
        self.head.forward(self.dropout.forward(x.mean_dims(&[2, 3]).flatten(1, 3)))
    }
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.block.forward(relu(self.norm.forward(self.down.forward(x))))
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.norm1.forward(self.conv1.forward(x.clone())));
        relu(self.norm2.forward(self.conv2.forward(y)) + x)
    }
}

/// Trains a network on drawn scenes and explains it.
#[derive(Parser)]
struct Args {
    /// Batches to learn from
    #[arg(long, default_value_t = 250)]
    steps: usize,
    /// Rows of the sheet: how often the network is explained meanwhile
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    rows: u32,
    /// Where the picture goes
    #[arg(long, default_value = "cam-out/own_model.png")]
    out: PathBuf,
}

/// Scenes as the network takes them, `[batch, 3, side, side]` in -1..1, and which objects they hold, `[batch, classes]`.
fn batch(seeds: std::ops::Range<u64>, device: &Device) -> (Tensor<4>, Tensor<2, Int>) {
    let scenes: Vec<Scene> =
        seeds.map(|seed| Scene::draw(seed, SIDE as u32).expect("a size that scenes have")).collect();
    let pixels = scenes.iter().flat_map(|scene| scene.image.as_raw()).map(|x| f32::from(*x) / 127.5 - 1.0);
    let pixels = TensorData::new(pixels.collect(), [scenes.len(), SIDE, SIDE, 3]);
    let classes = scenes.iter().flat_map(|scene| scene.labels().map(i64::from)).collect();
    let classes = TensorData::new(classes, [scenes.len(), Class::ALL.len()]);
    (Tensor::<4>::from_data(pixels, device).permute([0, 3, 1, 2]), Tensor::from_data(classes, device))
}

/// Returns the network as it is now, ready to be explained: the two lines, and what its input and its output mean.
fn recorded(net: &Net) -> Result<impl ImageModel + use<>, burn_cam::Error> {
    Ok(burn_cam::record(net, |net, images| net.forward(images))?
        .preprocess(Preprocess {
            size: [SIDE, SIDE],
            mean: vec![0.5].into(),
            std: vec![0.5].into(),
            ..Preprocess::IMAGENET
        })
        .labels(Class::ALL.map(|class| class.to_string()))
        .logits(Logits::Sigmoid))
}

/// Returns an explainer of every object of a scene.
fn explainer<'m, M: ImageModel>(model: &'m M, scene: &Scene) -> ImageExplainer<'m, M> {
    let classes = scene.objects.iter().map(|object| object.class.index());
    classes.fold(ImageExplainer::new(model), |explainer, class| explainer.target(burn_cam::Class(class)))
}

/// Returns the share of maps whose hottest pixel is on the object that they explain (the pointing game).
fn pointing(model: &impl ImageModel) -> Result<f32, Box<dyn std::error::Error>> {
    let (mut hits, mut maps) = (0, 0);
    for seed in 0..16 {
        let scene = Scene::draw(seed, SIDE as u32)?;
        let found = explainer(model, &scene).explain(&scene.image)?;
        for (map, object) in found.maps.iter().zip(&scene.objects) {
            let (x, y) = map.peak();
            hits += usize::from(object.mask.contains(x, y));
            maps += 1;
        }
    }
    Ok(hits as f32 / maps as f32)
}

/// Adds a row to the sheet: where the network looks now.
fn row(sheet: Sheet, model: &impl ImageModel, caption: &str) -> Result<Sheet, Box<dyn std::error::Error>> {
    let scene = Scene::draw(7, 384)?;
    let mut figures = vec![Figure::new(scene.image.clone()).above("picture")];
    for map in explainer(model, &scene).explain(&scene.image)?.maps {
        let percent = 100.0 * map.probability.unwrap_or_default();
        figures.push(Figure::new(map.overlay()?).above(format!("{} {percent:.0} %", map.label)));
    }
    Ok(sheet.row(caption, figures))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let device = Device::flex().autodiff();
    device.seed(0);
    let mut net = Net::new(Class::ALL.len(), &device);
    let mut optimizer = AdamWConfig::new().init();
    let loss_of = BinaryCrossEntropyLossConfig::new().with_logits(true).init(&device);
    let progress = ProgressBar::new(args.steps as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left, {msg}")?);
    let every = args.steps.div_ceil(args.rows as usize).max(1);
    let mut sheet = Sheet::new("Where a network looks while it learns");
    for step in 1..=args.steps {
        // Scenes of training are never seen again.
        let seed = (1 << 32) + step as u64 * 32;
        let (pictures, classes) = batch(seed..seed + 32, &device);
        let loss = loss_of.forward(net.forward(pictures), classes);
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(2e-3, net, gradients);
        progress.inc(1);
        if step % every == 0 || step == args.steps {
            let (model, loss) = (recorded(&net)?, loss.into_scalar::<f32>());
            let percent = 100.0 * pointing(&model)?;
            progress.suspend(|| {
                println!("{step:4} batches: loss {loss:.3}, {percent:.0} % of the maps point at their object")
            });
            sheet = row(sheet, &model, &format!("{step} batches"))?;
        }
    }
    progress.finish();
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    sheet.save(&args.out)?;
    println!("{}", args.out.display());
    Ok(())
}
