//! Transformers over patches and signals.

use crate::support::{case, device, images, pooled, signals, squares};
use burn::module::{Module, Param};
use burn::nn::activation::ActivationConfig;
use burn::nn::attention::*;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::transformer::*;
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{gelu, softmax};
use cam_core::{Nhwc, Tokens};

const PLACES: Tokens = Tokens { prefix: 0, height: 4, width: 3 };

fn patches() -> Conv2d {
    Conv2dConfig::new([3, 8], [4, 4]).with_stride([4, 4]).init(&device())
}

fn linear(from: usize, to: usize) -> Linear {
    LinearConfig::new(from, to).init(&device())
}

fn param<const D: usize>(shape: [usize; D]) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::random(shape, Distribution::Default, &device()))
}

fn tokens(patches: &Conv2d, x: Tensor<4>) -> Tensor<3> {
    patches.forward(x).flatten::<3>(2, 3).swap_dims(1, 2)
}

fn mean(x: Tensor<3>) -> Tensor<2> {
    x.mean_dim(1).squeeze_dim(1)
}

fn first(x: Tensor<3>) -> Tensor<2> {
    x.narrow(1, 0, 1).squeeze_dim(1)
}

/// Patches, something over the tokens, and a classifier.
#[derive(Module, Debug)]
struct Net<T: Module> {
    patches: Conv2d,
    body: T,
    fc: Linear,
}

fn net<T: Module>(body: T) -> Net<T> {
    Net { patches: patches(), body, fc: linear(8, 5) }
}

fn encoder(norm_first: bool) -> TransformerEncoder {
    TransformerEncoderConfig::new(8, 12, 2, 2).with_norm_first(norm_first).init(&device())
}

#[test]
fn an_encoder_with_norms_first() {
    case(net(encoder(true)), images, |net, x| {
        net.fc.forward(mean(net.body.forward(TransformerEncoderInput::new(tokens(&net.patches, x)))))
    })
    .has_layers(&[
        "patches 8 @ 4x3",
        "body.layers.0.norm_2 8 @ 4x3",
        "body.layers.0.mha.attn_drop *24 @ 4x3",
        "body.layers.0.mha.output 8 @ 4x3",
        "body.layers.0.mha 8 @ 4x3",
        "body.layers.0.norm_1 8 @ 4x3",
        "body.layers.0.pwff.linear_inner 12 @ 4x3",
        "body.layers.0.pwff.gelu 12 @ 4x3",
        "body.layers.0.pwff.linear_outer 8 @ 4x3",
        "body.layers.0.pwff 8 @ 4x3",
        "body.layers.0 8 @ 4x3",
        "body.layers.1.norm_2 8 @ 4x3",
        "body.layers.1.mha.attn_drop *24 @ 4x3",
        "body.layers.1.mha.output 8 @ 4x3",
        "body.layers.1.mha 8 @ 4x3",
        "body.layers.1.norm_1 8 @ 4x3",
        "body.layers.1.pwff.linear_inner 12 @ 4x3",
        "body.layers.1.pwff.gelu 12 @ 4x3",
        "body.layers.1.pwff.linear_outer 8 @ 4x3",
        "body.layers.1.pwff 8 @ 4x3",
        "body.layers.1 8 @ 4x3",
        "body.layers 8 @ 4x3",
        "body 8 @ 4x3",
    ])
    .tapped(&["patches", "body.layers.0", "body"], |net, x, taps| {
        let x = taps.layer("patches", PLACES, || tokens(&net.patches, x));
        let x = taps.layer("body", PLACES, || {
            let x = taps.layer("layers.0", PLACES, || net.body.layers[0].forward(x, None, None));
            net.body.layers[1].forward(x, None, None)
        });
        net.fc.forward(mean(x))
    });
}

