//! One batch under explanation: the first pass, and the passes after it that methods ask for.

use super::budget::Budget;
use super::checks::{Check, DeferredChecks};
use super::forward_pass::{ForwardPass, Scores};
use super::inference_check;
use super::score_cache::ScoreCache;
use super::unique_copies::{Chunk, UniqueCopies};
use crate::post::resize::{Resizer, Sampling};
use crate::tap::{
    CaptureSpec, Captured, GradReader, INPUT, LayerGradient, LayerTrace, Recording, ReluMasks, Replay,
};
use crate::tap::{ReplayCache, Rows, Taps};
use crate::{Error, MaskFn, Perturb, Progress};
use burn::Tensor;
use std::cell::{Cell, RefCell};
use std::ops::Range;

pub(crate) struct Session<'a> {
    pass: &'a dyn ForwardPass,
    spec: &'a CaptureSpec,
    settings: Settings<'a>,
    pub layers: Vec<Captured>,
    trace: LayerTrace,
    /// What replays from the captured layers need, if the first pass recorded it.
    cache: ReplayCache,
    /// The score of each target, `[batch]`.
    scores: Vec<Tensor<1>>,
    gradients: RefCell<Option<Gradients>>,
    /// Scores of changed copies that all targets share.
    pub shared_scores: ScoreCache,
    checks: RefCell<DeferredChecks>,
    /// What has been run, in forward passes of one image.
    work: Cell<f64>,
    /// The name of the method that runs.
    method: Cell<&'static str>,
}

/// What a session takes from its explainer.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub budget: Budget,
    pub resizer: &'a Resizer,
    pub progress: Option<&'a (dyn Fn(Progress) + Send + Sync)>,
}

/// The gradients of all captured layers for one target; `None` if the score does not depend on a layer.
struct Gradients {
    target: usize,
    layers: Vec<Option<LayerGradient>>,
}

/// A pass that runs again what comes after a captured layer.
#[derive(Clone, Copy)]
struct Rerun<'r> {
    from: usize,
    rows: Rows,
    edit: &'r dyn Fn(Tensor<3>) -> Tensor<3>,
    masks: Option<&'r ReluMasks>,
    exit: Option<&'r str>,
    /// The layers at which a tape starts.
    capture: &'r CaptureSpec,
}

static NO_LAYERS: CaptureSpec =
    CaptureSpec { names: Vec::new(), biases: false, attention: false, list_all: false };

impl Rerun<'_> {
    /// Runs all images unchanged, without a tape.
    fn from_layer(from: usize) -> Self {
        let edit = &|activation| activation;
        Self { from, rows: Rows::All, edit, masks: None, exit: None, capture: &NO_LAYERS }
    }
}

impl<'a> Session<'a> {
    /// Takes over from the first pass. If that started a tape, walks it for the first target: Burn keeps a tape that nobody walks.
    ///
    /// `plain` gives the score of the first pass for each of the `targets`, `[batch]`.
    pub fn new(
        pass: &'a dyn ForwardPass,
        spec: &'a CaptureSpec,
        recording: Recording,
        (targets, plain): (usize, &dyn Fn(usize) -> Result<Tensor<1>, Error>),
        settings: Settings<'a>,
    ) -> Result<Self, Error> {
        let mut layers = recording.captured;
        let readers: Vec<GradReader> = layers.iter_mut().filter_map(|layer| layer.gradient.take()).collect();
        let mut session = Self {
            pass,
            spec,
            settings,
            layers,
            trace: recording.trace,
            cache: recording.cache,
            scores: Vec::new(),
            gradients: RefCell::new(None),
            shared_scores: ScoreCache::default(),
            checks: RefCell::default(),
            work: Cell::new(pass.batch() as f64),
            method: Cell::new(""),
        };
        for target in 0..targets {
            let score = plain(target)?;
            session.scores.push(score.clone().inner());
            if target == 0 && !readers.is_empty() {
                let layers = session.backward(score, 0, &readers);
                session.gradients = RefCell::new(Some(Gradients { target, layers }));
            }
        }
        Ok(session)
    }

