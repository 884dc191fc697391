//! How much of the network is run: once for all that can share it, and not at all for what is known.

use crate::common::{Function, close, numbers, of_layers, seed, uniform};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{
    Ablated, AblationCam, Class, Evidence, Explain, Explainer, Explanation, GradCam, Inspect, IsCam,
    LayerContext, Method, MethodInfo, Model, Nchw, Needs, NoModule, ReciproCam, ScoreCam, Smooth, SsCam,
    Taps, Target, Top, UniqueCopies, Wrapped,
};
use std::cell::Cell;

fn device() -> Device {
    Device::flex()
}

/// A network of three layers that counts the images that each is run on.
#[derive(Default)]
struct Counted {
    first: Cell<usize>,
    second: Cell<usize>,
    head: Cell<usize>,
    most: Cell<usize>,
}

impl Counted {
    fn forget(&self) {
        for count in [&self.first, &self.second, &self.head, &self.most] {
            count.set(0);
        }
    }

    fn counts(&self) -> [usize; 3] {
        [self.first.get(), self.second.get(), self.head.get()]
    }
}

fn count(counter: &Cell<usize>, x: &Tensor<4>) {
    counter.set(counter.get() + x.dims()[0]);
}

impl Model for Counted {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let x = taps.layer("first", Nchw, || {
            count(&self.first, &images);
            relu(images)
        });
        let x = taps.layer("second", Nchw, || {
            count(&self.second, &x);
            x.square() + 0.1
        });
        count(&self.head, &x);
        self.most.set(self.most.get().max(x.dims()[0]));
        x.mean_dims(&[2, 3]).flatten(1, 3)
    }
}

fn images(batch: usize) -> Tensor<4> {
    seed(4);
    uniform([batch, 3, 4, 4], 0.1, 1.0, &device())
}

/// Methods that run no changed image.
fn of_one_pass() -> impl Iterator<Item = &'static &'static dyn Method> {
    let changes = |needs: Needs| needs.masked_inputs || needs.gradient_under_noise;
    of_layers().filter(move |method| !changes(method.info().needs))
}

#[test]
fn classes_layers_and_methods_share_one_pass_of_the_trunk() {
    let net = Counted::default();
    for layers in [&["first"][..], &["second"], &["first", "second"]] {
        let explainer = layers.iter().fold(Explainer::new(&net), |all, layer| all.layer(*layer));
        let explainer = of_one_pass().fold(explainer, |all, method| all.method(*method));
        for classes in [&[0][..], &[0, 1, 2]] {
            net.forget();
            let classes: Vec<Class> = classes.iter().copied().map(Class).collect();
            let targets: Vec<&dyn Target> = classes.iter().map(|class| class as &dyn Target).collect();
            explainer.explain_each(images(2), &targets).unwrap();
            let [first, second, head] = net.counts();
            assert_eq!(first, 2, "the first layer is run once for the two images, whatever is asked");
            if layers == ["second"] {
                assert_eq!(second, 2);
            }
            // Further classes cost a tail of their own, not a pass.
            assert!(head < 2 * 80 * layers.len() * classes.len());
        }
    }
}

#[test]
fn an_explainer_that_replays_remembers_in_its_first_pass_what_that_needs() {
    let net = Counted::default();
    let explainer = Explainer::new(&net).layer("second").method(AblationCam::PAPER);
    for _ in 0..3 {
        net.forget();
        explainer.explain(images(2), &Class(0)).unwrap();
        assert_eq!(net.counts()[..2], [2, 2]);
    }
}

#[test]
fn the_places_of_reciprocam_are_run_once_for_all_classes() {
    let net = Counted::default();
    let explainer = Explainer::new(&net).layer("second").method(ReciproCam::PAPER);
    explainer.explain(images(2), &Top).unwrap(); // looks whether the model is in inference
    for classes in [&[0][..], &[0, 1, 2]] {
        net.forget();
        let classes: Vec<Class> = classes.iter().copied().map(Class).collect();
        let targets: Vec<&dyn Target> = classes.iter().map(|class| class as &dyn Target).collect();
        explainer.explain_each(images(2), &targets).unwrap();
        assert_eq!(net.counts(), [2, 2, 2 + 2 * 16], "one tail for each of 16 places of two images");
    }
}

/// Score-CAM that scores every channel on its own.
struct Each;

impl Method for Each {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("each", "Each", "").masked_inputs()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = layer.activation();
            let copies = UniqueCopies::none(activation.dims()[0], activation.dims()[1]);
            let scores =
                layer.scores_of_masked(activation.clone(), &copies, Default::default(), &|masks, _| {
                    cam_core::Scale::PerMap.apply(masks)
                })?;
            Ok(burn::tensor::activation::softmax(scores, 1).unsqueeze_dim::<3>(2) * activation)
        })
    }
}

/// Five masks on a grid of 2 x 2: two are zero, one varies, and two light up the same place.
fn masks() -> [[[f32; 2]; 2]; 5] {
    let (dark, lit) = ([[0.0; 2]; 2], [[0.0, 0.0], [3.0, 0.0]]);
    [dark, [[0.1, 0.7], [0.3, 0.2]], lit, dark, [[0.0, 0.0], [0.2, 0.0]]]
}

