//! What is known of a model beside its tensors: cards, the metadata of files, configurations of repositories, names, and what is assumed.

use crate::support::{SWIN, TINY, VIT, hashed_file, write_hashed};
use burn::tensor::{Device, Tensor};
use cam_core::{Explain, Explainer, Explanation, GradCam, Model, Taps, Top};
use cam_image::{Logits, Resize, ValueRange};
use cam_models::zoo::resnet::{ResNetConfig, VARIANTS};
use cam_models::zoo::swin::SwinConfig;
use cam_models::zoo::vit::{self, VitConfig};
use cam_models::{AnyArchitecture, CardLayers, Classifier, Error, Origin, Registry, Shapes};
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::path::Path;

/// Writes the hashed tensors of a network.
fn write(config: impl Into<AnyArchitecture>, path: &Path) {
    write_hashed(&config.into().build(&Device::flex()).shapes(), path);
}

/// Writes the tensors of files under other names into one file, with these metadata.
fn join(files: &[(&Path, &str)], metadata: Option<HashMap<String, String>>, path: &Path) {
    let bytes: Vec<Vec<u8>> = files.iter().map(|(file, _)| std::fs::read(file).unwrap()).collect();
    let mut views: Vec<(String, TensorView<'_>)> = Vec::new();
    for ((_, prefix), bytes) in files.iter().zip(&bytes) {
        let tensors = safetensors::SafeTensors::deserialize(bytes).unwrap();
        views.extend(tensors.tensors().into_iter().map(|(name, view)| (format!("{prefix}{name}"), view)));
    }
    std::fs::write(path, safetensors::serialize(views, metadata).unwrap()).unwrap();
}

fn open(path: &Path, stated: &CardLayers) -> Result<Classifier, Error> {
    Registry::builtin().load_stated(None, path, stated, &Device::flex())
}

fn resnet(classes: usize) -> ResNetConfig {
    ResNetConfig { blocks: [1; 4], classes, ..VARIANTS[0].1 }
}

fn logits(model: &Classifier, [height, width]: [usize; 2]) -> Vec<f32> {
    let images = crate::support::picture("input", [1, height, width], 16);
    model.forward(images, &Taps::off()).into_data().try_to_vec().unwrap()
}

#[test]
fn transformers_without_a_card_are_looked_at_where_gradients_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let tiny = |config: VitConfig| AnyArchitecture::from(VitConfig { classes: 10, depth: 2, ..config });
    let square = VitConfig { image: [64, 64], heads: 1, ..VIT };
    let huge =
        VitConfig { width: 1280, heads: 16, hidden: 1280, patch: 14, image: [56, 56], ..vit::VARIANTS[0].1 };
    for (what, config, layer) in [
        ("another image size", tiny(square), "blocks.1.norm1"),
        ("patches of 8", tiny(VitConfig { patch: 8, ..square }), "blocks.1.norm1"),
        ("ViT-H", tiny(huge), "blocks.1.norm1"),
        ("DeiT-3", tiny(VitConfig { layer_scale: true, prefix_embedded: false, ..square }), "blocks.1.norm1"),
        ("registers", tiny(VitConfig { registers: 4, ..square }), "blocks.1.norm1"),
        ("Swin", SwinConfig { image: [32, 32], ..SWIN }.into(), "layers.1.blocks.1.norm1"),
    ] {
        write_hashed(&config.build(&Device::flex()).shapes(), &path);
        let model = open(&path, &CardLayers::new()).unwrap();
        assert_eq!(
            (model.card().layer.as_str(), model.card().size),
            (layer, config.image_size().unwrap()),
            "{what}"
        );
        let images = crate::support::picture("input", [1, model.card().size[0], model.card().size[1]], 8);
        let found: Explanation =
            Explainer::new(&model).layer(layer).method(GradCam).explain(images, &Top).unwrap();
        assert!(found.maps[0].heatmap.clone().max().into_scalar::<f32>() > 0.0, "{what}: a blank map");
    }
    write_hashed(&tiny(huge).build(&Device::flex()).shapes(), &path);
    let model = open(&path, &CardLayers::new()).unwrap();
    assert_eq!(model.card().architecture.heads, Some(16), "those of ViT-H, and not 1280 / 64");
}

