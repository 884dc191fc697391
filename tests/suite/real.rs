//! Real weights and real photos, where they are at hand: `../shared/data` beside the repository. They are no part of it,
//! so these tests say that they skip where it is not there.

#[path = "../../examples/squeezenet.rs"]
mod squeezenet;

use burn::tensor::{Device, Tensor};
use burn_cam::ImageInput;
use cam_core::{
    Class, Explain, Explainer, Explanation, GradCam, LayerCam, METHODS, MethodInfo, Model, Reads, ScoreCam,
    Taps, Target, guided_backprop, guided_gradcam, layers, method_named,
};
use cam_image::{Preprocess, Resize, read_photo};
use cam_models::{Classifier, Weights};
use squeezenet::SqueezeNet;
use std::path::PathBuf;

/// The preprocessing that a model is evaluated with.
fn cropped(model: &Classifier) -> Preprocess {
    Preprocess { resize: Resize::Crop, ..model.card().preprocess() }
}

fn data(file: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn the_dog_and_the_cat_are_each_found_by_a_model_of_ones_own() {
    let (Some(weights), Some(photo)) = (data("squeezenet1_0.safetensors"), data("both.png")) else { return };
    let device = Device::flex();
    let model = Weights::open(&weights).unwrap().load("squeezenet1_0", SqueezeNet::new(&device)).unwrap();
    let (input, _) = Preprocess::IMAGENET.apply(&read_photo(&photo).unwrap(), &device).unwrap();

    let logits = model.forward(input.clone(), &Taps::off());
    assert_eq!(logits.argmax(1).into_scalar::<i64>(), 243, "a bull mastiff");

    // The dog's head is in the upper middle, the cat in the lower middle.
    let (dog, cat) = (Class(243), Class(281));
    let targets: [&dyn Target; 2] = [&dog, &cat];
    // Methods that mask the image are tried by Score-CAM alone, for the dog. CAM needs a linear head, which SqueezeNet does not have.
    let other =
        |info: MethodInfo| info.needs.masked_inputs || info.needs.linear_head || info.name == "randomcam";
    let quick = METHODS.iter().filter(|method| method.info().reads == Reads::Layer && !other(method.info()));
    let explainer =
        quick.fold(Explainer::new(&model).layer("features.12"), |all, method| all.method(*method));
    let found: Explanation = explainer.explain_each(input.clone(), &targets).unwrap();
    let score =
        Explainer::new(&model).layer("features.12").method(ScoreCam::PAPER).explain(input, &dog).unwrap();
    for maps in found.maps.iter().chain(&score.maps) {
        let heat: Vec<f32> = maps.heatmap.to_data().try_to_vec().unwrap();
        let peak = (0..heat.len()).max_by(|&a, &b| heat[a].total_cmp(&heat[b])).unwrap();
        let (x, y) = (peak % 224, peak / 224);
        println!("{} of {}: {x}, {y}", maps.method.name, maps.target);
        // These ask for no class: Eigen-CAM points at the dog, the others light both animals.
        let upper = maps.target == 0 || maps.method.name == "eigencam";
        if ["kpcacam", "fem"].contains(&maps.method.name) {
            assert!((60..190).contains(&x), "{} finds the animals at {x}, {y}", maps.method.name);
        } else if upper {
            assert!(y < 120 && (60..170).contains(&x), "{} finds the dog at {x}, {y}", maps.method.name);
        } else if ["gradcam", "hirescam", "layercam"].contains(&maps.method.name) {
            assert!(y > 120, "{} finds the cat at {x}, {y}", maps.method.name);
        }
    }
}

#[test]
fn a_recording_finds_the_layers_and_the_maps_of_a_model_tapped_by_hand() {
    let (Some(weights), Some(photo)) = (data("squeezenet1_0.safetensors"), data("both.png")) else { return };
    let device = Device::flex();
    let model = Weights::open(&weights).unwrap().load("squeezenet1_0", SqueezeNet::new(&device)).unwrap();
    let (input, _) = Preprocess::IMAGENET.apply(&read_photo(&photo).unwrap(), &device).unwrap();
    let recorded =
        cam_graph::record(&model, |model: &SqueezeNet, x: Tensor<4>| model.forward(x, &Taps::off())).unwrap();
    let found = recorded.layers(&input).unwrap();
    let known = layers(&model, input.clone()).unwrap();
    for layer in &known {
        assert!(found.names().contains(&layer.name.as_str()), "{} in\n{found}", layer.name);
    }
    let raw = |found: Result<Explanation, _>| -> Vec<f32> {
        let found = found.unwrap();
        found.maps.iter().flat_map(|maps| maps.raw.to_data().try_to_vec::<f32>().unwrap()).collect()
    };
    for layer in ["features.2", "features.7", "features.12"] {
        let ours = Explainer::new(&recorded)
            .layer(layer)
            .method(GradCam)
            .method(LayerCam)
            .explain(input.clone(), &Class(243));
        let theirs = Explainer::new(&model)
            .layer(layer)
            .method(GradCam)
            .method(LayerCam)
            .explain(input.clone(), &Class(243));
        let (ours, theirs) = (raw(ours), raw(theirs));
        let largest = theirs.iter().fold(0f32, |most, x| most.max(x.abs()));
        let apart = ours.iter().zip(&theirs).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        println!("{layer}: {apart:e} of {largest:e}");
        // Sums in another order; units at the corner of their ReLU pass their gradient or not, as in the golden tests.
        assert!(largest > 0.0 && apart < 5e-3 * largest, "{apart} of {largest} at {layer}");
    }
}

#[test]
fn the_guided_gradient_draws_the_dog() {
    let (Some(weights), Some(photo)) = (data("squeezenet1_0.safetensors"), data("both.png")) else { return };
    let device = Device::flex();
    let model = Weights::open(&weights).unwrap().load("squeezenet1_0", SqueezeNet::new(&device)).unwrap();
    let (input, _) = Preprocess::IMAGENET.apply(&read_photo(&photo).unwrap(), &device).unwrap();
    // How much of the gradient lies in the upper half, where the dog's head is, and how much in the lower one with the cat.
    let upper_share = |class: usize| {
        let explainer = Explainer::new(&model).layer("features.12");
        let found: Explanation = explainer.explain(input.clone(), &Class(class)).unwrap();
        let gradient = guided_backprop(&model, &input, &Class(class)).unwrap();
        let heat: Tensor<3> = found.maps[0].heatmap.clone();
        let guided = guided_gradcam(&gradient, heat.flatten(1, 2));
        let rows: Vec<f32> = guided.abs().sum_dims(&[1, 3]).into_data().try_to_vec().unwrap();
        rows[..112].iter().sum::<f32>() / rows.iter().sum::<f32>()
    };
    let (dog, cat) = (upper_share(243), upper_share(281));
    assert!(dog > 0.6 && cat < 0.4, "{dog} of the dog's in the upper half, {cat} of the cat's");
}

#[test]
fn a_vit_is_as_sure_of_the_photos_as_timm() {
    let Some(weights) = data("vit_tiny_patch16_224.safetensors") else { return };
    let device = Device::flex();
    let model = Classifier::load_file(&weights, &device).unwrap();
    assert_eq!(model.card().name, "vit_tiny_patch16_224");
    for (photo, class, probability) in [("dog.jpg", 258, 0.873), ("both.png", 243, 0.572)] {
        let Some(photo) = data(photo) else { return };
        let (input, _) = cropped(&model).apply(&read_photo(&photo).unwrap(), &device).unwrap();
        let found = &model.predictions(model.forward(input, &Taps::off()), 1).unwrap()[0][0];
        println!("{}: {} at {}", photo.display(), found.label, found.probability);
        assert_eq!(found.class, class);
        // The probabilities are known to three places, and one byte of a hundred is a step of 255 off Pillow's resize, which
        // moves them by 1.5e-3.
        assert!((found.probability - probability).abs() < 2e-3, "{found:?}, timm says {probability}");
    }
}

#[test]
fn the_maps_of_a_vit_lie_on_the_animals() {
    let (Some(weights), Some(photo)) = (data("vit_tiny_patch16_224.safetensors"), data("both.png")) else {
        return;
    };
    let device = Device::flex();
    let model = Classifier::load_file(&weights, &device).unwrap();
    let (input, _) = cropped(&model).apply(&read_photo(&photo).unwrap(), &device).unwrap();
    let explainer = Explainer::new(&model).layer(&model.card().layer);
    let explainer = ["gradcam", "layercam", "eigencam", "kpcacam", "rollout"]
        .into_iter()
        .fold(explainer, |all, name| all.method(method_named(name).unwrap()));
    let found: Explanation = explainer.explain(input, &Class(243)).unwrap();
    for maps in &found.maps {
        let heat: Vec<f32> = maps.heatmap.to_data().try_to_vec().unwrap();
        let peak = (0..heat.len()).max_by(|&a, &b| heat[a].total_cmp(&heat[b])).unwrap();
        println!("{}: row {}, column {}", maps.method.name, peak / 224, peak % 224);
        // The dog sits in the upper middle, the cat lies below; the left edge is a window, the right edge a wall.
        let mean = |columns: std::ops::Range<usize>| -> f32 {
            let inside = heat.iter().enumerate().filter(|(place, _)| columns.contains(&(place % 224)));
            inside.map(|(_, x)| x).sum::<f32>() / (224 * columns.len()) as f32
        };
        match maps.method.name {
            "gradcam" | "layercam" => {
                assert!(peak / 224 < 60 && (80..150).contains(&(peak % 224)), "the dog's head")
            }
            // These ask for no class: both animals are lit, and the background is not.
            _ => assert!(mean(80..160) > 1.5 * mean(0..40), "{} lights the background", maps.method.name),
        }
    }
}

#[test]
fn half_of_a_photo_at_least_is_untouched_in_its_first_picture() {
    let models = ["vit_tiny_patch16_224.safetensors", "onnx/efficientnet_lite0.onnx"].map(data);
    let Some(folder) = data("photos/imagenet") else { return };
    let mut photos: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    photos.sort();
    let photos =
        photos.into_iter().step_by(4).take(10).chain(["dog.jpg", "both.png"].into_iter().filter_map(data));
    let images: Vec<ImageInput> = photos.map(|path| ImageInput::open(path).unwrap()).collect();
    for file in models.into_iter().flatten() {
        let model = burn_cam::open(&file, &Device::flex()).unwrap();
        for image in &images {
            let drawn = burn_cam::explain(&model, image).unwrap().overlay().unwrap();
            let photo = image.pixels();
            assert_eq!(drawn.dimensions(), photo.dimensions());
            let pairs = || drawn.pixels().zip(photo.pixels());
            let far = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            let untouched = pairs().filter(|(a, b)| far(&a.0, &b.0) <= 8).count();
            let share = untouched as f64 / f64::from(photo.width() * photo.height());
            println!("{}, {:?}: {share:.2}", file.display(), image.name());
            assert!(share >= 0.5, "{share} of {:?}", image.name());
            assert!(
                pairs().any(|(a, b)| far(&a.0, &b.0) > 40),
                "nothing is seen of the map of {:?}",
                image.name()
            );
        }
    }
}
