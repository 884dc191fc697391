//! What is asked of the predictions of an image, where these have places: which of them, and what of each.

use crate::{Decoder, Error, Mask, Part, Prediction};
use std::sync::Arc;

/// Which predictions of an image are explained. Coordinates are in pixels of the image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Ask {
    /// This many, the most confident first.
    Top(usize),
    /// Those of a class, by its name or number.
    Class(String),
    /// The most confident at a point: x, y.
    At([f32; 2]),
    /// What a detector should find: a class, and left, top, right, bottom of its box.
    Expect {
        /// The class, by its name or number.
        class: String,
        /// Left, top, right, bottom.
        bounds: [f32; 4],
    },
    /// A class in a region of the image, of a segmentation.
    Within {
        /// The region, one value for each pixel of the image.
        mask: Arc<Mask>,
        /// The class, by its name or number; by default the one that most of the region has.
        class: Option<String>,
    },
}

/// What of a prediction is explained.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Aspect {
    /// Its score, or an edge of its box.
    pub part: Part,
    /// The class that it is compared with, by its name or number: why this and not that?
    pub against: Option<String>,
    /// Whether a box is searched again in every pass, by its place and all its scores: for passes of masked images, as in D-RISE.
    pub again: bool,
}

impl Aspect {
    /// Returns whether the score itself is asked for.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the predictions that are asked for, each with the target of this aspect. Coordinates are in pixels of the input.
pub(crate) fn answer<O: 'static>(
    decoder: &dyn Decoder<O>,
    ask: &Ask,
    aspect: &Aspect,
    parts: &[&[f32]],
    predictions: &[Prediction<O>],
) -> Result<Vec<Prediction<O>>, Error> {
    let found: Vec<Prediction<O>> = match ask {
        Ask::Top(count) => predictions.iter().take(*count).cloned().collect(),
        Ask::Class(name) => {
            let class = decoder.class(name)?;
            predictions.iter().filter(|prediction| prediction.class == class).cloned().collect()
        }
        Ask::At(point) => decoder.at(*point, parts, predictions).into_iter().collect(),
        Ask::Expect { class, bounds } => vec![decoder.expected(decoder.class(class)?, *bounds)?],
        Ask::Within { mask, class } => {
            let class = class.as_deref().map(|name| decoder.class(name)).transpose()?;
            vec![decoder.within(mask, class, parts)?]
        }
    };
    let asked = |prediction: Prediction<O>| {
        let target = decoder.aspect(&prediction, aspect)?;
        Ok(prediction.with_target(target))
    };
    found.into_iter().map(asked).collect()
}
