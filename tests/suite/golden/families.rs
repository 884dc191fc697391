//! Every family against its first home: the logits and every tapped layer of a small network.

use super::file::{Golden, apart, input, largest};
use super::read;
use crate::support::arithmetic::Differences;
use crate::support::{DENSENET, SWIN, TINY, TINY_RESNEXT, VGG, VIT, hash, hashed, mnasnet};
use burn::tensor::Tensor;
use cam_core::{Evidence, Explain, Explainer, LayerContext, Method, MethodInfo, Top, layers};
use cam_models::AnyArchitecture;
use cam_models::zoo::swin::SwinConfig;
use cam_models::zoo::vgg::VggConfig;
use cam_models::zoo::vit::VitConfig;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Of the largest magnitude of the layer. The rounding of f32 alone is up to 3e-6 (`layers_float32_minus_float64`, the attention
/// weights of a ViT); sums in another order are some times that.
const TOLERANCE: f32 = 2e-5;

/// A "method" that keeps the activation that it sees.
struct Keep(Arc<Mutex<Vec<Tensor<3>>>>);

impl Method for Keep {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("keep", "Keep", "").without_class()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            self.0.lock().unwrap().push(layer.activation());
            Ok(layer.activation())
        })
    }
}

/// Compares the logits and all of our layers, which have to include those named.
fn agrees(name: &str, config: impl Into<AnyArchitecture>, needed: &[&str]) {
    let golden = Golden::open("families");
    let notes = &golden.notes["networks"][name];
    let (images, _) = input(&notes["input"]);
    let network = hashed(config);

    // Activations that are functions here are modules there, and the other way around.
    let stored = notes["layers"].as_array().unwrap();
    let is_stored = |name: &String| stored.iter().any(|note| note["name"] == name.as_str());
    let ours: Vec<String> = layers(&network, images.clone())
        .unwrap()
        .into_iter()
        .map(|layer| layer.name)
        .filter(is_stored)
        .collect();
    for needed in needed {
        assert!(ours.iter().any(|name| name == needed), "{name}: no layer is called {needed}: {ours:?}");
    }
    let kept = Arc::new(Mutex::new(Vec::new()));
    let explainer = ours.iter().fold(Explainer::new(&network), |all, layer| all.layer(layer));
    let found = explainer.method(Keep(kept.clone())).explain(images, &Top).unwrap();

    let mut differences = Differences::default();
    let off = apart(golden.numbers(&format!("{name}/logits")), &read(&found.output));
    differences.add(format!("{name}: logits"), &off, TOLERANCE);
    for (layer, activation) in ours.iter().zip(kept.lock().unwrap().iter()) {
        let row = stored.iter().position(|note| note["name"] == layer.as_str());
        let row = row.expect("it is one of those that are stored");
        assert_eq!(Value::from(activation.dims().to_vec()), stored[row]["shape"], "{name}: {layer}");
        let values = read(activation);
        let [statistics, samples] = ["statistics", "samples"].map(|part| {
            let rows = golden.numbers(&format!("{name}/{part}"));
            let width = rows.len() / stored.len();
            &rows[row * width..][..width]
        });
        let full = statistics[2];
        let size = values.len() as u64;
        let at = |i: usize| values[(hash(&format!("sample.{layer}"), i as u64) % size) as usize];
        let off = samples.iter().enumerate().map(|(i, x)| (x - at(i)).abs() / full);
        let of_all = summary(&values).into_iter().zip(statistics).map(|(a, b)| (a - b).abs() / full);
        differences.add(format!("{name}: {layer}"), &off.chain(of_all).collect::<Vec<_>>(), TOLERANCE);
    }
    differences.judge();
}

/// Mean, standard deviation and largest magnitude.
fn summary(values: &[f32]) -> [f32; 3] {
    let size = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / size;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / size;
    [mean as f32, variance.sqrt() as f32, largest(values)]
}

#[test]
fn layers_of_resnet_are_those_of_torchvision() {
    agrees("resnet_tiny", TINY, &["layer1.0.bn2", "layer4", "layer4.0", "layer4.0.downsample.1"]);
    agrees("resnext_tiny", TINY_RESNEXT, &["layer1.1.bn3", "layer4", "layer4.0"]);
}

#[test]
fn layers_of_vgg_are_those_of_torchvision() {
    agrees("vgg_tiny", VGG, &["features.0", "features.9", "features.12"]);
    agrees("vgg_bn_tiny", VggConfig { norms: true, ..VGG }, &["features.1", "features.17"]);
}

#[test]
fn layers_of_vit_are_those_of_timm() {
    let needed = ["norm1", "attn", "attn.attn_drop", "mlp"].map(|part| format!("blocks.2.{part}"));
    let needed: Vec<&str> = needed.iter().map(String::as_str).chain(["blocks.0", "norm"]).collect();
    agrees("vit_tiny", VIT, &needed);
    agrees("vit_reg_tiny", VitConfig { registers: 2, ..VIT }, &needed);
    agrees("deit_distilled_tiny", VitConfig { distilled: true, ..VIT }, &needed);
}

#[test]
fn layers_of_swin_are_those_of_timm() {
    let needed = ["norm1", "attn", "norm2", "mlp"].map(|part| format!("layers.1.blocks.1.{part}"));
    let needed: Vec<&str> = needed.iter().map(String::as_str).chain(["layers.0", "norm"]).collect();
    agrees("swin_tiny", SWIN, &needed);
    agrees("swin_padded_tiny", SwinConfig { image: [36, 52], ..SWIN }, &needed);
}

#[test]
fn layers_of_densenet_are_those_of_torchvision() {
    let needed =
        ["", ".denseblock2", ".denseblock2.denselayer2", ".norm5"].map(|part| format!("features{part}"));
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    agrees("densenet_tiny", DENSENET, &needed);
}

#[test]
fn layers_of_mnasnet_are_those_of_torchvision() {
    agrees("mnasnet_tiny", mnasnet(), &["layers.8", "layers.8.0", "layers.13.0", "layers.16"]);
}
