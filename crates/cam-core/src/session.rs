//! One batch under explanation: the first pass and what later passes need of it.

use crate::resize::{Sampling, resize};
use crate::seen::Passes;
use crate::tap::{Asked, Leaf, Memory, Replay, Watched};
use crate::{Error, Goal, Input, Model, Progress, Rows, Taps};
use burn::Tensor;
use std::cell::{OnceCell, RefCell};
use std::ops::Range;

pub(crate) struct Session<'a, M, I, O> {
    pub model: &'a M,
    pub input: I,
    pub output: O,
    pub goals: Vec<Goal<O>>,
    pub watched: Vec<Watched>,
    /// The names of the watched layers.
    pub layers: &'a [String],
    pub memory: OnceCell<Memory>,
    /// How many copies a pass carries at once.
    pub copies: usize,
    pub progress: Option<&'a (dyn Fn(Progress) + Send + Sync)>,
    /// Where the tape of the first pass starts, until a backward pass consumes it.
    tape: RefCell<Option<Vec<Leaf>>>,
    gradients: RefCell<Option<Gradients>>,
}

/// The gradients of all watched layers for one target.
struct Gradients {
    target: usize,
    layers: Vec<Option<Tensor<3>>>,
}

impl<'a, M, I, O> Session<'a, M, I, O>
where
    I: Input,
    M: Model<I, O>,
{
    /// The first pass: holds the layers, starts the tape, and with `record` remembers what replays need.
    pub fn start(model: &'a M, layers: &'a [String], input: I, record: bool) -> Result<Self, Error> {
        let asked = Asked { names: layers, ..Asked::default() };
        let taps = Taps::watch(asked, input.batch(), true, record);
        let output = model.forward(input.clone(), &taps);
        let mut log = taps.into_log();
        if let Some(trouble) = log.trouble {
            return Err(trouble);
        }
        let known = || log.layers.iter().map(|layer| layer.name.clone()).collect();
        if layers.is_empty() {
            return Err(Error::NoLayer { known: known() });
        }
        if let Some(asked) = layers.iter().find(|name| log.watched.iter().all(|seen| seen.name != **name)) {
            return Err(Error::UnknownLayer { asked: asked.clone(), known: known() });
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
            let _ = memory.set(log.memory);
        }
        let tape = log.watched.iter_mut().filter_map(|layer| layer.leaf.take()).collect();
        Ok(Self {
            model,
            input,
            output,
            goals: Vec::new(),
            watched: log.watched,
            layers,
            memory,
            copies: 1,
            progress: None,
            tape: RefCell::new(Some(tape)),
            gradients: RefCell::new(None),
        })
    }

    /// Refuses a model that computes another score while gradients are recorded: batch statistics, dropout.
    pub fn check_inference(&self) -> Result<(), Error> {
        let one = Rows::Copies { image: 0, copies: 1 };
        let output = self.replay(&self.watched[0].name, one, &|activation| activation, &[]).0;
        let plain = self.score_on(&output, 0, one)?;
        if plain.is_autodiff() {
            return Err(Error::TrainingDevice);
        }
        let plain: f32 = plain.try_into_scalar()?;
        let taped: f32 = self.score(0)?.narrow(0, 0, 1).try_into_scalar()?;
        // Both passes compute the same numbers, in another order at most; statistics of a batch are far off.
        let rounding = 0.01 * plain.abs().max(taped.abs()) + 1e-5;
        let same = (plain - taped).abs() <= rounding || !plain.is_finite();
        if same { Ok(()) } else { Err(Error::TrainingMode { plain, taped }) }
    }

    /// Runs what comes after `from`, and with `watch` starts a tape at those layers.
    fn replay(
        &self,
        from: &str,
        rows: Rows,
        edit: &dyn Fn(Tensor<3>) -> Tensor<3>,
        watch: &[String],
    ) -> (O, Vec<Leaf>) {
        let input = match rows {
            Rows::All => self.input.clone(),
            Rows::Copies { image, copies } => self.input.copies(image, copies),
        };
        let taps = Taps::replay(
            Replay { memory: self.memory(), from, rows, edit, exit: None },
            Asked { names: watch, ..Asked::default() },
        );
        let output = self.model.forward(input, &taps);
        (output, taps.into_log().watched.into_iter().filter_map(|layer| layer.leaf).collect())
    }

    /// What the layers gave, recorded when first needed.
    fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| {
            let asked = Asked { names: self.layers, ..Asked::default() };
            let taps = Taps::watch(asked, self.input.batch(), false, true);
            self.model.forward(self.input.clone(), &taps);
            taps.into_log().memory
        })
    }

    /// The score of one target, still on the tape.
    fn score_on(&self, output: &O, target: usize, rows: Rows) -> Result<Tensor<1>, Error> {
        let score = self.goals[target].score(output, rows);
        let expected = match rows {
            Rows::All => self.input.batch(),
            Rows::Copies { copies, .. } => copies,
        };
        match score.dims() {
            [found] if found != expected => Err(Error::ScoreCount { found, expected }),
            _ => Ok(score),
        }
    }

    /// Scores `[batch, copies]`, gathered a chunk of copies of one image at a time.
    fn in_chunks(
        &self,
        copies: usize,
        scores: impl Fn(usize, Range<usize>) -> Result<Tensor<1>, Error>,
    ) -> Result<Tensor<2>, Error> {
        let batch = self.input.batch();
        let mut found = Vec::new();
        for image in 0..batch {
            for start in (0..copies).step_by(self.copies) {
                let end = copies.min(start + self.copies);
                found.push(scores(image, start..end)?.inner());
                if let Some(report) = self.progress {
                    report(Progress { done: image * copies + end, total: batch * copies });
                }
            }
        }
        Ok(Tensor::cat(found, 0).reshape([batch, copies]))
    }
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
        let mut held = self.gradients.borrow_mut();
        if held.as_ref().is_none_or(|held| held.target != target) {
            let (score, leaves) = match self.tape.take() {
                Some(leaves) => (self.score_on(&self.output, target, Rows::All)?, leaves),
                None => {
                    let (output, leaves) =
                        self.replay(&self.watched[0].name, Rows::All, &|activation| activation, self.layers);
                    (self.score_on(&output, target, Rows::All)?, leaves)
                }
            };
            let layers = if score.is_tracked() {
                // Images do not mix, so the gradient of the sum holds the gradient of each.
                let mut gradients = score.sum().backward();
                leaves.iter().map(|leaf| leaf(&mut gradients)).collect()
            } else {
                vec![None; leaves.len()]
            };
            *held = Some(Gradients { target, layers });
        }
        let found = held.as_ref().and_then(|held| held.layers[layer].clone());
        found.ok_or_else(|| Error::NotConnected { layer: self.watched[layer].name.clone() })
    }

    fn score(&self, target: usize) -> Result<Tensor<1>, Error> {
        Ok(self.score_on(&self.output, target, Rows::All)?.inner())
    }

    fn scores_of_edited(
        &self,
        layer: usize,
        target: usize,
        copies: usize,
        edit: &dyn Fn(Tensor<3>, Range<usize>) -> Tensor<3>,
    ) -> Result<Tensor<2>, Error> {
        self.in_chunks(copies, |image, range| {
            let rows = Rows::Copies { image, copies: range.len() };
            let edit = |activation| edit(activation, range.clone());
            let output = self.replay(&self.watched[layer].name, rows, &edit, &[]).0;
            self.score_on(&output, target, rows)
        })
    }

    fn scores_of_masked(
        &self,
        layer: usize,
        target: usize,
        masks: Tensor<3>,
        sampling: Sampling,
        finish: &dyn Fn(Tensor<2>) -> Tensor<2>,
    ) -> Result<Tensor<2>, Error> {
        let [_, count, positions] = masks.dims();
        let grid = self.input.grid();
        self.in_chunks(count, |image, range| {
            let rows = Rows::Copies { image, copies: range.len() };
            let chunk = masks.clone().slice([image..image + 1, range.clone(), 0..positions]);
            let from = &self.watched[layer].grid;
            let chunk = resize(chunk.reshape([range.len(), positions]), from, &grid, sampling);
            let output = self.model.forward(self.input.masked(image, finish(chunk)), &Taps::off());
            self.score_on(&output, target, rows)
        })
    }
}
