//! The explainer: layers, methods and targets in, maps out; the trunk of the network is run once.

use crate::resize::{Sampling, resize};
use crate::seen::Seen;
use crate::session::Session;
use crate::tap::Asked;
use crate::{Combine, Error, GradCam, Input, LayerInfo, Method, Model, Rectify, Scale, Taps, Target};
use crate::{Warning, projection};
use burn::Tensor;
use burn::tensor::Int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Explains the scores of a model.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Explainer, GradCam, Nchw, Taps, Top};
///
/// // A model: two classes, the brightness of the first and of the second channel.
/// let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("features", Nchw, || images);
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// // An image whose first channel is bright at one place.
/// let image = Tensor::from_floats([[[[0., 9.], [0., 0.]], [[1., 1.], [1., 1.]]]], &Device::flex());
///
/// let found = Explainer::new(&model).layer("features").method(GradCam).explain(image, &Top)?;
/// let heat: Vec<f32> = found.maps[0].heat.to_data().try_to_vec().unwrap();
/// assert_eq!(heat, [0., 1., 0., 0.]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub struct Explainer<'m, M> {
    model: &'m M,
    layers: Vec<String>,
    methods: Vec<Box<dyn Method>>,
    eigen_smooth: bool,
    rectify: Rectify,
    scale: Scale,
    copies: usize,
    progress: Option<Box<dyn Fn(Progress) + Send + Sync>>,
    checked: AtomicBool,
}

/// How far a long method is: passes done of all for one map of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Copies scored.
    pub done: usize,
    /// Copies to score.
    pub total: usize,
}

impl<'m, M> Explainer<'m, M> {
    /// An explainer of this model, with Grad-CAM where no method is named.
    pub fn new(model: &'m M) -> Self {
        Self {
            model,
            layers: Vec::new(),
            methods: Vec::new(),
            eigen_smooth: false,
            rectify: Rectify::default(),
            scale: Scale::default(),
            copies: 32,
            progress: None,
            checked: AtomicBool::new(false),
        }
    }

    /// Looks at this layer too.
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.layers.contains(&name) {
            self.layers.push(name);
        }
        self
    }

    /// Uses this method too.
    pub fn method(mut self, method: impl Method + 'static) -> Self {
        self.methods.push(Box::new(method));
        self
    }

    /// Combines the channels of every method by their first principal component instead of their sum.
    pub fn eigen_smooth(mut self, on: bool) -> Self {
        self.eigen_smooth = on;
        self
    }

    /// Which sign of the evidence is kept: the positive, where nothing is said.
    pub fn rectify(mut self, rectify: Rectify) -> Self {
        self.rectify = rectify;
        self
    }

    /// What 0 and 1 stand for: the least and the highest value of each map, where nothing is said.
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// How many edited copies of an image one pass carries (32 where nothing is said): more is faster, and takes more
    /// memory.
    pub fn copies(mut self, copies: usize) -> Self {
        self.copies = copies.max(1);
        self
    }

    /// Is told how far a method with many passes is.
    pub fn on_progress(mut self, report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Explains one target: [`explain_each`](Self::explain_each) with a list of one.
    pub fn explain<I, O>(&self, input: I, target: &dyn Target<O>) -> Result<Explanation<I::Map, O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        self.explain_each(input, &[target])
    }

    /// Explains several targets of the same images. The maps come a target at a time, in it a layer, in it a method.
    ///
    /// The forward pass is run once for all of them; further targets and ablations run only the part after the layer.
    /// Everything stays on the device of the model.
    ///
    /// # Errors
    /// What is wrong with the taps, the layers or the targets; [`Error::TrainingMode`] and [`Error::TrainingDevice`] when
    /// the model is not in inference (looked at in the first call).
    pub fn explain_each<I, O>(
        &self,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        let grid = input.grid();
        let shape = [&[input.batch()], grid.as_slice()].concat();
        if shape.contains(&0) {
            return Err(Error::EmptyInput { shape });
        }
        let checked = self.checked.load(Ordering::Relaxed);
        let record = targets.len() > 1 || !checked;
        let started = Instant::now();
        let mut session = Session::start(self.model, &self.layers, input, record)?;
        let forward = started.elapsed();
        session.copies = self.copies;
        session.progress = self.progress.as_deref();
        session.goals =
            targets.iter().map(|target| target.resolve(&session.output)).collect::<Result<_, _>>()?;
        if !checked && !targets.is_empty() {
            session.check_inference()?;
            self.checked.store(true, Ordering::Relaxed);
        }

        let default: [Box<dyn Method>; 1] = [Box::new(GradCam)];
        let methods = if self.methods.is_empty() { &default[..] } else { &self.methods };
        let mut maps = Vec::new();
        for target in 0..targets.len() {
            for name in &self.layers {
                let layer = session
                    .watched
                    .iter()
                    .position(|seen| seen.name == *name)
                    .expect("every layer was watched");
                for method in methods {
                    let seen = Seen { passes: &session, layer, target };
                    let combine = if self.eigen_smooth { Combine::FirstComponent } else { method.combine() };
                    let raw = combined(combine, method.weights(&seen)?, seen.activation())?;
                    let from = &session.watched[layer].grid;
                    let kept = self.rectify.apply(raw.clone());
                    let heat = self.scale.apply(resize(kept.clone(), from, &grid, Sampling::HalfPixel));
                    maps.push(Maps {
                        layer: name.clone(),
                        method: method.name(),
                        target,
                        classes: session.goals[target].classes().cloned(),
                        scores: seen.score()?,
                        health: health(&raw, &kept),
                        raw: I::to_map(raw, from),
                        heat: I::to_map(heat, &grid),
                    });
                }
            }
        }
        Ok(Explanation { output: session.output, maps, forward })
    }
}

