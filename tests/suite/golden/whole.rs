//! Six methods on a narrow ResNet and on ResNet-18 and -50 whole, against pytorch-grad-cam.

use super::file::{self, Golden, apart, classes, input};
use super::maps::Ours;
use super::read;
use crate::support::arithmetic::Differences;
use crate::support::{TINY, hashed};
use burn::tensor::Tensor;
use cam_core::{Classes, Explain, Explainer, Model, Sampling, ScoreCam, Taps, method_named};
use cam_models::{RecordedNetwork, Registry};
use serde_json::Value;

/// Of full scale. Rounding of f32 alone moves maps by 1e-6 to 1e-5 (`map_float32_minus_float64`), convolutions in another
/// order some times that; half a step of the stored maps is 8e-6.
const TOLERANCE: f32 = 2e-4;

/// Of full scale, where a gradient came through ReLUs. A unit whose input is zero but for rounding (in ResNet-18 one at
/// `layer3.1.bn1` is -8e-7 in f64, -2e-6 in PyTorch's f32 and positive in ours) lets its gradient pass in one library and
/// not in the other, which changes the few places that the unit sees.
const AT_THE_CORNER_OF_A_RELU: f32 = 5e-3;

/// How many of the places that may concern: one unit of `layer3.1` sees 64 of the 768 places of `layer2.1`.
const PLACES: f32 = 0.15;

/// A network and its golden file.
struct Whole {
    network: RecordedNetwork,
    golden: Golden,
}

impl Whole {
    fn open(name: &str) -> Self {
        let network = hashed(Registry::builtin().variant(name).cloned().unwrap_or(TINY.into()));
        Self { network, golden: Golden::open(name) }
    }

    fn cases(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.golden.notes["cases"].as_object().unwrap().iter()
    }

    /// Compares every stored map whose path fits.
    fn agrees(&self, fits: impl Fn(&str) -> bool) {
        let mut found = Differences::default();
        for (_, notes) in self.cases() {
            for path in notes["calls"].as_object().unwrap().keys().filter(|path| fits(path)) {
                let step = file::count(&notes["map_step"]);
                let distance =
                    self.ours(notes, path).distance(&self.golden, path, step, path.contains("/eigencam"));
                let through_relus = path.contains("/layer2.")
                    && ["/gradcam/", "/hirescam/", "/layercam/"].iter().any(|method| path.contains(method));
                let few = distance.share_beyond(TOLERANCE) < PLACES;
                let allowed = if through_relus && few { AT_THE_CORNER_OF_A_RELU } else { TOLERANCE };
                found.add(path, distance.everywhere(), allowed);
            }
        }
        found.judge();
    }

    /// Our map of a call `{case}/{layer}/{method}/{target}`.
    fn ours(&self, case: &Value, path: &str) -> Ours {
        let parts: Vec<&str> = path.split('/').collect();
        let (layer, method) = (parts[1], parts[2]);
        let (images, size) = input(&case["input"]);
        let classes = classes(&case["classes"][parts.get(3).copied().unwrap_or("top")]);
        let explainer = Explainer::new(&self.network).layer(layer);
        let explainer = match method {
            // The reference untouched enlarges its masks by aligned corners.
            "scorecam" => {
                explainer.method(ScoreCam { sampling: Sampling::AlignedCorners, ..ScoreCam::PAPER })
            }
            "scorecam_half_pixel" => explainer.method(ScoreCam::PAPER),
            _ => explainer.method(method_named(method).unwrap()),
        };
        let found = explainer.explain(images, &Classes(classes)).unwrap();
        Ours { raw: read(&found.maps[0].raw), heat: read(&found.maps[0].heatmap), size }
    }
}

#[test]
fn logits_are_those_of_torchvision() {
    let mut found = Differences::default();
    for name in ["resnet_tiny", "resnet18", "resnet50"] {
        let whole = Whole::open(name);
        for (case, notes) in whole.cases() {
            let (images, _): (Tensor<4>, _) = input(&notes["input"]);
            let logits = read(&whole.network.forward(images, &Taps::off()));
            let off = apart(whole.golden.numbers(&format!("{case}/logits")), &logits);
            found.add(format!("{name}, {case}"), &off, 1e-4);
        }
    }
    found.judge();
}

#[test]
fn maps_of_a_narrow_resnet_are_those_of_the_reference() {
    Whole::open("resnet_tiny").agrees(|_| true);
}

#[test]
fn maps_of_resnet18_are_those_of_the_reference() {
    Whole::open("resnet18").agrees(|path| !path.contains("scorecam"));
}

#[test]
fn maps_of_resnet50_are_those_of_the_reference() {
    Whole::open("resnet50").agrees(|path| !path.contains("scorecam"));
}

#[test]
#[ignore = "thousands of forward passes: some minutes"]
fn scorecam_of_resnet18_and_50_is_that_of_the_reference() {
    for name in ["resnet18", "resnet50"] {
        Whole::open(name).agrees(|path| path.contains("scorecam"));
    }
}