#[test]
fn the_strongest_source_of_a_field_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, path, config, card, beside] =
        ["plain.safetensors", "model.safetensors", "config.json", "my.txt", "model.toml"]
            .map(|name| folder.path().join(name));
    write(resnet(2), &plain);
    let size = |stated: &CardLayers| {
        let model = open(&path, stated).unwrap();
        (model.card().size, model.origins()["size"].clone())
    };
    join(&[(&plain, "")], None, &path);
    assert_eq!(size(&CardLayers::new()), ([224; 2], Origin::Shipped("resnet18".into())));
    std::fs::write(&config, r#"{"pretrained_cfg": {"input_size": [3, 96, 96]}}"#).unwrap();
    assert_eq!(size(&CardLayers::new()), ([96; 2], Origin::Folder("config.json".into())));
    let metadata = HashMap::from([("size".into(), "[112, 112]".into()), ("format".into(), "pt".into())]);
    join(&[(&plain, "")], Some(metadata), &path);
    assert_eq!(size(&CardLayers::new()), ([112; 2], Origin::Metadata));
    std::fs::write(&beside, "size = [128, 128]").unwrap();
    assert_eq!(size(&CardLayers::new()), ([128; 2], Origin::Card(beside)));
    std::fs::write(&card, "size = [144, 144]").unwrap();
    let stated = CardLayers::new().with_size([160; 2]).with_file(&card).unwrap();
    assert_eq!(size(&stated), ([160; 2], Origin::Flag));
}

#[test]
fn a_card_says_all_that_a_file_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let [path, card] = ["net.safetensors", "net.toml"].map(|name| folder.path().join(name));
    write(resnet(2), &path);
    let text = r#"
        name = "leaves"
        size = [64, 48]
        order = "bgr"
        range = "0..255"
        mean = [104.0, 117.0, 123.0]
        std = [1.0]
        resize = "letterbox"
        interpolation = "bicubic"
        labels = ["healthy", "ill"]
        logits = "sigmoid"
        layer = "layer3"
        [architecture]
        strides = [2, 1, 2, 2, 1]
    "#;
    std::fs::write(&card, text).unwrap();
    let model = open(&path, &CardLayers::new()).unwrap();
    let found = model.card();
    assert_eq!((found.name.as_str(), found.size, found.range), ("leaves", [64, 48], ValueRange::Byte));
    assert_eq!(
        (found.resize, found.logits, found.layer.as_str()),
        (Resize::Letterbox, Logits::Sigmoid, "layer3")
    );
    assert_eq!(found.architecture.strides, Some(vec![2, 1, 2, 2, 1]));
    assert_eq!(model.labels(), ["healthy", "ill"]);
    let blue = image::RgbImage::from_pixel(10, 10, image::Rgb([3, 2, 255]));
    let input = model.input(&blue).unwrap();
    let center: Vec<f32> = input.slice([0..1, 0..3, 30..31, 20..21]).into_data().try_to_vec().unwrap();
    assert_eq!(center, [255.0 - 104.0, 2.0 - 117.0, 3.0 - 123.0], "blue first, in bytes");

    // What is written is read again, and nothing of it is assumed any more.
    let written = model.card_text();
    assert!(
        written.contains("order = \"bgr\"  # the card") && written.contains("stem_pool = true  # assumed"),
        "{written}"
    );
    std::fs::write(&card, &written).unwrap();
    let again = open(&path, &CardLayers::new()).unwrap();
    assert_eq!((again.card(), again.assumed()), (found, &[][..]));
}

