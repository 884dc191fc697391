//! What a pass records of its layers.

use super::{INPUT, LayerTrace, ReplayCache};
use crate::guided::Cut;
use crate::post::outliers::norms;
use crate::{Error, Layout};
use burn::Tensor;
use burn::tensor::{DType, Gradients};
use std::any::Any;
use std::collections::HashSet;

/// What a pass has recorded.
#[derive(Default)]
pub(crate) struct Recording {
    pub trace: LayerTrace,
    pub captured: Vec<Captured>,
    pub cache: ReplayCache,
    /// The first thing that was wrong.
    pub error: Option<Error>,
    /// Where the tape is cut, in a guided pass.
    pub cuts: Vec<Cut>,
    /// The tokens of the layer that finished last, `[batch, channels, positions]`: what the next one reads.
    pub tokens: Option<Tensor<3>>,
    names: HashSet<String>,
    /// Whether a replay has reached the layer that is edited.
    pub reached_edit: bool,
    /// The value that goes on to the end, once a replay is past its exit.
    pub exit_value: Option<Box<dyn Any>>,
}

/// A layer that was asked for.
pub(crate) struct Captured {
    pub name: String,
    /// `[batch, channels, positions]`
    pub activation: Tensor<3>,
    pub grid: Vec<usize>,
    /// The bias that the layer adds, `[channels]`.
    pub bias: Option<Tensor<1>>,
    /// The whole matrix `[batch, heads, queries, keys]`, if the layer is attention.
    pub attention: Option<Tensor<4>>,
    pub gradient: Option<GradReader>,
    /// The type of number that the network computes in at this layer.
    pub dtype: DType,
    /// The norms of the tokens, and of those that the layer reads, `[batch, positions]` each; none if it has no tokens.
    pub norms: Vec<Tensor<2>>,
}

/// Reads the gradient of a captured layer, if any reached it.
pub(crate) type GradReader = Box<dyn Fn(&mut Gradients) -> Option<LayerGradient>>;

/// The gradient of a captured layer.
#[derive(Clone)]
pub(crate) struct LayerGradient {
    /// `[batch, channels, positions]`
    pub map: Tensor<3>,
    /// That of the whole matrix `[batch, heads, queries, keys]`, if the layer is attention.
    pub attention: Option<Tensor<4>>,
}

/// A layer that a forward pass names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerInfo {
    /// Its name, which is its path in the checkpoint.
    pub name: String,
    /// The shape of its output, batch first.
    pub shape: Vec<usize>,
    /// The number of its channels.
    pub channels: usize,
    /// The sizes of its spatial axes: `[height, width]` for images.
    pub grid: Vec<usize>,
    /// Whether it is a matrix of attention weights.
    pub attention: bool,
}

impl Recording {
    /// Lists a finished layer and returns its grid. `None` if the layer cannot be used; the reason is kept as the error.
    pub fn list<const D: usize>(
        &mut self,
        name: &str,
        layout: &impl Layout<D>,
        value: &Tensor<D>,
        batch: usize,
        is_innermost: bool,
    ) -> Option<Vec<usize>> {
        let shape = value.dims();
        let wrong = |reason| Error::WrongLayout { layer: name.into(), shape: shape.to_vec(), reason };
        let grid = if name == INPUT || !self.names.insert(name.into()) {
            Err(Error::RepeatedLayer { layer: name.into() })
        } else if shape[0] != batch {
            Err(wrong(format!("the first axis is the batch, of {batch}")))
        } else {
            layout.grid(shape).map_err(wrong)
        };
        match grid {
            Ok(grid) => {
                let finished = self.trace.finished.last().copied().unwrap_or(0);
                self.trace.finished.push(finished + usize::from(is_innermost));
                self.trace.dtypes.push(value.dtype());
                self.trace.layers.push(LayerInfo {
                    name: name.into(),
                    shape: shape.to_vec(),
                    channels: layout.channels(shape),
                    grid: grid.clone(),
                    attention: layout.attention(value).is_some(),
                });
                Some(grid)
            }
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// Captures the activation of a layer, whose grid and the tokens that it reads are given, and with `tape` starts the tape there. Returns
    /// the value that goes on.
    pub fn capture<const D: usize>(
        &mut self,
        name: String,
        layout: impl Layout<D>,
        bias: Option<Tensor<1>>,
        value: Tensor<D>,
        (grid, read): (Vec<usize>, Option<Tensor<3>>),
        tape: bool,
    ) -> Tensor<D> {
        let plain = value.clone().inner();
        let dtype = plain.dtype();
        let activation = contiguous(layout.to_map(plain.clone()));
        let attention = layout.attention(&plain);
        let has_tokens = layout.has_tokens();
        let (value, gradient) = if tape {
            // The first layer becomes the leaf itself: nothing before it is recorded. A layer that is already on the tape
            // gets a zero leaf added, whose gradient is the gradient at the layer.
            let is_on_tape = value.is_tracked() && self.captured.iter().any(|other| other.gradient.is_some());
            let (value, leaf) = if is_on_tape {
                let zero = plain.zeros_like().autodiff().require_grad();
                (value + zero.clone(), zero)
            } else {
                let leaf = plain.autodiff().require_grad();
                (leaf.clone(), leaf)
            };
            let read: GradReader = Box::new(move |gradients| {
                leaf.grad_remove(gradients).map(|gradient| LayerGradient {
                    attention: layout.attention(&gradient).map(|gradient| gradient.cast(DType::F32)),
                    map: contiguous(layout.to_map(gradient)),
                })
            });
            (value, Some(read))
        } else {
            (value, None)
        };
        let bias = bias.map(|bias| bias.cast(DType::F32));
        let attention = attention.map(|weights| weights.cast(DType::F32));
        let norms = match has_tokens {
            true => {
                let read = read.filter(|read| read.dims() == activation.dims()).map(single_precision);
                [Some(activation.clone()), read].into_iter().flatten().map(norms).collect()
            }
            false => Vec::new(),
        };
        self.captured.push(Captured { name, activation, grid, bias, attention, gradient, dtype, norms });
        value
    }
}

/// Methods compute in single precision, whatever the network does.
pub(super) fn single_precision(map: Tensor<3>) -> Tensor<3> {
    map.cast(DType::F32)
}

/// The map form that methods compute on: in single precision, with the positions of a channel next to each other in memory. If the
/// channels are next to each other, Burn's CPU backend takes number by number, ten times as long.
fn contiguous(map: Tensor<3>) -> Tensor<3> {
    let [batch, channels, positions] = map.dims();
    // A view whose axes are joined is copied.
    single_precision(map).reshape([batch * channels, positions]).reshape([batch, channels, positions])
}
