//! The maps of the built-in model, scored against the true masks of drawn scenes that training never saw.

use burn::tensor::{Device, Tensor};
use cam_core::{Class, Explain, Explainer, Explanation, GradCam, Target};
use cam_models::Classifier;
use cam_scenes::Scene;

/// Scenes of two classes.
const SCENES: usize = 200;

/// Seeds below those of training (which start at 2^32) and apart from those that it is checked with (below 512).
fn scenes() -> impl Iterator<Item = Scene> {
    (10_000..)
        .map(|seed| Scene::draw(seed, 128).unwrap())
        .filter(|scene| scene.objects.len() == 2)
        .take(SCENES)
}

#[test]
fn the_labels_of_the_built_in_model_are_the_classes_of_the_scenes() {
    let model = Classifier::builtin(&Device::flex()).unwrap();
    let names: Vec<&str> = cam_scenes::Class::ALL.iter().map(|class| class.name()).collect();
    assert_eq!(model.labels(), names);
}

#[test]
fn of_two_objects_each_class_points_at_its_own() {
    let device = Device::flex();
    let model = Classifier::builtin(&device).unwrap();
    let preprocess = model.card().preprocess();
    let explainer = Explainer::new(&model).layer(&model.card().layer).method(GradCam);
    let (mut hits, mut energy, mut share, mut sure, mut asked) = (0, 0.0, 0.0, 0, 0);
    for scene in scenes() {
        let (input, _) = preprocess.apply(&scene.image, &device).unwrap();
        let classes: Vec<Class> = scene.objects.iter().map(|object| Class(object.class.index())).collect();
        let targets: Vec<&dyn Target> = classes.iter().map(|class| class as &dyn Target).collect();
        let found: Explanation = explainer.explain_each(input, &targets).unwrap();
        for (object, maps) in scene.objects.iter().zip(&found.maps) {
            let heat: Vec<f32> = maps.heatmap.to_data().try_to_vec().unwrap();
            let peak = (0..heat.len()).max_by(|&a, &b| heat[a].total_cmp(&heat[b])).unwrap();
            hits += usize::from(object.mask.as_slice()[peak]);
            let inside: f32 =
                heat.iter().zip(object.mask.as_slice()).filter(|(_, inside)| **inside).map(|(x, _)| x).sum();
            energy += inside / heat.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            share += object.mask.fraction();
            sure += usize::from(maps.scores.clone().into_scalar::<f32>() > 0.0);
            asked += 1;
        }
    }
    let part = |count: usize| count as f32 / asked as f32;
    println!(
        "GradCAM points at the asked object in {:.1} % of {asked}, {:.1} % of its energy is in it; the object covers {:.1} % of the \
         picture; the model sees it in {:.1} %",
        100.0 * part(hits),
        100.0 * energy / asked as f32,
        100.0 * share / asked as f32,
        100.0 * part(sure),
    );
    assert_eq!(asked, 2 * SCENES);
    assert!(part(hits) >= 0.9, "{} of {asked}", hits);
}

#[test]
fn a_random_map_points_at_an_object_as_often_as_its_area_says() {
    let device = Device::flex();
    device.seed(4);
    let (mut hits, mut share, mut asked) = (0, 0.0, 0);
    for scene in scenes() {
        let random =
            Tensor::<2>::random([1, 128 * 128], burn::tensor::Distribution::Uniform(0.0, 1.0), &device);
        let peak = random.argmax(1).into_scalar::<i64>() as usize;
        for object in &scene.objects {
            hits += usize::from(object.mask.as_slice()[peak]);
            share += object.mask.fraction();
            asked += 1;
        }
    }
    let (hits, share) = (hits as f32 / asked as f32, share / asked as f32);
    println!(
        "a random map points at the asked object in {:.1} %, its area is {:.1} %",
        100.0 * hits,
        100.0 * share
    );
    // Four deviations of the mean of 400 trials.
    assert!((hits - share).abs() < 4.0 * (share * (1.0 - share) / asked as f32).sqrt());
}
