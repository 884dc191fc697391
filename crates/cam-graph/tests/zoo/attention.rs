//! Attention: fused, in Burn's modules, and written as separate operators.

use crate::support::{case, device, images};
use burn::module::{Module, Param};
use burn::nn::attention::*;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{quiet_softmax, softmax};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use cam_core::{Attention, Tokens};

/// Patches, one attention and a classifier.
#[derive(Module, Debug)]
struct Net {
    patches: Conv2d,
    qkv: Linear,
    proj: Linear,
    bias: Param<Tensor<4>>,
    fc: Linear,
}

fn net() -> Net {
    let device = device();
    Net {
        patches: Conv2dConfig::new([3, 8], [4, 4]).with_stride([4, 4]).init(&device),
        qkv: LinearConfig::new(8, 24).init(&device),
        proj: LinearConfig::new(8, 8).init(&device),
        bias: Param::from_tensor(Tensor::random([1, 2, 12, 12], Distribution::Default, &device)),
        fc: LinearConfig::new(8, 5).init(&device),
    }
}

const PLACES: Tokens = Tokens { prefix: 0, height: 4, width: 3 };

impl Net {
    /// `[batch, heads, tokens, channels]` three times.
    fn split(&self, x: Tensor<4>) -> [Tensor<4>; 3] {
        let x = self.patches.forward(x).flatten::<3>(2, 3).swap_dims(1, 2);
        let [batch, tokens, _] = x.dims();
        let qkv = self.qkv.forward(x).reshape([batch, tokens, 3, 2, 4]).permute([2, 0, 3, 1, 4]);
        [0, 1, 2].map(|part| qkv.clone().narrow(0, part, 1).squeeze_dim(0))
    }

    fn classes(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.proj.forward(x.swap_dims(1, 2).flatten::<3>(2, 3));
        self.fc.forward(x.mean_dim(1).squeeze_dim::<2>(1))
    }
}

/// The attention in a name is that of the enclosing block; here there is none.
const LAYERS: [&str; 3] = ["patches 8 @ 4x3", "attn_drop *24 @ 4x3", "proj 8 @ 4x3"];

fn scores(q: Tensor<4>, k: Tensor<4>) -> Tensor<4> {
    q.matmul(k.transpose()) * 0.5
}

#[test]
fn by_hand() {
    case(net(), images, |net, x| {
        let [q, k, v] = net.split(x);
        net.classes(softmax(scores(q, k), 3).matmul(v))
    })
    .has_layers(&LAYERS)
    .tapped(&["attn_drop"], |net, x, taps| {
        let [q, k, v] = net.split(x);
        net.classes(taps.layer("attn_drop", Attention(PLACES), || softmax(scores(q, k), 3)).matmul(v))
    });
}

/// Scores, weights over the queries and weights after a mask are not attention weights, and neither are those of a quiet softmax, whose sum
/// is not one.
#[test]
fn what_is_not_attention() {
    let none = ["patches 8 @ 4x3", "proj 8 @ 4x3"];
    case(net(), images, |net, x| {
        let [q, k, v] = net.split(x);
        net.classes(softmax(scores(q, k) + net.bias.val(), 2).matmul(v))
    })
    .has_layers(&none);
    case(net(), images, |net, x| {
        let [q, k, v] = net.split(x);
        net.classes(quiet_softmax(scores(q, k), 3).matmul(v))
    })
    .has_layers(&none);
    case(net(), images, |net, x| {
        let [q, k, v] = net.split(x);
        net.classes(burn::tensor::activation::sigmoid(scores(q, k)).matmul(v))
    })
    .has_layers(&none);
}

/// Tests an option of fused attention: the expected matrix is computed as documented by Burn.
macro_rules! fused {
    ($($name:ident: $mask:expr, $bias:expr, $options:expr, $weights:expr;)*) => {$(
        #[test]
        fn $name() {
            case(net(), images, |net, x| {
                let [q, k, v] = net.split(x);
                let (mask, bias): (fn(&Tensor<4>) -> Option<Tensor<4, Bool>>, fn(&Net) -> Option<Tensor<4>>) =
                    ($mask, $bias);
                let mask = mask(&q);
                net.classes(attention(q, k, v, mask, bias(net), $options))
            })
            .has_layers(&LAYERS)
            .tapped(&["attn_drop", "proj"], |net, x, taps| {
                let [q, k, v] = net.split(x);
                let weights: fn(&Net, Tensor<4>, Tensor<4>) -> Tensor<4> = $weights;
                let weights = taps.layer("attn_drop", Attention(PLACES), || weights(net, q, k));
                let x = weights.matmul(v).swap_dims(1, 2).flatten::<3>(2, 3);
                let x = taps.layer("proj", PLACES, || net.proj.forward(x));
                net.fc.forward(x.mean_dim(1).squeeze_dim::<2>(1))
            });
        }
    )*};
}

/// The mask of a token: all later tokens.
fn later(like: &Tensor<4>) -> Tensor<4, Bool> {
    let [batch, heads, tokens, _] = like.dims();
    let mask: Tensor<3, Bool> = generate_autoregressive_mask(batch, tokens, &like.device());
    mask.unsqueeze_dim::<4>(1).expand([batch, heads, tokens, tokens])
}

/// The third token is fully masked.
fn nothing(like: &Tensor<4>) -> Tensor<4, Bool> {
    let [batch, heads, tokens, _] = like.dims();
    let rows = Tensor::<1, Int>::arange(0..tokens as i64, &like.device()).reshape([1, 1, tokens, 1]);
    rows.equal_elem(2).expand([batch, heads, tokens, tokens])
}

