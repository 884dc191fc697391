//! CLIP and SigLIP: a tower for images and one for texts, which give embeddings that are compared by their cosine.
//!
//! Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021
//! (<https://arxiv.org/abs/2103.00020>); Zhai et al., *Sigmoid Loss for Language Image Pre-Training*, ICCV 2023
//! (<https://arxiv.org/abs/2303.15343>); Tschannen et al., *SigLIP 2*, 2025 (<https://arxiv.org/abs/2502.14786>).
//!
//! Its layers have the names of OpenAI's checkpoints (`visual.transformer.resblocks.11.ln_1`), in which the text tower is `text.` as in
//! open_clip, and what an attention multiplies with is `attn.qkv` and `attn.proj` as in timm.

use crate::weights::StatedHead;
use crate::{Activation, Error, TensorShapes, Weights, folder};
use burn::module::{Initializer, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use serde_json::Value as Json;
use std::path::Path;

/// The sizes of one tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TowerConfig {
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
    /// Tokens: patches and class token, or the longest text.
    pub tokens: usize,
    /// How the pooled token becomes the embedding.
    pub projection: Projection,
}

/// How the pooled token of a tower becomes its embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// It is the embedding.
    None,
    /// By a matrix, `[width, features]`: `proj` of OpenAI and open_clip.
    Matrix,
    /// By a linear layer without a bias: CLIP of transformers.
    Linear,
    /// By a linear layer with a bias: the texts of SigLIP.
    Biased,
}

/// What compares an image with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contrast {
    /// CLIP: a class token, a causal mask over texts, and a softmax over several texts.
    Softmax,
    /// SigLIP: an attention that pools, no mask, and a sigmoid for each text.
    Sigmoid,
}

/// The configuration of both towers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipConfig {
    /// What compares an image with a text.
    pub contrast: Contrast,
    /// The tower for images.
    pub image: TowerConfig,
    /// The tower for texts; `None` if a file has the other one alone.
    pub text: Option<TowerConfig>,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Numbers of an embedding.
    pub features: usize,
    /// The token that ends a text, whose place holds its embedding, in CLIP; `None` for the one with the highest number.
    pub end: Option<usize>,
}

impl ClipConfig {
    /// Returns the networks that have these tensors, by their names here; `None` if they are of no such network. What tensors do not show is
    /// as in OpenAI's CLIP and Google's SigLIP.
    pub fn detect(shapes: &TensorShapes<'_>) -> Option<Self> {
        let &[width, channels, patch, _] = shapes("visual.conv1.weight")?.as_slice() else { return None };
        let contrast = match shapes("visual.pool.probe") {
            Some(_) => Contrast::Sigmoid,
            None => Contrast::Softmax,
        };
        let tower = |start: &str| {
            let &[tokens, width] = shapes(&format!("{start}.positional_embedding"))?.as_slice() else {
                return None;
            };
            let block = |block| format!("{start}.transformer.resblocks.{block}");
            let &[hidden, _] = shapes(&format!("{}.mlp.c_fc.weight", block(0)))?.as_slice() else {
                return None;
            };
            let depth = (0..).take_while(|n| shapes(&format!("{}.ln_1.weight", block(*n))).is_some()).count();
            let heads = if width == SO400M.0 { SO400M.1 } else { (width / HEAD).max(1) };
            let is_sigmoid = contrast == Contrast::Sigmoid;
            let has = |name: &str| shapes(&format!("{start}.{name}")).is_some();
            Some(TowerConfig {
                width,
                depth,
                heads: if width.is_multiple_of(heads) { heads } else { 1 },
                hidden,
                activation: if is_sigmoid { Activation::GeluTanh } else { Activation::QuickGelu },
                epsilon: if is_sigmoid { 1e-6 } else { 1e-5 },
                tokens,
                projection: match () {
                    () if has("proj") => Projection::Matrix,
                    () if has("projection.bias") => Projection::Biased,
                    () if has("projection.weight") => Projection::Linear,
                    () => Projection::None,
                },
            })
        };
        let image = tower("visual").filter(|image| image.width == width && image.tokens > 0)?;
        let features = match image.projection {
            Projection::None => width,
            Projection::Matrix => *shapes("visual.proj")?.get(1)?,
            Projection::Linear | Projection::Biased => *shapes("visual.projection.weight")?.first()?,
        };
        let text = tower("text").filter(|text| text.tokens > 0);
        let vocabulary = shapes("text.token_embedding.weight").and_then(|shape| shape.first().copied());
        (patch > 0 && features > 0).then_some(Self {
            contrast,
            image,
            text,
            patch,
            channels,
            vocabulary: vocabulary.unwrap_or(0),
            features,
            end: None,
        })
    }

