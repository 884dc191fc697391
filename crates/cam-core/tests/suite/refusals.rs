//! What is refused, and in which words.

use crate::common::{CLASSES, Function, Net, images, numbers, of_layers};
use burn::module::Module;
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{
    Class, Classes, Error, Explain, Explainer, IntegratedGradients, Nchw, Ncl, Ranked, Taps, Target, Tokens,
    Top, Warning,
};

fn refused(layer: &str, target: &dyn Target) -> Error {
    let net = Net::new(&Device::flex());
    Explainer::new(&net).layer(layer).explain(images(2, &Device::flex()), target).err().unwrap()
}

#[test]
fn an_unknown_layer_is_told_with_those_that_there_are() {
    let said = refused("layer4", &Top).to_string();
    assert!(
        said.starts_with("no layer is called `layer4`; there are stem, block.bn1, block.bn2, block, last ("),
        "{said}"
    );
}

#[test]
fn a_network_without_a_layer_to_look_at_is_told() {
    let model = |x: Tensor<4>, taps: &Taps<'_>| {
        let x = taps.layer("pooled", Nchw, || x.mean_dims(&[2, 3]));
        x.flatten::<2>(1, 3)
    };
    let error = Explainer::new(&model).explain(images(1, &Device::flex()), &Top).err().unwrap();
    assert_eq!(error, Error::NoLayer { known: vec!["pooled".into()] });
    assert!(error.to_string().contains("explain the pixels, with the layer `input`"), "{error}");
    // What it says can be done.
    let pixels =
        Explainer::new(&model).layer("input").explain(images(1, &Device::flex()), &Class(0)).unwrap();
    assert_eq!(pixels.maps[0].layer, "input");
}

#[test]
fn an_unknown_class_is_told_with_how_many_there_are() {
    assert_eq!(refused("last", &Class(5)), Error::UnknownClass { asked: 5, classes: CLASSES });
    assert_eq!(refused("last", &Ranked(7)), Error::UnknownClass { asked: 7, classes: CLASSES });
}

#[test]
fn too_few_targets_are_an_error_and_not_a_blank_map() {
    assert_eq!(refused("last", &Classes(vec![1])), Error::TargetCount { targets: 1, images: 2 });
}

#[test]
fn a_target_gives_one_score_an_image() {
    let target = |output: &Tensor<2>| -> Tensor<1> { output.clone().sum() };
    assert_eq!(refused("last", &target), Error::ScoreCount { found: 1, expected: 2 });
}

fn of_closure(
    model: impl Fn(Tensor<4>, &Taps<'_>) -> Tensor<2>,
    layer: &str,
) -> Result<cam_core::Explanation, Error> {
    let explainer = of_layers().fold(Explainer::new(&model).layer(layer), |all, method| all.method(*method));
    explainer.explain(Tensor::ones([2, 3, 4, 4], &Device::flex()), &Class(0))
}

fn pooled(x: Tensor<4>) -> Tensor<2> {
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

#[test]
fn a_name_stands_for_one_layer() {
    let twice = |x: Tensor<4>, taps: &Taps<'_>| {
        let x = taps.layer("x", Nchw, || x);
        pooled(taps.layer("x", Nchw, || x * 2.0))
    };
    assert_eq!(of_closure(twice, "x").err().unwrap(), Error::RepeatedLayer { layer: "x".into() });
}

#[test]
fn a_grid_that_does_not_fit_is_told() {
    let wrong = |x: Tensor<4>, taps: &Taps<'_>| {
        let tokens = taps.layer("x", Tokens { prefix: 1, height: 4, width: 4 }, || x.reshape([2, 3, 16]));
        tokens.sum_dim(2).reshape([2, 3])
    };
    let said = of_closure(wrong, "x").err().unwrap().to_string();
    assert!(
        said.contains("`x` has the shape [2, 3, 16]")
            && said.contains("3 tokens, and its layout has 1 + 4 x 4"),
        "{said}"
    );
}

#[test]
fn a_layer_that_is_not_batch_first_is_told() {
    let wrong =
        |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || x.swap_dims(0, 1)).swap_dims(0, 1));
    let said = of_closure(wrong, "x").err().unwrap().to_string();
    assert!(said.contains("the first axis is the batch, of 2"), "{said}");
}

#[test]
fn a_layer_without_the_axes_of_the_input_is_told() {
    let flat = |x: Tensor<4>, taps: &Taps<'_>| {
        taps.layer("x", Ncl, || x.reshape([2, 3, 16])).mean_dim(2).reshape([2, 3])
    };
    assert_eq!(
        of_closure(flat, "x").err().unwrap(),
        Error::WrongGrid { layer: "x".into(), found: 1, expected: 2 }
    );
}

