//! burn-train's learner, with a look at where the network looks: the pointing game is a metric on the dashboard, beside the loss, and each
//! epoch leaves a sheet of maps.
//!
//! ```text
//! cd examples/learner && cargo run --release    # writes cam-out/maps_1.png, maps_2.png, ...
//! ```
//!
//! A metric of burn-train sees the outputs of a step and not the network. So the validation step, which has the network, explains its
//! images, and the maps are a part of its output.

mod metric;

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::AdamWConfig;
use burn::prelude::*;
use burn::tensor::ExecutionError;
use burn::tensor::activation::relu;
use burn::train::metric::{Adaptor, ItemLazy, LossInput, LossMetric};
use burn::train::{
    ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep,
};
use burn_cam::{ImageExplainer, Preprocess};
use cam_scenes::{Class, Scene};
use metric::{Pointed, PointingGame};

/// Pixels on each side of a picture.
const SIDE: usize = 96;

#[derive(Module, Debug)]
struct Net {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let conv = |[from, to]: [usize; 2]| {
            let conv = Conv2dConfig::new([from, to], [3, 3]).with_stride([2, 2]);
            conv.with_padding(padding.clone()).init(device)
        };
        Self {
            convs: [[3, 16], [16, 32], [32, 64], [64, 64]].map(conv).into(),
            norms: [16, 32, 64, 64].map(|channels| BatchNormConfig::new(channels).init(device)).into(),
            head: LinearConfig::new(64, Class::ALL.len()).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let stage = |x, (conv, norm): (&Conv2d, &BatchNorm)| relu(norm.forward(conv.forward(x)));
        let x = self.convs.iter().zip(&self.norms).fold(images, stage);
        self.head.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    }

    fn classify(&self, batch: &Batch) -> ClassificationOutput {
        let output = self.forward(batch.images.clone());
        let loss = CrossEntropyLossConfig::new().init(&output.device());
        let loss = loss.forward(output.clone(), batch.classes.clone());
        ClassificationOutput::new(loss, output, batch.classes.clone())
    }

    /// Explains the class of each scene: all that explaining takes.
    fn pointed(&self, scenes: &[Scene]) -> Result<Vec<Pointed>, burn_cam::Error> {
        let recorded = burn_cam::record(self, |net, images| net.forward(images))?
            .preprocess(preprocess())
            .labels(Class::ALL.map(|class| class.to_string()));
        let explain = |scene: &Scene| {
            let object = &scene.objects[0];
            let class = burn_cam::Class(object.class.index());
            let found = ImageExplainer::new(&recorded).target(class).explain(&scene.image)?;
            let map = &found.maps[0];
            let (x, y) = map.peak();
            Ok(Pointed { overlay: map.overlay()?, label: map.label.clone(), hit: object.mask.contains(x, y) })
        };
        scenes.iter().map(explain).collect()
    }
}

/// How pictures become the input of the network.
fn preprocess() -> Preprocess {
    let half = || vec![0.5].into();
    Preprocess { size: [SIDE; 2], mean: half(), std: half(), ..Preprocess::IMAGENET }
}

#[derive(Clone, Debug)]
struct Batch {
    images: Tensor<4>,
    classes: Tensor<1, Int>,
    /// What the images are of, for the pointing game.
    scenes: Vec<Scene>,
}

#[derive(Clone)]
struct Scenes;

impl Batcher<u64, Batch> for Scenes {
    fn batch(&self, seeds: Vec<u64>, device: &Device) -> Batch {
        let draw = |seed| Scene::draw(seed, SIDE as u32).expect("a size that scenes have");
        let scenes: Vec<Scene> = seeds.into_iter().map(draw).collect();
        let images = preprocess().apply_all(scenes.iter().map(|scene| &scene.image), device);
        let classes: Vec<i64> = scenes.iter().map(|scene| scene.objects[0].class.index() as i64).collect();
        Batch {
            images: images.expect("pictures of one size").0,
            classes: Tensor::from_data(classes.as_slice(), device),
            scenes,
        }
    }
}

/// What validation gives: the outputs, and the maps.
struct Seen {
    output: ClassificationOutput,
    maps: Vec<Pointed>,
}

impl ItemLazy for Seen {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(Self { output: self.output.sync()?, ..self })
    }
}

impl Adaptor<LossInput> for Seen {
    fn adapt(&self) -> LossInput {
        self.output.adapt()
    }
}

impl Adaptor<Vec<Pointed>> for Seen {
    fn adapt(&self) -> Vec<Pointed> {
        self.maps.clone()
    }
}

impl TrainStep for Net {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Net {
    type Input = Batch;
    type Output = Seen;

    fn step(&self, batch: Batch) -> Seen {
        let maps = self.pointed(&batch.scenes).unwrap_or_else(|error| {
            eprintln!("no maps: {error}");
            Vec::new()
        });
        Seen { output: self.classify(&batch), maps }
    }
}

fn main() -> Result<(), std::io::Error> {
    let device = Device::flex();
    device.seed(0);
    let folder = "cam-out";
    std::fs::create_dir_all(folder)?;
    let loader = |seeds: std::ops::Range<u64>| {
        DataLoaderBuilder::new(Scenes).batch_size(32).shuffle(0).build(InMemDataset::new(seeds.collect()))
    };
    let trained = SupervisedTraining::new(folder, loader(1000..3000), loader(0..64))
        .metric_train_numeric(LossMetric::new())
        .metric_valid_numeric(LossMetric::new())
        .metric_valid_numeric(PointingGame::new(folder))
        .num_epochs(4)
        .launch(Learner::new(Net::new(&device.autodiff()), AdamWConfig::new().init(), 2e-3));
    if let Some(error) = trained.error {
        eprintln!("training ended early: {error}");
    }
    Ok(())
}