    /// Returns the index of a captured layer.
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name == name)
    }

    /// Returns the indices of the captured layers of attention weights.
    pub fn attention_layers(&self) -> impl Iterator<Item = usize> {
        (0..self.layers.len()).filter(|layer| self.layers[*layer].attention.is_some())
    }

    pub fn targets(&self) -> usize {
        self.scores.len()
    }

    pub fn resizer(&self) -> &Resizer {
        self.settings.resizer
    }

    /// Returns what has been run so far, in forward passes of the batch: a replay counts with the share of the layers that it runs, a
    /// backward pass like the forward pass that it goes back.
    pub fn passes(&self) -> f64 {
        self.work.get() / self.pass.batch() as f64
    }

    /// Adds a check of numbers, which are read at the end.
    pub fn check(&self, numbers: Tensor<1>, check: Check) {
        self.checks.borrow_mut().add(numbers, check);
    }

    pub fn take_checks(&self) -> DeferredChecks {
        self.checks.take()
    }

    /// Refuses a model that computes other scores while gradients are recorded, whatever its module reports: batch statistics,
    /// dropout. All images are checked, in passes of the same shapes, for which a device has the same kernels.
    pub fn check_inference(&self) -> Result<(), Error> {
        let (scores, _) = self.rerun(Rerun::from_layer(0))?;
        let plain = scores(0)?;
        if plain.is_autodiff() {
            return Err(Error::TrainingDevice);
        }
        // What the layer adds to the score, position by position: its rounding is that of the score, however much cancels.
        let parts = match self.gradient_if_connected(0, 0)? {
            Some(gradient) => {
                let product = gradient.map * self.layers[0].activation.clone();
                product.square().sum_dim(2).sum_dim(1).sqrt().reshape([self.pass.batch()])
            }
            None => plain.zeros_like(),
        };
        // The coarsest type of number that the network shows: its input and its norms may be finer.
        let captured = self.layers.iter().map(|layer| layer.dtype);
        let dtypes = captured.chain(self.trace.dtypes.iter().copied());
        let one_part = dtypes.map(inference_check::tolerance).fold(0.0, f32::max);
        // From the input on, the whole network rounds in two ways.
        let tolerance = if self.layer_index(INPUT).is_some() { 2.0 * one_part } else { one_part };
        let numbers = inference_check::join([plain, self.score(0), parts]);
        self.check(numbers, Box::new(move |numbers| inference_check::check(numbers, tolerance)));
        Ok(())
    }

    /// Returns the score of a target, `[batch]`.
    pub fn score(&self, target: usize) -> Tensor<1> {
        self.scores[target].clone()
    }

    /// Returns the gradient of a target at a captured layer.
    pub fn gradient(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error> {
        Ok(self.connected_gradient(layer, target)?.map)
    }

    /// Returns the gradient of a target at a captured layer of attention weights, the whole matrix; `None` if it is another layer.
    pub fn attention_gradient(&self, layer: usize, target: usize) -> Result<Option<Tensor<4>>, Error> {
        Ok(self.connected_gradient(layer, target)?.attention)
    }

    fn connected_gradient(&self, layer: usize, target: usize) -> Result<LayerGradient, Error> {
        self.gradient_if_connected(layer, target)?.ok_or_else(|| self.not_connected(layer))
    }

    /// Returns the gradient of a target at a captured layer, or `None` if the score does not depend on it. For all but the first target,
    /// what comes after the first captured layer is run again with a tape.
    fn gradient_if_connected(&self, layer: usize, target: usize) -> Result<Option<LayerGradient>, Error> {
        let mut held = self.gradients.borrow_mut();
        if held.as_ref().is_none_or(|held| held.target != target) {
            let (scores, readers) = self.rerun(Rerun { capture: self.spec, ..Rerun::from_layer(0) })?;
            let layers = self.backward(scores(target)?, 0, &readers);
            *held = Some(Gradients { target, layers });
        }
        Ok(held.as_ref().and_then(|held| held.layers.get(layer).cloned().flatten()))
    }

    /// Returns the gradient at an edited activation.
    pub fn gradient_of_edited(
        &self,
        layer: usize,
        target: usize,
        edit: &dyn Fn(Tensor<3>) -> Tensor<3>,
    ) -> Result<Tensor<3>, Error> {
        self.gradient_of_rerun(target, Rerun { edit, ..Rerun::from_layer(layer) })
    }

    /// Returns the gradient of the score that the network would give if it ended after the block of an attention layer.
    pub fn gradient_at_exit(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error> {
        let exit = self.trace.block_of(&self.layers[layer].name);
        self.gradient_of_rerun(target, Rerun { exit, ..Rerun::from_layer(layer) })
    }

    /// Returns the product of the Hessian with the activation: how the gradient changes along the activation, by central differences of
    /// this relative step and of twice it.
    pub fn curvature(&self, layer: usize, target: usize, step: f32) -> Result<Tensor<3>, Error> {
        let masks = ReluMasks::default();
        let plain = Rerun { masks: Some(&masks), ..Rerun::from_layer(layer) };
        drop(self.rerun(plain)?);
        masks.finish_recording();
        let gradient = |factor: f32| {
            self.gradient_of_rerun(target, Rerun { edit: &|activation| activation * factor, ..plain })
        };
        let difference = |step: f32| -> Result<Tensor<3>, Error> {
            Ok((gradient(1.0 + step)? - gradient(1.0 - step)?) / (2.0 * step))
        };
        // What is left of order `step²` in both cancels (Richardson).
        Ok((difference(step)? * 4.0 - difference(2.0 * step)?) / 3.0)
    }

    /// Returns the activation and its gradient for the input with something added. `noise` gets the shape of the input.
    pub fn under_noise(
        &self,
        layer: usize,
        target: usize,
        noise: &dyn Fn(&[usize; 3]) -> Tensor<3>,
    ) -> Result<[Tensor<3>; 2], Error> {
        let spec = CaptureSpec::layer(&self.layers[layer].name);
        let values = self.pass.input();
        let noise = noise(&values.dims());
        let taps = Taps::capture(&spec, self.pass.batch(), true, false);
        let scores = self.pass.run(Rows::All, Some(values + noise), &taps)?;
        self.count_work(self.pass.batch(), 1.0);
        let mut captured = taps.into_recording().captured;
        let readers: Vec<_> = captured.iter_mut().filter_map(|layer| layer.gradient.take()).collect();
        let gradient = self.backward(scores(target)?, layer, &readers).pop().flatten();
        let gradient = gradient.ok_or_else(|| self.not_connected(layer))?;
        Ok([captured.remove(0).activation, gradient.map])
    }

    /// Returns the score of a target for the input with something added, `[batch]`. `noise` gets the shape of the input.
    pub fn score_under_noise(
        &self,
        target: usize,
        noise: &dyn Fn(&[usize; 3]) -> Tensor<3>,
    ) -> Result<Tensor<1>, Error> {
        let values = self.pass.input();
        let noise = noise(&values.dims());
        self.count_work(self.pass.batch(), 1.0);
        let scores = self.pass.run(Rows::All, Some(values + noise), &Taps::off())?;
        Ok(scores(target)?.inner())
    }

    /// Returns the weights of the linear classifier after a global average pooling, `[batch, channels, 1]`.
    ///
    /// The gradient is the weight over the number of positions. It has to be the same at every position and at twice the activation.
    pub fn linear_head(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error> {
        /// Rounding, relative to the largest gradient.
        const ROUNDING: f32 = 1e-3;
        let gradient = self.gradient(layer, target)?;
        let positions = gradient.dims()[2];
        let mean = gradient.clone().mean_dim(2);
        let largest = gradient.clone().abs().max();
        let doubled = self.gradient_of_edited(layer, target, &|activation| activation * 2.0)?;
        let off = (gradient - mean.clone()).abs().max() + (doubled - mean.clone()).abs().max();
        let layer = self.layers[layer].name.clone();
        let check = move |numbers: &[f32]| match numbers[0] > ROUNDING * numbers[1] {
            true => Err(Error::NotLinear { layer: layer.clone() }),
            false => Ok(()),
        };
        self.check(Tensor::cat(vec![off, largest], 0), Box::new(check));
        Ok(mean * positions as f32)
    }

    /// Reports how far the method is.
    pub fn report(&self, done: usize, total: usize) {
        if let Some(report) = self.settings.progress {
            report(Progress { method: self.method.get(), done, total });
        }
    }

    /// Sets which method runs, for reports of its progress.
    pub fn set_method(&self, name: &'static str) {
        self.method.set(name);
    }

    /// Returns the scores `[batch, copies]` of some targets, with the activation of a layer edited.
    pub fn scores_of_edited(
        &self,
        targets: Range<usize>,
        layer: usize,
        copies: &UniqueCopies,
        edit: Perturb<'_>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        let size = self.copies_per_pass(&self.layers[layer].name);
        self.scores_of_copies(targets, layer, copies, size, &|image, chunk| {
            let rows = Rows::Copies { image, copies: chunk.indices().len() };
            let edit = |activation| edit(activation, chunk);
            Ok(self.rerun(Rerun { rows, edit: &edit, ..Rerun::from_layer(layer) })?.0)
        })
    }

    /// Returns the scores `[batch, masks]` of some targets, of the input seen through masks on the grid of a layer.
    pub fn scores_of_masked(
        &self,
        targets: Range<usize>,
        layer: usize,
        masks: &Tensor<3>,
        copies: &UniqueCopies,
        sampling: Sampling,
        finish: MaskFn<'_>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        let size = self.copies_per_pass(INPUT);
        self.scores_of_copies(targets, layer, copies, size, &|image, chunk| {
            let rows = Rows::Copies { image, copies: chunk.indices().len() };
            let masks: Tensor<2> = masks.clone().narrow(0, image, 1).squeeze_dim(0);
            let (from, to) = (&self.layers[layer].grid, self.pass.grid());
            let masks = self.settings.resizer.resize(chunk.select(masks), from, to, sampling);
            let plain = Rows::Copies { image, copies: 1 }.of(self.pass.input());
            let masked = plain * finish(masks, chunk).unsqueeze_dim(1);
            self.count_work(chunk.indices().len(), 1.0);
            self.pass.run(rows, Some(masked), &Taps::off())
        })
    }

    /// Returns the scores `[batch, copies]` of some targets, of the input changed.
    pub fn scores_of_inputs(
        &self,
        targets: Range<usize>,
        layer: usize,
        copies: &UniqueCopies,
        change: Perturb<'_>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        self.scores_of_copies(targets, layer, copies, self.copies_per_pass(INPUT), &|image, chunk| {
            let rows = Rows::Copies { image, copies: chunk.indices().len() };
            let changed = change(rows.of(self.pass.input()), chunk);
            self.count_work(chunk.indices().len(), 1.0);
            self.pass.run(rows, Some(changed), &Taps::off())
        })
    }

    /// Returns the input as a layer, `[batch, channels, positions]`.
    pub fn input(&self) -> Tensor<3> {
        self.pass.input()
    }

    /// Returns the sizes of the spatial axes of the input.
    pub fn input_grid(&self) -> &[usize] {
        self.pass.grid()
    }

    /// Runs changed copies of each image, a chunk at a time, and returns their scores `[batch, copies]` for some targets.
    fn scores_of_copies(
        &self,
        targets: Range<usize>,
        layer: usize,
        copies: &UniqueCopies,
        size: usize,
        run: &dyn Fn(usize, &Chunk<'_>) -> Result<Scores<'a>, Error>,
    ) -> Result<Vec<Tensor<2>>, Error> {
        let mut of_targets: Vec<Vec<Tensor<1>>> = vec![Vec::new(); targets.len()];
        let (mut done, total) = (0, copies.runs());
        let device = self.layers[layer].activation.device();
        for image in 0..self.pass.batch() {
            let mut of_chunks: Vec<Vec<Tensor<1>>> = vec![Vec::new(); targets.len()];
            for chunk in copies.chunks(image, size, &device) {
                let scores = run(image, &chunk)?;
                for (target, of_chunks) in targets.clone().zip(&mut of_chunks) {
                    of_chunks.push(scores(target)?.inner());
                }
                done += chunk.indices().len();
                self.report(done, total);
            }
            for (of_target, of_chunks) in of_targets.iter_mut().zip(of_chunks) {
                of_target.push(copies.to_each_copy(image, Tensor::cat(of_chunks, 0)));
            }
        }
        Ok(of_targets.into_iter().map(|images| Tensor::stack(images, 0)).collect())
    }

    /// Runs what comes after a captured layer again, to the end or to an exit, and starts a tape at the layers to capture.
    fn rerun(&self, rerun: Rerun<'_>) -> Result<(Scores<'a>, Vec<GradReader>), Error> {
        let Rerun { rows, edit, masks, exit, capture, .. } = rerun;
        let from = self.layers[rerun.from].name.as_str();
        let images = rows.count(self.pass.batch());
        self.count_work(images, self.trace.share_after(from, exit));
        let empty = ReplayCache::default();
        let (cache, values) = match from == INPUT {
            true => (&empty, Some(edit(rows.of(self.pass.input())))),
            false => (&self.cache, None),
        };
        let taps = Taps::replay(Replay { cache, from, rows, edit, masks, exit }, capture);
        let scores = self.pass.run(rows, values, &taps)?;
        let recording = taps.into_recording();
        if from != INPUT && !recording.reached_edit {
            let layer = from.into();
            return Err(Error::LostLayer { layer, expected: self.pass.batch(), found: images });
        }
        Ok((scores, recording.captured.into_iter().filter_map(|layer| layer.gradient).collect()))
    }

    /// Returns the gradient at the layer where a rerun starts.
    fn gradient_of_rerun(&self, target: usize, rerun: Rerun<'_>) -> Result<Tensor<3>, Error> {
        let capture = CaptureSpec::layer(&self.layers[rerun.from].name);
        let (scores, readers) = self.rerun(Rerun { capture: &capture, ..rerun })?;
        let gradient = self.backward(scores(target)?, rerun.from, &readers).pop().flatten();
        Ok(gradient.ok_or_else(|| self.not_connected(rerun.from))?.map)
    }

    /// Walks the tape of a score back to the layers that it started at, of which `from` is the first. Images do not mix, so the
    /// gradient of the sum holds the gradient of each.
    fn backward(&self, score: Tensor<1>, from: usize, readers: &[GradReader]) -> Vec<Option<LayerGradient>> {
        if !score.is_tracked() {
            return vec![None; readers.len()];
        }
        self.count_work(self.pass.batch(), self.trace.share_after(&self.layers[from].name, None));
        let mut gradients = score.sum().backward();
        readers.iter().map(|read| read(&mut gradients)).collect()
    }

    fn not_connected(&self, layer: usize) -> Error {
        Error::NotConnected { layer: self.layers[layer].name.clone() }
    }

    /// Returns how many copies one pass from a layer on carries.
    fn copies_per_pass(&self, from: &str) -> usize {
        let input_values = self.pass.input().dims()[1..].iter().product();
        self.settings.budget.copies_of(self.trace.bytes_per_copy(from, self.pass.batch(), input_values))
    }

    /// Counts a pass of so many images through a share of the network.
    fn count_work(&self, images: usize, share: f64) {
        self.work.set(self.work.get() + images as f64 * share);
    }
}
