//! Nothing to look at: every method on models that lack what it looks at gives a map or says what is missing.

use crate::common::{Function, seed, uniform};
use burn::prelude::*;
use cam_core::{
    Attention, Error, Explain, Explainer, Explanation, GradCam, METHODS, Method, Model, Nchw, Reads, Sess,
    Smooth, Taps, Tokens, Top, Wrapped, choose_layer, concepts, guided_backprop, layers, rank_layers,
};

const GRID: Tokens = Tokens { prefix: 0, height: 4, width: 4 };

/// What a model names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Names {
    Nothing,
    Layers,
    Attention,
    Biases,
}

const ALL: [Names; 4] = [Names::Nothing, Names::Layers, Names::Attention, Names::Biases];

fn model(names: Names) -> impl Model {
    Function(move |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = match names {
            Names::Nothing => x.square(),
            Names::Layers | Names::Attention => taps.layer("x", Nchw, || x.square()),
            Names::Biases => {
                let bias = Tensor::ones([3], &x.device().without_autodiff());
                taps.biased("x", Nchw, Some(bias.clone()), || x.square() + bias.reshape([1, 3, 1, 1]))
            }
        };
        let x: Tensor<3> = x.flatten(2, 3);
        let x = match names {
            Names::Attention => {
                let y = x.clone().swap_dims(1, 2);
                let weights = taps.layer("attention", Attention(GRID), || {
                    let products = y.clone().matmul(x.clone());
                    burn::tensor::activation::softmax(products, 2).unsqueeze_dim::<4>(1)
                });
                weights.squeeze_dim::<3>(1).matmul(y).swap_dims(1, 2)
            }
            _ => x,
        };
        x.mean_dim(2).squeeze_dim(2)
    })
}

fn images(batch: usize) -> Tensor<4> {
    seed(3);
    uniform([batch, 3, 4, 4], 0.1, 1.0, &Device::flex())
}

/// What a method is to say of a model, asked for this layer.
fn expected(method: &dyn Method, names: Names, layer: Option<&str>) -> Option<Error> {
    let unknown = |asked: &str| Error::UnknownLayer { asked: asked.into(), known: Vec::new() };
    match (layer, method.info().reads) {
        (Some(layer), _) if names == Names::Nothing => Some(unknown(layer)),
        (None, Reads::Layer) if names == Names::Nothing => Some(Error::NoLayer { known: Vec::new() }),
        (_, Reads::Attention) if names != Names::Attention => Some(Error::NoAttention),
        (_, Reads::Biases) if names != Names::Biases => Some(Error::NoBiases),
        _ => None,
    }
}

#[test]
fn every_method_gives_a_map_or_says_what_is_missing() {
    for names in ALL {
        let model = model(names);
        for (method, layer) in METHODS.iter().flat_map(|method| [(method, None), (method, Some("x"))]) {
            let explainer = layer.iter().fold(Explainer::new(&model), |all, layer| all.layer(*layer));
            let explainer = explainer.method(*method);
            let what = format!("{} of {names:?} at {layer:?}", method.name());
            // The second call no longer looks whether the model is in inference.
            for _ in 0..2 {
                let found: Result<Explanation, Error> = explainer.explain(images(2), &Top);
                let error = found.err();
                match method.name() {
                    "cam" if expected(*method, names, layer).is_none() => {
                        let linear = matches!(error, None | Some(Error::NotLinear { .. }));
                        assert!(linear, "{what}: {error:?}");
                    }
                    _ => assert_eq!(error, expected(*method, names, layer), "{what}"),
                }
            }
            let none: Explanation = match explainer.explain_each(images(2), &[]) {
                Ok(found) => found,
                Err(error) => {
                    assert_eq!(Some(error), expected(*method, names, layer), "{what}, for no target");
                    continue;
                }
            };
            assert!(none.maps.is_empty(), "{what}");
        }
    }
}