#[test]
fn a_card_that_cannot_be_is_refused_for_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let [path, card] = ["net.safetensors", "card"].map(|name| folder.path().join(name));
    write(resnet(2), &path);
    for (text, words) in [
        ("size = 224", "cannot read the model card"),
        ("sise = [1, 1]", "sise"),
        ("size = [", "cannot read the model card"),
        (
            "architecture.heads = 3",
            "it has no option `heads`; its options are antialias, dilations, stem_pool, strides",
        ),
        (
            "architecture.strides = [1, 2]",
            "a ResNet has five strides of 1 to 4, the stem's first, not [1, 2]",
        ),
        ("architecture.strides = [2, 0, 1, 1, 1]", "a ResNet has five strides"),
        ("architecture.dilations = [1, 1, 1, 99999999999]", "four dilations"),
        ("labels = ['a', 'b', 'c']", "names 3 classes, and it has 2"),
        ("layout = 'hwc'", "cannot read the model card"),
    ] {
        std::fs::write(&card, text).unwrap();
        let found = CardLayers::new().with_file(&card).and_then(|stated| open(&path, &stated));
        let said = found.err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
        assert!(said.contains(words) && said.lines().count() == 1, "{text}: {said}");
    }
    write(VIT, &path);
    for (text, words) in [
        ("architecture.heads = 5", "5 heads do not divide its 48 channels"),
        ("architecture.heads = 0", "0 heads"),
        ("size = [8, 8]", "its patches have 16 x 16 pixels"),
        ("size = [99999999, 16]", "images of 3 x 99999999 x 16 numbers are too large"),
        ("size = [4294967296, 4294967296]", "too large"),
    ] {
        std::fs::write(&card, text).unwrap();
        let found = CardLayers::new().with_file(&card).and_then(|stated| open(&path, &stated));
        let said = found.err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn names_of_repositories_and_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("models--timm--deit_tiny_patch16_224.fb_in1k/snapshots/0a1b2c");
    std::fs::create_dir_all(&below).unwrap();
    let path = below.join("model.safetensors");
    write(vit::VARIANTS[0].1, &path);
    let model = open(&path, &CardLayers::new()).unwrap();
    assert_eq!(model.card().name, "deit_tiny_patch16_224");
    assert_eq!(model.card().mean, [0.485, 0.456, 0.406]);
    // The configuration of a repository names its network, unless its tensors are of another size.
    let plain = folder.path().join("model.safetensors");
    std::fs::copy(&path, &plain).unwrap();
    assert_eq!(open(&plain, &CardLayers::new()).unwrap().card().name, "vit_tiny_patch16_224");
    std::fs::write(folder.path().join("config.json"), r#"{"architecture": "deit_tiny_patch16_224"}"#)
        .unwrap();
    assert_eq!(open(&plain, &CardLayers::new()).unwrap().card().name, "deit_tiny_patch16_224");
    write(VitConfig { image: [96, 96], ..vit::VARIANTS[0].1 }, &plain);
    let other = open(&plain, &CardLayers::new()).unwrap();
    assert_eq!(other.card().size, [96, 96]);
    // A variant that has other heads than a width of 64 tells.
    let below = folder.path().join("models--timm--test_vit.r160_in1k");
    std::fs::create_dir_all(&below).unwrap();
    let path = below.join("model.safetensors");
    write(VitConfig { width: 64, heads: 2, depth: 2, ..VIT }, &path);
    let named = open(&path, &CardLayers::new()).unwrap();
    assert_eq!(named.card().architecture.heads, Some(2));
    assert!(!named.assumed().join("").contains("heads"), "{:?}", named.assumed());
}

#[test]
fn one_of_two_networks_is_taken_and_said_and_the_other_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let [student, teacher, both] =
        ["s.safetensors", "t.safetensors", "b.safetensors"].map(|n| folder.path().join(n));
    write(resnet(3), &student);
    hashed_file(&TINY.init(&Device::flex()), &teacher);
    let single = |path: &Path| logits(&open(path, &CardLayers::new()).unwrap(), [64, 64]);
    for (first, second, taken, other) in [
        ("student.", "teacher.", "teacher.", "student."),
        ("module.encoder_q.", "module.encoder_k.", "module.encoder_q.", "module.encoder_k."),
        ("a.", "b.", "a.", "b."),
        // More than three parts.
        ("state_dict.model.module.net.backbone.", "x.y.", "x.y.", "state_dict.model.module.net.backbone."),
    ] {
        join(&[(&student, first), (&teacher, second)], None, &both);
        let file = |prefix: &str| if prefix == first { &student } else { &teacher };
        let model = open(&both, &CardLayers::new()).unwrap();
        assert_eq!(logits(&model, [64, 64]), single(file(taken)), "{first}, {second}");
        let said = model.assumed().join("; ");
        assert!(
            said.contains(&format!("the network under `{taken}` (there is one under `{other}` too)")),
            "{said}"
        );
        for prefix in [other, other.trim_end_matches('.')] {
            let model = open(&both, &CardLayers::new().with_prefix(prefix)).unwrap();
            assert_eq!(logits(&model, [64, 64]), single(file(other)), "{prefix}");
            assert!(!model.assumed().join("").contains("the network under"), "nothing is guessed");
        }
    }
    let none = open(&both, &CardLayers::new().with_prefix("none")).err().unwrap().to_string();
    assert!(none.contains("starts with `none`; there are ") && none.contains("x.y."), "{none}");

    // By name as well: the one whose tensors fit is taken.
    let r18 = folder.path().join("r18.safetensors");
    hashed_file(&ResNetConfig { classes: 3, ..VARIANTS[0].1 }.init(&Device::flex()), &r18);
    join(&[(&r18, "z."), (&teacher, "a.")], None, &both);
    let model = Classifier::load("resnet18", &both, &Device::flex()).unwrap();
    assert_eq!(model.labels().len(), 3);
}

