//! Images in, maps over them out.

use crate::ask::answer;
use crate::decoder::OutputParts;
use crate::explanation::{BatchMaps, ImageExplanation, ImageMap, Timings};
use crate::input::Shown;
use crate::{
    AnyTarget, Ask, Aspect, Decoder, Embed, Error, ImageInput, ImageModel, Mask, Part, Prediction,
    Preprocess, Resize,
};
use burn::Tensor;
use cam_core::{
    BoxedTarget, Explain, Explainer, Explanation, Fusion, INPUT, Levels, Method, Rectify, Rise, Scale, Taps,
    Target, Wrapped, Wrapper, block_on, choose_levels_async, method_named,
};
use std::collections::HashSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use web_time::Instant;

/// The default number of predictions of each image.
const TOP_K: usize = 5;

/// The default number of images in one pass.
const BATCH_SIZE: usize = 8;

/// How many positions of a layer the gradient of a box has to reach.
const REACH: usize = 9;

/// Explains the top prediction of an image, by the [default method](crate::default_method) at the default layer of the model.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// # let model = Classifier::builtin(&Device::flex())?;
/// # let image = cam_scenes::Scene::draw(7, 200)?.image;
/// let map = burn_cam::explain(&model, &image)?;
/// assert_eq!((map.method.name, map.layer.as_str()), ("gradcam", "layer3.0"));
/// assert_eq!(map.overlay()?.dimensions(), (200, 200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`ImageExplainer::explain`].
pub fn explain<O: 'static>(
    model: &impl ImageModel<O>,
    image: impl Into<ImageInput>,
) -> Result<ImageMap, Error> {
    let image = image.into();
    let found = ImageExplainer::new(model).top(1).explain(&image)?;
    found.maps.into_iter().next().ok_or_else(|| Error::NothingFound { name: image.name().map(String::from) })
}

/// A wrapper of explainers of images, of any kind.
type AnyWrapper<O> = Box<dyn Wrapper<Tensor<4>, O> + Send + Sync>;

/// Explains what a model predicts for images.
///
/// Several targets, layers and methods share one forward pass. See the [crate's page](crate) for an example.
pub struct ImageExplainer<'m, M, O = Tensor<2>> {
    model: &'m M,
    explainer: Explainer<'m, M>,
    decoder: Box<dyn Decoder<O>>,
    targets: Vec<AnyTarget<O>>,
    /// What is asked of predictions that have places, and which aspect of each.
    asks: Vec<Ask>,
    aspect: Aspect,
    /// Makes the score of a prediction that is explained without a target.
    default_score: fn(BoxedTarget<O>) -> BoxedTarget<O>,
    /// The innermost first.
    wrappers: Vec<AnyWrapper<O>>,
    preprocess: Preprocess,
    top_k: usize,
    batch_size: usize,
    /// Input sizes other than that of the model that it has been seen to take.
    sizes: Mutex<HashSet<[usize; 2]>>,
}

