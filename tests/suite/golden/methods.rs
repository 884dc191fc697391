//! Every method against pytorch-grad-cam, torch-cam or its paper, on small networks of every layout.

use super::file::{Golden, classes, count, input};
use super::maps::{Distance, Ours, part, thinned};
use super::read;
use crate::support::arithmetic::Differences;
use crate::support::{SWIN, TINY, VGG, VIT, hashed};
use burn::tensor::Tensor;
use cam_core::{
    Classes, Explain, Explainer, Explanation, Fading, Fem, FemCount, Finer, FullGrad, Fusion, GScoreCam,
    GradCamPlusPlus, InputNoise, IsCam, LogOdds, Pool, Rivals, Sampling, Scaled, ScoreCam, Sess, Smooth,
    SmoothGrad, Softmax, SsCam, Target, VitCx, Wrapped, guided_backprop, guided_gradcam, method_named,
};
use cam_models::{AnyArchitecture, RecordedNetwork};
use serde_json::Value;
use std::collections::BTreeMap;

/// Of full scale. The references in f32 are up to 6e-6 away from themselves in f64 (`.._float32_minus_float64`), half a step of the
/// stored maps is 8e-6; ours sums in another order.
const TOLERANCE: f32 = 5e-5;

/// How much farther ours may be than the reference is from itself in f64, where that is far: Grad-CAM++ and XGrad-CAM divide by
/// sums that are near zero in some channels of layers with negative values, which lifts the rounding of f32.
const TIMES_THE_REFERENCE: f32 = 10.0;

/// Of full scale, of ShapleyCAM: its central differences divide rounding by their step, 1e-2.
const CENTRAL_DIFFERENCES: f32 = 2e-4;

/// Of full scale, of FullGrad with each channel scaled on its own: pytorch-grad-cam adds 1e-7 to the range of a channel, which is a
/// part in some thousands where the range is small.
const SMALL_CHANNELS: f32 = 1e-3;

/// A network, its golden file and the picture.
struct Subject {
    network: RecordedNetwork,
    golden: Golden,
    images: Tensor<4>,
    size: [usize; 3],
}

/// A stored call: `{where}/{method}[.{variant}][/{target}]`.
struct Call<'a> {
    path: &'a str,
    place: &'a str,
    method: &'a str,
    variant: &'a str,
    classes: Vec<usize>,
    note: &'a Value,
}

impl Subject {
    fn open(name: &str, config: impl Into<AnyArchitecture>) -> Self {
        let golden = Golden::open(&format!("methods_{name}"));
        let (images, size) = input(&golden.notes["input"]);
        Self { network: hashed(config), golden, images, size }
    }

    fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        self.golden.notes["calls"].as_object().unwrap().iter().map(|(path, note)| {
            let parts: Vec<&str> = path.split('/').collect();
            let (method, variant) = parts[1].split_once('.').unwrap_or((parts[1], ""));
            let target = parts.get(2).copied().unwrap_or("top");
            let classes = classes(&self.golden.notes["classes"][target]);
            Call { path, place: parts[0], method, variant, classes, note }
        })
    }

    /// Compares all calls, and says how far the farthest of each method was.
    fn agrees(&self) {
        let mut farthest = BTreeMap::<String, (f32, usize)>::new();
        let mut found = Differences::default();
        for call in self.calls() {
            let distance = self.distance(&call);
            let entry = farthest.entry(format!("{}.{}", call.method, call.variant)).or_default();
            *entry = (entry.0.max(distance.farthest()), entry.1 + 1);
            found.add(call.path, distance.everywhere(), call.tolerance());
        }
        for (method, (off, count)) in &farthest {
            println!("{off:.1e} {} ({count})", method.trim_end_matches('.'));
        }
        found.judge();
    }

    fn distance(&self, call: &Call<'_>) -> Distance {
        let step = count(&self.golden.notes["map_step"]);
        let [batch, height, width] = self.size;
        let target = call.target();
        if call.method.starts_with("guided") {
            let gradient = guided_backprop(&self.network, &self.images, target.as_ref()).unwrap();
            let gradient = match call.method {
                "guided_gradcam" => {
                    let found = self.explained(call, target.as_ref());
                    guided_gradcam(&gradient, found.maps[0].heatmap.clone().reshape([batch, height * width]))
                }
                _ => gradient,
            };
            let gradient = read(&gradient);
            let expected = self.golden.numbers(&format!("{}/gradient", call.path));
            let mut distance = Distance::default();
            for image in 0..batch {
                let ours = thinned(part(&gradient, image, batch), [height, width], step);
                distance.add(part(expected, image, batch), ours);
            }
            return distance;
        }
        let found = self.explained(call, target.as_ref());
        let ours =
            Ours { raw: read(&found.maps[0].raw), heat: read(&found.maps[0].heatmap), size: self.size };
        let mut distance = ours.distance(&self.golden, call.path, step, call.note["sign"] == "arbitrary");
        if let Some(expected) = self.golden.get(&format!("{}/raw_full", call.path)) {
            for image in 0..batch {
                let raw = thinned(part(&ours.raw, image, batch), [height, width], step);
                distance.add(part(expected, image, batch), raw);
            }
        }
        distance
    }

    fn explained(&self, call: &Call<'_>, target: &dyn Target) -> Explanation {
        let notes = &self.golden.notes;
        let explainer = Explainer::new(&self.network);
        let explainer = match call.place {
            "both" => notes["layers"]
                .as_array()
                .unwrap()
                .iter()
                .fold(explainer, |explainer, layer| explainer.layer(layer.as_str().unwrap())),
            "network" => explainer,
            layer => explainer.layer(layer),
        };
        let explainer = call.with_method(explainer);
        let images = self.images.clone();
        match call.variant {
            "eigen_smooth" => explainer.eigen_smooth(true).explain(images, target),
            "aug_smooth" => Wrapped::new(&explainer, Smooth::augmented()).explain(images, target),
            "layer_mean" => explainer.wrap(Fusion::Mean).explain(images, target),
            "layer_max" => explainer.wrap(Fusion::Max).explain(images, target),
            "layer_tanh_max" => explainer.wrap(Fusion::TanhMax(2.0)).explain(images, target),
            "layer_product" => explainer.wrap(Fusion::Product).explain(images, target),
            "sess" | "sess_max" => {
                Wrapped::new(&explainer, sess(&notes[call.variant])).explain_each(images, &[target])
            }
            _ => explainer.explain(images, target),
        }
        .unwrap_or_else(|error| panic!("{}: {error}", call.path))
    }
}

