//! Which layers a model has, which one to explain by default, and how well the maps of each explain the score.

use crate::engine::budget::Budget;
use crate::engine::forward_pass::{BoundModel, ScoredModel, trace_layers};
use crate::engine::read::{self, Reading};
use crate::engine::session::{Session, Settings};
use crate::inspect::check_ready;
use crate::post::resize::Resizer;
use crate::tap::CaptureSpec;
use crate::{Error, Explain, Explainer, Input, LayerInfo, Method, Model, Rows, Taps, Target, block_on};
use burn::Tensor;
use serde::{Deserialize, Serialize};

/// Lists the layers that the forward pass of a model names, in the order in which they finish.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Nchw, Taps, layers};
///
/// # let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     let x = taps.layer("edges", Nchw, || images.clone() - images.clone().mean_dims(&[2, 3]));
/// #     let x = taps.layer("features", Nchw, || x.square());
/// #     x.mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// # let images = Tensor::<4>::from_floats([[[[1.0, 5.0], [1.0, 1.0]], [[1.0, 1.0], [4.0, 1.0]]]], &Device::flex());
/// let names: Vec<String> = layers(&model, images)?.into_iter().map(|layer| layer.name).collect();
/// assert_eq!(names, ["edges", "features"]);
/// # Ok::<(), cam_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::EmptyInput`], [`Error::TrainingMode`], [`Error::TrainingDevice`], and what is wrong with the taps.
pub fn layers<I, O>(model: &impl Model<I, O>, input: I) -> Result<Vec<LayerInfo>, Error>
where
    I: Input,
{
    check_ready(model, &input)?;
    Ok(trace_layers(model, input)?.layers)
}

/// Chooses the last layer that has a spatial grid and a gradient: the deepest layer that shows *where*. This is the last block of a
/// convolutional network, and the norm before the last attention of a vision transformer, because after it only the class
/// token counts.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Nchw, Taps, Top, choose_layer};
///
/// # let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     let x = taps.layer("edges", Nchw, || images.clone() - images.clone().mean_dims(&[2, 3]));
/// #     let x = taps.layer("features", Nchw, || x.square());
/// #     x.mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// # let images = Tensor::<4>::from_floats([[[[1.0, 5.0], [1.0, 1.0]], [[1.0, 1.0], [4.0, 1.0]]]], &Device::flex());
/// assert_eq!(choose_layer(&model, &images, &Top)?, "features");
/// # Ok::<(), cam_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::NoLayer`] if there is none, [`Error::NonFinite`] if the score is NaN or infinite, and what is wrong with the taps or the
/// target.
pub fn choose_layer<I, O, M>(model: &M, input: &I, target: &dyn Target<O>) -> Result<String, Error>
where
    I: Input,
    M: Model<I, O>,
{
    block_on(choose_layer_async(model, input, target))
}

/// Like [`choose_layer`], without blocking: for event loops and browsers.
///
/// # Errors
/// Those of [`choose_layer`].
pub async fn choose_layer_async<I, O, M>(
    model: &M,
    input: &I,
    target: &dyn Target<O>,
) -> Result<String, Error>
where
    I: Input,
    M: Model<I, O>,
{
    let known = layers(model, input.clone())?;
    for layer in known.iter().rev().filter(|layer| has_positions(layer)) {
        let Some(strongest) = strongest_gradient(model, &layer.name, input, target)? else { continue };
        let [gradient, score] = read::read_floats(strongest).await?[..] else { continue };
        // Where the score is not finite, no gradient is above zero, of whatever layer.
        if !score.is_finite() {
            return Err(Error::NonFinite { what: "the score that is explained".into() });
        }
        if gradient > 0.0 {
            return Ok(layer.name.clone());
        }
    }
    Err(Error::NoLayer { known: known.into_iter().map(|layer| layer.name).collect() })
}