/// Looks at these masks whatever the picture, and scores the brightness of its places.
fn of_masks(runs: &Cell<usize>) -> impl Model + '_ {
    Function(move |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let batch = images.dims()[0];
        runs.set(runs.get() + batch);
        let masks: Tensor<3> = Tensor::from_floats(masks(), &images.device());
        taps.layer("masks", Nchw, || masks.unsqueeze::<4>().expand([batch, 5, 2, 2]));
        let weights = Tensor::<1, Int>::arange(0..64, &images.device().without_autodiff()).float();
        (images.reshape([batch, 64]) * weights.unsqueeze()).sum_dim(1)
    })
}

#[test]
fn channels_that_are_one_mask_are_run_once() {
    let runs = Cell::new(0);
    let model = of_masks(&runs);
    let picture: Tensor<4> = uniform([1, 1, 8, 8], 0.0, 0.1, &device());
    let map = |explainer: Explainer<'_, _>| {
        runs.set(0);
        let found: Explanation = explainer.layer("masks").explain(picture.clone(), &Class(0)).unwrap();
        (runs.get() - 2, numbers(&found.maps[0].raw)) // the first pass, and the look whether it is in inference
    };
    let (each, expected) = map(Explainer::new(&model).method(Each));
    assert_eq!(each, 5);
    for memory in [1, 1 << 20] {
        let (runs, found) = map(Explainer::new(&model).method(ScoreCam::PAPER).memory(memory));
        assert_eq!(runs, 3);
        close(&found, &expected, 1e-6);
    }
    assert_eq!(map(Explainer::new(&model).method(IsCam { steps: 4, ..IsCam::PAPER })).0, 4 * 3);
    // Noise makes each mask another.
    assert_eq!(map(Explainer::new(&model).method(SsCam { samples: 2, ..SsCam::PAPER })).0, 2 * 5);
    assert_eq!(map(Explainer::new(&model).method(ScoreCam { channels: Some(2), ..ScoreCam::PAPER })).0, 2);
}

#[test]
fn a_channel_that_holds_its_replacement_is_not_ablated() {
    let net = Counted::default();
    // Of the three channels one is dead, and one has the same value everywhere.
    let dead = Tensor::<4>::zeros([1, 1, 4, 4], &device());
    let picture = Tensor::cat(vec![images(1).narrow(1, 0, 1), dead.clone() + 0.5, dead], 1);
    let map = |ablated| {
        let explainer = Explainer::new(&net).layer("first").method(AblationCam { ablated });
        explainer.explain(picture.clone(), &Class(1)).unwrap();
        net.forget();
        let found = explainer.explain(picture.clone(), &Class(1)).unwrap();
        (net.counts()[1] - 1, numbers(&found.maps[0].raw))
    };
    // One run stands for all that do not change.
    for (ablated, runs) in
        [(Ablated::Zero, 3), (Ablated::Mean, 2), (Ablated::Min, 2), (Ablated::Value(0.5), 3)]
    {
        assert_eq!(map(ablated).0, runs, "{ablated:?}");
    }
    // Class 1 is the mean square of the channel that is 0.5 everywhere, and 0.1: (0.35 - 0.1) / 0.35 of its 0.5.
    close(&map(Ablated::Zero).1, &[0.25 / 0.35 * 0.5; 16], 1e-6);
    close(&map(Ablated::Mean).1, &[0.0; 16], 1e-6);
}

#[test]
fn copies_are_run_in_chunks_that_fit() {
    let net = Counted::default();
    let picture: Tensor<4> = uniform([1, 30, 4, 4], 0.1, 1.0, &device());
    let most = |memory: usize| {
        let explainer = Explainer::new(&net).layer("first").memory(memory);
        net.forget();
        explainer
            .method(AblationCam::PAPER)
            .method(ScoreCam::PAPER)
            .explain(picture.clone(), &Class(0))
            .unwrap();
        net.most.get()
    };
    // A copy takes eight times its largest layer, of 30 x 4 x 4 numbers of four bytes. There is one for each channel, and a whole one.
    let copy = 8 * 4 * 30 * 16;
    assert_eq!([most(1), most(copy), most(2 * copy), most(7 * copy), most(usize::MAX)], [1, 1, 2, 7, 31]);
}

#[test]
fn what_was_run_is_told_in_forward_passes() {
    let net = Counted::default();
    let passes = |explainer: Explainer<'_, Counted>, classes: usize| {
        let classes: Vec<Class> = (0..classes).map(Class).collect();
        let targets: Vec<&dyn Target> = classes.iter().map(|class| class as &dyn Target).collect();
        explainer.explain_each(images(2), &targets).unwrap(); // looks whether the model is in inference
        explainer.explain_each(images(2), &targets).unwrap().passes
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    let at = |layer: &str| Explainer::new(&net).layer(layer);
    // Behind the first layer are the second and the head of three, behind the second the head.
    near(passes(at("second").method(GradCam), 1), 1.0 + 1.0 / 3.0);
    near(passes(at("first").method(GradCam), 1), 1.0 + 2.0 / 3.0);
    near(passes(at("first").method(GradCam), 2), 1.0 + 2.0 / 3.0 + 2.0 * 2.0 / 3.0);
    near(passes(at("second").method(AblationCam::PAPER), 3), 1.0 + (3.0 + 1.0) / 3.0);
    near(passes(at("second").method(ScoreCam::PAPER), 3), 1.0 + 3.0);
    let explainer = at("second").method(cam_core::EigenCam);
    explainer.explain(images(1), &Top).unwrap();
    near(Wrapped::new(&explainer, Smooth::augmented()).explain(images(1), &Top).unwrap().passes, 1.0 + 6.0);
}
