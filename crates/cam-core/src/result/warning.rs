//! What a reader of a map should know, as data.

use super::map_stats::NUMBERS;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A reason why a map means less than it seems to.
///
/// It serializes to its name, `"no_evidence"`, or to its name and numbers: `{"dead_channels": {"dead": 60, "channels": 64}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The raw map holds NaN or infinity.
    NonFinite,
    /// The raw map is zero everywhere: the score does not change with this layer.
    NoEvidence,
    /// No evidence of the sign that was asked for: all of it has the other sign.
    NothingKept,
    /// The raw map has the same value everywhere.
    Flat,
    /// Nearly all channels of the layer are zero everywhere.
    DeadChannels {
        /// Channels that are zero everywhere.
        dead: usize,
        /// Channels of the layer.
        channels: usize,
    },
    /// The score is a probability close to 1, where its gradient vanishes.
    Saturated,
    /// The rows and columns of the layer are not in the proportion of those of the input, so one of them is probably not what its layout says.
    Proportions {
        /// Rows and columns of the layer.
        grid: [usize; 2],
        /// Rows and columns of the input.
        input: [usize; 2],
    },
    /// Tokens with outlying norms hold more than a tenth of the heat: artifacts of vision transformers
    /// ([arXiv:2309.16588](https://arxiv.org/abs/2309.16588)), which [`omit_outliers`](crate::Explainer::omit_outliers) leaves out.
    OutlyingTokens {
        /// Tokens whose norm exceeds the median by ten median deviations.
        outlying: usize,
        /// Tokens of the layer.
        tokens: usize,
        /// The share of the heat that they hold, in percent.
        percent: u8,
    },
    /// The evidence should sum to a difference of scores, and is off by more than a twentieth of it: the gradient changes within the steps of the
    /// integral.
    Incomplete {
        /// By how much it is off, in percent.
        percent: u32,
    },
    /// The model has one output, and the top class of several was asked for: it is that output, whatever its value.
    OneOutput,
    /// The outputs are taken for logits, and are between 0 and 1 with a sum of 1: they are probably probabilities already.
    Probabilities,
    /// The outputs are stated to be probabilities, and some are not between 0 and 1.
    NoProbabilities,
}

/// The share of dead channels above which there is a warning. Layers after a ReLU have many dead channels for any image.
const DEAD: f32 = 0.9;

/// The probability above which a softmax is saturated: its gradient is below a ten thousandth of that of the logit.
const SATURATED: f32 = 1.0 - 1e-4;

/// The share of the heat above which outlying tokens are warned of.
const HELD: f64 = 0.1;

/// The share of a difference of scores that evidence may leave out.
const LEFT_OUT: f32 = 0.05;

/// How many times as long as the input, for its width, a grid may be, give or take a row and a column.
const LONGER: f64 = 1.5;

impl Warning {
    /// Returns the warning that a layer has not the proportions of the input. Signals and volumes have none.
    pub(crate) fn of_proportions(grid: &[usize], input: &[usize]) -> Option<Self> {
        let (&[rows, columns], &[height, width]) = (grid, input) else { return None };
        let is_longer = |[long, short]: [usize; 2], [input_long, input_short]: [usize; 2]| {
            let [long, short] = [long.saturating_sub(1) as f64, (short + 1) as f64];
            long * input_short as f64 > LONGER * short * input_long as f64
        };
        let is_off =
            is_longer([rows, columns], [height, width]) || is_longer([columns, rows], [width, height]);
        is_off.then_some(Self::Proportions { grid: [rows, columns], input: [height, width] })
    }

    /// Returns the warning that outlying tokens hold much of the kept evidence of a map.
    pub(super) fn of_outlying_tokens(kept: &[f32], outlying: &[bool]) -> Option<Self> {
        let heat =
            |values: &mut dyn Iterator<Item = &f32>| values.map(|value| f64::from(value.abs())).sum::<f64>();
        let held = heat(
            &mut kept.iter().zip(outlying).filter(|(_, is_outlying)| **is_outlying).map(|(value, _)| value),
        );
        let share = held / heat(&mut kept.iter());
        let count = outlying.iter().filter(|is_outlying| **is_outlying).count();
        let percent = (100.0 * share).round() as u8;
        (share > HELD).then_some(Self::OutlyingTokens { outlying: count, tokens: kept.len(), percent })
    }

