//! Photos in, maps over them out.

use crate::found::{Found, PhotoMap, of_photos};
use crate::{
    Area, Class, Error, Explainer, Method, Photo, PhotoModel, Prediction, Resize, Smooth, Target, Top,
};
use burn::Tensor;
use cam_core::{Explain, Explanation, Ranked, Wrapped, block_on};
use cam_models::class_named;
use std::fmt::Display;

/// How many predictions are told of each photo, where nothing is said.
const TOLD: usize = 5;

/// The map of the top class of a photo, by Grad-CAM at the layer that the model is best looked at.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// # let model = Classifier::builtin(&Device::flex())?;
/// # let photo = cam_scenes::Scene::draw(7, 200)?.picture;
/// let map = burn_cam::explain(&model, &photo)?;
/// assert_eq!((map.method, map.layer.as_str()), ("gradcam", "layer3.0"));
/// assert_eq!(map.overlay()?.dimensions(), (200, 200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`PhotoExplainer::explain`].
pub fn explain(model: &impl PhotoModel, photo: impl Into<Photo>) -> Result<PhotoMap, Error> {
    let found = PhotoExplainer::new(model).explain(photo)?;
    Ok(found.maps.into_iter().next().expect("one target, one layer and one method have a map"))
}

/// Explains what a model sees in photos.
///
/// Several classes, layers and methods share one forward pass. See the [crate's page](crate) for an example.
pub struct PhotoExplainer<'m, M> {
    model: &'m M,
    explainer: Explainer<'m, M>,
    targets: Vec<Box<dyn Target + Send + Sync>>,
    views: Views,
    resize: Resize,
    told: usize,
}

/// How often each photo is looked at.
enum Views {
    Once,
    Augmented,
    Noisy { samples: usize, sigma: f64, seed: u64 },
}

impl<'m, M: PhotoModel> PhotoExplainer<'m, M> {
    /// An explainer of this model. Where nothing is said, it asks for the top class, by Grad-CAM, at the layer of the model.
    pub fn new(model: &'m M) -> Self {
        let explainer = match model.layer() {
            Some(layer) => Explainer::new(model).default_layer(layer),
            None => Explainer::new(model),
        };
        Self { model, explainer, targets: Vec::new(), views: Views::Once, resize: Resize::Squash, told: TOLD }
    }

    /// Asks for this class too: its name, capitals do not matter, or its number.
    ///
    /// # Errors
    /// [`cam_models::Error::UnknownLabel`] with the names that are near it.
    pub fn class(self, class: impl Display) -> Result<Self, Error> {
        let class = class_named(self.model.labels(), &class.to_string())?;
        Ok(self.target(Class(class)))
    }

    /// Asks for the `count` likeliest classes of each photo too.
    pub fn top(self, count: usize) -> Self {
        (0..count).map(Ranked).fold(self, Self::target)
    }

