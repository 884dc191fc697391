//! Networks under the names that other publishers give them: recognized by their names, with the logits of the publisher's own code.
//! `tests/golden/generate_publishers.py` writes names, shapes and logits; all numbers are hashes of names.

use crate::support::{device, picture, value};
use burn::tensor::Tensor;
use cam_core::{Explain, Explainer, GradCam, Model, Taps, Top};
use cam_models::{CardLayers, Classifier, Registry};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Golden {
    input: Input,
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    batch: usize,
    height: usize,
    width: usize,
    block: usize,
}

#[derive(Deserialize)]
struct Network {
    /// The channels of the picture that the network gets.
    bands: Vec<usize>,
    tensors: BTreeMap<String, Vec<usize>>,
    logits: Vec<Vec<f32>>,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/publishers.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The range of a parameter, by the last part of its name and its rank.
fn range(name: &str, shape: &[usize]) -> (f64, f64) {
    let leaf = name.rsplit('.').next().unwrap();
    match (leaf, shape.len()) {
        ("running_mean", _) => (-0.2, 0.2),
        ("running_var", _) => (0.5, 1.5),
        ("relative_position_bias_table", _) | (_, 3) => (-0.5, 0.5),
        (_, 2..) => {
            let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            (-bound, bound)
        }
        ("weight", _) => (0.8, 1.2),
        _ => (-0.1, 0.1),
    }
}

fn write(tensors: &BTreeMap<String, Vec<usize>>, path: &Path) {
    let bytes = |name: &String, shape: &Vec<usize>| -> Vec<u8> {
        let (low, high) = range(name, shape);
        let count = shape.iter().product::<usize>() as u64;
        (0..count).flat_map(|index| value(name, index, low, high).to_le_bytes()).collect()
    };
    let numbers: Vec<_> = tensors.iter().map(|(name, shape)| (name, shape, bytes(name, shape))).collect();
    let views = numbers
        .iter()
        .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Loads a network as a user would who knows its input size.
fn load(path: &PathBuf) -> Classifier {
    let stated = CardLayers::new().with_size([32, 32]);
    Registry::builtin()
        .load_stated(None, path, &stated, &device())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_publisher_has_its_own_logits_and_a_map() {
    let Golden { input, networks } = golden();
    assert!(networks.len() > 10);
    let folder = tempfile::tempdir().unwrap();
    let all = picture(&input.name, [input.batch, input.height, input.width], input.block);
    for (name, network) in networks {
        let path = folder.path().join(format!("{name}.safetensors"));
        write(&network.tensors, &path);
        let model = load(&path);
        assert_eq!(model.card().channels, network.bands.len(), "{name}");
        let bands = network.bands.iter().map(|band| all.clone().narrow(1, *band, 1)).collect();
        let images = Tensor::cat(bands, 1);
        let logits: Vec<f32> = model.forward(images.clone(), &Taps::off()).into_data().try_to_vec().unwrap();
        let expected = network.logits.concat();
        assert_eq!(logits.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (ours, theirs) in logits.iter().zip(&expected) {
            assert!((ours - theirs).abs() <= 1e-4 * largest, "{name}: {ours} is not {theirs}");
        }
        // Where the default layer has positions, its map is not blank.
        let layer = model.card().layer.clone();
        let layers = cam_core::layers(&model, images.clone()).unwrap();
        let layer = layers.iter().find(|other| other.name == layer);
        if let Some(layer) = layer.filter(|layer| layer.grid.iter().product::<usize>() > 1) {
            let found =
                Explainer::new(&model).layer(&layer.name).method(GradCam).explain(images, &Top).unwrap();
            let heat: Vec<f32> = found.maps[0].heatmap.clone().into_data().try_to_vec().unwrap();
            assert!(
                heat.iter().any(|x| *x > 0.0) && heat.iter().all(|x| x.is_finite()),
                "{name}: {}",
                layer.name
            );
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_head_that_is_more_than_linear_layers_is_not_half_loaded() {
    let Golden { networks, .. } = golden();
    let mut tensors = networks["two_linear_layers"].tensors.clone();
    tensors.insert("fc.1.running_mean".into(), vec![16]);
    tensors.insert("fc.1.running_var".into(), vec![16]);
    tensors.insert("fc.1.weight".into(), vec![16]);
    tensors.insert("fc.1.bias".into(), vec![16]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    write(&tensors, &path);
    let said = Classifier::load_file(&path, &device()).err().unwrap().to_string();
    assert!(said.contains("unrecognized weights"), "{said}");
}
