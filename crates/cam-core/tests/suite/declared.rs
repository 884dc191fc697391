//! What methods declare: a method is refused what it has not declared, and scores of copies are shared only between targets for which the
//! copies are the same.

use crate::common::numbers;
use burn::prelude::*;
use cam_core::{
    Chunk, Class, Cost, Error, Evidence, Explain, Explainer, Explanation, LayerContext, METHODS, Method,
    MethodInfo, Nchw, Reads, Rectify, Sampling, Scale, Taps, Target, UniqueCopies,
};
use std::collections::HashSet;

type Ask = fn(&LayerContext<'_>) -> Result<(), Error>;

/// A method with this declaration that asks for one thing.
struct Asks(MethodInfo, Ask);

impl Method for Asks {
    fn info(&self) -> MethodInfo {
        self.0
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            (self.1)(layer)?;
            Ok(layer.activation())
        })
    }
}

fn model(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    let bias = Tensor::ones([3], &x.device().without_autodiff());
    let x = taps.biased("x", Nchw, Some(bias.clone()), || x + bias.reshape([1, 3, 1, 1]));
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

fn image() -> Tensor<4> {
    crate::common::seed(7);
    crate::common::uniform([1, 3, 2, 2], 0.1, 1.0, &Device::flex())
}

fn copies(layer: &LayerContext<'_>) -> UniqueCopies {
    UniqueCopies::none(layer.activation().dims()[0], 2)
}

const NAME: MethodInfo = MethodInfo::new("asks", "Asks", "");

#[test]
fn a_method_is_refused_what_it_does_not_declare_and_given_what_it_declares() {
    let cases: [(Ask, MethodInfo, &str); 10] = [
        (|layer| layer.gradient().map(drop), NAME.gradient(), "add `.gradient()`"),
        (|layer| layer.curvature(0.01).map(drop), NAME.second_order(), "add `.second_order()`"),
        (|layer| layer.gradient_at_exit().map(drop), NAME.gradient_at_exit(), "add `.gradient_at_exit()`"),
        (
            |layer| layer.gradient_under_noise(|shape| Tensor::zeros(*shape, &Device::flex())).map(drop),
            NAME.gradient_under_noise(),
            "add `.gradient_under_noise()`",
        ),
        (
            |layer| layer.scores_of_edited(&copies(layer), &|copies, _| copies).map(drop),
            NAME.replay(),
            "add `.replay()`",
        ),
        (
            |layer| layer.gradient_of_edited(|activation| activation).map(drop),
            NAME.replay().gradient(),
            "add `.replay()`",
        ),
        (
            |layer| {
                let masks = layer.activation().narrow(1, 0, 2);
                let finish = |masks, _: &Chunk<'_>| masks;
                layer.scores_of_masked(masks, &copies(layer), Sampling::HalfPixel, &finish).map(drop)
            },
            NAME.masked_inputs(),
            "add `.masked_inputs()`",
        ),
        (|layer| layer.linear_head().map(drop), NAME.linear_head(), "add `.linear_head()`"),
        (|layer| layer.biases().map(drop), NAME.reads(Reads::Biases), "add `.reads(Reads::Biases)`"),
        (|layer| layer.score().map(drop), NAME, "remove `.without_class()`"),
    ];
    for (ask, declared, remedy) in cases {
        let undeclared = if remedy.contains("without_class") { NAME.without_class() } else { NAME };
        let explain =
            |info| Explainer::new(&model).layer("x").method(Asks(info, ask)).explain(image(), &Class(1));
        assert_eq!(explain(undeclared).err(), Some(Error::Undeclared { method: "asks", remedy }), "{remedy}");
        assert_eq!(explain(declared).err(), None, "{remedy}");
    }
    let attention = Asks(NAME, |layer| layer.attentions().map(drop));
    let error = Explainer::new(&model).layer("x").method(attention).explain(image(), &Class(1)).err();
    assert_eq!(error, Some(Error::Undeclared { method: "asks", remedy: "add `.reads(Reads::Attention)`" }));
    assert!(error.unwrap().to_string().contains("`asks`"));
}

#[test]
fn a_method_can_read_the_input() {
    let method = Asks(NAME.reads(Reads::Input).gradient(), |layer| {
        assert_eq!((layer.name(), layer.grid()), ("input", &[2, 2][..]));
        layer.gradient().map(drop)
    });
    let explanation = Explainer::new(&model).layer("x").method(method).explain(image(), &Class(1)).unwrap();
    let layers: Vec<&str> = explanation.maps.iter().map(|maps| maps.layer.as_str()).collect();
    assert_eq!(layers, ["input"]);
    let sums = image().sum_dim(1).reshape([4]);
    assert_eq!(numbers(&explanation.maps[0].raw.clone().reshape([4])), numbers(&sums));
}

#[test]
fn methods_have_names_titles_and_papers_of_their_own() {
    let infos: Vec<MethodInfo> = METHODS.iter().map(|method| method.info()).collect();
    let names: HashSet<&str> = infos.iter().map(|info| info.name).collect();
    let titles: HashSet<&str> = infos.iter().map(|info| info.title).collect();
    assert_eq!((names.len(), titles.len()), (METHODS.len(), METHODS.len()));
    for info in infos {
        assert!(info.paper.starts_with("https://") && !info.title.is_empty(), "{}", info.name);
        assert!(info.needs.class || !info.needs.any_gradient(), "{}: a gradient is of a score", info.name);
        let runs_copies = info.needs.replay || info.needs.masked_inputs;
        let is_slow = runs_copies || matches!(info.cost, Cost::Passes(64..));
        assert_eq!(info.cost.is_slow(), is_slow, "{}: {}", info.name, info.cost.describe());
        assert_eq!(
            info.cost == Cost::OnePass,
            !runs_copies
                && !info.needs.second_order
                && !info.needs.gradient_at_exit
                && !info.needs.gradient_under_noise
        );
    }
}

/// The score of the activation times one plus the largest gradient: copies that depend on the target.
struct TimesGradient {
    /// Whether the gradient is asked for before the scores, or while the copies are made.
    before: bool,
}

impl Method for TimesGradient {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("times-gradient", "Times gradient", "").gradient().replay()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let gradient = if self.before { Some(layer.gradient()?) } else { None };
            let edit = |copies: Tensor<3>, _: &Chunk<'_>| match &gradient {
                Some(gradient) => copies + gradient.clone(),
                None => copies + layer.gradient().expect("it is declared"),
            };
            let copies = UniqueCopies::none(layer.activation().dims()[0], 1);
            let scores = layer.scores_of_edited(&copies, &edit)?;
            Ok(layer.activation().ones_like() * scores.unsqueeze_dim::<3>(2))
        })
    }
}

