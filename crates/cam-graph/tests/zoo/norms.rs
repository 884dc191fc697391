//! Every norm of Burn.

use crate::support::{case, device, images, pooled, signals};
use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::norm::{Normalization, NormalizationConfig};
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Nchw, Nhwc};

/// A convolution, a norm of some kind, and a classifier.
#[derive(Module, Debug)]
pub struct Net<N: Module> {
    pub conv: Conv2d,
    pub norm: N,
    pub fc: Linear,
}

pub fn net<N: Module>(norm: N) -> Net<N> {
    net_on(norm, &device())
}

pub fn net_on<N: Module>(norm: N, device: &Device) -> Net<N> {
    Net {
        conv: Conv2dConfig::new([3, 8], [3, 3]).with_padding(PaddingConfig2d::Same).init(device),
        norm,
        fc: LinearConfig::new(8, 5).init(device),
    }
}

const PLANE: [&str; 3] = ["conv 8 @ 16x12", "norm 8 @ 16x12", "relu 8 @ 16x12"];

#[test]
fn batch_norm() {
    case(net(BatchNormConfig::new(8).init(&device())), images, |net, x| {
        net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(x)))))
    })
    .has_layers(&PLANE)
    .tapped(&PLANE.map(|layer| layer.split(' ').next().unwrap()), |net, x, taps| {
        let x = taps.layer("conv", Nchw, || net.conv.forward(x));
        let x = taps.layer("norm", Nchw, || net.norm.forward(x));
        net.fc.forward(pooled(taps.layer("relu", Nchw, || relu(x))))
    });
}

#[test]
fn group_norm() {
    case(net(GroupNormConfig::new(4, 8).init(&device())), images, |net, x| {
        net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(x)))))
    })
    .has_layers(&PLANE)
    .tapped(&["norm"], |net, x, taps| {
        net.fc.forward(pooled(relu(taps.layer("norm", Nchw, || net.norm.forward(net.conv.forward(x))))))
    });
}

#[test]
fn group_norm_without_parameters() {
    case(net(GroupNormConfig::new(2, 8).with_affine(false).init(&device())), images, |net, x| {
        net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(x)))))
    })
    .has_layers(&["conv 8 @ 16x12", "relu 8 @ 16x12"]);
}

#[test]
fn instance_norm() {
    case(net(InstanceNormConfig::new(8).init(&device())), images, |net, x| {
        net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(x)))))
    })
    .has_layers(&PLANE)
    // The mean gradient before the norm is zero, so Grad-CAM there is only rounding.
    .tapped(&["norm"], |net, x, taps| {
        let x = taps.layer("conv", Nchw, || net.conv.forward(x));
        net.fc.forward(pooled(relu(taps.layer("norm", Nchw, || net.norm.forward(x)))))
    });
}

#[test]
fn local_response_norm() {
    case(net(LocalResponseNormConfig::new(3).with_alpha(0.5).init()), images, |net, x| {
        net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(x)))))
    })
    .has_layers(&["conv 8 @ 16x12", "relu 8 @ 16x12"]);
}

#[test]
fn layer_norm_of_channels_last() {
    case(net(LayerNormConfig::new(8).init(&device())), images, |net, x| {
        let x = net.norm.forward(net.conv.forward(x).permute([0, 2, 3, 1]));
        net.fc.forward(pooled(relu(x).permute([0, 3, 1, 2])))
    })
    .has_layers(&PLANE)
    .tapped(&["norm", "relu"], |net, x, taps| {
        let x = taps.layer("norm", Nhwc, || net.norm.forward(net.conv.forward(x).permute([0, 2, 3, 1])));
        net.fc.forward(pooled(taps.layer("relu", Nhwc, || relu(x)).permute([0, 3, 1, 2])))
    });
}

#[test]
fn layer_norm_without_a_bias() {
    case(net(LayerNormConfig::new(8).with_bias(false).init(&device())), images, |net, x| {
        let x = net.norm.forward(net.conv.forward(x).permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
        net.fc.forward(pooled(relu(x)))
    })
    .has_layers(&PLANE);
}

#[test]
fn rms_norm_of_channels_last() {
    case(net(RmsNormConfig::new(8).init(&device())), images, |net, x| {
        let x = net.norm.forward(net.conv.forward(x).permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
        net.fc.forward(pooled(relu(x)))
    })
    .has_layers(&PLANE);
}

/// A norm chosen by a setting: variants of enums are not part of a path.
#[test]
fn norms_chosen_by_a_setting() {
    let kinds = [
        NormalizationConfig::Batch(BatchNormConfig::new(8)),
        NormalizationConfig::Group(GroupNormConfig::new(2, 8)),
        NormalizationConfig::Instance(InstanceNormConfig::new(8)),
    ];
    for kind in kinds {
        let norm: Normalization = kind.init(&device());
        case(net(norm), images, |net, x| net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(x))))))
            .has_layers(&PLANE);
    }
}

#[derive(Module, Debug)]
struct Signal {
    conv: Conv1d,
    norm: BatchNorm,
    fc: Linear,
}

#[test]
fn batch_norm_of_signals() {
    let device = device();
    let net = Signal {
        conv: Conv1dConfig::new(3, 6, 3).init(&device),
        norm: BatchNormConfig::new(6).init(&device),
        fc: LinearConfig::new(6, 4).init(&device),
    };
    case(net, signals, |net, x| {
        let x = relu(net.norm.forward(net.conv.forward(x)));
        net.fc.forward(x.mean_dim(2).squeeze_dim::<2>(2))
    })
    .has_layers(&["conv 6 @ 22", "norm 6 @ 22", "relu 6 @ 22"]);
}
