//! The explainer: layers, methods and targets in, maps out. The part of the network before the layers is run once.

use crate::engine::budget::Budget;
use crate::engine::forward_pass::{BoundModel, ScoredModel, trace_layers};
use crate::engine::session::{Session, Settings};
use crate::layer_selection::choose_layer_async;
use crate::methods::context::MethodCall;
use crate::methods::info::Needs;
use crate::post::outliers;
use crate::post::projection::first_component;
use crate::post::resize::{Resizer, Sampling};
use crate::tap::{CaptureSpec, INPUT};
use crate::{
    Error, Explain, FlatMaps, Goal, GradCam, Inference, Input, LayerContext, LeGrad, MapStats, Method, Model,
    Reads, Rectify, Rows, Run, Running, Scale, Taps, Target, Warning, Wrapped,
};
use burn::Tensor;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use web_time::Instant;

/// Explains the scores of a model.
///
/// Maps come from the functions of [`Explain`].
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Explain, Explainer, GradCam, Nchw, Taps, Top};
///
/// // A model: two classes, the brightness of the first and of the second channel.
/// let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("features", Nchw, || images);
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// // An image whose first channel is bright in one pixel.
/// let image = Tensor::from_floats([[[[0., 9.], [0., 0.]], [[1., 1.], [1., 1.]]]], &Device::flex());
///
/// let explanation = Explainer::new(&model).layer("features").method(GradCam).explain(image, &Top)?;
/// let heatmap: Vec<f32> = explanation.maps[0].heatmap.to_data().try_to_vec().unwrap();
/// assert_eq!(heatmap, [0., 1., 0., 0.]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub struct Explainer<'m, M> {
    model: &'m M,
    layers: Vec<String>,
    methods: Vec<Box<dyn Method>>,
    /// What is used if no method is named: the one that is set, or else Grad-CAM, or LeGrad if the model has a class token and nothing about
    /// layers is asked.
    default_method: Option<[Box<dyn Method>; 1]>,
    of_layers: [Box<dyn Method>; 1],
    of_class_token: [Box<dyn Method>; 1],
    has_class_attention: OnceLock<bool>,
    eigen_smooth: bool,
    omit_outliers: bool,
    rectify: Rectify,
    rectify_last: bool,
    scale: Scale,
    budget: Budget,
    resizer: Resizer,
    progress: Option<Box<dyn Fn(Progress) + Send + Sync>>,
    /// The layer that is used if none is named: the one given, or the one that the first call chooses.
    default_layer: OnceLock<String>,
    /// Whether a call has checked that the model is in inference. The first call does.
    is_checked: AtomicBool,
}

/// How far a long method is: copies scored of all copies for one map of the batch; of a wrapper views, windows or masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The method, or the wrapper.
    pub method: &'static str,
    /// Copies scored.
    pub done: usize,
    /// Copies to score.
    pub total: usize,
}

impl<'m, M> Explainer<'m, M> {
    /// Makes an explainer of this model. Its default method is Grad-CAM, or LeGrad for a model whose class token attends to places
    /// ([`Model::has_class_attention`]), of which LeGrad was measured to be better. Grad-CAM takes its place where something is asked that LeGrad,
    /// which reads no layer, does not know: a layer, another sign, [`eigen_smooth`](Self::eigen_smooth),
    /// [`omit_outliers`](Self::omit_outliers).
    pub fn new(model: &'m M) -> Self {
        Self {
            model,
            layers: Vec::new(),
            methods: Vec::new(),
            default_method: None,
            of_layers: [Box::new(GradCam)],
            of_class_token: [Box::new(LeGrad)],
            has_class_attention: OnceLock::new(),
            eigen_smooth: false,
            omit_outliers: false,
            rectify: Rectify::default(),
            rectify_last: false,
            scale: Scale::default(),
            budget: Budget::default(),
            resizer: Resizer::default(),
            progress: None,
            default_layer: OnceLock::new(),
            is_checked: AtomicBool::new(false),
        }
    }

