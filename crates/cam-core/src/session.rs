//! One batch under explanation: the first pass and what later passes need of it.

use crate::course::Course;
use crate::explainer::course;
use crate::inspect::ready;
use crate::read::{Checks, Judge};
use crate::resize::{Resizer, Sampling};
use crate::seen::{Edit, Finish, Passes, Round};
use crate::tap::{Asked, Gates, INPUT, Leaf, Memory, Replay, Watched};
use crate::{Alike, Chunk, Error, Goal, Input, LayerInfo, Model, Progress, Rows, Taps};
use burn::Tensor;
use burn::tensor::DType;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct Session<'a, M, I, O> {
    pub model: &'a M,
    pub input: I,
    pub output: O,
    pub goals: Vec<Goal<O>>,
    pub watched: Vec<Watched>,
    /// The layers that the first pass named.
    course: Course,
    asked: &'a Asked,
    memory: OnceCell<Memory>,
    /// How much the copies of a pass may take, in bytes, and how many there may be.
    pub budget: Budget,
    pub resizer: Arc<Resizer>,
    pub progress: Option<&'a (dyn Fn(Progress) + Send + Sync)>,
    /// Where the tape of the first pass starts, until a backward pass consumes it.
    tape: RefCell<Option<Vec<Leaf>>>,
    gradients: RefCell<Option<Gradients>>,
    /// Whether a method asked for a gradient.
    walked: Cell<bool>,
    /// What is judged once everything is queued.
    pub checks: RefCell<Checks>,
    /// Scores of changed copies, for each target.
    scores: RefCell<HashMap<Round, Vec<Tensor<2>>>>,
    /// What has been run, in forward passes of one image.
    work: Cell<f64>,
    /// Whether a part of the network was run again.
    replayed: Cell<bool>,
    /// The layer that a replay did not come to.
    lost: RefCell<Option<Error>>,
}

/// How much the copies of a pass may take, in bytes, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub bytes: usize,
    pub copies: usize,
}

/// How much the copies of a pass take where nothing is said: 256 MiB, some ten copies of a picture in ResNet-50.
const MEMORY: usize = 256 << 20;

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MEMORY, copies: usize::MAX }
    }
}

impl Budget {
    /// How many copies of so many bytes a pass carries.
    pub fn fits(self, bytes: usize) -> usize {
        (self.bytes / bytes.max(1)).clamp(1, self.copies.max(1))
    }
}

/// The gradients of all watched layers for one target; `None` where the score does not depend on a layer.
struct Gradients {
    target: usize,
    layers: Vec<Option<Tensor<3>>>,
}

