//! How good maps are: metrics of faithfulness, localization, form, sanity and stability, for any model of images.
//!
//! ```
//! use burn_cam::metrics::{ImageTruth, MapEvaluator, metric_named};
//! use burn_cam::{Classifier, Device, GradCam, RandomCam};
//!
//! let model = Classifier::builtin(&Device::flex())?;
//! let scene = cam_scenes::Scene::draw(7, 128)?;
//! let object = &scene.objects[0];
//! let truth = ImageTruth::mask(128, 128, object.mask.as_slice().to_vec())?;
//!
//! let evaluator = MapEvaluator::new(&model)
//!     .method(GradCam)
//!     .method(RandomCam::PAPER)
//!     .metric(metric_named("pointing")?)
//!     .metric(metric_named("deletion")?);
//! let image = evaluator.of_class(&scene.image, object.class.name(), Some(&truth))?;
//! for map in &image.maps {
//!     for measured in &map.measured {
//!         println!("{} of {}: {:?}", measured.metric.title, map.method.title, measured.value());
//!     }
//! }
//! assert_eq!(image.maps[0].measured[0].value(), Some(1.0)); // Grad-CAM points at the object
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each metric is a type of [`cam_metrics::metrics`], whose documentation has its formula and its paper. [`METRICS`] lists them.
//!
//! | of pytorch-grad-cam | here |
//! |---|---|
//! | `CamMultImageConfidenceChange` | `confidence-change` |
//! | `DropInConfidence` | `confidence-drop`; divided by the confidence, as in the paper, `average-drop` |
//! | `IncreaseInConfidence` | `increase` |
//! | `ROADMostRelevantFirst`, `ROADMostRelevantFirstAverage` | `road-morf`, which is the average; one percentile is one of its parts |
//! | `ROADLeastRelevantFirst`, `ROADLeastRelevantFirstAverage` | `road-lerf` |
//! | `ROADCombined` | `road` |
//! | `RemoveMostRelevantFirst('auto')` | none: it removes the least relevant |
//! | `Complexity`, `Coherency`, `ARCC` | `complexity`, `coherency`, `arcc` |

pub use cam_metrics::metrics::*;
pub use cam_metrics::*;

use crate::{AnyTarget, Decoder, ImageInput, ImageModel, MethodInfo, Preprocess};
use burn::Tensor;
use burn::tensor::Int;
use cam_core::{Goal, Method, Model, Target};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Where objects are in an image, in its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageTruth {
    width: u32,
    height: u32,
    /// The pixels of the asked class; `None` when boxes alone are known.
    mask: Option<Vec<bool>>,
    others: Option<Vec<bool>>,
    /// Left, top, right, bottom.
    boxes: Vec<[f32; 4]>,
    other_boxes: Vec<[f32; 4]>,
}

impl ImageTruth {
    /// Makes a truth of boxes of the asked class and of other classes: left, top, right, bottom in pixels of the image.
    pub fn boxes(width: u32, height: u32, asked: Vec<[f32; 4]>, others: Vec<[f32; 4]>) -> Self {
        Self { width, height, mask: None, others: None, boxes: asked, other_boxes: others }
    }

    /// Makes a truth of a mask, row by row. Its box bounds the mask.
    ///
    /// # Errors
    /// [`cam_metrics::Error::Length`] when it has other pixels than the image.
    pub fn mask(width: u32, height: u32, inside: Vec<bool>) -> Result<Self, Error> {
        let (columns, rows) = (width as usize, height as usize);
        let truth = Truth::of_mask(Mask::new(rows, columns, inside)?);
        let [across, down] = [width as f32, height as f32];
        let pixels = |[l, t, r, b]: &[f32; 4]| [l * across, t * down, r * across, b * down];
        Ok(Self {
            mask: Some(truth.asked.inside().to_vec()),
            ..Self::boxes(width, height, truth.boxes.iter().map(pixels).collect(), Vec::new())
        })
    }

    /// Adds the pixels of objects of other classes.
    ///
    /// # Errors
    /// As [`mask`](Self::mask).
    pub fn other_mask(self, inside: Vec<bool>) -> Result<Self, Error> {
        let others = Mask::new(self.height as usize, self.width as usize, inside)?;
        Ok(Self { others: Some(others.inside().to_vec()), ..self })
    }

