//! Weight files: every container gives the logits of PyTorch, networks are recognized by their tensors, and what does not
//! fit is told in full. Hostile files are in `hostile.rs`.

use crate::support::{TINY, TINY_RESNEXT, archive, picture};
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PRelu, PReluConfig};
use burn::store::{BurnpackStore, ModuleStore};
use burn::tensor::{Device, Gradients, Tensor};
use cam_core::{Model, Taps};
use cam_models::zoo::resnet::{ResNet, ResNetConfig};
use cam_models::{Classifier, Error, Weights};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn stored(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights").join(file)
}

fn load(config: ResNetConfig, path: &Path) -> Result<ResNet, Error> {
    Weights::open(path)?.load("tiny", config.init(&Device::flex()))
}

fn logits(network: &ResNet) -> Vec<f32> {
    let recorded = cam_graph::record(network, ResNet::forward).unwrap();
    recorded.forward(picture("input", [1, 64, 64], 16), &Taps::off()).into_data().try_to_vec().unwrap()
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
        // As a module, and recorded, its norms folded for inference.
        let module = network.forward(picture("input", [1, 64, 64], 16)).into_data().try_to_vec().unwrap();
        for (what, ours) in [("a module", module), ("recorded", logits(&network))] {
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
            (*mismatch, said)
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

/// A user's own network, with names that no publisher has.
#[derive(Module, Debug)]
struct Own {
    stem: Conv2d,
    act: PRelu,
    layers: Vec<Linear>,
    norm: LayerNorm,
}

impl Own {
    fn new(device: &Device) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Self {
            stem: Conv2dConfig::new([3, 4], [3, 3]).init(device),
            act: PReluConfig::new().with_num_parameters(4).init(device),
            layers: vec![linear(4, 5), linear(5, 2)],
            norm: LayerNormConfig::new(2).init(device),
        }
    }
}

#[test]
fn a_users_own_network_gets_the_tensors_of_pytorch_under_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.safetensors");
    let of = |names: [&str; 4]| {
        let [stem, act, layers, norm] = names;
        let second = if layers == "head" { 2 } else { 1 };
        let shapes: BTreeMap<String, Vec<usize>> = [
            (format!("{stem}.weight"), vec![4, 3, 3, 3]),
            (format!("{stem}.bias"), vec![4]),
            (format!("{act}.weight"), vec![4]),
            (format!("{layers}.0.weight"), vec![5, 4]),
            (format!("{layers}.0.bias"), vec![5]),
            (format!("{layers}.{second}.weight"), vec![2, 5]),
            (format!("{layers}.{second}.bias"), vec![2]),
            (format!("{norm}.weight"), vec![2]),
            (format!("{norm}.bias"), vec![2]),
        ]
        .into();
        crate::support::write_hashed(&shapes, &path);
        Weights::open(&path).unwrap()
    };
    let own = || Own::new(&Device::flex());
    let alpha = |net: &Own| net.act.alpha.val().into_data().try_to_vec::<f32>().unwrap();
    // The names of the module, for which nothing is stated. A last layer called `linear` is no head here, whatever is beside it.
    let plain = of(["stem", "act", "layers", "norm"]).load("own", own()).unwrap();
    assert_ne!(alpha(&plain), [0.25; 4], "its alpha is read");
    // Those of a sequence, whose layers without tensors have numbers as well.
    let names = [
        ("^net[.]0[.]", "stem."),
        ("^net[.]1[.]", "act."),
        ("^head[.]0[.]", "layers.0."),
        ("^head[.]2[.]", "layers.1."),
    ];
    let renamed = of(["net.0", "net.1", "head", "norm"]).remap(names).unwrap().load("own", own()).unwrap();
    assert_ne!(alpha(&renamed), alpha(&plain), "hashes of other names");
    let linear = renamed.layers[1].weight.val().into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(linear.len(), 10);
    let unnamed = of(["net.0", "net.1", "head", "norm"]).load("own", own()).unwrap_err().to_string();
    assert!(unnamed.contains("act.weight [4]") && unnamed.contains("net.1.weight [4]"), "{unnamed}");
    // Two tensors of one name.
    let both = [("^(stem|act)[.]", "one.")];
    let said = of(["stem", "act", "layers", "norm"]).remap(both).err().unwrap().to_string();
    assert!(said.contains("renamed to `one.weight`"), "{said}");
    let said = of(["stem", "act", "layers", "norm"]).remap([("(", "")]).err().unwrap().to_string();
    assert!(said.contains("no regular expression"), "{said}");
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
    let seven = ResNetConfig { classes: 7, ..cam_models::zoo::resnet::VARIANTS[0].1 };
    crate::support::hashed_file(&seven.init(&Device::flex()), &path);
    let model = Classifier::load("resnet18", &path, &Device::flex()).unwrap();
    assert_eq!(model.labels(), ["0", "1", "2", "3", "4", "5", "6"]);
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
    for ((name, config), (expected_name, parameters)) in cam_models::zoo::resnet::VARIANTS.iter().zip(counts)
    {
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

/// Writes the tensors of `tiny.safetensors` under other names or as other numbers.
fn rewritten<'a>(path: &Path, views: impl IntoIterator<Item = (String, TensorView<'a>)>) {
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn averaged_weights_come_before_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let bytes = std::fs::read(stored("tiny.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let zeros = vec![0; bytes.len()];
    let views = tensors.tensors().into_iter().flat_map(|(name, view)| {
        let (dtype, shape) = (view.dtype(), view.shape().to_vec());
        let nothing = TensorView::new(dtype, shape, &zeros[..view.data().len()]).unwrap();
        [(format!("state_dict.{name}"), nothing), (format!("state_dict_ema.{name}"), view)]
    });
    rewritten(&path, views);
    let plain = load(TINY, &stored("tiny.safetensors")).unwrap();
    assert_eq!(logits(&load(TINY, &path).unwrap()), logits(&plain));
}

#[test]
fn bfloat16_is_the_number_it_stands_for() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(stored("tiny.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    // A bfloat16 is the upper half of a float32.
    let upper = |bytes: &[u8]| bytes.chunks_exact(4).flat_map(|x| [x[2], x[3]]).collect::<Vec<u8>>();
    let cleared = |bytes: &[u8]| bytes.chunks_exact(4).flat_map(|x| [0, 0, x[2], x[3]]).collect::<Vec<u8>>();
    let floats = tensors.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    let numbers: Vec<_> = floats
        .map(|(name, view)| (name, view.shape().to_vec(), upper(view.data()), cleared(view.data())))
        .collect();
    let (narrow, wide) = (folder.path().join("narrow.safetensors"), folder.path().join("wide.safetensors"));
    rewritten(
        &narrow,
        numbers.iter().map(|(name, shape, upper, _)| {
            (name.clone(), TensorView::new(Dtype::BF16, shape.clone(), upper).unwrap())
        }),
    );
    rewritten(
        &wide,
        numbers.iter().map(|(name, shape, _, cleared)| {
            (name.clone(), TensorView::new(Dtype::F32, shape.clone(), cleared).unwrap())
        }),
    );
    assert_eq!(logits(&load(TINY, &narrow).unwrap()), logits(&load(TINY, &wide).unwrap()));
}

/// A network inside of an enum.
#[derive(Module, Debug)]
enum Wrapped {
    ResNet(ResNet),
}

#[test]
fn what_burn_saved_is_loaded_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let network = load(TINY, &stored("tiny.safetensors")).unwrap();
    let path = folder.path().join("tiny.bpk");
    BurnpackStore::from_file(&path).collect_from(&network).unwrap();
    assert_eq!(logits(&load(TINY, &path).unwrap()), logits(&network));

    // The same inside of an enum, whose variant Burn writes into the names.
    let wrapped = folder.path().join("wrapped.burnpack");
    BurnpackStore::from_file(&wrapped).collect_from(&Wrapped::ResNet(network.clone())).unwrap();
    assert_eq!(logits(&load(TINY, &wrapped).unwrap()), logits(&network));
    let images = picture("input", [1, 64, 64], 16);
    let model = Classifier::load_file(&wrapped, &Device::flex()).unwrap();
    let network = cam_graph::record(&network, ResNet::forward).unwrap();
    let same = model.forward(images.clone(), &Taps::off()) - network.forward(images, &Taps::off());
    assert_eq!(same.abs().max().into_scalar::<f32>(), 0.0);
}

#[test]
fn a_transformer_of_another_depth_is_looked_at_before_its_last_attention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vit.safetensors");
    crate::support::hashed_file(&crate::support::VIT.init(&Device::flex()), &path);
    // Behind `blocks.2.norm2` no gradient reaches the patches.
    assert_eq!(Classifier::load_file(&path, &Device::flex()).unwrap().card().layer, "blocks.2.norm1");
}

/// Counts the parameters that a loss moves, and those of a network.
struct Moved<'a>(&'a Gradients, [usize; 2]);