    /// Asks for this score too: of a class against its rivals, as a probability, any of [`cam_core`]'s targets or one's own.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{Class, Finer, PhotoExplainer};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let photo = cam_scenes::Scene::draw(7, 200)?.picture;
    /// let clock = model.class("clock")?;
    /// let found = PhotoExplainer::new(&model).target(Finer::paper(Class(clock))).explain(&photo)?;
    /// assert_eq!(found.maps[0].label, "clock"); // what makes it a clock and not what is most like one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn target(mut self, target: impl Target + Send + Sync + 'static) -> Self {
        self.targets.push(Box::new(target));
        self
    }

    /// Uses this method too.
    pub fn method(mut self, method: impl Method + 'static) -> Self {
        self.explainer = self.explainer.method(method);
        self
    }

    /// Looks at this layer too, in place of the model's own choice.
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        self.explainer = self.explainer.layer(name);
        self
    }

    /// Averages over six views: plain and mirrored, each in three brightnesses ([`Smooth::augmented`]).
    pub fn augmented(mut self) -> Self {
        self.views = Views::Augmented;
        self
    }

    /// Averages over views with noise of this deviation, of inputs as the model gets them ([`Smooth::noisy`]).
    pub fn noisy(mut self, samples: usize, sigma: f64, seed: u64) -> Self {
        self.views = Views::Noisy { samples, sigma, seed };
        self
    }

    /// How a photo of another shape is brought to the model: squeezed whole, where nothing is said.
    pub fn resize(mut self, resize: Resize) -> Self {
        self.resize = resize;
        self
    }

    /// How many of the likeliest classes are told of each photo; at first 5.
    pub fn told(mut self, count: usize) -> Self {
        self.told = count;
        self
    }

    /// Whatever else an [`Explainer`] can be told: the sign, the scale, progress.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{PhotoExplainer, Rectify, Scale};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// let signed = PhotoExplainer::new(&model).with(|it| it.rectify(Rectify::Signed).scale(Scale::Symmetric));
    /// # Ok::<(), burn_cam::Error>(())
    /// ```
    pub fn with(mut self, tell: impl FnOnce(Explainer<'m, M>) -> Explainer<'m, M>) -> Self {
        self.explainer = tell(self.explainer);
        self
    }

    /// Explains one photo: a [`Photo`], a [`DynamicImage`](image::DynamicImage) or an [`RgbImage`](image::RgbImage).
    ///
    /// # Errors
    /// As [`explain_all`](Self::explain_all).
    pub fn explain(&self, photo: impl Into<Photo>) -> Result<Found, Error> {
        block_on(self.explain_async(photo))
    }

    /// As [`explain`](Self::explain), without blocking: for event loops and browsers, whose devices cannot be waited for.
    ///
    /// ```
    /// use burn_cam::{Classifier, Error, Photo, PhotoExplainer};
    ///
    /// /// What a photo shows: the name of its likeliest class, and where that is.
    /// async fn seen(model: &Classifier, photo: Photo) -> Result<(String, (u32, u32)), Error> {
    ///     let found = PhotoExplainer::new(model).explain_async(photo).await?;
    ///     Ok((found.predictions[0].label.clone(), found.maps[0].peak()))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`explain_all`](Self::explain_all).
    pub async fn explain_async(&self, photo: impl Into<Photo>) -> Result<Found, Error> {
        let found = self.explain_all_async([photo]).await?;
        Ok(found.into_iter().next().expect("one photo, one answer"))
    }

    /// Explains photos in one batch; each has an answer, in their order.
    ///
    /// ```
    /// # use burn_cam::{Classifier, Device};
    /// use burn_cam::{Photo, PhotoExplainer};
    ///
    /// # let model = Classifier::builtin(&Device::flex())?;
    /// # let [one, other] = [cam_scenes::Scene::draw(7, 200)?.picture, cam_scenes::Scene::draw(8, 150)?.picture];
    /// let photos = [Photo::from(one).named("one"), Photo::from(other).named("other")];
    /// for found in PhotoExplainer::new(&model).top(2).explain_all(&photos)? {
    ///     println!("{:?}: {} {:.0} %", found.image, found.predictions[0].label, 100.0 * found.predictions[0].probability);
    ///     assert_eq!(found.maps.len(), 2);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::EmptyPhoto`], and what [`Explain::explain_each`] says of layers, methods, targets and the model.
    pub fn explain_all<P: Into<Photo>>(
        &self,
        photos: impl IntoIterator<Item = P>,
    ) -> Result<Vec<Found>, Error> {
        block_on(self.explain_all_async(photos))
    }

    /// As [`explain_all`](Self::explain_all), without blocking. What is awaited is what [`Explain::explain_each_async`] awaits, then
    /// the predictions and all maps together.
    ///
    /// # Errors
    /// As [`explain_all`](Self::explain_all).
    pub async fn explain_all_async<P: Into<Photo>>(
        &self,
        photos: impl IntoIterator<Item = P>,
    ) -> Result<Vec<Found>, Error> {
        let photos: Vec<Photo> = photos.into_iter().map(Into::into).collect();
        if photos.is_empty() {
            return Ok(Vec::new());
        }
        let pixels = || photos.iter().map(Photo::pixels);
        if let Some(empty) = photos.iter().find(|photo| photo.pixels().is_empty()) {
            let (width, height) = empty.pixels().dimensions();
            return Err(Error::EmptyPhoto { name: empty.name().map(String::from), width, height });
        }
        let (input, views) = self.model.preprocess(self.resize).apply_all(pixels(), &self.model.device());
        let areas: Vec<Area> =
            pixels().zip(views).map(|(pixels, view)| Area::nearest(pixels, view.into())).collect();
        let found = self.look(input).await?;
        let (logits, numbers) = found.read_async().await?;
        let (kind, labels, [_, classes]) = (self.model.logits(), self.model.labels(), found.output.dims());
        let maps = of_photos(&found, &numbers, &photos, &areas, labels)?;
        let predictions = Prediction::of_numbers(&logits, classes, kind, labels, self.told);
        let answers = photos.iter().zip(predictions).zip(maps);
        Ok(answers
            .map(|((photo, predictions), maps)| Found {
                image: photo.name().map(String::from),
                predictions,
                maps,
            })
            .collect())
    }

    /// The maps of a batch, on the device.
    async fn look(&self, images: Tensor<4>) -> Result<Explanation, cam_core::Error> {
        let targets: Vec<&dyn Target> = match &self.targets[..] {
            [] => vec![&Top],
            asked => asked.iter().map(|target| target.as_ref() as &dyn Target).collect(),
        };
        match self.views {
            Views::Once => self.explainer.explain_each_async(images, &targets).await,
            Views::Augmented => {
                Wrapped::new(&self.explainer, Smooth::augmented()).explain_each_async(images, &targets).await
            }
            Views::Noisy { samples, sigma, seed } => {
                Wrapped::new(&self.explainer, Smooth::noisy(samples, sigma, seed))
                    .explain_each_async(images, &targets)
                    .await
            }
        }
    }
}
