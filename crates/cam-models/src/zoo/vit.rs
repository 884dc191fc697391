//! Vision transformers: ViT and DeiT, plain and distilled, with or without register tokens, in timm's layout.
//!
//! Dosovitskiy et al., *An Image is Worth 16x16 Words*, ICLR 2021 (<https://arxiv.org/abs/2010.11929>); Touvron et al.,
//! *Training data-efficient image transformers & distillation through attention*, ICML 2021
//! (<https://arxiv.org/abs/2012.12877>); Darcet et al., *Vision Transformers Need Registers*, ICLR 2024
//! (<https://arxiv.org/abs/2309.16588>).
//!
//! Its layers have the names of the checkpoint: `patch_embed`, each block (`blocks.11`), in it `norm1`, `attn`, `norm2` and `mlp`,
//! the last `norm`, and the attention weights after their softmax as `blocks.11.attn.attn_drop` (timm's name of the module that
//! they pass through).

use crate::zoo::bicubic::matrix;
use crate::zoo::head::{classified, head};
use crate::zoo::tokens::pooled;
use crate::{
    Activation, AnyArchitecture, Architecture, ArchitectureOptions, Error, Family, ModelCard, TensorShapes,
    TokenPool,
};
use burn::module::{Initializer, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::module::attention;

/// The configuration of a vision transformer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VitConfig {
    /// Height and width of the images that it was trained on, in pixels: its positional embedding is for them, and is resampled for
    /// images of other sizes.
    pub image: [usize; 2],
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Channels of a token.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Channels inside a block's two linear layers.
    pub hidden: usize,
    /// The activation between them.
    pub activation: Activation,
    /// What the norms add to a variance.
    pub epsilon: f64,
    /// A class token before the patches.
    pub class_token: bool,
    /// What the classifier reads.
    pub pool: TokenPool,
    /// What is pooled is normed afterwards, instead of each token before.
    pub pooled_norm: bool,
    /// A second token beside the class token.
    pub distilled: bool,
    /// The head at the second token, if there is one.
    pub second_head: SecondHead,
    /// Register tokens, which belong to no patch.
    pub registers: usize,
    /// The positional embedding also has an entry for each token before the patches.
    pub prefix_embedded: bool,
    /// The output of each half of a block is scaled per channel before it is added.
    pub layer_scale: bool,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// The head at the second token of a distilled vision transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondHead {
    /// The logits are the mean of both heads.
    Averaged,
    /// The logits are its own.
    Alone,
    /// The logits are those of the head at the class token.
    Unread,
    /// There is none: transformers' `DeiTForImageClassification`.
    Absent,
}

const TINY: VitConfig = VitConfig {
    image: [224, 224],
    patch: 16,
    width: 192,
    depth: 12,
    heads: 3,
    hidden: 4 * 192,
    activation: Activation::Gelu,
    epsilon: 1e-6,
    class_token: true,
    pool: TokenPool::Token,
    pooled_norm: false,
    distilled: false,
    second_head: SecondHead::Averaged,
    registers: 0,
    prefix_embedded: true,
    layer_scale: false,
    channels: 3,
    classes: 1000,
};
const SMALL: VitConfig = VitConfig { width: 384, heads: 6, hidden: 4 * 384, ..TINY };
const BASE: VitConfig = VitConfig { width: 768, heads: 12, hidden: 4 * 768, ..TINY };

impl VitConfig {
    const fn at(self, side: usize) -> Self {
        Self { image: [side, side], ..self }
    }

    const fn patch32(self) -> Self {
        Self { patch: 32, ..self }
    }

    const fn distilled(self) -> Self {
        Self { distilled: true, ..self }
    }
}

/// The variants that timm publishes, by name. A DeiT that is not distilled is the ViT of its size, trained differently.
pub const VARIANTS: &[(&str, VitConfig)] = &[
    ("vit_tiny_patch16_224", TINY),
    ("vit_tiny_patch16_384", TINY.at(384)),
    ("vit_small_patch16_224", SMALL),
    ("vit_small_patch16_384", SMALL.at(384)),
    ("vit_small_patch32_224", SMALL.patch32()),
    ("vit_small_patch32_384", SMALL.patch32().at(384)),
    ("vit_base_patch16_224", BASE),
    ("vit_base_patch16_384", BASE.at(384)),
    ("vit_base_patch32_224", BASE.patch32()),
    ("vit_base_patch32_384", BASE.patch32().at(384)),
    ("deit_tiny_patch16_224", TINY),
    ("deit_small_patch16_224", SMALL),
    ("deit_base_patch16_224", BASE),
    ("deit_base_patch16_384", BASE.at(384)),
    ("deit_tiny_distilled_patch16_224", TINY.distilled()),
    ("deit_small_distilled_patch16_224", SMALL.distilled()),
    ("deit_base_distilled_patch16_224", BASE.distilled()),
    ("deit_base_distilled_patch16_384", BASE.distilled().at(384)),
];