    /// Returns the same networks with what a configuration of transformers says of them.
    ///
    /// # Errors
    /// What it asks for that is not known here.
    pub fn with_config(mut self, config: &Json) -> Result<Self, String> {
        let is_sigmoid = self.contrast == Contrast::Sigmoid;
        if let Some(model) = config.get("model_cfg") {
            return self.with_open_clip(model);
        }
        let towers = [("vision_config", Some(&mut self.image)), ("text_config", self.text.as_mut())];
        for (name, tower) in towers {
            let (Some(part), Some(tower)) = (config.get(name), tower) else { continue };
            if let Some(heads) = part.get("num_attention_heads").and_then(Json::as_u64) {
                tower.heads = usize::try_from(heads).unwrap_or(0);
            }
            if tower.heads == 0 || !tower.width.is_multiple_of(tower.heads) {
                let (heads, width) = (tower.heads, tower.width);
                return Err(format!("{heads} heads do not divide the {width} channels of `{name}`"));
            }
            tower.activation = match part.get("hidden_act").and_then(Json::as_str) {
                None => tower.activation,
                Some("gelu") => Activation::Gelu,
                Some("quick_gelu") => Activation::QuickGelu,
                Some("gelu_pytorch_tanh" | "gelu_new") => Activation::GeluTanh,
                Some(other) => return Err(format!("its activation is `{other}`, which is not known here")),
            };
            tower.epsilon = part.get("layer_norm_eps").and_then(Json::as_f64).unwrap_or(tower.epsilon);
        }
        // transformers' first configurations of CLIP have 2, and mean the highest number.
        let end = config.get("text_config").and_then(|text| text.get("eos_token_id")?.as_u64());
        let end = end.filter(|end| *end != 2).and_then(|end| usize::try_from(end).ok());
        self.end = if is_sigmoid { None } else { end };
        Ok(self)
    }

    /// Follows a configuration of open_clip, which has no more heads than the width over that of one, and GELU unless it says otherwise.
    fn with_open_clip(mut self, model: &Json) -> Result<Self, String> {
        let is_quick = model.get("quick_gelu").and_then(Json::as_bool).unwrap_or(false);
        let number = |part: &str, key: &str| {
            model.get(part)?.get(key)?.as_u64().and_then(|number| usize::try_from(number).ok())
        };
        let width_of_head = number("vision_cfg", "head_width").unwrap_or(HEAD);
        let heads = self.image.width.checked_div(width_of_head).unwrap_or(0);
        let text_heads = number("text_cfg", "heads");
        let towers = [
            ("vision_cfg", Some(&mut self.image), Some(heads)),
            ("text_cfg", self.text.as_mut(), text_heads),
        ];
        for (name, tower, heads) in towers {
            let Some(tower) = tower else { continue };
            tower.heads = heads.unwrap_or(tower.heads);
            if tower.heads == 0 || !tower.width.is_multiple_of(tower.heads) {
                let (heads, width) = (tower.heads, tower.width);
                return Err(format!("{heads} heads do not divide the {width} channels of `{name}`"));
            }
            if self.contrast == Contrast::Softmax {
                tower.activation = if is_quick { Activation::QuickGelu } else { Activation::Gelu };
            }
        }
        Ok(self)
    }

