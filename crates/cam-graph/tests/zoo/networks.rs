//! Patterns of convolutional networks.

use crate::support::{case, device, images, pooled, squares};
use burn::module::Module;
use burn::nn::activation::Relu6;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::nn::pool::*;
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::activation::*;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use cam_core::{Nchw, Nhwc};

fn conv(from: usize, to: usize, size: usize, stride: usize) -> Conv2d {
    let pad = size / 2;
    Conv2dConfig::new([from, to], [size, size])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .init(&device())
}

fn norm(channels: usize) -> BatchNorm {
    BatchNormConfig::new(channels).init(&device())
}

fn linear(from: usize, to: usize) -> Linear {
    LinearConfig::new(from, to).init(&device())
}

#[derive(Module, Debug)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    down: Option<Conv2d>,
}

impl BasicBlock {
    fn new(from: usize, to: usize, stride: usize) -> Self {
        Self {
            conv1: conv(from, to, 3, stride),
            bn1: norm(to),
            conv2: conv(to, to, 3, 1),
            bn2: norm(to),
            down: (from != to).then(|| conv(from, to, 1, stride)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.bn1.forward(self.conv1.forward(x.clone())));
        let y = self.bn2.forward(self.conv2.forward(y));
        let x = match &self.down {
            Some(down) => down.forward(x),
            None => x,
        };
        relu(x + y)
    }
}

#[derive(Module, Debug)]
struct ResNet {
    stem: Conv2d,
    pool: MaxPool2d,
    blocks: Vec<BasicBlock>,
    fc: Linear,
}

#[test]
fn a_resnet_of_basic_blocks() {
    let net = ResNet {
        stem: conv(3, 8, 3, 1),
        pool: MaxPool2dConfig::new([2, 2]).init(),
        blocks: vec![BasicBlock::new(8, 8, 1), BasicBlock::new(8, 12, 2)],
        fc: linear(12, 5),
    };
    case(net, images, |net, x| {
        let x = net.pool.forward(relu(net.stem.forward(x)));
        net.fc.forward(pooled(net.blocks.iter().fold(x, |x, block| block.forward(x))))
    })
    .has_layers(&[
        "stem 8 @ 16x12",
        "relu 8 @ 16x12",
        "pool 8 @ 8x6",
        "blocks.0.conv1 8 @ 8x6",
        "blocks.0.bn1 8 @ 8x6",
        "blocks.0.relu 8 @ 8x6",
        "blocks.0.conv2 8 @ 8x6",
        "blocks.0.bn2 8 @ 8x6",
        "blocks.0 8 @ 8x6",
        "blocks.1.conv1 12 @ 4x3",
        "blocks.1.bn1 12 @ 4x3",
        "blocks.1.relu 12 @ 4x3",
        "blocks.1.conv2 12 @ 4x3",
        "blocks.1.bn2 12 @ 4x3",
        "blocks.1.down 12 @ 4x3",
        "blocks.1 12 @ 4x3",
        "blocks 12 @ 4x3",
    ])
    .tapped(
        &["pool", "blocks.0", "blocks.1.bn2", "blocks.1.down", "blocks.1", "blocks"],
        |net, x, taps| {
            let x = relu(net.stem.forward(x));
            let x = taps.layer("pool", Nchw, || net.pool.forward(x));
            let x = taps.layer("blocks", Nchw, || {
                let x = taps.layer("0", Nchw, || net.blocks[0].forward(x));
                let block = &net.blocks[1];
                taps.layer("1", Nchw, || {
                    let y = relu(block.bn1.forward(block.conv1.forward(x.clone())));
                    let y = taps.layer("bn2", Nchw, || block.bn2.forward(block.conv2.forward(y)));
                    let down = block.down.as_ref().unwrap();
                    relu(taps.layer("down", Nchw, || down.forward(x)) + y)
                })
            });
            net.fc.forward(pooled(x))
        },
    );
}

#[test]
fn a_bottleneck_before_its_activations() {
    #[derive(Module, Debug)]
    struct Bottleneck {
        bn1: BatchNorm,
        conv1: Conv2d,
        bn2: BatchNorm,
        conv2: Conv2d,
        bn3: BatchNorm,
        conv3: Conv2d,
    }
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        block1: Bottleneck,
        block2: Bottleneck,
        norm: BatchNorm,
        fc: Linear,
    }
    impl Bottleneck {
        fn new() -> Self {
            Self {
                bn1: norm(8),
                conv1: conv(8, 4, 1, 1),
                bn2: norm(4),
                conv2: conv(4, 4, 3, 1),
                bn3: norm(4),
                conv3: conv(4, 8, 1, 1),
            }
        }
        fn forward(&self, x: Tensor<4>) -> Tensor<4> {
            let y = self.conv1.forward(relu(self.bn1.forward(x.clone())));
            let y = self.conv2.forward(relu(self.bn2.forward(y)));
            self.conv3.forward(relu(self.bn3.forward(y))) + x
        }
    }
    let net = Net {
        stem: conv(3, 8, 3, 2),
        block1: Bottleneck::new(),
        block2: Bottleneck::new(),
        norm: norm(8),
        fc: linear(8, 5),
    };
    fn inner(block: &str) -> Vec<String> {
        let layers =
            ["bn1 8", "relu 8", "conv1 4", "bn2 4", "relu#2 4", "conv2 4", "bn3 4", "relu#3 4", "conv3 8"];
        let own = layers.map(|layer| format!("{block}.{layer} @ 8x6"));
        own.into_iter().chain([format!("{block} 8 @ 8x6")]).collect()
    }
    let stem = vec!["stem 8 @ 8x6".to_string()];
    let end = ["norm 8 @ 8x6", "relu 8 @ 8x6"].map(String::from).to_vec();
    let layers = [stem, inner("block1"), inner("block2"), end].concat();
    case(net, images, |net, x| {
        let x = net.block2.forward(net.block1.forward(net.stem.forward(x)));
        net.fc.forward(pooled(relu(net.norm.forward(x))))
    })
    .has_layers(&layers.iter().map(String::as_str).collect::<Vec<_>>())
    .tapped(&["block1", "block2", "norm"], |net, x, taps| {
        let x = taps.layer("block1", Nchw, || net.block1.forward(net.stem.forward(x)));
        let x = taps.layer("block2", Nchw, || net.block2.forward(x));
        let x = taps.layer("norm", Nchw, || net.norm.forward(x));
        net.fc.forward(pooled(relu(x)))
    });
}

