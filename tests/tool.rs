//! The tool `cam`, as a person uses it.

mod support;

use assert_cmd::Command;
use burn::tensor::Device;
use cam_models::resnet::{ResNetConfig, VARIANTS};
use cam_scenes::Scene;
use image::{Rgb, RgbImage};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a drawn scene and a few files that are wrong.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        Scene::draw(10_000, 200).unwrap().picture.save(desk.path("scene.png")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cam(&self, arguments: &[&str]) -> Command {
        let mut cam = Command::cargo_bin("cam").unwrap();
        cam.current_dir(self.folder.path()).args(arguments);
        // No test reaches the hub: `hub.rs` has one of its own.
        cam.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.path("huggingface")).env_remove("HF_HUB_CACHE");
        cam
    }

    /// Runs and returns standard output.
    fn says(&self, arguments: &[&str]) -> String {
        let done = self.cam(arguments).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(arguments))
            .expect("standard output is one JSON object and nothing else")
    }

    /// Runs, and expects this exit code and one line on standard error that holds these words.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], code: i32, words: &str) {
        let done = self.cam(arguments).assert().failure();
        let output = done.get_output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.starts_with("cam: ") && said.contains(words), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }

    /// Weights of ResNet-18 with this many classes.
    fn resnet18(&self, classes: usize) -> PathBuf {
        let path = self.path("resnet18.safetensors");
        let config = ResNetConfig { classes, ..VARIANTS[0].1 };
        support::hashed_file(&config.init(&Device::flex()), &path);
        path
    }
}

fn read_npy(path: impl AsRef<Path>) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