    /// Returns the height and width in pixels of the images that it was trained on.
    pub fn image_size(&self) -> [usize; 2] {
        [self.grid() * self.patch; 2]
    }

    /// Returns how many patches a row and a column have.
    fn grid(&self) -> usize {
        (self.image.tokens - usize::from(self.contrast == Contrast::Softmax)).isqrt()
    }
}

/// The configuration of open_clip.
const OPEN_CLIP: &str = "open_clip_config.json";

/// Channels of a head, of nearly all published networks.
const HEAD: usize = 64;

/// The width of SigLIP's largest towers, and how many heads they have.
const SO400M: (usize, usize) = (1152, 16);

/// Both towers. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct Clip {
    visual: ImageTower,
    text: Option<TextTower>,
    logit_scale: Option<Param<Tensor<1>>>,
    logit_bias: Option<Param<Tensor<1>>>,
}

/// The tower for images.
#[derive(Module, Debug)]
pub struct ImageTower {
    conv1: Conv2d,
    class_embedding: Option<Param<Tensor<1>>>,
    positional_embedding: Param<Tensor<2>>,
    ln_pre: Option<LayerNorm>,
    transformer: Transformer,
    ln_post: LayerNorm,
    pool: Option<Pool>,
    proj: Option<Param<Tensor<2>>>,
    projection: Option<Linear>,
}

/// The tower for texts.
#[derive(Module, Debug)]
pub struct TextTower {
    token_embedding: Embedding,
    positional_embedding: Param<Tensor<2>>,
    transformer: Transformer,
    ln_final: LayerNorm,
    proj: Option<Param<Tensor<2>>>,
    projection: Option<Linear>,
    #[module(skip)]
    contrast: Contrast,
    #[module(skip)]
    end: Option<usize>,
}

#[derive(Module, Debug)]
struct Transformer {
    resblocks: Vec<Block>,
}

/// Attention and two linear layers, each after a norm and added to its input.
#[derive(Module, Debug)]
struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Mlp {
    c_fc: Linear,
    c_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

/// Pools tokens: a trained query attends to them.
#[derive(Module, Debug)]
struct Pool {
    probe: Param<Tensor<3>>,
    attn: Attention,
    layernorm: LayerNorm,
    mlp: Mlp,
}

impl TowerConfig {
    fn norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width).with_epsilon(self.epsilon).init(device)
    }

    fn attention(&self, device: &Device) -> Attention {
        let linear = |outputs| LinearConfig::new(self.width, outputs).init(device);
        Attention { qkv: linear(3 * self.width), proj: linear(self.width), heads: self.heads }
    }

    fn mlp(&self, device: &Device) -> Mlp {
        Mlp {
            c_fc: LinearConfig::new(self.width, self.hidden).init(device),
            c_proj: LinearConfig::new(self.hidden, self.width).init(device),
            activation: self.activation,
        }
    }

    fn transformer(&self, device: &Device) -> Transformer {
        let block = |_| Block {
            ln_1: self.norm(device),
            attn: self.attention(device),
            ln_2: self.norm(device),
            mlp: self.mlp(device),
        };
        Transformer { resblocks: (0..self.depth).map(block).collect() }
    }

    /// Returns the matrix or the layer that makes an embedding of a token.
    fn projected(&self, features: usize, device: &Device) -> (Option<Param<Tensor<2>>>, Option<Linear>) {
        let linear = |bias| LinearConfig::new(self.width, features).with_bias(bias).init(device);
        match self.projection {
            Projection::None => (None, None),
            Projection::Matrix => (Some(small([self.width, features], device)), None),
            Projection::Linear => (None, Some(linear(false))),
            Projection::Biased => (None, Some(linear(true))),
        }
    }
}

