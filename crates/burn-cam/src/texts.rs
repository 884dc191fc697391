//! The decoder of an embedding that is compared with those of texts.

use crate::decoder::name_of;
use crate::embed::Cosine;
use crate::{AnyTarget, Decoder, Error, Prediction};
use burn::Tensor;
use cam_core::{Goal, Ranked, Rows, Target};
use cam_image::class_named;
use std::borrow::Cow;
use std::sync::Arc;

/// The decoder of the embedding of an image, `[batch, features]`, by a model of images and texts, CLIP or SigLIP: how well each of some
/// texts fits the image. By default each text is explained, and texts are encoded once, whatever the number of images. CLIP is
/// [arXiv:2103.00020](https://arxiv.org/abs/2103.00020), SigLIP [arXiv:2303.15343](https://arxiv.org/abs/2303.15343).
///
/// The score of a text is the cosine of both embeddings. Its probability is the softmax over all texts of the scaled cosines
/// ([`softmax`](Self::softmax), CLIP), or the sigmoid of its own ([`sigmoid`](Self::sigmoid), SigLIP). A softmax over one text says nothing:
/// there the probability is the cosine, and never below 0.
///
/// ```
/// use burn_cam::{Decoder, Texts};
///
/// let [dog, cat] = [vec![3.0, 4.0], vec![4.0, -3.0]]; // embeddings of texts, by the text tower
/// let texts = Texts::softmax([("a dog", dog), ("a cat", cat)], 100.0);
/// let found = texts.predictions(&[&[0.0, 2.0]]);
/// assert_eq!((found[0].label.as_str(), found[0].score), ("a dog", 0.8));
/// assert!(found[0].probability > 0.99);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Texts {
    names: Arc<[String]>,
    embeddings: Vec<Arc<[f32]>>,
    scale: f32,
    /// What is added to a scaled cosine before a sigmoid; `None` for a softmax.
    bias: Option<f32>,
    against: Option<(String, Arc<[f32]>)>,
}

impl Texts {
    /// Creates a decoder of these texts and their embeddings, `[features]` each. If an embedding has another length than that of the image,
    /// explaining fails.
    ///
    /// - scale: what a cosine is multiplied with before a softmax over all texts
    pub fn softmax<N: Into<String>, E: Into<Arc<[f32]>>>(
        texts: impl IntoIterator<Item = (N, E)>,
        scale: f32,
    ) -> Self {
        let (names, embeddings): (Vec<String>, Vec<Arc<[f32]>>) =
            texts.into_iter().map(|(name, embedding)| (name.into(), embedding.into())).unzip();
        Self { names: names.into(), embeddings, scale, bias: None, against: None }
    }

    /// Creates a decoder of these texts and their embeddings, `[features]` each, of which any number can fit an image.
    ///
    /// - scale, bias: what a cosine is multiplied with before a sigmoid, and what is added to that
    pub fn sigmoid<N: Into<String>, E: Into<Arc<[f32]>>>(
        texts: impl IntoIterator<Item = (N, E)>,
        scale: f32,
        bias: f32,
    ) -> Self {
        Self { bias: Some(bias), ..Self::softmax(texts, scale) }
    }

    /// Returns the probability of each text from the cosines of all.
    fn probabilities(&self, cosines: &[f32]) -> Vec<f32> {
        match self.bias {
            Some(bias) => cosines.iter().map(|it| 1.0 / (1.0 + (-(self.scale * it + bias)).exp())).collect(),
            None if cosines.len() < 2 => cosines.iter().map(|cosine| cosine.clamp(0.0, 1.0)).collect(),
            None => {
                let most = cosines.iter().copied().fold(f32::MIN, f32::max);
                let powers: Vec<f32> = cosines.iter().map(|it| (self.scale * (it - most)).exp()).collect();
                let sum: f32 = powers.iter().sum();
                powers.into_iter().map(|power| power / sum).collect()
            }
        }
    }

    /// Sets a text that each of the others is asked against: why is it a dog, and not a wolf? The score that is explained is the difference of
    /// both cosines.
    pub fn against(self, name: impl Into<String>, embedding: impl Into<Arc<[f32]>>) -> Self {
        Self { against: Some((name.into(), embedding.into())), ..self }
    }

