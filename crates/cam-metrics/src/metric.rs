//! What a metric is, and what it may ask for.

use crate::{Baseline, Change, Map, Pixels, Truth};
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;

/// A measure of one map of one image, and of the maps of many images together.
///
/// Your own metric is an implementation of this trait:
///
/// ```
/// use cam_metrics::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};
///
/// /// The share of the map above one half.
/// struct HotArea;
///
/// impl Metric for HotArea {
///     fn info(&self) -> MetricInfo {
///         MetricInfo::new("hot-area", "Hot area", "https://example.org", Group::Form, Better::Lower)
///     }
///
///     fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
///         let values = subject.map.values();
///         let hot = values.iter().filter(|value| **value > 0.5).count();
///         Ok((hot as f64 / values.len() as f64).into())
///     }
/// }
/// ```
pub trait Metric: Send + Sync {
    /// Returns what the metric is called and what it needs.
    fn info(&self) -> MetricInfo;

    /// Returns the changed copies of the input whose scores it reads. Each is run once for all metrics that name it.
    fn changes(&self) -> Vec<Change> {
        Vec::new()
    }

    /// Returns the further maps that it compares the map with. Each is made once for all metrics that name it.
    fn retakes(&self) -> Vec<Retake> {
        Vec::new()
    }

    /// Measures a map, which is neither flat nor holds a number that is not finite.
    ///
    /// # Errors
    /// Why there is no value.
    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason>;

    /// Returns the value of many images together: by default the mean of their values; `None` of none.
    fn summarize(&self, measured: &[&Measurement]) -> Option<f64> {
        let sum: f64 = measured.iter().map(|measured| measured.value).sum();
        (!measured.is_empty()).then(|| sum / measured.len() as f64)
    }

    /// Returns the same metric with another number of steps; `None` if it has no steps.
    fn with_steps(&self, _steps: usize) -> Option<Box<dyn Metric>> {
        None
    }

    /// Returns the same metric with another baseline; `None` if it has none.
    fn with_baseline(&self, _baseline: Baseline) -> Option<Box<dyn Metric>> {
        None
    }

    /// Returns the name that users type.
    fn name(&self) -> &'static str {
        self.info().name
    }

    /// Returns how many passes one map costs, if no other metric shares them: one for each changed copy and each retake, of which those
    /// of slow methods cost more.
    fn passes(&self) -> usize {
        self.changes().len() + self.retakes().len()
    }
}

/// What a metric is called, which direction is better, and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricInfo {
    /// What users type: `average-drop`.
    pub name: &'static str,
    /// What papers call it.
    pub title: &'static str,
    /// A link to the paper.
    pub paper: &'static str,
    /// What it is about.
    pub group: Group,
    /// Which direction is better.
    pub better: Better,
    /// What it needs beside the map.
    pub needs: Needs,
    /// Whether it is measured where no metric is named.
    pub by_default: bool,
    /// Whether its value is a correlation with what a map must not depend on, which a limit is set for.
    pub is_limited: bool,
}

impl MetricInfo {
    /// Describes a metric that needs nothing but the map. What else it needs is added.
    pub const fn new(
        name: &'static str,
        title: &'static str,
        paper: &'static str,
        group: Group,
        better: Better,
    ) -> Self {
        let needs = Needs { truth: false, others: false, randomized: false, peers: false };
        Self { name, title, paper, group, better, needs, by_default: false, is_limited: false }
    }

    /// Is measured where no metric is named.
    pub const fn by_default(self) -> Self {
        Self { by_default: true, ..self }
    }

    /// Has a limit: its value is a correlation with what a map must not depend on.
    pub const fn limited(self) -> Self {
        Self { is_limited: true, ..self }
    }

    /// Needs to know where the object is.
    pub const fn truth(self) -> Self {
        Self { needs: Needs { truth: true, ..self.needs }, ..self }
    }

    /// Needs to know where objects of other classes are, too.
    pub const fn others(self) -> Self {
        Self { needs: Needs { truth: true, others: true, ..self.needs }, ..self }
    }

    /// Needs the model with random parameters.
    pub const fn randomized(self) -> Self {
        Self { needs: Needs { randomized: true, ..self.needs }, ..self }
    }

    /// Needs the maps of other methods.
    pub const fn peers(self) -> Self {
        Self { needs: Needs { peers: true, ..self.needs }, ..self }
    }
}

/// What a metric needs beside the map and the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// Where the object is.
    pub truth: bool,
    /// Where objects of other classes are.
    pub others: bool,
    /// The model with random parameters.
    pub randomized: bool,
    /// The maps of other methods.
    pub peers: bool,
}

/// What a metric is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Group {
    /// Whether the score depends on what the map shows.
    Faithfulness,
    /// Whether the map is on the object.
    Localization,
    /// What the map looks like.
    Form,
    /// Whether the map depends on the model and on the class at all.
    Sanity,
    /// Whether the map stays the same where it should.
    Stability,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faithfulness => "faithfulness",
            Self::Localization => "localization",
            Self::Form => "form",
            Self::Sanity => "sanity",
            Self::Stability => "stability",
        })
    }
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Better {
    /// Higher values.
    Higher,
    /// Lower values.
    Lower,
}

