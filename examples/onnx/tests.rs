//! The recording beside the module itself, and its maps beside the truth of drawn scenes.

use crate::model::{Model, recorded};
use burn_cam::{Classifier, Device, ImageExplainer, ImageExplanation, ImageModel, Model as _, Taps};
use cam_scenes::{Class, Scene};

/// Sums in another order, of the largest logit.
const ROUNDING: f32 = 1e-5;

#[test]
fn the_recording_has_the_logits_of_the_module_and_of_the_built_in_model() {
    let device = Device::flex();
    let net = Model::from_embedded(&device);
    let recorded = recorded(&net).unwrap();
    let builtin = Classifier::builtin(&device).unwrap();
    let scenes = [7, 8, 9].map(|seed| Scene::draw(seed, 200).unwrap().image);
    let (images, _) = ImageModel::preprocess(&recorded).apply_all(&scenes, &device).unwrap();

    let logits = recorded.forward(images.clone(), &Taps::off());
    let largest = logits.clone().abs().max().into_scalar::<f32>();
    let of_module = net.forward(images.clone());
    let of_builtin = builtin.forward(images, &Taps::off());
    for other in [of_module, of_builtin] {
        let apart = (logits.clone() - other).abs().max().into_scalar::<f32>();
        println!("{apart:e} of {largest}");
        assert!(apart <= ROUNDING * largest, "{apart} apart of {largest}");
    }
}

#[test]
fn grad_cam_points_at_the_object() {
    let net = Model::from_embedded(&Device::flex());
    let recorded = recorded(&net).unwrap();
    let scenes: Vec<Scene> = (0..40).map(|seed| Scene::draw(seed, 128).unwrap()).collect();
    // The last layer, which is looked at where none is named, has 8 x 8 places; the other has 16 x 16.
    for (layer, least) in [("relu#9", 32), ("relu#7", 37)] {
        let explainer = ImageExplainer::new(&recorded).layer(layer);
        let found = explainer.explain_all(scenes.iter().map(|scene| &scene.image)).unwrap();
        let found: Vec<ImageExplanation> = found.into_iter().map(Result::unwrap).collect();
        let on_object = |(scene, found): &(&Scene, &ImageExplanation)| {
            let map = &found.maps[0];
            let class = Class::from_index(map.class.unwrap()).unwrap();
            let (x, y) = map.peak();
            scene.mask_of(class).contains(x, y)
        };
        let hits = scenes.iter().zip(&found).filter(on_object).count();
        println!("{layer}: {hits} of {}", scenes.len());
        assert!(hits >= least, "{layer}: only {hits} of {}", scenes.len());
    }
}
