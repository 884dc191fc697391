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
