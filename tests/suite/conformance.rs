//! Every method on a small network of every family: a map of the right size, or an error that says what the network lacks.

use crate::support::arithmetic::Differences;
use crate::support::{
    DENSENET, SWIN, TINY, TINY_RESNEXT, VGG, VIT, device, hashed, hashed_on, is_long, methods, mnasnet,
    picture,
};
use burn::tensor::{Device, Tensor};
use cam_core::{
    Class, Cost, Error, Explain, Explainer, Explanation, GradCam, METHODS, Method, Model, Reads, Sess,
    Smooth, Taps, Wrapped, choose_layer, concepts, guided_backprop,
};
use cam_models::zoo::{swin::SwinConfig, vgg::VggConfig, vit::VitConfig};
use cam_models::{Classifier, RecordedNetwork};
use cam_scenes::Scene;

/// A network, one of its inner layers with few channels, and what its forward pass names.
struct Case {
    name: &'static str,
    network: RecordedNetwork,
    layer: &'static str,
    size: [usize; 2],
    biases: bool,
    attention: bool,
    relus: bool,
    /// The layer that is chosen where none is named.
    chosen: &'static str,
}

fn cases() -> Vec<Case> {
    cases_on(&device())
}

fn cases_on(device: &Device) -> Vec<Case> {
    let convolutional = |name, network, layer, chosen| Case {
        name,
        network,
        layer,
        size: [64, 96],
        biases: true,
        attention: false,
        relus: true,
        chosen,
    };
    let transformer = |name, network, layer, size, attention, chosen| Case {
        name,
        network,
        layer,
        size,
        biases: false,
        attention,
        relus: false,
        chosen,
    };
    vec![
        convolutional("resnet", hashed_on(TINY, device), "layer3.0", "layer4"),
        convolutional("vgg", hashed_on(VGG, device), "features.10", "features"),
        // The activation behind its features is what the head reads, and a layer of its own.
        convolutional("densenet", hashed_on(DENSENET, device), "features.denseblock1", "relu"),
        // The scores hardly depend on what its weights let through of shallower layers: rounding is 1e-4 of Ablation-CAM there.
        convolutional("mnasnet", hashed_on(mnasnet(), device), "layers.12", "layers"),
        transformer("vit", hashed_on(VIT, device), "blocks.1.norm1", [64, 96], true, "blocks.2.norm1"),
        transformer("swin", hashed_on(SWIN, device), "layers.1.blocks.1.norm1", [64, 64], false, "norm"),
    ]
}

impl Case {
    fn images(&self, batch: usize) -> Tensor<4> {
        picture("conformance", [batch, self.size[0], self.size[1]], 16)
    }

    /// The map of one image in the numbers that are shown and in its own; nothing where the method cannot explain.
    fn maps(&self, method: &'static dyn Method, images: Tensor<4>) -> Option<Numbers> {
        let explainer = Explainer::new(&self.network).layer(self.layer).method(method);
        let found: Explanation = explainer.explain(images, &Class(3)).ok()?;
        Some(Numbers { heat: read(&found.maps[0].heatmap), raw: read(&found.maps[0].raw) })
    }

    /// Whether the network lacks what the method looks at, as its error says.
    fn lacks(&self, method: &dyn Method, error: &Error) -> bool {
        match error {
            Error::NoBiases => method.info().reads == Reads::Biases && !self.biases,
            Error::NoAttention => method.info().reads == Reads::Attention && !self.attention,
            Error::NotLinear { layer } => method.name() == "cam" && layer == self.layer,
            _ => false,
        }
    }
}

struct Numbers {
    heat: Vec<f32>,
    raw: Vec<f32>,
}

impl Numbers {
    /// The differences of both, of full scale.
    fn apart(&self, other: &Self) -> Vec<f32> {
        [differences(&self.heat, &other.heat, 1.0), apart(&self.raw, &other.raw)].concat()
    }
}

fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().unwrap()
}