impl ModuleVisitor for Moved<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = param.val();
        if parameter.is_require_grad() {
            self.1[0] += usize::from(parameter.grad(self.0).is_some());
            self.1[1] += 1;
        }
    }
}

#[test]
fn what_is_loaded_can_be_trained_further() {
    let device = Device::flex().autodiff();
    let weights = Weights::open(&stored("tiny.safetensors")).unwrap();
    let network = weights.load("tiny", TINY.init(&device)).unwrap();
    let images = Tensor::from_data(picture("input", [2, 64, 64], 16).into_data(), &device);
    let gradients = network.forward(images).powi_scalar(2).sum().backward();
    let counts = |network: &ResNet| {
        let mut moved = Moved(&gradients, [0, 0]);
        network.visit(&mut moved);
        moved.1
    };
    let [moved, all] = counts(&network);
    let [_, fresh] = counts(&TINY.init(&device));
    assert!(moved == all && all == fresh, "{moved} of {all}, {fresh} in a fresh one");
}

#[test]
fn the_container_is_told_by_its_bytes_not_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in
        [("tiny.pth", "model_best.pth.tar"), ("tiny.safetensors", "weights"), ("tiny_legacy.pth", "w.bin")]
    {
        let path = folder.path().join(name);
        std::fs::copy(stored(file), &path).unwrap();
        assert!(load(TINY, &path).is_ok(), "{name}");
    }
}

