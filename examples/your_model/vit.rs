//! A small vision transformer with a class token, of Burn's own layers.

use burn::module::Param;
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Gelu, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::Distribution;

const WIDTH: usize = 64;
const PATCH: usize = 8;

#[derive(Module, Debug)]
pub struct Block {
    norm1: LayerNorm,
    attention: MultiHeadAttention,
    norm2: LayerNorm,
    widen: Linear,
    gelu: Gelu,
    narrow: Linear,
}

#[derive(Module, Debug)]
pub struct Vit {
    patches: Conv2d,
    class: Param<Tensor<3>>,
    positions: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Block {
    fn new(device: &Device) -> Self {
        Self {
            norm1: LayerNormConfig::new(WIDTH).init(device),
            attention: MultiHeadAttentionConfig::new(WIDTH, 4).init(device),
            norm2: LayerNormConfig::new(WIDTH).init(device),
            widen: LinearConfig::new(WIDTH, 4 * WIDTH).init(device),
            gelu: Gelu::new(),
            narrow: LinearConfig::new(4 * WIDTH, WIDTH).init(device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let attended = self.attention.forward(MhaInput::self_attn(self.norm1.forward(x.clone())));
        let x = x + attended.context;
        let y = self.gelu.forward(self.widen.forward(self.norm2.forward(x.clone())));
        x + self.narrow.forward(y)
    }
}

impl Vit {
    pub fn new(classes: usize, device: &Device) -> Self {
        let tokens = (super::SIDE / PATCH).pow(2) + 1;
        let random = |count| Tensor::random([1, count, WIDTH], Distribution::Normal(0.0, 0.5), device);
        Self {
            patches: Conv2dConfig::new([3, WIDTH], [PATCH, PATCH]).with_stride([PATCH, PATCH]).init(device),
            class: Param::from_tensor(random(1)),
            positions: Param::from_tensor(random(tokens)),
            blocks: (0..3).map(|_| Block::new(device)).collect(),
            norm: LayerNormConfig::new(WIDTH).init(device),
            head: LinearConfig::new(WIDTH, classes).init(device),
        }
    }

    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, ..] = images.dims();
        let patches = self.patches.forward(images).flatten::<3>(2, 3).swap_dims(1, 2);
        let class = self.class.val().expand([batch, 1, WIDTH]);
        let x = Tensor::cat(vec![class, patches], 1) + self.positions.val();
        let x = self.norm.forward(self.blocks.iter().fold(x, |x, block| block.forward(x)));
        self.head.forward(x.narrow(1, 0, 1).flatten(1, 2))
    }
}