#[test]
fn an_encoder_with_norms_last_and_masks() {
    case(net(encoder(false)), images, |net, x| {
        let x = tokens(&net.patches, x);
        let [batch, length, _] = x.dims();
        let mask = generate_autoregressive_mask(batch, length, &x.device());
        let pad = Tensor::<1, Int>::arange(0..length as i64, &x.device()).greater_elem(9).unsqueeze::<2>();
        let input = TransformerEncoderInput::new(x).mask_attn(mask).mask_pad(pad.expand([batch, length]));
        net.fc.forward(mean(net.body.forward(input)))
    })
    .has_layers(&[
        "patches 8 @ 4x3",
        "body.layers.0.mha.attn_drop *24 @ 4x3",
        "body.layers.0.mha.output 8 @ 4x3",
        "body.layers.0.mha 8 @ 4x3",
        "body.layers.0.norm_1 8 @ 4x3",
        "body.layers.0.pwff.linear_inner 12 @ 4x3",
        "body.layers.0.pwff.gelu 12 @ 4x3",
        "body.layers.0.pwff.linear_outer 8 @ 4x3",
        "body.layers.0.pwff 8 @ 4x3",
        "body.layers.0.norm_2 8 @ 4x3",
        "body.layers.0 8 @ 4x3",
        "body.layers.1.mha.attn_drop *24 @ 4x3",
        "body.layers.1.mha.output 8 @ 4x3",
        "body.layers.1.mha 8 @ 4x3",
        "body.layers.1.norm_1 8 @ 4x3",
        "body.layers.1.pwff.linear_inner 12 @ 4x3",
        "body.layers.1.pwff.gelu 12 @ 4x3",
        "body.layers.1.pwff.linear_outer 8 @ 4x3",
        "body.layers.1.pwff 8 @ 4x3",
        "body.layers.1.norm_2 8 @ 4x3",
        "body.layers.1 8 @ 4x3",
        "body.layers 8 @ 4x3",
        "body 8 @ 4x3",
    ]);
}

/// The tokens of the decoder are the targets; the patches are its memory.
#[test]
fn a_decoder_of_learned_queries() {
    #[derive(Module, Debug)]
    struct Decodes {
        decoder: TransformerDecoder,
        queries: Param<Tensor<3>>,
    }
    let decoder = TransformerDecoderConfig::new(8, 12, 2, 1).with_norm_first(true);
    let body = Decodes { decoder: decoder.init(&device()), queries: param([1, 3, 8]) };
    case(net(body), images, |net, x| {
        let queries = net.body.queries.val().expand([x.dims()[0] as i64, -1, -1]);
        let input = TransformerDecoderInput::new(queries, tokens(&net.patches, x));
        net.fc.forward(mean(net.body.decoder.forward(input)))
    })
    .has_layers(&["patches 8 @ 4x3"]);
}

#[derive(Module, Debug)]
struct Embedded {
    class: Param<Tensor<3>>,
    registers: Param<Tensor<3>>,
    position: Param<Tensor<3>>,
    norm1: LayerNorm,
    attn: MultiHeadAttention,
    norm2: LayerNorm,
    mlp: PositionWiseFeedForward,
    norm: RmsNorm,
}

fn embedded() -> Embedded {
    Embedded {
        class: param([1, 1, 8]),
        registers: param([1, 2, 8]),
        position: param([1, 12, 8]),
        norm1: LayerNormConfig::new(8).init(&device()),
        attn: MultiHeadAttentionConfig::new(8, 2).init(&device()),
        norm2: LayerNormConfig::new(8).init(&device()),
        mlp: PositionWiseFeedForwardConfig::new(8, 16)
            .with_activation(ActivationConfig::Relu)
            .init(&device()),
        norm: RmsNormConfig::new(8).init(&device()),
    }
}

