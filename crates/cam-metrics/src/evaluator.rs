//! Makes maps and measures them. Each changed copy of an input is run once for all that read it.

use crate::change::hash;
use crate::{
    Baseline, Change, Changed, Error, Map, Measurement, Metric, MetricInfo, Pixels, Reason, Retake, Scores,
    Subject, Truth,
};
use burn::Tensor;
use burn::tensor::{Device, TensorData};
use cam_core::{
    Evidence, Explain, Explainer, Goal, Inspect, LayerContext, Method, MethodInfo, Model, Rows, Taps, Target,
};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// A method that several explainers share.
#[derive(Clone)]
struct Shared(Arc<dyn Method>);

impl Method for Shared {
    fn info(&self) -> MethodInfo {
        self.0.info()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        self.0.evidence(layer)
    }
}

/// What a map is when it is made again, in each way that metrics ask for.
type Retakes = HashMap<Retake, Result<Map, Reason>>;

/// How far the measuring of one image is: copies run of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Copies run.
    pub done: usize,
    /// Copies to run.
    pub total: usize,
}

/// Gives the model with random parameters for a [`Retake`]; nothing if it cannot.
pub type Randomize<'t, O> = &'t dyn Fn(Retake) -> Option<Rc<dyn Model<Tensor<4>, O> + 't>>;

/// A model whose type is not known.
struct AnyModel<'a, O>(&'a dyn Model<Tensor<4>, O>);

impl<O> Model<Tensor<4>, O> for AnyModel<'_, O> {
    fn module(&self) -> &dyn Inspect {
        self.0.module()
    }

    fn prepare(&self, input: &Tensor<4>) -> Result<(), cam_core::Error> {
        self.0.prepare(input)
    }

    fn has_class_attention(&self, input: &Tensor<4>) -> bool {
        self.0.has_class_attention(input)
    }

    fn forward(&self, input: Tensor<4>, taps: &Taps<'_>) -> O {
        self.0.forward(input, taps)
    }
}

/// Measures the maps of methods at layers by metrics.
///
/// One image is measured at a time, so that its numbers depend on nothing but the image: not on a batch, not on an order. Its copies fill the
/// device.
pub struct Evaluator<'m, M> {
    model: &'m M,
    layers: Vec<String>,
    default_layer: Option<String>,
    methods: Vec<Shared>,
    baselines: Vec<&'static str>,
    metrics: Vec<&'static dyn Metric>,
    memory: Option<usize>,
    copies: usize,
    omit_outliers: bool,
    rectify_last: bool,
    progress: Option<Box<dyn Fn(Progress) + Send + Sync>>,
    /// Explainers by method and layer, so that what the first call of one checks and finds is known to the next image; the one without a method has
    /// all of them.
    explainers: Mutex<HashMap<[String; 2], Arc<Explainer<'m, M>>>>,
}

/// What is asked of an image: which score the maps explain, and which number says how confident the model is.
pub struct Goals<'t, O> {
    /// The score that the maps explain.
    pub score: &'t dyn Target<O>,
    /// The confidence that metrics of faithfulness read.
    pub confidence: &'t dyn Target<O>,
    /// The score of another class, for [`Retake::OtherClass`].
    pub other: Option<&'t dyn Target<O>>,
    /// The model with random parameters, for [`Retake::Cascading`] and [`Retake::Independent`].
    pub random: Option<Randomize<'t, O>>,
}

/// A map and what was measured of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MeasuredMap {
    /// The method.
    pub method: MethodInfo,
    /// The layer; `biases`, `attention` or `input` of methods that read the whole network.
    pub layer: String,
    /// The map at the size of the input, as the explainer made it.
    pub map: Map,
    /// The score that it explains.
    pub score: f64,
    /// How confident the model is.
    pub confidence: f64,
    /// One measurement for each metric.
    pub measured: Vec<Measured>,
}

/// The value of one metric, or why there is none.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// The metric.
    pub metric: MetricInfo,
    /// The measurement.
    pub result: Result<Measurement, Reason>,
}

impl Measured {
    /// Returns the value, if there is one.
    pub fn value(&self) -> Option<f64> {
        self.result.as_ref().ok().map(|measurement| measurement.value)
    }
}