    /// Returns the truth on the input that a model gets of the image.
    pub fn on_input(&self, preprocess: &Preprocess) -> Result<Truth, Error> {
        let Self { width, height, .. } = *self;
        let [rows, columns] = preprocess.input_size(width, height);
        let view = preprocess.view(width, height);
        let [left, top, across, down] = preprocess.inner(width, height).map(|side| side as f32);
        // From the image to shares of the input.
        let boxed = |&[x0, y0, x1, y1]: &[f32; 4]| {
            let x = |x: f32| ((left + (x - view.x) / view.width * across) / columns as f32).clamp(0.0, 1.0);
            let y = |y: f32| ((top + (y - view.y) / view.height * down) / rows as f32).clamp(0.0, 1.0);
            [x(x0), y(y0), x(x1), y(y1)]
        };
        let boxes = |boxes: &[[f32; 4]]| {
            let all = boxes.iter().map(boxed);
            all.filter(|[x0, y0, x1, y1]| x0 < x1 && y0 < y1).collect::<Vec<_>>()
        };
        let mask = |inside: &[bool]| {
            let pixel = |at: usize| {
                let (column, row) = ((at % columns) as f32 + 0.5, (at / columns) as f32 + 0.5);
                let x = view.x + (column - left) / across * view.width;
                let y = view.y + (row - top) / down * view.height;
                let is_shown = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
                is_shown && inside[y as usize * width as usize + x as usize]
            };
            Mask::new(rows, columns, (0..rows * columns).map(pixel).collect())
        };
        let mut truth = Truth::of_boxes(rows, columns, boxes(&self.boxes));
        if let Some(inside) = &self.mask {
            truth.asked = mask(inside)?;
        }
        if let Some(others) = &self.others {
            truth = truth.others(mask(others)?);
        } else if !self.other_boxes.is_empty() {
            truth = truth.others(Truth::of_boxes(rows, columns, boxes(&self.other_boxes)).asked);
        }
        Ok(truth)
    }
}

/// A baseline of an evaluation: Random CAM, which reads what methods read, and a Gaussian around the center, which reads nothing.
pub fn baselines() -> [&'static dyn Method; 2] {
    [&cam_core::RandomCam::PAPER, &CenteredGaussian]
}

/// Measures the maps of images.
///
/// One image is measured at a time: its numbers depend on nothing but the image. See the [module's page](self) for an example.
pub struct MapEvaluator<'m, M, O = Tensor<2>> {
    model: &'m M,
    evaluator: Evaluator<'m, M>,
    decoder: Box<dyn Decoder<O>>,
    preprocess: Preprocess,
    random: RefCell<HashMap<Retake, Option<RandomModel<'m, O>>>>,
}

/// A model with random parameters.
type RandomModel<'m, O> = Rc<dyn Model<Tensor<4>, O> + 'm>;

/// Methods that can explain a model, and those that cannot, each with the reason.
pub type Applicable = (Vec<&'static dyn Method>, Vec<(MethodInfo, crate::Error)>);

/// An image whose maps are measured.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MeasuredImage {
    /// The number of the class, if the target is one.
    pub class: Option<usize>,
    /// The name of the class; `score` if the target is none.
    pub label: String,
    /// How confident the model is of it.
    pub confidence: f64,
    /// The maps: one for each layer and method, those of methods that read the whole network last.
    pub maps: Vec<MeasuredMap>,
}

