//! Which layer to look at, where nobody says.

use crate::read::{self, Reading, now};
use crate::seen::Passes;
use crate::session::Session;
use crate::tap::Asked;
use crate::{Error, Explainer, Input, LayerInfo, Method, Model, Rows, Taps, Target, layers};
use burn::Tensor;
use serde::{Deserialize, Serialize};

/// The last layer with a spatial grid to which a gradient comes: the deepest that can tell *where*. The last block of a
/// convolutional network; of a vision transformer the norm in front of the last attention, as behind it only the class
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
/// [`Error::NoLayer`] when there is none, and what is wrong with the taps or the target.
pub fn choose_layer<I, O, M>(model: &M, input: &I, target: &dyn Target<O>) -> Result<String, Error>
where
    I: Input,
    M: Model<I, O>,
{
    now(choose_layer_async(model, input, target))
}

/// As [`choose_layer`], without blocking: for event loops and browsers.
///
/// # Errors
/// As [`choose_layer`].
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
    for layer in known.iter().rev().filter(|layer| has_places(layer)) {
        if let Some(strongest) = strongest_gradient(model, &layer.name, input, target)?
            && read::numbers(strongest).await?[0] > 0.0
        {
            return Ok(layer.name.clone());
        }
    }
    Err(Error::NoLayer { known: known.into_iter().map(|layer| layer.name).collect() })
}

/// The largest magnitude of the gradient at a layer, `[1]`; `None` where the score does not depend on it.
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
    let asked = Asked::only(layer);
    let mut session = Session::start(model, &asked, input.clone(), true, false)?;
    session.goals = vec![target.resolve(&session.output)?];
    match session.gradient(0, 0) {
        Ok(gradient) => Ok(Some(gradient.abs().max())),
        Err(Error::NotConnected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a layer can tell one place from another.
fn has_places(layer: &LayerInfo) -> bool {
    !layer.attention && layer.grid.iter().product::<usize>() > 1
}

/// How well the map of a layer explains the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedLayer {
    /// The layer.
    pub layer: String,
    /// The mean score of the images.
    pub score: f32,
    /// The mean score of what the map keeps, image times heat.
    pub kept: f32,
    /// The mean score of what the map leaves, image times one less heat.
    pub left: f32,
}

impl RankedLayer {
    /// What the kept part scores above the left part: the more, the better the map.
    pub fn faithfulness(&self) -> f32 {
        self.kept - self.left
    }
}

/// All layers that have a grid, by how well the maps of a method explain the score; the best first.
///
/// One pass shows all layers; each costs two more, of the image in the light of its map and in its shadow.
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
/// As [`Explainer::explain`].
pub fn rank_layers<I, O, M>(
    model: &M,
    method: impl Method + 'static,
    input: I,
    target: &dyn Target<O>,
) -> Result<Vec<RankedLayer>, Error>
where
    I: Input,
    M: Model<I, O>,
{
    now(rank_layers_async(model, method, input, target))
}

/// As [`rank_layers`], without blocking.
///
/// # Errors
/// As [`rank_layers`].
pub async fn rank_layers_async<I, O, M>(
    model: &M,
    method: impl Method + 'static,
    input: I,
    target: &dyn Target<O>,
) -> Result<Vec<RankedLayer>, Error>
where
    I: Input,
    M: Model<I, O>,
{
    let mut explainer = Explainer::new(model).method(method);
    for layer in layers(model, input.clone())?.into_iter().filter(has_places) {
        explainer = explainer.layer(layer.name);
    }
    let run = explainer.run(input.clone(), &[target]).await?;
    let goal = &run.goals[0];
    let score_of = |weights: Tensor<2>| {
        let part = input.with_layer(input.to_layer() * weights.unsqueeze_dim(1));
        goal.score(&model.forward(part, &Taps::off()), Rows::All).mean()
    };
    let scores = run.maps.iter().map(|map| {
        let kept = score_of(map.heat.clone());
        let left = score_of(map.heat.clone().neg() + 1.0);
        Tensor::cat(vec![map.scores.clone().mean(), kept, left], 0)
    });
    let mut read = scores.fold(Reading::default(), Reading::add).read().await?;
    let mut ranked = Vec::new();
    for map in run.maps {
        let scores = read::floats(&mut read)?;
        ranked.push(RankedLayer { layer: map.layer, score: scores[0], kept: scores[1], left: scores[2] });
    }
    ranked.sort_by(|a, b| b.faithfulness().total_cmp(&a.faithfulness()));
    Ok(ranked)
}