impl<'a, M, I, O> Session<'a, M, I, O>
where
    I: Input,
    M: Model<I, O>,
{
    /// The first pass: holds the layers, with `tape` starts the tape, and with `record` remembers what replays need.
    pub fn start(model: &'a M, asked: &'a Asked, input: I, tape: bool, record: bool) -> Result<Self, Error> {
        ready(model, &input)?;
        let taps = Taps::watch(asked, input.batch(), tape, record);
        let output = model.forward(held(&taps, asked, &input), &taps);
        let mut log = taps.into_log();
        if let Some(trouble) = log.trouble {
            return Err(trouble);
        }
        let is_watched = |name: &String| log.watched.iter().any(|seen| seen.name == *name);
        if let Some(name) = asked.names.iter().find(|name| !is_watched(name)) {
            let known = course(model, input)?.names().map(String::from).collect();
            return Err(Error::UnknownLayer { asked: name.clone(), known });
        }
        let axes = input.grid().len();
        if let Some(layer) = log.watched.iter().find(|layer| layer.grid.len() != axes) {
            return Err(Error::WrongGrid {
                layer: layer.name.clone(),
                found: layer.grid.len(),
                expected: axes,
            });
        }
        let memory = OnceCell::new();
        if record {
            let _ = memory.set(log.memory.until(&log.watched));
        }
        let leaves = log.watched.iter_mut().filter_map(|layer| layer.leaf.take()).collect();
        Ok(Self {
            model,
            work: Cell::new(input.batch() as f64),
            replayed: Cell::new(false),
            input,
            output,
            goals: Vec::new(),
            watched: log.watched,
            course: log.course,
            asked,
            memory,
            budget: Budget::default(),
            resizer: Arc::default(),
            progress: None,
            tape: RefCell::new(tape.then_some(leaves)),
            gradients: RefCell::new(None),
            walked: Cell::new(false),
            checks: RefCell::default(),
            scores: RefCell::default(),
            lost: RefCell::default(),
        })
    }

    /// Where a watched layer is, by its name.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.watched.iter().position(|seen| seen.name == name)
    }

    /// What has been run so far, in forward passes of the batch: a replay counts with the share of the layers that it runs, a
    /// backward walk as much as the forward one.
    pub fn passes(&self) -> f64 {
        self.work.get() / self.input.batch() as f64
    }

    /// Whether a method asked for a gradient. A tape that nobody walked is walked here: Burn keeps it for good otherwise.
    pub fn has_walked(&self) -> bool {
        if let Some(leaves) = self.tape.take() {
            // What it gives does not matter, and neither does an error of the target.
            let _ = self.backward(&self.output, 0, 0, leaves);
        }
        self.walked.get()
    }

    /// Whether a part of the network was run again since this was last asked.
    pub fn has_replayed(&self) -> bool {
        self.replayed.replace(false)
    }

    /// Notes what is run of the network for so many images.
    fn ran(&self, images: usize, share: f64) {
        self.work.set(self.work.get() + images as f64 * share);
    }

    /// Has a model refused that computes other scores while gradients are recorded, whatever its module says: batch statistics,
    /// dropout. All images are looked at, in passes of the same shapes, for which a device has the same kernels.
    pub fn check_inference(&self) -> Result<(), Error> {
        let output = self.replay(0, Rows::All, &|activation| activation, None, &Asked::default()).0;
        let plain = self.score_on(&output, 0, Rows::All)?;
        if plain.is_autodiff() {
            return Err(Error::TrainingDevice);
        }
        let taped = self.score(0)?;
        // What the layer adds to the score, place by place: their rounding is that of the score, however they cancel.
        let parts = match self.gradient_of(0, 0)? {
            Some(gradient) => {
                let product = gradient * self.watched[0].activation.clone();
                product.square().sum_dim(2).sum_dim(1).sqrt().reshape([self.input.batch()])
            }
            None => plain.zeros_like(),
        };
        let share = self.watched.iter().map(|layer| rounding(layer.dtype)).fold(0.0, f32::max);
        let numbers = [plain, taped, parts].map(|numbers| numbers.cast(DType::F32));
        self.check(
            Tensor::cat(numbers.into(), 0),
            Box::new(move |numbers| {
                let [plain, taped, parts] = thirds(numbers);
                are_same_scores(plain, taped, parts, share)
            }),
        );
        Ok(())
    }

    /// The gradient of a target at a watched layer, where it has one. The tape of the first pass is walked for the first.
    fn gradient_of(&self, layer: usize, target: usize) -> Result<Option<Tensor<3>>, Error> {
        let mut held = self.gradients.borrow_mut();
        if held.as_ref().is_none_or(|held| held.target != target) {
            let layers = match self.tape.take() {
                Some(leaves) => self.backward(&self.output, target, 0, leaves)?,
                None => {
                    let (output, leaves) =
                        self.replay(0, Rows::All, &|activation| activation, None, self.asked);
                    self.backward(&output, target, 0, leaves)?
                }
            };
            *held = Some(Gradients { target, layers });
        }
        Ok(held.as_ref().and_then(|held| held.layers.get(layer).cloned().flatten()))
    }

    /// Runs what comes after a watched layer, with its activation edited, to the end or to an exit, and starts a tape at
    /// the layers to watch.
    fn replay(
        &self,
        from: usize,
        rows: Rows,
        edit: &dyn Fn(Tensor<3>) -> Tensor<3>,
        exit: Option<&str>,
        watch: &Asked,
    ) -> (O, Vec<Leaf>) {
        self.replay_gated(from, rows, edit, exit, None, watch)
    }

    /// As [`replay`](Self::replay), with ReLUs that are noted or held to what was noted.
    fn replay_gated(
        &self,
        from: usize,
        rows: Rows,
        edit: &dyn Fn(Tensor<3>) -> Tensor<3>,
        exit: Option<&str>,
        gates: Option<&Gates>,
        watch: &Asked,
    ) -> (O, Vec<Leaf>) {
        let from = &self.watched[from].name;
        let (mut input, images) = match rows {
            Rows::All => (self.input.clone(), self.input.batch()),
            Rows::Copies { image, copies } => (self.input.copies(image, copies), copies),
        };
        self.replayed.set(true);
        self.ran(images, self.course.share(from, exit));
        let nothing = Memory::default();
        let memory = match from == INPUT {
            true => {
                input = input.with_layer(edit(input.to_layer()));
                &nothing
            }
            false => self.memory(),
        };
        let taps = Taps::replay(Replay { memory, from, rows, edit, gates, exit }, watch);
        let output = self.model.forward(held(&taps, watch, &input), &taps);
        let log = taps.into_log();
        if from != INPUT && !log.edited {
            let (expected, found) = (self.input.batch(), images);
            self.lost.replace(Some(Error::LostLayer { layer: from.clone(), expected, found }));
        }
        (output, log.watched.into_iter().filter_map(|layer| layer.leaf).collect())
    }

    /// Why what was found counts for nothing: a layer that was to be edited was not there.
    pub fn lost(&self) -> Result<(), Error> {
        self.lost.take().map_or(Ok(()), Err)
    }

    /// The output for copies of the first image with the activation of a watched layer edited.
    pub fn output_of_edited(&self, layer: usize, copies: usize, edit: &dyn Fn(Tensor<3>) -> Tensor<3>) -> O {
        self.replay(layer, Rows::Copies { image: 0, copies }, edit, None, &Asked::default()).0
    }

    /// What the layers gave, recorded when first needed.
    fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| {
            self.ran(self.input.batch(), 1.0);
            let taps = Taps::watch(self.asked, self.input.batch(), false, true);
            self.model.forward(self.input.clone(), &taps);
            taps.into_log().memory.until(&self.watched)
        })
    }

    /// The score of one target, still on the tape.
    fn score_on(&self, output: &O, target: usize, rows: Rows) -> Result<Tensor<1>, Error> {
        self.goals[target].score_each(output, rows, self.input.batch())
    }

    /// The gradients at the leaves of the score of an output, of which the layer `from` is the first. Images do not mix, so the
    /// gradient of the sum holds the gradient of each.
    fn backward(
        &self,
        output: &O,
        target: usize,
        from: usize,
        leaves: Vec<Leaf>,
    ) -> Result<Vec<Option<Tensor<3>>>, Error> {
        let score = self.score_on(output, target, Rows::All)?;
        if !score.is_tracked() {
            return Ok(vec![None; leaves.len()]);
        }
        self.ran(self.input.batch(), self.course.share(&self.watched[from].name, None));
        let mut gradients = score.sum().backward();
        Ok(leaves.iter().map(|leaf| leaf(&mut gradients)).collect())
    }

    /// The gradient of the one layer that a pass watched.
    fn one_gradient(
        &self,
        layer: usize,
        target: usize,
        (output, leaves): (O, Vec<Leaf>),
    ) -> Result<Tensor<3>, Error> {
        let found = self.backward(&output, target, layer, leaves)?.pop().flatten();
        found.ok_or_else(|| Error::NotConnected { layer: self.watched[layer].name.clone() })
    }

    /// How many copies a pass from a layer on carries at once.
    fn at_once(&self, from: &str) -> usize {
        let input: usize = self.input.to_layer().dims()[1..].iter().product();
        self.budget.fits(self.course.bytes_of_copy(from, self.input.batch(), input))
    }

    /// Scores `[batch, copies]` of one target; they are gathered for all targets, a chunk of copies of one image at a
    /// time, when a round is first asked for.
    fn in_chunks(
        &self,
        round: Round,
        target: usize,
        alike: &Alike,
        at_once: usize,
        output: impl Fn(usize, &Chunk<'_>) -> O,
    ) -> Result<Tensor<2>, Error> {
        if let Some(scores) = self.scores.borrow().get(&round) {
            return Ok(scores[target].clone());
        }
        let mut rows: Vec<Vec<Tensor<1>>> = vec![Vec::new(); self.goals.len()];
        let (mut done, total) = (0, alike.runs());
        let device = self.watched[round.0].activation.device();
        for image in 0..self.input.batch() {
            let mut found: Vec<Vec<Tensor<1>>> = vec![Vec::new(); self.goals.len()];
            for chunk in alike.chunks(image, at_once, &device) {
                self.model.prepare(&self.input.copies(image, chunk.numbers().len()))?;
                let output = output(image, &chunk);
                let copies = Rows::Copies { image, copies: chunk.numbers().len() };
                for (target, found) in found.iter_mut().enumerate() {
                    found.push(self.score_on(&output, target, copies)?.inner());
                }
                done += chunk.numbers().len();
                if let Some(report) = self.progress {
                    report(Progress { done, total });
                }
            }
            for (row, found) in rows.iter_mut().zip(found) {
                row.push(alike.to_each(image, Tensor::cat(found, 0)));
            }
        }
        let scores: Vec<Tensor<2>> = rows.into_iter().map(|rows| Tensor::stack(rows, 0)).collect();
        let asked = scores[target].clone();
        self.scores.borrow_mut().insert(round, scores);
        Ok(asked)
    }

    /// The block that an attention layer is part of: the outermost layer around it that holds no other attention.
    fn block_of(&self, layer: usize) -> Option<&str> {
        let within =
            |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        let name = &self.watched[layer].name;
        let attentions: Vec<&LayerInfo> = self.course.layers.iter().filter(|layer| layer.attention).collect();
        let alone = |block: &&str| {
            within(name, block) && attentions.iter().filter(|other| within(&other.name, block)).count() == 1
        };
        self.course.names().filter(alone).min_by_key(|name| name.len())
    }
}