#[test]
fn a_deep_wrapper_is_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, deep] = ["p.safetensors", "d.safetensors"].map(|name| folder.path().join(name));
    hashed_file(&TINY.init(&Device::flex()), &plain);
    join(&[(&plain, "a.b.c.d.e.f.")], None, &deep);
    let [plain, deep] = [plain, deep].map(|path| open(&path, &CardLayers::new()).unwrap());
    assert_eq!(logits(&plain, [64, 64]), logits(&deep, [64, 64]));
    assert!(!deep.assumed().join("").contains("the network under"), "there is only one");
}

#[test]
fn near_misses_are_compared_with_the_classes_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let said = |change: &dyn Fn(&mut Shapes), config: AnyArchitecture| {
        let mut shapes = config.build(&Device::flex()).shapes();
        change(&mut shapes);
        write_hashed(&shapes, &path);
        open(&path, &CardLayers::new()).err().unwrap().to_string()
    };
    let tiny = AnyArchitecture::from(vit::VARIANTS[0].1).with_classes(2);
    // Without the tensor that it would be recognized by.
    let missing = said(&|shapes| _ = shapes.remove("pos_embed"), tiny.clone());
    assert!(missing.ends_with("but: 1 missing: pos_embed [1, 197, 192];"), "{missing}");
    let widened = said(
        &|shapes| {
            for name in ["blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc1.bias"] {
                shapes.get_mut(name).unwrap()[0] = 700;
            }
        },
        tiny,
    );
    assert!(!widened.contains("1000") && widened.contains("mlp.fc"), "{widened}");
    let resnet = said(&|shapes| _ = shapes.remove("conv1.weight"), resnet18(2));
    assert!(resnet.ends_with("but: 1 missing: conv1.weight [64, 3, 7, 7];"), "{resnet}");
}

fn resnet18(classes: usize) -> AnyArchitecture {
    AnyArchitecture::from(VARIANTS[0].1).with_classes(classes)
}

#[test]
fn assumptions_are_said_and_what_is_stated_is_not_assumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    write(resnet(2), &path);
    let model = open(&path, &CardLayers::new()).unwrap();
    let said = model.assumed().join("; ");
    assert!(
        said.starts_with("images of 224 x 224 pixels; colors as for resnet18; antialias none; "),
        "{said}"
    );
    let named = Registry::builtin().load("resnet18", &path, &Device::flex()).err();
    assert!(matches!(named, Some(Error::WrongWeights { .. })), "it has fewer blocks");
    hashed_file(&ResNetConfig { classes: 2, ..VARIANTS[0].1 }.init(&Device::flex()), &path);
    let named = Registry::builtin().load("resnet18", &path, &Device::flex()).unwrap();
    assert!(named.assumed().is_empty(), "{:?}", named.assumed());
}

#[test]
fn images_are_brought_to_the_model_in_four_ways() {
    use cam_image::Preprocess;
    let photo = image::RgbImage::from_fn(200, 100, |x, _| image::Rgb([x as u8, 0, 255]));
    let prepared = |resize| Preprocess { resize, size: [50, 50], ..Preprocess::IMAGENET };
    for (resize, size, inner) in [
        (Resize::Squash, (50, 50), [0, 0, 50, 50]),
        (Resize::Crop, (50, 50), [0, 0, 50, 50]),
        (Resize::Letterbox, (50, 50), [0, 12, 50, 25]),
        (Resize::ShortSide, (100, 50), [0, 0, 100, 50]),
    ] {
        let preprocess = prepared(resize);
        let (seen, _) = preprocess.resized(&photo);
        assert_eq!((seen.dimensions(), preprocess.inner(200, 100)), (size, inner), "{resize:?}");
        let (input, _): (Tensor<4>, _) = preprocess.apply(&photo, &Device::flex()).unwrap();
        assert_eq!(input.dims(), [1, 3, size.1 as usize, size.0 as usize]);
    }
    let (boxed, _) = prepared(Resize::Letterbox).resized(&photo);
    assert_eq!((boxed.get_pixel(25, 2).0, boxed.get_pixel(25, 25).0[2]), ([114; 3], 255));
}
