//! Every activation of Burn, as a module and as a function.

use crate::support::{case, device, images, pooled};
use burn::module::Module;
use burn::nn::activation::{Activation, ActivationConfig, *};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::activation as functions;
use cam_core::Nchw;

#[derive(Module, Debug)]
struct Net<A: Module> {
    conv: Conv2d,
    act: A,
    fc: Linear,
}

fn net<A: Module>(act: A) -> Net<A> {
    Net {
        conv: Conv2dConfig::new([3, 8], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device()),
        act,
        fc: LinearConfig::new(8, 5).init(&device()),
    }
}

/// One test per activation: only its output is a layer, and no value inside it.
macro_rules! activations {
    ($($name:ident: $act:expr;)*) => {$(
        #[test]
        fn $name() {
            case(net($act), images, |net, x| net.fc.forward(pooled(net.act.forward(net.conv.forward(x)))))
                .has_layers(&[CONV, ACT])
                .tapped(&["conv", "act"], |net, x, taps| {
                    let x = taps.layer("conv", Nchw, || net.conv.forward(x));
                    net.fc.forward(pooled(taps.layer("act", Nchw, || net.act.forward(x))))
                });
        }
    )*};
}

const CONV: &str = "conv 8 @ 16x12";
const ACT: &str = "act 8 @ 16x12";

activations! {
    a_relu: Relu::new();
    a_relu6: Relu6::new();
    a_leaky_relu: LeakyReluConfig::new().with_negative_slope(0.2).init();
    a_prelu: PReluConfig::new().with_num_parameters(8).init(&device());
    a_gelu: Gelu::new();
    an_approximate_gelu: Gelu::new_approximate();
    a_sigmoid: Sigmoid::new();
    a_hard_sigmoid: HardSigmoidConfig::new().init();
    a_log_sigmoid: LogSigmoid::new();
    a_tanh: Tanh::new();
    a_tanhshrink: Tanhshrink::new();
    a_silu: SiLU::new();
    a_hard_swish: HardSwish::new();
    a_mish: Mish::new();
    an_elu: EluConfig::new().init();
    a_celu: CeluConfig::new().with_alpha(0.7).init();
    a_selu: Selu::new();
    a_softplus: SoftplusConfig::new().init();
    a_softsign: Softsign::new();
    a_hardtanh: HardtanhConfig::new().init();
    a_hard_shrink: HardShrinkConfig::new().with_lambda(0.1).init();
    a_soft_shrink: SoftShrinkConfig::new().with_lambda(0.1).init();
    a_shrink: ShrinkConfig::new().with_lambda(0.1).with_bias(0.1).init();
    a_threshold: ThresholdConfig::new(0.1, 0.3).init();
    a_thresholded_relu: ThresholdedReluConfig::new().with_alpha(0.2).init();
    a_randomized_relu: RReluConfig::new().init();
}

#[test]
fn a_gated_linear_unit() {
    case(net(GLU::new(1)), images, |net, x| {
        let x = net.act.forward(net.conv.forward(x)).mean_dims(&[2, 3]).flatten::<2>(1, 3);
        net.fc.forward(Tensor::cat(vec![x.clone(), x], 1))
    })
    .has_layers(&[CONV, "act 4 @ 16x12"])
    .tapped(&["act"], |net, x, taps| {
        let x = taps.layer("act", Nchw, || net.act.forward(net.conv.forward(x)));
        let x = x.mean_dims(&[2, 3]).flatten::<2>(1, 3);
        net.fc.forward(Tensor::cat(vec![x.clone(), x], 1))
    });
}

#[test]
fn a_swiglu_of_channels_last() {
    case(net(SwiGluConfig::new(8, 8).with_bias(true).init(&device())), images, |net, x| {
        let x = net.act.forward(net.conv.forward(x).permute([0, 2, 3, 1]));
        net.fc.forward(pooled(x.permute([0, 3, 1, 2])))
    })
    .has_layers(&[
        CONV,
        "act.linear_inner 8 @ 16x12",
        "act.silu 8 @ 16x12",
        "act.linear_outer 8 @ 16x12",
        "act 8 @ 16x12",
    ]);
}

/// An activation chosen by a setting is a variant of an enum.
#[test]
fn activations_chosen_by_a_setting() {
    for kind in [ActivationConfig::Relu, ActivationConfig::Gelu, ActivationConfig::Tanh] {
        let act: Activation = kind.init(&device());
        case(net(act), images, |net, x| net.fc.forward(pooled(net.act.forward(net.conv.forward(x)))))
            .has_layers(&[CONV, ACT])
            .tapped(&["act"], |net, x, taps| {
                net.fc.forward(pooled(taps.layer("act", Nchw, || net.act.forward(net.conv.forward(x)))))
            });
    }
}

#[test]
fn functions_in_a_row() {
    case(net(Identity::new()), images, |net, x| {
        let x = functions::silu(net.conv.forward(x));
        let x = functions::mish(functions::elu(functions::relu6(x) - 0.2, 1.0));
        let x = functions::softmin(functions::log_softmax(x, 1), 1);
        net.fc.forward(pooled(functions::quiet_softmax(functions::leaky_relu(x, 0.1), 1)))
    })
    .has_layers(&[CONV, "silu 8 @ 16x12", "relu6 8 @ 16x12", "leaky_relu 8 @ 16x12"]);
}
