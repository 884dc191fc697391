//! Swin Transformer, version 1, in timm's layout; files of its authors load too.
//!
//! Liu et al., *Swin Transformer: Hierarchical Vision Transformer using Shifted Windows*, ICCV 2021
//! (<https://arxiv.org/abs/2103.14030>). As in timm, an image that does not divide into windows is padded with zeros, which take
//! part in the attention, and a window is no larger than the grid that the stage had in training.
//!
//! Its layers have the names of the checkpoint and channels last: `patch_embed`, each stage (`layers.3`), its `downsample`, each
//! block (`layers.3.blocks.1`), in it `norm1`, `attn`, `norm2` and `mlp`, and the last `norm`. The layer `attn` is the output of the
//! attention, put back from windows into the image.

use crate::zoo::head::{classified, head};
use crate::zoo::tokens::pooled;
use crate::zoo::vit::Mlp;
use crate::{
    Activation, AnyArchitecture, Architecture, ArchitectureOptions, Error, Family, ModelCard, TensorShapes,
    TokenPool,
};
use burn::module::{Initializer, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::softmax;
use burn::tensor::ops::PadMode;
use std::borrow::Cow;

/// The configuration of a Swin.
#[derive(Debug, Clone, PartialEq)]
pub struct SwinConfig {
    /// Height and width of the images that it was trained on, in pixels: they determine which windows are as large as the whole grid and
    /// do not shift. Images of other sizes are possible.
    pub image: [usize; 2],
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side of a window in patches.
    pub window: usize,
    /// Channels of the first stage; each further stage doubles them.
    pub width: usize,
    /// Blocks of each stage.
    pub depths: Cow<'static, [usize]>,
    /// Heads of the attention of each stage.
    pub heads: Cow<'static, [usize]>,
    /// Channels inside the two linear layers of the first stage's blocks; each further stage doubles them.
    pub hidden: usize,
    /// The activation between them.
    pub activation: Activation,
    /// What the norms add to a variance.
    pub epsilon: f64,
    /// What the classifier reads of the last stage.
    pub pool: TokenPool,
    /// Channels of the images.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

const fn swin(
    width: usize,
    depths: &'static [usize],
    heads: &'static [usize],
    window: usize,
    side: usize,
) -> SwinConfig {
    SwinConfig {
        image: [side, side],
        patch: 4,
        window,
        width,
        depths: Cow::Borrowed(depths),
        heads: Cow::Borrowed(heads),
        hidden: 4 * width,
        activation: Activation::Gelu,
        epsilon: 1e-5,
        pool: TokenPool::Avg,
        channels: 3,
        classes: 1000,
    }
}

const TINY: &[usize] = &[2, 2, 6, 2];
const DEEP: &[usize] = &[2, 2, 18, 2];

/// The variants that timm publishes, by name.
pub const VARIANTS: &[(&str, SwinConfig)] = &[
    ("swin_tiny_patch4_window7_224", swin(96, TINY, &[3, 6, 12, 24], 7, 224)),
    ("swin_small_patch4_window7_224", swin(96, DEEP, &[3, 6, 12, 24], 7, 224)),
    ("swin_base_patch4_window7_224", swin(128, DEEP, &[4, 8, 16, 32], 7, 224)),
    ("swin_base_patch4_window12_384", swin(128, DEEP, &[4, 8, 16, 32], 12, 384)),
    ("swin_large_patch4_window7_224", swin(192, DEEP, &[6, 12, 24, 48], 7, 224)),
    ("swin_large_patch4_window12_384", swin(192, DEEP, &[6, 12, 24, 48], 12, 384)),
];

/// The most stages that are detected: more would leave no position of any image.
const STAGES: usize = 8;

/// Returns the Swin that has these tensors. The masks of shifted windows, which the files of its authors have, show for which images it was
/// made; without them, the last stage is assumed to be one window.
pub(crate) fn detect(shapes: &TensorShapes<'_>) -> Option<SwinConfig> {
    let &[width, channels, patch, _] = shapes("patch_embed.proj.weight")?.as_slice() else { return None };
    let &[hidden, _] = shapes("layers.0.blocks.0.mlp.fc1.weight")?.as_slice() else { return None };
    let table = |stage: usize, block: usize| -> Option<(usize, usize)> {
        let name = format!("layers.{stage}.blocks.{block}.attn.relative_position_bias_table");
        let &[offsets, heads] = shapes(&name)?.as_slice() else { return None };
        let side = offsets.isqrt();
        (side * side == offsets && side % 2 == 1).then_some((side.div_ceil(2), heads))
    };
    let window = table(0, 0)?.0;
    let (mut depths, mut heads) = (Vec::new(), Vec::new());
    while let Some((side, count)) = table(depths.len(), 0) {
        let width = width << depths.len();
        if side != window || width % count != 0 || depths.len() == STAGES {
            return None;
        }
        heads.push(count);
        depths.push((0..).take_while(|block| table(depths.len(), *block).is_some()).count());
    }
    let masked = shapes("layers.0.blocks.1.attn_mask").and_then(|shape| shape.first().copied());
    let across = masked.map(usize::isqrt).filter(|across| Some(across * across) == masked);
    let side = patch * window * across.unwrap_or(1 << (depths.len() - 1));
    let head = shapes("head.fc.weight").or_else(|| shapes("head.weight"))?;
    Some(SwinConfig {
        image: [side; 2],
        patch,
        window,
        width,
        depths: depths.into(),
        heads: heads.into(),
        channels,
        classes: *head.first()?,
        hidden,
        ..VARIANTS[0].1.clone()
    })
}

impl Architecture for SwinConfig {
    type Network = Swin;

    fn build(&self, device: &Device) -> Swin {
        self.init(device)
    }

    fn forward(network: &Swin, images: Tensor<4>) -> Tensor<2> {
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

    /// For images of another size, other windows are as large as the whole grid and do not shift.
    fn with_image_size(self, size: [usize; 2]) -> Result<Self, String> {
        Ok(Self { image: size, ..self })
    }

    fn options(&self) -> ArchitectureOptions {
        ArchitectureOptions {
            pool: Some(self.pool),
            activation: Some(self.activation),
            epsilon: Some(self.epsilon),
            ..ArchitectureOptions::default()
        }
    }

    fn with_options(self, options: &ArchitectureOptions) -> Result<Self, String> {
        let pool = options.pool.unwrap_or(self.pool);
        if pool == TokenPool::Token {
            return Err("it has no class token to read".into());
        }
        let activation = options.activation.unwrap_or(self.activation);
        Ok(Self { pool, activation, epsilon: options.epsilon.unwrap_or(self.epsilon), ..self })
    }

    /// The files of Swin's authors contain tables that follow from the sizes, have another name for the head, and have the downsampling at
    /// the end of a stage, where timm has it at the start of the next: its width shows which one it is.
    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        if name.ends_with(".relative_position_index") || name.ends_with(".attn_mask") {
            return None;
        }
        let own = match name.split('.').collect::<Vec<_>>().as_slice() {
            ["head", parameter @ ("weight" | "bias")] => format!("head.fc.{parameter}"),
            ["layers", stage, "downsample", rest @ ..] => match stage.parse::<usize>() {
                Ok(stage)
                    if stage < self.depths.len() && shape.last() == Some(&((4 * self.width) << stage)) =>
                {
                    format!("layers.{}.downsample.{}", stage + 1, rest.join("."))
                }
                _ => name.into(),
            },
            _ => name.into(),
        };
        Some((own, shape.to_vec()))
    }
}

/// Swin.
pub struct SwinFamily;

impl Family for SwinFamily {
    fn name(&self) -> &'static str {
        "Swin"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(VARIANTS)
    }

    fn cards(&self) -> Result<Vec<ModelCard>, Error> {
        ModelCard::list(include_str!("swin.toml"))
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        Some(detect(shapes)?.into())
    }
}

/// A Swin Transformer. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct Swin {
    patch_embed: PatchEmbed,
    layers: Vec<Stage>,
    norm: LayerNorm,
    head: Head,
    #[module(skip)]
    pool: TokenPool,
}