impl<'m, M: ImageModel<O>, O: 'static> ImageExplainer<'m, M, O> {
    /// Creates an explainer of this model. By default it explains the top prediction, by its [default method](crate::default_method), at its
    /// default layer; of classes that do not exclude each other it explains all that are likely. Of predictions that have places, such as
    /// boxes, it explains the five most confident, by the gradient times the activation at every place (`HiResCam`; of boxes this is ODAM), at the layers that
    /// feed each. Maps are [rectified last](Explainer::rectify_last), which leaves no steps of a coarse layer.
    pub fn new(model: &'m M) -> Self {
        let mut explainer = Explainer::new(model).rectify_last(true);
        if let Some(layer) = model.default_layer() {
            explainer = explainer.default_layer(layer);
        }
        let decoder = model.decoder();
        if let Some(method) = decoder.method().and_then(|name| method_named(name).ok()) {
            explainer = explainer.default_method(method);
        }
        if decoder.is_signed() {
            explainer = explainer.rectify(Rectify::Signed).scale(Scale::Symmetric);
        }
        Self {
            model,
            explainer,
            decoder,
            targets: Vec::new(),
            asks: Vec::new(),
            aspect: Aspect::default(),
            default_score: |target| target,
            wrappers: Vec::new(),
            preprocess: model.preprocess(),
            top_k: TOP_K,
            batch_size: BATCH_SIZE,
            sizes: Mutex::default(),
        }
    }

    /// Adds a class, by its name (the case does not matter) or its number.
    ///
    /// # Errors
    /// [`cam_image::Error::UnknownLabel`] with similar names.
    pub fn class(self, class: impl Display) -> Result<Self, Error> {
        if self.decoder.has_places() {
            self.decoder.class(&class.to_string())?;
            return Ok(self.ask(Ask::Class(class.to_string())));
        }
        let target = self.decoder.target(&class.to_string())?;
        Ok(self.target(target))
    }

    /// Adds the `count` most confident predictions of each image, or all of a model of fewer classes.
    pub fn top(self, count: usize) -> Self {
        if self.decoder.has_places() {
            return self.ask(Ask::Top(count));
        }
        let count = self.decoder.classes().map_or(count, |classes| count.min(classes));
        (0..count).fold(self, |explainer, rank| {
            let target = explainer.decoder.ranked(rank);
            explainer.target(target)
        })
    }

    /// Adds a target: a class against its rivals, a probability, [a prediction](crate::Prediction::target), or your own.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{Class, Finer, ImageExplainer};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let image = cam_scenes::Scene::draw(7, 200)?.image;
    /// let clock = model.class("clock")?;
    /// let found = ImageExplainer::new(&model).target(Finer::paper(Class(clock))).explain(&image)?;
    /// assert_eq!(found.maps[0].label, "clock"); // what makes it a clock rather than the classes most like one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn target(mut self, target: impl Target<O> + Send + Sync + 'static) -> Self {
        self.targets.push(AnyTarget::new(target));
        self
    }

    /// Returns whether the predictions of the model have places, such as boxes.
    pub fn has_places(&self) -> bool {
        self.decoder.has_places()
    }

    /// Adds which of its own predictions each image is asked for, of a model whose predictions have places: boxes, regions.
    pub fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    /// Sets which part of each box is explained: its score, or why an edge is where it is.
    pub fn part(mut self, part: Part) -> Self {
        self.aspect.part = part;
        self
    }

    /// Explains by random masks, whatever the methods and the layers: [`Rise`], and D-RISE for boxes.
    pub fn masked(mut self, masks: Rise) -> Self {
        self.aspect.again = true;
        self.explainer = self.explainer.default_layer(INPUT);
        self.wrap(masks)
    }

    /// Asks why each prediction is of its class and not of this one, by its name or number.
    pub fn against(mut self, class: impl Display) -> Self {
        self.aspect.against = Some(class.to_string());
        self
    }

    /// Sets which score of a prediction is explained without a target: the `build` of a [`TargetInfo`](crate::TargetInfo).
    pub fn default_score(mut self, build: fn(BoxedTarget<O>) -> BoxedTarget<O>) -> Self {
        self.default_score = build;
        self
    }

    /// Adds a method. The first one replaces the [default method](crate::default_method).
    pub fn method(mut self, method: impl Method + 'static) -> Self {
        self.explainer = self.explainer.method(method);
        self
    }

    /// Adds a layer. The first one replaces the default layer. If no method is named, Grad-CAM explains it, or that of the decoder.
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        self.explainer = self.explainer.layer(name);
        self
    }

    /// Wraps the explainer: averages over views ([`Smooth`](crate::Smooth)), puts maps of windows together ([`Sess`](crate::Sess)), or
    /// fuses the maps of several layers ([`Fusion`](crate::Fusion)). A wrapper that is added later wraps those before it.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{Fusion, ImageExplainer, Smooth};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let image = cam_scenes::Scene::draw(7, 200)?.image;
    /// let explainer = ImageExplainer::new(&model).layer("layer3.0").layer("layer4.0").wrap(Fusion::Max);
    /// let found = explainer.wrap(Smooth::noisy(4, 0.1, 0)).explain(&image)?;
    /// assert!(found.maps[0].std.is_some()); // how far the fused map varies over four noisy copies of the image
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wrap(mut self, wrapper: impl Wrapper<Tensor<4>, O> + Send + Sync + 'static) -> Self {
        self.wrappers.push(Box::new(wrapper));
        self
    }

    /// Sets how an image of another shape becomes the input of the model; by default the whole image is squeezed.
    pub fn resize(mut self, resize: Resize) -> Self {
        self.preprocess.resize = resize;
        self
    }

    /// Sets how an image becomes the input of the model; by default as the model says.
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess = preprocess;
        self
    }

    /// Sets how many predictions of each image are returned; by default 5.
    pub fn top_k(mut self, count: usize) -> Self {
        self.top_k = count;
        self
    }

    /// Sets how many images go through the model in one pass at most; by default 8.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.batch_size = images.max(1);
        self
    }

    /// Sets what else an [`Explainer`] has: the sign, the scale, the memory of a pass, progress.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{ImageExplainer, Rectify, Scale};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// let signed = ImageExplainer::new(&model).configure(|it| it.rectify(Rectify::Signed).scale(Scale::Symmetric));
    /// # Ok::<(), burn_cam::Error>(())
    /// ```
    pub fn configure(mut self, change: impl FnOnce(Explainer<'m, M>) -> Explainer<'m, M>) -> Self {
        self.explainer = change(self.explainer);
        self
    }

    /// Explains one image: an [`ImageInput`], a [`DynamicImage`](image::DynamicImage) or an [`RgbImage`](image::RgbImage).
    ///
    /// # Errors
    /// Those of [`explain_all`](Self::explain_all), and those of the image.
    pub fn explain(&self, image: impl Into<ImageInput>) -> Result<ImageExplanation<O>, Error> {
        block_on(self.explain_async(image))
    }

    /// Explains one image without blocking, for event loops and browsers, whose devices cannot be waited for.
    ///
    /// ```
    /// use burn_cam::{Classifier, Error, ImageExplainer, ImageInput};
    ///
    /// /// Returns the name of the top class of an image, and where it is.
    /// async fn top_class(model: &Classifier, image: ImageInput) -> Result<(String, (u32, u32)), Error> {
    ///     let found = ImageExplainer::new(model).explain_async(image).await?;
    ///     Ok((found.predictions[0].label.clone(), found.maps[0].peak()))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub async fn explain_async(&self, image: impl Into<ImageInput>) -> Result<ImageExplanation<O>, Error> {
        let mut found = self.explain_all_async([image]).await?;
        found.pop().expect("one image has one result")
    }

    /// Explains images in batches and returns one result for each, in their order. An image that cannot be explained does not stop
    /// the others.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{ImageExplainer, ImageInput};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let [one, other] = [cam_scenes::Scene::draw(7, 200)?.image, cam_scenes::Scene::draw(8, 150)?.image];
    /// let images = [ImageInput::from(one).named("one"), ImageInput::from(other).named("other")];
    /// for found in ImageExplainer::new(&model).top(2).explain_all(&images)? {
    ///     let found = found?;
    ///     println!("{:?}: {}", found.image, found.predictions[0].label);
    ///     assert_eq!(found.maps.len(), 2);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What concerns all images: layers, methods, targets, the model, the device. What concerns one image
    /// ([`Error::is_of_one_image`]) is its result.
    pub fn explain_all<P: Into<ImageInput>>(
        &self,
        images: impl IntoIterator<Item = P>,
    ) -> Result<Vec<Result<ImageExplanation<O>, Error>>, Error> {
        block_on(self.explain_all_async(images))
    }

    /// Explains images without blocking, as [`explain_all`](Self::explain_all). Each batch waits for the numbers that
    /// [`Explainer`]'s first call and some methods need, and then for the predictions and all maps together.
    ///
    /// # Errors
    /// As [`explain_all`](Self::explain_all).
    pub async fn explain_all_async<P: Into<ImageInput>>(
        &self,
        images: impl IntoIterator<Item = P>,
    ) -> Result<Vec<Result<ImageExplanation<O>, Error>>, Error> {
        let images: Vec<ImageInput> = images.into_iter().map(Into::into).collect();
        let mut results = Vec::with_capacity(images.len());
        let mut left = &images[..];
        while let Some(first) = left.first() {
            if first.pixels().is_empty() {
                let (width, height) = first.pixels().dimensions();
                results.push(Err(Error::EmptyImage { name: first.name().map(String::from), width, height }));
                left = &left[1..];
                continue;
            }
            let size = first.input_size(&self.preprocess);
            let fits = |image: &&ImageInput| {
                !image.pixels().is_empty() && image.input_size(&self.preprocess) == size
            };
            let most = if self.decoder.has_places() { 1 } else { self.batch_size };
            let count = left.iter().take(most).take_while(fits).count();
            let (batch, rest) = left.split_at(count);
            left = rest;
            match self.batch(batch).await {
                Ok(found) => results.extend(found),
                Err(error) if !error.is_of_one_image() => return Err(error),
                Err(error) if count == 1 => results.push(Err(error)),
                // The error does not say which image it is of, so each is explained alone.
                Err(_) => {
                    for image in batch.chunks(1) {
                        match self.batch(image).await {
                            Ok(found) => results.extend(found),
                            Err(error) if !error.is_of_one_image() => return Err(error),
                            Err(error) => results.push(Err(error)),
                        }
                    }
                }
            }
        }
        Ok(results)
    }

    /// Explains images of one input size in one pass.
    async fn batch(&self, images: &[ImageInput]) -> Result<Vec<Result<ImageExplanation<O>, Error>>, Error> {
        if let ([image], true) = (images, self.decoder.has_places()) {
            return Ok(vec![Ok(self.places(image).await?)]);
        }
        let started = Instant::now();
        let (input, shown) =
            ImageInput::batch(&images.iter().collect::<Vec<_>>(), &self.preprocess, &self.model.device())?;
        let preprocess = started.elapsed();
        self.check_size(&images[0], &input)?;
        let started = Instant::now();
        let [_, _, height, width] = input.dims();
        let targets = self.targets_of(&input).await?;
        let explanation = self
            .maps(input, &targets)
            .await
            .map_err(|error| self.of_size(&images[0], [height, width], error))?;
        let parts = self.decoder.parts(&explanation.output)?;
        let shapes = parts.iter().map(Tensor::dims).collect();
        let (parts, numbers) = explanation.read_with_async(parts).await?;
        let parts = OutputParts::new(shapes, parts);
        let count = images.len() as u32;
        let timings = Timings {
            preprocess: preprocess / count,
            forward: explanation.forward / count,
            explain: started.elapsed().saturating_sub(explanation.forward) / count,
            passes: explanation.passes,
        };
        let maps = BatchMaps { maps: &explanation.maps, numbers: &numbers };
        let results = images.iter().zip(shown).enumerate().map(|(place, (image, shown))| {
            let mut predictions = parts.predictions(&*self.decoder, place);
            if predictions.iter().any(|prediction| !prediction.score.is_finite()) {
                let model = Some(self.model.info().name);
                return Err(Error::NonFiniteOutput { model, name: image.name().map(String::from) });
            }
            let mut maps = maps.of_image(place, image, shown, |class| {
                match predictions.iter().find(|p| p.class == class) {
                    // A number that is no score of a class has a unit, if an empty one, and no probability.
                    Some(known) => (known.label.clone(), known.unit.is_none().then_some(known.probability)),
                    None => (self.decoder.label(class).into_owned(), None),
                }
            })?;
            if let Some(warning) = self.decoder.warning(&parts.of(place)) {
                maps.iter_mut().for_each(|map| map.warnings.push(warning));
            }
            if self.targets.is_empty() {
                let explained = self.decoder.explained(&predictions);
                maps.retain(|map| map.target < explained);
                // What is no class is called as its prediction.
                for map in maps.iter_mut().filter(|map| map.class.is_none()) {
                    if let Some(prediction) = predictions.get(map.target) {
                        map.label.clone_from(&prediction.label);
                    }
                }
            }
            predictions.truncate(self.top_k);
            Ok(ImageExplanation { image: image.name().map(String::from), predictions, maps, timings })
        });
        Ok(results.collect())
    }

    /// Explains what is asked of the predictions of one image, each at the layers that feed it unless layers are named.
    async fn places(&self, image: &ImageInput) -> Result<ImageExplanation<O>, Error> {
        let started = Instant::now();
        let (input, shown) = ImageInput::batch(&[image], &self.preprocess, &self.model.device())?;
        let shown = shown[0];
        let preprocess = started.elapsed();
        self.check_size(image, &input)?;
        let started = Instant::now();
        let (output, forward) = Explain::<_, O>::inference(&self.explainer).forward(input.clone())?;
        let parts = OutputParts::read(self.decoder.parts(&output)?).await?;
        if !parts.is_finite() {
            let model = Some(self.model.info().name);
            return Err(Error::NonFiniteOutput { model, name: image.name().map(String::from) });
        }
        let mut predictions = parts.predictions(&*self.decoder, 0);
        let mut asked = self.asked(image, &parts.of(0), &predictions)?;
        let scored =
            |prediction: &Prediction<O>| AnyTarget::from((self.default_score)(Box::new(prediction.target())));
        let mut targets: Vec<AnyTarget<O>> = asked.iter().map(scored).collect();
        targets.extend(self.targets.iter().cloned());
        let mut timings = Timings { preprocess, forward, passes: 1.0, ..Timings::default() };
        let mut maps = Vec::new();
        self.to_photo(image, predictions.iter_mut().chain(&mut asked));
        for (places, layers) in self.groups(&input, &targets).await? {
            let group: Vec<AnyTarget<O>> = places.iter().map(|place| targets[*place].clone()).collect();
            let explanation = self.maps_at(input.clone(), &group, layers).await?;
            let (_, numbers) = explanation.read_with_async(Vec::<Tensor<2>>::new()).await?;
            timings.passes += explanation.passes;
            let of_group = BatchMaps { maps: &explanation.maps, numbers: &numbers };
            for mut map in
                of_group.of_image(0, image, shown, |class| (self.decoder.label(class).into_owned(), None))?
            {
                map.target = places[map.target];
                if let Some(prediction) = asked.get(map.target) {
                    map.class = Some(prediction.class);
                    map.label = self.described(prediction);
                    map.bounds = prediction.place.map(|place| place.bounds);
                    map.mask.clone_from(&prediction.mask);
                    let is_found = prediction.place.is_some_and(|place| place.row.is_some());
                    map.probability = is_found.then_some(prediction.probability);
                }
                maps.push(map);
            }
        }
        maps.sort_by_key(|map| map.target);
        if let Some(warning) = self.decoder.warning(&parts.of(0)) {
            maps.iter_mut().for_each(|map| map.warnings.push(warning));
        }
        timings.explain = started.elapsed().saturating_sub(forward);
        Ok(ImageExplanation { image: image.name().map(String::from), predictions, maps, timings })
    }

    /// Returns the predictions that are asked for: by default as many as the decoder explains, if no target is.
    fn asked(
        &self,
        image: &ImageInput,
        parts: &[&[f32]],
        predictions: &[Prediction<O>],
    ) -> Result<Vec<Prediction<O>>, Error> {
        let default = [Ask::Top(self.decoder.explained(predictions))];
        let asks = if self.asks.is_empty() && self.targets.is_empty() { &default[..] } else { &self.asks };
        let size: [u32; 2] = image.pixels().dimensions().into();
        let to_input = |point: [f32; 2]| self.preprocess.to_input(point, size);
        let mut asked = Vec::new();
        for ask in asks {
            let ask = match ask.clone() {
                Ask::At(point) => Ask::At(to_input(point)),
                Ask::Expect { class, bounds: [left, top, right, bottom] } => {
                    let ([left, top], [right, bottom]) = (to_input([left, top]), to_input([right, bottom]));
                    Ask::Expect { class, bounds: [left, top, right, bottom] }
                }
                Ask::Within { mask, class } => {
                    let (found, expected) = ([mask.width, mask.height], size.map(|side| side as usize));
                    if found != expected {
                        let name = image.name().map(String::from);
                        return Err(Error::MaskSize { name, mask: found, image: expected });
                    }
                    Ask::Within { mask: Arc::new(in_input(&mask, &self.preprocess)), class }
                }
                other => other,
            };
            asked.extend(answer(&*self.decoder, &ask, &self.aspect, parts, predictions)?);
        }
        Ok(asked)
    }

    /// Brings the places of predictions from the input to the image, and within it.
    fn to_photo<'p>(&self, image: &ImageInput, predictions: impl Iterator<Item = &'p mut Prediction<O>>) {
        let (width, height) = image.pixels().dimensions();
        let preprocess = match image.prepared() {
            Some(input) => {
                let [_, _, height, width] = input.dims();
                Preprocess { size: [height, width], resize: Resize::Squash, ..self.preprocess.clone() }
            }
            None => self.preprocess.clone(),
        };
        for prediction in predictions {
            if let Some(mask) = &prediction.mask {
                prediction.mask = Some(Arc::new(on_photo(mask, &preprocess, [width, height])));
            }
            let Some(place) = prediction.place.as_mut() else { continue };
            let [left, top, right, bottom] = place.bounds;
            let [[left, top], [right, bottom]] =
                [[left, top], [right, bottom]].map(|point| preprocess.to_photo(point, [width, height]));
            let (across, down) = (|x: f32| x.clamp(0.0, width as f32), |y: f32| y.clamp(0.0, height as f32));
            place.bounds = [across(left), down(top), across(right), down(bottom)];
        }
    }

    /// Returns what a map of a prediction is of: its class, and what of it is asked.
    fn described(&self, prediction: &Prediction<O>) -> String {
        let label = &prediction.label;
        match (&self.aspect.against, self.aspect.part) {
            (_, part @ (Part::Left | Part::Top | Part::Right | Part::Bottom)) => {
                format!("{label}, {} edge", part.name())
            }
            (Some(other), _) => {
                let other = self
                    .decoder
                    .class(other)
                    .map_or_else(|_| other.clone(), |c| self.decoder.label(c).into());
                format!("{label}, not {other}")
            }
            _ => label.clone(),
        }
    }

    /// Returns the places of targets that are explained at the same layers, and these; none where the explainer has its own.
    async fn groups(
        &self,
        input: &Tensor<4>,
        targets: &[AnyTarget<O>],
    ) -> Result<Vec<(Vec<usize>, Vec<String>)>, Error> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        if self.explainer.knows_layer() {
            return Ok(vec![((0..targets.len()).collect(), Vec::new())]);
        }
        let asked: Vec<&dyn Target<O>> = targets.iter().map(|target| target as &dyn Target<O>).collect();
        let choice = if self.decoder.reads_coarsest() { Levels::Coarsest } else { Levels::Reached(REACH) };
        let levels = choose_levels_async(self.model, input, &asked, choice).await?;
        let mut groups: Vec<(Vec<usize>, Vec<String>)> = Vec::new();
        for (place, layers) in levels.into_iter().enumerate() {
            match groups.iter_mut().find(|(_, known)| *known == layers) {
                Some((places, _)) => places.push(place),
                None => groups.push((vec![place], layers)),
            }
        }
        Ok(groups)
    }

    /// Returns the maps of one image at these layers, which are fused, or at those of the explainer.
    async fn maps_at(
        &self,
        images: Tensor<4>,
        targets: &[AnyTarget<O>],
        layers: Vec<String>,
    ) -> Result<Explanation<Tensor<3>, O>, cam_core::Error> {
        if layers.is_empty() {
            return self.maps(images, targets).await;
        }
        let several = layers.len() > 1;
        let at_layers = self.explainer.at_layers(layers);
        let mut explain: Box<dyn Explain<Tensor<4>, O> + '_> = Box::new(at_layers);
        if several {
            explain = Box::new(Wrapped::new(explain, Fusion::Max));
        }
        self.wrapped(explain, images, targets).await
    }

    /// Makes sure that the model takes an input of a size that is not its own: the layers of most networks need some size at least, and
    /// Burn panics below it.
    fn check_size(&self, image: &ImageInput, input: &Tensor<4>) -> Result<(), Error> {
        let [_, _, height, width] = input.dims();
        let size = [height, width];
        let sizes = || self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if size == self.preprocess.size || sizes().contains(&size) {
            return Ok(());
        }
        let refused =
            |reason: String| Error::InputSize { name: image.name().map(String::from), width, height, reason };
        let run = || -> Result<(), cam_core::Error> {
            self.model.prepare(input)?;
            self.model.forward(input.clone(), &Taps::off());
            Ok(())
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => {
                sizes().insert(size);
                Ok(())
            }
            Ok(Err(error @ cam_core::Error::Recording { .. })) => Err(refused(error.to_string())),
            Ok(Err(error)) => Err(error.into()),
            Err(panic) => Err(refused(panic_message(&*panic))),
        }
    }

    /// Returns an error of an input whose size is not that of the model: that size is the reason for a layer that is missing.
    fn of_size(&self, image: &ImageInput, [height, width]: [usize; 2], error: cam_core::Error) -> Error {
        use cam_core::Error::{NoLayer, UnknownLayer};
        let is_own = [height, width] != self.preprocess.size;
        match error {
            UnknownLayer { .. } | NoLayer { .. } if is_own => {
                let (name, reason) = (image.name().map(String::from), error.to_string());
                Error::InputSize { name, width, height, reason }
            }
            other => other.into(),
        }
    }

    /// Returns what is explained of these images: the targets, or by default as many predictions as the image with the most needs, for
    /// which the model runs once more if that depends on them.
    pub(crate) async fn targets_of(&self, images: &Tensor<4>) -> Result<Vec<AnyTarget<O>>, Error> {
        if !self.targets.is_empty() {
            return Ok(self.targets.clone());
        }
        self.decoder.check()?;
        let mut most = 1;
        if self.decoder.explains_several() {
            let inference = Explain::<_, O>::inference(&self.explainer);
            let parts = OutputParts::read(self.decoder.parts(&inference.forward(images.clone())?.0)?).await?;
            let explained = |image| self.decoder.explained(&parts.predictions(&*self.decoder, image));
            most = (0..images.dims()[0]).map(explained).max().unwrap_or(1);
        }
        let scored = |rank| AnyTarget::from((self.default_score)(Box::new(self.decoder.ranked(rank))));
        Ok((0..most).map(scored).collect())
    }

    /// Returns the maps of a batch, on the device.
    async fn maps(
        &self,
        images: Tensor<4>,
        targets: &[AnyTarget<O>],
    ) -> Result<Explanation<Tensor<3>, O>, cam_core::Error> {
        self.wrapped(Box::new(&self.explainer), images, targets).await
    }

    async fn wrapped(
        &self,
        mut explain: Box<dyn Explain<Tensor<4>, O> + '_>,
        images: Tensor<4>,
        targets: &[AnyTarget<O>],
    ) -> Result<Explanation<Tensor<3>, O>, cam_core::Error> {
        let targets: Vec<&dyn Target<O>> = targets.iter().map(|target| target as &dyn Target<O>).collect();
        for wrapper in &self.wrappers {
            explain = Box::new(Wrapped::new(explain, wrapper));
        }
        explain.explain_each_async(images, &targets).await
    }

    /// Returns the model.
    pub(crate) fn model(&self) -> &'m M {
        self.model
    }

    /// Returns the decoder of the model's output.
    pub(crate) fn decoder(&self) -> &dyn Decoder<O> {
        &*self.decoder
    }

    /// Returns the input of one image, checked, and what of it the model sees.
    pub(crate) fn input(&self, image: &ImageInput) -> Result<(Tensor<4>, Shown), Error> {
        if image.pixels().is_empty() {
            let (width, height) = image.pixels().dimensions();
            return Err(Error::EmptyImage { name: image.name().map(String::from), width, height });
        }
        let (input, shown) = ImageInput::batch(&[image], &self.preprocess, &self.model.device())?;
        self.check_size(image, &input)?;
        Ok((input, shown[0]))
    }
}

