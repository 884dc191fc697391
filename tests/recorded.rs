//! The shipped networks, recorded as ordinary modules with their taps off, beside the same networks with their taps.

mod support;

use burn::tensor::Tensor;
use cam_core::{
    Class, Error, Explainer, Explanation, GradCam, Method, Model, Taps, choose_layer, concepts,
    guided_backprop, layers,
};
use cam_graph::Recorded;
use cam_models::{Config, Network};
use support::arithmetic::Differences;
use support::{
    DENSENET, SWIN, TINY, TINY_RESNEXT, VGG, VIT, device, hashed_on, hashed_whole, methods, mnasnet, picture,
};

/// A network tapped by hand, and the same one as it is trained, recorded.
struct Case {
    name: &'static str,
    tapped: Network,
    recorded: Recorded<Network, Forward, Tensor<4>, Tensor<2>>,
    size: [usize; 2],
    /// The layers that are compared.
    layers: &'static [&'static str],
    /// Names that are the taps' own: no module stands for them.
    unnamed: &'static [&'static str],
    /// What is chosen where none is named: of layers with one value the outermost.
    chosen: &'static str,
}

type Forward = fn(&Network, Tensor<4>) -> Tensor<2>;

fn cases() -> Vec<Case> {
    fn case(
        name: &'static str,
        config: impl Into<Config> + Clone,
        size: [usize; 2],
        layers: &'static [&'static str],
        chosen: &'static str,
    ) -> Case {
        let network = hashed_whole(config.clone(), &device());
        let forward: Forward = |network, images| network.forward(images, &Taps::in_steps());
        let recorded = cam_graph::record(&network, forward).unwrap();
        Case { name, tapped: hashed_on(config, &device()), recorded, size, layers, unnamed: &[], chosen }
    }
    let wide = [64, 96];
    vec![
        case("resnet", TINY, wide, &["maxpool", "layer3.0.bn1", "layer3.0", "layer4"], "layer4"),
        case("resnext", TINY_RESNEXT, wide, &["layer1.0.downsample.1", "layer3.0"], "layer4"),
        case("vgg", VGG, wide, &["features.10", "features.13"], "features"),
        Case {
            unnamed: &["features.relu0"],
            ..case(
                "densenet",
                DENSENET,
                wide,
                &["features.pool0", "features.denseblock1.denselayer2", "features.denseblock1", "features"],
                "features",
            )
        },
        case("mnasnet", mnasnet(), wide, &["layers.12", "layers.16"], "layers"),
        case("vit", VIT, wide, &["blocks.1.norm1", "blocks.1.mlp"], "blocks.2.norm1"),
        case("swin", SWIN, [64, 64], &["layers.0.blocks.1.attn", "layers.1.blocks.1.norm1"], "norm"),
    ]
}

impl Case {
    fn images(&self, batch: usize) -> Tensor<4> {
        picture("recorded", [batch, self.size[0], self.size[1]], 16)
    }
}

fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().unwrap()
}

/// The differences, of the largest magnitude of those expected.
fn apart(expected: &[f32], found: &[f32]) -> Vec<f32> {
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    assert_eq!(expected.len(), found.len());
    expected.iter().zip(found).map(|(a, b)| (a - b).abs() / largest).collect()
}

#[test]
fn every_layer_that_is_tapped_by_hand_is_found() {
    for case in cases() {
        let list = |found: Result<Vec<cam_core::LayerInfo>, Error>| found.unwrap();
        for batch in [1, 2] {
            let images = case.images(batch);
            let found = list(layers(&case.recorded, images.clone()));
            for known in list(layers(&case.tapped, images)) {
                let what = format!("{} of {} at batch {batch}", known.name, case.name);
                let same = found.iter().find(|layer| layer.name == known.name);
                assert_eq!(same.is_none(), case.unnamed.contains(&known.name.as_str()), "{what}");
                // The same places and channels, maybe in another order in memory: a ViT's patches before or after they are tokens.
                let form =
                    |layer: &cam_core::LayerInfo| (layer.channels, layer.grid.clone(), layer.attention);
                assert!(same.is_none_or(|same| form(same) == form(&known)), "{what}: {same:?}, {known:?}");
            }
        }
    }
}

