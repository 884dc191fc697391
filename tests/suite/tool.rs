//! The tool `cam`, as a person uses it.

use crate::support::repository;
use assert_cmd::Command;
use burn::tensor::Device;
use cam_models::zoo::resnet::{ResNetConfig, VARIANTS};
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
        Scene::draw(10_000, 200).unwrap().image.save(desk.path("scene.png")).unwrap();
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

    /// Runs, expects this exit code, and returns standard output and standard error.
    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let done = self.cam(arguments).assert().code(code);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&done.get_output().stdout), text(&done.get_output().stderr))
    }

    /// The files of a folder and below, as paths within it.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder_here) = folders.pop() {
            for entry in std::fs::read_dir(folder_here).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let within = path.strip_prefix(self.path(folder)).unwrap();
                        files.push(within.to_string_lossy().replace('\\', "/"));
                    }
                }
            }
        }
        files.sort();
        files
    }

    /// A folder with two scenes, one of them in a folder within, and a file that is no picture.
    fn album(&self) {
        std::fs::create_dir_all(self.path("album/more")).unwrap();
        Scene::draw(20_000, 100).unwrap().image.save(self.path("album/a.png")).unwrap();
        std::fs::write(self.path("album/broken.png"), "no picture").unwrap();
        Scene::draw(20_001, 100).unwrap().image.save(self.path("album/more/c.jpg")).unwrap();
    }

    /// The lines of the manifest, by the name of their picture.
    fn manifest(&self) -> Vec<(String, Value)> {
        let text = std::fs::read_to_string(self.path("cam-out/manifest.jsonl")).unwrap();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["input"].as_str().unwrap().to_string(), line)
        };
        text.lines().map(line).collect()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let report = serde_json::from_str(&self.says(arguments))
            .expect("standard output is one JSON object and nothing else");
        fits_the_schema("", &report);
        report
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
        crate::support::hashed_file(&config.init(&Device::flex()), &path);
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
fn inputs_and_outputs_of_onnx_files_are_stated_by_name() {
    let desk = Desk::new();
    let golden = repository().join("crates/cam-onnx/tests/golden");
    std::fs::copy(golden.join("ports/ports.onnx"), desk.path("ports.onnx")).unwrap();
    let explain = ["explain", "scene.png", "--model", "ports.onnx"];
    let asking = |more: &[&'static str]| [&explain[..], more].concat();
    desk.refuses(&explain, 6, "(`--input NAME=FILE.npy`): `scale` [?, 5], `offset` [1]");
    write_npy(desk.path("scale.npy"), &[1, 5], &[1.0, 2.0, -1.0, 0.5, 3.0]);
    write_npy(desk.path("offset.npy"), &[1], &[2.0]);
    let inputs = ["--input", "scale=scale.npy", "--input", "offset=offset.npy"];
    let classes = |more: &[&'static str]| {
        let report = desk.json(&asking(&[&inputs[..], more, &["--top", "1", "--json"]].concat()));
        report["images"][0]["predictions"].as_array().unwrap().len()
    };
    assert_eq!((classes(&[]), classes(&["--output", "others"])), (5, 3));
    desk.refuses(&asking(&[&inputs[..], &["--output", "boxes"]].concat()), 9, "there is no output `boxes`");
    desk.refuses(&asking(&["--input", "scale"]), 2, "as in mask=mask.npy");
    desk.refuses(
        &["explain", "scene.png", "--output", "boxes"],
        6,
        "only ONNX files name their inputs and outputs",
    );
    let hard = [&inputs[..], &["--html", "scale.npy"]].concat();
    desk.refuses(&asking(&hard), 2, "would overwrite");
}

#[test]
fn the_demo_draws_a_sheet_and_says_where() {
    let desk = Desk::new();
    let said = desk.says(&["demo"]);
    assert!(said.contains("Grad-CAM") && said.contains("on the object"), "{said}");
    let sheet = image::open(desk.path("cam-out/demo.png")).unwrap();
    assert!(sheet.width() > 1000 && sheet.height() > 500);
    let again = desk.says(&["explain", "cam-out/scene.png"]);
    assert!(again.contains("butterfly"), "the scene alone is there to try other commands on: {again}");
}

#[test]
fn a_photo_is_explained_with_no_more_than_its_name() {
    let desk = Desk::new();
    let said = desk.says(&["explain", "scene.png"]);
    assert!(said.starts_with(
        "images are squeezed whole to 128 x 128 pixels (bilinear), RGB in 0..1, mean 0.5, 0.5, 0.5, "
    ));
    assert!(said.contains("\nscene.png\n") && said.contains("by gradcam at layer3.0: hottest at"), "{said}");
    let overlay = std::fs::read_dir(desk.path("cam-out")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(
        image::open(overlay).unwrap().into_rgb8().dimensions(),
        (200, 200),
        "the photo's own resolution"
    );
}

#[test]
fn a_photo_that_the_built_in_model_does_not_know_wants_another() {
    let desk = Desk::new();
    RgbImage::from_pixel(64, 64, Rgb([90, 90, 90])).save(desk.path("gray.png")).unwrap();
    let (_, said) = desk.ends(&["explain", "gray.png", "gray.png"], 0);
    assert_eq!(said.matches("for real photos, pass `--model` or `--weights`").count(), 1, "{said}");
    let (_, said) = desk.ends(&["explain", "scene.png"], 0);
    assert_eq!(said, "", "what it knows it says nothing of");
}

/// Validates what the tool prints against a part of its published schema.
#[track_caller]
fn fits_the_schema(part: &str, value: &Value) {
    let root: Value = serde_json::from_str(include_str!("../../docs/explain.schema.json")).unwrap();
    if let Err(error) = crate::support::schema::validate(&root, root.pointer(part).unwrap(), value) {
        panic!("{error}\n{value:#}");
    }
}

/// The maps of all images of a report.
fn maps_of(report: &Value) -> Vec<Value> {
    let images = report["images"].as_array().unwrap();
    images.iter().flat_map(|image| image["maps"].as_array().unwrap()).cloned().collect()
}

#[test]
fn the_schema_refuses_what_is_not_printed() {
    let desk = Desk::new();
    let mut report = desk.json(&["explain", "scene.png", "--json"]);
    report["images"][0]["maps"][0]["heat"] = 1.into();
    let refused = std::panic::catch_unwind(|| fits_the_schema("", &report));
    assert!(refused.is_err());
}

#[test]
fn a_result_is_made_again_to_the_bit_and_what_has_changed_is_said() {
    let desk = Desk::new();
    desk.resnet18(7);
    let weights = ["--weights", "resnet18.safetensors"];
    let told = desk.says(&[&["explain", "scene.png", "--top", "2", "--json"], &weights[..]].concat());
    std::fs::write(desk.path("result.json"), &told).unwrap();
    let png = maps_of(&serde_json::from_str(&told).unwrap())[1]["png"].as_str().unwrap().to_string();
    for from in ["result.json", &png] {
        let (_, said) = desk.ends(&["explain", "--from", from, "--out", "again"], 0);
        assert!(said.contains("the maps are the same to the bit"), "{said}");
    }
    assert_eq!(desk.files("again").len(), 2);
    Scene::draw(3, 200).unwrap().image.save(desk.path("scene.png")).unwrap();
    let (_, said) = desk.ends(&["explain", "--from", "result.json", "--out", "again"], 0);
    assert!(said.contains("scene.png: the file has changed"), "{said}");
    assert!(said.contains("another map (score"), "{said}");
    desk.resnet18(8);
    let (_, said) = desk.ends(&["explain", "--from", "result.json", "--out", "again"], 0);
    assert!(said.contains("changed since: sha256"), "{said}");
    desk.refuses(&["explain", "--from", "scene.png"], 7, "an image without a record");
    desk.refuses(
        &["explain", "--from", "resnet18.safetensors"],
        7,
        "neither what `cam explain --json` prints",
    );
    desk.refuses(&["explain", "--from", "none.json"], 7, "none.json");
    desk.refuses(&["explain"], 2, "<IMAGE>...");
}

#[test]
fn a_pattern_explains_the_summed_probability_of_the_classes_that_match() {
    let desk = Desk::new();
    let report = desk.json(&["explain", "scene.png", "--class", "*FISH*", "--class", "cl?ck", "--json"]);
    let maps = maps_of(&report);
    assert_eq!(maps[0]["label"], "*FISH* (2 classes)", "fish and starfish");
    assert!(maps[0]["class"].is_null() && maps[1]["label"] == "clock");
    let probability = |name: &str| {
        let report = desk.json(&["explain", "scene.png", "--class", name, "--json"]);
        maps_of(&report)[0]["probability"].as_f64()
    };
    let known = |name: &str| probability(name).unwrap_or_else(|| panic!("{name}"));
    let score = maps[0]["score"].as_f64().unwrap();
    assert!((score - (known("fish") + known("starfish")).ln()).abs() < 1e-3, "{score}");
    assert!(maps[0]["probability"].is_null(), "these classes do not exclude each other");
    desk.resnet18(5);
    std::fs::write(desk.path("names.txt"), "red fish\nclock\nblue fish\nball\nstar\n").unwrap();
    let network =
        ["explain", "scene.png", "--weights", "resnet18.safetensors", "--labels", "names.txt", "--json"];
    let report = desk.json(&[&network[..], &["--class", "*fish"]].concat());
    let predictions = report["images"][0]["predictions"].as_array().unwrap();
    let fish = predictions.iter().filter(|one| one["label"].as_str().unwrap().ends_with("fish"));
    let sum: f64 = fish.map(|one| one["probability"].as_f64().unwrap()).sum();
    let together = maps_of(&report)[0]["probability"].as_f64().unwrap();
    assert!(sum > 0.0 && (together - sum).abs() < 1e-4, "{together} of {sum}");
    desk.refuses(&["explain", "scene.png", "--class", "*dragon*"], 4, "no class is called `*dragon*`");
    desk.refuses(&["explain", "scene.png", "--class", "*fish", "--score", "finer"], 2, "together");
}

#[test]
fn two_models_are_compared_on_one_photo() {
    let desk = Desk::new();
    desk.resnet18(5);
    std::fs::copy(desk.path("resnet18.safetensors"), desk.path("same.safetensors")).unwrap();
    let compare = |second: &str| {
        desk.says(&["compare", "scene.png", "--model", "resnet18.safetensors", "--model", second, "--fresh"])
    };
    let said = compare("same.safetensors");
    assert!(said.contains("the outputs of 5 classes differ by 0 on average and 0 at most"), "{said}");
    assert!(said.contains("  resnet18.safetensors: ") && said.contains("  same.safetensors: "), "{said}");
    let same = image::open(desk.path("cam-out/scene_compare.png")).unwrap();
    std::fs::write(desk.path("names.txt"), "fish\nclock\nmushroom\nball\nstar\n").unwrap();
    let said = desk.says(&[
        "compare",
        "scene.png",
        "--model",
        "resnet18.safetensors",
        "--model",
        "same.safetensors",
        "--labels",
        "names.txt",
        "--class",
        "clock",
        "--method",
        "gradcam,layercam",
    ]);
    assert!(said.contains("differ by 0 on average"), "{said}");
    let two = image::open(desk.path("cam-out/scene_compare_2.png"));
    let two = two.or_else(|_| image::open(desk.path("cam-out/scene_compare.png"))).unwrap();
    assert!(two.height() > same.height() + 150, "a row for each method");
    let model = ["--model", "resnet18.safetensors"];
    desk.refuses(
        &[&["explain", "scene.png"], &model[..], &model].concat(),
        2,
        "only `cam compare` takes two",
    );
    desk.refuses(
        &[&["compare", "scene.png"], &model[..], &model, &model].concat(),
        2,
        "two models can be compared",
    );
}

#[test]
fn the_short_help_fits_a_screen_in_groups_the_most_used_first() {
    let desk = Desk::new();
    let all = desk.says(&["-h"]);
    let commands = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("     "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 15 && commands.contains(&"explain"), "{commands:?}");
    for command in [&[][..]].into_iter().chain(commands.chunks(1).filter(|command| command != &["help"])) {
        let help = desk.says(&[command, &["-h"]].concat());
        assert!(help.lines().count() <= 40, "{command:?}: {} lines\n{help}", help.lines().count());
        let groups = ["Model:", "What to explain:", "Method:", "Look:", "Output:"];
        let places = groups.iter().filter_map(|group| help.find(&format!("\n{group}")));
        let places: Vec<usize> = places.collect();
        assert!(places.is_sorted(), "{help}");
        let expected = if ["explain", "compare"].contains(command.first().unwrap_or(&"")) { 5 } else { 0 };
        assert!(places.len() >= expected, "{help}");
    }
    let help = desk.says(&["explain", "-h"]);
    let long = desk.says(&["explain", "--help"]);
    for option in ["--omit-outliers", "--strides", "--npy", "--window"] {
        assert!(long.contains(option) && !help.contains(option), "{option}");
    }
}

/// A small network as an ONNX file on the desk.
fn network(desk: &Desk, name: &str) {
    let file = crate::support::repository().join("crates/cam-onnx/tests/golden/residual_torchscript.onnx");
    std::fs::copy(file, desk.path(name)).unwrap();
}

#[test]
fn a_model_of_numbers_shows_what_speaks_against_them_unless_a_sign_is_asked_for() {
    let desk = Desk::new();
    network(&desk, "net.onnx");
    std::fs::write(desk.path("names.txt"), "age\nheight\nweight\nwidth\nlength\n").unwrap();
    let lowest = |more: &[&str]| {
        let line = [
            "explain",
            "scene.png",
            "--model",
            "net.onnx",
            "--labels",
            "names.txt",
            "--npy",
            "--json",
            "--fresh",
        ];
        let report = desk.json(&[&line[..], more].concat());
        let npy = maps_of(&report)[0]["npy"].as_str().unwrap().to_string();
        let (_, values) = read_npy(desk.path(&npy));
        let sign = report["run"]["options"]["sign"].as_str().unwrap().to_string();
        (values.into_iter().fold(f32::INFINITY, f32::min), sign)
    };
    let (signed, sign) = lowest(&["--task", "regress"]);
    assert!(signed < -0.01 && sign == "both", "{signed}, {sign}");
    for task in ["regress", "classify"] {
        let (positive, sign) = lowest(&["--task", task, "--sign", "positive"]);
        assert!(positive >= 0.0 && sign == "positive", "{positive}, {sign}");
    }
    let (class, sign) = lowest(&["--task", "classify"]);
    assert!(class >= 0.0 && sign == "positive", "{class}, {sign}");
    let colors = ["explain", "scene.png", "--model", "net.onnx", "--task", "regress", "--colormap", "turbo"];
    desk.refuses(&colors, 2, "needs colors for both signs");
}

#[test]
fn a_network_whose_file_does_not_say_how_images_are_prepared_is_compared_on_the_same_input() {
    let desk = Desk::new();
    network(&desk, "known.onnx");
    network(&desk, "unknown.onnx");
    let compare = || {
        desk.ends(&["compare", "scene.png", "--model", "unknown.onnx", "--model", "known.onnx", "--fresh"], 0)
    };
    std::fs::write(desk.path("known.toml"), "mean = [0.4, 0.5, 0.6]\nstd = [0.2]\nfilter = \"bicubic\"\n")
        .unwrap();
    let (said, told) = compare();
    assert!(said.contains("differ by 0 on average and 0 at most"), "{said}");
    assert!(told.contains("images are prepared as for known.onnx, because nothing states how"), "{told}");
    // Two classes of the same name are not taken for each other.
    std::fs::write(desk.path("names.txt"), "crane\nclock\nCrane\nball\nstar\n").unwrap();
    let models = ["--model", "known.onnx", "--model", "known.onnx", "--labels", "names.txt", "--fresh"];
    let said = desk.says(&[&["compare", "scene.png"], &models[..]].concat());
    assert!(said.contains("the outputs of 5 classes differ by 0 on average and 0 at most"), "{said}");
    // Where both are stated each has its own.
    std::fs::write(desk.path("unknown.toml"), "mean = [0.1, 0.1, 0.1]\nstd = [0.5]\n").unwrap();
    let (said, told) = compare();
    assert!(!said.contains("differ by 0 on average") && !told.contains("prepared as for"), "{said}{told}");
}

#[test]
fn the_seed_is_recorded_and_changes_what_is_random() {
    let desk = Desk::new();
    let digest = |more: &[&str]| {
        let report = desk.json(&[&["explain", "scene.png", "--json", "--fresh"], more].concat());
        assert!(report["run"]["options"]["seed"].is_u64());
        maps_of(&report)[0]["digest"].as_str().unwrap().to_string()
    };
    for random in [&["--noise", "2"][..], &["--method", "randomcam"], &["--method", "smoothgradcam++"]] {
        let seeded = |seed: &str| digest(&[random, &["--seed", seed]].concat());
        assert_eq!(digest(random), seeded("0"), "{random:?}");
        assert_ne!(seeded("0"), seeded("1"), "{random:?}");
        assert_eq!(seeded("1"), seeded("1"), "{random:?}");
    }
    assert_eq!(digest(&[]), digest(&["--seed", "1"]), "Grad-CAM draws no numbers");
}

#[test]
fn a_folder_is_reported_in_one_line_per_image_and_a_kind_of_warning_once() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("photos")).unwrap();
    for seed in 0..3 {
        Scene::draw(seed, 128).unwrap().image.save(desk.path(&format!("photos/{seed}.png"))).unwrap();
    }
    let lines = |more: &[&str]| {
        let said = desk.says(&[&["explain", "photos", "--fresh", "--top", "2"], more].concat());
        said.lines().filter(|line| line.starts_with("photos/")).map(String::from).collect::<Vec<_>>()
    };
    let brief = lines(&[]);
    assert_eq!(brief.len(), 3);
    for (seed, line) in brief.iter().enumerate() {
        assert!(line.starts_with(&format!("photos/{seed}.png  ")) && line.contains(" % "), "{line}");
        assert!(line.ends_with(".png and 1 more") && line.contains("cam-out/"), "{line}");
    }
    assert!(lines(&["-v"]).iter().all(|line| !line.contains('%')), "a heading, and the rest below it");
    let saturated =
        ["explain", "photos", "--fresh", "--layer", "layer4.0", "--method", "eigencam", "--score", "softmax"];
    let (_, said) = desk.ends(&saturated, 0);
    let warnings = said.lines().filter(|line| line.contains("where its gradient vanishes")).count();
    assert!(warnings <= 2, "{said}");
}

