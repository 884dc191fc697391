//! Recording and explaining do not change the module, and a recording can be shared by threads.

use crate::inputs::{LAYERS, Net, net};
use crate::norms;
use crate::support::{device, filled, images, pooled};
use burn::module::{Module, ModuleDisplay, ModuleVisitor, Param};
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::{TensorData, Tolerance};
use cam_core::{Class, Explain, Explainer, GradCam, LayerCam, Model, Taps, layers, method_named};
use cam_graph::{Recorded, record};

/// All values of a module: parameters and running statistics.
fn numbers<M: Module>(module: &M) -> Vec<TensorData> {
    struct All(Vec<TensorData>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().to_data());
        }
    }
    let mut all = All(Vec::new());
    module.visit(&mut all);
    all.0
}

fn explain<M: Model>(model: &M) -> Vec<f32> {
    let found = Explainer::new(model)
        .layer("conv")
        .method(GradCam)
        .method(LayerCam)
        .method(method_named("ablationcam").unwrap())
        .explain_each(images(2), &[&Class(1), &Class(3)])
        .unwrap();
    found.maps.iter().flat_map(|map| map.raw.to_data().try_to_vec::<f32>().unwrap()).collect()
}

/// A module in training and in inference, on a plain device and on one that records gradients.
fn stays<N: Module + ModuleDisplay>(
    norm: fn(&Device) -> N,
    forward: fn(&norms::Net<N>, Tensor<4>) -> Tensor<2>,
) {
    let mut maps: Vec<Vec<f32>> = Vec::new();
    for autodiff in [false, true] {
        for training in [true, false] {
            let device = if autodiff { device().autodiff() } else { device() };
            let net = filled(norms::net_on(norm(&device), &device));
            let net = if training { net } else { net.valid() };
            let before = numbers(&net);
            let output = forward(&net.valid(), images(2)).into_data();
            let recorded = record(&net, forward).unwrap();
            maps.push(explain(&recorded));
            assert_eq!(numbers(&net), before, "autodiff {autodiff}, training {training}");
            assert_eq!(numbers(&net.valid()), before, "a copy made later");
            assert_eq!(forward(&net.valid(), images(2)).into_data(), output);
            same(recorded.forward(images(2), &Taps::off()).into_data(), &output);
            assert_eq!(net.devices(), if training { vec![device.clone()] } else { vec![self::device()] });
        }
    }
    assert!(maps[0].iter().any(|x| *x != 0.0));
    assert!(maps.iter().all(|other| *other == maps[0]), "the same network, however it is held");
}

fn plane<N: Module + ModuleDisplay>(
    net: &norms::Net<N>,
    x: Tensor<4>,
    norm: impl Fn(&N, Tensor<4>) -> Tensor<4>,
) -> Tensor<2> {
    net.fc.forward(pooled(relu(norm(&net.norm, net.conv.forward(x)))))
}

#[test]
fn every_kind_of_norm_is_unchanged() {
    stays(|device| BatchNormConfig::new(8).init(device), |net, x| plane(net, x, |norm, x| norm.forward(x)));
    stays(
        |device| GroupNormConfig::new(2, 8).init(device),
        |net, x| plane(net, x, |norm, x| norm.forward(x)),
    );
    stays(
        |device| InstanceNormConfig::new(8).init(device),
        |net, x| plane(net, x, |norm, x| norm.forward(x)),
    );
    stays(|device| LayerNormConfig::new(12).init(device), |net, x| plane(net, x, |norm, x| norm.forward(x)));
    stays(|device| RmsNormConfig::new(12).init(device), |net, x| plane(net, x, |norm, x| norm.forward(x)));
    stays(|_| LocalResponseNormConfig::new(3).init(), |net, x| plane(net, x, |norm, x| norm.forward(x)));
}

/// A module straight from `init`, with its training flags on, is explained in inference: without dropout and batch statistics.
#[test]
fn a_module_in_training_is_explained_in_inference() {
    for device in [device(), device().autodiff()] {
        let net = filled(net().fork(&device));
        let recorded = record(&net, Net::forward).unwrap();
        let expected = net.valid().forward(images(2)).into_data();
        same(recorded.forward(images(2), &Taps::off()).into_data(), &expected);
        let taped = recorded.forward(images(2).autodiff().require_grad(), &Taps::off());
        same(taped.inner().into_data(), &expected);
    }
}

fn of_threads<T: Send + Sync>(_: &T) {}

#[test]
fn four_threads_explain_with_one_recording() {
    let net = filled(net());
    let forward: fn(&Net, Tensor<4>) -> Tensor<2> = Net::forward;
    let recorded: Recorded<Net, _, Tensor<4>, Tensor<2>> = record(&net, forward).unwrap();
    of_threads(&recorded);
    // There is no recording yet, so the threads race for it.
    let found: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| explain(&recorded))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found[0].iter().any(|x| *x != 0.0));
    assert!(found.iter().all(|other| *other == found[0]));
    assert_eq!(explain(&recorded), found[0]);
}

/// After further training a module must be recorded again; an earlier recording is unchanged.
#[test]
fn a_recording_is_of_the_weights_that_it_was_made_with() {
    let net = filled(net());
    let recorded = record(&net, Net::forward).unwrap();
    let before = recorded.forward(images(2), &Taps::off()).into_data();
    let changed = Net { conv: net.conv.clone().map(&mut Doubled), ..net.clone() };
    let again = record(&changed, Net::forward).unwrap();
    assert_ne!(again.forward(images(2), &Taps::off()).into_data(), before);
    assert_eq!(recorded.forward(images(2), &Taps::off()).into_data(), before);
    // A batch size that is recorded only now.
    let three = recorded.forward(images(3), &Taps::off()).into_data();
    same(three, &net.valid().forward(images(3)).into_data());
}

/// Equal up to the order of sums in the kernels and in Burn.
fn same(found: TensorData, expected: &TensorData) {
    found.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-5, 1e-6));
}

struct Doubled;

impl burn::module::ModuleMapper for Doubled {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor * 2.0)
    }
}

#[test]
fn a_shape_is_recorded_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PASSES: AtomicUsize = AtomicUsize::new(0);
    let net = filled(net());
    let recorded = record(&net, |net: &Net, x: Tensor<4>| {
        PASSES.fetch_add(1, Ordering::Relaxed);
        net.forward(x)
    })
    .unwrap();
    assert_eq!(PASSES.load(Ordering::Relaxed), 0);
    let names: Vec<String> =
        layers(&recorded, images(1)).unwrap().into_iter().map(|layer| layer.name).collect();
    assert_eq!(names, LAYERS.map(|layer| layer.split(' ').next().unwrap()));
    // One image, and the same image twice, which identifies the batch axis.
    assert_eq!(PASSES.load(Ordering::Relaxed), 2);
    recorded.forward(images(1), &Taps::off());
    recorded.forward(images(2), &Taps::off());
    assert_eq!(PASSES.load(Ordering::Relaxed), 2);
    recorded.forward(images(3), &Taps::off());
    assert_eq!(PASSES.load(Ordering::Relaxed), 3);
}