/// Chooses the layers that feed a prediction at a place, such as a box: those where its gradient spreads.
///
/// A head predicts each place on its own, so at its layers the gradient of one prediction is at one position: a map of it shows no more than
/// where the prediction was made. The layer that is chosen is by default the last one where the gradient reaches enough positions (if it nowhere
/// does, where it reaches most): see [`Levels`]. Where another grid feeds the prediction beside it (a pyramid whose levels are read together), its
/// last such layer is chosen as well, if its evidence, the gradient times the activation, is at least a quarter of the strongest.
///
/// One pass captures all layers, and one backward pass finds the gradients.
///
/// # Errors
/// Those of [`choose_layer`].
pub async fn choose_levels_async<I, O, M>(
    model: &M,
    input: &I,
    targets: &[&dyn Target<O>],
    choice: Levels,
) -> Result<Vec<Vec<String>>, Error>
where
    I: Input,
    M: Model<I, O>,
{
    let known = layers(model, input.clone())?;
    let axes = input.grid().len();
    let fits = |layer: &&LayerInfo| has_positions(layer) && layer.grid.len() == axes;
    let candidates: Vec<&LayerInfo> = known.iter().filter(fits).collect();
    let no_layer = || Error::NoLayer { known: known.iter().map(|layer| layer.name.clone()).collect() };
    if candidates.is_empty() {
        return Err(no_layer());
    }
    let names = candidates.iter().map(|layer| layer.name.clone()).collect();
    let spec = CaptureSpec { names, ..CaptureSpec::default() };
    let model = BoundModel::new(model, input.clone())?;
    let (output, recording) = model.first_pass(&spec, true, targets.len() > 1)?;
    let goals = targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<_>, _>>()?;
    let scored = ScoredModel { model: &model, goals: &goals };
    let plain = |target| scored.score(&output, target, Rows::All);
    let settings = Settings { budget: Budget::default(), resizer: &Resizer::default(), progress: None };
    let session = Session::new(&scored, &spec, recording, (goals.len(), &plain), settings)?;
    let mut chosen = Vec::new();
    for target in 0..goals.len() {
        let mut reading = Reading::default().add(session.score(target).sum());
        let mut found = Vec::new();
        for (index, layer) in candidates.iter().enumerate() {
            let Some(place) = session.layer_index(&layer.name) else { continue };
            let Ok(gradient) = session.gradient(place, target) else { continue };
            let strongest = gradient.clone().abs().max_dim(1).max_dim(0);
            let least = strongest.clone().max_dim(2) * FAINT;
            let reached = strongest.clone().greater(least.expand(strongest.dims())).float().sum();
            let evidence = (gradient * session.layers[place].activation.clone()).sum_dim(1).abs().sum();
            reading = reading.add(Tensor::cat(vec![reached, evidence], 0));
            found.push(index);
        }
        let mut data = reading.read().await?;
        if !read::floats(&mut data)?[0].is_finite() {
            return Err(Error::NonFinite { what: "the score that is explained".into() });
        }
        let mut reached: Vec<(&LayerInfo, [f32; 2])> = Vec::new();
        for index in found {
            let numbers = read::floats(&mut data)?;
            reached.push((candidates[index], [numbers[0], numbers[1]]));
        }
        // Where the gradient spreads nowhere as far, as in a small network, it is where it spreads most.
        let most = reached.iter().map(|(_, [positions, _])| *positions).fold(0.0, f32::max);
        let least = most.min(choice.reach() as f32).max(1.0);
        let levels: Vec<(&LayerInfo, f32)> = reached
            .iter()
            .filter(|(_, [positions, _])| *positions >= least)
            .map(|(layer, [_, evidence])| (*layer, *evidence))
            .collect();
        let names = match choice {
            Levels::Reached(_) => levels_of(&levels),
            Levels::Coarsest => coarsest_of(&levels),
        };
        if names.is_empty() {
            return Err(no_layer());
        }
        chosen.push(names);
    }
    Ok(chosen)
}

/// Which layers [`choose_levels_async`] chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// The last one where the gradient reaches so many positions, and those of other grids that are read beside it.
    Reached(usize),
    /// The last one with the coarsest grid: the bottleneck of a segmentation.
    Coarsest,
}

impl Levels {
    fn reach(self) -> usize {
        match self {
            Self::Reached(positions) => positions,
            Self::Coarsest => 1,
        }
    }
}

/// Below which share of the strongest gradient a position is not reached.
const FAINT: f32 = 1e-3;

/// From which share of the strongest evidence on another level of a pyramid is taken as well.
const SHARE: f32 = 0.25;

/// Returns the last of the layers with the coarsest grid.
fn coarsest_of(layers: &[(&LayerInfo, f32)]) -> Vec<String> {
    let positions = |(layer, _): &&(&LayerInfo, f32)| layer.grid.iter().product::<usize>();
    let last = layers.iter().rev().min_by_key(positions);
    last.map(|(layer, _)| layer.name.clone()).into_iter().collect()
}

/// Returns the last of these layers, and those of other grids beside it: they finish after the coarsest grid of all is first reached.
fn levels_of(layers: &[(&LayerInfo, f32)]) -> Vec<String> {
    let positions = |layer: &LayerInfo| layer.grid.iter().product::<usize>();
    let Some((last, _)) = layers.last() else { return Vec::new() };
    let coarsest = layers.iter().map(|(layer, _)| positions(layer)).min().unwrap_or_default();
    let beside = layers.iter().skip_while(|(layer, _)| positions(layer) != coarsest);
    let mut levels: Vec<(&LayerInfo, f32)> = Vec::new();
    for (layer, evidence) in beside {
        match levels.iter_mut().find(|(other, _)| other.grid == layer.grid) {
            Some(level) => *level = (layer, *evidence),
            None => levels.push((layer, *evidence)),
        }
    }
    let strongest = levels.iter().map(|(_, evidence)| *evidence).fold(0.0, f32::max);
    levels.retain(|(layer, evidence)| layer.name == last.name || *evidence >= SHARE * strongest);
    levels.into_iter().map(|(layer, _)| layer.name.clone()).collect()
}

