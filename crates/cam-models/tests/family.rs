//! A family of networks that is defined outside of the crate: registered, detected in a file, loaded and recorded like the built-in ones.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::store::{ModuleStore, SafetensorsStore};
use burn::tensor::Distribution;
use burn::tensor::activation::relu;
use cam_core::{Model, Taps};
use cam_image::Logits;
use cam_models::zoo::resnet::ResNetConfig;
use cam_models::{
    AnyArchitecture, Architecture, Basis, Classifier, Error, Family, Labels, ModelCard, Registry,
    TensorShapes,
};
use std::path::Path;

/// A tiny network, with nothing in it that knows of this crate.
#[derive(Module, Debug)]
struct Toy {
    stem: Conv2d,
    norm: BatchNorm,
    body: Conv2d,
    head: Linear,
}

impl Toy {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm.forward(self.stem.forward(images)));
        let x = relu(self.body.forward(x));
        self.head.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct ToyConfig {
    width: usize,
    classes: usize,
}

impl Architecture for ToyConfig {
    type Network = Toy;

    fn build(&self, device: &Device) -> Toy {
        let conv = |from, to| Conv2dConfig::new([from, to], [3, 3]).with_stride([2, 2]).init(device);
        Toy {
            stem: conv(3, self.width),
            norm: BatchNormConfig::new(self.width).init(device),
            body: conv(self.width, 2 * self.width),
            head: LinearConfig::new(2 * self.width, self.classes).init(device),
        }
    }

    fn forward(toy: &Toy, images: Tensor<4>) -> Tensor<2> {
        toy.forward(images)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn with_classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }

    /// Older files of toys call the head `fc`.
    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        Some((name.replace("fc.", "head."), shape.to_vec()))
    }
}

/// The family, with these cards.
struct Toys(Vec<ModelCard>);

impl Family for Toys {
    fn name(&self) -> &'static str {
        "Toy"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(&[
            ("toy_small", ToyConfig { width: 4, classes: 3 }),
            ("toy_large", ToyConfig { width: 16, classes: 3 }),
        ])
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        Ok(self.0.clone())
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        let head = shapes("head.weight").or_else(|| shapes("fc.weight"))?;
        Some(ToyConfig { width: *shapes("body.weight")?.get(1)?, classes: *head.first()? }.into())
    }
}

fn cards() -> Vec<ModelCard> {
    ModelCard::list(
        r#"
        [defaults]
        size = [32, 32]
        crop = 1.0
        mean = [0.5, 0.5, 0.5]
        std = [0.25, 0.25, 0.25]
        layer = "body"
        labels = ["ball", "doll", "kite"]
        logits = "sigmoid"

        [[model]]
        name = "toy_small"

        [[model]]
        name = "toy_large"
        size = [64, 64]
        "#,
    )
    .unwrap()
}

fn registry() -> Registry {
    Registry::default().with(Toys(cards())).unwrap()
}

/// Saves a toy whose norm has seen other statistics than 0 and 1, and returns it.
fn saved(config: &ToyConfig, path: &Path) -> Toy {
    let device = Device::flex();
    let toy = config.build(&device);
    let images = Tensor::random([8, 3, 32, 32], Distribution::Normal(1.0, 2.0), &device.clone().autodiff());
    let trained = config.build(&device.clone().autodiff());
    trained.forward(images);
    let toy = Toy { norm: trained.valid().norm, ..toy };
    let mut store =
        SafetensorsStore::from_file(path).with_to_adapter(burn::store::BurnToPyTorchAdapter).overwrite(true);
    store.collect_from(&toy).unwrap();
    toy
}

fn read(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_to_vec().unwrap()
}

/// Logits of the module and of the recording may be sums in another order.
fn assert_same_logits(toy: &Toy, model: &Classifier) {
    let images = Tensor::random([2, 3, 32, 32], Distribution::Default, &Device::flex());
    let expected = read(toy.forward(images.clone()));
    let found = read(model.forward(images, &Taps::off()));
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert_eq!(expected.len(), found.len());
    for (a, b) in expected.iter().zip(&found) {
        assert!((a - b).abs() <= 5e-6 * largest, "{found:?} is not {expected:?}");
    }
}

#[test]
fn a_file_of_a_family_from_outside_is_detected_loaded_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let toy = saved(&ToyConfig { width: 4, classes: 3 }, &path);
    let model = registry().load_file(&path, &Device::flex()).unwrap();
    assert_eq!(model.card().name, "toy_small");
    assert_eq!((model.labels()[1].as_str(), model.card().logits), ("doll", Logits::Sigmoid));
    assert_same_logits(&toy, &model);

    let detection = model.detection().unwrap();
    assert_eq!((detection.family, detection.basis), ("Toy", Basis::Tensors));
    assert!(detection.alternatives.is_empty());

    let layers = cam_core::layers(&model, Tensor::zeros([1, 3, 32, 32], &Device::flex())).unwrap();
    let layers: Vec<(&str, usize)> =
        layers.iter().map(|layer| (layer.name.as_str(), layer.channels)).collect();
    for expected in [("stem", 4), ("norm", 4), ("body", 8)] {
        assert!(layers.contains(&expected), "{expected:?} is not in {layers:?}");
    }

    // By its name, and from memory.
    assert_same_logits(&toy, &registry().load("toy_small", &path, &Device::flex()).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    assert_same_logits(&toy, &registry().load_bytes("toy.safetensors", bytes, &Device::flex()).unwrap());
    let other = registry().load("toy_large", &path, &Device::flex()).err().unwrap();
    assert!(matches!(other, Error::WrongWeights { .. }), "{other}");
    // The built-in families do not know it.
    let unknown = Classifier::load_file(&path, &Device::flex()).err().unwrap();
    assert!(matches!(unknown, Error::UnknownNetwork { .. }), "{unknown}");
}

