//! The explainer: layers, methods and targets in, maps out; the trunk of the network is run once.

use crate::course::Course;
use crate::explanation::{Flat, Health};
use crate::fusion::Fusion;
use crate::inspect::ready;
use crate::projection::first_component;
use crate::read::now;
use crate::resize::Resizer;
use crate::seen::{Passes, Seen};
use crate::session::{Budget, Session};
use crate::tap::{Asked, INPUT};
use crate::{
    Error, Explanation, Goal, GradCam, Input, LayerInfo, Method, Model, Rectify, Scale, Sight, Taps,
};
use crate::{Target, choice};
use burn::Tensor;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use web_time::Instant;

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
    /// What is used where no method is named.
    default: [Box<dyn Method>; 1],
    eigen_smooth: bool,
    rectify: Rectify,
    scale: Scale,
    fusion: Option<Fusion>,
    budget: Budget,
    resizer: Arc<Resizer>,
    progress: Option<Box<dyn Fn(Progress) + Send + Sync>>,
    checked: AtomicBool,
    /// Whether an earlier call asked for gradients: only then the first pass starts a tape.
    walks: AtomicBool,
    /// Whether an earlier call ran parts of the network again: the first pass then remembers what that needs.
    replays: AtomicBool,
    chosen: OnceLock<String>,
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
            default: [Box::new(GradCam)],
            eigen_smooth: false,
            rectify: Rectify::default(),
            scale: Scale::default(),
            fusion: None,
            budget: Budget::default(),
            resizer: Arc::default(),
            progress: None,
            checked: AtomicBool::new(false),
            walks: AtomicBool::new(false),
            replays: AtomicBool::new(false),
            chosen: OnceLock::new(),
        }
    }

    /// Looks at this layer too. Where none is named, the last one with a grid and a gradient is looked at (see
    /// [`choose_layer`](crate::choose_layer)); [`INPUT`](crate::INPUT) names the input itself.
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.layers.contains(&name) {
            self.layers.push(name);
        }
        self
    }

    /// Looks at this layer where none is named, in place of a search.
    pub fn layer_by_default(self, name: impl Into<String>) -> Self {
        Self { chosen: OnceLock::from(name.into()), ..self }
    }

    /// Uses this method too.
    pub fn method(mut self, method: impl Method + 'static) -> Self {
        self.methods.push(Box::new(method));
        self
    }

    /// Combines the channels of every method by their first principal component instead of their sum. Methods that combine
    /// them themselves stay as they are.
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

    /// Makes one map of all layers, in place of one a layer.
    pub fn fuse(mut self, fusion: Fusion) -> Self {
        self.fusion = Some(fusion);
        self
    }

    /// About how many bytes the changed copies of an image may take while a pass runs (256 MiB where nothing is said). Methods of
    /// many passes, as Ablation-CAM and Score-CAM, run them in chunks that fit, whatever the number of channels; one copy is
    /// always run. What a copy takes is estimated from the layers that the forward pass names; the model, its input and the
    /// layers that are looked at are not counted.
    ///
    /// More can be faster, on a device that is not filled by a few copies.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.budget.bytes = bytes;
        self
    }

    /// The most changed copies of an image that one pass carries, however little they take (as many as
    /// [`memory`](Self::memory) has room for, where nothing is said).
    pub fn copies(mut self, copies: usize) -> Self {
        self.budget.copies = copies.max(1);
        self
    }

    /// Is told how far a method with many passes is.
    pub fn on_progress(mut self, report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Explains one target: [`explain_each`](Self::explain_each) with a list of one.
    ///
    /// # Errors
    /// As [`explain_each`](Self::explain_each).
    pub fn explain<I, O>(&self, input: I, target: &dyn Target<O>) -> Result<Explanation<I::Map, O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        self.explain_each(input, &[target])
    }

    /// Explains several targets of the same images. The maps come a target at a time, in it a layer, in it a method; methods
    /// that look at the whole network come after the layers.
    ///
    /// The forward pass is run once for all of them; further targets and ablations run only the part after the layer.
    /// Everything stays on the device of the model.
    ///
    /// # Errors
    /// What is wrong with the taps, the layers or the targets; [`Error::TrainingMode`] and [`Error::TrainingDevice`] when
    /// the model is not in inference, before anything of it runs; [`Error::UnlikeInference`] when it says so in no flag and the
    /// first call finds it out.
    pub fn explain_each<I, O>(
        &self,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        now(self.explain_each_async(input, targets))
    }

    /// As [`explain`](Self::explain), without blocking: [`explain_each_async`](Self::explain_each_async) with a list of one.
    ///
    /// # Errors
    /// As [`explain_each`](Self::explain_each).
    pub async fn explain_async<I, O>(
        &self,
        input: I,
        target: &dyn Target<O>,
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        self.explain_each_async(input, &[target]).await
    }

    /// As [`explain_each`](Self::explain_each), without blocking: for event loops and browsers, whose devices cannot be waited for.
    /// What is awaited are the numbers that the first call and some methods look at; [`Explanation::read_async`] reads the maps. A
    /// method of one's own that reads blocks here, if it does not write [`Method::evidence_async`].
    ///
    /// The future is not `Send`: a call counts and remembers what it has run without locks, and targets need not be shareable. It stays
    /// on the thread that polls it (`block_on`, `spawn_local`); other threads explain with the same explainer at the same time.
    ///
    /// # Errors
    /// As [`explain_each`](Self::explain_each).
    pub async fn explain_each_async<I, O>(
        &self,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        Ok(self.run(input, targets).await?.explanation::<I>())
    }

    /// The maps, whatever the rank of the input.
    pub(crate) async fn run<I, O>(&self, input: I, targets: &[&dyn Target<O>]) -> Result<Run<O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        let grid = input.grid();
        let asked = self.asked(&input, targets).await?;
        let checked = self.checked.load(Ordering::Relaxed);
        let tape = !targets.is_empty() && (!checked || self.walks.load(Ordering::Relaxed));
        let record = targets.len() > 1 || !checked || self.replays.load(Ordering::Relaxed);
        let started = Instant::now();
        let mut session = Session::start(self.model, &asked, input, tape, record)?;
        let forward = started.elapsed();
        session.budget = self.budget;
        session.resizer = self.resizer.clone();
        session.progress = self.progress.as_deref();
        if let Some(place) =
            self.places(&session).find(|place| place.layer.is_none() && self.sees(place.sight))
        {
            return Err(place.nothing());
        }
        session.goals =
            targets.iter().map(|target| target.resolve(&session.output)).collect::<Result<_, _>>()?;
        if !checked && !targets.is_empty() {
            session.check_inference()?;
            session.has_replayed();
        }

        let maps = self.maps(&session, &grid).await;
        if session.has_walked() {
            self.walks.store(true, Ordering::Relaxed);
        }
        if session.has_replayed() {
            self.replays.store(true, Ordering::Relaxed);
        }
        session.lost()?;
        let mut maps = maps?;
        if let Some(fusion) = self.fusion {
            maps = fusion.of(maps, &grid, self.scale);
        }
        let (checks, passes) = (session.checks.take(), session.passes());
        // On a device that computes in the background all is queued: now it is looked at.
        checks.settle().await?;
        self.checked.fetch_or(!targets.is_empty(), Ordering::Relaxed);
        Ok(Run { output: session.output, goals: session.goals, forward, passes, grid, maps })
    }

    /// The maps of every target, in it of every layer, in it of every method.
    async fn maps<I, O>(&self, session: &Session<'_, M, I, O>, grid: &[usize]) -> Result<Vec<Flat>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        let mut maps = Vec::new();
        for target in 0..session.goals.len() {
            for place in self.places(session) {
                let methods = self.methods().iter().enumerate();
                for (number, method) in methods.filter(|(_, method)| method.sight() == place.sight) {
                    let seen = Seen {
                        passes: session,
                        layer: place.layer.ok_or_else(|| place.nothing())?,
                        target,
                        method: number,
                        rounds: Cell::new(0),
                    };
                    let goal = &session.goals[target];
                    maps.push(self.flat(&seen, method.as_ref(), place.name, goal, grid).await?);
                }
            }
        }
        Ok(maps)
    }

    /// The layers and kinds of layers that the methods look at.
    async fn asked<I, O>(&self, input: &I, targets: &[&dyn Target<O>]) -> Result<Asked, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        if let (true, Some(target)) = (self.has_to_choose(), targets.first()) {
            let chosen = choice::choose_layer_async(self.model, input, *target).await?;
            self.chosen.get_or_init(|| chosen);
        }
        Ok(Asked {
            names: self.names().to_vec(),
            biased: self.sees(Sight::Biases),
            attention: self.sees(Sight::Attention),
            listed: false,
        })
    }

    /// Whether a layer is looked at that nobody has named or chosen.
    fn has_to_choose(&self) -> bool {
        self.names().is_empty() && self.sees(Sight::Layer)
    }

    fn sees(&self, sight: Sight) -> bool {
        self.methods().iter().any(|method| method.sight() == sight)
    }

    /// The layers named, or the one chosen.
    fn names(&self) -> &[String] {
        if self.layers.is_empty() {
            self.chosen.get().map_or(&[], std::slice::from_ref)
        } else {
            &self.layers
        }
    }

    pub(crate) fn model(&self) -> &'m M {
        self.model
    }

    pub(crate) fn resizer(&self) -> &Resizer {
        &self.resizer
    }

    /// How many inputs like this one, of which there is one, a pass carries.
    pub(crate) fn at_once<I, O>(&self, input: I) -> Result<usize, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        let course = course(self.model, input.clone())?;
        Ok(self.budget.fits(course.bytes_of_copy(INPUT, 1, input.to_layer().dims()[1..].iter().product())))
    }

    /// Maps `[batch, positions]` in the scale of this explainer.
    pub(crate) fn scaled(&self, maps: Tensor<2>) -> Tensor<2> {
        self.scale.apply(maps)
    }

    fn methods(&self) -> &[Box<dyn Method>] {
        if self.methods.is_empty() { &self.default } else { &self.methods }
    }

    /// Where the methods look, in the order of the maps.
    fn places<'s, I, O>(&'s self, session: &'s Session<'_, M, I, O>) -> impl Iterator<Item = Place<'s>>
    where
        I: Input,
        M: Model<I, O>,
    {
        let layer = |name: &'s String| Place { name, sight: Sight::Layer, layer: session.place(name) };
        let biases = Place { name: "biases", sight: Sight::Biases, layer: session.place(INPUT) };
        let attention = Place {
            name: "attention",
            sight: Sight::Attention,
            layer: session.attentions().first().copied(),
        };
        self.names().iter().map(layer).chain([biases, attention])
    }

    /// The map of one method at one place for one target.
    async fn flat<O>(
        &self,
        seen: &Seen<'_>,
        method: &dyn Method,
        layer: &str,
        goal: &Goal<O>,
        grid: &[usize],
    ) -> Result<Flat, Error> {
        let evidence = method.evidence_async(seen).await?;
        let raw = match evidence.dims()[1] {
            channels if self.eigen_smooth && channels > 1 => first_component(evidence).await?,
            _ => evidence.sum_dim(1).squeeze_dim(1),
        };
        let kept = self.rectify.apply(raw.clone());
        let heat = self.scale.apply(seen.resized(kept.clone(), grid));
        let scores = seen.score()?;
        Ok(Flat {
            layer: layer.into(),
            method: method.name(),
            target: seen.target,
            classes: goal.classes().cloned(),
            health: Health::of(&raw, &kept, seen.activation(), &scores, goal.is_probability()),
            scores,
            raw,
            raw_grid: seen.grid().to_vec(),
            heat,
            spread: None,
        })
    }
}