#[test]
fn a_squeeze_and_excitation() {
    #[derive(Module, Debug)]
    struct Squeeze {
        pool: AdaptiveAvgPool2d,
        fc1: Linear,
        act: Relu,
        fc2: Linear,
        gate: Sigmoid,
    }
    impl Squeeze {
        fn forward(&self, x: Tensor<4>) -> Tensor<4> {
            let [batch, channels, _, _] = x.dims();
            let y = self.pool.forward(x.clone()).reshape([batch, channels]);
            let y = self.gate.forward(self.fc2.forward(self.act.forward(self.fc1.forward(y))));
            x * y.reshape([batch, channels, 1, 1])
        }
    }
    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        se: Squeeze,
        head: Conv2d,
        fc: Linear,
    }
    let net = Net {
        conv: conv(3, 8, 3, 1),
        se: Squeeze {
            pool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            fc1: linear(8, 4),
            act: Relu::new(),
            fc2: linear(4, 8),
            gate: Sigmoid::new(),
        },
        head: conv(8, 8, 3, 2),
        fc: linear(8, 5),
    };
    case(net, images, |net, x| {
        net.fc.forward(pooled(silu(net.head.forward(net.se.forward(net.conv.forward(x))))))
    })
    .has_layers(&["conv 8 @ 16x12", "se 8 @ 16x12", "head 8 @ 8x6", "silu 8 @ 8x6"])
    .tapped(&["conv", "se", "head", "silu"], |net, x, taps| {
        let x = taps.layer("conv", Nchw, || net.conv.forward(x));
        let x = taps.layer("se", Nchw, || net.se.forward(x));
        let x = taps.layer("head", Nchw, || net.head.forward(x));
        net.fc.forward(pooled(taps.layer("silu", Nchw, || silu(x))))
    });
}