#[test]
fn a_vit_with_a_class_token_and_registers() {
    case(net(embedded()), images, |net, x| {
        let body = &net.body;
        let x = tokens(&net.patches, x) + body.position.val();
        let expand = |token: &Param<Tensor<3>>| token.val().expand([x.dims()[0] as i64, -1, -1]);
        let x = Tensor::cat(vec![expand(&body.class), expand(&body.registers), x.clone()], 1);
        let x = x.clone() + body.attn.forward(MhaInput::self_attn(body.norm1.forward(x))).context;
        let x = x.clone() + body.mlp.forward(body.norm2.forward(x));
        net.fc.forward(first(body.norm.forward(x)))
    })
    .has_layers(&[
        "patches 8 @ 4x3",
        "body.norm1 8 @ 4x3",
        "body.attn.attn_drop *30 @ 4x3",
        "body.attn.output 8 @ 4x3",
        "body.attn 8 @ 4x3",
        "body.norm2 8 @ 4x3",
        "body.mlp.linear_inner 16 @ 4x3",
        "body.mlp.relu 16 @ 4x3",
        "body.mlp.linear_outer 8 @ 4x3",
        "body.mlp 8 @ 4x3",
        "body.norm 8 @ 4x3",
        "body 8 @ 4x3",
    ])
    .tapped(&["body.norm1"], |net, x, taps| {
        let places = Tokens { prefix: 3, ..PLACES };
        let body = &net.body;
        let x = tokens(&net.patches, x) + body.position.val();
        let expand = |token: &Param<Tensor<3>>| token.val().expand([x.dims()[0] as i64, -1, -1]);
        let x = Tensor::cat(vec![expand(&body.class), expand(&body.registers), x.clone()], 1);
        let y = taps.layer("body.norm1", places, || body.norm1.forward(x.clone()));
        let x = x + body.attn.forward(MhaInput::self_attn(y)).context;
        let x = x.clone() + body.mlp.forward(body.norm2.forward(x));
        net.fc.forward(first(body.norm.forward(x)))
    });
}

/// No layout describes registers after the patches; once they are removed there are layers again.
#[test]
fn registers_after_the_patches() {
    case(net(embedded()), images, |net, x| {
        let body = &net.body;
        let x = tokens(&net.patches, x) + body.position.val();
        let [batch, length, _] = x.dims();
        let x = Tensor::cat(vec![x, body.registers.val().expand([batch as i64, -1, -1])], 1);
        let x = body.attn.forward(MhaInput::self_attn(body.norm1.forward(x))).context;
        net.fc.forward(mean(body.norm.forward(body.mlp.forward(x.narrow(1, 0, length)))))
    })
    .has_layers(&[
        "patches 8 @ 4x3",
        "body.attn 8 @ 4x3",
        "body.mlp.linear_inner 16 @ 4x3",
        "body.mlp.relu 16 @ 4x3",
        "body.mlp.linear_outer 8 @ 4x3",
        "body.mlp 8 @ 4x3",
        "body.norm 8 @ 4x3",
        "body 8 @ 4x3",
    ]);
}

#[test]
fn positions_by_sines_and_by_rotation() {
    #[derive(Module, Debug)]
    struct Placed {
        sines: PositionalEncoding,
        rope: RotaryEncoding,
        learned: Embedding,
        query: Linear,
        key: Linear,
        value: Linear,
    }
    let body = Placed {
        sines: PositionalEncodingConfig::new(8).with_max_sequence_size(20).init(&device()),
        rope: RotaryEncodingConfig::new(20, 4).init(&device()),
        learned: EmbeddingConfig::new(12, 8).init(&device()),
        query: linear(8, 8),
        key: linear(8, 8),
        value: linear(8, 8),
    };
    case(net(body), images, |net, x| {
        let body = &net.body;
        let x = body.sines.forward(tokens(&net.patches, x));
        let [batch, length, _] = x.dims();
        let at = Tensor::<1, Int>::arange(0..length as i64, &x.device()).reshape([1, length]);
        let x = x + body.learned.forward(at.repeat_dim(0, batch));
        let heads = |x: Tensor<3>| x.reshape([batch, length, 2, 4]).swap_dims(1, 2);
        let q = body.rope.forward(heads(body.query.forward(x.clone())));
        let k = body.rope.forward(heads(body.key.forward(x.clone())));
        let v = heads(body.value.forward(x));
        let x = softmax(q.matmul(k.transpose()) * 0.5, 3).matmul(v);
        net.fc.forward(mean(x.swap_dims(1, 2).reshape([batch, length, 8])))
    })
    .has_layers(&["patches 8 @ 4x3", "attn_drop *24 @ 4x3"]);
}