/// Returns random numbers as embeddings begin with.
fn small<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Initializer::Normal { mean: 0.0, std: 0.02 }.init(shape, device)
}

impl ClipConfig {
    /// Builds both towers with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> Clip {
        let is_softmax = self.contrast == Contrast::Softmax;
        let image = &self.image;
        let (proj, projection) = image.projected(self.features, device);
        let visual = ImageTower {
            conv1: Conv2dConfig::new([self.channels, image.width], [self.patch; 2])
                .with_stride([self.patch; 2])
                .with_bias(!is_softmax)
                .init(device),
            class_embedding: is_softmax.then(|| small([image.width], device)),
            positional_embedding: small([image.tokens, image.width], device),
            ln_pre: is_softmax.then(|| image.norm(device)),
            transformer: image.transformer(device),
            ln_post: image.norm(device),
            pool: (!is_softmax).then(|| Pool {
                probe: small([1, 1, image.width], device),
                attn: image.attention(device),
                layernorm: image.norm(device),
                mlp: image.mlp(device),
            }),
            proj,
            projection,
        };
        let text = self.text.as_ref().map(|text| {
            let (proj, projection) = text.projected(self.features, device);
            TextTower {
                token_embedding: EmbeddingConfig::new(self.vocabulary, text.width).init(device),
                positional_embedding: small([text.tokens, text.width], device),
                transformer: text.transformer(device),
                ln_final: text.norm(device),
                proj,
                projection,
                contrast: self.contrast,
                end: self.end,
            }
        });
        let number = |value| Initializer::Constant { value }.init([1], device);
        Clip {
            visual,
            logit_scale: text.is_some().then(|| number((1.0f64 / 0.07).ln())),
            logit_bias: (text.is_some() && !is_softmax).then(|| number(-10.0)),
            text,
        }
    }
}

impl Attention {
    /// Splits queries, keys and values of tokens, and the channels of each between its heads.
    ///
    /// # Shapes
    /// - x: `[batch, tokens, parts * width]`
    /// - outputs: `[batch, heads, tokens, channels]`
    fn split<const P: usize>(&self, x: Tensor<3>) -> [Tensor<4>; P] {
        let [batch, tokens, channels] = x.dims();
        let x = x.reshape([batch, tokens, P, self.heads, channels / P / self.heads]);
        std::array::from_fn(|part| x.clone().narrow(2, part, 1).squeeze_dim::<4>(2).swap_dims(1, 2))
    }

    fn mixed(&self, [q, k, v]: [Tensor<4>; 3], is_causal: bool) -> Tensor<3> {
        let options = AttentionModuleOptions { is_causal, ..AttentionModuleOptions::default() };
        let mixed = attention(q, k, v, None, None, options).swap_dims(1, 2);
        self.proj.forward(mixed.flatten(2, 3))
    }

    /// Lets each token attend to all, or to those before it.
    ///
    /// # Shapes
    /// - x, output: `[batch, tokens, width]`
    fn forward(&self, x: Tensor<3>, is_causal: bool) -> Tensor<3> {
        self.mixed(self.split(self.qkv.forward(x)), is_causal)
    }

    /// Lets one query attend to all tokens.
    ///
    /// # Shapes
    /// - probe, output: `[batch, 1, width]`
    /// - x: `[batch, tokens, width]`
    fn pool(&self, probe: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let weight = self.qkv.weight.val();
        let bias = self.qkv.bias.as_ref().map(Param::val);
        let part = |x: Tensor<3>, from, count| {
            let y = x.matmul(weight.clone().narrow(1, from, count).unsqueeze::<3>());
            match &bias {
                Some(bias) => y + bias.clone().narrow(0, from, count).reshape([1, 1, -1]),
                None => y,
            }
        };
        let [q] = self.split(part(probe, 0, width));
        let [k, v] = self.split(part(x, width, 2 * width));
        self.mixed([q, k, v], false)
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.c_proj.forward(self.activation.apply(self.c_fc.forward(x)))
    }
}

