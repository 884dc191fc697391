//! What a method may ask for: the activation of a layer, its gradient, and the scores of changed copies.

use crate::{Error, Sampling};
use burn::Tensor;
use std::ops::Range;

/// One layer of one batch, seen for one target. What is asked for is computed then, and once.
///
/// Space is one axis here (`positions`), so that a method is written once for signals, pictures and volumes.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub(crate) passes: &'a dyn Passes,
    pub(crate) layer: usize,
    pub(crate) target: usize,
}

/// The passes through a model, whatever its input and output.
pub(crate) trait Passes {
    fn activation(&self, layer: usize) -> Tensor<3>;
    fn gradient(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error>;
    fn score(&self, target: usize) -> Result<Tensor<1>, Error>;
    fn scores_of_edited(
        &self,
        layer: usize,
        target: usize,
        copies: usize,
        edit: &dyn Fn(Tensor<3>, Range<usize>) -> Tensor<3>,
    ) -> Result<Tensor<2>, Error>;
    fn scores_of_masked(
        &self,
        layer: usize,
        target: usize,
        masks: Tensor<3>,
        sampling: Sampling,
        finish: &dyn Fn(Tensor<2>) -> Tensor<2>,
    ) -> Result<Tensor<2>, Error>;
}

impl Seen<'_> {
    /// The activation $A$ of the layer, `[batch, channels, positions]`.
    pub fn activation(&self) -> Tensor<3> {
        self.passes.activation(self.layer)
    }

    /// The gradient $\partial y / \partial A$ of the score, `[batch, channels, positions]`.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the score does not depend on the layer.
    pub fn gradient(&self) -> Result<Tensor<3>, Error> {
        self.passes.gradient(self.layer, self.target)
    }

    /// The score $y$ of each image, `[batch]`.
    pub fn score(&self) -> Result<Tensor<1>, Error> {
        self.passes.score(self.target)
    }

    /// The scores that each image would have with the layer's activation edited, `[batch, copies]`. Only the part of the
    /// network after the layer is run.
    ///
    /// `edit` gets copies of the activation of one image, `[range.len(), channels, positions]`, and the numbers they
    /// stand for among the `copies`; it returns them edited.
    pub fn scores_of_edited(
        &self,
        copies: usize,
        edit: &dyn Fn(Tensor<3>, Range<usize>) -> Tensor<3>,
    ) -> Result<Tensor<2>, Error> {
        self.passes.scores_of_edited(self.layer, self.target, copies, edit)
    }

    /// The scores that each image would have seen through masks, `[batch, masks]`. The whole network is run for each mask.
    ///
    /// Masks are resized to the input, then `finish` gets them, a chunk at a time, to bring them into range.
    ///
    /// # Shapes
    /// - masks: `[batch, masks, positions]` on the layer's grid
    /// - what `finish` gets and returns: `[chunk, positions]` on the input's grid
    pub fn scores_of_masked(
        &self,
        masks: Tensor<3>,
        sampling: Sampling,
        finish: &dyn Fn(Tensor<2>) -> Tensor<2>,
    ) -> Result<Tensor<2>, Error> {
        self.passes.scores_of_masked(self.layer, self.target, masks, sampling, finish)
    }
}