/// Where a method looks.
struct Place<'a> {
    name: &'a str,
    sight: Sight,
    /// The watched layer, where there is one.
    layer: Option<usize>,
}

impl Place<'_> {
    /// Why there is no layer.
    fn nothing(&self) -> Error {
        match self.sight {
            Sight::Attention => Error::NoAttention,
            Sight::Biases => Error::NoBiases,
            Sight::Layer => Error::UnknownLayer { asked: self.name.into(), known: Vec::new() },
        }
    }
}

/// What a run of an explainer gives.
pub(crate) struct Run<O> {
    pub output: O,
    pub goals: Vec<Goal<O>>,
    pub forward: Duration,
    /// What was run, in forward passes of the batch.
    pub passes: f64,
    /// The grid of the input.
    pub grid: Vec<usize>,
    pub maps: Vec<Flat>,
}

impl<O> Run<O> {
    pub fn explanation<I: Input>(self) -> Explanation<I::Map, O> {
        let maps = self.maps.into_iter().map(|map| map.maps::<I>(&self.grid)).collect();
        Explanation { output: self.output, forward: self.forward, passes: self.passes, maps }
    }
}

/// The layers that the forward pass of a model names, in the order in which they finish.
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
    ready(model, &input)?;
    Ok(course(model, input)?.layers)
}

/// How the forward pass of a model goes.
pub(crate) fn course<I, O>(model: &impl Model<I, O>, input: I) -> Result<Course, Error>
where
    I: Input,
{
    let every = Asked { listed: true, attention: true, ..Asked::default() };
    let taps = Taps::watch(&every, input.batch(), false, false);
    model.forward(input, &taps);
    let log = taps.into_log();
    log.trouble.map_or(Ok(log.course), Err)
}
