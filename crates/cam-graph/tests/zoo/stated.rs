//! What a forward pass states of itself: its modules, and gradients of its values.

use crate::support::{device, filled, images};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Class, Explain, Explainer, HiResCam};
use cam_graph::{detached, enter_module, record, record_fallible, straight_through};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    fc: Linear,
}

fn net() -> Net {
    let device = device();
    filled(Net {
        conv: Conv2dConfig::new([3, 4], [3, 3]).init(&device),
        fc: LinearConfig::new(4, 5).init(&device),
    })
}

/// A step behind the layer `conv`, whose gradient a forward pass may state.
type Step = fn(Tensor<4>) -> Tensor<4>;

/// Returns the raw HiResCAM map at `conv`.
fn map(step: Step) -> Vec<f32> {
    let forward = move |net: &Net, images: Tensor<4>| -> Tensor<2> {
        let x = step(net.conv.forward(images) * 100.0);
        net.fc.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    };
    let recorded = record(&net(), forward).unwrap();
    let found =
        Explainer::new(&recorded).layer("conv").method(HiResCam).explain(images(2), &Class(1)).unwrap();
    found.maps[0].raw.to_data().try_to_vec().unwrap()
}

fn rounded(x: Tensor<4>) -> Tensor<4> {
    x.round()
}

fn passed_on(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(straight_through(x.round().into_dispatch()))
}

#[test]
fn a_stated_gradient_passes_rounding_and_others_do_not() {
    let plain = map(|x| x);
    assert!(plain.iter().any(|x| x.abs() > 1e-3), "the map is not blank");
    assert!(map(rounded).iter().all(|x| *x == 0.0), "rounding has no gradient");
    // Behind the rounding everything is linear, so the gradient is that without rounding.
    assert_eq!(map(passed_on), plain);
    let constant = map(|x| x.clone() + Tensor::from_dispatch(detached((x * 3.0).into_dispatch())));
    assert_eq!(constant, plain, "what is detached adds no gradient");
}

#[test]
fn the_values_are_those_of_the_operators() {
    let direct = net();
    let forward = |net: &Net, images: Tensor<4>| passed_on(net.conv.forward(images) * 100.0);
    let recorded = record(&direct, forward).unwrap();
    let found = cam_core::Model::forward(&recorded, images(2), &cam_core::Taps::off());
    let expected = rounded(direct.conv.forward(images(2)) * 100.0);
    let all = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().unwrap();
    let (found, expected) = (all(found), all(expected));
    assert!(found.iter().all(|x| x.fract() == 0.0), "they are rounded");
    // Kernels sum in another order, so a value halfway between two numbers may be rounded to the other one.
    let other = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(other * 100 < found.len(), "{other} of {}", found.len());
}

#[test]
fn layers_are_the_modules_that_a_forward_pass_names() {
    let forward = |net: &Net, images: Tensor<4>| -> Tensor<2> {
        enter_module("body.stem.conv");
        let x = net.conv.forward(images);
        enter_module("body.stem.act");
        let x = relu(x);
        enter_module("body.stem");
        let x = x.clone() + x;
        enter_module("body.act");
        let x = relu(x);
        enter_module("");
        let x = x.mean_dims(&[2, 3]).flatten(1, 3);
        enter_module("head");
        net.fc.forward(x)
    };
    let recorded = record(&net(), forward).unwrap();
    let layers = recorded.layers(&images(2)).unwrap();
    assert_eq!(layers.names(), ["body.stem.conv", "body.stem.act", "body.stem", "body.act", "body"]);
}

#[test]
fn a_module_that_is_called_twice_has_a_layer_for_each_call() {
    let forward = |net: &Net, images: Tensor<4>| -> Tensor<2> {
        let mut x = images;
        for _ in 0..2 {
            enter_module("block.conv");
            x = net.conv.forward(x);
            enter_module("block.act");
            x = relu(x).narrow(1, 0, 3);
        }
        enter_module("head");
        let x = x.mean_dims(&[2, 3]).flatten(1, 3);
        net.fc.forward(Tensor::cat(vec![x.clone(), x.narrow(1, 0, 1)], 1))
    };
    let recorded = record(&net(), forward).unwrap();
    let layers = recorded.layers(&images(2)).unwrap();
    assert_eq!(
        layers.names(),
        ["block.conv", "block.act", "block", "block.conv#2", "block.act#2", "block#2"]
    );
}

#[test]
fn an_error_of_a_forward_pass_is_that_of_the_recording() {
    let recorded = record_fallible(&net(), |_: &Net, images: Tensor<4>| match images.dims()[2] {
        8 => Ok(images),
        height => Err(format!("a height of {height} is refused")),
    });
    let recorded = recorded.unwrap();
    let error = recorded.layers(&Tensor::zeros([1, 3, 9, 9], &device())).unwrap_err();
    assert_eq!(error.to_string(), "a height of 9 is refused");
    assert!(recorded.prepare(&Tensor::zeros([1, 3, 8, 8], &device())).is_ok());
}