#[test]
fn an_inverted_residual() {
    #[derive(Module, Debug)]
    struct Inverted {
        expand: Conv2d,
        bn1: BatchNorm,
        depthwise: Conv2d,
        bn2: BatchNorm,
        project: Conv2d,
        bn3: BatchNorm,
        act: Relu6,
    }
    impl Inverted {
        fn forward(&self, x: Tensor<4>) -> Tensor<4> {
            let y = self.act.forward(self.bn1.forward(self.expand.forward(x.clone())));
            let y = self.act.forward(self.bn2.forward(self.depthwise.forward(y)));
            x + self.bn3.forward(self.project.forward(y))
        }
    }
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        block: Inverted,
        fc: Linear,
    }
    let depthwise = Conv2dConfig::new([12, 12], [3, 3]).with_groups(12).with_padding(PaddingConfig2d::Same);
    let net = Net {
        stem: conv(3, 6, 3, 2),
        block: Inverted {
            expand: conv(6, 12, 1, 1),
            bn1: norm(12),
            depthwise: depthwise.init(&device()),
            bn2: norm(12),
            project: conv(12, 6, 1, 1),
            bn3: norm(6),
            act: Relu6::new(),
        },
        fc: linear(6, 5),
    };
    case(net, images, |net, x| net.fc.forward(pooled(net.block.forward(hard_swish(net.stem.forward(x))))))
        .has_layers(&[
            "stem 6 @ 8x6",
            "hard_swish 6 @ 8x6",
            "block.expand 12 @ 8x6",
            "block.bn1 12 @ 8x6",
            "block.relu6 12 @ 8x6",
            "block.depthwise 12 @ 8x6",
            "block.bn2 12 @ 8x6",
            "block.relu6#2 12 @ 8x6",
            "block.project 6 @ 8x6",
            "block.bn3 6 @ 8x6",
            "block 6 @ 8x6",
        ])
        .tapped(&["hard_swish", "block.bn3", "block"], |net, x, taps| {
            let x = taps.layer("hard_swish", Nchw, || hard_swish(net.stem.forward(x)));
            let x = taps.layer("block", Nchw, || {
                let block = &net.block;
                let y = block.act.forward(block.bn1.forward(block.expand.forward(x.clone())));
                let y = block.act.forward(block.bn2.forward(block.depthwise.forward(y)));
                x + taps.layer("bn3", Nchw, || block.bn3.forward(block.project.forward(y)))
            });
            net.fc.forward(pooled(x))
        });
}

#[test]
fn a_convnext_block() {
    #[derive(Module, Debug)]
    struct Block {
        depthwise: Conv2d,
        norm: LayerNorm,
        up: Linear,
        act: Gelu,
        down: Linear,
        scale: burn::module::Param<Tensor<1>>,
    }
    impl Block {
        fn forward(&self, x: Tensor<4>) -> Tensor<4> {
            let y = self.depthwise.forward(x.clone()).permute([0, 2, 3, 1]);
            let y = self.down.forward(self.act.forward(self.up.forward(self.norm.forward(y))));
            x + (y * self.scale.val().reshape([1, 1, 1, -1])).permute([0, 3, 1, 2])
        }
    }
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        block: Block,
        fc: Linear,
    }
    let depthwise = Conv2dConfig::new([8, 8], [7, 7]).with_groups(8).with_padding(PaddingConfig2d::Same);
    let net = Net {
        stem: Conv2dConfig::new([3, 8], [2, 2]).with_stride([2, 2]).init(&device()),
        block: Block {
            depthwise: depthwise.init(&device()),
            norm: LayerNormConfig::new(8).init(&device()),
            up: linear(8, 16),
            act: Gelu::new(),
            down: linear(16, 8),
            scale: burn::module::Param::from_tensor(Tensor::ones([8], &device())),
        },
        fc: linear(8, 5),
    };
    case(net, images, |net, x| net.fc.forward(pooled(net.block.forward(net.stem.forward(x)))))
        .has_layers(&[
            "stem 8 @ 8x6",
            "block.depthwise 8 @ 8x6",
            "block.norm 8 @ 8x6",
            "block.up 16 @ 8x6",
            "block.act 16 @ 8x6",
            "block.down 8 @ 8x6",
            "block 8 @ 8x6",
        ])
        .tapped(&["stem", "block.norm", "block.act", "block.down", "block"], |net, x, taps| {
            let x = taps.layer("stem", Nchw, || net.stem.forward(x));
            let block = &net.block;
            let x = taps.layer("block", Nchw, || {
                let y = block.depthwise.forward(x.clone()).permute([0, 2, 3, 1]);
                let y = taps.layer("norm", Nhwc, || block.norm.forward(y));
                let y = taps.layer("act", Nhwc, || block.act.forward(block.up.forward(y)));
                let y = taps.layer("down", Nhwc, || block.down.forward(y));
                x + (y * block.scale.val().reshape([1, 1, 1, -1])).permute([0, 3, 1, 2])
            });
            net.fc.forward(pooled(x))
        });
}

