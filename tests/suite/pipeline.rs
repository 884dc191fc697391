//! One pipeline: the tool is a layer over `burn_cam`, and gives the maps that the library gives, bit for bit.

use burn::tensor::Device;
use burn_cam::{
    AnyModel, Fusion, HeatMap, ImageExplainer, ImageExplanation, ImageInput, OpenModel, Rectify, Registry,
    Scale, Sess, Smooth,
};
use cam_scenes::Scene;
use npyz::NpyFile;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The sources of the tool.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn the_tool_reaches_tensors_models_and_images_through_burn_cam_alone() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cam-cli/src"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in ["cam_core", "cam_graph", "cam_image", "cam_models", "cam_nn", "cam_viz", "burn", "image"]
        {
            let path = format!("{word}::");
            for (at, _) in text.match_indices(&path) {
                let before = text[..at].chars().next_back();
                let alone =
                    before.is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':');
                assert!(
                    !alone,
                    "{} names `{path}` itself: {}",
                    file.display(),
                    text[at..].lines().next().unwrap()
                );
            }
        }
    }
    let manifest = include_str!("../../Cargo.toml");
    let dependencies = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    for name in ["burn", "cam-core", "cam-graph", "cam-image", "cam-models", "cam-nn", "cam-viz", "image"] {
        let named =
            |line: &str| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} "));
        assert!(!dependencies.lines().any(named), "{name} is a dependency of the tool");
    }
}

/// The README's `cargo run` names no program: of those of the default members, one package has to say which is meant.
#[cfg(not(packed))]
#[test]
fn cargo_run_is_the_tool() {
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let members = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let named: Vec<&str> = packages
        .filter(|package| members.contains(&package["id"]))
        .filter_map(|package| package["default_run"].as_str())
        .collect();
    assert_eq!(named, ["cam"]);
}

/// The maps that the tool writes for a scene with these options: heat map and raw evidence of each.
fn by_tool(options: &[&str]) -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    Scene::draw(10_000, 200).unwrap().image.save(folder.path().join("scene.png")).unwrap();
    let mut cam = assert_cmd::Command::cargo_bin("cam").unwrap();
    cam.current_dir(folder.path()).args([
        "explain",
        "scene.png",
        "--device",
        "cpu",
        "--npy",
        "--raw",
        "--json",
    ]);
    let done = cam.args(options).assert().success();
    let report: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    let numbers = |map: &Value, kind: &str| {
        let bytes = std::fs::read(folder.path().join(map[kind].as_str().unwrap())).unwrap();
        NpyFile::new(&bytes[..]).unwrap().into_vec::<f32>().unwrap()
    };
    let maps = report["images"][0]["maps"].as_array().unwrap();
    let name = |map: &Value| {
        ["label", "layer", "method"].map(|part| map[part].as_str().unwrap().to_string()).join(" ")
    };
    maps.iter().map(|map| (name(map), numbers(map, "npy"), numbers(map, "raw"))).collect()
}

/// The maps that the library gives for the same scene.
fn by_library<'m>(
    model: &'m AnyModel,
    configure: impl FnOnce(ImageExplainer<'m, AnyModel>) -> ImageExplainer<'m, AnyModel>,
) -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let image = ImageInput::from(Scene::draw(10_000, 200).unwrap().image);
    let found: ImageExplanation = configure(ImageExplainer::new(model)).explain(image).unwrap();
    let values = |map: &HeatMap| map.values().to_vec();
    let maps = found.maps.iter();
    maps.map(|map| {
        let name = format!("{} {} {}", map.label, map.layer, map.method.name);
        (name, values(&map.heatmap), values(&map.raw))
    })
    .collect()
}

#[track_caller]
fn same_bits(tool: &[(String, Vec<f32>, Vec<f32>)], library: &[(String, Vec<f32>, Vec<f32>)]) {
    let bits = |maps: &[(String, Vec<f32>, Vec<f32>)]| -> Vec<(String, Vec<u32>)> {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        maps.iter().map(|(name, heat, raw)| (name.clone(), [bits(heat), bits(raw)].concat())).collect()
    };
    assert!(tool.iter().all(|(_, heat, _)| heat.iter().any(|value| *value != 0.0)), "no map is blank");
    let names = |maps: &[(String, Vec<f32>, Vec<f32>)]| -> Vec<String> {
        maps.iter().map(|(name, ..)| name.clone()).collect()
    };
    assert_eq!(names(tool), names(library));
    assert_eq!(bits(tool), bits(library));
}

#[test]
fn the_tool_gives_the_maps_of_the_library_bit_for_bit() {
    let model = OpenModel::new().open(&Device::flex()).unwrap();
    let registry = Registry::default();
    let method = |name: &str| registry.method(name).unwrap();
    same_bits(&by_tool(&[]), &by_library(&model, |it| it));
    same_bits(
        &by_tool(&["--method", "gradcam,eigencam,fullgrad", "--layer", "layer2.0,layer3.0", "--top", "2"]),
        &by_library(&model, |it| {
            let it = it.method(method("gradcam")).method(method("eigencam")).method(method("fullgrad"));
            it.layer("layer2.0").layer("layer3.0").top(2)
        }),
    );
    same_bits(
        &by_tool(&[
            "--class", "fish", "--score", "finer", "--sign", "both", "--noise", "3", "--sigma", "0.1",
        ]),
        &by_library(&model, |it| {
            let fish = burn_cam::Classify::new(cam_scenes::Class::ALL.map(cam_scenes::Class::name));
            let fish = burn_cam::Decoder::target(&fish, "fish").unwrap();
            it.target(registry.target("finer", fish).unwrap())
                .configure(|it| it.rectify(Rectify::Signed).scale(Scale::Symmetric))
                .wrap(Smooth::noisy(3, 0.1, 0))
        }),
    );
    same_bits(
        &by_tool(&["--layer", "layer2.0,layer3.0", "--fuse", "product", "--aug-smooth", "--eigen-smooth"]),
        &by_library(&model, |it| {
            it.layer("layer2.0")
                .layer("layer3.0")
                .configure(|it| it.eigen_smooth(true))
                .wrap(Fusion::Product)
                .wrap(Smooth::augmented())
        }),
    );
    same_bits(
        &by_tool(&["--sess", "2", "--method", "layercam,ablationcam"]),
        &by_library(&model, |it| {
            let it = it.method(method("layercam")).method(method("ablationcam"));
            it.wrap(Sess { scales: 2, ..Sess::PAPER })
        }),
    );
}
