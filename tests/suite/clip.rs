//! CLIP and SigLIP: embeddings are those of transformers and open_clip. `tests/golden/generate_clip.py` writes what they are; all
//! parameters are hashes of names. The networks are small: published weights are as large as gigabytes.

use crate::support::{picture, repository, write_within};
use burn::tensor::{Device, Tensor};
use burn_cam::{ImageExplainer, Preprocess, Texts, method_named};
use cam_models::Error;
use cam_models::zoo::clip::{Clip, ClipConfig, Contrast, ImageTower};
use cam_scenes::Scene;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Golden {
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
struct Network {
    config: Value,
    kind: String,
    tensors: BTreeMap<String, Vec<usize>>,
    texts: Vec<Vec<usize>>,
    image: Vec<Vec<f32>>,
    text: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
}

fn golden() -> Golden {
    let path = repository().join("tests/golden/clip.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The range of a parameter, by its name and rank.
fn range(name: &str, shape: &[usize]) -> (f64, f64) {
    match name {
        "logit_scale" => (2.0, 3.0),
        "logit_bias" => (-3.0, -2.0),
        _ if name.contains("embedding") || name.ends_with(".probe") => (-0.5, 0.5),
        _ if shape.len() > 1 => {
            let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            (-bound, bound)
        }
        _ if name.ends_with(".weight") => (0.8, 1.2),
        _ => (-0.3, 0.3),
    }
}

/// A folder with the weights of a network and its configuration.
fn folder(tensors: &BTreeMap<String, Vec<usize>>, config: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    write_within(tensors, range, &file);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    (folder, file)
}

fn load(network: &Network) -> (ClipConfig, Clip) {
    let (_folder, file) = folder(&network.tensors, &network.config);
    Clip::load(&file, &Device::flex()).unwrap()
}

fn rows(tensor: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, columns] = tensor.dims();
    tensor.into_data().try_to_vec::<f32>().unwrap().chunks(columns).map(<[f32]>::to_vec).collect()
}

/// The largest difference of two tables, as a share of the largest number.
fn difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().flatten().fold(0.0f32, |largest, number| largest.max(number.abs()));
    let pairs = found.iter().zip(expected).flat_map(|(found, expected)| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected)
    });
    pairs.fold(0.0f32, |most, (found, expected)| most.max((found - expected).abs())) / largest
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Both sides compute in f32: sums of hundreds of numbers in another order differ by some 1e-6.
const TOLERANCE: f32 = 1e-5;

#[test]
fn embeddings_are_those_of_the_library_that_saved_the_network() {
    let device = Device::flex();
    for (name, network) in &golden().networks {
        let (config, clip) = load(network);
        assert_eq!(config.image_size(), [32, 32], "{name}");
        let images = rows(clip.image().forward(picture("clip", [2, 32, 32], 8)));
        let texts = rows(clip.text().unwrap().forward(&network.texts, &device).unwrap());
        for (what, found, expected) in [("images", &images, &network.image), ("texts", &texts, &network.text)]
        {
            let difference = difference(found, expected);
            assert!(difference < TOLERANCE, "{name}: {what} differ by {difference}");
        }
        let (scale, bias) = clip.scale_and_bias();
        let logits: Vec<Vec<f32>> = images
            .iter()
            .map(|image| texts.iter().map(|text| scale * cosine(image, text) + bias).collect())
            .collect();
        let difference = difference(&logits, &network.logits);
        assert!(difference < TOLERANCE, "{name}: logits differ by {difference}");
        assert_eq!(config.contrast == Contrast::Sigmoid, network.kind == "sigmoid", "{name}");
    }
}

#[test]
fn the_image_tower_of_a_file_is_loaded_without_a_text_tower() {
    let network = &golden().networks["clip"];
    let of_images =
        |name: &String| name.starts_with("vision_model.") || name.starts_with("visual_projection.");
    let tensors = network.tensors.clone().into_iter().filter(|(name, _)| of_images(name)).collect();
    let (_folder, file) = folder(&tensors, &network.config);
    let (config, clip) = Clip::load(&file, &Device::flex()).unwrap();
    assert!(config.text.is_none() && clip.text().is_none());
    let images = rows(clip.image().forward(picture("clip", [2, 32, 32], 8)));
    assert!(difference(&images, &network.image) < TOLERANCE);
}

#[test]
fn what_is_not_known_is_refused_with_its_name() {
    let network = &golden().networks["clip"];
    let said = |tensors: &BTreeMap<String, Vec<usize>>, config: &Value| {
        let (_folder, file) = folder(tensors, config);
        Clip::load(&file, &Device::flex()).map(|_| ()).unwrap_err()
    };
    let mut config = network.config.clone();
    config["vision_config"]["hidden_act"] = "selu".into();
    let error = said(&network.tensors, &config);
    assert!(matches!(error, Error::Config { .. }) && error.to_string().contains("`selu`"), "{error}");
    config["vision_config"] = serde_json::json!({"num_attention_heads": 5});
    let error = said(&network.tensors, &config);
    assert!(matches!(error, Error::Config { .. }) && error.to_string().contains("5 heads"), "{error}");
    let mut tensors = network.tensors.clone();
    tensors.remove("text_model.final_layer_norm.bias");
    let error = said(&tensors, &network.config);
    assert!(
        matches!(error, Error::WrongWeights { .. }) && error.to_string().contains("ln_final.bias"),
        "{error}"
    );
    let (folder_of_file, file) = folder(&network.tensors, &network.config);
    let config_file = folder_of_file.path().join("config.json");
    std::fs::remove_file(&config_file).unwrap();
    let error = Clip::load(&file, &Device::flex()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("do not show its activation"), "{error}");
    let other = BTreeMap::from([("fc.weight".to_string(), vec![2, 3])]);
    let error = said(&other, &network.config);
    assert!(
        matches!(error, Error::UnreadableWeights { .. }) && error.to_string().contains("fc.weight"),
        "{error}"
    );
}