#[test]
fn a_u_net() {
    #[derive(Module, Debug)]
    struct UNet {
        down1: Conv2d,
        down2: Conv2d,
        middle: Conv2d,
        pool: MaxPool2d,
        up2: ConvTranspose2d,
        right2: Conv2d,
        up1: Interpolate2d,
        right1: Conv2d,
        head: Conv2d,
    }
    let net = UNet {
        down1: conv(3, 4, 3, 1),
        down2: conv(4, 6, 3, 1),
        middle: conv(6, 8, 3, 1),
        pool: MaxPool2dConfig::new([2, 2]).init(),
        up2: ConvTranspose2dConfig::new([8, 6], [2, 2]).with_stride([2, 2]).init(&device()),
        right2: conv(12, 6, 3, 1),
        up1: Interpolate2dConfig::new().with_scale_factor(Some([2.0, 2.0])).init(),
        right1: conv(10, 4, 3, 1),
        head: conv(4, 2, 1, 1),
    };
    case(net, images, |net, x| {
        let one = relu(net.down1.forward(x));
        let two = relu(net.down2.forward(net.pool.forward(one.clone())));
        let x = relu(net.middle.forward(net.pool.forward(two.clone())));
        let x = relu(net.right2.forward(Tensor::cat(vec![net.up2.forward(x), two], 1)));
        let x = relu(net.right1.forward(Tensor::cat(vec![one, net.up1.forward(x)], 1)));
        net.head.forward(x)
    })
    .has_layers(&[
        "down1 4 @ 16x12",
        "relu 4 @ 16x12",
        "maxpool 4 @ 8x6",
        "down2 6 @ 8x6",
        "relu#2 6 @ 8x6",
        "maxpool#2 6 @ 4x3",
        "middle 8 @ 4x3",
        "relu#3 8 @ 4x3",
        "up2 6 @ 8x6",
        "cat 12 @ 8x6",
        "right2 6 @ 8x6",
        "relu#4 6 @ 8x6",
        "up1 6 @ 16x12",
        "cat#2 10 @ 16x12",
        "right1 4 @ 16x12",
        "relu#5 4 @ 16x12",
        "head 2 @ 16x12",
    ])
    .tapped(&["relu", "middle", "up2", "cat", "right1"], |net, x, taps| {
        let x = net.down1.forward(x);
        let one = taps.layer("relu", Nchw, || relu(x));
        let two = relu(net.down2.forward(net.pool.forward(one.clone())));
        let x = taps.layer("middle", Nchw, || net.middle.forward(net.pool.forward(two.clone())));
        let x = taps.layer("up2", Nchw, || net.up2.forward(relu(x)));
        let x = taps.layer("cat", Nchw, || Tensor::cat(vec![x, two], 1));
        let x = net.up1.forward(relu(net.right2.forward(x)));
        let x = taps.layer("right1", Nchw, || net.right1.forward(Tensor::cat(vec![one, x], 1)));
        net.head.forward(relu(x))
    });
}

#[test]
fn a_dense_block() {
    #[derive(Module, Debug)]
    struct Layer {
        norm: BatchNorm,
        conv: Conv2d,
    }
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        layers: Vec<Layer>,
        norm: BatchNorm,
        fc: Linear,
    }
    let layer = |channels| Layer { norm: norm(channels), conv: conv(channels, 4, 3, 1) };
    let net =
        Net { stem: conv(3, 8, 3, 2), layers: vec![layer(8), layer(12)], norm: norm(16), fc: linear(16, 5) };
    case(net, images, |net, x| {
        let mut x = net.stem.forward(x);
        for layer in &net.layers {
            let y = layer.conv.forward(relu(layer.norm.forward(x.clone())));
            x = Tensor::cat(vec![x, y], 1);
        }
        net.fc.forward(pooled(relu(net.norm.forward(x))))
    })
    .has_layers(&[
        "stem 8 @ 8x6",
        "layers.0.norm 8 @ 8x6",
        "layers.0.relu 8 @ 8x6",
        "layers.0.conv 4 @ 8x6",
        "layers.0 4 @ 8x6",
        "layers.1.norm 12 @ 8x6",
        "layers.1.relu 12 @ 8x6",
        "layers.1.conv 4 @ 8x6",
        "layers.1 4 @ 8x6",
        "layers 16 @ 8x6",
        "norm 16 @ 8x6",
        "relu 16 @ 8x6",
    ])
    .tapped(&["layers.0", "layers.1.norm", "layers", "norm"], |net, x, taps| {
        let x = net.stem.forward(x);
        let x = taps.layer("layers", Nchw, || {
            let [one, two] = [&net.layers[0], &net.layers[1]];
            let y = taps.layer("0", Nchw, || one.conv.forward(relu(one.norm.forward(x.clone()))));
            let x = Tensor::cat(vec![x, y], 1);
            let y = taps.layer("1.norm", Nchw, || two.norm.forward(x.clone()));
            Tensor::cat(vec![x, two.conv.forward(relu(y))], 1)
        });
        let x = taps.layer("norm", Nchw, || net.norm.forward(x));
        net.fc.forward(pooled(relu(x)))
    });
}