    fn target_of(&self, text: usize) -> AnyTarget {
        let cosine = |other: &Arc<[f32]>| Cosine(Arc::clone(other));
        let of = cosine(&self.embeddings[text]);
        match &self.against {
            None => AnyTarget::new(of),
            Some((_, other)) => AnyTarget::new(Against([of, cosine(other)])),
        }
    }
}

/// How much better one text fits than another: the difference of two scores.
struct Against([Cosine; 2]);

impl Target for Against {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, cam_core::Error> {
        let [of, against] = [self.0[0].resolve(output)?, self.0[1].resolve(output)?];
        Ok(Goal::new(move |output: &Tensor<2>, rows| of.score(output, rows) - against.score(output, rows)))
    }
}

/// The text of a rank in each image.
struct RankedText {
    texts: Vec<AnyTarget>,
    rank: usize,
}

impl Target for RankedText {
    /// # Errors
    /// [`cam_core::Error::ConceptSize`] if an embedding has not as many numbers; [`cam_core::Error::UnknownClass`] if there are fewer texts.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, cam_core::Error> {
        let goals: Vec<Goal> =
            self.texts.iter().map(|text| text.resolve(output)).collect::<Result<_, _>>()?;
        if self.rank >= goals.len() {
            return Err(cam_core::Error::UnknownClass { asked: self.rank, classes: goals.len() });
        }
        let scores = move |output: &Tensor<2>| {
            let all = goals.iter().map(|goal| goal.score(output, Rows::All).unsqueeze_dim::<2>(1));
            Tensor::cat(all.collect(), 1)
        };
        // Which text has the rank is settled on this output.
        let ranked = Ranked(self.rank).resolve(&scores(output))?;
        Ok(Goal::new(move |output: &Tensor<2>, rows| ranked.score(&scores(output), rows)))
    }
}

impl Decoder for Texts {
    fn name(&self) -> &'static str {
        "texts"
    }

    fn check(&self) -> Result<(), Error> {
        if self.names.is_empty() { Err(Error::NothingToCompare) } else { Ok(()) }
    }

    fn parts(&self, output: &Tensor<2>) -> Result<Vec<Tensor<2>>, Error> {
        self.check()?;
        let [_, expected] = output.dims();
        let against = self.against.iter().map(|(_, embedding)| embedding);
        match self.embeddings.iter().chain(against).map(|it| it.len()).find(|found| *found != expected) {
            None => Ok(vec![output.clone().inner()]),
            Some(found) => Err(cam_core::Error::ConceptSize { found, expected }.into()),
        }
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction> {
        let own = parts.first().copied().unwrap_or_default();
        let cosines: Vec<f32> = self.embeddings.iter().map(|it| crate::embed::cosine(own, it)).collect();
        let probabilities = self.probabilities(&cosines);
        let prediction = |text| {
            Prediction::new(text, self.label(text), cosines[text], probabilities[text], self.target_of(text))
        };
        let mut predictions: Vec<Prediction> = (0..cosines.len()).map(prediction).collect();
        predictions.sort_by(|a, b| b.score.total_cmp(&a.score));
        predictions
    }

    fn target(&self, name: &str) -> Result<AnyTarget, Error> {
        Ok(self.target_of(self.class(name)?))
    }

    fn ranked(&self, rank: usize) -> AnyTarget {
        AnyTarget::new(RankedText {
            texts: (0..self.names.len()).map(|text| self.target_of(text)).collect(),
            rank,
        })
    }

    fn label(&self, class: usize) -> Cow<'_, str> {
        match &self.against {
            Some((other, _)) => format!("{}, not {other}", name_of(&self.names, class)).into(),
            None => name_of(&self.names, class),
        }
    }

    fn classes(&self) -> Option<usize> {
        Some(self.names.len())
    }

    fn explained(&self, predictions: &[Prediction]) -> usize {
        predictions.len()
    }

    fn explains_several(&self) -> bool {
        self.names.len() > 1
    }

    fn method(&self) -> Option<&'static str> {
        Some("legrad")
    }

    fn class(&self, name: &str) -> Result<usize, Error> {
        Ok(class_named(&self.names, name)?)
    }
}