#[test]
fn a_method_that_finds_something_does_not_hide_one_that_does_not() {
    let model = model(Names::Layers);
    for attention in ["legrad", "rollout"] {
        let explainer = Explainer::new(&model).method(GradCam);
        let explainer = explainer.method(cam_core::method_named(attention).unwrap());
        assert_eq!(explainer.explain(images(1), &Top).err(), Some(Error::NoAttention));
    }
}

#[test]
fn whatever_wraps_a_method_says_what_is_missing_too() {
    for names in ALL {
        let model = model(names);
        for method in METHODS {
            let explainer = Explainer::new(&model).method(*method);
            let missing = expected(*method, names, None);
            let missing = |error: Option<Error>, what: &str| match method.name() {
                "cam" if missing.is_none() => {
                    assert!(matches!(error, None | Some(Error::NotLinear { .. })), "{what}: {error:?}");
                }
                name => assert_eq!(error, missing, "{what} of {name}, {names:?}"),
            };
            missing(Wrapped::new(&explainer, Smooth::augmented()).explain(images(2), &Top).err(), "smooth");
            let sess = Sess { scales: 2, ..Sess::PAPER };
            if names != Names::Attention {
                missing(Wrapped::new(&explainer, sess).explain_each(images(2), &[&Top]).err(), "sess");
            }
        }
        let nothing = |error: Option<Error>, expected| {
            assert_eq!(error, if names == Names::Nothing { Some(expected) } else { None });
        };
        nothing(choose_layer(&model, &images(1), &Top).err(), Error::NoLayer { known: Vec::new() });
        nothing(rank_layers(&model, GradCam, images(1), &Top).err(), Error::NoLayer { known: Vec::new() });
        let unknown = Error::UnknownLayer { asked: "x".into(), known: Vec::new() };
        nothing(concepts(&model, "x", images(1), 2, 0).err(), unknown);
        assert_eq!(guided_backprop(&model, &images(1), &Top).err(), Some(Error::NoRelu));
    }
}

#[test]
fn an_input_without_images_or_places_is_refused_by_all() {
    let model = model(Names::Layers);
    let explainer = Explainer::new(&model).layer("x");
    for shape in [[0, 3, 4, 4], [2, 3, 0, 4], [2, 3, 4, 0]] {
        let empty = || Tensor::<4>::zeros(shape, &Device::flex());
        let told = Some(Error::EmptyInput { shape: vec![shape[0], shape[2], shape[3]] });
        assert_eq!(explainer.explain(empty(), &Top).err(), told);
        assert_eq!(layers(&model, empty()).err(), told);
        assert_eq!(choose_layer(&model, &empty(), &Top).err(), told);
        assert_eq!(rank_layers(&model, GradCam, empty(), &Top).err(), told);
        assert_eq!(concepts(&model, "x", empty(), 2, 0).err(), told);
        assert_eq!(guided_backprop(&model, &empty(), &Top).err(), told);
        assert_eq!(Wrapped::new(&explainer, Smooth::augmented()).explain(empty(), &Top).err(), told);
        assert_eq!(Wrapped::new(&explainer, Sess::PAPER).explain_each(empty(), &[&Top]).err(), told);
    }
}

#[test]
fn a_target_that_gives_too_few_scores_is_told_by_all() {
    let model = model(Names::Layers);
    let rectified =
        |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> { taps.relu(x).mean_dims(&[2, 3]).flatten(1, 3) };
    let explainer = Explainer::new(&model).layer("x");
    let one = |output: &Tensor<2>| -> Tensor<1> { output.clone().sum() };
    let of_all = |error: Option<Error>| {
        assert!(matches!(error, Some(Error::ScoreCount { found: 1, .. })), "{error:?}")
    };
    of_all(explainer.explain(images(2), &one).err());
    of_all(choose_layer(&model, &images(2), &one).err());
    of_all(rank_layers(&model, GradCam, images(2), &one).err());
    of_all(Wrapped::new(&explainer, Smooth::augmented()).explain(images(2), &one).err());
    of_all(
        Wrapped::new(&explainer, Sess { scales: 2, ..Sess::PAPER }).explain_each(images(2), &[&one]).err(),
    );
    of_all(guided_backprop(&rectified, &images(2), &one).err());
}