impl<'m, M> Evaluator<'m, M> {
    /// Makes an evaluator of the maps of this model.
    pub fn new(model: &'m M) -> Self {
        Self {
            model,
            layers: Vec::new(),
            default_layer: None,
            methods: Vec::new(),
            baselines: Vec::new(),
            metrics: Vec::new(),
            memory: None,
            copies: usize::MAX,
            omit_outliers: false,
            rectify_last: false,
            progress: None,
            explainers: Mutex::default(),
        }
    }

    /// Adds a layer. By default it is that of [`default_layer`](Self::default_layer), or the one that the explainer chooses.
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        self.layers.push(name.into());
        self
    }

    /// Sets the layer that is used if none is named.
    pub fn default_layer(self, name: impl Into<String>) -> Self {
        Self { default_layer: Some(name.into()), ..self }
    }

    /// Adds a method.
    pub fn method(mut self, method: impl Method + 'static) -> Self {
        self.methods.push(Shared(Arc::new(method)));
        self
    }

    /// Adds a metric.
    pub fn metric(mut self, metric: &'static dyn Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Sets about how many bytes the changed copies of an image may take while a pass runs: see [`Explainer::memory`].
    pub fn memory(self, bytes: usize) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// Sets the most changed copies of an image that one pass carries.
    pub fn copies(self, copies: usize) -> Self {
        Self { copies: copies.max(1), ..self }
    }

    /// Leaves out tokens with outlying norms: see [`Explainer::omit_outliers`].
    pub fn omit_outliers(self, on: bool) -> Self {
        Self { omit_outliers: on, ..self }
    }

    /// Cuts maps at zero after they are resized: see [`Explainer::rectify_last`].
    pub fn rectify_last(self, on: bool) -> Self {
        Self { rectify_last: on, ..self }
    }

    /// Adds a method that is measured as a baseline, and that [agreement](crate::metrics::Agreement) does not count.
    pub fn baseline(mut self, method: impl Method + 'static) -> Self {
        self.baselines.push(method.info().name);
        self.method(method)
    }

    /// Reports how far the measuring of an image is.
    pub fn on_progress(self, report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self { progress: Some(Box::new(report)), ..self }
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &[&'static dyn Metric] {
        &self.metrics
    }

    fn explainer<'e, N>(&self, model: &'e N, methods: &[Shared], layers: &[String]) -> Explainer<'e, N> {
        let mut explainer = Explainer::new(model)
            .copies(self.copies)
            .omit_outliers(self.omit_outliers)
            .rectify_last(self.rectify_last);
        if let Some(bytes) = self.memory {
            explainer = explainer.memory(bytes);
        }
        if let Some(layer) = &self.default_layer {
            explainer = explainer.default_layer(layer);
        }
        let explainer = layers.iter().fold(explainer, Explainer::layer);
        methods.iter().fold(explainer, |explainer, method| explainer.method(method.clone()))
    }

    /// Returns the explainer of these methods and layers, which is made once.
    fn known_explainer(
        &self,
        key: [String; 2],
        methods: &[Shared],
        layers: &[String],
    ) -> Arc<Explainer<'m, M>> {
        let mut known = self.explainers.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_insert_with(|| self.explainer(self.model, methods, layers).into()).clone()
    }

    /// Measures all maps of one image, `[1, channels, height, width]`, for one class: a map for each layer and method, those of methods that read
    /// the whole network last.
    ///
    /// # Errors
    /// Those of the explainer, [`Error::Batch`] and [`Error::TruthSize`].
    pub fn evaluate<O: 'static>(
        &self,
        input: Tensor<4>,
        score: &dyn Target<O>,
        confidence: &dyn Target<O>,
        truth: Option<&Truth>,
    ) -> Result<Vec<MeasuredMap>, Error>
    where
        M: Model<Tensor<4>, O>,
    {
        self.evaluate_for(input, &Goals { score, confidence, other: None, random: None }, truth)
    }

    /// Measures as [`evaluate`](Self::evaluate), with all that is asked of the image.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn evaluate_for<O: 'static>(
        &self,
        input: Tensor<4>,
        goals: &Goals<'_, O>,
        truth: Option<&Truth>,
    ) -> Result<Vec<MeasuredMap>, Error>
    where
        M: Model<Tensor<4>, O>,
    {
        let [images, channels, height, width] = input.dims();
        if images != 1 {
            return Err(Error::Batch { found: images });
        }
        if let Some(truth) = truth.map(|truth| truth.asked.size()).filter(|size| *size != [height, width]) {
            return Err(Error::TruthSize { truth, input: [height, width] });
        }
        let explainer = self.known_explainer([String::new(), String::new()], &self.methods, &self.layers);
        let run = cam_core::block_on(Explain::run(&*explainer, input.clone(), &[goals.score]))?;
        let goal = run.goals[0].clone();
        let confidence = goals.confidence.resolve(&run.output)?;
        let [score, sure] = [&goal, &confidence].map(|goal| goal.score(&run.output, Rows::All).inner());
        let explanation = run.into_explanation::<Tensor<4>>();
        // All at once: each read waits for the device.
        let reading = explanation.read_with_async(vec![score, sure, input.clone().reshape([-1])]);
        let (parts, numbers) = cam_core::block_on(reading)?;
        let plain = Scores { score: parts[0][0].into(), confidence: parts[1][0].into() };
        let pixels = Pixels::new(channels, height, width, parts[2].clone())?;
        let mut made = Vec::new();
        for (maps, numbers) in explanation.maps.iter().zip(numbers) {
            made.push((maps.method, maps.layer.clone(), Map::new(height, width, numbers.heatmap)?));
        }
        let scaled: Vec<Result<Map, Reason>> = made.iter().map(|(_, _, map)| map.scaled()).collect();
        let task = Task {
            evaluator: self,
            explainer: &explainer,
            input: &input,
            pixels: &pixels,
            goal: &goal,
            confidence: &confidence,
        };
        let scores = task.scores(&scaled)?;
        let mut results = Vec::new();
        let retakes = task.retakes(&made, &scaled, goals)?;
        for (place, (method, layer, map)) in made.iter().enumerate() {
            let is_peer = |other: &usize| *other != place && !self.baselines.contains(&made[*other].0.name);
            let peers: Vec<&Map> =
                (0..made.len()).filter(is_peer).filter_map(|other| scaled[other].as_ref().ok()).collect();
            let measure = |metric: &&'static dyn Metric| {
                let result = scaled[place].as_ref().map_err(|reason| *reason).and_then(|map| {
                    let (scores, retakes) = (&scores[place], &retakes[place]);
                    let measurement = metric.measure(&Subject {
                        map,
                        pixels: &pixels,
                        truth,
                        peers: &peers,
                        plain,
                        scores,
                        retakes,
                    })?;
                    match measurement.value.is_finite() {
                        true => Ok(measurement),
                        false => Err(Reason::NonFiniteScore),
                    }
                });
                Measured { metric: metric.info(), result }
            };
            let measured = self.metrics.iter().map(measure).collect();
            let Scores { score, confidence } = plain;
            let (method, layer, map) = (*method, layer.clone(), map.clone());
            results.push(MeasuredMap { method, layer, map, score, confidence, measured });
        }
        Ok(results)
    }
}

