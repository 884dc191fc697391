//! Networks whose tensors do not show how they are computed: stated, they give the logits of torchvision and timm and a map; not stated,
//! either the guess is right, or what is guessed is said.

use super::file::{Golden, apart, input};
use super::read;
use crate::support::{SWIN, TINY, VIT, write_hashed};
use burn::tensor::Device;
use cam_core::{Explain, Explainer, Explanation, GradCam, Model, Taps, Top};
use cam_models::zoo::resnet::{ResNetConfig, VARIANTS};
use cam_models::zoo::swin::SwinConfig;
use cam_models::zoo::vit::VitConfig;
use cam_models::{AnyArchitecture, CardLayers, Registry, TokenPool};

/// Of the largest logit. The networks of the families agree within 2e-5; a wrong option is off by more than 1e-2.
const TOLERANCE: f32 = 1e-4;

/// Loads the hashed tensors of a network from a file of this name, with and without a card, and compares the logits. `assumed` is what has
/// to be said without a card; nothing if the guess is right.
fn agrees(name: &str, config: impl Into<AnyArchitecture>, file: &str, card: &str, assumed: &str) {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let (weights, stated) = (folder.path().join(file), folder.path().join("card.txt"));
    write_hashed(&config.into().build(&device).shapes(), &weights);
    std::fs::write(&stated, card).unwrap();
    let golden = Golden::open("variants");
    let (images, _) = input(&golden.notes["networks"][name]["input"]);
    let expected = golden.numbers(&format!("{name}/logits"));
    let open =
        |stated: &CardLayers| Registry::builtin().load_stated(None, &weights, stated, &device).unwrap();
    let off = |model: &cam_models::Classifier| {
        let off = apart(expected, &read(&model.forward(images.clone(), &Taps::off())));
        off.into_iter().fold(0f32, f32::max)
    };

    let model = open(&CardLayers::new().with_file(&stated).unwrap());
    assert!(off(&model) < TOLERANCE, "{name}: {} off, {:?}", off(&model), model.assumed());
    let explainer = Explainer::new(&model).layer(&model.card().layer).method(GradCam);
    let found: Explanation = explainer.explain(images.clone(), &Top).unwrap();
    assert!(found.maps[0].heatmap.clone().max().into_scalar::<f32>() > 0.0, "{name}: the map is blank");

    let unstated = open(&CardLayers::new());
    let said = unstated.assumed().join("; ");
    assert_eq!(off(&unstated) < TOLERANCE, assumed.is_empty(), "{name}: {} off; {said}", off(&unstated));
    assert!(said.contains(assumed), "{name}: assuming {said}");
}

/// A ResNet of torchvision's width with a block in each stage.
fn resnet(bottleneck: bool) -> ResNetConfig {
    ResNetConfig { blocks: [1; 4], bottleneck, classes: 10, ..VARIANTS[0].1 }
}

#[test]
fn a_resnet_for_small_images_has_a_stem_that_keeps_the_sides() {
    let config = ResNetConfig { deep_stem: false, ..TINY };
    agrees("cifar", config, "net.safetensors", "", "");
    let pool = "architecture.stem_pool = true";
    agrees("cifar_pool", config, "net.safetensors", pool, "stem_pool false");
    let halved = "architecture.strides = [2, 1, 2, 2, 2]";
    agrees("cifar_halved", config, "net.safetensors", halved, "strides [1, 1, 2, 2, 2]");
}

#[test]
fn strides_and_dilations_are_those_of_torchvision_and_timm() {
    let dilated = "[architecture]\nstrides = [2, 1, 2, 1, 1]\ndilations = [1, 1, 2, 4]";
    let config = ResNetConfig { blocks: [2; 4], bottleneck: true, classes: 10, ..VARIANTS[0].1 };
    agrees("dilated", config, "net.safetensors", dilated, "dilations [1, 1, 1, 1]");
    agrees("dilated_basic", resnet(false), "net.safetensors", dilated, "dilations [1, 1, 1, 1]");
}

#[test]
fn filters_before_strides_are_those_of_timm() {
    let blur = "architecture.antialias = 'blur'";
    agrees("blur_basic", resnet(false), "net.safetensors", blur, "antialias none");
    agrees("blur", resnet(true), "net.safetensors", blur, "antialias none");
    agrees("avg", resnet(true), "net.safetensors", "architecture.antialias = 'avg'", "antialias none");
    // The name of the file states it.
    agrees("blur", resnet(true), "resnetblur50-84f4748f.safetensors", "", "");
    agrees("avg", resnet(true), "resnetaa50.safetensors", "", "");
}

#[test]
fn tokens_are_pooled_as_in_timm() {
    let vit = VitConfig { depth: 2, ..VIT };
    // 4 x 6 patches: as many positions as 5 x 5.
    let card = |pool: &str| format!("size = [64, 96]\narchitecture = {{ heads = 3, pool = '{pool}' }}");
    agrees("vit_avg", vit, "net.safetensors", &card("avg"), "pool token");
    agrees("vit_max", vit, "net.safetensors", &card("max"), "pool token");
    agrees("vit_avgmax", vit, "net.safetensors", &card("avgmax"), "pool token");
    let normed = VitConfig { pool: TokenPool::Avg, pooled_norm: true, ..vit };
    agrees("vit_avg_norm", normed, "net.safetensors", &card("avg"), "heads 1");
    let no_token = VitConfig { pool: TokenPool::Avg, class_token: false, ..vit };
    agrees("vit_no_token", no_token, "net.safetensors", &card("avg"), "heads 1");
    agrees("vit_registers", VitConfig { registers: 2, ..vit }, "net.safetensors", &card("avg"), "pool token");
}

#[test]
fn activations_and_widths_of_a_vit_are_those_of_timm() {
    let vit = VitConfig { depth: 2, ..VIT };
    let relu = "size = [64, 96]\narchitecture = { heads = 3, activation = 'relu' }";
    agrees("vit_relu", vit, "net.safetensors", relu, "activation gelu");
    let ratio = "size = [64, 96]\narchitecture.heads = 3";
    agrees("vit_ratio", VitConfig { hidden: 120, ..vit }, "net.safetensors", ratio, "heads 1");
}

#[test]
fn a_grid_that_is_no_square_is_stated_by_its_size() {
    let config = VitConfig { depth: 2, image: [32, 128], ..VIT };
    let card = "size = [32, 128]\narchitecture.heads = 3";
    agrees("vit_wide", config, "net.safetensors", card, "images of 64 x 64 pixels");
}

#[test]
fn a_swin_shifts_as_for_the_size_it_was_trained_at() {
    agrees("swin_large", SWIN, "net.safetensors", "size = [128, 128]", "images of 32 x 32 pixels");
    let relu = "size = [64, 64]\narchitecture.activation = 'relu'";
    agrees("swin_relu", SWIN, "net.safetensors", relu, "activation gelu");
    let max = "size = [64, 64]\narchitecture.pool = 'max'";
    agrees("swin_max", SWIN, "net.safetensors", max, "pool avg");
    // The masks of the authors' files show it: 8 x 8 windows of 4 x 4 patches.
    let shapes = |name: &str| match name {
        "layers.0.blocks.1.attn_mask" => Some(vec![64, 16, 16]),
        _ => AnyArchitecture::from(SwinConfig { image: [64, 64], ..SWIN })
            .build(&Device::flex())
            .shapes()
            .remove(name),
    };
    let rows = Registry::builtin();
    let detected = rows.detect(&shapes).unwrap();
    assert_eq!(detected.image_size(), Some([128, 128]));
}
