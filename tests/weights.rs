//! Weight files: every container gives the logits of PyTorch, and what does not fit is told in full.

mod support;

use burn::tensor::Device;
use cam_core::{Model, Taps};
use cam_models::resnet::{ResNet, ResNetConfig};
use cam_models::{Classifier, Error, Weights};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::{Path, PathBuf};
use support::{TINY, TINY_RESNEXT, picture};

fn stored(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights").join(file)
}

fn load(config: ResNetConfig, path: &Path) -> Result<ResNet, Error> {
    Weights::open(path)?.load("tiny", config.init(&Device::flex()))
}

fn logits(network: &ResNet) -> Vec<f32> {
    network.forward(picture("input", [1, 64, 64], 16), &Taps::off()).into_data().try_to_vec().unwrap()
}

#[test]
fn every_container_gives_the_logits_of_pytorch() {
    let notes: serde_json::Value =
        serde_json::from_slice(&std::fs::read(stored("tiny.json")).unwrap()).unwrap();
    for file in [
        "tiny.pth",
        "tiny_legacy.pth",
        "tiny_wrapped.pth",
        "tiny.safetensors",
        "tiny_f16.safetensors",
        "tiny_resnext.safetensors",
    ] {
        let config = if file.contains("resnext") { TINY_RESNEXT } else { TINY };
        let network = load(config, &stored(file)).unwrap();
        let expected: Vec<f32> = notes["files"][file]["logits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap() as f32)
            .collect();
        let full = expected.iter().fold(0f32, |full, x| full.max(x.abs()));
        // As it is trained, and with its norms folded for inference.
        for (what, network) in [("trained", network.clone()), ("folded", network.folded())] {
            let ours = logits(&network);
            assert_eq!(ours.len(), expected.len());
            for (a, b) in ours.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5 * full, "{file}, {what}: {a} is not {b}");
            }
        }
    }
}

fn mismatch(config: ResNetConfig, file: &str) -> (cam_models::Mismatch, String) {
    match load(config, &stored(file)) {
        Err(error @ Error::WrongWeights { .. }) => {
            let said = error.to_string();
            let Error::WrongWeights { mismatch, .. } = error else { unreachable!() };
            (mismatch, said)
        }
        other => panic!("{file}: {:?}", other.map(|_| ())),
    }
}

#[test]
fn all_that_differs_is_told_at_once() {
    let (found, said) =
        mismatch(ResNetConfig { blocks: [2, 1, 1, 1], classes: 7, ..TINY }, "tiny.safetensors");
    assert!(found.missing.contains(&("layer1.1.conv1.weight".into(), vec![8, 8, 3, 3])));
    assert_eq!(found.missing.len(), 10, "two convolutions and two norms of four tensors");
    assert!(found.unexpected.is_empty());
    assert_eq!(
        found.misshapen,
        [("fc.bias".into(), vec![7], vec![10]), ("fc.weight".into(), vec![7, 64], vec![10, 64])]
    );
    assert!(said.contains("10 missing: ") && said.contains("fc.bias is [10] and should be [7]"), "{said}");

    let (found, _) =
        mismatch(ResNetConfig { blocks: [1, 1, 1, 1], ..TINY_RESNEXT }, "tiny_resnext.safetensors");
    assert!(found.missing.is_empty() && found.misshapen.is_empty());
    assert!(found.unexpected.contains(&("layer1.1.conv2.weight".into(), vec![4, 1, 3, 3])));
}

#[test]
fn the_weights_of_another_network_do_not_half_load() {
    let (found, said) = mismatch(TINY_RESNEXT, "tiny.pth");
    assert!(found.missing.iter().any(|(name, _)| name == "layer1.0.conv3.weight"));
    assert_eq!(said.lines().count(), 1, "one line: {said}");
}

#[test]
fn the_file_says_how_many_classes_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r18.safetensors");
    let seven = ResNetConfig { classes: 7, ..cam_models::resnet::VARIANTS[0].1 };
    support::hashed_file(&seven.init(&Device::flex()), &path);
    let model = Classifier::load("resnet18", &path, &Device::flex()).unwrap();
    assert_eq!(model.labels(), ["0", "1", "2", "3", "4", "5", "6"]);
}

#[test]
fn files_that_are_no_weights_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let safetensors = std::fs::read(stored("tiny.safetensors")).unwrap();
    let zip = std::fs::read(stored("tiny.pth")).unwrap();
    let legacy = std::fs::read(stored("tiny_legacy.pth")).unwrap();
    let mut absurd = (1u64 << 60).to_le_bytes().to_vec();
    absurd.extend(b"{}");
    let overlapping = br#"{"conv1.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let mut overlap = (overlapping.len() as u64).to_le_bytes().to_vec();
    overlap.extend(overlapping);
    overlap.extend([0; 12]);
    for path in [
        folder.path().join("none.safetensors"),
        file("empty.safetensors", b""),
        file("text.safetensors", b"these are no weights at all, whatever the name says"),
        file("cut.safetensors", &safetensors[..safetensors.len() / 2]),
        file("absurd.safetensors", &absurd),
        file("overlap.safetensors", &overlap),
        file("empty.pth", b""),
        file("text.pth", b"these are no weights at all, whatever the name says"),
        file("cut.pth", &zip[..zip.len() / 2]),
        file("cut_legacy.pth", &legacy[..legacy.len() / 2]),
        file("weights.onnx", &zip),
    ] {
        let said = load(TINY, &path).err().unwrap_or_else(|| panic!("{} was loaded", path.display()));
        assert!(matches!(said, Error::UnreadableWeights { .. }), "{}: {said}", path.display());
    }
}

#[test]
fn what_lies_beside_the_tensors_is_not_looked_at() {
    // An optimizer's state and a counter, as training scripts save them.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let bytes = std::fs::read(stored("tiny.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let step = 7i64.to_le_bytes();
    let mut views: Vec<(String, TensorView<'_>)> =
        tensors.tensors().into_iter().map(|(name, view)| (format!("model.module.{name}"), view)).collect();
    views.push(("optimizer.step".into(), TensorView::new(Dtype::I64, vec![1], &step).unwrap()));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let plain = load(TINY, &stored("tiny.safetensors")).unwrap();
    assert_eq!(logits(&load(TINY, &path).unwrap()), logits(&plain));
}

#[test]
fn every_variant_has_as_many_parameters_as_torchvisions() {
    let counts = [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("wide_resnet50_2", 68_883_240),
        ("wide_resnet101_2", 126_886_696),
        ("resnext50_32x4d", 25_028_904),
        ("resnext101_32x8d", 88_791_336),
        ("resnext101_64x4d", 83_455_272),
    ];
    for ((name, config), (expected_name, parameters)) in cam_models::resnet::VARIANTS.iter().zip(counts) {
        let network = config.init(&Device::flex());
        // Running statistics are no parameters in torchvision's count.
        let shapes = burn::store::ModuleSnapshot::collect(&network, None, None, true);
        let ours: usize = shapes
            .iter()
            .filter(|tensor| !tensor.name.contains("running_"))
            .map(|tensor| tensor.shape.iter().product::<usize>())
            .sum();
        assert_eq!((*name, ours), (expected_name, parameters));
    }
}