#[test]
fn a_pth_is_read_whatever_its_name_was_when_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let entries = archive::entries(&stored("tiny.pth"));
    assert_eq!(
        archive::pytorch("tiny", &entries),
        std::fs::read(stored("tiny.pth")).unwrap(),
        "as PyTorch does"
    );
    let plain = logits(&load(TINY, &stored("tiny.pth")).unwrap());
    // The length of the stem decides where in the file everything lies; umlauts take two bytes.
    let stems = (1..=60).map(|length| "m".repeat(length)).chain(["ü".repeat(10) + "m", "ü".repeat(21)]);
    for stem in stems {
        let path = folder.path().join(format!("{stem}.pth"));
        std::fs::write(&path, archive::pytorch(&stem, &entries)).unwrap();
        let network = load(TINY, &path).unwrap_or_else(|error| panic!("{} bytes: {error}", stem.len()));
        assert_eq!(logits(&network), plain, "{} bytes", stem.len());
    }
}

#[test]
fn a_network_of_any_size_is_recognized_and_looked_at_where_its_kin_is() {
    for (file, name, layer, classes) in [
        ("tiny.pth", "resnet18 of another size", "layer4.0", 10),
        ("tiny_legacy.pth", "resnet18 of another size", "layer4.0", 10),
        ("tiny_wrapped.pth", "resnet18 of another size", "layer4.0", 10),
        ("tiny_f16.safetensors", "resnet18 of another size", "layer4.0", 10),
        ("tiny_resnext.safetensors", "resnet18 of another size", "layer4.0", 10),
    ] {
        let model = Classifier::load_file(stored(file), &Device::flex()).unwrap();
        let card = model.card();
        let found = (card.name.as_str(), card.layer.as_str(), model.labels().len());
        assert_eq!(found, (name, layer, classes), "{file}");
    }
}