#[test]
fn a_configuration_of_open_clip_says_the_activation_and_the_heads() {
    let network = &golden().networks["clip"];
    let (folder, file) = folder(&network.tensors, &network.config);
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let activation = |model: Value| {
        let config = serde_json::json!({ "model_cfg": model });
        std::fs::write(folder.path().join("open_clip_config.json"), config.to_string()).unwrap();
        let (config, _) = Clip::load(&file, &Device::flex()).unwrap();
        (config.image.activation, config.image.heads, config.text.unwrap().heads)
    };
    let width = activation(serde_json::json!({"vision_cfg": {"head_width": 8}, "text_cfg": {"heads": 2}}));
    assert_eq!((width.0, width.2), (cam_models::Activation::Gelu, 2));
    let quick =
        serde_json::json!({"quick_gelu": true, "vision_cfg": {"head_width": 8}, "text_cfg": {"heads": 2}});
    assert_eq!(activation(quick).0, cam_models::Activation::QuickGelu);
}

#[test]
fn tokens_that_a_network_cannot_take_are_refused() {
    let (config, clip) = load(&golden().networks["clip"]);
    let text = clip.text().unwrap();
    let longest = config.text.unwrap().tokens;
    for (tokens, words) in [
        (vec![vec![0; longest + 1]], "are the most"),
        (vec![vec![config.vocabulary]], "is not among"),
        (vec![vec![0, 1], vec![0]], "as many tokens"),
        (vec![], "one at least"),
    ] {
        let error = text.forward(&tokens, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Every method that reads a layer or attentions explains a text as it explains a class, on the image tower as it is.
#[test]
fn each_text_has_a_map_of_its_own_by_every_method_that_applies() {
    let device = Device::flex();
    let photo = Scene::draw(7, 64).unwrap().image;
    for name in ["clip", "siglip", "open_clip"] {
        let network = &golden().networks[name];
        let (config, clip) = load(network);
        let embeddings = rows(clip.text().unwrap().forward(&network.texts, &device).unwrap());
        let texts = |embeddings: &[Vec<f32>]| {
            let named = ["a dog", "a cat", "a wolf"].into_iter().zip(embeddings.to_vec());
            let (scale, bias) = clip.scale_and_bias();
            match config.contrast {
                Contrast::Softmax => Texts::softmax(named, scale),
                Contrast::Sigmoid => Texts::sigmoid(named, scale, bias),
            }
        };
        let model = |texts| {
            let preprocess = Preprocess { size: config.image_size(), ..Preprocess::IMAGENET };
            burn_cam::record_with(clip.image(), texts, |tower: &ImageTower, images| tower.forward(images))
                .unwrap()
                .preprocess(preprocess)
        };
        let plain = model(texts(&embeddings));
        let methods: &[&str] = match config.contrast {
            Contrast::Softmax => &["legrad", "chefer", "gradcam", "hirescam", "gscorecam"],
            Contrast::Sigmoid => &["legrad", "gradcam", "hirescam", "gscorecam"],
        };
        for method in methods {
            let explainer = ImageExplainer::new(&plain).method(method_named(method).unwrap());
            let found = explainer.layer("transformer.resblocks.0").explain(&photo).unwrap();
            assert_eq!((found.predictions.len(), found.maps.len()), (3, 3), "{name} {method}");
            for (prediction, map) in found.predictions.iter().zip(&found.maps) {
                assert_eq!(prediction.label, map.label, "{name} {method}");
                assert!((prediction.score - map.score).abs() < 1e-5, "{name} {method}");
                let (low, high) = map
                    .heatmap
                    .values()
                    .iter()
                    .fold((1.0f32, 0.0f32), |(low, high), x| (low.min(*x), high.max(*x)));
                assert!(high > low, "{name} {method}: a map is blank");
            }
            assert_ne!(found.maps[0].heatmap.values(), found.maps[1].heatmap.values(), "{name} {method}");
        }
        let sum: f32 = ImageExplainer::new(&plain)
            .explain(&photo)
            .unwrap()
            .predictions
            .iter()
            .map(|it| it.probability)
            .sum();
        assert_eq!((sum - 1.0).abs() < 1e-5, config.contrast == Contrast::Softmax, "{name}: {sum}");
        let against = model(texts(&embeddings[..2]).against("a wolf", embeddings[2].clone()));
        let found = ImageExplainer::new(&against).explain(&photo).unwrap();
        assert!(found.maps.iter().all(|map| map.label.ends_with(", not a wolf")), "{name}");
        assert_eq!(found.maps.len(), 2, "{name}");
    }
}
