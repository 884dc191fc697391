//! Networks under the names that other publishers give them: recognized by their names, with the logits of the publisher's own code.
//! `tests/golden/generate_publishers.py` writes names, shapes and logits; all numbers are hashes of names.

use crate::support::{device, picture, write_within};
use burn::tensor::Tensor;
use cam_core::{Explain, Explainer, GradCam, Model, Taps, Top};
use cam_models::{Activation, ArchitectureOptions, Basis, CardLayers, Classifier, HeadLayer, Registry};
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
    /// The logits of each of its heads, where it has several.
    heads: BTreeMap<String, Vec<Vec<f32>>>,
    gradcam: Option<GradCamOf>,
    /// The layers of its head, where its file does not show them.
    head_layers: Option<Vec<HeadLayer>>,
}

/// The Grad-CAM of the top class of each picture, by PyTorch's autograd.
#[derive(Deserialize)]
struct GradCamOf {
    layer: String,
    /// Before the ReLU, at the resolution of the layer.
    raw: Vec<Vec<f32>>,
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

/// Loads a network as a user would who knows its input size.
fn load(path: &Path, stated: &CardLayers) -> Result<Classifier, cam_models::Error> {
    Registry::builtin().load_stated(None, path, &stated.clone().with_size([32, 32]), &device())
}

fn loaded(path: &Path, stated: &CardLayers) -> Classifier {
    load(path, stated).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn assert_logits(name: &str, ours: &[f32], theirs: &[Vec<f32>]) {
    let theirs = theirs.concat();
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() <= 1e-4 * largest(&theirs), "{name}: {a} is not {b}");
    }
}

/// The pictures of the generator, and the file of a network.
struct Stage {
    folder: tempfile::TempDir,
    pictures: Tensor<4>,
}

impl Stage {
    fn new(input: &Input) -> Self {
        let pictures = picture(&input.name, [input.batch, input.height, input.width], input.block);
        Self { folder: tempfile::tempdir().unwrap(), pictures }
    }

    fn file(&self, name: &str, network: &Network) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.safetensors"));
        write_within(&network.tensors, range, &path);
        path
    }

    fn images(&self, network: &Network) -> Tensor<4> {
        let band = |band: &usize| self.pictures.clone().narrow(1, *band, 1);
        Tensor::cat(network.bands.iter().map(band).collect(), 1)
    }
}