#[test]
fn a_layer_that_the_score_does_not_depend_on_is_told() {
    let aside = |x: Tensor<4>, taps: &Taps<'_>| {
        taps.layer("aside", Nchw, || x.clone() * 2.0);
        pooled(x)
    };
    assert_eq!(of_closure(aside, "aside").err().unwrap(), Error::NotConnected { layer: "aside".into() });
}

#[test]
fn nothing_to_explain_is_told() {
    let net = Net::new(&Device::flex());
    let empty = Tensor::<4>::zeros([0, 3, 8, 8], &Device::flex());
    let error = Explainer::new(&net).layer("last").explain(empty, &Top).err().unwrap();
    assert_eq!(error, Error::EmptyInput { shape: vec![0, 8, 8] });
}

#[test]
fn batch_statistics_behind_a_tap_are_told() {
    let device = Device::flex();
    let training = Net::training(&device);
    // In front of the BatchNorms they would use the statistics of the batch. Behind them there is nothing to mistake, but nobody
    // can know that before it is run.
    for layer in ["stem", "last"] {
        let error = Explainer::new(&training).layer(layer).explain(images(2, &device), &Top).err().unwrap();
        assert_eq!(error, Error::TrainingMode { modules: vec!["bn1".into(), "bn2".into()] });
        let said = error.to_string();
        assert!(
            said.contains("`bn1`, `bn2`") && said.contains("valid()") && said.contains("freeze()"),
            "{said}"
        );
    }
    assert!(Explainer::new(&training.valid()).layer("last").explain(images(2, &device), &Top).is_ok());
}

#[test]
fn a_model_in_training_is_told() {
    let device = Device::flex();
    let training = Net::training(&device).train();
    for model in [training.clone(), Net::training(&device.clone().autodiff())] {
        let error = Explainer::new(&model).layer("last").explain(images(1, &device), &Top).err().unwrap();
        assert_eq!(error, Error::TrainingDevice);
    }
    assert!(Explainer::new(&training.valid()).layer("last").explain(images(1, &device), &Top).is_ok());
}

#[test]
fn maps_that_mean_little_say_so() {
    let warnings = |model: fn(Tensor<4>, &Taps<'_>) -> Tensor<2>, image: Tensor<4>| {
        let model = Function(model);
        let found = Explainer::new(&model).layer("x").explain(image, &Class(0)).unwrap();
        found.maps[0].warnings().unwrap().concat()
    };
    let device = Device::flex();
    let varied = images(1, &device).abs();
    let plain = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || x));
    let against = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || x)).neg();
    let ignored = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || x)) * 0.0;
    assert_eq!(warnings(plain, varied.clone()), []);
    assert_eq!(warnings(against, varied.clone()), [Warning::NothingKept]);
    assert_eq!(warnings(ignored, varied), [Warning::NoEvidence]);
    assert_eq!(warnings(plain, Tensor::ones([1, 3, 4, 4], &device)), [Warning::Flat]);
    assert_eq!(warnings(plain, Tensor::full([1, 3, 4, 4], f32::NAN, &device)), [Warning::NonFinite]);
}

#[test]
fn an_integral_of_too_few_steps_says_so() {
    // A threshold that few of the steps reach.
    let model = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || relu(x - 0.8)));
    let warned = |steps| {
        let method = IntegratedGradients { steps, ..IntegratedGradients::PAPER };
        let image = Tensor::ones([2, 3, 4, 4], &Device::flex());
        Explainer::new(&model).method(method).explain(image, &Class(0)).unwrap().maps[0].warnings().unwrap()
    };
    // One of four steps is beyond it, which counts a quarter in place of a fifth.
    assert_eq!(warned(4), [[Warning::Flat, Warning::Incomplete { percent: 25 }]; 2]);
    assert_eq!(warned(50), [[Warning::Flat]; 2]);
}

#[test]
fn tiny_and_odd_inputs_have_a_defined_result() {
    for shape in [[1, 1, 1, 1], [2, 1, 3, 1], [1, 2, 1, 7], [2, 3, 4, 4]] {
        for value in [0.0, 1.0] {
            let model = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || x));
            let explainer =
                of_layers().fold(Explainer::new(&model).layer("x"), |all, method| all.method(*method));
            let found = explainer.explain(Tensor::full(shape, value, &Device::flex()), &Class(0)).unwrap();
            // Less of a Gaussian is within the borders.
            for maps in found.maps.iter().filter(|maps| maps.method.name != "vitreciprocam") {
                assert!(
                    numbers(&maps.heatmap).iter().all(|x| *x == 0.0),
                    "{}: a flat map is zeros",
                    maps.method.name
                );
            }
        }
    }
}

#[test]
fn explainers_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Explainer<'_, Net>>();
    shared::<Error>();
}