#[test]
fn json_holds_all_that_was_asked() {
    let desk = Desk::new();
    Scene::draw(10_001, 150).unwrap().image.save(desk.path("other.png")).unwrap();
    let arguments = "explain scene.png other.png --method gradcam --method eigencam --layer layer3.0 --layer layer4.0 --class fish --class 8 --npy --raw --json";
    let report = desk.json(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!((&report["run"]["model"], &report["run"]["device"]), (&"scenes".into(), &"cpu".into()));
    for part in ["load", "preprocess", "forward", "explain", "write"] {
        assert!(report["seconds"][part].as_f64().unwrap() > 0.0, "{part}");
    }
    let images = report["images"].as_array().unwrap();
    assert_eq!(images[1]["image"], "other.png");
    let top = &images[0]["predictions"][0];
    assert!(
        top["class"].is_u64()
            && top["label"].is_string()
            && top["score"].is_f64()
            && top["probability"].is_f64()
    );

    let maps = maps_of(&report);
    assert_eq!(maps.len(), 2 * 2 * 2 * 2, "pictures, classes, layers, methods");
    for map in &maps {
        let fish = map["class"] == 2;
        assert_eq!(map["label"], if fish { "fish" } else { "football" });
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
        Scene::draw(seed, 128).unwrap().image.save(desk.path(&format!("{seed}.png"))).unwrap();
    }
    let maps = |size: &str, out: &str| -> Vec<f32> {
        let arguments =
            ["explain", "0.png", "1.png", "2.png", "--npy", "--json", "--batch-size", size, "--out", out];
        let report = desk.json(&arguments);
        maps_of(&report).iter().flat_map(|map| read_npy(desk.path(map["npy"].as_str().unwrap())).1).collect()
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
    assert_eq!(report["images"].as_array().unwrap().len(), 3);
    let map = |index: usize| read_npy(desk.path(maps_of(&report)[index]["npy"].as_str().unwrap()));
    assert_eq!(map(0).0, [64, 96]);
    assert!(
        map(0).1.iter().zip(&map(2).1).all(|(a, b)| (a - b).abs() < 1e-4),
        "the same picture, the same map"
    );
    let second = &report["images"][1];
    assert_eq!((&second["image"], &second["part"]["place"]), (&"two.npy".into(), &1.into()));
}

#[test]
fn a_network_of_ones_own_size_and_classes_is_explained() {
    let desk = Desk::new();
    desk.resnet18(12);
    let arguments =
        "explain scene.png --model resnet18 --weights resnet18.safetensors --resize crop --top 2 --json";
    let report = desk.json(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(maps_of(&report).len(), 2);
    assert_eq!(maps_of(&report)[0]["layer"], "layer4.1");
    let [maps, predictions] = ["maps", "predictions"].map(|part| &report["images"][0][part]);
    assert_eq!(maps[0]["class"], predictions[0]["class"]);
    assert_eq!(maps[1]["class"], predictions[1]["class"]);
}

#[test]
fn a_weight_file_alone_is_enough() {
    let desk = Desk::new();
    desk.resnet18(3);
    std::fs::write(desk.path("names.txt"), "leaf\nstem\nroot\n").unwrap();
    let alone = "explain scene.png --weights resnet18.safetensors --labels names.txt --class stem";
    let said = desk.says(&alone.split(' ').collect::<Vec<_>>());
    assert!(
        said.starts_with("recognized resnet18 (ResNet)\nimages are squeezed whole to 224 x 224 pixels"),
        "{said}"
    );
    assert!(said.contains("  stem by gradcam at layer4.1: hottest at"), "{said}");
    let report = desk.json(&format!("{alone} --json").split(' ').collect::<Vec<_>>());
    assert_eq!((&report["run"]["model"], &maps_of(&report)[0]["class"]), (&"resnet18".into(), &1.into()));
    assert!(desk.says(&["layers", "--weights", "resnet18.safetensors"]).contains("layer4.1"));
}

#[test]
fn what_is_assumed_is_one_line_and_a_card_states_it() {
    let desk = Desk::new();
    desk.resnet18(3);
    let assuming = |arguments: &str| {
        let (said, wrong) = desk.ends(&arguments.split(' ').collect::<Vec<_>>(), 0);
        (
            said,
            wrong.lines().filter(|line| line.starts_with("assuming ")).map(String::from).collect::<Vec<_>>(),
        )
    };
    let explain = "explain scene.png --weights resnet18.safetensors --fresh";
    let (plain, lines) = assuming(explain);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("strides [2, 1, 2, 2, 2]"), "{lines:?}");
    let (finer, lines) = assuming(&format!("{explain} --strides 2,1,2,2,1 --size 96 --resize crop"));
    assert!(lines[0].contains("antialias none") && !lines[0].contains("strides"), "{lines:?}");
    assert!(
        finer.contains("images are cropped to the central 87.5 % of the shorter side, 96 x 96 pixels"),
        "{finer}"
    );
    assert_ne!(plain, finer);
    let (unpooled, lines) = assuming(&format!("{explain} --stem-pool false"));
    assert!(unpooled != plain && !lines[0].contains("stem_pool"), "{lines:?}");
    assert!(
        assuming("explain scene.png --model resnet18 --weights resnet18.safetensors --fresh").1.is_empty()
    );

    let (card, lines) = assuming("card --weights resnet18.safetensors --size 96,64");
    assert_eq!(lines.len(), 1);
    assert!(card.contains("size = [96, 64]  # stated") && card.contains("[architecture]"), "{card}");
    assert!(card.contains("strides = [2, 1, 2, 2, 2]  # assumed"), "{card}");
    std::fs::write(desk.path("names.txt"), "leaf\nstem\nroot\n").unwrap();
    let stated = "card --weights resnet18.safetensors --mean 0.5,0.25,0.485 --std 0.2 --resize crop --logits sigmoid --labels names.txt";
    let (all, lines) = assuming(stated);
    for line in [
        "mean = [0.5, 0.25, 0.485]  # stated",
        "std = [0.2]  # stated",
        "resize = \"crop\"  # stated",
        "logits = \"sigmoid\"  # stated",
        "labels = [\"leaf\", \"stem\", \"root\"]  # stated",
    ] {
        assert!(all.lines().any(|found| found == line), "{line}: {all}");
    }
    assert!(!lines[0].contains("colors"), "{lines:?}");
    std::fs::write(desk.path("my.toml"), &card).unwrap();
    let (said, lines) = assuming(&format!("{explain} --card my.toml"));
    assert!(lines.is_empty() && said.contains("squeezed whole to 96 x 64 pixels"), "{lines:?}: {said}");
    let (_, wrong) =
        desk.ends(&[&explain.split(' ').collect::<Vec<_>>()[..], &["--card", "my.toml", "-v"]].concat(), 0);
    assert!(wrong.contains("size = [96, 64]  # the card my.toml"), "{wrong}");
    std::fs::write(desk.path("my.toml"), "heads = 3").unwrap();
    let bad = [&explain.split(' ').collect::<Vec<_>>()[..], &["--card", "my.toml"]].concat();
    desk.refuses(&bad, 14, "cannot read the model card `my.toml`: unknown field `heads`");
    desk.refuses(
        &["explain", "scene.png", "--weights", "resnet18.safetensors", "--heads", "3"],
        14,
        "it has no option `heads`; its options are antialias, dilations, stem_pool, strides",
    );
}

#[test]
fn lists_say_what_there_is() {
    let desk = Desk::new();
    assert!(desk.says(&["models"]).contains("resnext101_64x4d"));
    assert!(desk.says(&["methods"]).contains(
        "gradcam              Grad-CAM                  one pass               https://arxiv.org/abs/1610.02391"
    ));
    assert!(desk.says(&["devices"]).contains("cpu"));
    let layers = desk.says(&["layers", "--model", "resnet50"]);
    let line = |name: &str| {
        layers.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap().to_string()
    };
    assert!(line("layer4.2").contains("2048 channels on 7 x 7  (default)"), "{layers}");
    assert!(line("layer4.2.bn3").contains("2048 channels on 7 x 7"), "{layers}");
    assert!(line("layer2").contains("512 channels on 28 x 28"), "{layers}");
    for command in
        ["explain", "compare", "demo", "layers", "models", "methods", "devices", "completions", "man"]
    {
        assert!(desk.says(&[command, "--help"]).contains("Examples:"), "{command}");
    }
    assert!(desk.says(&["--help"]).contains("Exit codes:"));
}

#[test]
fn the_methods_of_the_readme_are_those_of_the_list() {
    let readme = include_str!("../../README.md");
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
    refuses("layers --model resnet5", 6, "no model is called `resnet5`; did you mean resnet50, ");
    refuses(
        &format!("{scene} --layer layer9"),
        3,
        "no layer is called `layer9`; did you mean layer1, layer2, layer3, layer4",
    );
    refuses(&format!("{scene} --class 10"), 4, "no class is called `10`; there are 10, numbered 0 to 9");
    refuses(&format!("{scene} --class mushrom"), 4, "did you mean mushroom?");
    refuses(&format!("{scene} --method gradcan"), 5, "no method is called `gradcan`; did you mean gradcam, ");
    refuses(
        &format!("{scene} --model resnet50"),
        6,
        "offline, and the weights of `resnet50` are not in the cache",
    );
    refuses("explain none.png", 7, "cannot read the image `none.png`");
    refuses(&format!("{scene} --device tpu"), 13, "unknown device `tpu`; this build knows auto,");
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
    refuses("explain text.png", 7, "cannot read the image `text.png`");
    RgbImage::new(1, 1).save(desk.path("dot.png")).unwrap();
    refuses("explain dot.png", 8, "has 1 x 1 pixels; each side needs 8 to 20000");

    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(desk.path("cut.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    refuses(&format!("{scene} --model resnet18 --weights cut.safetensors"), 9, "cannot read the weights");
    let mut nan = bytes;
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(desk.path("nan.safetensors"), nan).unwrap();
    refuses(&format!("{scene} --model resnet18 --weights nan.safetensors"), 11, "is NaN or infinite");

    write_npy(desk.path("nan.npy"), &[3, 8, 8], &[f32::NAN; 192]);
    refuses("explain nan.npy", 11, "the array `nan.npy` holds NaN or infinity");
    write_npy(desk.path("flat.npy"), &[8, 8], &[0.0; 64]);
    refuses("explain flat.npy", 7, "its shape is [8, 8], not [3, H, W] or [H, W, 3], or several of those");
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

#[test]
fn a_folder_is_explained_whole_whatever_one_picture_is() {
    let desk = Desk::new();
    desk.album();
    let (said, wrong) = desk.ends(&["explain", "--top", "1", "album", "--batch-size", "2"], 17);
    assert!(said.contains("album/a.png") && said.contains("album/more/c.jpg"), "{said}");
    let last: Vec<&str> = wrong.lines().collect();
    assert!(last[0].contains("cannot read the image `album/broken.png`"), "{wrong}");
    assert_eq!(last[1], "cam: 1 of 3 images could not be explained");

    let files = desk.files("cam-out");
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(
        files[0].starts_with("a_gradcam_layer3.0_") && files[2].starts_with("more/c_gradcam_layer3.0_"),
        "{files:?}"
    );
    let mut lines = desk.manifest();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["album/a.png", "album/broken.png", "album/more/c.jpg"]);
    let map = &lines[0].1["maps"][0];
    assert!(desk.path(map["png"].as_str().unwrap()).exists());
    assert_eq!(map["label"], lines[0].1["predictions"][0]["label"]);
    assert_eq!(map["probability"], lines[0].1["predictions"][0]["probability"]);
    assert!(
        lines[1].1["error"].as_str().unwrap().contains("cannot read")
            && lines[1].1["maps"] == serde_json::json!([])
    );
}

#[test]
fn pictures_are_written_in_the_format_asked_for() {
    let desk = Desk::new();
    desk.album();
    let of = |ending: &str| -> Vec<String> {
        desk.files("cam-out").into_iter().filter(|file| file.ends_with(ending)).collect()
    };
    for (format, ending) in [("png", ".png"), ("webp", ".webp"), ("jpeg", ".jpg")] {
        let (said, _) = desk.ends(&["explain", "--top", "1", "album", "--format", format], 17);
        assert!(!said.contains("done already") && said.contains(ending), "{said}");
        let files = of(ending);
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(image::open(desk.path("cam-out").join(&files[0])).unwrap().width(), 100);
        let (said, _) = desk.ends(&["explain", "--top", "1", "album", "--format", format], 17);
        assert!(said.starts_with("2 of 3 images are done already"), "{said}");
    }
    let sheet = ["compare", "album/a.png", "--method", "gradcam,layercam", "--format", "svg"];
    assert!(desk.says(&sheet).ends_with("cam-out/a_compare.svg\n"));
    assert!(
        std::fs::read_to_string(desk.path("cam-out/a_compare.svg")).unwrap().contains(">layercam</text>")
    );
    desk.says(&["explain", "--top", "1", "scene.png", "--out", "one.svg"]);
    assert!(std::fs::read_to_string(desk.path("one.svg")).unwrap().starts_with("<svg"), "one map alone too");

    let done = desk
        .cam(&["explain", "--top", "1", "scene.png", "--out", "-", "--format", "webp"])
        .assert()
        .success();
    assert!(done.get_output().stdout.starts_with(b"RIFF"));
    desk.says(&["explain", "--top", "1", "scene.png", "--out", "where.JPG", "--format", "jpeg"]);
    desk.refuses(
        &["explain", "--top", "1", "scene.png", "--out", "where.png", "--format", "webp"],
        2,
        "its extension is png, but `--format` is webp",
    );
}

#[test]
fn a_sheet_too_long_for_its_format_is_told_in_one_line() {
    let desk = Desk::new();
    let photos = ["scene.png"; 80];
    let arguments = [&["explain", "--quiet", "--out", "long.webp"], &photos[..]].concat();
    let (_, wrong) = desk.ends(&arguments, 12);
    assert!(
        wrong.lines().count() == 1
            && wrong.contains("is too long for webp, whose sides have at most 16384 pixels: write a PNG"),
        "{wrong}"
    );
    assert!(!desk.path("long.webp").exists());
}

#[test]
fn names_stay_short_enough_for_files() {
    let desk = Desk::new();
    let long = format!("{}.png", "ü".repeat(120));
    std::fs::rename(desk.path("scene.png"), desk.path(&long)).unwrap();
    desk.says(&["explain", "--top", "1", &long, "--layer", "layer1.0,layer2.0,layer3.0", "--fuse", "mean"]);
    let files = desk.files("cam-out");
    let want = format!("{}_gradcam_layer1.0+..+layer3.0_", "ü".repeat(50));
    assert!(files.len() == 1 && files[0].starts_with(&want), "{files:?}");
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let desk = Desk::new();
    desk.album();
    desk.ends(&["explain", "--top", "1", "album"], 17);
    let before = desk.manifest();

    // The run was killed in the middle of a line, and the picture that is no picture has been replaced since.
    let path = desk.path("cam-out/manifest.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(r#"{"input":"album/more/c.j"#);
    std::fs::write(&path, text).unwrap();
    Scene::draw(20_002, 100).unwrap().image.save(desk.path("album/broken.png")).unwrap();
    let said = desk.says(&["explain", "--top", "1", "album"]);
    assert!(said.starts_with("2 of 3 images are done already\nimages are "), "{said}");
    assert!(said.contains("\nalbum/broken.png  ") && !said.contains("album/a.png"), "{said}");
    let after = desk.manifest();
    assert_eq!(after.len(), 3, "a line a picture");
    assert!(after.iter().all(|(_, line)| line["error"].is_null()));
    assert!(before.iter().filter(|(_, line)| line["error"].is_null()).all(|line| after.contains(line)));
    assert!(desk.says(&["explain", "--top", "1", "album"]).starts_with("3 of 3 images are done already\n"));

    // What is gone, changed or asked for in another way is done again.
    std::fs::remove_file(desk.path(after[0].1["maps"][0]["png"].as_str().unwrap())).unwrap();
    assert!(desk.says(&["explain", "--top", "1", "album"]).starts_with("2 of 3 images are done already\n"));
    Scene::draw(20_003, 110).unwrap().image.save(desk.path("album/a.png")).unwrap();
    assert!(desk.says(&["explain", "--top", "1", "album"]).starts_with("2 of 3 images are done already\n"));
    let said = desk.says(&["explain", "--top", "1", "album", "--method", "layercam"]);
    assert!(!said.contains("done already") && said.matches("_layercam_").count() == 3, "{said}");
    assert!(
        desk.says(&["explain", "--top", "1", "album"]).starts_with("3 of 3"),
        "other options leave these lines"
    );
    assert!(!desk.says(&["explain", "--top", "1", "album", "--fresh"]).contains("done already"));
    assert_eq!(desk.manifest().len(), 6);
    // Masks have the names of the overlays, and are written over them.
    assert!(!desk.says(&["explain", "--top", "1", "album", "--overlay", "mask"]).contains("done already"));
    assert!(!desk.says(&["explain", "--top", "1", "album"]).contains("done already"));
    assert!(desk.says(&["explain", "--top", "1", "album"]).starts_with("3 of 3 images are done already\n"));
}

#[test]
fn sheets_of_a_folder_go_on_too_and_a_bad_picture_stops_none() {
    let desk = Desk::new();
    desk.album();
    for (arguments, kind) in [
        (&["compare", "album", "--method", "gradcam,layercam"][..], "compare"),
        (&["guided", "album"], "guided"),
        (&["concepts", "album", "--count", "2"], "concepts"),
    ] {
        let (said, wrong) = desk.ends(arguments, 17);
        assert!(said.contains(&format!("cam-out/more/c_{kind}.png\n")), "{said}");
        assert!(said.ends_with("cam-out/manifest.jsonl\n"), "{said}");
        assert!(wrong.contains("cam: cannot read the image `album/broken.png`"), "{wrong}");
        assert!(wrong.ends_with("cam: 1 of 3 images could not be explained\n"), "{wrong}");
        let (said, wrong) = desk.ends(arguments, 17);
        assert!(said.starts_with("2 of 3 images are done already\n"), "{said}");
        assert!(wrong.ends_with("cam: 1 of 3 images could not be explained\n"), "of all: {wrong}");
        assert!(!said.contains(&format!("_{kind}.png")), "{said}");
        let again = desk.cam(arguments).arg("--fresh").assert().code(17);
        assert!(!String::from_utf8_lossy(&again.get_output().stdout).contains("done already"));
    }
    let sheets = ["compare", "concepts", "guided"];
    let want: Vec<String> = sheets.iter().map(|kind| format!("a_{kind}.png")).collect();
    let files = desk.files("cam-out");
    assert!(want.iter().all(|file| files.contains(file)) && files.len() == 7, "{files:?}");

    let lines = desk.manifest();
    assert_eq!(lines.len(), 9, "a line a picture and command");
    let of = |kind: &str| {
        lines.iter().find(|(name, line)| name == "album/a.png" && line["options"]["command"] == kind).unwrap()
    };
    assert_eq!(of("compare").1["maps"][1]["method"], "layercam");
    assert_eq!(of("concepts").1["maps"].as_array().unwrap().len(), 2);
    assert_eq!(of("guided").1["maps"][0]["png"], "cam-out/a_guided.png");
}

/// The commands that go through the pictures of a folder.
const OF_FOLDERS: [&[&str]; 4] = [
    &["explain", "--top", "1"],
    &["compare", "--top", "1", "--method", "gradcam,layercam"],
    &["guided", "--top", "1"],
    &["concepts", "--count", "2"],
];

#[test]
fn a_picture_too_large_to_be_drawn_stops_no_other() {
    let desk = Desk::new();
    desk.album();
    // 279 million pixels, each side within its limit, said by a file of some hundred bytes.
    let mut vast = std::io::Cursor::new(Vec::new());
    RgbImage::new(8, 8).write_to(&mut vast, image::ImageFormat::Jpeg).unwrap();
    let mut vast = vast.into_inner();
    let frame = vast.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    vast[frame + 5..frame + 9].copy_from_slice(&[16_705u16.to_be_bytes(), 16_705u16.to_be_bytes()].concat());
    std::fs::write(desk.path("album/broken.png"), vast).unwrap();
    for command in OF_FOLDERS {
        for done in ["", "2 of 3 images are done already\n"] {
            let (said, wrong) = desk.ends(&[command, &["album"]].concat(), 17);
            assert!(said.starts_with(done) && said.ends_with("cam-out/manifest.jsonl\n"), "{said}");
            let lines: Vec<&str> =
                wrong.lines().filter(|line| !line.contains("the built-in model")).collect();
            assert_eq!(lines.len(), 2, "{wrong}");
            assert!(lines[0].contains("broken.png` has 16705 x 16705 pixels"), "{wrong}");
            assert_eq!(lines[1], "cam: 1 of 3 images could not be explained");
        }
        let alone = [command, &["album/broken.png"]].concat();
        desk.refuses(
            &alone,
            8,
            "has 16705 x 16705 pixels; each side needs 8 to 20000, and there may be 268435456",
        );
    }
}

#[test]
fn a_picture_whose_files_cannot_be_written_stops_no_other() {
    let desk = Desk::new();
    desk.album();
    std::fs::copy(desk.path("scene.png"), desk.path("album/broken.png")).unwrap();
    for command in OF_FOLDERS {
        // A file where a folder is to be.
        std::fs::create_dir(desk.path("cam-out")).unwrap();
        std::fs::write(desk.path("cam-out/more"), "").unwrap();
        let arguments = [command, &["album"]].concat();
        for done in ["", "2 of 3 images are done already\n"] {
            let (said, wrong) = desk.ends(&arguments, 17);
            assert!(said.starts_with(done), "{said}");
            assert!(wrong.contains("cam: cannot write to `cam-out/more`: "), "{wrong}");
            assert!(wrong.ends_with("cam: 1 of 3 images could not be explained\n"), "{wrong}");
        }
        std::fs::remove_file(desk.path("cam-out/more")).unwrap();
        let (said, _) = desk.ends(&arguments, 0);
        assert!(said.starts_with("2 of 3 images are done already\n"), "{said}");
        std::fs::remove_dir_all(desk.path("cam-out")).unwrap();
    }
    // What its format cannot hold, and what stands in the place of a sheet.
    RgbImage::new(16_400, 8).save(desk.path("album/wide.png")).unwrap();
    let (_, wrong) = desk.ends(&["explain", "--top", "1", "album", "--format", "webp"], 17);
    assert!(wrong.contains("cam: the image of 16400 x 8 is too long for webp"), "{wrong}");
    assert_eq!(desk.files("cam-out").len(), 3 + 1, "{:?}", desk.files("cam-out"));
    std::fs::create_dir(desk.path("cam-out/a_compare.png")).unwrap();
    let (_, wrong) = desk.ends(&["compare", "album", "--method", "gradcam"], 17);
    assert!(wrong.contains("cannot write cam-out/a_compare.png"), "{wrong}");
    assert!(wrong.ends_with("cam: 1 of 4 images could not be explained\n"), "{wrong}");
}

#[test]
fn an_array_that_the_model_cannot_take_stops_no_other() {
    let desk = Desk::new();
    crate::support::hashed_file(&crate::support::VIT.init(&Device::flex()), &desk.path("vit.safetensors"));
    for (name, shape) in
        [("dot", [3, 1, 1]), ("small", [3, 8, 8]), ("odd", [3, 40, 9]), ("vast", [3, 1, 20_001])]
    {
        write_npy(
            desk.path(&format!("{name}.npy")),
            &shape,
            &vec![0.5; shape.iter().product::<u64>() as usize],
        );
    }
    let weights = ["--weights", "vit.safetensors"];
    for command in [&["explain"][..], &["compare", "--method", "gradcam"], &["concepts"]] {
        let arrays = ["scene.png", "dot.npy", "small.npy", "odd.npy", "vast.npy", "scene.png"];
        let (said, wrong) = desk.ends(&[command, &arrays, &weights].concat(), 17);
        assert_eq!(said.lines().filter(|line| line.starts_with("scene.png")).count(), 2, "{said}");
        let words = [
            "`dot.npy` has 1 x 1 pixels",
            "`small.npy`, which has 8 x 8 pixels",
            "`odd.npy`, which has 9 x 40 pixels",
            "`vast.npy` has 20001 x 1 pixels",
        ];
        let refused: Vec<&str> = wrong.lines().filter(|line| line.contains(".npy`")).collect();
        assert_eq!(refused.len(), words.len(), "{wrong}");
        for (line, words) in refused.into_iter().zip(words) {
            assert!(line.contains(words), "{wrong}");
        }
        assert!(wrong.ends_with("cam: 4 of 6 images could not be explained\n"), "{wrong}");
        desk.refuses(
            &[command, &["odd.npy", "--quiet"], &weights].concat(),
            7,
            "the model cannot take the input `odd.npy`, which has 9 x 40 pixels",
        );
    }
}

#[test]
fn a_bad_picture_of_an_array_stops_none_of_the_others() {
    let desk = Desk::new();
    // The middle one of three is so bright that sums overflow.
    let place = |number: usize| number / (3 * 64 * 64);
    let number = |i: usize| if place(i) == 1 { 3e38 } else { (i % 7) as f32 / 7.0 };
    let numbers: Vec<f32> = (0..3 * 3 * 64 * 64).map(number).collect();
    write_npy(desk.path("three.npy"), &[3, 3, 64, 64], &numbers);
    let (said, wrong) = desk.ends(&["explain", "three.npy", "--json=lines"], 17);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors: Vec<bool> = lines.iter().map(|line| line["error"].is_string()).collect();
    assert_eq!(errors, [false, true, false], "{said}");
    assert_eq!(lines[1]["part"]["place"], 1);
    assert!(wrong.contains("is NaN or infinite"), "{wrong}");
    assert!(wrong.ends_with("cam: 1 of 3 images could not be explained\n"), "{wrong}");
    let (said, _) = desk.ends(&["compare", "three.npy", "--method", "gradcam"], 17);
    assert_eq!(said.lines().filter(|line| *line == "three.npy").count(), 2, "{said}");
}

#[test]
fn a_folder_without_pictures_stops_no_other_input() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.refuses(&["explain", "empty"], 7, "there are no images in the folder `empty`");
    for command in OF_FOLDERS {
        let (said, wrong) = desk.ends(&[command, &["empty", "scene.png"]].concat(), 17);
        assert!(said.contains("scene.png"), "{said}");
        assert!(wrong.starts_with("cam: there are no images in the folder `empty`"), "{wrong}");
    }
}

#[test]
fn nothing_that_is_read_is_overwritten() {
    let desk = Desk::new();
    // Files are told by what they hold, so weights and names of classes may be called as pictures are.
    std::fs::rename(desk.resnet18(3), desk.path("weights.png")).unwrap();
    std::fs::write(desk.path("names.svg"), "leaf\nstem\nroot\n").unwrap();
    std::fs::hard_link(desk.path("scene.png"), desk.path("hard.png")).unwrap();
    write_npy(desk.path("array.npy"), &[3, 64, 64], &[0.5; 3 * 64 * 64]);
    let mut outputs = vec!["scene.png", "./scene.png", "hard.png", "weights.png", "names.svg"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("hard.png", desk.path("soft.png")).unwrap();
        std::os::unix::fs::symlink("array.npy", desk.path("array.png")).unwrap();
        outputs.extend(["soft.png", "array.png"]);
        let mut cam = std::process::Command::new(assert_cmd::cargo::cargo_bin("cam"));
        cam.current_dir(desk.folder.path()).args(["explain", "-", "--out", "scene.png"]);
        let done = cam.stdin(std::fs::File::open(desk.path("scene.png")).unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(2) && said.contains("would overwrite `/dev/stdin`"), "{said}");
    }
    let kept = ["scene.png", "weights.png", "names.svg", "array.npy"];
    let bytes = || kept.map(|name| std::fs::read(desk.path(name)).unwrap());
    let before = bytes();
    let model = ["--weights", "weights.png", "--labels", "names.svg"];
    for output in outputs {
        let input = if output == "array.png" { "array.npy" } else { "scene.png" };
        let words = format!("writing to `{output}` would overwrite `");
        for command in OF_FOLDERS {
            desk.refuses(&[command, &[input, "--out", output], &model].concat(), 2, &words);
        }
        desk.refuses(&[&["explain", input, "--html", output][..], &model].concat(), 2, &words);
    }
    desk.refuses(&["explain", "array.npy", "--html", "array.npy"], 2, "would overwrite `array.npy`");
    for option in ["--mask", "--like"] {
        let words = "writing to `hard.png` would overwrite `weights.png`";
        std::fs::remove_file(desk.path("hard.png")).unwrap();
        std::fs::hard_link(desk.path("weights.png"), desk.path("hard.png")).unwrap();
        desk.refuses(&["explain", "scene.png", option, "weights.png", "--out", "hard.png"], 2, words);
        desk.refuses(&["compare", "scene.png", option, "weights.png"], 2, "are for `cam explain`");
    }
    // What lies beside the weights and is read with them.
    std::fs::create_dir_all(desk.path("net/onnx")).unwrap();
    let parts = ["net/model.safetensors", "net/config.json", "net/model.toml", "net/onnx/model.onnx"];
    parts.iter().for_each(|part| std::fs::write(desk.path(part), "{}").unwrap());
    for part in parts {
        for model in ["net", "net/model.safetensors"] {
            let words = format!("writing to `{part}` would overwrite `");
            desk.refuses(&["explain", "scene.png", "--model", model, "--html", part], 2, &words);
        }
        assert_eq!(std::fs::read(desk.path(part)).unwrap(), b"{}");
    }
    desk.refuses(&["explain", "scene.png", "--out", "a.png", "--html", "./a.png"], 2, "name the same file");
    assert_eq!(bytes(), before);
    assert!(desk.files("cam-out").is_empty(), "refused before anything is done");
}

#[test]
fn results_in_a_folder_overwrite_no_input_there() {
    let desk = Desk::new();
    let bytes = |name: &str| std::fs::read(desk.path(name)).unwrap();
    let before = bytes("scene.png");
    std::fs::copy(desk.path("scene.png"), desk.path("scene_more.png")).unwrap();
    for (command, clash) in [
        (OF_FOLDERS[0], "scene_sheet.png"),
        (OF_FOLDERS[0], "scene_gradcam_layer3.0_2.png"),
        (OF_FOLDERS[1], "scene_compare.png"),
        (OF_FOLDERS[2], "scene_guided_2.png"),
        (OF_FOLDERS[3], "scene_concepts.png"),
    ] {
        std::fs::copy(desk.path("scene.png"), desk.path(clash)).unwrap();
        let words = format!("would overwrite `{clash}`, which is an input");
        let two = [command, &["scene.png", clash, "--out", "."]].concat();
        desk.refuses(&two, 2, &words);
        // Where other names are written, they are no trouble.
        desk.ends(&[&two[..], &["--format", "svg"]].concat(), 0);
        assert!(bytes(clash) == before, "{clash}");
        desk.ends(&[command, &["scene.png", "scene_more.png", "--out", "."]].concat(), 0);
    }
    assert!(bytes("scene.png") == before && bytes("scene_more.png") == before);

    // By another way: what is written would go through a link to what is read.
    #[cfg(unix)]
    {
        std::fs::create_dir(desk.path("linked")).unwrap();
        std::os::unix::fs::symlink("../scene.png", desk.path("linked/scene_compare.png")).unwrap();
        let arguments = [OF_FOLDERS[1], &["scene.png", "--out", "linked"]].concat();
        desk.refuses(&arguments, 2, "writing to `linked/scene_compare.png` would overwrite `scene.png`");
        assert!(bytes("scene.png") == before);
    }
    std::fs::create_dir(desk.path("named")).unwrap();
    std::fs::write(desk.path("named/manifest.jsonl"), "one\ntwo\n").unwrap();
    let arguments = ["explain", "scene.png", "--out", "named", "--labels", "named/manifest.jsonl"];
    desk.refuses(&arguments, 2, "would overwrite `named/manifest.jsonl`");

    // The folder of the photos may be that of the results: those are not taken for photos the next time.
    desk.album();
    desk.ends(&["explain", "album", "--out", "album"], 17);
    let written = desk.files("album");
    let (said, _) = desk.ends(&["explain", "album", "--out", "album"], 17);
    assert!(said.starts_with("2 of 3 images are done already\n"), "{said}");
    assert_eq!(desk.files("album"), written);
}

#[test]
fn lines_of_json_are_one_a_picture_bad_ones_too() {
    let desk = Desk::new();
    desk.album();
    let (said, wrong) = desk.ends(&["explain", "album", "--json=lines", "--overlay", "box"], 17);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // In the order of the folder, all of one batch.
    let [a, broken, c] = &lines[..] else { panic!("{said}") };
    assert_eq!(a["image"], "album/a.png");
    assert_eq!(broken["image"], "album/broken.png");
    assert_eq!(c["maps"][0]["label"], c["predictions"][0]["label"]);
    assert!(c["error"].is_null() && c["maps"][0]["boxes"][0][3].as_u64() > Some(0), "{c}");
    assert!(desk.path(a["maps"][0]["png"].as_str().unwrap()).exists());
    assert!(broken["error"].as_str().unwrap().contains("cannot read the image `album/broken.png`"));
    assert_eq!(broken["maps"], serde_json::json!([]));
    assert!(wrong.ends_with("cam: 1 of 3 images could not be explained\n"), "{wrong}");
    desk.refuses(&["explain", "scene.png", "--json=line"], 2, "lines");
}

#[test]
fn a_line_of_json_does_not_wait_for_the_next_picture() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let desk = Desk::new();
    let mut cam = std::process::Command::new(assert_cmd::cargo::cargo_bin("cam"));
    cam.current_dir(desk.folder.path());
    cam.args(["explain", "scene.png", "-", "--json=lines", "--batch-size", "1"]);
    let mut cam = cam.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (read, lines) = std::sync::mpsc::channel();
    let output = BufReader::new(cam.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| read.send(line)));
    let next = || -> Value {
        let line = lines.recv_timeout(std::time::Duration::from_secs(300)).expect("a line in time");
        serde_json::from_str(&line).unwrap()
    };
    // The second picture has not come yet.
    assert_eq!(next()["image"], "scene.png");
    let picture = std::fs::read(desk.path("scene.png")).unwrap();
    cam.stdin.take().unwrap().write_all(&picture).unwrap();
    assert_eq!(next()["image"], "-");
    assert!(cam.wait().unwrap().success());
}

#[test]
fn a_line_of_json_names_one_file_for_all_when_it_is_there() {
    let desk = Desk::new();
    let mut cam = std::process::Command::new(assert_cmd::cargo::cargo_bin("cam"));
    cam.current_dir(desk.folder.path()).stdout(std::process::Stdio::piped());
    cam.args(["explain", "scene.png", "scene.png", "--json=lines", "--batch-size", "1", "--out", "all.png"]);
    let mut cam = cam.spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(cam.stdout.take().unwrap()));
    let mut count = 0;
    for line in lines {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(desk.path(line["maps"][0]["png"].as_str().unwrap()).exists(), "{line}");
        count += 1;
    }
    assert_eq!(count, 2);
    assert!(cam.wait().unwrap().success());
}

#[test]
fn an_array_that_is_half_done_is_done_to_its_end() {
    let desk = Desk::new();
    desk.album();
    let numbers: Vec<f32> = (0..2 * 3 * 64 * 64).map(|i| (i % 11) as f32 / 11.0).collect();
    write_npy(desk.path("two.npy"), &[2, 3, 64, 64], &numbers);
    let arguments = ["explain", "album", "two.npy"];
    desk.ends(&arguments, 17);
    let before = desk.manifest();
    assert_eq!(before.iter().filter(|(name, _)| name == "two.npy").count(), 2);
    let (said, wrong) = desk.ends(&arguments, 17);
    assert!(said.starts_with("3 of 4 images are done already\n"), "{said}");
    assert!(wrong.ends_with("cam: 1 of 5 images could not be explained\n"), "two in the array: {wrong}");

    let second = |line: &Value| line["part"]["place"] == 1;
    let kept = before.iter().filter(|(_, line)| !second(line)).map(|(_, line)| format!("{line}\n"));
    std::fs::write(desk.path("cam-out/manifest.jsonl"), kept.collect::<String>()).unwrap();
    let (said, _) = desk.ends(&arguments, 17);
    assert!(said.starts_with("2 of 4 images are done already\n"), "{said}");
    assert_eq!(
        said.lines().filter(|line| line.starts_with("two.npy")).count(),
        1,
        "only what is left: {said}"
    );
    assert!(desk.ends(&arguments, 17).0.starts_with("3 of 4 images are done already\n"));
}

#[test]
fn what_the_tool_wrote_is_not_explained() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("huggingface")).ok();
    desk.says(&["explain", "."]);
    assert!(desk.says(&["explain", "."]).starts_with("1 of 1 images are done already\n"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_whole_files_only() {
    use std::process::{Command, Stdio};
    let desk = Desk::new();
    std::fs::create_dir(desk.path("album")).unwrap();
    for seed in 0..40 {
        Scene::draw(seed, 128).unwrap().image.save(desk.path(&format!("album/{seed:02}.png"))).unwrap();
    }
    let mut run = Command::new(assert_cmd::cargo::cargo_bin("cam"))
        .current_dir(desk.folder.path())
        .args(["explain", "album", "--batch-size", "1", "--method", "scorecam"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let manifest = desk.path("cam-out/manifest.jsonl");
    let lines = || std::fs::read_to_string(&manifest).unwrap_or_default().lines().count();
    while lines() < 2 && run.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let stopped = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let done = run.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&done.stderr).contains("interrupted"));
    let found = desk.manifest();
    assert!((2..40).contains(&found.len()), "{}", found.len());
    for file in desk.files("cam-out").iter().filter(|file| file.ends_with(".png")) {
        image::open(desk.path("cam-out").join(file)).unwrap();
    }
    let strays: Vec<String> = desk
        .files("cam-out")
        .into_iter()
        .filter(|file| !file.ends_with(".png") && file != "manifest.jsonl")
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}

#[test]
fn pictures_go_through_pipes() {
    let desk = Desk::new();
    let scene = std::fs::read(desk.path("scene.png")).unwrap();
    let done =
        desk.cam(&["explain", "--top", "1", "-", "--out", "-"]).write_stdin(scene.clone()).assert().success();
    let overlay = image::load_from_memory(&done.get_output().stdout).unwrap();
    assert_eq!((overlay.width(), overlay.height()), (200, 200), "one map is the overlay itself");
    assert!(String::from_utf8_lossy(&done.get_output().stderr).contains("by gradcam"));
    assert!(!desk.path("cam-out").exists());

    let three =
        ["explain", "--top", "1", "-", "--out", "-", "--quiet", "--method", "gradcam,layercam,eigencam"];
    let done = desk.cam(&three).write_stdin(scene).assert().success();
    let sheet = image::load_from_memory(&done.get_output().stdout).unwrap();
    assert!(sheet.width() > 3 * 200, "several are a sheet");
    assert!(done.get_output().stderr.is_empty());

    let numbers: Vec<f32> = (0..3 * 64 * 64).map(|i| (i % 7) as f32 / 7.0).collect();
    write_npy(desk.path("one.npy"), &[3, 64, 64], &numbers);
    let array = std::fs::read(desk.path("one.npy")).unwrap();
    desk.cam(&["explain", "--top", "1", "-"]).write_stdin(array).assert().success();
    assert!(desk.files("cam-out")[0].starts_with("stdin_gradcam"));
    let done = desk.cam(&["explain", "--top", "1", "-"]).write_stdin("no picture").assert().code(7);
    assert!(String::from_utf8_lossy(&done.get_output().stderr).starts_with("cam: cannot read the image `-`"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    use std::process::{Command, Stdio};
    let desk = Desk::new();
    for arguments in [
        &["models"][..],
        &["explain", "scene.png"],
        &["explain", "--help"],
        &["man"],
        &["layers", "--model", "resnet152"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut cam = Command::new(assert_cmd::cargo::cargo_bin("cam"));
        cam.current_dir(desk.folder.path()).args(arguments).stdout(writer).stderr(Stdio::piped());
        let done = cam.output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {:?}", done.status);
        assert!(done.stderr.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn one_file_may_take_all_maps() {
    let desk = Desk::new();
    let said = desk.says(&["explain", "--top", "1", "scene.png", "--out", "new/where.jpg"]);
    assert!(said.ends_with("new/where.jpg\n") && said.matches("where.jpg").count() == 1, "{said}");
    assert_eq!(image::open(desk.path("new/where.jpg")).unwrap().width(), 200);
    let report = desk.json(&["explain", "scene.png", "--out", "sheet.png", "--top", "2", "--json"]);
    assert_eq!(maps_of(&report)[1]["png"], "sheet.png");
    assert!(image::open(desk.path("sheet.png")).unwrap().height() > 400);
    desk.refuses(&["explain", "--top", "1", "scene.png", "--out", "sheet.png", "--npy"], 2, "need a folder");
    desk.refuses(
        &["explain", "--top", "1", "scene.png", "--out", "sheet.gif"],
        2,
        "the extensions of images are png, jpg",
    );
    desk.refuses(
        &["explain", "--top", "1", "scene.png", "--out", "-", "--json"],
        2,
        "standard output is for the image",
    );
}

/// Whether `compare` leaves the method out: it runs the whole network many times.
fn is_slow(method: &dyn cam_core::Method) -> bool {
    let info = method.info();
    info.cost.is_slow() && (info.needs.masked_inputs || info.needs.gradient_under_noise)
}

#[test]
fn methods_are_compared_on_one_sheet() {
    let desk = Desk::new();
    let (said, wrong) = desk.ends(&["compare", "scene.png", "--class", "fish", "--class", "football"], 0);
    for method in cam_core::METHODS {
        let told = said.matches(&format!("    {} ", method.name())).count();
        let info = method.info();
        // This network has no attention, and more than a pooling behind the layer.
        let left_out = is_slow(*method) || info.needs.linear_head || info.reads == cam_core::Reads::Attention;
        assert_eq!(told, if left_out { 0 } else { 2 }, "{}: {said}", method.name());
    }
    assert!(wrong.contains("skipped legrad: this model has no attention weights"), "{wrong}");
    assert!(wrong.contains("skipped cam: CAM needs"), "{wrong}");
    let slow: Vec<&str> =
        cam_core::METHODS.iter().filter(|method| is_slow(**method)).map(|method| method.name()).collect();
    let skipped = format!("skipped the slow methods {}: `--slow` includes them", slow.join(", "));
    assert!(slow.contains(&"scorecam") && wrong.contains(&skipped), "{wrong}");
    let sheet = image::open(desk.path("cam-out/scene_compare.png")).unwrap();
    assert!(sheet.width() > 1000 && sheet.height() > 1000, "{} x {}", sheet.width(), sheet.height());

    let two = [
        "compare",
        "scene.png",
        "--method",
        "gradcam,scorecam",
        "--layer",
        "layer2.0,layer3.0",
        "--out",
        "-",
    ];
    let done = desk.cam(&two).assert().success();
    image::load_from_memory(&done.get_output().stdout).unwrap();
    assert!(!String::from_utf8_lossy(&done.get_output().stderr).contains("skipped"));
    desk.refuses(&["compare", "scene.png", "--method", "rollout"], 5, "has no attention weights");
}

#[test]
fn a_strip_shows_all_blocks_from_shallow_to_deep() {
    let desk = Desk::new();
    let report = desk.json(&["explain", "--top", "1", "scene.png", "--layer", "all", "--sheet", "--json"]);
    let maps = maps_of(&report);
    let layers: Vec<&str> = maps.iter().map(|map| map["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]);
    assert_eq!(desk.files("cam-out"), ["scene_sheet.png"]);
    desk.refuses(
        &["explain", "--top", "1", "scene.png", "--layer", "all,layer1"],
        2,
        "cannot be combined with other layers",
    );
}

#[test]
fn overlays_differ_and_boxes_are_told() {
    let desk = Desk::new();
    let mut seen = Vec::new();
    for mode in cam_viz::Mode::ALL {
        let out = format!("{mode}.png");
        desk.says(&["explain", "scene.png", "--overlay", mode.name(), "--out", &out]);
        let bytes = image::open(desk.path(&out)).unwrap().into_rgb8().into_raw();
        assert!(!seen.contains(&bytes), "{mode}");
        seen.push(bytes);
    }
    let report = desk.json(&["explain", "scene.png", "--overlay", "box", "--threshold", "otsu", "--json"]);
    let (map, boxes) = (&maps_of(&report)[0], maps_of(&report)[0]["boxes"].as_array().unwrap().clone());
    let number = |value: &Value| value.as_u64().unwrap();
    let holds = |area: &Value, x: u64, y: u64| {
        let [left, top, width, height] = [0, 1, 2, 3].map(|place| number(&area[place]));
        (left..left + width).contains(&x) && (top..top + height).contains(&y)
    };
    let (x, y) = (number(&map["peak"][0]), number(&map["peak"][1]));
    assert!(boxes.iter().any(|area| holds(area, x, y)), "{map}");
    desk.refuses(&["explain", "scene.png", "--threshold", "0.4"], 2, "is for `--overlay mask`");
    desk.refuses(
        &["explain", "scene.png", "--overlay", "box", "--threshold", "2"],
        2,
        "a number from 0 to 1, or otsu",
    );
    desk.refuses(&["explain", "scene.png", "--alpha", "1.5"], 2, "a number from 0 to 1");
}

#[test]
fn both_signs_are_shown_in_colors_that_diverge() {
    let desk = Desk::new();
    let report = desk.json(&["explain", "scene.png", "--sign", "both", "--npy", "--json"]);
    let (_, heat) = read_npy(desk.path(maps_of(&report)[0]["npy"].as_str().unwrap()));
    let (low, high) = heat.iter().fold((0f32, 0f32), |(low, high), x| (low.min(*x), high.max(*x)));
    assert!(low < 0.0 && high > 0.0 && (low.abs().max(high) - 1.0).abs() < 1e-6, "{low}..{high}");
    desk.refuses(
        &["explain", "scene.png", "--sign", "both", "--colormap", "viridis"],
        2,
        "colors for both signs",
    );
}

#[test]
fn how_sure_a_map_is_stands_beside_it() {
    let desk = Desk::new();
    let asked =
        ["explain", "scene.png", "--method", "gradcam,layercam", "--aug-smooth", "--show-std", "--json"];
    let found = desk.json(&[&asked[..], &["--npy"]].concat());
    for map in maps_of(&found) {
        let std = &map["std"];
        let (shape, numbers) = read_npy(desk.path(std["npy"].as_str().unwrap()));
        assert_eq!(shape, [128, 128]);
        let most = numbers.iter().fold(0.0, |most: f32, value| most.max(*value));
        assert!(numbers.iter().all(|value| *value >= 0.0) && most > 0.0 && most <= 0.5, "{most}");
        assert!((std["max"].as_f64().unwrap() - f64::from(most)).abs() < 1e-6, "{map}");
        let drawn = image::open(desk.path(std["png"].as_str().unwrap())).unwrap();
        assert!(drawn.width() > 200 && drawn.height() > 200, "the photo, and the numbers of its colors");
    }
    let without = desk.json(&[&asked[..5], &["--json", "--fresh"]].concat());
    assert!(maps_of(&without)[0]["std"].is_null(), "it is asked for by name");
    desk.says(&[&asked[..6], &["--out", "with.png"]].concat());
    desk.says(&[&asked[..5], &["--out", "without.png"]].concat());
    let width = |name| image::open(desk.path(name)).unwrap().width();
    assert!(width("with.png") > width("without.png") + 2 * 200, "a standard deviation beside each map");
    desk.refuses(&["explain", "scene.png", "--show-std"], 2, "--aug-smooth|--noise");
    desk.refuses(&["explain", "scene.png", "--aug-smooth", "--sess", "3"], 2, "cannot be used with");
}

#[test]
fn windows_at_several_scales_are_put_together() {
    let desk = Desk::new();
    let maps = |more: &[&str]| {
        let report = desk.json(&[&["explain", "scene.png", "--npy", "--json"], more].concat());
        read_npy(desk.path(maps_of(&report)[0]["npy"].as_str().unwrap())).1
    };
    let (plain, windows) = (maps(&[]), maps(&["--sess", "3"]));
    assert_eq!(plain.len(), windows.len());
    assert!(plain.iter().zip(&windows).any(|(a, b)| (a - b).abs() > 0.1));
}

#[test]
fn quiet_says_nothing_and_verbose_says_what_is_run() {
    let desk = Desk::new();
    assert_eq!(desk.ends(&["explain", "scene.png", "--quiet"], 0), (String::new(), String::new()));
    assert!(desk.ends(&["-q", "models"], 0).0.contains("resnet50"), "what is asked for by name is said");
    let (_, wrong) = desk.ends(&["explain", "none.png", "-q"], 7);
    assert!(wrong.starts_with("cam: cannot read"), "{wrong}");
    let (_, news) = desk.ends(&["explain", "scene.png", "--verbose"], 0);
    assert!(
        news.contains("cam: scenes on cpu, by gradcam at layer3.0") && news.contains("seconds: load"),
        "{news}"
    );
    desk.refuses(&["explain", "scene.png", "-q", "-v"], 2, "cannot be used with");
}

#[test]
fn color_is_for_terminals_only() {
    let desk = Desk::new();
    let (said, _) = desk.ends(&["explain", "scene.png"], 0);
    assert!(!said.contains('\x1b'));
    let colored = desk.cam(&["explain", "scene.png"]).env("CLICOLOR_FORCE", "1").assert().success();
    assert!(colored.get_output().stdout.contains(&0x1b));
    let plain = desk.cam(&["explain", "scene.png"]).env("NO_COLOR", "1").assert().success();
    assert!(!plain.get_output().stdout.contains(&0x1b));
}

#[test]
fn a_preview_is_shown_when_it_is_asked_for() {
    let desk = Desk::new();
    let (said, _) = desk.ends(&["explain", "scene.png", "--preview"], 0);
    assert!(said.contains('\u{2584}') && said.contains("\x1b["), "half blocks where there are no graphics");
    assert!(!desk.says(&["explain", "scene.png"]).contains('\u{2584}'));
    for (how, start) in
        [("kitty", "\x1b_Ga=T"), ("iterm", "\x1b]1337;File="), ("sixel", "\x1bP"), ("blocks", "\x1b[48")]
    {
        let said = desk.says(&["concepts", "scene.png", &format!("--preview={how}")]);
        assert!(said.contains(start), "{how}");
    }
    desk.refuses(
        &["explain", "scene.png", "--preview=sixels"],
        2,
        "possible values: auto, kitty, iterm, sixel",
    );
}

#[test]
fn shells_get_completions_and_manual_pages() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.says(&["completions", shell]);
        assert!(script.contains("explain") && script.contains("eigen-smooth"), "{shell}");
    }
    let script = desk.says(&["completions", "bash"]);
    assert!(
        script.contains("gradcamelementwise") && script.contains("swin_tiny_patch4_window7_224"),
        "names too"
    );
    let page = desk.says(&["man"]);
    assert!(
        page.contains(".SH SUBCOMMANDS") && page.contains(".SH \"EXIT CODES\"\n.nf\n   0  success\n"),
        "{page}"
    );
    let page = desk.says(&["man", "explain"]);
    assert!(
        page.starts_with(".ie")
            && page.contains("eigen")
            && page.contains(".SH EXAMPLES\n.nf\n  cam explain cam"),
        "{page}"
    );
    desk.says(&["man", "--out", "pages"]);
    assert!(desk.files("pages").contains(&"cam-explain.1".to_string()), "{:?}", desk.files("pages"));
    desk.refuses(&["man", "explian"], 2, "no command is called `explian`");
}

#[test]
fn a_command_line_that_is_not_understood_is_told_in_one_line() {
    let desk = Desk::new();
    desk.refuses(
        &["explain", "scene.png", "--metod", "x"],
        2,
        "found; tip: a similar argument exists: '--method'; see",
    );
    desk.refuses(&["explain", "scene.png", "--overlay", "blent"], 2, "possible values: blend, heat");
    desk.refuses(&["explain"], 2, "<IMAGE>");
    desk.refuses(&["explian"], 2, "'explain'");
    for (arguments, help) in [
        (&["explain", "scene.png", "--alpha", "7"][..], "`cam explain --help`"),
        (&["--quiet", "compare", "scene.png", "--top", "0"], "`cam compare --help`"),
        (&["bench", "--metod", "x"], "`cam bench --help`"),
        (&["--loud"], "`cam --help`"),
    ] {
        desk.refuses(arguments, 2, help);
    }
}

#[test]
fn a_class_is_asked_for_by_name_and_names_near_it_are_told() {
    let desk = Desk::new();
    desk.resnet18(1000);
    let refuses = |class: &str, words: &str| {
        desk.refuses(
            &["explain", "scene.png", "--weights", "resnet18.safetensors", "--class", class],
            4,
            words,
        );
    };
    refuses("mastiff", "did you mean bull mastiff, Tibetan mastiff");
    refuses("tabbi", "did you mean tabby");
}

#[test]
fn a_sheet_says_whose_maps_it_shows() {
    let desk = Desk::new();
    std::fs::copy(desk.path("scene.png"), desk.path("other.png")).unwrap();
    desk.album();
    let texts = |arguments: &[&str]| -> Vec<String> {
        desk.says(&[&["explain"], arguments, &["--out", "sheet.svg", "--quiet"]].concat());
        let sheet = std::fs::read_to_string(desk.path("sheet.svg")).unwrap();
        let texts = sheet.split("</text>").filter_map(|text| text.rsplit_once('>'));
        texts.map(|(_, text)| text.to_string()).collect()
    };
    let one = texts(&["scene.png", "--method", "gradcam,layercam"]);
    assert!(
        one[0].starts_with("scene.png, explained with scenes") && one.contains(&"image".into()),
        "{one:?}"
    );
    let two = texts(&["scene.png", "album/more"]);
    assert!(two[0].starts_with("2 images, explained with scenes"), "{two:?}");
    for name in ["scene.png", "c.jpg"] {
        assert!(two.contains(&name.into()), "each photo is called by its name: {two:?}");
    }
    let numbers: Vec<f32> = (0..2 * 3 * 64 * 64).map(|i| (i % 7) as f32 / 7.0).collect();
    write_npy(desk.path("two.npy"), &[2, 3, 64, 64], &numbers);
    let parts = texts(&["two.npy"]).join(" ");
    assert!(parts.contains("two.npy, 1 of 2") && parts.contains("two.npy, 2 of 2"), "{parts}");
}

#[test]
fn a_sheet_with_stds_is_a_grid_without_gaps() {
    let desk = Desk::new();
    let asked = "explain --top 1 scene.png --method gradcam,layercam,fullgrad --layer layer2.0,layer3.0 --noise 2 --show-std --out sheet.svg";
    desk.says(&asked.split(' ').collect::<Vec<_>>());
    let sheet = std::fs::read_to_string(desk.path("sheet.svg")).unwrap();
    let number = |tag: &str, name: &str| -> u32 {
        tag.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let pictures: Vec<&str> =
        sheet.split("<image ").skip(1).filter(|tag| number(tag, "width") == 200).collect();
    assert_eq!(pictures.len(), 1 + 2 * (1 + 2 * 2), "the image, and a standard deviation beside each map");
    let mut lefts: Vec<u32> = pictures.iter().map(|tag| number(tag, "x")).collect();
    lefts.sort();
    lefts.dedup();
    assert!(lefts.windows(2).all(|pair| pair[1] - pair[0] == 210), "columns at even distances: {lefts:?}");
}

#[test]
fn guided_backpropagation_and_concepts_are_sheets_too() {
    let desk = Desk::new();
    desk.says(&["guided", "scene.png", "--class", "fish", "--class", "football"]);
    desk.says(&["concepts", "scene.png", "--count", "3"]);
    assert_eq!(desk.files("cam-out"), ["scene_concepts.png", "scene_guided.png"]);
    let said = desk.says(&["concepts", "scene.png", "--count", "3", "--out", "concepts.svg"]);
    assert_eq!(said.matches(", hottest at ").count(), 3, "{said}");
    assert!(std::fs::read_to_string(desk.path("concepts.svg")).unwrap().contains("concept 3"));
    desk.album();
    desk.refuses(&["guided", "album", "--out", "-"], 2, "need a folder");
}