impl Transformer {
    /// # Shapes
    /// - x, output: `[batch, tokens, width]`
    fn forward(&self, x: Tensor<3>, is_causal: bool) -> Tensor<3> {
        self.resblocks.iter().fold(x, |x, block| {
            let x = x.clone() + block.attn.forward(block.ln_1.forward(x), is_causal);
            x.clone() + block.mlp.forward(block.ln_2.forward(x))
        })
    }
}

impl Pool {
    /// # Shapes
    /// - x: `[batch, tokens, width]`
    /// - output: `[batch, 1, width]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let probe = self.probe.val().repeat_dim(0, x.dims()[0]);
        let x = self.attn.pool(probe, x);
        x.clone() + self.mlp.forward(self.layernorm.forward(x))
    }
}

/// Returns the embedding of a token.
fn embedded(x: Tensor<2>, proj: &Option<Param<Tensor<2>>>, projection: &Option<Linear>) -> Tensor<2> {
    match (proj, projection) {
        (Some(proj), _) => x.matmul(proj.val()),
        (None, Some(projection)) => projection.forward(x),
        (None, None) => x,
    }
}

impl ImageTower {
    /// Returns the embeddings of images, of any length.
    ///
    /// # Shapes
    /// - images: `[batch, channels, height, width]`, of the size that the network was trained on
    /// - output: `[batch, features]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let patches = self.conv1.forward(images).flatten::<3>(2, 3).swap_dims(1, 2);
        let [batch, ..] = patches.dims();
        let x = match &self.class_embedding {
            Some(class) => {
                let class = class.val().reshape([1, 1, -1]).repeat_dim(0, batch);
                Tensor::cat(vec![class, patches], 1)
            }
            None => patches,
        };
        let x = x + self.positional_embedding.val().unsqueeze::<3>();
        let x = match &self.ln_pre {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let x = self.transformer.forward(x, false);
        let x = match &self.pool {
            Some(pool) => pool.forward(self.ln_post.forward(x)),
            None => self.ln_post.forward(x.narrow(1, 0, 1)),
        };
        embedded(x.squeeze_dim(1), &self.proj, &self.projection)
    }
}

impl TextTower {
    /// Returns the embeddings of texts, of any length, from the numbers of their tokens. All texts have as many tokens.
    ///
    /// # Shapes
    /// - output: `[texts, features]`
    ///
    /// # Errors
    /// [`Error::Tokens`] if there are no tokens, the texts differ in length, or they are longer or have higher numbers than those that the
    /// network was trained on.
    pub fn forward(&self, texts: &[Vec<usize>], device: &Device) -> Result<Tensor<2>, Error> {
        let tokens = texts.first().map_or(0, Vec::len);
        let [most, _] = self.positional_embedding.dims();
        let [vocabulary, _] = self.token_embedding.weight.dims();
        let refused = |reason: String| Err(Error::Tokens { reason });
        if tokens == 0 || texts.iter().any(|text| text.len() != tokens) {
            return refused("texts have as many tokens as each other, and one at least".into());
        }
        if tokens > most {
            return refused(format!("a text has {tokens} tokens, and {most} are the most"));
        }
        if let Some(token) = texts.iter().flatten().find(|token| **token >= vocabulary) {
            return refused(format!("the token {token} is not among the {vocabulary} of its vocabulary"));
        }
        let numbers: Vec<i64> = texts.iter().flatten().map(|token| *token as i64).collect();
        let ids = Tensor::<1, Int>::from_data(numbers.as_slice(), device).reshape([texts.len(), tokens]);
        let positions = self.positional_embedding.val().narrow(0, 0, tokens).unsqueeze::<3>();
        let is_softmax = self.contrast == Contrast::Softmax;
        let x = self.transformer.forward(self.token_embedding.forward(ids) + positions, is_softmax);
        let x = self.ln_final.forward(x);
        let pooled = texts.iter().enumerate().map(|(row, text)| {
            let place = if is_softmax { self.end_of(text) } else { tokens - 1 };
            x.clone().narrow(0, row, 1).narrow(1, place, 1).squeeze_dim::<2>(1)
        });
        Ok(embedded(Tensor::cat(pooled.collect(), 0), &self.proj, &self.projection))
    }

