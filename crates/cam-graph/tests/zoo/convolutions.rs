//! Every convolution, pooling, interpolation and rearrangement of Burn.

use crate::support::{case, device, images, pooled, random, signals, squares, volumes};
use burn::module::Module;
use burn::nn::conv::*;
use burn::nn::interpolate::*;
use burn::nn::pool::*;
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d_with_indices;
use burn::tensor::ops::MaxPoolOptions;
use cam_core::{Ncdhw, Nchw, Ncl};

/// A layer between a convolution and a classifier.
#[derive(Module, Debug)]
struct Net<L: Module> {
    conv: Conv2d,
    layer: L,
    fc: Linear,
}

fn net<L: Module>(layer: L, channels: usize) -> Net<L> {
    Net {
        conv: Conv2dConfig::new([3, 8], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device()),
        layer,
        fc: LinearConfig::new(channels, 5).init(&device()),
    }
}

/// One test per layer of images: its channels and its grid.
macro_rules! layers {
    ($($name:ident: $layer:expr, $channels:literal @ $grid:literal;)*) => {$(
        #[test]
        fn $name() {
            case(net($layer, $channels), images, |net, x| {
                net.fc.forward(pooled(net.layer.forward(relu(net.conv.forward(x)))))
            })
            .has_layers(&["conv 8 @ 16x12", "relu 8 @ 16x12", concat!("layer ", $channels, " @ ", $grid)])
            .tapped(&["layer"], |net, x, taps| {
                let x = relu(net.conv.forward(x));
                net.fc.forward(pooled(taps.layer("layer", Nchw, || net.layer.forward(x))))
            });
        }
    )*};
}

layers! {
    a_strided_convolution: Conv2dConfig::new([8, 6], [3, 3]).with_stride([2, 2]).init(&device()), 6 @ "7x5";
    a_grouped_convolution: Conv2dConfig::new([8, 4], [3, 3]).with_groups(4).init(&device()), 4 @ "14x10";
    a_depthwise_convolution: Conv2dConfig::new([8, 8], [3, 3]).with_groups(8).with_bias(false).init(&device()), 8 @ "14x10";
    a_dilated_convolution: Conv2dConfig::new([8, 6], [3, 3])
        .with_dilation([2, 3])
        .with_padding(PaddingConfig2d::Explicit(2, 3, 2, 3))
        .init(&device()), 6 @ "16x12";
    a_convolution_with_padding_on_one_side: Conv2dConfig::new([8, 6], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(2, 2, 0, 0))
        .init(&device()), 6 @ "16x12";
    a_transposed_convolution: ConvTranspose2dConfig::new([8, 6], [2, 2]).with_stride([2, 2]).init(&device()), 6 @ "32x24";
    a_grouped_transposed_convolution: ConvTranspose2dConfig::new([8, 4], [3, 3])
        .with_stride([2, 2])
        .with_padding([1, 1])
        .with_padding_out([1, 1])
        .with_groups(2)
        .init(&device()), 4 @ "32x24";
}

/// One test per layer without parameters, which is named by its field.
macro_rules! without_parameters {
    ($($name:ident: $field:ident, $kind:ty, $layer:expr, $channels:literal @ $grid:literal, [$($layers:literal),*];)*) => {$(
        #[test]
        fn $name() {
            #[derive(Module, Debug)]
            struct Net {
                conv: Conv2d,
                $field: $kind,
                fc: Linear,
            }
            let net = Net {
                conv: Conv2dConfig::new([3, 8], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device()),
                $field: $layer,
                fc: LinearConfig::new($channels, 5).init(&device()),
            };
            case(net, images, |net, x| net.fc.forward(pooled(net.$field.forward(net.conv.forward(x)))))
                .has_layers(&["conv 8 @ 16x12", $($layers),*])
                .tapped(&["conv"], |net, x, taps| {
                    let x = taps.layer("conv", Nchw, || net.conv.forward(x));
                    net.fc.forward(pooled(net.$field.forward(x)))
                });
        }
    )*};
}

