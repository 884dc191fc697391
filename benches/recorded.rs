//! Times recorded networks beside their modules as Burn runs them, and Grad-CAM beside inference, in turn, and prints the ratios.
//!
//! ```text
//! cargo bench --bench recorded                    # all networks, batches of 1 and 8
//! cargo bench --bench recorded -- resnet50 vit    # those whose names hold one of these
//! ```
//!
//! Each figure is the median over pairs of runs: one of each, in alternating order. Beside them is what the recording takes, once for each
//! shape. Weights are random. Run it on a machine that does nothing else.

use burn::tensor::{Device, Distribution, Tensor};
use cam_core::{Class, Explain, Explainer, Explanation, GradCam, Model, Taps};
use cam_models::Registry;
use std::time::Instant;

const NETWORKS: [&str; 7] = [
    "resnet18",
    "resnet50",
    "vgg16",
    "densenet121",
    "mnasnet1_0",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
];
const PAIRS: usize = 10;

fn main() {
    cam_graph::use_this_thread();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!(
        "{:32} {:>5} {:>9} {:>24} {:>24}",
        "", "batch", "recording", "by Burn, recorded", "inference, Grad-CAM"
    );
    for name in NETWORKS
        .iter()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())))
    {
        let architecture = Registry::builtin().variant(name).expect("a network that is shipped");
        let device = Device::flex();
        let network = architecture.build(&device);
        let recorded = network.record().expect("one device");
        for batch in [1, 8] {
            let images = Tensor::<4>::random([batch, 3, 224, 224], Distribution::Default, &device);
            let start = Instant::now();
            recorded.prepare(&images).expect("a recording");
            let recording = start.elapsed().as_secs_f64() * 1e3;
            let inference = ratio(
                || drop(network.forward(images.clone()).into_data()),
                || drop(recorded.forward(images.clone(), &Taps::off()).into_data()),
            );
            let layer = cam_core::choose_layer(&recorded, &images, &Class(3)).expect("a layer");
            let explainer = Explainer::new(&recorded).layer(&layer).method(GradCam);
            let map = || {
                let found: Explanation = explainer.explain(images.clone(), &Class(3)).expect("a map");
                found.maps[0].heatmap.clone().into_data();
            };
            let gradcam = ratio(|| drop(recorded.forward(images.clone(), &Taps::off()).into_data()), map);
            println!("{name:32} {batch:5} {recording:6.1} ms {inference:>24} {gradcam:>24}");
        }
    }
}

/// The times of two ways, in milliseconds, and the median of how long the second takes as a share of the first.
fn ratio(first: impl Fn(), second: impl Fn()) -> String {
    let time = |run: &dyn Fn()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..3).for_each(|_| [&first as &dyn Fn(), &second].into_iter().for_each(|run| run()));
    let mut pairs: Vec<[f64; 2]> = (0..PAIRS)
        .map(|pair| match pair % 2 {
            0 => [time(&first), time(&second)],
            _ => {
                let second = time(&second);
                [time(&first), second]
            }
        })
        .collect();
    let median = |pairs: &mut Vec<[f64; 2]>, of: &dyn Fn(&[f64; 2]) -> f64| {
        pairs.sort_by(|a, b| of(a).total_cmp(&of(b)));
        (of(&pairs[(PAIRS - 1) / 2]) + of(&pairs[PAIRS / 2])) / 2.0
    };
    let [a, b] = [0, 1].map(|which| median(&mut pairs, &|pair| pair[which]));
    let ratio = median(&mut pairs, &|pair| pair[1] / pair[0]);
    format!("{a:.1} {b:.1} ms = {ratio:.3}")
}
