//! What a method may ask for: the activation of a layer, its gradient, and the scores of changed copies.

use crate::read::Judge;
use crate::resize::Resizer;
use crate::{Alike, Chunk, Error, Sampling};
use burn::Tensor;
use std::cell::Cell;

/// One layer of one batch, seen for one target. What is asked for is computed then, and once.
///
/// Space is one axis here (`positions`), so that a method is written once for signals, pictures and volumes.
pub struct Seen<'a> {
    pub(crate) passes: &'a dyn Passes,
    pub(crate) layer: usize,
    pub(crate) target: usize,
    /// Which of the explainer's methods asks, and how many rounds of scores it has asked for.
    pub(crate) method: usize,
    pub(crate) rounds: Cell<usize>,
}

/// Scores of one layer by one method that all targets share: the layer, the method, the round.
pub(crate) type Round = (usize, usize, usize);

/// Changes copies of the activation of one image, `[copies, channels, positions]`; the chunk says which copies.
pub type Edit<'a> = &'a dyn Fn(Tensor<3>, &Chunk<'_>) -> Tensor<3>;

/// Brings masks of the size of the input into range, `[masks, positions]`; the chunk says which masks.
pub type Finish<'a> = &'a dyn Fn(Tensor<2>, &Chunk<'_>) -> Tensor<2>;

/// The passes through a model, whatever its input and output.
pub(crate) trait Passes {
    fn activation(&self, layer: usize) -> Tensor<3>;
    fn gradient(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error>;
    fn score(&self, target: usize) -> Result<Tensor<1>, Error>;
    fn gradient_of_edited(
        &self,
        layer: usize,
        target: usize,
        edit: &dyn Fn(Tensor<3>) -> Tensor<3>,
    ) -> Result<Tensor<3>, Error>;
    fn curvature(&self, layer: usize, target: usize, step: f32) -> Result<Tensor<3>, Error>;
    fn gradient_at_exit(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error>;
    fn under_noise(
        &self,
        layer: usize,
        target: usize,
        noise: &dyn Fn(&[usize; 3]) -> Tensor<3>,
    ) -> Result<[Tensor<3>; 2], Error>;
    fn scores_of_edited(
        &self,
        round: Round,
        target: usize,
        alike: &Alike,
        edit: Edit<'_>,
    ) -> Result<Tensor<2>, Error>;
    fn scores_of_masked(
        &self,
        round: Round,
        target: usize,
        masks: Tensor<3>,
        alike: &Alike,
        sampling: Sampling,
        finish: Finish<'_>,
    ) -> Result<Tensor<2>, Error>;
    fn resizer(&self) -> &Resizer;
    fn check(&self, numbers: Tensor<1>, judge: Judge);
    fn name(&self, layer: usize) -> &str;
    fn biases(&self) -> Vec<(usize, Tensor<1>)>;
    fn attentions(&self) -> Vec<usize>;
    fn attention(&self, layer: usize) -> Option<Tensor<4>>;
    fn grid(&self, layer: usize) -> &[usize];
}

impl<'a> Seen<'a> {
    /// The activation $A$ of the layer, `[batch, channels, positions]`.
    pub fn activation(&self) -> Tensor<3> {
        self.passes.activation(self.layer)
    }

    /// Has numbers looked at once they are computed, with those of all other checks: `judge` gets them and says what is wrong,
    /// which is the error of the whole call. A device that computes in the background is not waited for in between.
    pub fn check(
        &self,
        numbers: Tensor<1>,
        judge: impl Fn(&[f32]) -> Result<(), Error> + Send + Sync + 'static,
    ) {
        self.passes.check(numbers, Box::new(judge));
    }

    /// The name of the layer.
    pub fn name(&self) -> &str {
        self.passes.name(self.layer)
    }

    /// The sizes of the spatial axes of the layer: `[height, width]` for pictures.
    pub fn grid(&self) -> &[usize] {
        self.passes.grid(self.layer)
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

    /// The gradient at an edited activation, `[batch, channels, positions]`. Only the part of the network after the layer
    /// is run.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the score does not depend on the layer.
    pub fn gradient_of_edited(&self, edit: impl Fn(Tensor<3>) -> Tensor<3>) -> Result<Tensor<3>, Error> {
        self.passes.gradient_of_edited(self.layer, self.target, &edit)
    }

    /// The product $H A$ of the Hessian of the score in the activation with the activation itself, `[batch, channels, positions]`:
    /// how the gradient changes along the activation, by central differences of this relative step and of twice it.
    ///
    /// Only the part of the network after the layer is run. ReLUs that the forward pass names with
    /// [`Taps::relu`](crate::Taps::relu) keep letting through what they do in plain inference, as a derivative has it; of others the
    /// differences count the corners that lie within the steps.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the score does not depend on the layer.
    pub fn curvature(&self, step: f32) -> Result<Tensor<3>, Error> {
        self.passes.curvature(self.layer, self.target, step)
    }

    /// Of the input with something added: the activation and its gradient, each `[batch, channels, positions]`. The whole
    /// network is run.
    ///
    /// `noise` gets the shape of the input, `[batch, channels, positions]`, and returns what is added.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the score does not depend on the layer.
    pub fn under_noise(&self, noise: impl Fn(&[usize; 3]) -> Tensor<3>) -> Result<[Tensor<3>; 2], Error> {
        self.passes.under_noise(self.layer, self.target, &noise)
    }

    /// The scores that each image would have with the layer's activation edited, `[batch, copies]`. Only the part of the
    /// network after the layer is run, once for all targets and once for copies that are alike: what is edited must not depend
    /// on the target.
    ///
    /// `edit` gets copies of the activation of one image, `[copies, channels, positions]`, and which of the copies they are; it
    /// returns them edited.
    pub fn scores_of_edited(&self, alike: &Alike, edit: Edit<'_>) -> Result<Tensor<2>, Error> {
        self.passes.scores_of_edited(self.next_round(), self.target, alike, edit)
    }

    /// The scores that each image would have seen through masks, `[batch, masks]`. The whole network is run for each mask,
    /// once for all targets and once for masks that are alike: the masks must not depend on the target.
    ///
    /// Masks are resized to the input, then `finish` gets them, a chunk at a time, to bring them into range.
    ///
    /// # Shapes
    /// - masks: `[batch, masks, positions]` on the layer's grid
    /// - what `finish` gets and returns: `[chunk, positions]` on the input's grid
    pub fn scores_of_masked(
        &self,
        masks: Tensor<3>,
        alike: &Alike,
        sampling: Sampling,
        finish: Finish<'_>,
    ) -> Result<Tensor<2>, Error> {
        self.passes.scores_of_masked(self.next_round(), self.target, masks, alike, sampling, finish)
    }

    /// Every layer that adds a bias, and its bias `[channels]`; for methods whose sight is
    /// [`Sight::Biases`](crate::Sight::Biases).
    pub fn biases(&self) -> Vec<(Seen<'a>, Tensor<1>)> {
        self.passes.biases().into_iter().map(|(layer, bias)| (self.at(layer), bias)).collect()
    }

    /// Every layer of attention weights, in the order of the network; for methods whose sight is
    /// [`Sight::Attention`](crate::Sight::Attention).
    pub fn attentions(&self) -> Vec<Seen<'a>> {
        self.passes.attentions().into_iter().map(|layer| self.at(layer)).collect()
    }

    /// The attention weights of the layer, where it is one: `[batch, heads, queries, keys]`.
    pub fn attention(&self) -> Option<Tensor<4>> {
        self.passes.attention(self.layer)
    }

    /// The gradient of the score that the network would give if it ended after the block that the layer is part of,
    /// `[batch, channels, positions]`.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when that score does not depend on the layer.
    pub fn gradient_at_exit(&self) -> Result<Tensor<3>, Error> {
        self.passes.gradient_at_exit(self.layer, self.target)
    }

    /// Maps on the grid of the layer, `[batch, positions]`, read at another.
    pub(crate) fn resized(&self, maps: Tensor<2>, to: &[usize]) -> Tensor<2> {
        self.passes.resizer().resize(maps, self.grid(), to, Sampling::HalfPixel)
    }

    fn at(&self, layer: usize) -> Seen<'a> {
        Seen { layer, rounds: Cell::new(0), ..*self }
    }

    fn next_round(&self) -> Round {
        let round = self.rounds.get();
        self.rounds.set(round + 1);
        (self.layer, self.method, round)
    }
}