fn options() -> AttentionModuleOptions {
    AttentionModuleOptions::default()
}

fused! {
    fused: |_| None, |_| None, options(), |_, q, k| softmax(scores(q, k), 3);
    fused_with_a_bias: |_| None, |net| Some(net.bias.val()), options(),
        |net, q, k| softmax(scores(q, k) + net.bias.val(), 3);
    fused_with_a_mask: |q| Some(later(q)), |_| None, options(), |_, q, k| {
        let mask = later(&q);
        softmax(scores(q, k).mask_fill(mask, f32::NEG_INFINITY), 3)
    };
    fused_and_causal: |_| None, |_| None, AttentionModuleOptions { is_causal: true, ..options() }, |_, q, k| {
        let mask = later(&q);
        softmax(scores(q, k).mask_fill(mask, f32::NEG_INFINITY), 3)
    };
    fused_with_all_options: |q| Some(later(q)), |net| Some(net.bias.val()),
        AttentionModuleOptions { scale: Some(0.7), softcap: Some(0.4), ..options() },
        |net, q, k| {
            let mask = later(&q);
            let capped = (q.matmul(k.transpose()) * 0.7 / 0.4).tanh() * 0.4;
            softmax(capped.mask_fill(mask, f32::NEG_INFINITY) + net.bias.val(), 3)
        };
    fused_where_a_token_may_look_at_nothing: |q| Some(nothing(q)), |_| None, options(), |_, q, k| {
        let mask = nothing(&q);
        softmax(scores(q, k), 3).mask_fill(mask, 0.0)
    };
}

/// A separate mask for each image.
#[test]
fn multi_head_attention() {
    #[derive(Module, Debug)]
    struct Attends {
        patches: Conv2d,
        attn: MultiHeadAttention,
        fc: Linear,
    }
    let net = |quiet| Attends {
        patches: Conv2dConfig::new([3, 8], [4, 4]).with_stride([4, 4]).init(&device()),
        attn: MultiHeadAttentionConfig::new(8, 2).with_quiet_softmax(quiet).init(&device()),
        fc: LinearConfig::new(8, 5).init(&device()),
    };
    fn tokens(net: &Attends, x: Tensor<4>) -> Tensor<3> {
        net.patches.forward(x).flatten::<3>(2, 3).swap_dims(1, 2)
    }
    fn classes(net: &Attends, x: Tensor<3>) -> Tensor<2> {
        net.fc.forward(x.mean_dim(1).squeeze_dim::<2>(1))
    }
    let layers = ["patches 8 @ 4x3", "attn.attn_drop *24 @ 4x3", "attn.output 8 @ 4x3", "attn 8 @ 4x3"];
    let quiet: Vec<&str> = layers.into_iter().filter(|layer| !layer.contains('*')).collect();
    case(net(false), images, |net, x| {
        classes(net, net.attn.forward(MhaInput::self_attn(tokens(net, x))).context)
    })
    .has_layers(&layers)
    .tapped(&["patches", "attn"], |net, x, taps| {
        let x = taps.layer("patches", PLACES, || tokens(net, x));
        classes(net, taps.layer("attn", PLACES, || net.attn.forward(MhaInput::self_attn(x)).context))
    });
    case(net(true), images, |net, x| {
        classes(net, net.attn.forward(MhaInput::self_attn(tokens(net, x))).context)
    })
    .has_layers(&quiet);
    case(net(false), images, |net, x| {
        let x = tokens(net, x);
        let [batch, length, _] = x.dims();
        let mask = generate_autoregressive_mask(batch, length, &x.device());
        let pad = Tensor::<1, Int>::arange(0..length as i64, &x.device()).greater_elem(9).unsqueeze::<2>();
        let input = MhaInput::self_attn(x).mask_attn(mask).mask_pad(pad.expand([batch, length]));
        classes(net, net.attn.forward(input).context)
    })
    .has_layers(&layers);
    // The weights as a second output.
    case(net(false), images, |net, x| {
        let found = net.attn.forward(MhaInput::self_attn(tokens(net, x)));
        (classes(net, found.context), found.weights)
    })
    .has_layers(&layers);
}

#[test]
fn cross_attention_to_learned_queries() {
    #[derive(Module, Debug)]
    struct Attends {
        patches: Conv2d,
        queries: Param<Tensor<3>>,
        attn: CrossAttention,
        fc: Linear,
    }
    let net = Attends {
        patches: Conv2dConfig::new([3, 6], [4, 4]).with_stride([4, 4]).init(&device()),
        queries: Param::from_tensor(Tensor::random([1, 4, 8], Distribution::Default, &device())),
        attn: CrossAttentionConfig::new(8, 6, 4, 2, 3).init(&device()),
        fc: LinearConfig::new(8, 5).init(&device()),
    };
    case(net, images, |net, x| {
        let x = net.patches.forward(x).flatten::<3>(2, 3).swap_dims(1, 2);
        let queries = net.queries.val().expand([x.dims()[0] as i64, -1, -1]);
        net.fc.forward(net.attn.forward(queries, x, None).mean_dim(1).squeeze_dim::<2>(1))
    })
    .has_layers(&["patches 6 @ 4x3", "attn.key 6 @ 4x3", "attn.value 6 @ 4x3"]);
}
