//! Forward passes that cannot be recorded, and their errors.

use crate::inputs::{Net, net};
use crate::support::{case, device, filled, images, pooled};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Class, Explain, Explainer};
use cam_graph::{Error, record};

/// The error must be one of the forward pass, with a location in this file.
fn refused(forward: fn(&Net, Tensor<4>) -> Tensor<2>, reason: &str) {
    let net = filled(net());
    let recorded = record(&net, forward).unwrap();
    match recorded.prepare(&images(1)) {
        Err(Error::Forward { shapes, location: Some(place), message }) => {
            assert_eq!(shapes, [images(1).dims()]);
            let (file, line) = place.split_once(".rs:").expect("a file and a line");
            assert!(line.split(':').all(|number| number.parse::<u32>().is_ok()), "{place}");
            assert!(!file.is_empty());
            assert!(message.contains(reason), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // The explainer returns it as an error, while the forward pass itself could only panic.
    let error = Explainer::new(&recorded).explain(images(1), &Class(0)).err().expect("a refusal");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn a_number_that_decides() {
    refused(
        |net, x| {
            let x = net.features(x);
            let most = x.clone().max().into_scalar::<f32>();
            net.fc.forward(pooled(if most > 0.0 { x } else { x * 2.0 }))
        },
        "value",
    );
}

#[test]
fn numbers_that_are_read() {
    refused(
        |net, x| {
            let numbers = x.clone().to_data().iter::<f32>().sum::<f32>();
            net.fc.forward(pooled(net.features(x))) * numbers
        },
        "value",
    );
}

#[test]
fn a_tensor_on_a_device_of_its_own_choice() {
    refused(
        |net, x| {
            let x = net.features(x);
            let mask = Tensor::<4>::ones([1, 8, 16, 12], &device());
            net.fc.forward(pooled(x * mask))
        },
        "not on the same device",
    );
}

#[test]
fn a_panic_of_the_user() {
    refused(
        |net, x| {
            assert!(x.dims()[0] > 100, "too few images");
            net.forward(x)
        },
        "too few images",
    );
}

/// An error at one size does not affect other sizes.
#[test]
fn one_size_fails_and_another_does_not() {
    let net = filled(net());
    let recorded = record(&net, |net: &Net, x: Tensor<4>| {
        assert!(x.dims()[0] < 5, "too many images");
        net.forward(x)
    })
    .unwrap();
    assert!(matches!(recorded.prepare(&images(5)), Err(Error::Forward { .. })));
    recorded.prepare(&images(2)).unwrap();
    assert!(matches!(recorded.prepare(&images(5)), Err(Error::Forward { .. })));
}

#[test]
fn an_output_that_the_input_does_not_change() {
    let net = filled(net());
    let recorded = record(&net, |net: &Net, x: Tensor<4>| {
        let zeros = Tensor::<2>::zeros([x.dims()[0], 8], &x.device());
        net.fc.forward(zeros)
    })
    .unwrap();
    assert_eq!(recorded.prepare(&images(1)), Err(Error::ConstantOutput));
}

/// Other panics on the same thread, before and after a recording, are still reported.
#[test]
fn other_panics_are_still_reported() {
    let net = filled(net());
    let recorded = record(&net, |_: &Net, x: Tensor<4>| -> Tensor<2> {
        let _ = x.into_data();
        unreachable!()
    })
    .unwrap();
    recorded.prepare(&images(1)).unwrap_err();
    let panic = std::panic::catch_unwind(|| panic!("seen")).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"seen"));
}

/// Reading the data of a constant does not depend on the input, so it can be recorded.
#[test]
fn numbers_of_constants_may_be_read() {
    let net = filled(net());
    let recorded = record(&net, |net: &Net, x: Tensor<4>| {
        let factor = [0.5f32, 2.0].iter().sum::<f32>();
        net.fc.forward(pooled(relu(net.conv.forward(x)) * factor))
    })
    .unwrap();
    recorded.prepare(&images(1)).unwrap();
}

/// A module on a device without data is an error, and later recordings are not affected.
#[test]
fn recordings_after_an_error_are_correct() {
    for _ in 0..3 {
        refused(|net, x| net.forward(x.clone()) * x.mean().into_scalar::<f32>(), "value");
        case(net(), images, |net, x| net.forward(x)).computed();
    }
}

/// A layer that exists for two images but not for more has a gradient, and cannot be ablated.
#[test]
fn a_layer_that_not_every_batch_has() {
    let net = filled(net());
    let recorded = record(&net, |net: &Net, x: Tensor<4>| {
        if x.dims()[0] <= 2 {
            return net.forward(x);
        }
        let each = (0..x.dims()[0]).map(|n| net.forward(x.clone().narrow(0, n, 1)));
        Tensor::cat(each.collect(), 0)
    })
    .unwrap();
    let explained = |method: &str| {
        let method = cam_core::method_named(method).unwrap();
        Explainer::new(&recorded).layer("relu").method(method).explain(images(2), &Class(0)).err()
    };
    assert_eq!(explained("gradcam"), None);
    // Each of eight channels, and none.
    let lost = cam_core::Error::LostLayer { layer: "relu".into(), expected: 2, found: 9 };
    assert_eq!(explained("ablationcam"), Some(lost));
}

/// An error prints no panic to the terminal: this test runs another test of this program and checks its output.
#[test]
fn nothing_is_printed() {
    let this = std::env::current_exe().unwrap();
    for test in ["refusals::a_number_that_decides", "refusals::a_tensor_on_a_device_of_its_own_choice"] {
        let ran = std::process::Command::new(&this).args(["--exact", test, "--nocapture"]).output().unwrap();
        let printed = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success(), "{printed}");
        assert_eq!(printed, "");
        assert!(String::from_utf8(ran.stdout).unwrap().contains("1 passed"));
    }
}

/// FullGrad sums the biases of a piecewise linear network, and returns an error for any other.
#[test]
fn biases_of_a_network_that_is_not_linear() {
    let full = || cam_core::method_named("fullgrad").unwrap();
    let net = filled(net());
    let linear = record(&net, |net: &Net, x: Tensor<4>| net.forward(x)).unwrap();
    let found = Explainer::new(&linear).layer("conv").method(full()).explain(images(1), &Class(0)).unwrap();
    assert_eq!(found.maps[0].layer, "biases");
    let others: [fn(&Net, Tensor<4>) -> Tensor<2>; 3] = [
        |net, x| net.fc.forward(pooled((net.features(x) + 2.0).recip())),
        |net, x| {
            let x = net.features(x) + 2.0;
            net.fc.forward(pooled(Tensor::ones([1, 8, 16, 12], &x.device()) / x))
        },
        |net, x| {
            let x = net.features(x);
            net.fc.forward(pooled(x.clone() * x))
        },
    ];
    for forward in others {
        let recorded = record(&net, forward).unwrap();
        let error =
            Explainer::new(&recorded).layer("conv").method(full()).explain(images(1), &Class(0)).err();
        assert_eq!(error, Some(cam_core::Error::NoBiases));
    }
}