/// The layers that the forward pass of a model names, in the order in which they finish.
///
/// # Errors
/// What is wrong with the taps.
pub fn layers<I, O>(model: &impl Model<I, O>, input: I) -> Result<Vec<LayerInfo>, Error>
where
    I: Input,
{
    let taps = Taps::watch(Asked { attention: true, ..Asked::default() }, input.batch(), false, false);
    model.forward(input, &taps);
    let log = taps.into_log();
    log.trouble.map_or(Ok(log.layers), Err)
}

/// `[batch, positions]` from weights that broadcast over the activation `[batch, channels, positions]`.
fn combined(combine: Combine, weights: Tensor<3>, activation: Tensor<3>) -> Result<Tensor<2>, Error> {
    let [batch, channels, positions] = activation.dims();
    match combine {
        Combine::FirstComponent => projection::first_component(weights * activation),
        Combine::Sum => {
            let map = if weights.dims() == [batch, channels, 1] {
                weights.swap_dims(1, 2).matmul(activation)
            } else {
                (weights * activation).sum_dim(1)
            };
            Ok(map.reshape([batch, positions]))
        }
    }
}

/// `[batch, 3]`: zero where all is finite (NaN otherwise), the range of the raw map, the largest kept evidence.
fn health(raw: &Tensor<2>, kept: &Tensor<2>) -> Tensor<2> {
    let finite = (raw.clone() * 0.0).sum_dim(1);
    let range = raw.clone().max_dim(1) - raw.clone().min_dim(1);
    Tensor::cat(vec![finite, range, kept.clone().max_abs_dim(1)], 1)
}

/// The output of the model and the maps over its inputs; all of it is on the device until it is read.
pub struct Explanation<T = Tensor<3>, O = Tensor<2>> {
    /// The output of the model for the batch.
    pub output: O,
    /// The time that the forward pass took; on a device that computes in the background, the time to queue it.
    pub forward: Duration,
    /// One entry for each target, layer and method, in this order.
    pub maps: Vec<Maps<T>>,
}

/// The maps of a batch for one target, layer and method.
pub struct Maps<T = Tensor<3>> {
    /// The layer.
    pub layer: String,
    /// The method.
    pub method: &'static str,
    /// Which of the targets.
    pub target: usize,
    /// The class of each image, where the target is a class: `[batch]`.
    pub classes: Option<Tensor<1, Int>>,
    /// The score that is explained, of each image: `[batch]`.
    pub scores: Tensor<1>,
    /// The signed evidence at the resolution of the layer, unscaled: `[batch, height, width]`.
    pub raw: T,
    /// The map at the resolution of the input: rectified, resized, scaled. `[batch, height, width]`.
    pub heat: T,
    health: Tensor<2>,
}

impl<T> Maps<T> {
    /// What a reader of each map should know; empty where there is nothing to say.
    ///
    /// # Errors
    /// [`Error::Device`] when the numbers cannot be read.
    pub fn warnings(&self) -> Result<Vec<Vec<Warning>>, Error> {
        let numbers: Vec<f32> = self.health.try_to_vec_as()?;
        Ok(numbers.chunks_exact(3).map(|row| Warning::of(row[0] == 0.0, row[1], row[2])).collect())
    }
}
