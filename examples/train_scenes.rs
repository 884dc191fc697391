//! Trains the built-in model on drawn scenes, on the CPU.
//!
//! ```text
//! cargo run --release --features train --example train_scenes -- --out crates/cam-models/models/scenes.safetensors
//! ```
//!
//! Every batch is drawn when it is needed, so no scene is seen twice. A scene holds several objects, so each class is a
//! yes or no of its own (binary cross-entropy). The training seeds lie far from those that the tests draw.

use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::module::Module;
use burn::nn::loss::BinaryCrossEntropyLossConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::TensorData;
use cam_models::ModelCard;
use cam_models::zoo::resnet::ResNet;
use cam_models::zoo::scenes::SCENES;
use cam_scenes::{Class, Scene};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

/// The first seed of training; tests draw below it.
const SEEDS: u64 = 1 << 32;

/// Trains the built-in model on drawn scenes.
#[derive(Parser)]
struct Args {
    /// Where the weights go (safetensors, torchvision's names)
    #[arg(long, default_value = "scenes.safetensors")]
    out: PathBuf,
    /// Batches to learn from
    #[arg(long, default_value_t = 1500)]
    steps: usize,
    /// Scenes in a batch
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 3e-3)]
    rate: f64,
}

/// A batch: pictures `[batch, 3, side, side]` in 0..1 and which classes they hold, `[batch, classes]`.
struct Batch {
    pictures: TensorData,
    classes: TensorData,
}

fn draw(seeds: std::ops::Range<u64>, side: usize) -> Batch {
    let count = (seeds.end - seeds.start) as usize;
    let mut pictures = vec![0f32; count * 3 * side * side];
    let mut classes = Vec::with_capacity(count * Class::ALL.len());
    for (seed, planes) in seeds.zip(pictures.chunks_exact_mut(3 * side * side)) {
        let scene = Scene::draw(seed, side as u32).expect("the side of the model is one that scenes have");
        for (i, pixel) in scene.image.pixels().enumerate() {
            for (channel, value) in pixel.0.into_iter().enumerate() {
                planes[channel * side * side + i] = f32::from(value) / 255.0;
            }
        }
        classes.extend(scene.labels().map(i64::from));
    }
    Batch {
        pictures: TensorData::new(pictures, [count, 3, side, side]),
        classes: TensorData::new(classes, [count, Class::ALL.len()]),
    }
}

/// The pictures as the model wants them, and their classes.
fn tensors(batch: Batch, card: &ModelCard, device: &Device) -> (Tensor<4>, Tensor<2, Int>) {
    let per_channel = |values: &[f32]| Tensor::<1>::from_floats(values, device).reshape([1, 3, 1, 1]);
    let pictures = Tensor::from_data(batch.pictures, device);
    ((pictures - per_channel(&card.mean)) / per_channel(&card.std), Tensor::from_data(batch.classes, device))
}

/// The share of scenes whose objects are exactly the classes of the highest logits, on scenes that training never drew.
fn accuracy(model: &ResNet, card: &ModelCard, device: &Device) -> f64 {
    let (mut right, mut all) = (0, 0);
    for start in (0..512).step_by(64) {
        let (pictures, classes) = tensors(draw(start..start + 64, card.size[0]), card, device);
        let logits = model.forward(pictures);
        let logits: Vec<f32> = logits.into_data().try_to_vec().expect("logits are f32");
        let classes: Vec<bool> = classes.into_data().iter::<i64>().map(|there| there == 1).collect();
        for (logits, classes) in logits.chunks(Class::ALL.len()).zip(classes.chunks(Class::ALL.len())) {
            let lowest = logits
                .iter()
                .zip(classes)
                .filter(|(_, there)| **there)
                .map(|(x, _)| *x)
                .fold(f32::MAX, f32::min);
            let highest = logits
                .iter()
                .zip(classes)
                .filter(|(_, there)| !**there)
                .map(|(x, _)| *x)
                .fold(f32::MIN, f32::max);
            right += usize::from(lowest > highest);
            all += 1;
        }
    }
    right as f64 / all as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let card = ModelCard::named("scenes")?;
    let device = Device::flex();
    device.seed(0);
    let training = device.clone().autodiff();
    let mut model = SCENES.init(&training);
    let mut optimizer = AdamWConfig::new().with_weight_decay(1e-4).init();
    let mut rate = CosineAnnealingLrSchedulerConfig::new(args.rate, args.steps).init()?;
    let loss_of = BinaryCrossEntropyLossConfig::new().with_logits(true).init(&training);

    let (send, drawn) = sync_channel(4);
    let (side, batch) = (card.size[0], args.batch as u64);
    let seeds = (0..args.steps as u64).map(move |step| SEEDS + step * batch..SEEDS + (step + 1) * batch);
    let drawing = std::thread::spawn(move || {
        for seeds in seeds {
            // The other end is gone when training has failed; it says why.
            if send.send(draw(seeds, side)).is_err() {
                return;
            }
        }
    });

    let progress = ProgressBar::new(args.steps as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left, {msg}")?);
    for (step, batch) in drawn.iter().enumerate() {
        let (pictures, classes) = tensors(batch, &card, &training);
        let loss = loss_of.forward(model.forward(pictures), classes);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(rate.step(), model, gradients);
        progress.inc(1);
        if step % 50 == 49 {
            progress.set_message(format!("loss {:.4}", loss.into_scalar::<f32>()));
        }
        if step % 250 == 249 || step + 1 == args.steps {
            let right = accuracy(&model.valid(), &card, &device);
            let found =
                format!("batch {:5}: all objects found in {:.1} % of new scenes", step + 1, 100.0 * right);
            progress.suspend(|| println!("{found}"));
        }
    }
    drawing.join().map_err(|_| "drawing failed")?;
    let model = model.valid();
    progress.finish_and_clear();

    let mut store =
        SafetensorsStore::from_file(&args.out).with_to_adapter(BurnToPyTorchAdapter).overwrite(true);
    model.save_into(&mut store)?;
    println!("{}: {} parameters", args.out.display(), model.num_params());
    Ok(())
}