#[test]
fn the_layer_that_is_chosen_is_the_same() {
    let mut found = Differences::default();
    for case in cases() {
        let images = case.images(1);
        let ours = choose_layer(&case.recorded, &images, &Class(3)).unwrap();
        assert_eq!(ours, case.chosen, "{}", case.name);
        let theirs = choose_layer(&case.tapped, &images, &Class(3)).unwrap();
        // A block that is not tapped by hand ends with the layer that is.
        let same = ours == theirs || theirs.starts_with(&format!("{ours}."));
        assert!(same, "{ours} and {theirs} of {}", case.name);
        let [ours, theirs] = [
            explain(&case.recorded, &ours, &GradCam, images.clone()),
            explain(&case.tapped, &theirs, &GradCam, images),
        ]
        .map(|map| map.unwrap()[0].clone());
        found.add(case.name, &apart(&theirs, &ours), ROUNDING);
    }
    found.judge();
}

/// Folded norms and the processor's own kernels on one side, Burn's operations on the other: sums in another order. It is the limit that
/// maps of two devices have.
const ROUNDING: f32 = 1e-4;

#[test]
fn logits_are_the_same_at_any_batch() {
    let mut found = Differences::default();
    for case in cases() {
        for batch in [1, 2, 5] {
            let [ours, theirs] = [
                case.recorded.forward(case.images(batch), &Taps::off()),
                case.tapped.forward(case.images(batch), &Taps::off()),
            ]
            .map(|logits| read(&logits));
            found.add(format!("{} at {batch}", case.name), &apart(&theirs, &ours), 5e-6);
        }
    }
    found.judge();
}

#[test]
fn every_method_draws_the_same_map() {
    for case in cases() {
        let mut found = Differences::default();
        for layer in case.layers {
            let mut drawn = 0;
            for method in methods() {
                let images = case.images(1);
                let ours = explain(&case.recorded, layer, method, images.clone());
                let theirs = explain(&case.tapped, layer, method, images);
                match (ours, theirs) {
                    (Ok(ours), Ok(theirs)) => {
                        let what = |part| format!("{part} of {} at {layer} of {}", method.name(), case.name);
                        let heat: Vec<f32> =
                            ours[1].iter().zip(&theirs[1]).map(|(a, b)| (a - b).abs()).collect();
                        found.add(what("raw"), &apart(&theirs[0], &ours[0]), ROUNDING);
                        found.add(what("heat"), &heat, ROUNDING);
                        drawn += usize::from(theirs[0].iter().any(|x| *x != theirs[0][0]));
                    }
                    (ours, theirs) => {
                        assert_eq!(ours.err(), theirs.err(), "{} at {layer} of {}", method.name(), case.name);
                    }
                }
            }
            assert!(drawn >= 14, "{drawn} maps at {layer} of {} are not blank", case.name);
        }
        found.judge();
    }
}

/// The raw map and the heat.
fn explain<M: Model>(
    model: &M,
    layer: &str,
    method: &'static dyn Method,
    images: Tensor<4>,
) -> Result<[Vec<f32>; 2], Error> {
    let found: Explanation = Explainer::new(model).layer(layer).method(method).explain(images, &Class(3))?;
    Ok([read(&found.maps[0].raw), read(&found.maps[0].heat)])
}

#[test]
fn guided_backpropagation_and_concepts_are_the_same() {
    let mut found = Differences::default();
    for case in cases() {
        let images = case.images(1);
        let ours = guided_backprop(&case.recorded, &images, &Class(3)).map(|gradient| read(&gradient));
        let theirs = guided_backprop(&case.tapped, &images, &Class(3)).map(|gradient| read(&gradient));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                found.add(format!("guided of {}", case.name), &apart(&theirs, &ours), ROUNDING)
            }
            (ours, theirs) => assert_eq!(ours.err(), theirs.err(), "{}", case.name),
        }
        let layer = case.layers[case.layers.len() - 1];
        let [ours, theirs] = [
            concepts(&case.recorded, layer, images.clone(), 3, 0).unwrap(),
            concepts(&case.tapped, layer, images, 3, 0).unwrap(),
        ]
        .map(|found| read(&found.vectors));
        found.add(format!("concepts of {}", case.name), &apart(&theirs, &ours), ROUNDING);
    }
    found.judge();
}
