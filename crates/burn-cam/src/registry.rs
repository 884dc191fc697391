//! What there is by name: methods, scores of classes, families of models, kinds of model files.

use crate::open::OPENERS;
use crate::{AnyTarget, Error, METHODS, Method, Opener, TARGETS, Target, TargetInfo};

/// What there is by name: the methods, the scores that a class can be explained by, the families of models, and the kinds of model files.
/// The default one has what is built in; a program adds its own.
///
/// ```
/// use burn_cam::{Evidence, LayerContext, Method, MethodInfo, Registry};
///
/// /// The weight of a channel is the largest gradient in it.
/// struct MaxGradCam;
///
/// impl Method for MaxGradCam {
///     fn info(&self) -> MethodInfo {
///         MethodInfo::new("maxgradcam", "Max Grad-CAM", "https://example.org").gradient()
///     }
///
///     fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
///         Box::pin(async move { Ok(layer.gradient()?.max_dim(2) * layer.activation()) })
///     }
/// }
///
/// let registry = Registry::default().with_method(MaxGradCam);
/// assert_eq!(registry.method("maxgradcam")?.info().title, "Max Grad-CAM");
/// # Ok::<(), burn_cam::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    methods: Vec<&'static dyn Method>,
    targets: Vec<TargetInfo>,
    openers: Vec<&'static dyn Opener>,
    #[cfg(feature = "metrics")]
    metrics: Vec<&'static dyn cam_metrics::Metric>,
    #[cfg(feature = "zoo")]
    pub(crate) models: cam_models::Registry,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            methods: METHODS.to_vec(),
            targets: TARGETS.to_vec(),
            openers: OPENERS.to_vec(),
            #[cfg(feature = "metrics")]
            metrics: cam_metrics::METRICS.to_vec(),
            #[cfg(feature = "zoo")]
            models: cam_models::Registry::default(),
        }
    }
}

impl Registry {
    /// Adds a method, in place of one of the same name. It lasts as long as the program, as the built-in ones do.
    pub fn with_method(mut self, method: impl Method + 'static) -> Self {
        self.methods.retain(|other| other.name() != method.name());
        self.methods.push(Box::leak(Box::new(method)));
        self
    }

    /// Adds a score that a class can be explained by, in place of one of the same name.
    pub fn with_target(mut self, target: TargetInfo) -> Self {
        self.targets.retain(|other| other.name != target.name);
        self.targets.push(target);
        self
    }

    /// Adds a kind of model files, which is asked before those that there are. It lasts as long as the program.
    pub fn with_opener(mut self, opener: impl Opener + 'static) -> Self {
        self.openers.insert(0, Box::leak(Box::new(opener)));
        self
    }

    /// Adds a metric of maps, in place of one of the same name. It lasts as long as the program, as the built-in ones do.
    #[cfg(feature = "metrics")]
    pub fn with_metric(mut self, metric: impl cam_metrics::Metric + 'static) -> Self {
        self.metrics.retain(|other| other.name() != metric.name());
        self.metrics.push(Box::leak(Box::new(metric)));
        self
    }

    /// Returns all metrics of maps.
    #[cfg(feature = "metrics")]
    pub fn metrics(&self) -> &[&'static dyn cam_metrics::Metric] {
        &self.metrics
    }

    /// Returns the metric of this name.
    ///
    /// # Errors
    /// [`cam_metrics::Error::UnknownMetric`] with the names that there are.
    #[cfg(feature = "metrics")]
    pub fn metric(&self, name: &str) -> Result<&'static dyn cam_metrics::Metric, Error> {
        let found = self.metrics.iter().copied().find(|metric| metric.name() == name);
        let unknown = || cam_metrics::Error::UnknownMetric {
            asked: name.into(),
            known: self.metrics.iter().map(|metric| metric.name().into()).collect(),
        };
        Ok(found.ok_or_else(unknown)?)
    }

    /// Returns all methods.
    pub fn methods(&self) -> &[&'static dyn Method] {
        &self.methods
    }

    /// Returns the method of this name.
    ///
    /// # Errors
    /// [`cam_core::Error::UnknownMethod`] with the names that there are.
    pub fn method(&self, name: &str) -> Result<&'static dyn Method, Error> {
        let found = self.methods.iter().copied().find(|method| method.name() == name);
        let unknown = || cam_core::Error::UnknownMethod {
            asked: name.into(),
            known: self.methods.iter().map(|method| method.name().into()).collect(),
        };
        Ok(found.ok_or_else(unknown)?)
    }

    /// Returns all scores that a class can be explained by.
    pub fn targets(&self) -> &[TargetInfo] {
        &self.targets
    }

    /// Returns the target that asks for a class by the score of this name: `softmax` asks for its probability.
    ///
    /// # Errors
    /// [`cam_core::Error::UnknownTarget`] with the names that there are.
    pub fn target(&self, name: &str, class: impl Target + Send + Sync + 'static) -> Result<AnyTarget, Error> {
        match self.targets.iter().find(|target| target.name == name) {
            Some(target) => Ok(AnyTarget::from((target.build)(Box::new(class)))),
            None => Err(cam_core::Error::UnknownTarget {
                asked: name.into(),
                known: self.targets.iter().map(|target| target.name.into()).collect(),
            }
            .into()),
        }
    }

    /// Returns the kinds of model files, in the order in which they are asked.
    pub fn openers(&self) -> &[&'static dyn Opener] {
        &self.openers
    }
}