#[test]
fn an_mlp_mixer() {
    #[derive(Module, Debug)]
    struct Mixer {
        norm1: LayerNorm,
        places1: Linear,
        places2: Linear,
        norm2: LayerNorm,
        channels1: Linear,
        channels2: Linear,
        norm: LayerNorm,
    }
    let norm = || LayerNormConfig::new(8).init(&device());
    let body = Mixer {
        norm1: norm(),
        places1: linear(12, 9),
        places2: linear(9, 12),
        norm2: norm(),
        channels1: linear(8, 16),
        channels2: linear(16, 8),
        norm: norm(),
    };
    case(net(body), images, |net, x| {
        let body = &net.body;
        let x = tokens(&net.patches, x);
        let y = body.norm1.forward(x.clone()).swap_dims(1, 2);
        let x = x + body.places2.forward(gelu(body.places1.forward(y))).swap_dims(1, 2);
        let y = body.channels1.forward(body.norm2.forward(x.clone()));
        let x = x + body.channels2.forward(gelu(y));
        net.fc.forward(mean(body.norm.forward(x)))
    })
    .has_layers(&["patches 8 @ 4x3", "body.norm1 8 @ 4x3"]);
}

#[derive(Module, Debug)]
struct Windows {
    stem: Conv2d,
    norm1: LayerNorm,
    attn: MultiHeadAttention,
    merge: Linear,
    norm2: LayerNorm,
    fc: Linear,
}

fn windows() -> Windows {
    Windows {
        stem: Conv2dConfig::new([3, 8], [2, 2]).with_stride([2, 2]).init(&device()),
        norm1: LayerNormConfig::new(8).init(&device()),
        attn: MultiHeadAttentionConfig::new(8, 2).init(&device()),
        merge: linear(32, 8),
        norm2: LayerNormConfig::new(8).init(&device()),
        fc: linear(8, 5),
    }
}

impl Windows {
    /// Attention within windows of 4 by 4.
    fn within(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let x = x.reshape([batch, height / 4, 4, width / 4, 4, channels]).permute([0, 1, 3, 2, 4, 5]);
        let x = x.reshape([batch * height * width / 16, 16, channels]);
        let x = self.attn.forward(MhaInput::self_attn(x)).context;
        let x = x.reshape([batch, height / 4, width / 4, 4, 4, channels]).permute([0, 1, 3, 2, 4, 5]);
        x.reshape([batch, height, width, channels])
    }

    /// The same after a shift that is reversed.
    fn shifted(&self, x: Tensor<4>) -> Tensor<4> {
        self.within(x.roll(&[-2, -2], &[1, 2])).roll(&[2, 2], &[1, 2])
    }

    fn stem(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm1.forward(self.stem.forward(x).permute([0, 2, 3, 1]))
    }

    fn classes(&self, x: Tensor<4>) -> Tensor<2> {
        self.fc.forward(pooled(self.norm2.forward(self.merge.forward(x)).permute([0, 3, 1, 2])))
    }
}

/// Squares of 2 by 2 positions, concatenated in the channels.
fn by_reshape(x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let x = x.reshape([batch, height / 2, 2, width / 2, 2, channels]).permute([0, 1, 3, 4, 2, 5]);
    x.reshape([batch, height / 2, width / 2, 4 * channels])
}

/// The same by slices of every second position.
fn by_slices(x: Tensor<4>) -> Tensor<4> {
    let part = |row: usize, column: usize| x.clone().slice(s![.., row..;2, column..;2, ..]);
    Tensor::cat(vec![part(0, 0), part(1, 0), part(0, 1), part(1, 1)], 3)
}

/// The same by indices.
fn by_select(x: Tensor<4>) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    let every =
        |first: usize, size: usize| Tensor::<1, Int>::arange_step(first as i64..size as i64, 2, &x.device());
    let part = |row, column| x.clone().select(1, every(row, height)).select(2, every(column, width));
    Tensor::cat(vec![part(0, 0), part(1, 0), part(0, 1), part(1, 1)], 3)
}

