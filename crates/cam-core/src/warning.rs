//! What a reader of a map should know, as data.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that makes a map mean less than it seems to.
///
/// Serialized it is its name, `"no_evidence"`, with numbers beside where it has some: `{"dead_channels": {"dead": 60, "channels": 64}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The raw map holds NaN or infinity.
    NonFinite,
    /// The raw map is zero everywhere: the score does not change with this layer.
    NoEvidence,
    /// Nothing of the kind that was asked for: all the evidence has the other sign.
    NothingKept,
    /// The raw map has the same value everywhere: it points nowhere.
    Flat,
    /// Nearly all channels of the layer are zero everywhere.
    DeadChannels {
        /// Channels that are zero everywhere.
        dead: usize,
        /// Channels of the layer.
        channels: usize,
    },
    /// The score is a probability next to 1, where its gradient vanishes.
    Saturated,
}

/// The share of channels above which their being dead is told. Layers behind a ReLU have many for any one picture.
const DEAD: f32 = 0.9;

/// The probability above which a softmax is saturated: its gradient is below a ten thousandth of that of the logit.
const SATURATED: f32 = 1.0 - 1e-4;

impl Warning {
    /// The warnings of one map: zero where all is finite (NaN otherwise), the range of the raw map, the largest kept evidence, the
    /// dead channels, and the score where it is a probability.
    pub(crate) fn of([finite, range, kept, dead, certainty]: [f32; 5], channels: usize) -> Vec<Self> {
        if finite != 0.0 {
            return vec![Self::NonFinite];
        }
        let of_the_map = match (range == 0.0, kept == 0.0) {
            (true, true) => Some(Self::NoEvidence),
            (true, false) => Some(Self::Flat),
            (false, true) => Some(Self::NothingKept),
            (false, false) => None,
        };
        let dead_channels = Self::DeadChannels { dead: dead as usize, channels };
        let of_the_layer = (dead > DEAD * channels as f32).then_some(dead_channels);
        let of_the_score = (certainty > SATURATED).then_some(Self::Saturated);
        [of_the_map, of_the_layer, of_the_score].into_iter().flatten().collect()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NonFinite => f.write_str("the map holds NaN or infinity"),
            Self::NoEvidence => {
                f.write_str("the map is zero everywhere: the score does not change with this layer")
            }
            Self::NothingKept => {
                f.write_str("there is no evidence of this sign: all of it speaks the other way")
            }
            Self::Flat => f.write_str("the map has one value everywhere: it points nowhere"),
            Self::DeadChannels { dead, channels } => {
                write!(f, "{dead} of {channels} channels of the layer are zero everywhere")
            }
            Self::Saturated => {
                f.write_str("the probability is next to 1, where its gradient vanishes: explain the logit")
            }
        }
    }
}