    /// Makes the warnings of one map from zero if all is finite (NaN otherwise), the range of the raw map, the largest kept evidence, the
    /// number of dead channels, the score if it is a probability, and the share of the score that is left out.
    pub(super) fn from_stats(
        [finite, range, kept, dead, certainty, left_out]: [f32; NUMBERS],
        channels: usize,
    ) -> Vec<Self> {
        if finite != 0.0 {
            return vec![Self::NonFinite];
        }
        let of_map = match (range == 0.0, kept == 0.0) {
            (true, true) => Some(Self::NoEvidence),
            (true, false) => Some(Self::Flat),
            (false, true) => Some(Self::NothingKept),
            (false, false) => None,
        };
        let dead_channels = Self::DeadChannels { dead: dead as usize, channels };
        let of_layer = (dead > DEAD * channels as f32).then_some(dead_channels);
        let of_score = (certainty > SATURATED).then_some(Self::Saturated);
        let of_sum =
            (left_out > LEFT_OUT).then_some(Self::Incomplete { percent: (100.0 * left_out).round() as u32 });
        [of_map, of_layer, of_score, of_sum].into_iter().flatten().collect()
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
                f.write_str("there is no evidence of this sign: all of it has the other sign")
            }
            Self::Flat => f.write_str("the map has the same value everywhere"),
            Self::DeadChannels { dead, channels } => {
                write!(f, "{dead} of {channels} channels of the layer are zero everywhere")
            }
            Self::Saturated => {
                f.write_str("the probability is close to 1, where its gradient vanishes: explain the logit")
            }
            Self::Proportions { grid: [rows, columns], input: [height, width] } => write!(
                f,
                "the layer has {rows} x {columns} positions and the input {height} x {width}, which are other proportions: its layout is probably another"
            ),
            Self::OutlyingTokens { outlying, tokens, percent } => write!(
                f,
                "{outlying} of {tokens} tokens have outlying norms and hold {percent} % of the heat, which is an artifact of vision transformers (arXiv:2309.16588): `omit_outliers` (`--omit-outliers`) leaves them out"
            ),
            Self::Incomplete { percent } => write!(
                f,
                "the evidence does not sum to the difference of the scores of the input and the baseline, but is {percent} % of it off: take more steps"
            ),
            Self::OneOutput => f.write_str(
                "the model has one output, which is the top class whatever its value: explain `Value(0)`, or `Binary` for a class and its opposite",
            ),
            Self::Probabilities => f.write_str(
                "the outputs are taken for logits, but they add up to 1 as probabilities do: state `Logits::None` (`--logits none`), or better leave out the softmax at the end, where gradients vanish",
            ),
            Self::NoProbabilities => f.write_str(
                "the outputs are stated to be probabilities, and some are not between 0 and 1: state softmax or sigmoid (`--logits`)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_of_other_proportions_is_warned_of() {
        let is_warned =
            |grid: [usize; 2], input: [usize; 2]| Warning::of_proportions(&grid, &input).is_some();
        // Tokens that are taken for one row, or for a grid of other sides.
        for grid in [[1, 196], [196, 1], [7, 28], [49, 4]] {
            assert!(is_warned(grid, [224, 224]), "{grid:?}");
        }
        // Strides and borders round.
        for (grid, input) in
            [([14, 14], [224, 224]), ([7, 10], [224, 320]), ([1, 2], [32, 32]), ([3, 5], [96, 128])]
        {
            assert!(!is_warned(grid, input), "{grid:?}");
        }
        assert!(Warning::of_proportions(&[1], &[200]).is_none(), "signals have one axis");
    }
}