/// Two requests: which copies the second one runs depends on the scores of the first.
struct TwoRequests;

impl Method for TwoRequests {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("two-requests", "Two requests", "").replay()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let copies = UniqueCopies::none(layer.activation().dims()[0], 1);
            let plain = layer.scores_of_edited(&copies, &|copies, _| copies)?;
            let scores =
                layer.scores_of_edited(&copies, &|copies, _| copies * plain.clone().unsqueeze::<3>())?;
            Ok(layer.activation().ones_like() * scores.unsqueeze_dim::<3>(2))
        })
    }
}

/// The weights of the classes differ, and with them gradients and scores.
fn weighted(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    let x = taps.layer("x", Nchw, || x);
    let weights = Tensor::<1>::from_floats([1.0, 10.0, 100.0], &x.device().without_autodiff());
    x.mean_dims(&[2, 3]).flatten::<2>(1, 3) * weights.unsqueeze()
}

#[test]
fn a_request_that_depends_on_the_target_gets_scores_of_its_own() {
    let raw = |explanation: &Explanation, map: usize| numbers(&explanation.maps[map].raw);
    let methods: [fn() -> Box<dyn Method>; 3] = [
        || Box::new(TimesGradient { before: true }),
        || Box::new(TimesGradient { before: false }),
        || Box::new(TwoRequests),
    ];
    for method in methods {
        let explainer = Explainer::new(&weighted).layer("x").method(method());
        let explainer = explainer.rectify(Rectify::Signed).scale(Scale::None);
        let targets: [&dyn Target; 3] = [&Class(0), &Class(1), &Class(2)];
        let together = explainer.explain_each(image(), &targets).unwrap();
        for (index, target) in targets.into_iter().enumerate() {
            let alone = explainer.explain(image(), target).unwrap();
            assert_eq!(raw(&together, index), raw(&alone, 0), "{} of class {index}", alone.maps[0].method);
        }
        assert_ne!(raw(&together, 0), raw(&together, 1));
    }
}

/// Returns one position too few.
struct Short;

impl Method for Short {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("short", "Short", "").without_class()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(
            async move { Ok(layer.activation().narrow(2, 1, layer.grid().iter().product::<usize>() - 1)) },
        )
    }
}

#[test]
fn evidence_of_another_shape_than_the_layer_is_refused() {
    let model = |x: burn::Tensor<4>, taps: &cam_core::Taps<'_>| -> burn::Tensor<2> {
        taps.layer("x", cam_core::Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
    };
    let images = burn::Tensor::<4>::ones([2, 3, 4, 5], &burn::tensor::Device::flex());
    let error =
        Explainer::new(&model).layer("x").method(Short).explain(images, &cam_core::Class(0)).err().unwrap();
    let expected = Error::WrongEvidence { method: "short", found: [2, 3, 19], batch: 2, positions: 20 };
    assert_eq!(error, expected);
}