#[test]
fn every_method_explains_every_family_or_says_what_it_lacks() {
    for case in cases() {
        let mut explained = 0;
        for method in methods() {
            let explainer = Explainer::new(&case.network).layer(case.layer).method(method);
            let found: Result<Explanation, _> = explainer.explain(case.images(1), &Class(3));
            let maps = match found {
                Ok(found) => found.maps,
                Err(error) => {
                    assert!(case.lacks(method, &error), "{} of {}: {error}", method.name(), case.name);
                    continue;
                }
            };
            let heat = read(&maps[0].heatmap);
            assert_eq!(heat.len(), case.size[0] * case.size[1], "{} of {}", method.name(), case.name);
            assert!(heat.iter().all(|x| (0.0..=1.0).contains(x)), "{} of {}", method.name(), case.name);
            let empty = heat.iter().all(|x| *x == 0.0);
            assert!(!empty || !maps[0].warnings().unwrap()[0].is_empty(), "a blank map says so");
            explained += 1;
        }
        println!("{}: {explained} of {} methods", case.name, METHODS.len());
        let lacked = METHODS.iter().map(|method| method.info()).filter(|info| match info.reads {
            Reads::Biases => !case.biases,
            Reads::Attention => !case.attention,
            _ => info.needs.linear_head,
        });
        assert!(explained >= METHODS.len() - lacked.count(), "{}: {explained}", case.name);
    }
}

#[test]
fn images_of_a_batch_do_not_mix_in_any_family() {
    let quick: Vec<_> =
        METHODS.iter().filter(|method| !is_long(**method) && !method.info().needs.linear_head).collect();
    for case in cases() {
        let fits = |method: &&&&dyn Method| match method.info().reads {
            Reads::Biases => case.biases,
            Reads::Attention => case.attention,
            _ => true,
        };
        let explainer = quick
            .iter()
            .filter(fits)
            .fold(Explainer::new(&case.network).layer(case.layer), |all, method| all.method(**method));
        let pair = case.images(2);
        let mut found = Differences::default();
        let together = explainer.explain(pair.clone(), &Class(1)).unwrap();
        for image in 0..2 {
            let alone = explainer.explain(pair.clone().narrow(0, image, 1), &Class(1)).unwrap();
            for (many, one) in together.maps.iter().zip(&alone.maps) {
                let many = read(&many.heatmap.clone().narrow(0, image, 1));
                // Sums in another order; units at the corner of their ReLU pass their gradient or not, as in the golden tests.
                let off = differences(&many, &read(&one.heatmap), 1.0);
                found.add(format!("{} of {}", one.method.name, case.name), &off, 5e-3);
            }
        }
        found.judge();
    }
}

#[test]
fn the_layer_is_chosen_where_none_is_named() {
    for case in cases() {
        assert_eq!(
            choose_layer(&case.network, &case.images(1), &Class(3)).unwrap(),
            case.chosen,
            "{}",
            case.name
        );
    }
}

#[test]
fn guided_backpropagation_goes_through_every_network_of_relus() {
    for case in cases() {
        let guided = guided_backprop(&case.network, &case.images(1), &Class(3));
        match case.relus {
            true => assert!(read(&guided.unwrap()).iter().any(|x| *x != 0.0), "{}", case.name),
            false => assert_eq!(guided.err(), Some(Error::NotGuided { activation: "GELU" }), "{}", case.name),
        }
    }
}

#[test]
fn unsquare_pictures_of_narrow_grids_have_a_defined_result() {
    // The third stage of the narrow ResNet sees two places of a picture this small, one above the other, and the last one.
    let network = hashed(TINY);
    let image = picture("conformance", [1, 32, 16], 16);
    assert_eq!(network.forward(image.clone(), &Taps::off()).dims(), [1, 10]);
    let methods = METHODS.iter().filter(|method| {
        let info = method.info();
        let longest = matches!(info.cost, Cost::PerChannel(passes) if passes > 10);
        info.reads != Reads::Attention && !longest && !info.needs.linear_head
    });
    let explainer =
        methods.fold(Explainer::new(&network).layer("layer3.0"), |all, method| all.method(*method));
    for maps in explainer.explain(image.clone(), &Class(0)).unwrap().maps {
        let heat = read(&maps.heatmap);
        assert!(heat.iter().all(|x| x.is_finite()), "{}", maps.method.name);
        // The columns are one, and so alike; methods of the input have its columns.
        let is_striped = heat.chunks(16).all(|row| row.iter().all(|x| *x == row[0]));
        assert!(maps.method.reads != Reads::Layer || is_striped, "{}", maps.method.name);
    }
    // One place has nothing to stand out from.
    let error = Explainer::new(&network).layer("layer4.0").explain(image, &Class(0)).err().unwrap();
    assert!(matches!(error, Error::UnknownLayer { .. }), "{error}");
}

