//! The shipped networks, which are ordinary modules, as they are recorded: their logits and their layers.

use crate::support::arithmetic::Differences;
use crate::support::{
    DENSENET, SWIN, TINY, TINY_RESNEXT, VGG, VIT, device, hashed_network, mnasnet, picture,
};
use burn::tensor::{Device, Tensor};
use cam_core::{Model, Taps, layers};
use cam_models::{AnyArchitecture, Classifier};
use std::collections::HashMap;

fn read(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_to_vec().unwrap()
}

/// The differences, of the largest magnitude of those expected.
fn apart(expected: &[f32], found: &[f32]) -> Vec<f32> {
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    assert_eq!(expected.len(), found.len());
    expected.iter().zip(found).map(|(a, b)| (a - b).abs() / largest).collect()
}

/// Folded norms and the CPU's own kernels on one side, Burn's operations on the other: sums in another order.
const ROUNDING: f32 = 5e-6;

#[test]
fn logits_are_those_of_the_module_at_any_batch() {
    let cases: [(&str, AnyArchitecture, usize); 7] = [
        ("resnet", TINY.into(), 96),
        ("resnext", TINY_RESNEXT.into(), 96),
        ("vgg", VGG.into(), 96),
        ("densenet", DENSENET.into(), 96),
        ("mnasnet", mnasnet().into(), 96),
        ("vit", VIT.into(), 96),
        ("swin", SWIN.into(), 64),
    ];
    let mut found = Differences::default();
    for (name, config, width) in cases {
        let network = hashed_network(config, &device());
        let recorded = network.record().unwrap();
        for batch in [1, 2, 5] {
            let images = picture("recorded", [batch, 64, width], 16);
            let plain = read(network.forward(images.clone()));
            let ours = read(recorded.forward(images, &Taps::off()));
            found.add(format!("{name} at {batch}"), &apart(&plain, &ours), ROUNDING);
        }
    }
    found.judge();
}

/// `layers.txt` lists the layers that a user can count on, in the order of the forward pass: `NAME CHANNELS channels on GRID`.
#[test]
fn layers_have_the_names_of_the_checkpoint() {
    let listed = include_str!("../golden/layers.txt");
    for listed in listed.split("# ").filter(|listed| !listed.is_empty()) {
        let (name, lines) = listed.split_once('\n').unwrap();
        let model = Classifier::untrained(name, &Device::flex()).unwrap();
        let [height, width] = model.card().size;
        let found = layers(&model, Tensor::zeros([1, 3, height, width], &Device::flex())).unwrap();
        let found: HashMap<String, String> = found
            .into_iter()
            .map(|layer| {
                let grid = layer.grid.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
                (layer.name, format!("{} channels on {grid}", layer.channels))
            })
            .collect();
        for line in lines.lines() {
            let (layer, form) = line.split_once(' ').unwrap();
            assert_eq!(found.get(layer).map(String::as_str), Some(form), "{layer} of {name}");
        }
    }
}
