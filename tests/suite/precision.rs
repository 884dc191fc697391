//! What half precision costs: maps of the four families, and of the built-in model, against those in single precision.

use crate::support::arithmetic::{ROUNDINGS, TEN_BITS};
use crate::support::{SWIN, TINY, VGG, VIT, device, hashed, is_long, picture};
use burn::tensor::{FloatDType, Tensor};
use cam_core::{Class, Error, Explain, Explainer, Inspect, METHODS, Method, Model, Taps};
use cam_graph::Precision;
use cam_models::{Classifier, RecordedNetwork};
use cam_scenes::Scene;

/// Half a unit in the last place, of 1: what one rounding costs.
const PRECISIONS: [(Precision, FloatDType, f32); 2] =
    [(Precision::F16, FloatDType::F16, TEN_BITS), (Precision::Bf16, FloatDType::BF16, 3.9e-3)];

/// The mean and the largest difference of two maps.
fn apart(a: &[f32], b: &[f32]) -> [f32; 2] {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    [differences.clone().sum::<f32>() / a.len() as f32, differences.fold(0.0, f32::max)]
}

/// The heat of each of these methods that finds something to look at, by its name.
fn maps(
    model: &impl Model,
    layer: &str,
    images: &Tensor<4>,
    asked: impl Fn(&dyn Method) -> bool,
) -> Vec<(&'static str, Vec<f32>)> {
    let methods = METHODS.iter().filter(|method| asked(**method));
    let heat = methods.filter_map(|method| {
        let explainer = Explainer::new(model).layer(layer).method(*method);
        match explainer.explain(images.clone(), &Class(3)) {
            Ok(found) => Some((method.name(), found.maps[0].read().unwrap().heatmap)),
            Err(Error::NoBiases | Error::NoAttention) => None,
            Err(error) => panic!("{}: {error}", method.name()),
        }
    });
    heat.collect()
}

/// Prints what a precision costs every method; for the method in the middle it has to be a few roundings. For single ones it is more: a
/// component whose sign is nearly a tie comes out inside out, and behind a LayerNorm Grad-CAM++ has poles.
fn costs(name: &str, precision: (Precision, f32), single: &[(&str, Vec<f32>)], half: &[(&str, Vec<f32>)]) {
    assert_eq!(single.len(), half.len(), "{name}: as many methods");
    let mut means = Vec::new();
    for ((method, known), (_, half)) in single.iter().zip(half) {
        let [on_average, most] = apart(known, half);
        println!("{name:8} {:5} {method:20} mean {on_average:.1e} most {most:.1e}", precision.0);
        assert!(half.iter().all(|x| (0.0..=1.0).contains(x)), "{name} {method}");
        means.push(on_average);
    }
    means.sort_by(f32::total_cmp);
    let middle = means[means.len() / 2];
    println!("{name:8} {:5} the middle of them   mean {middle:.1e}", precision.0);
    assert!(middle < ROUNDINGS * precision.1, "{name}: {middle}");
}

/// A network in half precision, with images and logits in single precision.
struct Half(RecordedNetwork, FloatDType);

impl Model for Half {
    fn module(&self) -> &dyn Inspect {
        self.0.module()
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), Error> {
        self.0.prepare(&images.clone().cast(self.1))
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        self.0.forward(images.cast(self.1), taps).cast(FloatDType::F32)
    }
}

#[test]
fn half_precision_of_the_network_costs_a_few_roundings_of_the_maps() {
    let networks: [(&str, RecordedNetwork, &str, [usize; 3]); 4] = [
        ("resnet", hashed(TINY), "layer3.0", [1, 64, 96]),
        ("vgg", hashed(VGG), "features.10", [1, 64, 96]),
        ("vit", hashed(VIT), "blocks.1.norm1", [1, 64, 96]),
        ("swin", hashed(SWIN), "layers.1.blocks.1.norm1", [1, 64, 64]),
    ];
    for (name, network, layer, size) in networks {
        let images = picture("precision", size, 16);
        let short = |method: &dyn Method| !is_long(method) && !method.info().needs.linear_head;
        let single = maps(&network, layer, &images, short);
        for (precision, dtype, rounding) in PRECISIONS {
            if !device().supports_dtype(dtype) {
                println!("skipped: {:?} does not compute in {precision}", device());
                continue;
            }
            let half = Half(network.network().cast(precision).record().unwrap(), dtype);
            costs(name, (precision, rounding), &single, &maps(&half, layer, &images, short));
        }
    }
}

#[test]
fn a_classifier_takes_and_gives_single_precision() {
    let builtin = || Classifier::builtin(&device()).unwrap();
    let model = builtin();
    let scene = Scene::draw(7, 128).unwrap();
    let (images, _) = model.card().preprocess().apply(&scene.image, &device()).unwrap();
    // What every method costs is told by the small networks.
    let few = |method: &dyn Method| ["gradcam", "layercam", "eigencam"].contains(&method.name());
    let single = maps(&model, &model.card().layer, &images, few);
    for (precision, dtype, rounding) in PRECISIONS {
        if !device().supports_dtype(dtype) {
            let refused = builtin().in_precision(precision).err();
            assert!(matches!(refused, Some(cam_models::Error::Graph(cam_graph::Error::Precision { .. }))));
            continue;
        }
        let half = builtin().in_precision(precision).unwrap();
        assert_eq!(half.precision(), precision);
        let logits = half.forward(images.clone(), &Taps::off());
        assert_eq!(logits.dtype(), FloatDType::F32.into());
        costs("scenes", (precision, rounding), &single, &maps(&half, &half.card().layer, &images, few));
    }
}
