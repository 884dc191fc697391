//! What a reader of a map should know, as data.

use std::fmt;

/// Something that makes a map mean less than it seems to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl Warning {
    /// The warnings of one map, from the range of its raw values and the largest magnitude that was kept.
    pub(crate) fn of(finite: bool, range: f32, kept: f32) -> Vec<Self> {
        match (finite, range == 0.0, kept == 0.0) {
            (false, ..) => vec![Self::NonFinite],
            (_, true, true) => vec![Self::NoEvidence],
            (_, true, false) => vec![Self::Flat],
            (_, false, true) => vec![Self::NothingKept],
            (_, false, false) => vec![],
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonFinite => "the map holds NaN or infinity",
            Self::NoEvidence => "the map is zero everywhere: the score does not change with this layer",
            Self::NothingKept => "there is no evidence of this sign: all of it speaks the other way",
            Self::Flat => "the map has one value everywhere: it points nowhere",
        })
    }
}