impl Better {
    /// Returns whether one value is better than another.
    pub fn prefers(self, one: f64, other: f64) -> bool {
        match self {
            Self::Higher => one > other,
            Self::Lower => one < other,
        }
    }

    /// Returns an arrow that points to where it is better.
    pub fn arrow(self) -> char {
        match self {
            Self::Higher => '↑',
            Self::Lower => '↓',
        }
    }
}

/// The value of a metric for one map, and what it is made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measurement {
    /// The value.
    pub value: f64,
    /// What the value of many images is made of: a curve, a histogram. Empty for most metrics.
    pub parts: Vec<f32>,
}

impl From<f64> for Measurement {
    fn from(value: f64) -> Self {
        Self { value, parts: Vec::new() }
    }
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// All values of the map are equal.
    #[error("the map is flat")]
    FlatMap,
    /// A value of the map is NaN or infinite.
    #[error("the map holds NaN or infinity")]
    NonFiniteMap,
    /// Nobody knows where the object is.
    #[error("there is no truth for the image")]
    NoTruth,
    /// The object is outside of what the model sees, or smaller than a pixel.
    #[error("the truth is empty")]
    EmptyTruth,
    /// There is no object of another class.
    #[error("there is no object of another class")]
    OneClass,
    /// The score of a copy is NaN or infinite.
    #[error("a score is NaN or infinite")]
    NonFiniteScore,
    /// What the value is divided by is zero.
    #[error("the score of the plain image leaves nothing to compare with")]
    NothingToCompare,
    /// A correlation with something that is the same everywhere.
    #[error("what the map is compared with is flat")]
    FlatComparison,
    /// Another map, which it is compared with, could not be made.
    #[error("the map that it is compared with cannot be made")]
    NoRetake,
    /// There are no maps of other methods.
    #[error("there is no map of another method")]
    NoPeers,
    /// The metric asked for a copy or a retake that it has not named.
    #[error("the metric asks for what it has not declared")]
    Undeclared,
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Another map of the same kind: by the same method at the same layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retake {
    /// Of the input times the map.
    Masked,
    /// Of the input with noise, uniform in plus or minus 0.02 of its standard deviation's units; the number is the stream of the noise.
    Noisy(u32),
    /// Of the mirrored input, mirrored back.
    Mirrored,
    /// Of another class, the least likely one.
    OtherClass,
    /// Of the model with random parameters in the last layers, so many of [`STAGES`](Self::STAGES): cascading from the output down.
    Cascading(u32),
    /// Of the model with random parameters in one stage of [`STAGES`](Self::STAGES) only; 0 is at the output.
    Independent(u32),
}

impl Retake {
    /// The stages that a model is divided into when its parameters are randomized.
    pub const STAGES: u32 = 4;
}

/// The scores of one changed copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// The score that the map explains, such as a logit.
    pub score: f64,
    /// How confident the model is: a probability where there is one.
    pub confidence: f64,
}

/// A map under measurement, and all that is known about it.
#[non_exhaustive]
pub struct Subject<'a> {
    /// The map at the size of the input, scaled to 0..1.
    pub map: &'a Map,
    /// The input.
    pub pixels: &'a Pixels,
    /// Where the object is.
    pub truth: Option<&'a Truth>,
    /// The maps of other methods for the same class.
    pub peers: &'a [&'a Map],
    pub(crate) plain: Scores,
    pub(crate) scores: &'a HashMap<String, Scores>,
    pub(crate) retakes: &'a HashMap<Retake, Result<Map, Reason>>,
}

impl Subject<'_> {
    /// Returns the scores of the plain input.
    pub fn plain(&self) -> Scores {
        self.plain
    }

    /// Returns the scores of a changed copy.
    ///
    /// # Errors
    /// [`Reason::NonFiniteScore`]; [`Reason::Undeclared`] if [`Metric::changes`] does not name it.
    pub fn scores(&self, change: &Change) -> Result<Scores, Reason> {
        let scores = match change.is_plain() {
            true => self.plain,
            false => *self.scores.get(change.key()).ok_or(Reason::Undeclared)?,
        };
        match scores.score.is_finite() && scores.confidence.is_finite() {
            true => Ok(scores),
            false => Err(Reason::NonFiniteScore),
        }
    }

    /// Returns another map of the same kind, scaled to 0..1.
    ///
    /// # Errors
    /// Why there is none; [`Reason::Undeclared`] if [`Metric::retakes`] does not name it.
    pub fn retake(&self, retake: Retake) -> Result<&Map, Reason> {
        self.retakes.get(&retake).ok_or(Reason::Undeclared)?.as_ref().map_err(|reason| *reason)
    }

    /// Returns where the object is, of at least one pixel.
    ///
    /// # Errors
    /// [`Reason::NoTruth`] and [`Reason::EmptyTruth`].
    pub fn asked(&self) -> Result<&crate::Mask, Reason> {
        self.truth.ok_or(Reason::NoTruth)?.asked()
    }
}