without_parameters! {
    a_max_pooling: pool, MaxPool2d, MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(), 8 @ "8x6", ["pool 8 @ 8x6"];
    a_max_pooling_with_dilation: pool, MaxPool2d,
        MaxPool2dConfig::new([2, 2]).with_dilation([2, 2]).with_strides([1, 1]).init(), 8 @ "14x10", ["pool 8 @ 14x10"];
    a_mean_pooling: pool, AvgPool2d, AvgPool2dConfig::new([2, 2]).init(), 8 @ "8x6", ["pool 8 @ 8x6"];
    a_mean_pooling_that_rounds_up: pool, AvgPool2d,
        AvgPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init(), 8 @ "8x6", ["pool 8 @ 8x6"];
    an_adaptive_pooling: pool, AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig::new([5, 4]).init(), 8 @ "5x4", ["pool 8 @ 5x4"];
    a_global_pooling: pool, AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig::new([1, 1]).init(), 8 @ "", [];
    nearest_interpolation: upsample, Interpolate2d,
        Interpolate2dConfig::new().with_scale_factor(Some([2.0, 2.0])).init(), 8 @ "", ["upsample 8 @ 32x24"];
    linear_interpolation: resize, Interpolate2d, Interpolate2dConfig::new()
        .with_output_size(Some([20, 18]))
        .with_mode(InterpolateMode::Linear)
        .with_align_corners(false)
        .init(), 8 @ "", ["resize 8 @ 20x18"];
    cubic_interpolation: upsample, Interpolate2d, Interpolate2dConfig::new()
        .with_output_size(Some([8, 6]))
        .with_mode(InterpolateMode::Cubic)
        .init(), 8 @ "", ["upsample 8 @ 8x6"];
    a_dropout: drop, Dropout, DropoutConfig::new(0.5).init(), 8 @ "", [];
    a_gaussian_noise_of_training: noise, GaussianNoise, GaussianNoiseConfig::new(0.5).init(), 8 @ "", [];
    a_pixel_shuffle: shuffle, PixelShuffle, PixelShuffleConfig::new(2).init(), 2 @ "", [];
    a_pixel_unshuffle: shuffle, PixelUnshuffle, PixelUnshuffleConfig::new(2).init(), 32 @ "", [];
}

