//! Scores every method on drawn scenes with true masks: how often the hottest pixel lies on the object that was asked for, and
//! how much of the map lies in it.
//!
//! ```text
//! cargo run --release --example score_scenes -- --scenes 200
//! ```

use burn::tensor::Device;
use cam_core::{Class, Explainer, Explanation, METHODS, Target};
use cam_models::{Classifier, Resize};
use cam_scenes::Scene;
use clap::Parser;

/// Scores every method on drawn scenes of two objects.
#[derive(Parser)]
struct Args {
    /// How many scenes
    #[arg(long, default_value_t = 200)]
    scenes: usize,
    /// The layer that is looked at [default: the one of the model's card]
    #[arg(long)]
    layer: Option<String>,
    /// Leave ScoreCAM out, which takes a forward pass a channel
    #[arg(long)]
    quick: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let device = Device::flex();
    let model = Classifier::builtin(&device)?;
    let side = model.card().size[0] as u32;
    let preprocess = model.card().preprocess(Resize::Squash);
    let methods: Vec<_> =
        METHODS.iter().filter(|method| !(args.quick && method.name() == "scorecam")).collect();
    let layer = args.layer.unwrap_or_else(|| model.card().layer.clone());
    let explainer =
        methods.iter().fold(Explainer::new(&model).layer(layer), |all, method| all.method(**method));

    let mut hits = vec![0; methods.len()];
    let mut energy = vec![0.0; methods.len()];
    let (mut asked, mut area) = (0, 0.0);
    // Training draws from 2^32 on.
    let scenes = (10_000..).flat_map(|seed| Scene::draw(seed, side)).filter(|scene| scene.objects.len() == 2);
    for scene in scenes.take(args.scenes) {
        let (input, _) = preprocess.apply(&scene.picture, &device);
        let classes: Vec<Class> = scene.objects.iter().map(|object| Class(object.class.index())).collect();
        let targets: Vec<&dyn Target> = classes.iter().map(|class| class as &dyn Target).collect();
        let found: Explanation = explainer.explain_each(input, &targets)?;
        for (object, maps) in scene.objects.iter().zip(found.maps.chunks(methods.len())) {
            let mask = object.mask.as_slice();
            for (method, maps) in maps.iter().enumerate() {
                let heat: Vec<f32> = maps.heat.try_to_vec_as()?;
                let peak = (0..heat.len()).max_by(|&a, &b| heat[a].total_cmp(&heat[b])).unwrap_or(0);
                hits[method] += usize::from(mask[peak]);
                let inside: f32 = heat.iter().zip(mask).filter(|(_, inside)| **inside).map(|(x, _)| x).sum();
                energy[method] += inside / heat.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            }
            asked += 1;
            area += object.mask.share();
        }
    }
    println!("| method | points at the object | energy in the object |");
    println!("|---|---|---|");
    let percent = |part: f32| format!("{:.1} %", 100.0 * part / asked as f32);
    for (place, method) in methods.iter().enumerate() {
        println!("| {} | {} | {} |", method.name(), percent(hits[place] as f32), percent(energy[place]));
    }
    println!("| by chance | {} | {} |", percent(area), percent(area));
    Ok(())
}