#[derive(Module, Debug)]
struct PatchEmbed {
    proj: Conv2d,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Stage {
    downsample: Option<PatchMerging>,
    blocks: Vec<Block>,
}

/// Four patches become one of twice the channels.
#[derive(Module, Debug)]
struct PatchMerging {
    norm: LayerNorm,
    reduction: Linear,
}

/// Attention in windows and two linear layers, each after a norm and added to its input.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: WindowAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    window: [usize; 2],
    shift: [usize; 2],
}

#[derive(Module, Debug)]
struct WindowAttention {
    relative_position_bias_table: Param<Tensor<2>>,
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Head {
    fc: Option<Linear>,
}

impl SwinConfig {
    /// Builds a Swin with random weights, ready to be trained or loaded.
    pub fn init(&self, device: &Device) -> Swin {
        let norm = |width| LayerNormConfig::new(width).with_epsilon(self.epsilon).init(device);
        let mut grid = self.image.map(|side| side / self.patch);
        let mut layers = Vec::new();
        for (number, (&depth, &heads)) in self.depths.iter().zip(self.heads.iter()).enumerate() {
            let width = self.width << number;
            let downsample = (number > 0).then(|| {
                grid = grid.map(|side| side.div_ceil(2));
                PatchMerging {
                    norm: norm(2 * width),
                    reduction: LinearConfig::new(2 * width, width).with_bias(false).init(device),
                }
            });
            let block = |place: usize| {
                let window = grid.map(|side| side.min(self.window));
                let shift = grid.map(|side| if side <= self.window { 0 } else { self.window / 2 });
                Block {
                    norm1: norm(width),
                    attn: WindowAttention::new(width, heads, window, device),
                    norm2: norm(width),
                    mlp: Mlp::new(width, self.hidden << number, self.activation, device),
                    window,
                    shift: if place.is_multiple_of(2) { [0, 0] } else { shift },
                }
            };
            layers.push(Stage { downsample, blocks: (0..depth).map(block).collect() });
        }
        let last = self.width << layers.len().saturating_sub(1);
        Swin {
            patch_embed: PatchEmbed {
                proj: Conv2dConfig::new([self.channels, self.width], [self.patch; 2])
                    .with_stride([self.patch; 2])
                    .init(device),
                norm: norm(self.width),
            },
            layers,
            norm: norm(last),
            head: Head { fc: head(last, self.classes, device) },
            pool: self.pool,
        }
    }
}

/// Splits an image into windows.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`, height and width multiples of the window's
/// - output: `[batch * windows, window height * window width, channels]`
fn windows(x: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<3> {
    let [batch, height, width, channels] = x.dims();
    let [down, across] = [height / rows, width / columns];
    x.reshape([batch, down, rows, across, columns, channels]).swap_dims(2, 3).reshape([
        batch * down * across,
        rows * columns,
        channels,
    ])
}

/// Puts windows back into an image of this shape: the inverse of [`windows`].
fn unwindowed(x: Tensor<3>, [rows, columns]: [usize; 2], shape: [usize; 4]) -> Tensor<4> {
    let [batch, height, width, channels] = shape;
    x.reshape([batch, height / rows, width / columns, rows, columns, channels]).swap_dims(2, 3).reshape(shape)
}

/// Pads an image with zeros below and to the right, up to multiples of a window.
fn padded(x: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    let (below, right) = (height.next_multiple_of(rows) - height, width.next_multiple_of(columns) - width);
    match (below, right) {
        (0, 0) => x,
        _ => x.pad([(0, 0), (0, below), (0, right), (0, 0)], PadMode::Constant(0.0)),
    }
}

/// Returns a mask that separates patches that share a window only because the image was rolled: -100 between them, 0 otherwise.
///
/// # Shapes
/// - output: `[1, windows, 1, positions, positions]`
fn mask([height, width]: [usize; 2], window: [usize; 2], shift: [usize; 2], device: &Device) -> Tensor<5> {
    // The parts of an axis that were contiguous before the roll: all but the last window, its own part, and the part that came around.
    let part = |length: usize, window: usize, shift: usize| {
        let place = Tensor::<1, Int>::arange(0..length as i64, device);
        let beyond = |border: usize| place.clone().greater_equal_elem(border as i64).float();
        match shift {
            0 => place.zeros_like().float(),
            _ => beyond(length - window) + beyond(length - shift),
        }
    };
    let rows: Tensor<4> = part(height, window[0], shift[0]).reshape([1, height, 1, 1]);
    let columns: Tensor<4> = part(width, window[1], shift[1]).reshape([1, 1, width, 1]);
    let parts = windows(rows * 3.0 + columns, window);
    let [count, positions, _] = parts.dims();
    let square = [count, positions, positions];
    let apart = parts.clone().expand(square).not_equal(parts.swap_dims(1, 2).expand(square));
    (apart.float() * -100.0).reshape([1, count, 1, positions, positions])
}

impl WindowAttention {
    fn new(width: usize, heads: usize, [rows, columns]: [usize; 2], device: &Device) -> Self {
        let offsets = (2 * rows - 1) * (2 * columns - 1);
        Self {
            relative_position_bias_table: Initializer::Normal { mean: 0.0, std: 0.02 }
                .init([offsets, heads], device),
            qkv: LinearConfig::new(width, 3 * width).init(device),
            proj: LinearConfig::new(width, width).init(device),
            heads,
        }
    }

    /// Returns what is added to the attention logits for the relative position of a query and a key.
    ///
    /// # Shapes
    /// - output: `[1, 1, heads, positions, positions]`
    fn position_bias(&self, [rows, columns]: [usize; 2]) -> Tensor<5> {
        let positions = rows * columns;
        let table = self.relative_position_bias_table.val();
        let line = |length: usize| Tensor::<1, Int>::arange(0..length as i64, &table.device());
        // The index of a position in the table, relative to its middle: the offset is that of the query minus that of the key.
        let row: Tensor<2, Int> = line(rows).reshape([rows, 1]) * (2 * columns as i64 - 1);
        let place: Tensor<2, Int> = (row + line(columns).reshape([1, columns])).reshape([positions, 1]);
        let middle = ((rows - 1) * (2 * columns - 1) + columns - 1) as i64;
        let offsets = place.clone() - place.transpose() + middle;
        let offsets = offsets.reshape([positions * positions]);
        table.select(0, offsets).transpose().reshape([1, 1, self.heads, positions, positions])
    }

    /// # Shapes
    /// - x, output: `[batch * windows, positions, width]`
    fn forward(&self, x: Tensor<3>, window: [usize; 2], mask: Option<Tensor<5>>) -> Tensor<3> {
        let [count, positions, width] = x.dims();
        let (heads, size) = (self.heads, width / self.heads);
        let qkv = self.qkv.forward(x).reshape([count, positions, 3, heads, size]);
        let [q, k, v] =
            [0, 1, 2].map(|part| qkv.clone().narrow(2, part, 1).squeeze_dim::<4>(2).swap_dims(1, 2));
        let fit = (q * (size as f64).powf(-0.5)).matmul(k.swap_dims(2, 3));
        let bias = self.position_bias(window);
        let bias = match mask {
            Some(mask) => bias + mask,
            None => bias,
        };
        let each = bias.dims()[1];
        let fit = fit.reshape([count / each, each, heads, positions, positions]) + bias;
        let weights = softmax(fit, 4).reshape([count, heads, positions, positions]);
        self.proj.forward(weights.matmul(v).swap_dims(1, 2).reshape([count, positions, width]))
    }
}

impl Block {
    /// # Shapes
    /// - x, output: `[batch, height, width, channels]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.attention(self.norm1.forward(x.clone()));
        let x = x + y;
        let y = self.mlp.forward(self.norm2.forward(x.clone()));
        x + y
    }

    /// Computes attention in windows of the image, which is rolled before and rolled back afterwards if windows shift.
    fn attention(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let shift = self.shift.map(|by| by as i64);
        let shifts = shift != [0, 0];
        let x = if shifts { x.roll(&shift.map(|by| -by), &[1, 2]) } else { x };
        let x = padded(x, self.window);
        let shape @ [_, rows, columns, _] = x.dims();
        let mask =
            shifts.then(|| mask([rows, columns], self.window, self.shift, &x.device()).cast(x.dtype()));
        let y = self.attn.forward(windows(x, self.window), self.window, mask);
        let y = unwindowed(y, self.window, shape).slice([0..batch, 0..height, 0..width, 0..channels]);
        if shifts { y.roll(&shift, &[1, 2]) } else { y }
    }
}

impl PatchMerging {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = padded(x, [2, 2]);
        let [batch, height, width, channels] = x.dims();
        // Of four patches, the left ones come first, then the right ones.
        let x = x
            .reshape([batch, height / 2, 2, width / 2, 2, channels])
            .swap_dims(2, 3)
            .swap_dims(3, 4)
            .reshape([batch, height / 2, width / 2, 4 * channels]);
        self.reduction.forward(self.norm.forward(x))
    }
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.downsample {
            Some(downsample) => downsample.forward(x),
            None => x,
        };
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl Swin {
    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`, each side a multiple of the patch (the rest is ignored)
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let PatchEmbed { proj, norm } = &self.patch_embed;
        let x = norm.forward(proj.forward(images).swap_dims(1, 2).swap_dims(2, 3));
        let x = self.layers.iter().fold(x, |x, stage| stage.forward(x));
        let places: Tensor<3> = self.norm.forward(x).flatten(1, 2);
        classified(self.head.fc.as_ref(), pooled(places, self.pool, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_authors_have_other_names() {
        let tiny = &VARIANTS[0].1;
        let own = |name: &str, shape: &[usize]| tiny.remap_key(name, shape).map(|(name, _)| name);
        let downsample = |stage: usize| format!("layers.{stage}.downsample.reduction.weight");
        for stage in 0..3 {
            let wide = 96 << stage;
            assert_eq!(own(&downsample(stage), &[2 * wide, 4 * wide]), Some(downsample(stage + 1)));
            assert_eq!(own(&downsample(stage + 1), &[2 * wide, 4 * wide]), Some(downsample(stage + 1)));
            let norm = format!("layers.{stage}.downsample.norm.bias");
            let next = format!("layers.{}.downsample.norm.bias", stage + 1);
            assert_eq!(own(&norm, &[4 * wide]), Some(next));
        }
        assert_eq!(own("head.bias", &[1000]).as_deref(), Some("head.fc.bias"));
        assert_eq!(own("layers.0.blocks.1.attn_mask", &[64, 49, 49]), None);
        assert_eq!(own("layers.0.blocks.0.attn.relative_position_index", &[49, 49]), None);
    }
}
