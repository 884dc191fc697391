//! ONNX files in the tool and the library.

use crate::support::repository;
use burn_cam::{Device, ErrorKind, GradCam, ImageExplainer, ImageModel, Logits, OpenModel};
use std::path::PathBuf;

fn golden(name: &str) -> PathBuf {
    repository().join("crates/cam-onnx/tests/golden").join(name)
}

#[test]
fn a_file_is_a_model_of_images() {
    let device = Device::flex();
    let model = burn_cam::open(golden("residual_torchscript.onnx"), &device).unwrap();
    let info = model.info();
    assert_eq!(
        (info.name.as_str(), info.about.as_str()),
        ("residual_torchscript", "an ONNX file by pytorch")
    );
    assert_eq!(model.preprocess().size, [32, 32]);
    assert!(model.sha256().unwrap().is_some());
    let image = cam_scenes::Scene::draw(7, 200).unwrap().image;
    let found = ImageExplainer::new(&model).method(GradCam).explain(&image).unwrap();
    assert_eq!((found.predictions.len(), found.maps[0].layer.as_str()), (5, "layer2"));
    // Nothing says how images become its input.
    assert!(info.assumed.iter().any(|assumed| assumed.contains("ImageNet")), "{:?}", info.assumed);
}

#[test]
fn what_is_stated_is_not_assumed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    std::fs::copy(golden("residual_torchscript.onnx"), &file).unwrap();
    let card = r#"
        mean = [0.5]
        std = [0.5]
        labels = ["a", "b", "c", "d", "e"]
        logits = "sigmoid"
        layer = "layer1.1"
    "#;
    std::fs::write(folder.path().join("net.toml"), card).unwrap();
    let model = burn_cam::open(&file, &Device::flex()).unwrap();
    assert_eq!(model.info().assumed, Vec::<String>::new());
    assert_eq!((model.default_layer(), model.preprocess().mean.as_ref()), (Some("layer1.1"), &[0.5][..]));
    assert!(model.decoder().target("c").is_ok() && model.decoder().target("z").is_err());
    let stated = OpenModel::new().weights(&file).logits(Logits::None).open(&Device::flex()).unwrap();
    assert!(!stated.decoder().explains_several());
}

#[test]
fn gradients_through_rounding_are_said() {
    for (name, is_quantized) in
        [("residual_qdq.onnx", true), ("residual_qoperator.onnx", true), ("residual_dynamo.onnx", false)]
    {
        let assumed = burn_cam::open(golden(name), &Device::flex()).unwrap().info().assumed;
        assert_eq!(
            assumed.iter().any(|said| said.contains("the rounding")),
            is_quantized,
            "{name}: {assumed:?}"
        );
    }
}

#[test]
fn a_softmax_at_the_end_is_seen_through() {
    let model = burn_cam::open(golden("nhwc_torchscript.onnx"), &Device::flex()).unwrap();
    let image = cam_scenes::Scene::draw(7, 200).unwrap().image;
    let found = ImageExplainer::new(&model).explain(&image).unwrap();
    let sum: f32 = found.predictions.iter().map(|prediction| prediction.probability).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    // Of probabilities a softmax would be nearly even.
    assert!(!model.info().assumed.iter().any(|assumed| assumed.contains("softmax")));
}

#[test]
fn what_cannot_be_opened_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    std::fs::write(&file, b"\x08\x07\x3a\x00").unwrap();
    let error = burn_cam::open(&file, &Device::flex()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.to_string().contains("names no version of ONNX's operators"), "{error}");
    assert!(burn_cam::open(folder.path().join("missing.onnx"), &Device::flex()).is_err());
}