/// Channels per head, assumed for sizes that are not in [`WIDE_HEADS`].
const HEAD: usize = 64;

/// Widths whose published networks have other heads, and how many: SO400M, ViT-H, ViT-g and ViT-G.
const WIDE_HEADS: [(usize, usize); 4] = [(1152, 16), (1280, 16), (1408, 16), (1664, 16)];

/// Returns the heads that are assumed for a width.
fn usual_heads(width: usize) -> usize {
    let published = WIDE_HEADS.iter().find(|(wide, _)| *wide == width).map(|(_, heads)| *heads);
    let heads = published.unwrap_or((width / HEAD).max(1));
    if width.is_multiple_of(heads) { heads } else { 1 }
}

/// Returns the grid of this many patches that is nearest to a square.
fn squarest(patches: usize) -> Option<[usize; 2]> {
    let rows = (1..=patches.isqrt()).rev().find(|rows| patches.is_multiple_of(*rows))?;
    Some([rows, patches / rows])
}

/// Returns the vision transformer that has these tensors. Its grid of patches is assumed to be square, or as nearly as can be.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<VitConfig> {
    let &[width, channels, patch, _] = shapes("patch_embed.proj.weight")?.as_slice() else { return None };
    let &[hidden, _] = shapes("blocks.0.mlp.fc1.weight")?.as_slice() else { return None };
    let &[_, positions, _] = shapes("pos_embed")?.as_slice() else { return None };
    let class_token = shapes("cls_token").is_some();
    let distilled = shapes("dist_token").is_some();
    let registers = shapes("reg_token").map_or(0, |shape| shape.get(1).copied().unwrap_or(0));
    let prefix = usize::from(class_token) + usize::from(distilled) + registers;
    let patches = positions.checked_sub(prefix).filter(|patches| *patches > 0);
    let is_square = |patches: &usize| patches.isqrt().pow(2) == *patches;
    let (patches, prefix_embedded) = match patches.filter(is_square) {
        Some(patches) => (patches, true),
        None if is_square(&positions) => (positions, false),
        None => (patches?, true),
    };
    let pooled_norm = shapes("fc_norm.weight").is_some();
    let depth = (0..).take_while(|block| shapes(&format!("blocks.{block}.norm1.weight")).is_some()).count();
    Some(VitConfig {
        image: squarest(patches)?.map(|side| side * patch),
        patch,
        width,
        depth,
        heads: usual_heads(width),
        hidden,
        class_token,
        pool: if pooled_norm || !class_token { TokenPool::Avg } else { TokenPool::Token },
        pooled_norm,
        distilled,
        second_head: match shapes("head_dist.weight") {
            None if distilled => SecondHead::Absent,
            _ => SecondHead::Averaged,
        },
        registers,
        prefix_embedded,
        layer_scale: shapes("blocks.0.ls1.gamma").is_some(),
        channels,
        classes: *shapes("head.weight")?.first()?,
        ..TINY
    })
}

impl VitConfig {
    /// Returns the tokens that belong to no patch.
    fn prefix(&self) -> usize {
        usize::from(self.class_token) + usize::from(self.distilled) + self.registers
    }

    /// Returns how many patches of each axis an image of this size has.
    fn grid(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| side / self.patch)
    }
}

impl Architecture for VitConfig {
    type Network = Vit;

    fn build(&self, device: &Device) -> Vit {
        self.init(device)
    }

    fn forward(network: &Vit, images: Tensor<4>) -> Tensor<2> {
        network.forward(images)
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn with_classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }

    fn image_size(&self) -> Option<[usize; 2]> {
        Some(self.image)
    }

    fn with_classifier(self, name: &str) -> Self {
        let second_head = match (self.second_head, name) {
            (SecondHead::Averaged, "head") => SecondHead::Unread,
            (SecondHead::Averaged, "head_dist") => SecondHead::Alone,
            (other, _) => other,
        };
        Self { second_head, ..self }
    }

    /// The positional embedding is that of a grid of as many patches; of another number, it is resampled.
    fn with_image_size(self, size: [usize; 2]) -> Result<Self, String> {
        let patches = |size| self.grid(size).iter().product::<usize>();
        let entries = patches(self.image) + if self.prefix_embedded { self.prefix() } else { 0 };
        Ok(match patches(size) {
            0 => return Err(format!("its patches have {0} x {0} pixels", self.patch)),
            of_patches if of_patches + self.prefix() == entries => {
                Self { image: size, prefix_embedded: true, ..self }
            }
            all if all == entries => Self { image: size, prefix_embedded: false, ..self },
            _ => self,
        })
    }