#[test]
fn an_inception_block() {
    #[derive(Module, Debug)]
    struct Inception {
        one: Conv2d,
        three: Conv2d,
        five: Conv2d,
        pool: AvgPool2d,
        project: Conv2d,
    }
    #[derive(Module, Debug)]
    struct Net {
        mixed: Inception,
        fc: Linear,
    }
    let same = PaddingConfig2d::Explicit(1, 1, 1, 1);
    let net = Net {
        mixed: Inception {
            one: conv(3, 2, 1, 1),
            three: conv(3, 3, 3, 1),
            five: conv(3, 4, 5, 1),
            pool: AvgPool2dConfig::new([3, 3]).with_strides([1, 1]).with_padding(same).init(),
            project: conv(3, 5, 1, 1),
        },
        fc: linear(14, 5),
    };
    case(net, images, |net, x| {
        let mixed = &net.mixed;
        let parts = vec![
            mixed.one.forward(x.clone()),
            mixed.three.forward(x.clone()),
            mixed.five.forward(x.clone()),
            mixed.project.forward(mixed.pool.forward(x)),
        ];
        net.fc.forward(pooled(Tensor::cat(parts, 1)))
    })
    .has_layers(&[
        "mixed.one 2 @ 16x12",
        "mixed.three 3 @ 16x12",
        "mixed.five 4 @ 16x12",
        "mixed.pool 3 @ 16x12",
        "mixed.project 5 @ 16x12",
        "mixed 14 @ 16x12",
    ])
    .tapped(&["mixed.five", "mixed"], |net, x, taps| {
        let mixed = &net.mixed;
        let x = taps.layer("mixed", Nchw, || {
            let parts = vec![
                mixed.one.forward(x.clone()),
                mixed.three.forward(x.clone()),
                taps.layer("five", Nchw, || mixed.five.forward(x.clone())),
                mixed.project.forward(mixed.pool.forward(x)),
            ];
            Tensor::cat(parts, 1)
        });
        net.fc.forward(pooled(x))
    });
}

/// Half of the channels are computed from the other half, and a channel shuffle mixes both.
#[test]
fn a_ghost_module_with_a_channel_shuffle() {
    #[derive(Module, Debug)]
    struct Net {
        primary: Conv2d,
        cheap: Conv2d,
        conv: Conv2d,
        fc: Linear,
    }
    let cheap = Conv2dConfig::new([4, 4], [3, 3]).with_groups(4).with_padding(PaddingConfig2d::Same);
    let net = Net {
        primary: conv(3, 4, 3, 2),
        cheap: cheap.init(&device()),
        conv: conv(8, 6, 3, 1),
        fc: linear(6, 5),
    };
    case(net, images, |net, x| {
        let x = relu(net.primary.forward(x));
        let x = Tensor::cat(vec![x.clone(), relu(net.cheap.forward(x))], 1);
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, 2, channels / 2, height, width]).swap_dims(1, 2);
        net.fc.forward(pooled(net.conv.forward(x.reshape([batch, channels, height, width]))))
    })
    .has_layers(&[
        "primary 4 @ 8x6",
        "relu 4 @ 8x6",
        "cheap 4 @ 8x6",
        "relu#2 4 @ 8x6",
        "cat 8 @ 8x6",
        "conv 6 @ 8x6",
    ]);
}

