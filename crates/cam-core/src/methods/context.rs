//! What a method may ask for: the activation of a layer, its gradient, and the scores of changed copies.

use crate::engine::score_cache::{ScoreKey, TargetScores};
use crate::engine::session::Session;
use crate::engine::unique_copies::{Chunk, UniqueCopies};
use crate::methods::info::{Need, Needs};
use crate::{Error, MethodInfo, Reads, Sampling};
use burn::Tensor;
use std::cell::{Cell, RefCell};
use std::ops::Range;

/// One layer of one batch, for one target. What is asked for is computed then, and once.
///
/// Space is one axis here (`positions`), so that a method is written once for signals, images and volumes. What costs passes has to be
/// declared in the [`MethodInfo`], or it is [`Error::Undeclared`].
///
/// # Scores of copies
///
/// The copies that Ablation-CAM and Score-CAM run do not depend on the class, so they are run once for all targets. A context knows
/// when that is right: until a method has asked for something that depends on its target (a gradient, a score), nothing that it does can
/// depend on the target. So the first request for scores is shared by all targets, if it comes before any such thing. Every other
/// request is run for its own target.
pub struct LayerContext<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) layer: usize,
    pub(crate) target: usize,
    pub(crate) call: &'a MethodCall,
}

/// One run of a method, for one target at one layer.
pub(crate) struct MethodCall {
    /// Which of the explainer's methods it is.
    pub method: usize,
    pub info: MethodInfo,
    /// What the method has asked for so far.
    pub used: Cell<Needs>,
    /// The share of the score that the evidence leaves out, `[batch]`.
    pub left_out: RefCell<Option<Tensor<1>>>,
}

impl MethodCall {
    pub fn new(method: usize, info: MethodInfo) -> Self {
        Self { method, info, used: Cell::new(Needs::NOTHING), left_out: RefCell::default() }
    }
}