/// Reads the numbers of a tensor.
fn read(tensor: Tensor<1>) -> Result<Vec<f32>, Error> {
    Ok(tensor.try_to_vec_as().map_err(cam_core::Error::from)?)
}

/// One image under measurement.
struct Task<'a, 'm, M, O> {
    evaluator: &'a Evaluator<'m, M>,
    explainer: &'a Explainer<'m, M>,
    input: &'a Tensor<4>,
    pixels: &'a Pixels,
    goal: &'a Goal<O>,
    confidence: &'a Goal<O>,
}

impl<M: Model<Tensor<4>, O>, O: 'static> Task<'_, '_, M, O> {
    /// Runs the changed copies that metrics name, and returns their scores for each map.
    fn scores(&self, maps: &[Result<Map, Reason>]) -> Result<Vec<HashMap<String, Scores>>, Error> {
        let changes: Vec<Change> = {
            let mut known = HashSet::new();
            let all = self.evaluator.metrics.iter().flat_map(|metric| metric.changes());
            all.filter(|change| !change.is_plain() && known.insert(change.key().to_string())).collect()
        };
        let mut copies: Vec<(usize, &Change)> = Vec::new();
        let good = || maps.iter().enumerate().filter(|(_, map)| map.is_ok()).map(|(place, _)| place);
        for change in &changes {
            let takers = if change.reads_map() { usize::MAX } else { 1 };
            copies.extend(good().take(takers).map(|place| (place, change)));
        }
        // The copies of one map follow each other.
        copies.sort_by_key(|(place, _)| *place);
        let size = match copies.is_empty() {
            true => 1,
            false => Explain::<_, O>::inference(self.explainer).inputs_per_pass(self.input.clone())?,
        };
        let mut found = vec![HashMap::new(); maps.len()];
        let mut done = 0;
        for chunk in copies.chunks(size) {
            let numbers = self.run(chunk, maps)?;
            for ((place, change), scores) in chunk.iter().zip(numbers) {
                if change.reads_map() {
                    found[*place].insert(change.key().to_string(), scores);
                } else {
                    found.iter_mut().for_each(|of_map| _ = of_map.insert(change.key().to_string(), scores));
                }
            }
            done += chunk.len();
            if let Some(report) = &self.evaluator.progress {
                report(Progress { done, total: copies.len() });
            }
        }
        Ok(found)
    }

    /// Runs some copies in one pass. They are made on all cores.
    fn run(&self, chunk: &[(usize, &Change)], maps: &[Result<Map, Reason>]) -> Result<Vec<Scores>, Error> {
        let pixels = self.pixels;
        let make =
            |(place, change): &(usize, &Change)| Some(change.make(pixels, maps[*place].as_ref().ok()?));
        let made: Vec<Changed> = chunk.par_iter().filter_map(make).collect();
        self.scores_of(self.evaluator.model, self.upload(made)?)
    }

    fn scores_of(&self, model: &M, input: Tensor<4>) -> Result<Vec<Scores>, Error> {
        let rows = Rows::Copies { image: 0, copies: input.dims()[0] };
        model.prepare(&input)?;
        let output = model.forward(input, &Taps::off());
        let both = [self.goal, self.confidence].map(|goal| goal.score(&output, rows).inner());
        let numbers = read(Tensor::cat(both.to_vec(), 0))?;
        let (scores, confidences) = numbers.split_at(numbers.len() / 2);
        let both = scores.iter().zip(confidences);
        Ok(both
            .map(|(score, confidence)| Scores { score: (*score).into(), confidence: (*confidence).into() })
            .collect())
    }

    /// Makes copies on the device, `[copies, channels, height, width]`: of a mixture one number for each pixel is uploaded.
    fn upload(&self, made: Vec<Changed>) -> Result<Tensor<4>, Error> {
        let ([channels, height, width], device) = (self.pixels.dims(), self.input.device());
        let positions = height * width;
        let mut parts = Vec::new();
        for group in made.chunk_by(|a, b| kind(a) == kind(b)) {
            let count = group.len();
            let all: Vec<f32> = group.iter().flat_map(Changed::numbers).copied().collect();
            parts.push(match kind(&group[0]) {
                None => floats(all, [count, channels, height, width], &device),
                Some(baseline) => {
                    let keep: Tensor<4> = floats(all, [count, 1, height, width], &device);
                    let kept = self.input.clone() * keep.clone();
                    match baseline {
                        Baseline::Zero => kept,
                        Baseline::Blurred => {
                            let blurred = self.pixels.blurred().to_vec();
                            debug_assert_eq!(blurred.len(), channels * positions);
                            kept + floats(blurred, [1, channels, height, width], &device) * (keep.neg() + 1.0)
                        }
                    }
                }
            });
        }
        Ok(Tensor::cat(parts, 0))
    }

    /// Makes the further maps that metrics name, for each map.
    fn retakes(
        &self,
        made: &[(MethodInfo, String, Map)],
        maps: &[Result<Map, Reason>],
        goals: &Goals<'_, O>,
    ) -> Result<Vec<Retakes>, Error> {
        let wanted: HashSet<Retake> =
            self.evaluator.metrics.iter().flat_map(|metric| metric.retakes()).collect();
        let mut wanted: Vec<Retake> = wanted.into_iter().collect();
        wanted.sort_by_key(|retake| format!("{retake:?}"));
        let mut found = vec![HashMap::new(); maps.len()];
        for retake in wanted {
            // The input of one retake is that of all maps, but for the masked one.
            if retake == Retake::Masked {
                for (place, (method, layer, _)) in made.iter().enumerate() {
                    let map = match &maps[place] {
                        Ok(map) => self.masked(method, layer, map)?,
                        Err(reason) => Err(*reason),
                    };
                    found[place].insert(retake, map);
                }
                continue;
            }
            match self.retake(retake, goals)? {
                Some(again) if again.len() == made.len() => {
                    for (of_map, map) in found.iter_mut().zip(again) {
                        of_map.insert(retake, map);
                    }
                }
                _ => found.iter_mut().for_each(|of_map| _ = of_map.insert(retake, Err(Reason::NoRetake))),
            }
        }
        Ok(found)
    }

    /// Makes the map of the input times a map, by the same method at the same layer.
    fn masked(&self, method: &MethodInfo, layer: &str, map: &Map) -> Result<Result<Map, Reason>, Error> {
        let methods: Vec<Shared> =
            self.evaluator.methods.iter().filter(|known| known.info().name == method.name).cloned().collect();
        let layers: Vec<String> =
            if method.reads == cam_core::Reads::Layer { vec![layer.into()] } else { Vec::new() };
        let input = self.upload(vec![Change::masked().make(self.pixels, map)])?;
        let key = [method.name.into(), layer.into()];
        let explainer = self.evaluator.known_explainer(key, &methods, &layers);
        let explanation = explainer.explain_each(input, &[self.goal])?;
        first(self.maps_of(&explanation)?)
    }

    /// Makes all maps again.
    fn retake(
        &self,
        retake: Retake,
        goals: &Goals<'_, O>,
    ) -> Result<Option<Vec<Result<Map, Reason>>>, Error> {
        let Evaluator { methods, layers, .. } = self.evaluator;
        Ok(Some(match retake {
            Retake::Masked => return Ok(None),
            Retake::Noisy(stream) => {
                const RADIUS: f32 = 0.02;
                let noise = uniform(stream, self.pixels.values().len()).map(|number| RADIUS * number);
                let values = self.pixels.values().iter().zip(noise).map(|(value, noise)| value + noise);
                let input = self.upload(vec![Changed::Values(values.collect())])?;
                self.maps_of(&self.explainer.explain_each(input, &[self.goal])?)?
            }
            Retake::Mirrored => {
                let input = self.input.clone().flip([3]);
                let maps = self.maps_of(&self.explainer.explain_each(input, &[self.goal])?)?;
                maps.into_iter().map(|map| map.map(|map| map.mirrored())).collect()
            }
            Retake::OtherClass => match goals.other {
                Some(other) => self.maps_of(&self.explainer.explain_each(self.input.clone(), &[other])?)?,
                None => return Ok(None),
            },
            Retake::Cascading(_) | Retake::Independent(_) => {
                let Some(random) = goals.random.and_then(|make| make(retake)) else { return Ok(None) };
                let random = AnyModel(&*random);
                let explainer = self.evaluator.explainer(&random, methods, layers);
                // A network without sense may have no gradient, or a score that is not finite.
                match explainer.explain_each(self.input.clone(), &[self.goal]) {
                    Ok(explanation) => self.maps_of(&explanation)?,
                    Err(_) => return Ok(None),
                }
            }
        }))
    }

    fn maps_of(
        &self,
        explanation: &cam_core::Explanation<Tensor<3>, O>,
    ) -> Result<Vec<Result<Map, Reason>>, Error> {
        let [_, height, width] = self.pixels.dims();
        let (_, numbers) = cam_core::block_on(explanation.read_with_async(Vec::<Tensor<1>>::new()))?;
        numbers.into_iter().map(|numbers| Ok(Map::new(height, width, numbers.heatmap)?.scaled())).collect()
    }
}

fn first(maps: Vec<Result<Map, Reason>>) -> Result<Result<Map, Reason>, Error> {
    Ok(maps.into_iter().next().unwrap_or(Err(Reason::NoRetake)))
}

/// Returns what is beneath a mixture; `None` of a copy that is given by its values.
fn kind(changed: &Changed) -> Option<Baseline> {
    match changed {
        Changed::Mixed { baseline, .. } => Some(*baseline),
        Changed::Values(_) => None,
    }
}

impl Changed {
    fn numbers(&self) -> &[f32] {
        match self {
            Self::Mixed { keep, .. } => keep,
            Self::Values(values) => values,
        }
    }
}

fn floats<const D: usize>(numbers: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Draws numbers between -1 and 1: the same for a stream in every run.
fn uniform(stream: u32, count: usize) -> impl Iterator<Item = f32> {
    // 24 bits, which are exact in f32.
    let number = move |at: usize| (hash(stream.into(), at as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    (0..count).map(number)
}
