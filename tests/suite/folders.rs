//! Folders as transformers and timm save them: `cam explain --model FOLDER` has the probabilities of the library that saved it.
//! `tests/golden/generate_folders.py` writes what they are; all parameters are hashes of names.

use crate::support::{repository, value, write_hashed};
use assert_cmd::Command;
use burn::tensor::Device;
use burn_cam::{Error, ErrorKind, ImageModel, OpenModel};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(Deserialize)]
struct Golden {
    networks: BTreeMap<String, Network>,
    cases: Vec<Case>,
    onnx: Vec<OnnxCase>,
}

#[derive(Deserialize)]
struct Network {
    config: Value,
    tensors: BTreeMap<String, Vec<usize>>,
}

#[derive(Deserialize)]
struct Case {
    network: String,
    /// How much larger the weights of the head are.
    head: f64,
    preprocessor_config: Option<Value>,
    probabilities: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct OnnxCase {
    network: String,
    config: Value,
    preprocessor_config: Value,
    tensors: BTreeMap<String, Vec<usize>>,
    probabilities: Vec<Vec<f64>>,
}

const CLASSES: usize = 5;
const PHOTOS: [&str; 3] = ["wide", "tall", "gray"];

fn golden() -> Golden {
    let path = repository().join("tests/golden/folders.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn photo(name: &str) -> PathBuf {
    repository().join("tests/golden/folders").join(name)
}

/// The range of a parameter, by the last part of its name and its rank.
fn range(name: &str, shape: &[usize], head: f64) -> (f64, f64) {
    let leaf = name.rsplit('.').next().unwrap();
    match (leaf, shape.len()) {
        ("running_mean", _) => (-0.2, 0.2),
        ("running_var", _) => (0.5, 1.5),
        ("relative_position_bias_table", _) | (_, 3) => (-0.5, 0.5),
        (_, rank @ 2..) => {
            let factor = if rank == 2 && shape[0] == CLASSES { head } else { 1.0 };
            let bound = factor * (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            (-bound, bound)
        }
        _ if name.ends_with(".bn2.weight") || name.ends_with(".bn3.weight") => (0.1, 0.3),
        ("weight", _) => (0.8, 1.2),
        _ => (-0.5, 0.5),
    }
}

fn write(tensors: &BTreeMap<String, Vec<usize>>, head: f64, path: &Path) {
    let bytes = |name: &String, shape: &Vec<usize>| -> Vec<u8> {
        let (low, high) = range(name, shape, head);
        let count = shape.iter().product::<usize>() as u64;
        (0..count).flat_map(|index| value(name, index, low, high).to_le_bytes()).collect()
    };
    let numbers: Vec<_> = tensors.iter().map(|(name, shape)| (name, shape, bytes(name, shape))).collect();
    let views = numbers
        .iter()
        .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A folder with a model.
struct Saved {
    folder: TempDir,
}

impl Saved {
    fn new(config: &Value, processor: Option<&Value>) -> Self {
        let saved = Self { folder: tempfile::tempdir().unwrap() };
        saved.json("config.json", config);
        if let Some(processor) = processor {
            saved.json("preprocessor_config.json", processor);
        }
        saved
    }

    /// One of the golden networks.
    fn of(golden: &Golden, case: &Case) -> Self {
        let Network { config, tensors } = &golden.networks[&case.network];
        let saved = Self::new(config, case.preprocessor_config.as_ref());
        write(tensors, case.head, &saved.file("model.safetensors"));
        saved
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn json(&self, name: &str, json: &Value) {
        std::fs::write(self.file(name), json.to_string()).unwrap();
    }

    /// The probabilities of photos, by class, as the tool prints them.
    fn probabilities(&self, photos: &[PathBuf]) -> Vec<Vec<f64>> {
        let elsewhere = tempfile::tempdir().unwrap();
        let mut cam = Command::cargo_bin("cam").unwrap();
        cam.current_dir(elsewhere.path()).arg("explain").args(photos).arg("--model").arg(self.folder.path());
        let output = cam.args(["--json=lines", "--method", "gradcam"]).output().unwrap();
        let (said, wrong) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{wrong}");
        let of_line = |line: &str| {
            let found: Value = serde_json::from_str(line).unwrap();
            let mut probabilities = vec![f64::NAN; CLASSES];
            for prediction in found["predictions"].as_array().unwrap() {
                let class = prediction["class"].as_u64().unwrap() as usize;
                assert_eq!(prediction["label"], format!("thing {class}"));
                probabilities[class] = prediction["probability"].as_f64().unwrap();
            }
            probabilities
        };
        said.lines().map(of_line).collect()
    }

    fn open(&self) -> Result<burn_cam::AnyModel, Error> {
        burn_cam::open(self.folder.path(), &Device::flex())
    }

    /// The error of opening it, which is of this kind.
    #[track_caller]
    fn refused(&self, kind: ErrorKind) -> String {
        let error = self.open().map(|model| model.info().name).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        error.to_string()
    }
}

fn furthest(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    pairs
        .map(|(ours, theirs)| (ours - theirs).abs())
        .fold(0.0, |most, off| if off <= most { most } else { off })
}

/// From the pixels on, 1e-4; and from the JPEG on as far as its decoder here and libjpeg-turbo agree: a quarter of the colors differs by
/// one or two levels of gray, which these networks of random weights enlarge.
#[track_caller]
fn assert_as_saved(what: &str, saved: &Saved, expected: &[Vec<f64>]) {
    let named = |ending: &str| PHOTOS.map(|name| photo(&format!("{name}.{ending}")));
    let ours = saved.probabilities(&[named("png"), named("jpg")].concat());
    let off = furthest(&ours[..3], expected);
    assert!(off < 1e-4, "{what}: off by {off:.1e}");
    let of_jpeg = furthest(&ours[3..], expected);
    println!("{what}: off by {off:.1e}, from JPEG by {of_jpeg:.1e}");
    assert!(of_jpeg < 5e-2, "{what}: from JPEG off by {of_jpeg:.1e}");
}

#[test]
fn folders_have_the_probabilities_of_the_library_that_saved_them() {
    let golden = golden();
    for case in &golden.cases {
        let class = case.preprocessor_config.as_ref().map(|file| file["image_processor_type"].to_string());
        let what = format!("{} {}", case.network, class.unwrap_or_default());
        assert_as_saved(&what, &Saved::of(&golden, case), &case.probabilities);
    }
}

#[test]
fn a_network_that_is_not_known_is_opened_through_its_onnx_file() {
    for OnnxCase { network, config, preprocessor_config, tensors, probabilities } in golden().onnx {
        let saved = Saved::new(&config, Some(&preprocessor_config));
        write(&tensors, 1.0, &saved.file("model.safetensors"));
        let said = saved.refused(ErrorKind::WrongWeights);
        assert!(
            said.contains(&format!("has a `{network}`, which is no network here (there are ResNet, "))
                && said.contains("optimum-cli export onnx --task image-classification --model "),
            "{said}"
        );
        std::fs::create_dir(saved.file("onnx")).unwrap();
        std::fs::copy(photo(&format!("{network}.onnx")), saved.file("onnx/model.onnx")).unwrap();
        assert_as_saved(&network, &saved, &probabilities);
        // As optimum writes it.
        std::fs::rename(saved.file("onnx/model.onnx"), saved.file("model.onnx")).unwrap();
        std::fs::remove_file(saved.file("model.safetensors")).unwrap();
        assert_as_saved(&network, &saved, &probabilities);
    }
}

/// Puts the tensors of a file into several, by an index.
fn split(saved: &Saved) -> Value {
    let bytes = std::fs::read(saved.file("model.safetensors")).unwrap();
    std::fs::remove_file(saved.file("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    for part in 0..3 {
        let views = tensors.tensors().into_iter().enumerate().filter(|(place, _)| place % 3 == part);
        let views: Vec<_> = views.map(|(_, view)| view).collect();
        let name = format!("model-0000{}-of-00003.safetensors", part + 1);
        map.extend(views.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
        std::fs::write(saved.file(&name), safetensors::serialize(views, None).unwrap()).unwrap();
    }
    json!({"metadata": {"total_size": bytes.len()}, "weight_map": map})
}

#[test]
fn weights_can_be_in_several_files() {
    let golden = golden();
    let case = golden.cases.iter().find(|case| case.network == "swin").unwrap();
    let saved = Saved::of(&golden, case);
    let index = split(&saved);
    saved.json("model.safetensors.index.json", &index);
    assert_as_saved("split", &saved, &case.probabilities);
    let hash = saved.open().unwrap().sha256().unwrap();
    assert_eq!(hash.unwrap().len(), 64);

    let with = |change: &dyn Fn(&mut Value)| {
        let mut index = index.clone();
        change(&mut index);
        saved.json("model.safetensors.index.json", &index);
        saved.refused(ErrorKind::Weights)
    };
    for elsewhere in ["../secret", "/etc/passwd", "a/b", "..", "", "C:\\a", ".hidden"] {
        let said = with(&|index| index["weight_map"]["swin.layernorm.weight"] = elsewhere.into());
        assert!(said.contains("it names a file elsewhere than beside it"), "{said}");
    }
    let said = with(&|index| index["weight_map"]["none"] = "model-00001-of-00003.safetensors".into());
    assert!(said.contains("it does not have `none`"), "{said}");
    let said = with(&|index| index["weight_map"]["none"] = "model-00004-of-00003.safetensors".into());
    assert!(said.contains("model-00004-of-00003.safetensors"), "{said}");
    assert!(with(&|index| index["weight_map"] = json!({})).contains("it names no file"));
    assert!(with(&|index| index["weight_map"] = json!([1])).contains("it is no index of weights"));
    assert!(with(&|index| *index = json!("[")).contains("it is no index of weights"));
    saved.json("model.safetensors.index.json", &index);
    std::fs::copy(saved.file("model-00001-of-00003.safetensors"), saved.file("twice.safetensors")).unwrap();
    let said = with(&|index| index["weight_map"]["swin.layernorm.weight"] = "twice.safetensors".into());
    assert!(said.contains("swin.layernorm.weight") || said.contains("another file has"), "{said}");
}

#[test]
fn weights_of_pytorch_are_found_too_in_one_file_or_several() {
    let weights = repository().join("tests/golden/weights/tiny.pth");
    let saved = Saved::new(&json!({"id2label": {"0": "a"}}), None);
    std::fs::copy(&weights, saved.file("pytorch_model.bin")).unwrap();
    std::fs::write(saved.file("training_args.bin"), "a pickle of a trainer").unwrap();
    let said = saved.refused(ErrorKind::Card);
    assert!(said.contains("config.json names 1 classes, and it has 10"), "{said}");
    saved
        .json("config.json", &json!({"architecture": "tiny", "pretrained_cfg": {"input_size": [3, 64, 64]}}));
    assert_eq!(saved.open().unwrap().preprocess().size, [64, 64]);
    // One file of an index, whose tensors the index need not list.
    std::fs::rename(saved.file("pytorch_model.bin"), saved.file("pytorch_model-00001-of-00001.bin")).unwrap();
    let index = json!({"weight_map": {"conv1.weight": "pytorch_model-00001-of-00001.bin"}});
    saved.json("pytorch_model.bin.index.json", &index);
    assert_eq!(saved.open().unwrap().preprocess().size, [64, 64]);
    // A file of any other name, if it is the only one.
    std::fs::remove_file(saved.file("pytorch_model.bin.index.json")).unwrap();
    assert!(saved.open().unwrap().info().weights.unwrap().ends_with("pytorch_model-00001-of-00001.bin"));
    std::fs::copy(&weights, saved.file("best.pth")).unwrap();
    let said = saved.refused(ErrorKind::Model);
    assert!(
        said.contains("there are several: name one of best.pth, pytorch_model-00001-of-00001.bin"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let saved = Saved::new(&json!({}), None);
    let said = saved.refused(ErrorKind::Model);
    assert!(said.contains("there is none of model.safetensors, "), "{said}");
    let golden = golden();
    let Network { config, tensors } = &golden.networks["vit"];
    write(tensors, 1.0, &saved.file("model.safetensors"));
    std::fs::write(saved.file("config.json"), "{").unwrap();
    assert!(saved.refused(ErrorKind::Card).contains("config.json"));
    saved.json("config.json", config);
    let with = |processor: Value| {
        saved.json("preprocessor_config.json", &processor);
        saved.refused(ErrorKind::Card)
    };
    let said = with(json!({"size": {"longest_edge": 64}}));
    assert!(
        said.contains("preprocessor_config.json` cannot be followed: its `size` is {\"longest_edge\":64}"),
        "{said}"
    );
    assert!(with(json!({"size": 64, "resample": 7})).contains("`resample` is 7"));
    // A class that is not known is said, and so is a folder in the place of a file.
    saved.json("preprocessor_config.json", &json!({"size": 64, "image_processor_type": "OddImageProcessor"}));
    let assumed = saved.open().unwrap().info().assumed.join("; ");
    assert!(
        assumed.contains("images prepared as a ViT's, by the keys of its `OddImageProcessor`"),
        "{assumed}"
    );
    // An activation that no network here has.
    let mut odd = config.clone();
    odd["hidden_act"] = "selu".into();
    saved.json("config.json", &odd);
    assert!(saved.refused(ErrorKind::Card).contains("its activation is `selu`"));
}

#[test]
fn a_regression_has_numbers_and_several_labels_have_sigmoids() {
    let golden = golden();
    let Network { config, tensors } = &golden.networks["vit"];
    let mut config = config.clone();
    config["problem_type"] = "regression".into();
    let saved = Saved::new(&config, Some(&json!({"size": 64})));
    write(tensors, 1.0, &saved.file("model.safetensors"));
    let model = saved.open().unwrap();
    let found = burn_cam::explain(&model, burn_cam::ImageInput::open(photo("wide.png")).unwrap()).unwrap();
    assert_eq!(found.probability, None);
}

#[test]
fn the_processor_of_a_folder_of_texts_and_images_is_read() {
    let saved = Saved::new(&json!({"model_type": "resnet"}), None);
    let shapes = crate::support::shapes(&crate::support::TINY.init(&Device::flex()));
    write_hashed(&shapes, &saved.file("model.safetensors"));
    let processor = json!({"image_processor": {"image_processor_type": "CLIPImageProcessor", "size": 72, "crop_size": 64}});
    saved.json("processor_config.json", &processor);
    let model = OpenModel::new().weights(saved.folder.path()).open(&Device::flex()).unwrap();
    let (size, resize) = (model.preprocess().size, model.preprocess().resize);
    assert_eq!((size, resize), ([64, 64], burn_cam::Resize::Crop));
}