/// Changes copies of the activation of one image, `[copies, channels, positions]`; the chunk tells which copies they are.
pub type Perturb<'a> = &'a dyn Fn(Tensor<3>, &Chunk<'_>) -> Tensor<3>;

/// Brings masks at the size of the input into range, `[masks, positions]`; the chunk tells which masks they are.
pub type MaskFn<'a> = &'a dyn Fn(Tensor<2>, &Chunk<'_>) -> Tensor<2>;

impl<'a> LayerContext<'a> {
    /// Returns the activation $A$ of the layer, `[batch, channels, positions]`.
    pub fn activation(&self) -> Tensor<3> {
        self.session.layers[self.layer].activation.clone()
    }

    /// Returns the name of the layer.
    pub fn name(&self) -> &str {
        &self.session.layers[self.layer].name
    }

    /// Returns the sizes of the spatial axes of the layer: `[height, width]` for images.
    pub fn grid(&self) -> &[usize] {
        &self.session.layers[self.layer].grid
    }

    /// Returns the input as a layer, `[batch, channels, positions]`.
    pub fn input(&self) -> Tensor<3> {
        self.session.input()
    }

    /// Returns the sizes of the spatial axes of the input.
    pub fn input_grid(&self) -> &[usize] {
        self.session.input_grid()
    }

    /// Returns the attention weights of the layer, `[batch, heads, queries, keys]`, if it has the layout
    /// [`Attention`](crate::Attention).
    pub fn attention(&self) -> Option<Tensor<4>> {
        self.session.layers[self.layer].attention.clone()
    }

    /// Adds a check of numbers that are read with those of all other checks, once everything is computed. An error of the check is the
    /// error of the whole call. A device that computes in the background is not waited for in between.
    pub fn check(
        &self,
        numbers: Tensor<1>,
        check: impl Fn(&[f32]) -> Result<(), Error> + Send + Sync + 'static,
    ) {
        self.session.check(numbers, Box::new(check));
    }

    /// States which share of the score the evidence of each image leaves out or has too much, `[batch]`, for methods whose evidence should
    /// sum to it. Above a twentieth there is [`Warning::Incomplete`](crate::Warning::Incomplete).
    pub fn leaves_out(&self, share: Tensor<1>) {
        self.call.left_out.replace(Some(share));
    }

    /// Reports how many of its passes a method has run, to [`Explainer::on_progress`](crate::Explainer::on_progress). Scores of copies report
    /// themselves.
    pub fn report(&self, done: usize, total: usize) {
        self.session.report(done, total);
    }

    /// Returns the score $y$ of each image, `[batch]`.
    ///
    /// # Errors
    /// [`Error::Undeclared`] if the method declares that the target does not matter.
    pub fn score(&self) -> Result<Tensor<1>, Error> {
        self.declare_use(Need::Class)?;
        Ok(self.session.score(self.target))
    }

    /// Returns the gradient $\partial y / \partial A$ of the score, `[batch, channels, positions]`.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the score does not depend on the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::gradient`].
    pub fn gradient(&self) -> Result<Tensor<3>, Error> {
        self.declare_use_for_target(Need::Gradient)?;
        self.session.gradient(self.layer, self.target)
    }

    /// Returns the gradient of the score in the attention weights of the layer, `[batch, heads, queries, keys]`.
    ///
    /// # Errors
    /// [`Error::NoAttention`] if the layer does not have the layout [`Attention`](crate::Attention); [`Error::NotConnected`] if the score does
    /// not depend on it; [`Error::Undeclared`] without [`MethodInfo::gradient`].
    pub fn attention_gradient(&self) -> Result<Tensor<4>, Error> {
        self.declare_use_for_target(Need::Gradient)?;
        self.session.attention_gradient(self.layer, self.target)?.ok_or(Error::NoAttention)
    }

    /// Returns the gradient at an edited activation, `[batch, channels, positions]`. Only the part of the network after the layer
    /// is run.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the score does not depend on the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::gradient`] and [`MethodInfo::replay`].
    pub fn gradient_of_edited(&self, edit: impl Fn(Tensor<3>) -> Tensor<3>) -> Result<Tensor<3>, Error> {
        self.declare_use(Need::Replay)?;
        self.declare_use_for_target(Need::Gradient)?;
        self.session.gradient_of_edited(self.layer, self.target, &edit)
    }

    /// Returns the product $H A$ of the Hessian of the score in the activation with the activation itself,
    /// `[batch, channels, positions]`: how the gradient changes along the activation, by central differences of this relative step and
    /// of twice it.
    ///
    /// Only the part of the network after the layer is run. ReLUs that the forward pass names with
    /// [`Taps::relu`](crate::Taps::relu) keep letting through what they do in plain inference, as in a derivative; of others the
    /// differences include the corners that lie within the steps.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the score does not depend on the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::second_order`].
    pub fn curvature(&self, step: f32) -> Result<Tensor<3>, Error> {
        self.declare_use_for_target(Need::SecondOrder)?;
        self.session.curvature(self.layer, self.target, step)
    }

    /// Returns the gradient of the score that the network would give if it ended after the block that the layer is part of,
    /// `[batch, channels, positions]`.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if that score does not depend on the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::gradient_at_exit`].
    pub fn gradient_at_exit(&self) -> Result<Tensor<3>, Error> {
        self.declare_use_for_target(Need::GradientAtExit)?;
        self.session.gradient_at_exit(self.layer, self.target)
    }

    /// Returns the activation and its gradient for the input with noise added, each `[batch, channels, positions]`. The whole
    /// network is run.
    ///
    /// `noise` gets the shape of the input, `[batch, channels, positions]`, and returns what is added.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the score does not depend on the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::gradient_under_noise`].
    pub fn gradient_under_noise(
        &self,
        noise: impl Fn(&[usize; 3]) -> Tensor<3>,
    ) -> Result<[Tensor<3>; 2], Error> {
        self.declare_use_for_target(Need::GradientUnderNoise)?;
        self.session.under_noise(self.layer, self.target, &noise)
    }

    /// Returns the score of each image for the input with noise added, `[batch]`; `noise` is that of
    /// [`gradient_under_noise`](Self::gradient_under_noise).
    ///
    /// # Errors
    /// [`Error::Undeclared`] without [`MethodInfo::gradient_under_noise`].
    pub fn score_under_noise(&self, noise: impl Fn(&[usize; 3]) -> Tensor<3>) -> Result<Tensor<1>, Error> {
        self.declare_use_for_target(Need::GradientUnderNoise)?;
        self.session.score_under_noise(self.target, &noise)
    }

    /// Returns the weights $w^c_k$ of the linear classifier that follows a global average pooling of the layer,
    /// `[batch, channels, 1]`.
    ///
    /// They are read off the gradient, which is $w^c_k / HW$ at every position. That no more than these two follows is checked: the
    /// gradient has to be the same at every position, and at twice the activation.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the score does not depend on the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::linear_head`]. The whole call ends in [`Error::NotLinear`] if something else follows.
    pub fn linear_head(&self) -> Result<Tensor<3>, Error> {
        self.declare_use_for_target(Need::LinearHead)?;
        self.session.linear_head(self.layer, self.target)
    }

    /// Returns the scores that each image would have with the layer's activation edited, `[batch, copies]`. Only the part of the
    /// network after the layer is run, once for copies that are identical, and once for all targets if
    /// [the request is the same](Self#scores-of-copies).
    ///
    /// `edit` gets copies of the activation of one image, `[copies, channels, positions]`, and which of the copies they are; it
    /// returns them edited.
    ///
    /// # Errors
    /// [`Error::LostLayer`] if a pass of another number of images does not name the layer; [`Error::Undeclared`] without
    /// [`MethodInfo::replay`].
    pub fn scores_of_edited(&self, copies: &UniqueCopies, edit: Perturb<'_>) -> Result<Tensor<2>, Error> {
        self.declare_use(Need::Replay)?;
        let scores = self.scores(|targets| {
            let scores = self.session.scores_of_edited(targets, self.layer, copies, edit)?;
            Ok(scores.into_iter().map(|scores| vec![scores]).collect())
        })?;
        Ok(scores.into_iter().next().expect("one step"))
    }

    /// Returns the scores that each image would have seen through masks, `[batch, masks]`. The whole network is run for each mask,
    /// once for masks that are identical, and once for all targets if [the request is the same](Self#scores-of-copies).
    ///
    /// Masks are resized to the input; then `finish` gets them, a chunk at a time, to bring them into range.
    ///
    /// # Shapes
    /// - masks: `[batch, masks, positions]` on the layer's grid
    /// - what `finish` gets and returns: `[chunk, positions]` on the input's grid
    ///
    /// # Errors
    /// [`Error::Undeclared`] without [`MethodInfo::masked_inputs`].
    pub fn scores_of_masked(
        &self,
        masks: Tensor<3>,
        copies: &UniqueCopies,
        sampling: Sampling,
        finish: MaskFn<'_>,
    ) -> Result<Tensor<2>, Error> {
        let finish = |masks, chunk: &Chunk<'_>, _| finish(masks, chunk);
        let scores = self.scores_of_masked_steps(masks, copies, sampling, 1, &finish)?;
        Ok(scores.into_iter().next().expect("one step"))
    }

    /// Returns the scores of [`scores_of_masked`](Self::scores_of_masked) for each of several steps, which `finish` gets as a number
    /// from 0: masks that are faded in, or that noise is added to. It is one request, so that all steps can be shared by all targets.
    ///
    /// # Errors
    /// Those of [`scores_of_masked`](Self::scores_of_masked).
    pub fn scores_of_masked_steps(
        &self,
        masks: Tensor<3>,
        copies: &UniqueCopies,
        sampling: Sampling,
        steps: usize,
        finish: &dyn Fn(Tensor<2>, &Chunk<'_>, usize) -> Tensor<2>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        self.declare_use(Need::MaskedInputs)?;
        self.scores(|targets| {
            let mut of_targets: TargetScores = vec![Vec::new(); targets.len()];
            for step in 0..steps {
                let finish = |masks, chunk: &Chunk<'_>| finish(masks, chunk, step);
                let (targets, layer) = (targets.clone(), self.layer);
                let scores =
                    self.session.scores_of_masked(targets, layer, &masks, copies, sampling, &finish)?;
                of_targets.iter_mut().zip(scores).for_each(|(steps, scores)| steps.push(scores));
            }
            Ok(of_targets)
        })
    }

    /// Returns the scores that each image would have with its input changed, `[batch, copies]`. The whole network is run for each copy, and once
    /// for all targets if [the request is the same](Self#scores-of-copies).
    ///
    /// `change` gets copies of the input of one image, `[copies, channels, positions]`, and which of the copies they are; it returns them
    /// changed.
    ///
    /// # Errors
    /// [`Error::Undeclared`] without [`MethodInfo::masked_inputs`].
    pub fn scores_of_inputs(&self, copies: &UniqueCopies, change: Perturb<'_>) -> Result<Tensor<2>, Error> {
        self.declare_use(Need::MaskedInputs)?;
        let scores = self.scores(|targets| {
            let scores = self.session.scores_of_inputs(targets, self.layer, copies, change)?;
            Ok(scores.into_iter().map(|scores| vec![scores]).collect())
        })?;
        Ok(scores.into_iter().next().expect("one step"))
    }

    /// Returns every layer that adds a bias, and its bias `[channels]`.
    ///
    /// # Errors
    /// [`Error::NoBiases`] if there are none; [`Error::Undeclared`] if the method does not read [`Reads::Biases`].
    pub fn biases(&self) -> Result<Vec<(LayerContext<'a>, Tensor<1>)>, Error> {
        self.declares_reading(Reads::Biases, "add `.reads(Reads::Biases)`")?;
        let layers = self.session.layers.iter().enumerate();
        let biases = layers.filter_map(|(index, layer)| Some((self.at(index), layer.bias.clone()?)));
        let biases: Vec<_> = biases.collect();
        if biases.is_empty() { Err(Error::NoBiases) } else { Ok(biases) }
    }

    /// Returns every layer of attention weights, in the order of the network.
    ///
    /// # Errors
    /// [`Error::NoAttention`] if there are none; [`Error::Undeclared`] if the method does not read [`Reads::Attention`].
    pub fn attentions(&self) -> Result<Vec<LayerContext<'a>>, Error> {
        self.declares_reading(Reads::Attention, "add `.reads(Reads::Attention)`")?;
        let attentions: Vec<_> = self.session.attention_layers().map(|index| self.at(index)).collect();
        if attentions.is_empty() { Err(Error::NoAttention) } else { Ok(attentions) }
    }

    /// Resizes maps on the grid of the layer, `[batch, positions]`, to another grid.
    pub fn resize(&self, maps: Tensor<2>, to: &[usize]) -> Tensor<2> {
        self.session.resizer().resize(maps, self.grid(), to, Sampling::HalfPixel)
    }

    /// Returns another layer, for the same target.
    fn at(&self, layer: usize) -> LayerContext<'a> {
        LayerContext { layer, ..*self }
    }

    /// Returns the scores of a request, `[batch, copies]` for each step. `run` runs it for some of the targets.
    fn scores(
        &self,
        run: impl Fn(Range<usize>) -> Result<TargetScores, Error>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        self.declares(Need::Class)?;
        let cache = &self.session.shared_scores;
        let key = ScoreKey { layer: self.layer, method: self.call.method };
        let knows_target = || self.call.used.get().class;
        if knows_target() {
            return Ok(run(self.target..self.target + 1)?.remove(0));
        }
        if let Some(scores) = cache.get(key, self.target) {
            self.declare_use(Need::Class)?;
            return Ok(scores);
        }
        let of_targets = run(0..self.session.targets())?;
        let scores = of_targets[self.target].clone();
        // What the request runs may itself have asked for something of the target.
        if !knows_target() {
            cache.insert(key, of_targets);
        }
        self.declare_use(Need::Class)?;
        Ok(scores)
    }

    /// Notes the use of something that depends on the target.
    fn declare_use_for_target(&self, need: Need) -> Result<(), Error> {
        self.declare_use(need)?;
        self.declare_use(Need::Class)
    }

    /// Notes the use of something that has to be declared.
    fn declare_use(&self, need: Need) -> Result<(), Error> {
        self.declares(need)?;
        self.call.used.set(need.add_to(self.call.used.get()));
        Ok(())
    }

    fn declares(&self, need: Need) -> Result<(), Error> {
        if need.is_in(self.call.info.needs) { Ok(()) } else { Err(self.undeclared(need.remedy())) }
    }

    fn declares_reading(&self, reads: Reads, remedy: &'static str) -> Result<(), Error> {
        if self.call.info.reads == reads { Ok(()) } else { Err(self.undeclared(remedy)) }
    }

    fn undeclared(&self, remedy: &'static str) -> Error {
        Error::Undeclared { method: self.call.info.name, remedy }
    }
}