/// The numbers of channels, rows and columns are equal, so shapes do not distinguish the axes.
#[test]
fn axes_are_not_identified_by_their_sizes() {
    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        last: Linear,
        rows: Linear,
        fc: Linear,
    }
    let net = Net { conv: conv(3, 16, 3, 1), last: linear(16, 16), rows: linear(16, 16), fc: linear(16, 5) };
    case(net, squares, |net, x| {
        let x = net.last.forward(net.conv.forward(x).permute([0, 2, 3, 1]));
        // A linear layer over the rows mixes them.
        let x = relu(net.rows.forward(relu(x).swap_dims(1, 3)));
        net.fc.forward(pooled(x))
    })
    .has_layers(&["conv 16 @ 16x16", "last 16 @ 16x16", "relu 16 @ 16x16"])
    .tapped(&["conv", "last", "relu"], |net, x, taps| {
        let x = taps.layer("conv", Nchw, || net.conv.forward(x)).permute([0, 2, 3, 1]);
        let x = taps.layer("last", Nhwc, || net.last.forward(x));
        let x = taps.layer("relu", Nhwc, || relu(x));
        net.fc.forward(pooled(relu(net.rows.forward(x.swap_dims(1, 3)))))
    });
}

#[test]
fn a_convolution_used_three_times() {
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        conv: Conv2d,
        fc: Linear,
    }
    let net = Net { stem: conv(3, 8, 3, 1), conv: conv(8, 8, 3, 1), fc: linear(8, 5) };
    case(net, images, |net, x| {
        let mut x = net.stem.forward(x);
        for _ in 0..3 {
            x = relu(net.conv.forward(x.clone())) + x;
        }
        net.fc.forward(pooled(x))
    })
    .has_layers(&[
        "stem 8 @ 16x12",
        "conv 8 @ 16x12",
        "relu 8 @ 16x12",
        "add 8 @ 16x12",
        "conv#2 8 @ 16x12",
        "relu#2 8 @ 16x12",
        "add#2 8 @ 16x12",
        "conv#3 8 @ 16x12",
        "relu#3 8 @ 16x12",
        "add#3 8 @ 16x12",
    ])
    .tapped(&["conv#2", "add", "relu#3"], |net, x, taps| {
        let x = net.stem.forward(x);
        let x = taps.layer("add", Nchw, || relu(net.conv.forward(x.clone())) + x);
        let y = taps.layer("conv#2", Nchw, || net.conv.forward(x.clone()));
        let x = relu(y) + x;
        let y = net.conv.forward(x.clone());
        net.fc.forward(pooled(taps.layer("relu#3", Nchw, || relu(y)) + x))
    });
}

/// Weights computed from other weights: a norm of each filter, a low-rank addition.
#[test]
fn weights_computed_from_other_weights() {
    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        proj: Linear,
        left: Linear,
        right: Linear,
        fc: Linear,
    }
    let net = Net {
        conv: conv(3, 8, 3, 1),
        proj: linear(8, 6),
        left: LinearConfig::new(8, 2).with_bias(false).init(&device()),
        right: LinearConfig::new(2, 6).with_bias(false).init(&device()),
        fc: linear(6, 5),
    };
    case(net, images, |net, x| {
        let weight = net.conv.weight.val();
        let length = weight.clone().powi_scalar(2).sum_dims(&[1, 2, 3]).sqrt();
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let x = conv2d(x, weight / length, None, options).permute([0, 2, 3, 1]);
        let low = net.left.weight.val().matmul(net.right.weight.val());
        let x = x.matmul((net.proj.weight.val() + low).unsqueeze_dims(&[0, 0]));
        net.fc.forward(pooled(relu(x).permute([0, 3, 1, 2])))
    })
    .has_layers(&["conv 8 @ 16x12", "proj 6 @ 16x12", "relu 6 @ 16x12"]);
}

/// Layers so large that the kernels read them in place, with a GELU and a residual.
#[test]
fn large_layers_of_few_rows() {
    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        wide: Linear,
        up: Linear,
        down: Linear,
        fc: Linear,
    }
    let net = Net {
        conv: conv(3, 8, 3, 1),
        wide: linear(8, 2048),
        up: linear(2048, 4096),
        down: linear(4096, 2048),
        fc: linear(2048, 5),
    };
    case(net, images, |net, x| {
        let x = net.wide.forward(pooled(relu(net.conv.forward(x))));
        net.fc.forward(net.down.forward(gelu(net.up.forward(x.clone()))) + x)
    })
    .within(1e-5) // sums of thousands of numbers
    .has_layers(&["conv 8 @ 16x12", "relu 8 @ 16x12"]);
}