    fn options(&self) -> ArchitectureOptions {
        ArchitectureOptions {
            heads: Some(self.heads),
            pool: Some(self.pool),
            activation: Some(self.activation),
            epsilon: Some(self.epsilon),
            ..ArchitectureOptions::default()
        }
    }

    fn with_options(self, options: &ArchitectureOptions) -> Result<Self, String> {
        let heads = options.heads.unwrap_or(self.heads);
        if heads == 0 || !self.width.is_multiple_of(heads) {
            return Err(format!("{heads} heads do not divide its {} channels", self.width));
        }
        let pool = options.pool.unwrap_or(self.pool);
        if pool == TokenPool::Token && !self.class_token {
            return Err("it has no class token to read".into());
        }
        if pool != TokenPool::Token && self.distilled {
            return Err("a distilled network reads its two tokens".into());
        }
        Ok(Self {
            heads,
            pool,
            activation: options.activation.unwrap_or(self.activation),
            epsilon: options.epsilon.unwrap_or(self.epsilon),
            ..self
        })
    }
}

/// ViT and DeiT.
pub struct VitFamily;

impl Family for VitFamily {
    fn name(&self) -> &'static str {
        "ViT"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("vit.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }

    /// timm's variants with other heads than the widths of the published ones have, or with an approximate GELU.
    fn naming(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("vit_base_patch16_gap_224", "heads = 16"),
            ("test_vit", "heads = 2"),
            ("vit_base_patch32_siglip_gap_256", "activation = 'gelu-tanh'"),
            ("vit_large_patch16_siglip_gap_512", "activation = 'gelu-tanh'"),
            ("vit_so400m_patch16_siglip_gap", "activation = 'gelu-tanh'"),
            ("vit_giantopt_patch16_siglip_gap", "heads = 16\nactivation = 'gelu-tanh'"),
        ]
    }
}

/// A vision transformer. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct Vit {
    cls_token: Option<Param<Tensor<3>>>,
    dist_token: Option<Param<Tensor<3>>>,
    reg_token: Option<Param<Tensor<3>>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbed,
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
    fc_norm: Option<LayerNorm>,
    head: Option<Linear>,
    head_dist: Option<Linear>,
    #[module(skip)]
    second_head: SecondHead,
    grid: [usize; 2],
    prefix: usize,
    prefix_embedded: bool,
    #[module(skip)]
    pool: TokenPool,
}

/// A linear layer of each patch, as a convolution.
#[derive(Module, Debug)]
struct PatchEmbed {
    proj: Conv2d,
}

/// Attention and two linear layers, each after a norm and added to its input.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    ls1: Option<LayerScale>,
    norm2: LayerNorm,
    mlp: Mlp,
    ls2: Option<LayerScale>,
}

#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

/// Two linear layers with an activation between them.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

#[derive(Module, Debug)]
struct LayerScale {
    gamma: Param<Tensor<1>>,
}

impl VitConfig {
    /// Builds a vision transformer with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> Vit {
        let Self { image, patch, width, depth, heads, .. } = *self;
        let tokens = |count| Initializer::Normal { mean: 0.0, std: 0.02 }.init([1, count, width], device);
        let norm = || LayerNormConfig::new(width).with_epsilon(self.epsilon).init(device);
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let scale =
            || self.layer_scale.then(|| LayerScale { gamma: Initializer::Ones.init([width], device) });
        let (grid, prefix) = (self.grid(image), self.prefix());
        let block = |_| Block {
            norm1: norm(),
            attn: Attention { qkv: linear(width, 3 * width), proj: linear(width, width), heads },
            ls1: scale(),
            norm2: norm(),
            mlp: Mlp::new(width, self.hidden, self.activation, device),
            ls2: scale(),
        };
        Vit {
            cls_token: self.class_token.then(|| tokens(1)),
            dist_token: self.distilled.then(|| tokens(1)),
            reg_token: (self.registers > 0).then(|| tokens(self.registers)),
            pos_embed: tokens(grid[0] * grid[1] + if self.prefix_embedded { prefix } else { 0 }),
            patch_embed: PatchEmbed {
                proj: Conv2dConfig::new([self.channels, width], [patch; 2])
                    .with_stride([patch; 2])
                    .init(device),
            },
            blocks: (0..depth).map(block).collect(),
            norm: (!self.pooled_norm).then(norm),
            fc_norm: self.pooled_norm.then(norm),
            head: head(width, self.classes, device),
            head_dist: (self.distilled && self.second_head != SecondHead::Absent)
                .then(|| head(width, self.classes, device))
                .flatten(),
            second_head: self.second_head,
            grid,
            prefix,
            prefix_embedded: self.prefix_embedded,
            pool: self.pool,
        }
    }
}