#[test]
fn attention_in_windows() {
    case(windows(), squares, |net, x| {
        let x = net.stem(x);
        let x = x.clone() + net.within(x);
        net.classes(by_reshape(x))
    })
    .has_layers(&[
        "stem 8 @ 8x8",
        "norm1 8 @ 8x8",
        "attn 8 @ 8x8",
        "add 8 @ 8x8",
        "merge 8 @ 4x4",
        "norm2 8 @ 4x4",
    ])
    .tapped(&["norm1", "merge", "norm2"], |net, x, taps| {
        let x = taps.layer("norm1", Nhwc, || net.stem(x));
        let x = by_reshape(x.clone() + net.within(x));
        let x = taps.layer("merge", Nhwc, || net.merge.forward(x));
        let x = taps.layer("norm2", Nhwc, || net.norm2.forward(x));
        net.fc.forward(pooled(x.permute([0, 3, 1, 2])))
    });
}

/// Shifted windows: rolled values are not layers, the value that is rolled back is.
#[test]
fn attention_in_shifted_windows_merged_by_slices_and_indices() {
    case(windows(), squares, |net, x| {
        let x = net.stem(x);
        let x = x.clone() + net.shifted(x);
        net.classes(by_slices(x))
    })
    .has_layers(&[
        "stem 8 @ 8x8",
        "norm1 8 @ 8x8",
        "attn 8 @ 8x8",
        "add 8 @ 8x8",
        "cat 32 @ 4x4",
        "merge 8 @ 4x4",
        "norm2 8 @ 4x4",
    ])
    .tapped(&["attn", "merge"], |net, x, taps| {
        let x = net.stem(x);
        let x = x.clone() + taps.layer("attn", Nhwc, || net.shifted(x));
        let x = taps.layer("merge", Nhwc, || net.merge.forward(by_slices(x)));
        net.fc.forward(pooled(net.norm2.forward(x).permute([0, 3, 1, 2])))
    });
    case(windows(), squares, |net, x| {
        let x = net.stem(x);
        net.classes(by_select(net.shifted(x)))
    })
    .has_layers(&[
        "stem 8 @ 8x8",
        "norm1 8 @ 8x8",
        "attn 8 @ 8x8",
        "cat 32 @ 4x4",
        "merge 8 @ 4x4",
        "norm2 8 @ 4x4",
    ]);
}

/// Images that are not a multiple of the window are padded, and the padding is cut off again.
#[test]
fn attention_in_padded_windows() {
    case(windows(), images, |net, x| {
        let x = net.stem(x);
        let [batch, height, width, channels] = x.dims();
        let y = x.clone().pad([(0, 0), (0, 2), (0, 0)], 0.0);
        let y = net.shifted(y).slice([0..batch, 0..height, 0..width, 0..channels]);
        net.classes(by_reshape(x + y))
    })
    .has_layers(&[
        "stem 8 @ 8x6",
        "norm1 8 @ 8x6",
        "attn 8 @ 8x6",
        "add 8 @ 8x6",
        "merge 8 @ 4x3",
        "norm2 8 @ 4x3",
    ]);
}

/// A roll that is not reversed: no value after it is a layer.
#[test]
fn a_roll_that_stays() {
    case(windows(), squares, |net, x| net.classes(by_reshape(net.stem(x).roll(&[3], &[1]))))
        .has_layers(&["stem 8 @ 8x8", "norm1 8 @ 8x8"]);
}

#[test]
fn a_transformer_of_signals() {
    #[derive(Module, Debug)]
    struct Signal {
        conv: Conv1d,
        encoder: TransformerEncoder,
        last: Conv1d,
        fc: Linear,
    }
    let net = Signal {
        conv: Conv1dConfig::new(3, 8, 4).with_stride(4).init(&device()),
        encoder: encoder(true),
        last: Conv1dConfig::new(8, 6, 3).init(&device()),
        fc: linear(6, 4),
    };
    case(net, signals, |net, x| {
        let x = net.encoder.forward(TransformerEncoderInput::new(net.conv.forward(x).swap_dims(1, 2)));
        net.fc.forward(net.last.forward(x.swap_dims(1, 2)).mean_dim(2).squeeze_dim::<2>(2))
    })
    .has_layers(&["conv 8 @ 6", "encoder.layers 8 @ 6", "encoder 8 @ 6", "last 6 @ 4"]);
}