impl<M: ImageModel> ImageExplainer<'_, M> {
    /// Explains how similar each image is to this one: the cosine of the embeddings, which are the outputs of the model.
    ///
    /// # Errors
    /// Those of the image and of the model.
    pub fn like(self, other: impl Into<ImageInput>) -> Result<Self, Error> {
        let other = other.into();
        let (input, _) = self.input(&other)?;
        let (output, _) = Explain::<_, Tensor<2>>::inference(&self.explainer).forward(input)?;
        let numbers: Vec<f32> = output.inner().try_into_vec_as().map_err(cam_core::Error::from)?;
        Ok(self.like_vector(other.name().unwrap_or("the other image"), numbers))
    }

    /// Explains how similar the embedding of each image is to this one, of something with a name: the cosine of both.
    ///
    /// - embedding: as many numbers as the model's, `[features]`; another number is an error of the explanation
    pub fn like_vector(mut self, name: impl Into<String>, embedding: Vec<f32>) -> Self {
        self.decoder = Box::new(Embed::like(name, embedding));
        self
    }
}

/// Returns a mask of the input as one of an image of this width and height.
fn on_photo(mask: &Mask, preprocess: &Preprocess, [width, height]: [u32; 2]) -> Mask {
    let [rows, columns] = preprocess.input_size(width, height);
    let cell =
        |at: f32, side: usize, cells: usize| ((at / side as f32 * cells as f32) as usize).min(cells - 1);
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as f32 + 0.5, y as f32 + 0.5]));
    let inside = pixels.map(|point| {
        let [x, y] = preprocess.to_input(point, [width, height]);
        let is_seen = (0.0..columns as f32).contains(&x) && (0.0..rows as f32).contains(&y);
        is_seen && mask.inside[cell(y, rows, mask.height) * mask.width + cell(x, columns, mask.width)]
    });
    Mask { width: width as usize, height: height as usize, inside: inside.collect() }
}

/// Returns a mask of an image as one of the input: which of its pixels show the region.
fn in_input(mask: &Mask, preprocess: &Preprocess) -> Mask {
    let size = [mask.width as u32, mask.height as u32];
    let [height, width] = preprocess.input_size(size[0], size[1]);
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as f32 + 0.5, y as f32 + 0.5]));
    let inside = pixels.map(|point| {
        let [x, y] = preprocess.to_photo(point, size);
        let is_shown = (0.0..mask.width as f32).contains(&x) && (0.0..mask.height as f32).contains(&y);
        is_shown && mask.inside[y as usize * mask.width + x as usize]
    });
    Mask { width, height, inside: inside.collect() }
}

/// Returns what a panic says.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}
