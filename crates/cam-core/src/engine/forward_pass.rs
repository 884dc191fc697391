//! One forward pass, whatever the types of the model, its input and its output.

use crate::inspect::check_ready;
use crate::tap::{CaptureSpec, LayerTrace, Recording};
use crate::{Error, Goal, Input, Model, Rows, Taps};
use burn::Tensor;
use std::marker::PhantomData;

/// What a [`Session`](super::session::Session) runs: a model on a batch of inputs, and the targets it is asked for.
pub(crate) trait ForwardPass {
    /// Runs the model and returns the scores of its output. `values` replace those of the rows, `[rows, channels, positions]`.
    fn run(&self, rows: Rows, values: Option<Tensor<3>>, taps: &Taps<'_>) -> Result<Scores<'_>, Error>;

    /// Returns the input as a layer, `[batch, channels, positions]`.
    fn input(&self) -> Tensor<3>;

    /// Returns the sizes of the spatial axes of the input.
    fn grid(&self) -> &[usize];

    /// Returns the number of images.
    fn batch(&self) -> usize;
}

/// Gives the scores `[rows]` of one output for a target, by its index.
pub(crate) type Scores<'a> = Box<dyn Fn(usize) -> Result<Tensor<1>, Error> + 'a>;

/// A model and the batch of inputs that it runs on.
pub(crate) struct BoundModel<'a, M, I, O> {
    model: &'a M,
    input: I,
    grid: Vec<usize>,
    output: PhantomData<fn() -> O>,
}

impl<'a, M, I, O> BoundModel<'a, M, I, O>
where
    I: Input,
    M: Model<I, O>,
{
    /// Binds a model to an input, after checking that the one is in inference and the other is not empty.
    pub fn new(model: &'a M, input: I) -> Result<Self, Error> {
        check_ready(model, &input)?;
        Ok(Self { model, grid: input.grid(), input, output: PhantomData })
    }

    /// Runs the model. `values` replace those of the rows, `[rows, channels, positions]`.
    pub fn forward(&self, rows: Rows, values: Option<Tensor<3>>, taps: &Taps<'_>) -> Result<O, Error> {
        let input = match rows {
            Rows::All => self.input.clone(),
            Rows::Copies { image, copies } => {
                let input = self.input.copies(image, copies);
                self.model.prepare(&input)?;
                input
            }
        };
        let input = match values {
            Some(values) => input.with_layer(values),
            None => input,
        };
        Ok(self.model.forward(taps.capture_input(input), taps))
    }

    /// Runs the model once on all images and captures layers. With `tape`, starts the tape of gradients there; with `record`, keeps what
    /// replays need.
    pub fn first_pass(&self, spec: &CaptureSpec, tape: bool, record: bool) -> Result<(O, Recording), Error> {
        let taps = Taps::capture(spec, self.input.batch(), tape, record);
        let output = self.forward(Rows::All, None, &taps)?;
        let mut recording = taps.into_recording();
        if let Some(error) = recording.error {
            return Err(error);
        }
        let is_captured = |name: &String| recording.captured.iter().any(|layer| layer.name == *name);
        if let Some(name) = spec.names.iter().find(|name| !is_captured(name)) {
            let known = trace_layers(self.model, self.input.clone())?.names().map(String::from).collect();
            return Err(Error::UnknownLayer { asked: name.clone(), known });
        }
        let axes = self.grid.len();
        if let Some(layer) = recording.captured.iter().find(|layer| layer.grid.len() != axes) {
            let (layer, found) = (layer.name.clone(), layer.grid.len());
            return Err(Error::WrongGrid { layer, found, expected: axes });
        }
        recording.cache = recording.cache.up_to(&recording.captured);
        Ok((output, recording))
    }
}

/// A bound model and the targets that it is asked for.
pub(crate) struct ScoredModel<'a, M, I, O> {
    pub model: &'a BoundModel<'a, M, I, O>,
    pub goals: &'a [Goal<O>],
}

impl<M, I: Input, O> ScoredModel<'_, M, I, O> {
    /// Returns the score of an output for a target, `[rows]`.
    pub fn score(&self, output: &O, target: usize, rows: Rows) -> Result<Tensor<1>, Error> {
        self.goals[target].score_each(output, rows, self.model.input.batch())
    }
}

impl<M, I, O> ForwardPass for ScoredModel<'_, M, I, O>
where
    I: Input,
    M: Model<I, O>,
{
    fn run(&self, rows: Rows, values: Option<Tensor<3>>, taps: &Taps<'_>) -> Result<Scores<'_>, Error> {
        let output = self.model.forward(rows, values, taps)?;
        Ok(Box::new(move |target| self.score(&output, target, rows)))
    }

    fn input(&self) -> Tensor<3> {
        self.model.input.to_layer()
    }

    fn grid(&self) -> &[usize] {
        &self.model.grid
    }

    fn batch(&self) -> usize {
        self.model.input.batch()
    }
}

/// Lists the layers of a forward pass.
pub(crate) fn trace_layers<I, O>(model: &impl Model<I, O>, input: I) -> Result<LayerTrace, Error>
where
    I: Input,
{
    let spec = CaptureSpec { list_all: true, attention: true, ..CaptureSpec::default() };
    let taps = Taps::capture(&spec, input.batch(), false, false);
    model.forward(input, &taps);
    let recording = taps.into_recording();
    recording.error.map_or(Ok(recording.trace), Err)
}