#[test]
fn a_size_without_a_card_gets_the_nearest_one_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.safetensors");
    let toy = saved(&ToyConfig { width: 15, classes: 7 }, &path);
    let model = registry().load_file(&path, &Device::flex()).unwrap();
    assert_eq!(model.card().name, "toy_large of another size");
    assert_eq!(model.labels().len(), 7);
    assert_same_logits(&toy, &model);
    let detection = model.detection().unwrap();
    assert_eq!((detection.variant.as_str(), detection.basis), ("toy_large", Basis::NearestSize));
    assert!(detection.to_string().starts_with("a Toy of an unpublished size"), "{detection}");
}

#[test]
fn names_of_other_files_are_remapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.safetensors");
    let toy = saved(&ToyConfig { width: 4, classes: 3 }, &path);
    // A safetensors file is the length of its header, the header, and the numbers.
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap().replace("\"head.", "\"fc.");
    let old = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat();
    std::fs::write(&path, old).unwrap();
    assert_same_logits(&toy, &registry().load_file(&path, &Device::flex()).unwrap());
}

#[test]
fn several_variants_that_fit_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str| {
        let path = folder.path().join(name);
        let vit = cam_models::zoo::vit::VARIANTS[0].1.init(&Device::flex());
        let mut store = SafetensorsStore::from_file(&path).with_to_adapter(burn::store::BurnToPyTorchAdapter);
        store.collect_from(&vit).unwrap();
        Classifier::load_file(&path, &Device::flex()).unwrap()
    };
    let first = load("best.safetensors");
    let detection = first.detection().unwrap();
    assert_eq!((first.card().name.as_str(), detection.basis), ("vit_tiny_patch16_224", Basis::FirstListed));
    assert_eq!(detection.alternatives, ["deit_tiny_patch16_224"]);
    let words =
        "vit_tiny_patch16_224 (ViT), the first of several; deit_tiny_patch16_224 has the same tensors";
    assert_eq!(detection.to_string(), words);
    let named = load("my_deit_tiny_patch16_224.safetensors");
    let detection = named.detection().unwrap();
    assert_eq!((named.card().name.as_str(), detection.basis), ("deit_tiny_patch16_224", Basis::FileName));
    assert_eq!(detection.alternatives, ["vit_tiny_patch16_224"]);
}

/// A ResNet of an unpublished size with a card of its own, in a family that detects every file.
struct MyResNets;

impl Family for MyResNets {
    fn name(&self) -> &'static str {
        "My ResNet"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        let sizes = ResNetConfig { blocks: [1, 2, 1, 1], ..cam_models::zoo::scenes::SCENES };
        vec![("my_resnet", sizes.into())]
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        let mut card = ModelCard::new("my_resnet", [96, 96], "layer4.0");
        card.labels = Labels::Names((0..10).map(|class| format!("class {class}")).collect());
        Ok(vec![card])
    }

    fn detect(&self, _: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        self.variants().pop().map(|(_, architecture)| architecture)
    }
}

#[test]
fn of_several_families_the_one_whose_tensors_fit_is_taken() {
    let registry = Registry::default().with(MyResNets).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let (_, mine) = MyResNets.variants().pop().unwrap();
    let mine = mine.downcast::<ResNetConfig>().unwrap().init(&Device::flex());
    SafetensorsStore::from_file(&path)
        .with_to_adapter(burn::store::BurnToPyTorchAdapter)
        .collect_from(&mine)
        .unwrap();
    // ResNets are detected too, but have no variant of this size.
    let model = registry.load_file(&path, &Device::flex()).unwrap();
    assert_eq!((model.card().name.as_str(), model.labels()[3].as_str()), ("my_resnet", "class 3"));
    // A family that detects every file takes none of another network.
    let scenes = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scenes.safetensors");
    assert_eq!(registry.load_file(&scenes, &Device::flex()).unwrap().card().name, "scenes");
    assert_eq!(registry.cards().count(), ModelCard::all().len() + 1);
}

#[test]
fn a_family_whose_names_or_cards_are_wrong_is_refused() {
    let refused = |registry: Registry, cards: Vec<ModelCard>, words: &str| {
        let error = registry.with(Toys(cards)).err().unwrap().to_string();
        assert!(error.contains("cannot add the family `Toy`") && error.contains(words), "{error}");
    };
    let [small, large] = cards().try_into().unwrap();
    refused(Registry::default(), vec![small.clone()], "`toy_large` has 0 model cards");
    refused(Registry::default(), vec![small.clone(), small.clone(), large.clone()], "`toy_small` has 2");
    let other = ModelCard::new("toy_huge", [32, 32], "body");
    refused(Registry::default(), vec![small, large, other], "the model card `toy_huge` is of no variant");
    refused(registry(), cards(), "there are two models called `toy_small`");
}
