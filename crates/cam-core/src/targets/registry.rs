//! The built-in ways to turn the logit of a class into a score.

use super::{BoxedTarget, Finer, LogOdds, Sigmoid, Softmax};
use crate::Error;

/// A way to turn the logit of a class into the score that is explained. Lists and help follow from it.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Rows, Target, target_named};
///
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &Device::flex());
/// let target = (target_named("softmax")?.build)(Box::new(Class(1)));
/// let score = target.resolve(&logits)?.score(&logits, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [0.5]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct TargetInfo {
    /// The name that users type.
    pub name: &'static str,
    /// The name that its paper uses.
    pub title: &'static str,
    /// What the score is, as a phrase without a full stop.
    pub about: &'static str,
    /// A link to where it is published; empty if it needs no paper.
    pub paper: &'static str,
    /// Makes the score of a target that asks for a class.
    pub build: fn(BoxedTarget) -> BoxedTarget,
    /// Whether it is a probability among all classes, which presumes that they exclude each other.
    pub exclusive: bool,
}

impl TargetInfo {
    /// Describes a way to turn the logit of a class into a score.
    pub const fn new(
        name: &'static str,
        title: &'static str,
        about: &'static str,
        paper: &'static str,
        build: fn(BoxedTarget) -> BoxedTarget,
    ) -> Self {
        Self { name, title, about, paper, build, exclusive: false }
    }

    /// Declares that the score is a probability among all classes, which presumes that they exclude each other.
    pub const fn exclusive(self) -> Self {
        Self { exclusive: true, ..self }
    }
}

/// All built-in ways to turn the logit of a class into a score; the first is the default.
pub static TARGETS: &[TargetInfo] = &[
    TargetInfo::new("logit", "Logit", "the logit of the class", "", |class| class),
    TargetInfo::new("softmax", "Softmax", "the probability of the class", "", |class| {
        Box::new(Softmax(class))
    })
    .exclusive(),
    TargetInfo::new(
        "sigmoid",
        "Sigmoid",
        "the probability of the class, where classes do not exclude each other",
        "",
        |class| Box::new(Sigmoid(class)),
    ),
    TargetInfo::new(
        "log-odds",
        "ReST",
        "the logit of the class plus its log-probability",
        "https://arxiv.org/abs/2501.06261",
        |class| Box::new(LogOdds(class)),
    )
    .exclusive(),
    TargetInfo::new(
        "finer",
        "Finer-CAM",
        "the class against the three most similar classes",
        "https://arxiv.org/abs/2501.11309",
        |class| Box::new(Finer::paper(class)),
    ),
];

/// Returns the entry of [`TARGETS`] with this name.
///
/// # Errors
/// [`Error::UnknownTarget`] with the names of all targets.
pub fn target_named(name: &str) -> Result<&'static TargetInfo, Error> {
    TARGETS.iter().find(|target| target.name == name).ok_or_else(|| Error::UnknownTarget {
        asked: name.into(),
        known: TARGETS.iter().map(|target| target.name.into()).collect(),
    })
}