impl<'m, M: ImageModel<O>, O: 'static> MapEvaluator<'m, M, O> {
    /// Creates an evaluator of the maps of this model.
    pub fn new(model: &'m M) -> Self {
        // As `ImageExplainer` draws them.
        let evaluator = Evaluator::new(model).rectify_last(true);
        let evaluator = match model.default_layer() {
            Some(layer) => evaluator.default_layer(layer),
            None => evaluator,
        };
        let (decoder, preprocess) = (model.decoder(), model.preprocess());
        Self { model, evaluator, decoder, preprocess, random: RefCell::default() }
    }

    /// Adds a method.
    pub fn method(self, method: impl Method + 'static) -> Self {
        Self { evaluator: self.evaluator.method(method), ..self }
    }

    /// Adds the [baselines], which the agreement of methods does not count.
    pub fn baselines(self) -> Self {
        let evaluator =
            baselines().into_iter().fold(self.evaluator, |evaluator, method| evaluator.baseline(method));
        Self { evaluator, ..self }
    }

    /// Adds a layer. The first one replaces the default layer.
    pub fn layer(self, name: impl Into<String>) -> Self {
        Self { evaluator: self.evaluator.layer(name), ..self }
    }

    /// Adds a metric.
    pub fn metric(self, metric: &'static dyn Metric) -> Self {
        Self { evaluator: self.evaluator.metric(metric), ..self }
    }

    /// Sets how an image becomes the input of the model; by default as the model says.
    pub fn preprocess(self, preprocess: Preprocess) -> Self {
        Self { preprocess, ..self }
    }

    /// Sets what else an [`Evaluator`] has: memory, progress.
    pub fn configure(self, change: impl FnOnce(Evaluator<'m, M>) -> Evaluator<'m, M>) -> Self {
        Self { evaluator: change(self.evaluator), ..self }
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &[&'static dyn Metric] {
        self.evaluator.metrics()
    }

    /// Returns the number and the name of the class that the model predicts for an image; `None` if its output is no class.
    ///
    /// # Errors
    /// As [`of_target`](Self::of_target).
    pub fn top_class(&self, image: impl Into<ImageInput>) -> Result<Option<usize>, crate::Error> {
        let (input, _) = ImageInput::batch(&[&image.into()], &self.preprocess, &self.model.device())?;
        self.model.prepare(&input)?;
        let output = self.model.forward(input, &cam_core::Taps::off());
        Ok(class_of(&self.decoder.ranked(0).resolve(&output)?))
    }

    /// Measures the maps of the top prediction.
    ///
    /// # Errors
    /// As [`of_target`](Self::of_target).
    pub fn of_top(
        &self,
        image: impl Into<ImageInput>,
        truth: Option<&ImageTruth>,
    ) -> Result<MeasuredImage, crate::Error> {
        self.of_target(image, self.decoder.ranked(0), truth)
    }

    /// Measures the maps of a class, by its name or its number.
    ///
    /// # Errors
    /// As [`of_target`](Self::of_target), and [`UnknownLabel`](crate::cam_image::Error::UnknownLabel) with similar names.
    pub fn of_class(
        &self,
        image: impl Into<ImageInput>,
        class: &str,
        truth: Option<&ImageTruth>,
    ) -> Result<MeasuredImage, crate::Error> {
        self.of_target(image, self.decoder.target(class)?, truth)
    }

    /// Measures the maps of a target, whose probability is that of its class.
    ///
    /// # Errors
    /// Those of [`ImageExplainer::explain`](crate::ImageExplainer::explain).
    pub fn of_target(
        &self,
        image: impl Into<ImageInput>,
        target: AnyTarget<O>,
        truth: Option<&ImageTruth>,
    ) -> Result<MeasuredImage, crate::Error> {
        let image = image.into();
        if image.pixels().is_empty() {
            let (width, height) = image.pixels().dimensions();
            return Err(crate::Error::EmptyImage { name: image.name().map(String::from), width, height });
        }
        let (input, _) = ImageInput::batch(&[&image], &self.preprocess, &self.model.device())?;
        let truth = truth.map(|truth| truth.on_input(&self.preprocess)).transpose()?;
        let class = Noted { target: target.clone(), class: RefCell::default() };
        let confidence = self.decoder.confidence(target.clone());
        let other = OtherClass { asked: &target, decoder: &*self.decoder };
        let random = |retake| self.random_for(retake);
        let goals =
            Goals { score: &class, confidence: &confidence, other: Some(&other), random: Some(&random) };
        let maps = self.evaluator.evaluate_for(input, &goals, truth.as_ref())?;
        let class = class.class.into_inner();
        let label = class.map_or_else(|| "score".into(), |class| self.decoder.label(class).into_owned());
        let confidence = maps.first().map_or(f64::NAN, |map| map.confidence);
        if !confidence.is_finite() {
            let (model, name) = (Some(self.model.info().name), image.name().map(String::from));
            return Err(crate::Error::NonFiniteOutput { model, name });
        }
        Ok(MeasuredImage { class, label, confidence, maps })
    }

    /// Returns the model with random parameters; each is made once.
    fn random_for(&self, retake: Retake) -> Option<Rc<dyn Model<Tensor<4>, O> + 'm>> {
        let mut known = self.random.borrow_mut();
        let made = known.entry(retake).or_insert_with(|| {
            let stages = f64::from(Retake::STAGES);
            let part = match retake {
                Retake::Cascading(count) => 1.0 - f64::from(count) / stages..1.0,
                Retake::Independent(stage) => {
                    1.0 - f64::from(stage + 1) / stages..1.0 - f64::from(stage) / stages
                }
                _ => return None,
            };
            self.model.randomized(part).map(Rc::from)
        });
        made.clone()
    }

    /// Returns the methods that apply to the model at the layers, and those that do not, each with the reason.
    ///
    /// # Errors
    /// As [`applies`](crate::applies), but for those that say why a method does not apply.
    pub fn applicable(
        model: &M,
        methods: &[&'static dyn Method],
        layers: &[String],
    ) -> Result<Applicable, crate::Error> {
        let target = model.decoder().ranked(0);
        let (mut applicable, mut skipped) = (Vec::new(), Vec::new());
        for &method in methods {
            match crate::applies(model, method, layers, &target) {
                Ok(()) => applicable.push(method),
                Err(error) if error.kind() == crate::ErrorKind::Method => {
                    skipped.push((method.info(), error))
                }
                Err(error) => return Err(error),
            }
        }
        Ok((applicable, skipped))
    }
}

/// Asks for the likeliest of some classes, in each image: an object that a data set calls a car may be a cab or a convertible to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikeliestOf(pub Vec<usize>);

impl Target for LikeliestOf {
    /// # Errors
    /// [`cam_core::Error::UnknownClass`] if there is no such class.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, cam_core::Error> {
        let [batch, classes] = output.dims();
        if let Some(&asked) = self.0.iter().find(|class| **class >= classes) {
            return Err(cam_core::Error::UnknownClass { asked, classes });
        }
        let (logits, count) = (output.clone().inner(), self.0.len());
        let numbers: Vec<i64> = self.0.iter().map(|class| *class as i64).collect();
        let numbers: Tensor<1, Int> = Tensor::from_data(numbers.as_slice(), &logits.device());
        let best = logits.select(1, numbers.clone()).reshape([batch, count]).argmax(1).reshape([batch]);
        Ok(Goal::of_classes(numbers.select(0, best)))
    }
}

/// A target that notes which class it is resolved to.
struct Noted<O> {
    target: AnyTarget<O>,
    class: RefCell<Option<usize>>,
}

impl<O> Target<O> for Noted<O> {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        let goal = self.target.resolve(output)?;
        *self.class.borrow_mut() = class_of(&goal);
        Ok(goal)
    }
}

/// Returns the class of the first image.
fn class_of<O>(goal: &Goal<O>) -> Option<usize> {
    let classes = goal.classes()?.clone().into_data();
    classes.iter::<i64>().next().map(|class| class as usize)
}

/// Another class than the asked one: that in the middle of the ranking, of which there is nothing special.
struct OtherClass<'a, O> {
    asked: &'a AnyTarget<O>,
    decoder: &'a dyn Decoder<O>,
}

impl<O> Target<O> for OtherClass<'_, O> {
    fn resolve(&self, output: &O) -> Result<Goal<O>, cam_core::Error> {
        let middle = self.decoder.classes().unwrap_or(2) / 2;
        let goal = self.decoder.ranked(middle).resolve(output)?;
        match class_of(&goal) == class_of(&self.asked.resolve(output)?) {
            true => self.decoder.ranked(middle.saturating_sub(1)).resolve(output),
            false => Ok(goal),
        }
    }
}