#[test]
fn a_deformable_convolution() {
    #[derive(Module, Debug)]
    struct Deforms {
        offset: Conv2d,
        mask: Conv2d,
        conv: DeformConv2d,
        fc: Linear,
    }
    let conv = |out| Conv2dConfig::new([3, out], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device());
    let net = Deforms {
        offset: conv(18),
        mask: conv(9),
        conv: DeformConv2dConfig::new([3, 8], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init(&device()),
        fc: LinearConfig::new(8, 5).init(&device()),
    };
    case(net, images, |net, x| {
        let mask = burn::tensor::activation::sigmoid(net.mask.forward(x.clone()));
        net.fc.forward(pooled(net.conv.forward(x.clone(), net.offset.forward(x) * 0.3, Some(mask))))
    })
    .has_layers(&["mask 9 @ 16x12", "sigmoid 9 @ 16x12", "offset 18 @ 16x12", "conv 8 @ 16x12"]);
}

#[test]
fn signals_are_convolved_pooled_and_resized() {
    #[derive(Module, Debug)]
    struct Signal {
        conv: Conv1d,
        max_pool: MaxPool1d,
        wide: Conv1d,
        up: ConvTranspose1d,
        avg_pool: AvgPool1d,
        resize: Interpolate1d,
        depth: Conv1d,
        pool: AdaptiveAvgPool1d,
        fc: Linear,
    }
    let device = device();
    let net = Signal {
        conv: Conv1dConfig::new(3, 6, 3).with_padding(PaddingConfig1d::Same).init(&device),
        max_pool: MaxPool1dConfig::new(2).init(),
        wide: Conv1dConfig::new(6, 6, 3).with_dilation(2).with_stride(2).init(&device),
        up: ConvTranspose1dConfig::new([6, 4], 3).with_stride(2).init(&device),
        avg_pool: AvgPool1dConfig::new(3).with_stride(1).init(),
        resize: Interpolate1dConfig::new()
            .with_output_size(Some(14))
            .with_mode(InterpolateMode::Linear)
            .init(),
        depth: Conv1dConfig::new(4, 4, 3).with_groups(4).init(&device),
        pool: AdaptiveAvgPool1dConfig::new(3).init(),
        fc: LinearConfig::new(12, 5).init(&device),
    };
    case(net, signals, |net, x| {
        let x = net.max_pool.forward(relu(net.conv.forward(x)));
        let x = net.avg_pool.forward(net.up.forward(net.wide.forward(x)));
        let x = net.pool.forward(net.depth.forward(net.resize.forward(x)));
        net.fc.forward(x.flatten::<2>(1, 2))
    })
    .has_layers(&[
        "conv 6 @ 24",
        "relu 6 @ 24",
        "max_pool 6 @ 12",
        "wide 6 @ 4",
        "up 4 @ 9",
        "avg_pool 4 @ 7",
        "resize 4 @ 14",
        "depth 4 @ 12",
        "pool 4 @ 3",
    ])
    .tapped(&["conv", "wide", "up", "depth"], |net, x, taps| {
        let x = taps.layer("conv", Ncl, || net.conv.forward(x));
        let x = taps.layer("wide", Ncl, || net.wide.forward(net.max_pool.forward(relu(x))));
        let x = taps.layer("up", Ncl, || net.up.forward(x));
        let x = net.resize.forward(net.avg_pool.forward(x));
        net.fc.forward(net.pool.forward(taps.layer("depth", Ncl, || net.depth.forward(x))).flatten::<2>(1, 2))
    });
}

#[test]
fn volumes_are_convolved_and_pooled() {
    #[derive(Module, Debug)]
    struct Volume {
        conv: Conv3d,
        norm: BatchNorm,
        down: Conv3d,
        up: ConvTranspose3d,
        pool: AdaptiveAvgPool3d,
        fc: Linear,
    }
    let device = device();
    let net = Volume {
        conv: Conv3dConfig::new([2, 4], [3, 3, 3])
            .with_padding(PaddingConfig3d::Explicit(1, 1, 1))
            .init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        down: Conv3dConfig::new([4, 4], [2, 2, 2]).with_stride([2, 2, 2]).with_groups(2).init(&device),
        up: ConvTranspose3dConfig::new([4, 3], [2, 2, 2]).with_stride([2, 2, 2]).init(&device),
        pool: AdaptiveAvgPool3dConfig::new([2, 2, 2]).init(),
        fc: LinearConfig::new(24, 5).init(&device),
    };
    case(net, volumes, |net, x| {
        let x = relu(net.norm.forward(net.conv.forward(x)));
        net.fc.forward(net.pool.forward(net.up.forward(net.down.forward(x))).flatten::<2>(1, 4))
    })
    .has_layers(&[
        "conv 4 @ 8x6x4",
        "norm 4 @ 8x6x4",
        "relu 4 @ 8x6x4",
        "down 4 @ 4x3x2",
        "up 3 @ 8x6x4",
        "pool 3 @ 2x2x2",
    ])
    .tapped(&["norm", "down"], |net, x, taps| {
        let x = taps.layer("norm", Ncdhw, || net.norm.forward(net.conv.forward(x)));
        let x = taps.layer("down", Ncdhw, || net.down.forward(relu(x)));
        net.fc.forward(net.pool.forward(net.up.forward(x)).flatten::<2>(1, 4))
    });
}

#[test]
fn a_convolution_by_unfold_and_linear() {
    #[derive(Module, Debug)]
    struct Patches {
        unfold: Unfold4d,
        proj: Linear,
        fc: Linear,
    }
    let net = Patches {
        unfold: Unfold4dConfig::new([4, 4]).with_stride([4, 4]).init(),
        proj: LinearConfig::new(48, 8).init(&device()),
        fc: LinearConfig::new(8, 5).init(&device()),
    };
    case(net, images, |net, x| {
        let x = net.proj.forward(net.unfold.forward(x).swap_dims(1, 2));
        net.fc.forward(x.mean_dim(1).squeeze_dim::<2>(1))
    })
    .has_layers(&["proj 8 @ 4x3"])
    .tapped(&["proj"], |net, x, taps| {
        let tokens = cam_core::Tokens { prefix: 0, height: 4, width: 3 };
        let x = taps.layer("proj", tokens, || net.proj.forward(net.unfold.forward(x).swap_dims(1, 2)));
        net.fc.forward(x.mean_dim(1).squeeze_dim::<2>(1))
    });
}

#[test]
fn patches_folded_back() {
    #[derive(Module, Debug)]
    struct Folds {
        unfold: Unfold4d,
        proj: Linear,
        fold: Fold4d,
        conv: Conv2d,
        fc: Linear,
    }
    let net = Folds {
        unfold: Unfold4dConfig::new([3, 3]).with_padding([1, 1]).init(),
        proj: LinearConfig::new(27, 18).init(&device()),
        fold: Fold4dConfig::new([16, 12], [3, 3]).with_padding([1, 1]).init(),
        conv: Conv2dConfig::new([2, 4], [3, 3]).init(&device()),
        fc: LinearConfig::new(4, 5).init(&device()),
    };
    case(net, images, |net, x| {
        let x = net.proj.forward(net.unfold.forward(x).swap_dims(1, 2)).swap_dims(1, 2);
        net.fc.forward(pooled(net.conv.forward(net.fold.forward(x))))
    })
    .has_layers(&["proj 18 @ 16x12", "conv 4 @ 14x10"]);
}

/// A network that unpools reads the second output of a pooling after its first output was edited.
#[test]
fn maxima_are_unpooled() {
    case(net(Identity::new(), 8), squares, |net, x| {
        let x = net.conv.forward(x);
        let [batch, channels, height, width] = x.dims();
        let (y, places) = max_pool2d_with_indices(x.clone(), MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
        let zeros = Tensor::<3>::zeros([batch, channels, height * width], &x.device());
        let values = relu(y).flatten::<3>(2, 3);
        let back = zeros.scatter(2, places.flatten(2, 3), values, burn::tensor::IndexingUpdateOp::Add);
        net.fc.forward((back * random([1, 1, 256]).to_device(&x.device())).mean_dim(2).squeeze_dim::<2>(2))
    })
    .has_layers(&["conv 8 @ 16x16", "maxpool 8 @ 8x8", "relu 8 @ 8x8"])
    .tapped(&["maxpool"], |net, x, taps| {
        let x = net.conv.forward(x);
        let [batch, channels, height, width] = x.dims();
        let (y, places) = max_pool2d_with_indices(x.clone(), MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
        let y = taps.layer("maxpool", Nchw, || y);
        let zeros = Tensor::<3>::zeros([batch, channels, height * width], &x.device());
        let values = relu(y).flatten::<3>(2, 3);
        let back = zeros.scatter(2, places.flatten(2, 3), values, burn::tensor::IndexingUpdateOp::Add);
        net.fc.forward((back * random([1, 1, 256]).to_device(&x.device())).mean_dim(2).squeeze_dim::<2>(2))
    });
}