impl Mlp {
    pub(crate) fn new(width: usize, hidden: usize, activation: Activation, device: &Device) -> Self {
        Self {
            fc1: LinearConfig::new(width, hidden).init(device),
            fc2: LinearConfig::new(hidden, width).init(device),
            activation,
        }
    }

    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.fc2.forward(self.activation.apply(self.fc1.forward(x)))
    }
}

impl Attention {
    /// Computes the mean of all values for each token, weighted by how well its query fits their keys:
    /// $\mathrm{softmax}(Q K^\top / \sqrt{d})\thinspace V$.
    ///
    /// # Shapes
    /// - x, output: `[batch, tokens, width]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let qkv = self.qkv.forward(x).reshape([batch, tokens, 3, self.heads, width / self.heads]);
        let [q, k, v] =
            [0, 1, 2].map(|part| qkv.clone().narrow(2, part, 1).squeeze_dim::<4>(2).swap_dims(1, 2));
        let mixed = attention(q, k, v, None, None, Default::default());
        self.proj.forward(mixed.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

impl Block {
    /// # Shapes
    /// - x, output: `[batch, tokens, width]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = self.attn.forward(self.norm1.forward(x.clone()));
        let x = x + scaled(y, &self.ls1);
        let y = self.mlp.forward(self.norm2.forward(x.clone()));
        x + scaled(y, &self.ls2)
    }
}

/// Scales the output of a half of a block.
fn scaled(x: Tensor<3>, scale: &Option<LayerScale>) -> Tensor<3> {
    match scale {
        Some(scale) => x * scale.gamma.val().reshape([1, 1, -1]),
        None => x,
    }
}

impl Vit {
    /// Returns the positional embedding for a grid of patches: the trained one, resampled as in timm's `resample_abs_pos_embed` for
    /// another grid.
    ///
    /// # Shapes
    /// - output: `[1, tokens, width]`
    fn positions(&self, grid: [usize; 2]) -> Tensor<3> {
        let trained = self.pos_embed.val();
        if grid == self.grid {
            return trained;
        }
        let [_, tokens, width] = trained.dims();
        let ([from_rows, from_columns], [rows, columns]) = (self.grid, grid);
        let prefix = tokens - from_rows * from_columns;
        let x = trained.clone().narrow(1, prefix, from_rows * from_columns);
        let resampled = |from, to, x: Tensor<2>| matrix(from, to, &x.device()).cast(x.dtype()).matmul(x);
        let x = resampled(from_rows, rows, x.reshape([from_rows, from_columns * width]));
        let x = x.reshape([rows, from_columns, width]).swap_dims(0, 1).reshape([from_columns, rows * width]);
        let x = resampled(from_columns, columns, x);
        let x = x.reshape([columns, rows, width]).swap_dims(0, 1).reshape([1, rows * columns, width]);
        match prefix {
            0 => x,
            _ => Tensor::cat(vec![trained.narrow(1, 0, prefix), x], 1),
        }
    }

    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, each side a multiple of the patch (the rest is ignored)
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [batch, _, height, width] = images.dims();
        let [patch_height, patch_width] = self.patch_embed.proj.kernel_size;
        let patches = self.patch_embed.proj.forward(images).flatten::<3>(2, 3).swap_dims(1, 2);
        let positions = self.positions([height / patch_height, width / patch_width]);
        let mut tokens: Vec<Tensor<3>> = [&self.cls_token, &self.dist_token, &self.reg_token]
            .into_iter()
            .flatten()
            .map(|token| token.val().repeat_dim(0, batch))
            .collect();
        let x = if self.prefix_embedded {
            tokens.push(patches);
            Tensor::cat(tokens, 1) + positions
        } else {
            tokens.push(patches + positions);
            Tensor::cat(tokens, 1)
        };
        let normed = |norm: &Option<LayerNorm>, x| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let x = normed(&self.norm, self.blocks.iter().fold(x, |x, block| block.forward(x)));
        let second = x.clone();
        let pooled = pooled(x, self.pool, self.prefix).unsqueeze_dim::<3>(1);
        let first = || classified(self.head.as_ref(), normed(&self.fc_norm, pooled).squeeze_dim::<2>(1));
        let second = |head: &Linear| head.forward(second.narrow(1, 1, 1).squeeze_dim::<2>(1));
        match (&self.head_dist, self.second_head) {
            (Some(head), SecondHead::Averaged) => (first() + second(head)) / 2.0,
            (Some(head), SecondHead::Alone) => second(head),
            _ => first(),
        }
    }
}