impl Call<'_> {
    /// The method with the settings of the reference.
    fn with_method<'m>(&self, explainer: Explainer<'m, RecordedNetwork>) -> Explainer<'m, RecordedNetwork> {
        match (self.method, self.variant) {
            // Stored without a variant is the paper's, with one pytorch-grad-cam's.
            ("gradcam++", "") => explainer.method(GradCamPlusPlus::PAPER),
            ("gradcam++", _) => explainer.method(GradCamPlusPlus::DAMPED),
            ("scorecam", _) => {
                explainer.method(ScoreCam { sampling: Sampling::AlignedCorners, ..ScoreCam::PAPER })
            }
            ("scorecam_half_pixel", _) => explainer.method(ScoreCam::PAPER),
            ("fem", "share") => explainer.method(Fem { counted: FemCount::Share, ..Fem::PAPER }),
            ("iscam", "accumulated") => {
                explainer.method(IsCam { fading: Fading::Accumulated, ..IsCam::PAPER })
            }
            ("sscam", "silent") => explainer.method(SsCam { samples: 2, sigma: 0.0, ..SsCam::PAPER }),
            ("gscorecam", _) => explainer.method(GScoreCam { channels: 5, ..GScoreCam::PAPER }),
            ("vitcx", _) => explainer.method(VitCx { sigma: 0.0, ..VitCx::PAPER }),
            ("smoothgrad", _) => {
                explainer.method(SmoothGrad { noise: InputNoise { samples: 1, level: 0.0, seed: 0 } })
            }
            ("fullgrad", "each_channel") => explainer.method(FullGrad { scaled: Scaled::Channel }),
            ("guided_gradcam", _) => explainer,
            (method, _) => explainer.method(method_named(method).unwrap()),
        }
    }

    fn target(&self) -> Box<dyn Target> {
        let classes = Classes(self.classes.clone());
        match self.variant {
            "softmax" => Box::new(Softmax(classes)),
            "rest" => Box::new(LogOdds(classes)),
            "finer" => Box::new(Finer { of: classes, with: 3, alpha: 1.0, weights: Rivals::Probable }),
            "finer_mean" => Box::new(Finer::paper(classes)),
            _ => Box::new(classes),
        }
    }

    /// What is allowed of full scale.
    fn tolerance(&self) -> f32 {
        let notes = self.note.as_object().unwrap().iter();
        let of_the_reference = notes
            .filter(|(what, _)| what.ends_with("_float32_minus_float64"))
            .map(|(_, off)| off.as_f64().unwrap() as f32);
        let of_ours = match (self.method, self.variant) {
            ("shapleycam", _) => CENTRAL_DIFFERENCES,
            ("fullgrad", "each_channel") => SMALL_CHANNELS,
            _ => TOLERANCE,
        };
        of_ours.max(TIMES_THE_REFERENCE * of_the_reference.fold(0.0, f32::max))
    }
}

/// SESS as it was asked of the reference.
fn sess(note: &Value) -> Sess {
    Sess {
        scales: count(&note["num_scales"]),
        skipped: note["pre_filter_ratio"].as_f64().unwrap_or(0.0) as f32,
        pool: if note["pool"] == "max" { Pool::Max } else { Pool::Mean },
        blur: note["smooth"] != false,
        ..Sess::PAPER
    }
}

#[test]
fn methods_on_convolutions_are_those_of_the_references() {
    Subject::open("resnet_tiny", TINY).agrees();
}

#[test]
fn methods_on_tokens_are_those_of_the_references() {
    Subject::open("vit_tiny", VIT).agrees();
}

#[test]
fn methods_on_channels_last_are_those_of_the_references() {
    Subject::open("swin_tiny", SWIN).agrees();
}

#[test]
fn guided_backpropagation_of_vgg_is_that_of_the_reference() {
    Subject::open("vgg_tiny", VGG).agrees();
}
