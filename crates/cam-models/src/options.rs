//! What the tensors of a weight file do not show of a network: options of its architecture, stated by a model card or by a user.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, gelu_approximate, hard_swish, relu, relu6, sigmoid, silu, tanh};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the tensors of a weight file do not show of a network. A family of networks knows some of them, see
/// [`Architecture::options`](crate::Architecture::options); in a model card they are the table `[architecture]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ArchitectureOptions {
    /// Heads of each attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// What the classifier of a transformer reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<TokenPool>,
    /// The activation between the two linear layers of a transformer's block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// What the norms add to a variance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Strides of the stem's convolution and of each stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strides: Option<Vec<usize>>,
    /// Dilations of the 3x3 convolutions of each stage. The first block of a stage has that of the stage before, as in torchvision and timm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dilations: Option<Vec<usize>>,
    /// Whether a pooling that halves the sides follows the stem's convolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stem_pool: Option<bool>,
    /// What precedes a stride.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub antialias: Option<Antialias>,
    /// Whether a convolution with a stride pads as in TensorFlow: as little as gives one output for each stride, the odd row and column at
    /// the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_padding: Option<bool>,
    /// The layers of a head of several. Those with parameters are those of the file; activations have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_layers: Option<Vec<HeadLayer>>,
}

impl ArchitectureOptions {
    /// Returns the options that are stated, by name.
    pub(crate) fn stated(&self) -> toml::Table {
        toml::Table::try_from(self).expect("options are numbers, words and lists")
    }

    /// Makes sure that all stated options are among those that there are.
    pub(crate) fn check(&self, known: &Self) -> Result<(), String> {
        let known = known.stated();
        let Some((unknown, _)) = self.stated().into_iter().find(|(name, _)| !known.contains_key(name)) else {
            return Ok(());
        };
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        Err(match &known[..] {
            [] => format!("it has no options, and `{unknown}` is stated"),
            _ => format!("it has no option `{unknown}`; its options are {}", known.join(", ")),
        })
    }
}

/// What the classifier of a transformer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenPool {
    /// The class token.
    Token,
    /// The mean of all patches.
    Avg,
    /// The maximum of all patches.
    Max,
    /// Half of the sum of their mean and their maximum.
    AvgMax,
}

/// An activation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// $x \thinspace \Phi(x)$.
    #[default]
    Gelu,
    /// GELU, approximated by a hyperbolic tangent.
    GeluTanh,
    /// $x \thinspace \sigma(1.702 x)$: CLIP of OpenAI.
    QuickGelu,
    /// $\max(x, 0)$.
    Relu,
    /// $x \thinspace \sigma(x)$.
    Silu,
    /// $\tanh(x)$.
    Tanh,
    /// $\min(\max(x, 0), 6)$.
    Relu6,
    /// $x \min(\max(x + 3, 0), 6) / 6$.
    HardSwish,
}

impl Activation {
    /// Applies it to each number.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_approximate(x),
            Self::QuickGelu => x.clone() * sigmoid(x * 1.702),
            Self::Relu => relu(x),
            Self::Silu => silu(x),
            Self::Tanh => tanh(x),
            Self::Relu6 => relu6(x),
            Self::HardSwish => hard_swish(x),
        }
    }
}

/// A layer of a head, behind which the classes are. Dropout is none: it does nothing in inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum HeadLayer {
    /// `Linear`
    Linear,
    /// `BatchNorm1d`
    BatchNorm,
    /// `LayerNorm`
    LayerNorm,
    /// `PReLU`
    Prelu,
    /// A layer without parameters.
    Activation(Activation),
}

impl HeadLayer {
    /// All layers, as a model card calls them.
    pub(crate) const WORDS: [(&'static str, Self); 12] = [
        ("linear", Self::Linear),
        ("batch-norm", Self::BatchNorm),
        ("layer-norm", Self::LayerNorm),
        ("prelu", Self::Prelu),
        ("relu", Self::Activation(Activation::Relu)),
        ("gelu", Self::Activation(Activation::Gelu)),
        ("gelu-tanh", Self::Activation(Activation::GeluTanh)),
        ("quick-gelu", Self::Activation(Activation::QuickGelu)),
        ("silu", Self::Activation(Activation::Silu)),
        ("tanh", Self::Activation(Activation::Tanh)),
        ("relu6", Self::Activation(Activation::Relu6)),
        ("hard-swish", Self::Activation(Activation::HardSwish)),
    ];

    /// Returns the activation that it is.
    pub(crate) fn activation(self) -> Option<Activation> {
        match self {
            Self::Activation(activation) => Some(activation),
            _ => None,
        }
    }

    /// Returns what a model card calls it.
    pub(crate) fn word(self) -> &'static str {
        let own = Self::WORDS.iter().find(|(_, layer)| *layer == self);
        own.expect("every layer has a word").0
    }
}

impl From<HeadLayer> for &'static str {
    fn from(layer: HeadLayer) -> Self {
        layer.word()
    }
}

impl TryFrom<String> for HeadLayer {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        word.parse()
    }
}

impl FromStr for HeadLayer {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::WORDS.iter().find(|(known, _)| *known == word.trim());
        known.map(|(_, layer)| *layer).ok_or_else(|| {
            let words = Self::WORDS.map(|(word, _)| word).join(", ");
            format!("a head has no layer `{word}`; its layers are {words}")
        })
    }
}

impl fmt::Display for HeadLayer {
    /// Writes `batch-norm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What precedes a stride, so that it does not alias.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Antialias {
    /// Nothing: the convolution itself has the stride.
    #[default]
    None,
    /// A binomial filter of 3x3 positions. Zhang, *Making Convolutional Networks Shift-Invariant Again*, ICML 2019
    /// (<https://arxiv.org/abs/1904.11486>).
    Blur,
    /// A mean of 2x2 positions.
    Avg,
}