/// Returns the largest magnitude of the gradient at a layer and the sum of the scores, `[2]`; `None` if they do not depend on it.
fn strongest_gradient<I, O, M>(
    model: &M,
    layer: &str,
    input: &I,
    target: &dyn Target<O>,
) -> Result<Option<Tensor<1>>, Error>
where
    I: Input,
    M: Model<I, O>,
{
    let spec = CaptureSpec::layer(layer);
    let model = BoundModel::new(model, input.clone())?;
    let (output, recording) = model.first_pass(&spec, true, false)?;
    let goals = [target.resolve(&output)?];
    let scored = ScoredModel { model: &model, goals: &goals };
    let plain = |target| scored.score(&output, target, Rows::All);
    let settings = Settings { budget: Budget::default(), resizer: &Resizer::default(), progress: None };
    match Session::new(&scored, &spec, recording, (1, &plain), settings)?.gradient(0, 0) {
        Ok(gradient) => Ok(Some(Tensor::cat(vec![gradient.abs().max(), plain(0)?.sum()], 0))),
        Err(Error::NotConnected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a layer has more than one position.
fn has_positions(layer: &LayerInfo) -> bool {
    !layer.attention && layer.grid.iter().product::<usize>() > 1
}

/// How well the map of a layer explains the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankedLayer {
    /// The layer.
    pub layer: String,
    /// The mean score of the images.
    pub score: f32,
    /// The mean score of what the map keeps, the image times the heatmap.
    pub kept: f32,
    /// The mean score of what the map leaves out, the image times one minus the heatmap.
    pub left: f32,
}

impl RankedLayer {
    /// Returns by how much the kept part scores higher than the part left out: the more, the better the map.
    pub fn faithfulness(&self) -> f32 {
        self.kept - self.left
    }
}

/// Ranks all layers that have a grid by how well the maps of a method explain the score; the best comes first.
///
/// One pass captures all layers; each costs two more, of the part of the image that its map keeps and of the part that it leaves out.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{GradCam, Nchw, Taps, Top, rank_layers};
///
/// # let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     let x = taps.layer("edges", Nchw, || images.clone() - images.clone().mean_dims(&[2, 3]));
/// #     let x = taps.layer("features", Nchw, || x.square());
/// #     x.mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// # let images = Tensor::<4>::from_floats([[[[1.0, 5.0], [1.0, 1.0]], [[1.0, 1.0], [4.0, 1.0]]]], &Device::flex());
/// let ranked = rank_layers(&model, GradCam, images, &Top)?;
/// assert_eq!(ranked.len(), 2);
/// assert!(ranked[0].faithfulness() >= ranked[1].faithfulness());
/// # Ok::<(), cam_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`Explain::explain`].
pub fn rank_layers<I, O, M>(
    model: &M,
    method: impl Method + 'static,
    input: I,
    target: &dyn Target<O>,
) -> Result<Vec<RankedLayer>, Error>
where
    I: Input,
    O: 'static,
    M: Model<I, O>,
{
    block_on(rank_layers_async(model, method, input, target))
}

/// Like [`rank_layers`], without blocking.
///
/// # Errors
/// Those of [`rank_layers`].
pub async fn rank_layers_async<I, O, M>(
    model: &M,
    method: impl Method + 'static,
    input: I,
    target: &dyn Target<O>,
) -> Result<Vec<RankedLayer>, Error>
where
    I: Input,
    O: 'static,
    M: Model<I, O>,
{
    let mut explainer = Explainer::new(model).method(method);
    for layer in layers(model, input.clone())?.into_iter().filter(has_positions) {
        explainer = explainer.layer(layer.name);
    }
    let run = Explain::run(&explainer, input.clone(), &[target]).await?;
    let goal = &run.goals[0];
    let score_of = |weights: Tensor<2>| {
        let part = input.with_layer(input.to_layer() * weights.unsqueeze_dim(1));
        goal.score(&model.forward(part, &Taps::off()), Rows::All).mean()
    };
    let scores = run.maps.iter().map(|map| {
        let kept = score_of(map.heatmap.clone());
        let left = score_of(map.heatmap.clone().neg() + 1.0);
        Tensor::cat(vec![map.scores.clone().mean(), kept, left], 0)
    });
    let mut data = scores.fold(Reading::default(), Reading::add).read().await?;
    let mut ranked = Vec::new();
    for map in run.maps {
        let scores = read::floats(&mut data)?;
        ranked.push(RankedLayer { layer: map.layer, score: scores[0], kept: scores[1], left: scores[2] });
    }
    ranked.sort_by(|a, b| b.faithfulness().total_cmp(&a.faithfulness()));
    Ok(ranked)
}