#[test]
fn a_sum_after_a_list_belongs_to_the_enclosing_block() {
    #[derive(Module, Debug)]
    struct Inverted {
        layers: Vec<Conv2d>,
    }
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        block: Inverted,
        fc: Linear,
    }
    let block = Inverted { layers: vec![conv(8, 12, 1, 1), conv(12, 8, 3, 1)] };
    let net = Net { stem: conv(3, 8, 3, 2), block, fc: linear(8, 5) };
    case(net, images, |net, x| {
        let x = net.stem.forward(x);
        let y = net.block.layers.iter().fold(x.clone(), |x, layer| layer.forward(x));
        net.fc.forward(pooled(x + y))
    })
    .has_layers(&[
        "stem 8 @ 8x6",
        "block.layers.0 12 @ 8x6",
        "block.layers.1 8 @ 8x6",
        "block.layers 8 @ 8x6",
        "block 8 @ 8x6",
    ])
    .tapped(&["block.layers", "block"], |net, x, taps| {
        let x = net.stem.forward(x);
        let x = taps.layer("block", Nchw, || {
            let inside = || net.block.layers.iter().fold(x.clone(), |x, layer| layer.forward(x));
            x.clone() + taps.layer("layers", Nchw, inside)
        });
        net.fc.forward(pooled(x))
    });
}

/// A block of MobileNet: its activation is no module.
#[derive(Module, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x)).clamp(0.0, 6.0)
    }
}

#[test]
fn the_activation_of_the_last_block_is_what_the_head_reads() {
    #[derive(Module, Debug)]
    struct Net {
        first: ConvNorm,
        last: ConvNorm,
        fc: Linear,
    }
    let net = Net {
        first: ConvNorm { conv: conv(3, 8, 3, 2), norm: norm(8) },
        last: ConvNorm { conv: conv(8, 8, 3, 1), norm: norm(8) },
        fc: linear(8, 5),
    };
    case(net, images, |net, x| net.fc.forward(pooled(net.last.forward(net.first.forward(x))))).has_layers(&[
        "first.conv 8 @ 8x6",
        "first.norm 8 @ 8x6",
        "first 8 @ 8x6",
        "last.conv 8 @ 8x6",
        "last.norm 8 @ 8x6",
        "last 8 @ 8x6",
        "relu6 8 @ 8x6",
    ]);
}

#[test]
fn an_activation_after_a_block_is_not_the_one_inside_it() {
    #[derive(Module, Debug)]
    struct Features {
        conv: Conv2d,
        relu: Relu,
        norm: BatchNorm,
    }
    #[derive(Module, Debug)]
    struct Net {
        features: Features,
        fc: Linear,
    }
    let features = Features { conv: conv(3, 8, 3, 2), relu: Relu::new(), norm: norm(8) };
    let net = Net { features, fc: linear(8, 5) };
    case(net, images, |net, x| {
        let Features { conv, relu: own, norm } = &net.features;
        net.fc.forward(pooled(relu(norm.forward(own.forward(conv.forward(x))))))
    })
    .has_layers(&[
        "features.conv 8 @ 8x6",
        "features.relu 8 @ 8x6",
        "features.norm 8 @ 8x6",
        "features 8 @ 8x6",
        "relu 8 @ 8x6",
    ])
    .tapped(&["features.relu", "features"], |net, x, taps| {
        let Features { conv, relu: own, norm } = &net.features;
        let x = taps.layer("features", Nchw, || {
            norm.forward(taps.layer("relu", Nchw, || own.forward(conv.forward(x))))
        });
        net.fc.forward(pooled(relu(x)))
    });
}

#[test]
fn images_of_one_row_have_positions() {
    #[derive(Module, Debug)]
    struct Net {
        stem: Conv2d,
        fc: Linear,
    }
    let rows = |batch| images(batch).reshape([batch, 3, 1, 192]);
    let net = Net { stem: conv(3, 8, 3, 2), fc: linear(8, 5) };
    case(net, rows, |net, x| net.fc.forward(pooled(relu(net.stem.forward(x)))))
        .has_layers(&["stem 8 @ 1x96", "relu 8 @ 1x96"])
        .tapped(&["stem"], |net, x, taps| {
            net.fc.forward(pooled(relu(taps.layer("stem", Nchw, || net.stem.forward(x)))))
        });
}