    /// Returns the place of the token that ends a text: the first one of its number.
    fn end_of(&self, text: &[usize]) -> usize {
        let end = self.end.or_else(|| text.iter().max().copied());
        text.iter().position(|token| Some(*token) == end).unwrap_or(0)
    }
}

impl Clip {
    /// Opens a weight file of transformers, open_clip or OpenAI, with the `config.json` or `open_clip_config.json` beside it.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] if it cannot be read or its tensors are of no such network; [`Error::Config`] for a configuration
    /// that asks for what is not known here, and for a CLIP without one: its tensors do not show which GELU it has;
    /// [`Error::WrongWeights`].
    pub fn load(path: &Path, device: &Device) -> Result<(ClipConfig, Self), Error> {
        let weights = Weights::open(path)?.translated(&StatedHead::default())?.under("")?;
        let Some(mut config) = ClipConfig::detect(&|name| weights.shape(name)) else {
            let tensors = weights.names().take(5).collect::<Vec<_>>().join(", ");
            let reason = format!("it is no CLIP and no SigLIP; its tensors are {tensors}, ...");
            return Err(Error::UnreadableWeights { path: path.into(), reason });
        };
        let known = [folder::CONFIG, OPEN_CLIP].map(|name| path.with_file_name(name));
        match known.iter().find(|beside| beside.is_file()) {
            Some(beside) => {
                let failed = |reason| Error::Config { path: beside.clone(), reason };
                config = config.with_config(&folder::parsed(beside)?).map_err(failed)?;
            }
            None if config.contrast == Contrast::Softmax => {
                let reason = format!(
                    "it is missing, and so is {OPEN_CLIP}. The weights of a CLIP do not show its activation. For OpenAI's: \
                     {{\"vision_config\": {{\"hidden_act\": \"quick_gelu\"}}, \"text_config\": {{\"hidden_act\": \"quick_gelu\"}}}}"
                );
                let [path, _] = known;
                return Err(Error::Config { path, reason });
            }
            None => {}
        }
        let has_text = config.text.is_some();
        let named = |name: &str, shape: &[usize]| {
            let is_text = name.starts_with("text.") || name.starts_with("logit_");
            let is_used =
                !name.ends_with("position_ids") && name != "text.attn_mask" && (has_text || !is_text);
            // One number, which some files have without an axis.
            let shape = if shape.is_empty() { vec![1] } else { shape.to_vec() };
            is_used.then(|| (name.to_string(), shape))
        };
        let name = if config.contrast == Contrast::Softmax { "CLIP" } else { "SigLIP" };
        let clip = weights.load_remapped(name, config.init(device), &named)?;
        Ok((config, clip))
    }

    /// Returns the tower for images.
    pub fn image(&self) -> &ImageTower {
        &self.visual
    }

    /// Returns the tower for texts, if the file has one.
    pub fn text(&self) -> Option<&TextTower> {
        self.text.as_ref()
    }

    /// Returns what a cosine is multiplied with, and what is added to that, before the softmax or sigmoid.
    pub fn scale_and_bias(&self) -> (f32, f32) {
        let number =
            |param: &Option<Param<Tensor<1>>>| param.as_ref().map(|it| it.val().into_scalar::<f32>());
        (number(&self.logit_scale).map_or(1.0, f32::exp), number(&self.logit_bias).unwrap_or(0.0))
    }
}