fn write_npy(path: impl AsRef<Path>, shape: &[u64], numbers: &[f32]) {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(numbers.iter().copied()).unwrap();
    writer.finish().unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_demo_draws_a_sheet_and_says_where() {
    let desk = Desk::new();
    let said = desk.says(&["demo"]);
    assert!(said.contains("gradcam") && said.contains("on the object"), "{said}");
    let sheet = image::open(desk.path("cam-out/demo.png")).unwrap();
    assert!(sheet.width() > 1000 && sheet.height() > 500);
}

#[test]
fn a_photo_is_explained_with_no_more_than_its_name() {
    let desk = Desk::new();
    let said = desk.says(&["explain", "scene.png"]);
    assert!(said.starts_with("scene.png\n") && said.contains("by gradcam at layer3.0: hottest at"), "{said}");
    let overlay = std::fs::read_dir(desk.path("cam-out")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(
        image::open(overlay).unwrap().into_rgb8().dimensions(),
        (200, 200),
        "the photo's own resolution"
    );
}

#[test]
fn json_holds_all_that_was_asked() {
    let desk = Desk::new();
    Scene::draw(10_001, 150).unwrap().picture.save(desk.path("other.png")).unwrap();
    let arguments = "explain scene.png other.png --method gradcam --method eigencam --layer layer3.0 --layer layer4.0 --class fish --class 8 --npy --raw --json";
    let report = desk.json(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!((&report["model"], &report["device"]), (&"scenes".into(), &"cpu".into()));
    for part in ["load", "preprocess", "forward", "explain", "write"] {
        assert!(report["seconds"][part].as_f64().unwrap() > 0.0, "{part}");
    }
    let predictions = report["predictions"].as_array().unwrap();
    assert_eq!(predictions[1]["image"], "other.png");
    let top = &predictions[0]["top"][0];
    assert!(
        top["class"].is_u64()
            && top["label"].is_string()
            && top["logit"].is_f64()
            && top["probability"].is_f64()
    );

    let maps = report["maps"].as_array().unwrap();
    assert_eq!(maps.len(), 2 * 2 * 2 * 2, "pictures, classes, layers, methods");
    for map in maps {
        let fish = map["class"] == 2;
        assert_eq!(map["label"], if fish { "fish" } else { "football" });
        assert_eq!(map["image"], predictions[map["index"].as_u64().unwrap() as usize]["image"]);
        assert!(map["score"].is_f64() && map["warnings"].is_array());
        assert!(desk.path(map["png"].as_str().unwrap()).exists());
        let (shape, heat) = read_npy(desk.path(map["npy"].as_str().unwrap()));
        assert_eq!(shape, [128, 128]);
        assert!(heat.iter().all(|x| (0.0..=1.0).contains(x)));
        let (shape, _) = read_npy(desk.path(map["raw"].as_str().unwrap()));
        assert_eq!(shape, if map["layer"] == "layer3.0" { [16, 16] } else { [8, 8] });
    }
    let files = std::fs::read_dir(desk.path("cam-out")).unwrap().count();
    assert_eq!(files, 3 * maps.len(), "every map has files of its own");
}

#[test]
fn the_batch_size_changes_no_map() {
    let desk = Desk::new();
    for seed in 0..3 {
        Scene::draw(seed, 128).unwrap().picture.save(desk.path(&format!("{seed}.png"))).unwrap();
    }
    let maps = |size: &str, out: &str| -> Vec<f32> {
        let arguments =
            ["explain", "0.png", "1.png", "2.png", "--npy", "--json", "--batch-size", size, "--out", out];
        let report = desk.json(&arguments);
        report["maps"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|map| read_npy(desk.path(map["npy"].as_str().unwrap())).1)
            .collect()
    };
    let (one, many) = (maps("1", "one"), maps("8", "many"));
    assert_eq!(one.len(), many.len());
    assert!(one.iter().zip(&many).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn arrays_are_taken_as_they_are() {
    let desk = Desk::new();
    let numbers: Vec<f32> = (0..2 * 3 * 64 * 96).map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0).collect();
    write_npy(desk.path("two.npy"), &[2, 3, 64, 96], &numbers);
    write_npy(desk.path("one.npy"), &[3, 64, 96], &numbers[..3 * 64 * 96]);
    let report = desk.json(&["explain", "two.npy", "one.npy", "--npy", "--json", "--class", "3"]);
    assert_eq!(report["predictions"].as_array().unwrap().len(), 3);
    let map = |index: usize| read_npy(desk.path(report["maps"][index]["npy"].as_str().unwrap()));
    assert_eq!(map(0).0, [64, 96]);
    assert!(
        map(0).1.iter().zip(&map(2).1).all(|(a, b)| (a - b).abs() < 1e-4),
        "the same picture, the same map"
    );
    assert_eq!((&report["maps"][1]["image"], &report["maps"][1]["index"]), (&"two.npy".into(), &1.into()));
}

#[test]
fn a_network_of_ones_own_size_and_classes_is_explained() {
    let desk = Desk::new();
    desk.resnet18(12);
    let arguments =
        "explain scene.png --model resnet18 --weights resnet18.safetensors --resize crop --top 2 --json";
    let report = desk.json(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(report["maps"].as_array().unwrap().len(), 2);
    assert_eq!(report["maps"][0]["layer"], "layer4.1");
    assert_eq!(report["maps"][0]["class"], report["predictions"][0]["top"][0]["class"]);
    assert_eq!(report["maps"][1]["class"], report["predictions"][0]["top"][1]["class"]);
}

#[test]
fn a_weight_file_alone_is_enough() {
    let desk = Desk::new();
    desk.resnet18(3);
    std::fs::write(desk.path("names.txt"), "leaf\nstem\nroot\n").unwrap();
    let alone = "explain scene.png --weights resnet18.safetensors --labels names.txt --class stem";
    let said = desk.says(&alone.split(' ').collect::<Vec<_>>());
    assert!(said.starts_with("recognised resnet18\nscene.png\n"), "{said}");
    assert!(said.contains("  stem by gradcam at layer4.1: hottest at"), "{said}");
    let report = desk.json(&format!("{alone} --json").split(' ').collect::<Vec<_>>());
    assert_eq!((&report["model"], &report["maps"][0]["class"]), (&"resnet18".into(), &1.into()));
    assert!(desk.says(&["layers", "--weights", "resnet18.safetensors"]).contains("layer4.1"));
}

#[test]
fn lists_say_what_there_is() {
    let desk = Desk::new();
    assert!(desk.says(&["models"]).contains("resnext101_64x4d"));
    assert!(desk.says(&["methods"]).contains("gradcam             https://arxiv.org/abs/1610.02391"));
    assert!(desk.says(&["devices"]).contains("cpu"));
    let layers = desk.says(&["layers", "--model", "resnet50"]);
    let line = |name: &str| {
        layers.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap().to_string()
    };
    assert!(line("layer4.2").contains("2048 channels on 7 x 7  (default)"), "{layers}");
    assert!(line("layer4.2.bn3").contains("2048 channels on 7 x 7"), "{layers}");
    assert!(line("layer2").contains("512 channels on 28 x 28"), "{layers}");
    for command in ["explain", "demo", "layers"] {
        assert!(desk.says(&[command, "--help"]).contains("Examples:"), "{command}");
    }
    assert!(desk.says(&["--help"]).contains("Exit codes:"));
}

#[test]
fn the_methods_of_the_readme_are_those_of_the_list() {
    let readme = include_str!("../README.md");
    let listed: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let names: Vec<&str> = cam_core::METHODS.iter().map(|method| method.name()).collect();
    assert_eq!(listed, names);
}

#[test]
fn what_cannot_be_done_is_said_in_one_line_with_a_code_of_its_own() {
    let desk = Desk::new();
    let weights = desk.resnet18(1000);
    let scene = "explain scene.png";
    let refuses = |line: &str, code, words| desk.refuses(&line.split(' ').collect::<Vec<_>>(), code, words);
    refuses("layers --model resnet5", 6, "no model is called `resnet5`; there are scenes, resnet18");
    refuses(
        &format!("{scene} --layer layer9"),
        3,
        "no layer is called `layer9`; this model has bn1, relu, layer1.0.bn1",
    );
    refuses(&format!("{scene} --class 10"), 4, "no class is called `10`");
    refuses(&format!("{scene} --class mushrom"), 4, "near it are mushroom");
    refuses(&format!("{scene} --top 11"), 4, "there is no class 10: this model has 10 classes");
    refuses(
        &format!("{scene} --method gradcan"),
        5,
        "no method is called `gradcan`; there are gradcam, gradcam++",
    );
    refuses(
        &format!("{scene} --model resnet50"),
        6,
        "offline, and the weights of `resnet50` are not at hand",
    );
    refuses("explain none.png", 7, "cannot read the picture `none.png`");
    refuses(&format!("{scene} --device tpu"), 13, "no device is called `tpu`; this build knows auto,");
    refuses(&format!("{scene} --model resnet18 --weights none.pth"), 9, "cannot read the weights `none.pth`");
    refuses(
        &format!("{scene} --model resnet34 --weights resnet18.safetensors"),
        10,
        "missing: layer1.2.bn1.bias [64]",
    );

    std::fs::write(desk.path("two.txt"), "one\ntwo\n").unwrap();
    refuses(&format!("{scene} --labels two.txt"), 14, "`two.txt` names 2 classes, and the model has 10");
    refuses(&format!("{scene} --labels none.txt"), 14, "cannot read the class names `none.txt`");

    std::fs::write(desk.path("text.png"), "no picture").unwrap();
    refuses("explain text.png", 7, "cannot read the picture `text.png`");
    RgbImage::new(1, 1).save(desk.path("dot.png")).unwrap();
    refuses("explain dot.png", 8, "has 1 x 1 pixels; each side needs 8 to 20000");

    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(desk.path("cut.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    refuses(&format!("{scene} --model resnet18 --weights cut.safetensors"), 9, "cannot read the weights");
    let mut nan = bytes;
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(desk.path("nan.safetensors"), nan).unwrap();
    refuses(&format!("{scene} --model resnet18 --weights nan.safetensors"), 11, "holds NaN or infinity");

    write_npy(desk.path("nan.npy"), &[3, 8, 8], &[f32::NAN; 192]);
    refuses("explain nan.npy", 11, "the array `nan.npy` holds NaN or infinity");
    write_npy(desk.path("flat.npy"), &[8, 8], &[0.0; 64]);
    refuses("explain flat.npy", 7, "its shape is [8, 8], [3, H, W] or [N, 3, H, W] is needed");
    std::fs::write(desk.path("text.npy"), "no array").unwrap();
    refuses("explain text.npy", 7, "cannot read the array `text.npy`");

    std::fs::write(desk.path("file"), "").unwrap();
    refuses(&format!("{scene} --out file"), 12, "cannot write to `file`");
    refuses("demo --out file", 12, "cannot write to `file`");
}

#[test]
fn a_run_that_fails_leaves_what_was_there() {
    let desk = Desk::new();
    let png = desk.says(&["explain", "scene.png", "--class", "fish"]);
    let png = png.lines().last().unwrap().rsplit(": ").next().unwrap();
    let before = std::fs::read(desk.path(png)).unwrap();
    RgbImage::from_pixel(40, 40, Rgb([1, 2, 3])).save(desk.path("scene.png")).unwrap();
    desk.refuses(&["explain", "scene.png", "--class", "fish", "--layer", "nine"], 3, "no layer");
    assert_eq!(std::fs::read(desk.path(png)).unwrap(), before);
    assert_eq!(
        std::fs::read_dir(desk.path("cam-out")).unwrap().count(),
        1,
        "nothing half-written lies about"
    );
}