#[test]
fn a_published_size_gets_its_own_card() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let three = ResNetConfig { classes: 3, ..cam_models::zoo::resnet::VARIANTS[0].1 };
    crate::support::hashed_file(&three.init(&Device::flex()), &path);
    let model = Classifier::load_file(&path, &Device::flex()).unwrap();
    assert_eq!((model.card().name.as_str(), model.labels().len()), ("resnet18", 3));

    let names = folder.path().join("names.txt");
    std::fs::write(&names, "\u{feff}a leaf\r\na stem\r\na root\r\n\r\n").unwrap();
    assert_eq!(model.with_labels(&names).unwrap().labels(), ["a leaf", "a stem", "a root"]);

    let model = Classifier::load("resnet18", &path, &Device::flex()).unwrap();
    std::fs::write(&names, "a leaf\na stem\n").unwrap();
    let said = model.with_labels(&names).err().unwrap().to_string();
    assert!(said.ends_with("names.txt` names 2 classes, and the model has 3"), "{said}");

    // The built-in model is recognized too.
    let scenes = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cam-models/models/scenes.safetensors");
    let model = Classifier::load_file(&scenes, &Device::flex()).unwrap();
    assert_eq!((model.card().name.as_str(), model.labels()[2].as_str()), ("scenes", "fish"));
}

/// What a tensor is called and shaped in a file instead; `None` leaves it out.
type Change<'a> = dyn Fn(&str, &[usize]) -> Option<(String, Vec<usize>)> + 'a;

#[test]
fn a_near_miss_is_told_and_so_is_what_is_far_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let shapes = crate::support::shapes(&cam_models::zoo::resnet::VARIANTS[0].1.init(&Device::flex()));
    let zeros = vec![0; 4 * 512 * 512 * 9];
    let said = |change: &Change<'_>| {
        rewritten(
            &path,
            shapes.iter().filter_map(|(name, shape)| {
                let (name, shape) = change(name, shape)?;
                let length = 4 * shape.iter().product::<usize>();
                Some((name, TensorView::new(Dtype::F32, shape, &zeros[..length]).unwrap()))
            }),
        );
        Classifier::load_file(&path, &Device::flex()).err().unwrap().to_string()
    };
    let narrow_head = said(&|name, shape| {
        Some((name.into(), if name == "fc.weight" { vec![1000, 192] } else { shape.to_vec() }))
    });
    let words = "look like those of `resnet18`, but: 1 misshapen: fc.weight is [1000, 192] and should be [1000, 512];";
    assert!(narrow_head.ends_with(words), "{narrow_head}");

    // The stem is what a ResNet is recognized by; without it the nearest of all variants is named.
    let no_stem = said(&|name, shape| (name != "conv1.weight").then(|| (name.into(), shape.to_vec())));
    assert!(no_stem.ends_with("`resnet18`, but: 1 missing: conv1.weight [64, 3, 7, 7];"), "{no_stem}");

    let other = said(&|name, shape| {
        Some((format!("encoder.{}", name.replace("conv", "mix").replace("bn", "n")), shape.to_vec()))
    });
    let words = ": it has 102 tensors, `encoder.fc.bias` first; recognized families are ResNet, VGG, ";
    assert!(other.contains(words), "{other}");
}