/// Sizes at which windows, patches and strides leave a remainder, where a family takes them.
#[test]
fn plain_inference_computes_what_layers_one_by_one_do() {
    let (device, wide) = (device(), |case: &Case| [case.size[0] + 36, case.size[1] + 20]);
    let siblings = [
        ("resnext", hashed_on(TINY_RESNEXT, &device), [75, 50]),
        ("vgg with norms", hashed_on(VggConfig { norms: true, ..VGG }, &device), [75, 50]),
        ("deit", hashed_on(VitConfig { distilled: true, ..VIT }, &device), [64, 96]),
        ("vit with registers", hashed_on(VitConfig { registers: 2, ..VIT }, &device), [80, 48]),
        ("vit with scales", hashed_on(VitConfig { layer_scale: true, ..VIT }, &device), [64, 96]),
        ("padded swin", hashed_on(SwinConfig { image: [36, 52], ..SWIN }, &device), [36, 52]),
    ];
    let cases = cases();
    let known = cases.iter().flat_map(|case| {
        let sizes = if case.attention || case.biases { vec![case.size, wide(case)] } else { vec![case.size] };
        sizes.into_iter().map(|size| (case.name, &case.network, size))
    });
    let siblings = siblings.iter().map(|(name, network, size)| (*name, network, *size));
    let mut found = Differences::default();
    for (name, network, size) in known.chain(siblings) {
        let images = picture("conformance", [3, size[0], size[1]], 16);
        // A tape goes through Burn's operations but for linear layers, whose own test is beside them.
        let [at_once, one_by_one] =
            [images.clone(), images.autodiff()].map(|images| read(&network.forward(images, &Taps::off())));
        // Sums of up to a thousand products in another order.
        found.add(format!("{name} of {size:?}"), &apart(&one_by_one, &at_once), 5e-6);
    }
    found.judge();
}

/// Where nobody looks at what the last block makes of the patches, it is computed for the tokens that the classifier reads alone.
#[test]
fn what_the_classifier_reads_does_not_depend_on_who_else_looks() {
    let device = device();
    let siblings = [
        ("vit", VIT),
        ("deit", VitConfig { distilled: true, ..VIT }),
        ("vit with registers", VitConfig { registers: 2, ..VIT }),
        ("vit with scales", VitConfig { layer_scale: true, ..VIT }),
    ];
    let mut found = Differences::default();
    for (name, config) in siblings {
        let network = hashed_on(config, &device);
        let images = picture("conformance", [2, 64, 96], 16);
        let explained = |layers: &[&str]| {
            let explainer = Explainer::new(&network).method(GradCam);
            let explainer = layers.iter().fold(explainer, |explainer, layer| explainer.layer(*layer));
            let found = explainer.explain(images.clone(), &Class(3)).unwrap();
            [found.output, found.maps[0].raw.clone().flatten(1, 2)].map(|found| read(&found))
        };
        let [alone, watched] = [&["blocks.2.norm1"][..], &["blocks.2.norm1", "norm"]].map(explained);
        for (what, (alone, watched)) in ["logits", "map"].into_iter().zip(alone.iter().zip(&watched)) {
            // Sums of up to a hundred products in another order.
            found.add(format!("{what} of {name}"), &apart(watched, alone), 5e-6);
        }
    }
    found.judge();
}

/// How far maps of two devices may be apart, of full scale: sums in another order.
const BETWEEN_DEVICES: f32 = 1e-4;

/// The processor, where the device of the tests is another.
fn processor_beside() -> Option<Device> {
    let here = Device::flex();
    if device() == here {
        println!("skipped: CAM_TEST_DEVICE names no device beside the processor");
        return None;
    }
    Some(here)
}