    /// Adds a layer. By default it is the last one with a grid and a gradient (see [`choose_layer`](crate::choose_layer));
    /// [`INPUT`](crate::INPUT) names the input itself.
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.layers.contains(&name) {
            self.layers.push(name);
        }
        self
    }

    /// Sets the layer that is used if none is named, in place of a search.
    pub fn default_layer(self, name: impl Into<String>) -> Self {
        Self { default_layer: OnceLock::from(name.into()), ..self }
    }

    /// Searches the layer if none is named, although a default layer is set (see [`choose_layer`](crate::choose_layer)).
    pub fn search_layer(self) -> Self {
        Self { default_layer: OnceLock::new(), ..self }
    }

    /// Adds a method.
    pub fn method(mut self, method: impl Method + 'static) -> Self {
        self.methods.push(Box::new(method));
        self
    }

    /// Sets the method that is used if none is added.
    pub fn default_method(self, method: impl Method + 'static) -> Self {
        Self { default_method: Some([Box::new(method)]), ..self }
    }

    /// Combines the channels of every method by their first principal component instead of their sum. Methods that combine
    /// them themselves stay as they are.
    pub fn eigen_smooth(mut self, on: bool) -> Self {
        self.eigen_smooth = on;
        self
    }

    /// Leaves out tokens with outlying norms, which are artifacts of vision transformers ([`Warning::OutlyingTokens`]): there is no evidence
    /// there. It applies to layers of tokens.
    pub fn omit_outliers(mut self, on: bool) -> Self {
        self.omit_outliers = on;
        self
    }

    /// Sets which sign of the evidence is kept: by default the positive.
    pub fn rectify(mut self, rectify: Rectify) -> Self {
        self.rectify = rectify;
        self
    }

    /// Cuts maps at zero after they are resized to the input, and not before, as most papers do: a region ends where the evidence
    /// changes its sign, and not at the nearest position of the layer, so that a coarse grid leaves no steps.
    pub fn rectify_last(mut self, on: bool) -> Self {
        self.rectify_last = on;
        self
    }

    /// Sets what 0 and 1 stand for: by default the lowest and the highest value of each map.
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// Sets about how many bytes the changed copies of an image may take while a pass runs (by default 256 MiB). Methods of
    /// many passes, like Ablation-CAM and Score-CAM, run the copies in chunks that fit, whatever the number of channels; one copy is
    /// always run. What a copy takes is estimated from the layers that the forward pass names; the model, its input and the
    /// captured layers are not counted.
    ///
    /// More can be faster, on a device that a few copies do not fill.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.budget.bytes = bytes;
        self
    }

    /// Sets the most changed copies of an image that one pass carries, however little they take (by default as many as
    /// [`memory`](Self::memory) has room for).
    pub fn copies(mut self, copies: usize) -> Self {
        self.budget.copies = copies.max(1);
        self
    }

    /// Reports how far a method or a wrapper with many passes is.
    pub fn on_progress(mut self, report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Wraps something around the explainer: [`Smooth`](crate::Smooth), [`Sess`](crate::Sess), [`Fusion`](crate::Fusion), or your own
    /// [`Wrapper`](crate::Wrapper).
    pub fn wrap<W>(self, wrapper: W) -> Wrapped<Self, W> {
        Wrapped::new(self, wrapper)
    }

    /// Returns the explainer at other layers, those that [`choose_levels_async`](crate::choose_levels_async) finds for a target.
    pub fn at_layers(&self, layers: Vec<String>) -> AtLayers<'_, 'm, M> {
        AtLayers { explainer: self, layers }
    }

    /// Returns whether it is known which layer is read: one is named, or is the default, or no method reads any.
    pub fn knows_layer(&self) -> bool {
        !self.layer_names().is_empty() || !self.reads(Reads::Layer)
    }

    fn methods(&self) -> &[Box<dyn Method>] {
        match &self.default_method {
            _ if !self.methods.is_empty() => &self.methods,
            Some(method) => method,
            None if self.asks_about_layers() || self.has_class_attention.get() != Some(&true) => {
                &self.of_layers
            }
            None => &self.of_class_token,
        }
    }

    /// Returns whether something is asked that only a map of a layer can show.
    fn asks_about_layers(&self) -> bool {
        !self.layers.is_empty()
            || self.eigen_smooth
            || self.omit_outliers
            || self.rectify != Rectify::Positive
    }

    fn reads(&self, reads: Reads) -> bool {
        self.methods().iter().any(|method| method.info().reads == reads)
    }

    /// Returns the layers named, or the default one, if it is known.
    fn layer_names(&self) -> &[String] {
        if self.layers.is_empty() {
            self.default_layer.get().map_or(&[], std::slice::from_ref)
        } else {
            &self.layers
        }
    }

    fn settings(&self) -> Settings<'_> {
        Settings { budget: self.budget, resizer: &self.resizer, progress: self.progress.as_deref() }
    }

    /// Returns what the first pass captures.
    fn capture_spec(&self, layers: &[String]) -> CaptureSpec {
        let mut names = layers.to_vec();
        if self.reads(Reads::Input) && !names.iter().any(|name| name == INPUT) {
            names.push(INPUT.into());
        }
        let (biases, attention) = (self.reads(Reads::Biases), self.reads(Reads::Attention));
        CaptureSpec { names, biases, attention, list_all: false }
    }

    /// Returns what the first pass prepares for so many targets. It follows from what the methods need: gradients take a tape, and those
    /// of further targets are replays. The first call also checks that the model is in inference, which takes both.
    fn plan(&self, targets: usize) -> Plan {
        let needs = |need: fn(Needs) -> bool| self.methods().iter().any(|method| need(method.info().needs));
        let has_gradients = targets > 0 && needs(Needs::tape);
        let checks_inference = targets > 0 && !self.is_checked.load(Ordering::Relaxed);
        Plan {
            tape: has_gradients || checks_inference,
            record: needs(Needs::replays) || has_gradients && targets > 1 || checks_inference,
            checks_inference,
        }
    }

    /// Returns what the methods read, in the order of the maps.
    fn sources<'s>(&self, session: &Session<'_>, layers: &'s [String]) -> Result<Vec<Source<'s>>, Error> {
        let input = session.layer_index(INPUT);
        let layers = layers.iter().map(|name| (name.as_str(), Reads::Layer, session.layer_index(name)));
        let network = [
            ("biases", Reads::Biases, input),
            ("attention", Reads::Attention, session.attention_layers().next()),
            (INPUT, Reads::Input, input),
        ];
        let sources = layers.chain(network).filter(|(_, reads, _)| self.reads(*reads));
        let source = |(name, reads, layer): (&'s str, Reads, Option<usize>)| match (layer, reads) {
            (Some(layer), _) => Ok(Source { name, reads, layer }),
            (None, Reads::Attention) => Err(Error::NoAttention),
            (None, Reads::Biases) => Err(Error::NoBiases),
            (None, _) => Err(Error::UnknownLayer { asked: name.into(), known: Vec::new() }),
        };
        sources.map(source).collect()
    }

    /// Chooses the default layer, if no layer is named and a method reads one.
    async fn choose_default_layer<I, O>(&self, input: &I, targets: &[&dyn Target<O>]) -> Result<(), Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        let is_missing = self.layer_names().is_empty() && self.reads(Reads::Layer);
        if let (true, Some(target)) = (is_missing, targets.first()) {
            let chosen = choose_layer_async(self.model, input, *target).await?;
            self.default_layer.get_or_init(|| chosen);
        }
        Ok(())
    }

    /// Explains targets at these layers.
    async fn explain_all<I, O>(
        &self,
        input: I,
        targets: &[&dyn Target<O>],
        layers: &[String],
    ) -> Result<Run<O>, Error>
    where
        I: Input,
        M: Model<I, O>,
    {
        let (plan, grid, spec) = (self.plan(targets.len()), input.grid(), self.capture_spec(layers));
        let model = BoundModel::new(self.model, input)?;
        let started = Instant::now();
        let (output, recording) = model.first_pass(&spec, plan.tape, plan.record)?;
        let forward = started.elapsed();
        let goals = targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<_>, _>>()?;
        let scored = ScoredModel { model: &model, goals: &goals };
        let plain = |target| scored.score(&output, target, Rows::All);
        let session = Session::new(&scored, &spec, recording, (goals.len(), &plain), self.settings())?;
        let sources = self.sources(&session, layers)?;
        if plan.checks_inference {
            session.check_inference()?;
        }
        let mut maps = Vec::new();
        for (target, goal) in goals.iter().enumerate() {
            for source in &sources {
                maps.extend(self.maps_of(source, &session, target, goal, &grid).await?);
            }
        }
        let (checks, passes) = (session.take_checks(), session.passes());
        drop(session);
        // A device that computes in the background has everything queued by now: this waits for it.
        checks.run().await?;
        self.is_checked.fetch_or(plan.checks_inference, Ordering::Relaxed);
        Ok(Run { output, goals, forward, passes, grid, maps })
    }

    /// Makes the maps of all methods that read a source, for one target.
    async fn maps_of<O>(
        &self,
        source: &Source<'_>,
        session: &Session<'_>,
        target: usize,
        goal: &Goal<O>,
        grid: &[usize],
    ) -> Result<Vec<FlatMaps>, Error> {
        let mut maps = Vec::new();
        for (index, method) in self.methods().iter().enumerate() {
            let info = method.info();
            if info.reads == source.reads {
                session.set_method(info.name);
                let call = MethodCall::new(index, info);
                let layer = LayerContext { session, layer: source.layer, target, call: &call };
                maps.push(self.map_of(method.as_ref(), &layer, source.name, goal, grid).await?);
            }
        }
        Ok(maps)
    }

    /// Makes the map of one method at one layer for one target.
    async fn map_of<O>(
        &self,
        method: &dyn Method,
        layer: &LayerContext<'_>,
        name: &str,
        goal: &Goal<O>,
        grid: &[usize],
    ) -> Result<FlatMaps, Error> {
        let evidence = method.evidence(layer).await?;
        let (batch, positions) = (layer.activation().dims()[0], layer.grid().iter().product());
        match evidence.dims() {
            [images, channels, found] if channels > 0 && (images, found) == (batch, positions) => {}
            found => return Err(Error::WrongEvidence { method: method.name(), found, batch, positions }),
        }
        let raw = match evidence.dims()[1] {
            channels if self.eigen_smooth && channels > 1 => first_component(evidence).await?,
            _ => evidence.sum_dim(1).squeeze_dim(1),
        };
        let norms = &layer.session.layers[layer.layer].norms;
        let raw = if self.omit_outliers { outliers::omit(raw, norms).await? } else { raw };
        let kept = self.rectify.apply(raw.clone());
        let resized = match self.rectify_last {
            true => self.rectify.apply(layer.resize(raw.clone(), grid)),
            false => layer.resize(kept.clone(), grid),
        };
        let heatmap = self.scale.apply(resized);
        let scores = layer.session.score(layer.target);
        let known =
            [Warning::of_proportions(layer.grid(), grid), goal.warning].into_iter().flatten().collect();
        Ok(FlatMaps {
            layer: name.into(),
            method: method.info(),
            target: layer.target,
            classes: goal.classes().cloned(),
            name: goal.name.as_deref().map(String::from),
            stats: MapStats::new(
                &raw,
                &kept,
                (layer.activation(), norms),
                &scores,
                goal.is_probability(),
                known,
            )
            .leaving_out(layer.call.left_out.take()),
            scores,
            raw,
            raw_grid: layer.grid().to_vec(),
            heatmap,
            std: None,
        })
    }
}

