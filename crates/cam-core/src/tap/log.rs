//! What a pass notes of its layers.

use super::{INPUT, Memory};
use crate::course::Course;
use crate::guided::Cut;
use crate::{Error, Layout};
use burn::Tensor;
use burn::tensor::{DType, Gradients};
use std::any::Any;
use std::collections::HashSet;

/// What a pass brought back.
#[derive(Default)]
pub(crate) struct Log {
    pub course: Course,
    pub watched: Vec<Watched>,
    pub memory: Memory,
    pub trouble: Option<Error>,
    /// Where the tape is cut, in a guided pass.
    pub cuts: Vec<Cut>,
    names: HashSet<String>,
    /// Whether a replay has come to the layer that is edited.
    pub edited: bool,
    /// The value that goes on to the end, once a replay is past its exit.
    pub exited: Option<Box<dyn Any>>,
}

/// A layer that was asked for.
pub(crate) struct Watched {
    pub name: String,
    /// `[batch, channels, positions]`
    pub activation: Tensor<3>,
    pub grid: Vec<usize>,
    /// The bias that the layer adds, `[channels]`.
    pub bias: Option<Tensor<1>>,
    /// The whole matrix `[batch, heads, queries, keys]`, where the layer is attention.
    pub attention: Option<Tensor<4>>,
    pub leaf: Option<Leaf>,
    /// What the network computes in at this layer.
    pub dtype: DType,
}

/// Where a tape starts: reads the gradient `[batch, channels, positions]` of a layer, if any reached it.
pub(crate) type Leaf = Box<dyn Fn(&mut Gradients) -> Option<Tensor<3>>>;

/// A layer as the forward pass shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name, which is its path in the checkpoint.
    pub name: String,
    /// The shape of its output, batch first.
    pub shape: Vec<usize>,
    /// Its channels.
    pub channels: usize,
    /// The sizes of its spatial axes: `[height, width]` for pictures.
    pub grid: Vec<usize>,
    /// Whether it is a matrix of attention weights.
    pub attention: bool,
}

impl Log {
    /// Lists a finished layer. `None` when it cannot be used, which is then kept as trouble.
    pub fn enter<const D: usize>(
        &mut self,
        name: &str,
        layout: &impl Layout<D>,
        value: &Tensor<D>,
        batch: usize,
        innermost: bool,
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
                let channels = layout.channels(shape);
                let finished = self.course.finished.last().copied().unwrap_or(0);
                self.course.finished.push(finished + usize::from(innermost));
                self.course.layers.push(LayerInfo {
                    name: name.into(),
                    shape: shape.to_vec(),
                    channels,
                    grid: grid.clone(),
                    attention: layout.attention(value).is_some(),
                });
                Some(grid)
            }
            Err(trouble) => {
                self.trouble.get_or_insert(trouble);
                None
            }
        }
    }

    /// Holds the activation of a layer, and with `tape` starts the tape there: the value that goes on is returned.
    pub fn hold<const D: usize>(
        &mut self,
        name: String,
        layout: impl Layout<D>,
        bias: Option<Tensor<1>>,
        value: Tensor<D>,
        grid: Vec<usize>,
        tape: bool,
    ) -> Tensor<D> {
        let plain = value.clone().inner();
        let dtype = plain.dtype();
        let activation = settled(layout.to_map(plain.clone()));
        let attention = layout.attention(&plain);
        let (value, leaf) = if tape {
            // The first layer becomes the leaf itself: nothing upstream is recorded. One that is already on the tape
            // gets a zero leaf added, whose gradient is the gradient at the layer.
            let on_tape = value.is_tracked() && self.watched.iter().any(|other| other.leaf.is_some());
            let (value, leaf) = if on_tape {
                let zero = plain.zeros_like().autodiff().require_grad();
                (value + zero.clone(), zero)
            } else {
                let leaf = plain.autodiff().require_grad();
                (leaf.clone(), leaf)
            };
            let read: Leaf =
                Box::new(move |gradients| leaf.grad_remove(gradients).map(|g| settled(layout.to_map(g))));
            (value, Some(read))
        } else {
            (value, None)
        };
        let bias = bias.map(|bias| bias.cast(DType::F32));
        let attention = attention.map(|weights| weights.cast(DType::F32));
        self.watched.push(Watched { name, activation, grid, bias, attention, leaf, dtype });
        value
    }
}

/// Methods compute in single precision, whatever the network does.
pub(super) fn single(map: Tensor<3>) -> Tensor<3> {
    map.cast(DType::F32)
}

/// The map form that methods compute on: in single precision, a channel's places side by side in memory. Where channels lie side by
/// side, Burn's CPU backend takes number by number, ten times as long.
fn settled(map: Tensor<3>) -> Tensor<3> {
    let [batch, channels, positions] = map.dims();
    // A view whose axes are joined is copied.
    single(map).reshape([batch * channels, positions]).reshape([batch, channels, positions])
}
