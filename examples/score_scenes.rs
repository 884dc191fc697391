//! Scores every method on drawn scenes with true masks: how often the hottest pixel lies on the object that was asked for, and
//! how much of the map lies in it.
//!
//! ```text
//! cargo run --release --example score_scenes -- --scenes 200
//! ```

use burn::tensor::Device;
use cam_core::{Class, Error, Explain, Explainer, Explanation, METHODS, Method, Target, Top};
use cam_models::Classifier;
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
    /// A method; may be given several times [default: all but ScoreCAM and its kin, which take one forward pass a channel and more]
    #[arg(long = "method", value_name = "NAME")]
    methods: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let device = Device::flex();
    let model = Classifier::builtin(&device)?;
    let side = model.card().size[0] as u32;
    let preprocess = model.card().preprocess();
    let layer = args.layer.unwrap_or_else(|| model.card().layer.clone());
    // Training draws from 2^32 on.
    let mut scenes = (10_000..)
        .flat_map(|seed| Scene::draw(seed, side))
        .filter(|scene| scene.objects.len() == 2)
        .take(args.scenes)
        .peekable();
    let Some(first) = scenes.peek() else { return Ok(()) };
    let (first, _) = preprocess.apply(&first.image, &device)?;
    let mut methods: Vec<&'static dyn Method> = Vec::new();
    let wanted = |method: &&dyn Method| match &args.methods[..] {
        [] => !method.info().needs.masked_inputs,
        named => named.iter().any(|name| name == method.name()),
    };
    for method in METHODS.iter().copied().filter(wanted) {
        match Explainer::new(&model).layer(&layer).method(method).explain(first.clone(), &Top) {
            Ok(_) => methods.push(method),
            Err(reason @ (Error::NoAttention | Error::NotLinear { .. })) => {
                eprintln!("{} is left out: {reason}", method.name());
            }
            Err(error) => return Err(error.into()),
        }
    }
    let explainer =
        methods.iter().fold(Explainer::new(&model).layer(&layer), |all, method| all.method(*method));

    let mut hits = vec![0; methods.len()];
    let mut energy = vec![0.0; methods.len()];
    let (mut asked, mut area) = (0, 0.0);
    for scene in scenes {
        let (input, _) = preprocess.apply(&scene.image, &device)?;
        let classes: Vec<Class> = scene.objects.iter().map(|object| Class(object.class.index())).collect();
        let targets: Vec<&dyn Target> = classes.iter().map(|class| class as &dyn Target).collect();
        let found: Explanation = explainer.explain_each(input, &targets)?;
        for (target, object) in scene.objects.iter().enumerate() {
            let mask = object.mask.as_slice();
            for maps in found.maps.iter().filter(|maps| maps.target == target) {
                let method = methods.iter().position(|method| method.name() == maps.method.name);
                let method = method.expect("a map is by a method that was asked for");
                let heat: Vec<f32> = maps.heatmap.try_to_vec_as()?;
                let peak = (0..heat.len()).max_by(|&a, &b| heat[a].total_cmp(&heat[b])).unwrap_or(0);
                hits[method] += usize::from(mask[peak]);
                let inside: f32 = heat.iter().zip(mask).filter(|(_, inside)| **inside).map(|(x, _)| x).sum();
                energy[method] += inside / heat.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            }
            asked += 1;
            area += object.mask.fraction();
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