/// What is asked of a device first: it takes seconds where all methods on all families take minutes.
#[test]
fn another_device_gives_the_same_map_of_the_built_in_model() {
    let Some(here) = processor_beside() else { return };
    let scene = Scene::draw(7, 128).unwrap();
    let [ours, theirs] = [device(), here].map(|device| {
        let model = Classifier::builtin(&device).unwrap();
        let (images, _) = model.card().preprocess().apply(&scene.image, &device).unwrap();
        let explainer = Explainer::new(&model).layer(&model.card().layer).method(GradCam);
        let found = explainer.explain(images, &Class(3)).unwrap();
        [read(&found.output), read(&found.maps[0].heatmap)]
    });
    let mut found = Differences::default();
    for (what, (ours, theirs)) in ["logits", "map"].into_iter().zip(ours.iter().zip(&theirs)) {
        found.add(what, &apart(theirs, ours), BETWEEN_DEVICES);
    }
    found.judge();
}

#[test]
fn another_device_gives_the_same_maps_as_the_processor() {
    let Some(here) = processor_beside() else { return };
    for (case, known) in cases().into_iter().zip(cases_on(&here)) {
        let mut found = Differences::default();
        for method in methods() {
            let images = case.images(1);
            let ours = case.maps(method, images.clone());
            let images = images.to_device(&here);
            let theirs = known.maps(method, images);
            let (Some(ours), Some(theirs)) = (&ours, &theirs) else {
                assert_eq!(ours.is_some(), theirs.is_some(), "{} of {}", method.name(), case.name);
                continue;
            };
            found.add(format!("{} of {}", method.name(), case.name), &theirs.apart(ours), BETWEEN_DEVICES);
        }
        found.judge();
    }
}

/// What stands beside and around the methods: of each its numbers, the largest of which is full scale.
fn around(case: &Case, images: Tensor<4>) -> Vec<(&'static str, Vec<f32>)> {
    let explainer = Explainer::new(&case.network).layer(case.layer).method(GradCam);
    let smooth = Explainer::new(&case.network).layer(case.layer).method(GradCam).eigen_smooth(true);
    let heat = |found: Result<Explanation, Error>| read(&found.unwrap().maps[0].heatmap);
    let sess = Sess { scales: 2, ..Sess::PAPER };
    let found = concepts(&case.network, case.layer, images.clone(), 3, 0).unwrap();
    let mut all = vec![
        ("eigen smooth", heat(smooth.explain(images.clone(), &Class(3)))),
        (
            "mirrored, brighter",
            heat(Wrapped::new(&explainer, Smooth::augmented()).explain(images.clone(), &Class(3))),
        ),
        (
            "noisy",
            heat(Wrapped::new(&explainer, Smooth::noisy(2, 0.1, 0)).explain(images.clone(), &Class(3))),
        ),
        ("windows", heat(Wrapped::new(&explainer, sess).explain_each(images.clone(), &[&Class(3)]))),
        ("concepts", found.heatmaps.iter().flat_map(read).collect()),
        ("what they look like", read(&found.vectors)),
    ];
    if case.relus {
        all.push(("guided", read(&guided_backprop(&case.network, &images, &Class(3)).unwrap())));
    }
    all
}

#[test]
fn another_device_gives_the_same_of_what_stands_around_the_methods() {
    let Some(here) = processor_beside() else { return };
    for (case, known) in cases().into_iter().zip(cases_on(&here)) {
        let mut found = Differences::default();
        let images = case.images(1);
        let theirs = around(&known, images.clone().to_device(&here));
        for ((what, ours), (_, theirs)) in around(&case, images).into_iter().zip(theirs) {
            found.add(format!("{what} of {}", case.name), &apart(&theirs, &ours), BETWEEN_DEVICES);
        }
        found.judge();
    }
}

/// The differences, of the largest magnitude of those expected.
fn apart(expected: &[f32], found: &[f32]) -> Vec<f32> {
    differences(expected, found, largest(expected))
}

fn differences(expected: &[f32], found: &[f32], full: f32) -> Vec<f32> {
    assert_eq!(expected.len(), found.len());
    expected.iter().zip(found).map(|(a, b)| (a - b).abs() / full).collect()
}

/// The largest magnitude.
fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()))
}
