//! What the tensors of a weight file do not show of a network: options of its architecture, stated by a model card or by a user.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, gelu_approximate, relu, sigmoid};
use serde::{Deserialize, Serialize};

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
}

impl Activation {
    /// Applies it to each number.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_approximate(x),
            Self::QuickGelu => x.clone() * sigmoid(x * 1.702),
            Self::Relu => relu(x),
        }
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