/// How far scores with and without a tape may be apart, as a share of what they are made of: sixteen roundings (half a unit in the last
/// place) of a type of half precision, as a network of some dozen layers adds up; small networks are three to four apart.
///
/// In single precision devices multiply with 24 bits, and scores are up to 1.5e-6 apart, by the other order of sums in kernels that no
/// tape has; or with the ten bits of TF32, by the same kernels in both passes where shapes are the same. Four roundings to ten bits.
fn rounding(dtype: DType) -> f32 {
    match dtype {
        DType::BF16 => 16.0 / 256.0,
        DType::F16 => 16.0 / 2048.0,
        _ => 4.0 / 2048.0,
    }
}

/// Whether the scores without a tape are those with one. Both passes compute the same numbers, in another order at most, so what is
/// allowed is a share of the largest that the batch is made of: its scores and what the layer adds to them. There is no least
/// difference: scores may be as small as they like.
fn are_same_scores(plain: &[f32], taped: &[f32], parts: &[f32], share: f32) -> Result<(), Error> {
    let made_of = plain.iter().chain(parts).map(|number| number.abs()).filter(|number| number.is_finite());
    let limit = share * made_of.fold(0.0, f32::max);
    let same = |plain: f32, taped: f32| (plain - taped).abs() <= limit || !plain.is_finite();
    match plain.iter().zip(taped).position(|(plain, taped)| !same(*plain, *taped)) {
        Some(image) => Err(Error::UnlikeInference { image, plain: plain[image], taped: taped[image] }),
        None => Ok(()),
    }
}

