//! Decoders of networks whose output is no class: embeddings, and numbers.

use crate::decoder::name_of;
use crate::{AnyTarget, Decoder, Error, Prediction};
use burn::Tensor;
use cam_core::{Class, Goal, Similarity, Target};
use cam_image::class_named;
use std::borrow::Cow;
use std::sync::Arc;

/// The decoder of an embedding, `[batch, features]`: how similar it is to another one, as the cosine of both.
///
/// [`ImageExplainer::like`](crate::ImageExplainer::like) takes the other one from an image.
///
/// ```
/// use burn_cam::{Decoder, Embed};
///
/// let decoder = Embed::like("a face", vec![3.0, 4.0]);
/// let found = decoder.predictions(&[&[0.0, 2.0]]);
/// assert_eq!((found[0].label.as_str(), found[0].score), ("like a face", 0.8));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Embed {
    name: String,
    other: Arc<[f32]>,
}

impl Embed {
    /// Creates a decoder that compares with this embedding of something with a name.
    pub fn like(name: impl Into<String>, other: impl Into<Arc<[f32]>>) -> Self {
        Self { name: name.into(), other: other.into() }
    }

    fn named(&self) -> String {
        format!("like {}", self.name)
    }
}

/// The cosine with a vector of numbers on the host.
pub(crate) struct Cosine(pub(crate) Arc<[f32]>);

/// Returns the cosine of two vectors of one length.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE);
    (dot(a, b) / lengths) as f32
}

impl Target for Cosine {
    /// # Errors
    /// [`cam_core::Error::ConceptSize`] if it has not as many numbers.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, cam_core::Error> {
        let [_, features] = output.dims();
        if self.0.len() != features {
            return Err(cam_core::Error::ConceptSize { found: self.0.len(), expected: features });
        }
        Similarity(Tensor::from_floats(&self.0[..], &output.device().without_autodiff())).resolve(output)
    }
}

impl Decoder for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn check(&self) -> Result<(), Error> {
        if self.other.is_empty() { Err(Error::NothingToCompare) } else { Ok(()) }
    }

    fn parts(&self, output: &Tensor<2>) -> Result<Vec<Tensor<2>>, Error> {
        self.check()?;
        let ([_, expected], found) = (output.dims(), self.other.len());
        match found == expected {
            true => Ok(vec![output.clone().inner()]),
            false => Err(cam_core::Error::ConceptSize { found, expected }.into()),
        }
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction> {
        let Some(own) = parts.first().filter(|own| own.len() == self.other.len()) else { return Vec::new() };
        let cosine = cosine(own, &self.other);
        vec![Prediction::new(
            0,
            self.named(),
            cosine,
            cosine.clamp(0.0, 1.0),
            Cosine(Arc::clone(&self.other)),
        )]
    }

    fn target(&self, name: &str) -> Result<AnyTarget, Error> {
        Err(Error::NotAsked { decoder: "embed", what: format!("the class `{name}`: it has none") })
    }

    fn ranked(&self, _rank: usize) -> AnyTarget {
        AnyTarget::new(Cosine(Arc::clone(&self.other)))
    }

    fn label(&self, _class: usize) -> Cow<'_, str> {
        self.named().into()
    }

    fn classes(&self) -> Option<usize> {
        Some(1)
    }
}

/// The decoder of numbers, `[batch, numbers]`: an age, a count, a position. Each is explained as it is, and evidence has both signs: what makes
/// it higher, and what makes it lower.
///
/// ```
/// use burn_cam::{Decoder, Regress};
///
/// let decoder = Regress::new(["age"]).unit("years");
/// let found = decoder.predictions(&[&[41.5]]);
/// assert_eq!((found[0].label.as_str(), found[0].score), ("age", 41.5));
/// assert_eq!(found[0].unit.as_deref(), Some("years"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Regress {
    labels: Arc<[String]>,
    unit: Arc<str>,
}

impl Regress {
    /// Creates a decoder of numbers with these names.
    pub fn new(labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), unit: "".into() }
    }

    /// Sets what they are in.
    pub fn unit(self, unit: impl Into<Arc<str>>) -> Self {
        Self { unit: unit.into(), ..self }
    }
}

impl Decoder for Regress {
    fn name(&self) -> &'static str {
        "regress"
    }

    fn parts(&self, output: &Tensor<2>) -> Result<Vec<Tensor<2>>, Error> {
        let ([_, classes], names) = (output.dims(), self.labels.len());
        match names == classes {
            true => Ok(vec![output.clone().inner()]),
            false => Err(Error::LabelCount { names, classes }),
        }
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction> {
        let numbers = parts.first().copied().unwrap_or_default().iter().enumerate();
        let prediction = |(class, number): (usize, &f32)| {
            let prediction = Prediction::new(class, self.label(class), *number, 0.0, Class(class));
            prediction.in_unit(Arc::clone(&self.unit))
        };
        numbers.map(prediction).collect()
    }

    fn target(&self, name: &str) -> Result<AnyTarget, Error> {
        Ok(AnyTarget::new(Class(class_named(&self.labels, name)?)))
    }

    fn ranked(&self, rank: usize) -> AnyTarget {
        AnyTarget::new(Class(rank))
    }

    fn label(&self, class: usize) -> Cow<'_, str> {
        name_of(&self.labels, class)
    }

    fn classes(&self) -> Option<usize> {
        Some(self.labels.len())
    }

    fn explained(&self, predictions: &[Prediction]) -> usize {
        predictions.len()
    }

    fn explains_several(&self) -> bool {
        self.labels.len() > 1
    }

    fn is_signed(&self) -> bool {
        true
    }
}