/// What a first pass prepares.
struct Plan {
    /// Starts a tape, which is walked for the first target.
    tape: bool,
    /// Keeps what replays need.
    record: bool,
    checks_inference: bool,
}

/// What a method reads.
struct Source<'a> {
    name: &'a str,
    reads: Reads,
    /// The index of the captured layer.
    layer: usize,
}

impl<I, O, M> Explain<I, O> for Explainer<'_, M>
where
    I: Input,
    O: 'static,
    M: Model<I, O>,
{
    fn run<'a>(&'a self, input: I, targets: &'a [&'a dyn Target<O>]) -> Running<'a, O> {
        Box::pin(async move {
            if self.methods.is_empty() && self.default_method.is_none() {
                self.has_class_attention.get_or_init(|| self.model.has_class_attention(&input));
            }
            self.choose_default_layer(&input, targets).await?;
            self.explain_all(input, targets, self.layer_names()).await
        })
    }

    fn inference(&self) -> &dyn Inference<I, O> {
        self
    }
}

/// An explainer at layers that are chosen for the targets, whatever layers it has: see [`Explainer::at_layers`].
pub struct AtLayers<'a, 'm, M> {
    explainer: &'a Explainer<'m, M>,
    layers: Vec<String>,
}

impl<I, O, M> Explain<I, O> for AtLayers<'_, '_, M>
where
    I: Input,
    O: 'static,
    M: Model<I, O>,
{
    fn run<'a>(&'a self, input: I, targets: &'a [&'a dyn Target<O>]) -> Running<'a, O> {
        Box::pin(self.explainer.explain_all(input, targets, &self.layers))
    }

    fn inference(&self) -> &dyn Inference<I, O> {
        self.explainer
    }
}

impl<I, O, M> Inference<I, O> for Explainer<'_, M>
where
    I: Input,
    O: 'static,
    M: Model<I, O>,
{
    fn forward(&self, input: I) -> Result<(O, Duration), Error> {
        let model = BoundModel::new(self.model, input)?;
        let started = Instant::now();
        let output = model.forward(Rows::All, None, &Taps::off())?;
        Ok((output, started.elapsed()))
    }

    fn scale(&self, maps: Tensor<2>) -> Tensor<2> {
        self.scale.apply(maps)
    }

    fn resize(&self, maps: Tensor<2>, from: &[usize], to: &[usize]) -> Tensor<2> {
        self.resizer.resize(maps, from, to, Sampling::HalfPixel)
    }

    fn inputs_per_pass(&self, input: I) -> Result<usize, Error> {
        let values = input.to_layer().dims()[1..].iter().product();
        let trace = trace_layers(self.model, input)?;
        Ok(self.budget.copies_of(trace.bytes_per_copy(INPUT, 1, values)))
    }

    fn report(&self, wrapper: &'static str, done: usize, total: usize) {
        if let Some(report) = &self.progress {
            report(Progress { method: wrapper, done, total });
        }
    }
}