#[test]
fn every_publisher_has_its_own_logits_and_maps() {
    let Golden { input, networks } = golden();
    assert!(networks.values().filter(|network| network.gradcam.is_some()).count() > 10);
    let stage = Stage::new(&input);
    for (name, network) in networks {
        let path = stage.file(&name, &network);
        let mut options = ArchitectureOptions::default();
        options.head_layers.clone_from(&network.head_layers);
        let model = loaded(&path, &CardLayers::new().with_options(&options));
        assert_eq!(model.card().channels, network.bands.len(), "{name}");
        let images = stage.images(&network);
        let logits = numbers(model.forward(images.clone(), &Taps::off()));
        assert_logits(&name, &logits, &network.logits);
        if let Some(GradCamOf { layer, raw }) = network.gradcam {
            // The last stages of convolutions are left for one position each, which has no map: an earlier one is explained.
            if model.card().layer.starts_with("layers.") || model.card().layer.contains(".norm") {
                assert_eq!(model.card().layer, layer, "{name}");
            }
            let found = Explainer::new(&model).layer(&layer).method(GradCam).explain(images, &Top).unwrap();
            let (ours, theirs) = (numbers(found.maps[0].raw.clone()), raw.concat());
            assert_eq!(ours.len(), theirs.len(), "{name}");
            // Logits are held to 1e-4 of the largest one; a map is a sum of products of an activation and a gradient, which are both off
            // by as much.
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() <= 2e-4 * largest(&theirs), "{name}, {layer}: {a} is not {b}");
            }
            let heat = numbers(found.maps[0].heatmap.clone());
            assert!(heat.chunks(heat.len() / raw.len()).all(|map| largest(map) > 0.9), "{name}: a blank map");
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn one_of_several_heads_is_taken_and_said_and_another_can_be() {
    let Golden { input, networks } = golden();
    let stage = Stage::new(&input);
    for (name, rule) in [
        ("two_heads", "the head `fc_a` (there is `fc_b` too)"),
        ("transformers_deit", "the mean of the heads `head` and `head_dist`"),
    ] {
        let network = &networks[name];
        let path = stage.file(name, network);
        let said = loaded(&path, &CardLayers::new()).assumed().join("; ");
        assert!(said.contains(rule), "{name}: {said}");
        assert_eq!(network.heads.len(), 2);
        for (head, logits) in &network.heads {
            let model = loaded(&path, &CardLayers::new().with_classifier(head));
            let ours = numbers(model.forward(stage.images(network), &Taps::off()));
            assert_logits(&format!("{name}, {head}"), &ours, logits);
            assert!(!model.assumed().join("").contains(" head"), "{:?}", model.assumed());
            assert!(model.card_text().contains(&format!("classifier = \"{head}\"  # stated")));
        }
        let none = load(&path, &CardLayers::new().with_classifier("other")).err().unwrap().to_string();
        assert!(
            none.contains("no head in ") && none.contains("is called `other`; beside the body there are"),
            "{none}"
        );
    }
}

#[test]
fn what_can_follow_a_head_is_not_left_out() {
    let Golden { networks, .. } = golden();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let mut tensors = networks["backbone_and_classifier"].tensors.clone();
    // A second layer, which reads what the first returns.
    tensors.insert("refined.weight".into(), vec![10, 3]);
    tensors.insert("refined.bias".into(), vec![10]);
    write_within(&tensors, range, &path);
    let said = load(&path, &CardLayers::new()).err().unwrap().to_string();
    assert!(said.contains("classifier.weight [3, 512], refined.bias [10], refined.weight [10, 3]"), "{said}");
    assert_eq!(loaded(&path, &CardLayers::new().with_classifier("classifier")).labels().len(), 3);
}

#[test]
fn layers_of_a_head_that_are_assumed_are_said() {
    let Golden { input, networks } = golden();
    let stage = Stage::new(&input);
    for (name, layers) in [
        ("two_linear_layers", "linear, relu, linear"),
        ("norm_in_head", "linear, batch-norm, relu, linear, relu, batch-norm, linear"),
        ("no_room_for_a_relu", "linear, linear"),
        ("norm_first", "batch-norm, linear, relu, batch-norm, linear"),
        ("prelu_in_head", "linear, prelu, linear"),
        ("layer_norm_in_head", "layer-norm, linear, layer-norm, relu, linear"),
        // The file leaves room for a ReLU before the norm.
        ("dropout_before_norm", "linear, relu, batch-norm, linear"),
    ] {
        let model = loaded(&stage.file(name, &networks[name]), &CardLayers::new());
        let said = format!("a head of the layers {layers}");
        assert!(model.assumed().contains(&said), "{:?}", model.assumed());
        let quoted = layers.split(", ").map(|layer| format!("\"{layer}\"")).collect::<Vec<_>>().join(", ");
        let line = format!("head_layers = [{quoted}]  # assumed");
        assert!(model.card_text().contains(&line), "{}", model.card_text());
    }
}

#[test]
fn a_published_network_is_recognized_by_its_body_whatever_its_head() {
    let Golden { networks, .. } = golden();
    let folder = tempfile::tempdir().unwrap();
    for (name, classes) in [("norm_first", 4), ("prelu_in_head", 4)] {
        let body = Registry::builtin().variant("resnet18").unwrap().build(&device()).shapes();
        let mut tensors: BTreeMap<String, Vec<usize>> =
            body.into_iter().filter(|(name, _)| !name.starts_with("fc.")).collect();
        let head = networks[name].tensors.iter().filter(|(name, _)| name.starts_with("fc."));
        tensors.extend(head.map(|(name, shape)| (name.clone(), shape.clone())));
        let path = folder.path().join("net.safetensors");
        write_within(&tensors, range, &path);
        let recognized = loaded(&path, &CardLayers::new());
        let found = recognized.detection().unwrap();
        assert_eq!((found.variant.as_str(), found.basis), ("resnet18", Basis::Tensors), "{name}");
        let named =
            Registry::builtin().load_stated(Some("resnet18"), &path, &CardLayers::new(), &device()).unwrap();
        assert_eq!([recognized.labels().len(), named.labels().len()], [classes; 2], "{name}");
    }
}

#[test]
fn layers_of_a_head_can_be_stated() {
    let Golden { networks, input } = golden();
    let stage = Stage::new(&input);
    let stated = |layers: &[HeadLayer]| {
        let mut options = ArchitectureOptions::default();
        options.head_layers = Some(layers.to_vec());
        CardLayers::new().with_options(&options)
    };
    let relu = HeadLayer::Activation(Activation::Relu);
    let (name, own) =
        ("dropout_before_norm", [HeadLayer::Linear, HeadLayer::BatchNorm, relu, HeadLayer::Linear]);
    let path = stage.file(name, &networks[name]);
    let model = loaded(&path, &stated(&own));
    assert!(!model.assumed().join("").contains("a head"), "{:?}", model.assumed());
    assert!(model.card_text().contains("\"batch-norm\", \"relu\", \"linear\"]  # stated"));
    // In a card.
    let card = path.with_extension("toml");
    let words = "[architecture]\nhead_layers = ['linear', 'batch-norm', 'relu', 'linear']";
    std::fs::write(&card, words).unwrap();
    let from_card = loaded(&path, &CardLayers::new().with_file(&card).unwrap());
    let logits = numbers(from_card.forward(stage.images(&networks[name]), &Taps::off()));
    assert_logits(name, &logits, &networks[name].logits);
    std::fs::remove_file(card).unwrap();
    // What the file does not have.
    let refused = |name: &str, layers: &[HeadLayer]| {
        load(&stage.file(name, &networks[name]), &stated(layers)).err().unwrap().to_string()
    };
    let said = refused(name, &[HeadLayer::Linear, relu, HeadLayer::Linear]);
    assert!(said.contains("fc.2.running_mean [16]") && said.contains("`head_layers`"), "{said}");
    let said = refused("dropout_and_linear", &[HeadLayer::Linear, relu, HeadLayer::Linear]);
    assert!(said.contains("fc.1.weight [2, 512]"), "{said}");
    let said = refused("transformers_vit", &[HeadLayer::LayerNorm, HeadLayer::Linear]);
    assert!(said.contains("the layers of its head are linear, and layer-norm, linear are stated"), "{said}");
    assert!("elu".parse::<HeadLayer>().unwrap_err().contains("`elu`; its layers are linear, batch-norm"));
}

#[test]
fn a_head_that_is_not_understood_is_named() {
    let Golden { networks, .. } = golden();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let said = |extra: &[(&str, &[usize])], stated: &CardLayers| {
        let mut tensors = networks["two_linear_layers"].tensors.clone();
        tensors.extend(extra.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())));
        write_within(&tensors, range, &path);
        load(&path, stated).err().unwrap().to_string()
    };
    // Numbers that may be of a norm or of a PReLU, and a norm behind the linear layers.
    for extra in [&[("fc.1.weight", &[16usize][..])][..], &[("fc.4.weight", &[4]), ("fc.4.bias", &[4])]] {
        let said = said(extra, &CardLayers::new());
        assert!(
            said.contains("of a ResNet whose head is not recognized: fc.0.bias [16], fc.0.weight [16, 512]"),
            "{said}"
        );
        assert!(said.contains("a head is a sequence of linear layers, norms and PReLUs"), "{said}");
    }
    // A body alone.
    let mut tensors = networks["two_linear_layers"].tensors.clone();
    tensors.retain(|name, _| !name.starts_with("fc."));
    write_within(&tensors, range, &path);
    let said = load(&path, &CardLayers::new()).err().unwrap().to_string();
    assert!(said.contains("of a ResNet without a head; a head is"), "{said}");
}