/// Numbers of three kinds, as many of each.
fn thirds(numbers: &[f32]) -> [&[f32]; 3] {
    let each = numbers.len() / 3;
    [0, 1, 2].map(|kind| &numbers[kind * each..(kind + 1) * each])
}

/// The input as it goes into a pass: the first layer, where it is asked for.
fn held<I: Input>(taps: &Taps<'_>, asked: &Asked, input: &I) -> I {
    if asked.input() { taps.hold_input(input) } else { input.clone() }
}

impl<M, I, O> Passes for Session<'_, M, I, O>
where
    I: Input,
    M: Model<I, O>,
{
    fn activation(&self, layer: usize) -> Tensor<3> {
        self.watched[layer].activation.clone()
    }

    fn gradient(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error> {
        self.walked.set(true);
        let found = self.gradient_of(layer, target)?;
        found.ok_or_else(|| Error::NotConnected { layer: self.watched[layer].name.clone() })
    }

    fn score(&self, target: usize) -> Result<Tensor<1>, Error> {
        Ok(self.score_on(&self.output, target, Rows::All)?.inner())
    }

    fn gradient_of_edited(
        &self,
        layer: usize,
        target: usize,
        edit: &dyn Fn(Tensor<3>) -> Tensor<3>,
    ) -> Result<Tensor<3>, Error> {
        let watch = Asked::only(&self.watched[layer].name);
        self.one_gradient(layer, target, self.replay(layer, Rows::All, edit, None, &watch))
    }

    fn curvature(&self, layer: usize, target: usize, step: f32) -> Result<Tensor<3>, Error> {
        let watch = Asked::only(&self.watched[layer].name);
        let gates = Gates::default();
        self.replay_gated(layer, Rows::All, &|activation| activation, None, Some(&gates), &Asked::default());
        gates.close();
        let gradient = |factor: f32| {
            let edit = |activation| activation * factor;
            let pass = self.replay_gated(layer, Rows::All, &edit, None, Some(&gates), &watch);
            self.one_gradient(layer, target, pass)
        };
        let difference = |step: f32| -> Result<Tensor<3>, Error> {
            Ok((gradient(1.0 + step)? - gradient(1.0 - step)?) / (2.0 * step))
        };
        // What is left of order `step²` in both cancels (Richardson).
        Ok((difference(step)? * 4.0 - difference(2.0 * step)?) / 3.0)
    }

    fn gradient_at_exit(&self, layer: usize, target: usize) -> Result<Tensor<3>, Error> {
        let watch = Asked::only(&self.watched[layer].name);
        let exit = self.block_of(layer);
        let pass = self.replay(layer, Rows::All, &|activation| activation, exit, &watch);
        self.one_gradient(layer, target, pass)
    }

    fn under_noise(
        &self,
        layer: usize,
        target: usize,
        noise: &dyn Fn(&[usize; 3]) -> Tensor<3>,
    ) -> Result<[Tensor<3>; 2], Error> {
        let watch = Asked::only(&self.watched[layer].name);
        let values = self.input.to_layer();
        let noise = noise(&values.dims());
        let input = self.input.with_layer(values + noise);
        let taps = Taps::watch(&watch, input.batch(), true, false);
        let output = self.model.forward(held(&taps, &watch, &input), &taps);
        self.ran(input.batch(), 1.0);
        let mut watched = taps.into_log().watched;
        let leaves = watched.iter_mut().filter_map(|layer| layer.leaf.take()).collect();
        let gradient = self.one_gradient(layer, target, (output, leaves))?;
        Ok([watched[0].activation.clone(), gradient])
    }

    fn scores_of_edited(
        &self,
        round: Round,
        target: usize,
        alike: &Alike,
        edit: Edit<'_>,
    ) -> Result<Tensor<2>, Error> {
        let (layer, ..) = round;
        let at_once = self.at_once(&self.watched[layer].name);
        self.in_chunks(round, target, alike, at_once, |image, chunk| {
            let rows = Rows::Copies { image, copies: chunk.numbers().len() };
            self.replay(layer, rows, &|activation| edit(activation, chunk), None, &Asked::default()).0
        })
    }

    fn scores_of_masked(
        &self,
        round: Round,
        target: usize,
        masks: Tensor<3>,
        alike: &Alike,
        sampling: Sampling,
        finish: Finish<'_>,
    ) -> Result<Tensor<2>, Error> {
        let (grid, from) = (self.input.grid(), &self.watched[round.0].grid);
        self.in_chunks(round, target, alike, self.at_once(INPUT), |image, chunk| {
            let masks: Tensor<2> = masks.clone().narrow(0, image, 1).squeeze_dim(0);
            let masks = self.resizer.resize(chunk.of(masks), from, &grid, sampling);
            let picture = self.input.copies(image, 1).to_layer();
            let masked = picture * finish(masks, chunk).unsqueeze_dim(1);
            let copies = chunk.numbers().len();
            self.ran(copies, 1.0);
            self.model.forward(self.input.copies(image, copies).with_layer(masked), &Taps::off())
        })
    }

    fn resizer(&self) -> &Resizer {
        &self.resizer
    }

    fn check(&self, numbers: Tensor<1>, judge: Judge) {
        self.checks.borrow_mut().add(numbers, judge);
    }

    fn name(&self, layer: usize) -> &str {
        &self.watched[layer].name
    }

    fn biases(&self) -> Vec<(usize, Tensor<1>)> {
        let biased = |(place, layer): (usize, &Watched)| Some((place, layer.bias.clone()?));
        self.watched.iter().enumerate().filter_map(biased).collect()
    }

    fn attentions(&self) -> Vec<usize> {
        (0..self.watched.len()).filter(|layer| self.watched[*layer].attention.is_some()).collect()
    }

    fn attention(&self, layer: usize) -> Option<Tensor<4>> {
        self.watched[layer].attention.clone()
    }

    fn grid(&self, layer: usize) -> &[usize] {
        &self.watched[layer].grid
    }
}
