//! How maps are painted over their images.

use crate::report::failure::Failure;
use crate::report::painter::Painter;
use burn_cam::ColorMap;
use burn_cam::draw::{Mode, Threshold};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

/// How maps are painted.
#[derive(clap::Args, Serialize)]
#[group(id = "overlay_args")]
#[command(next_help_heading = "Look")]
pub struct OverlayArgs {
    /// How a map is drawn over its image
    #[arg(long, help = overlay_help(), hide_possible_values = true, value_name = "MODE", default_value = Mode::default().name(), value_parser = modes())]
    pub overlay: String,
    /// The colors of the maps [default: turbo; of both signs red-blue]
    #[arg(long, hide_short_help = true, value_name = "NAME", value_parser = PossibleValuesParser::new(ColorMap::ALL.map(ColorMap::name)))]
    pub colormap: Option<String>,
    /// How opaque the map is, 0 to 1 [default: 0.7 at the largest value for alpha, 0.5 for blend]
    #[arg(long, hide_short_help = true, value_name = "A", value_parser = share)]
    pub alpha: Option<f32>,
    /// The least value of a hot pixel, for the overlays mask and box: 0 to 1, or `otsu`, which determines it for each map
    /// [default: 0.5]
    #[arg(long, hide_short_help = true, value_name = "T|otsu", value_parser = threshold)]
    pub threshold: Option<String>,
}

/// Returns the help of `--overlay`, with the names of the modes.
fn overlay_help() -> String {
    format!("How a map is drawn: {}", Mode::ALL.map(Mode::name).join(", "))
}

fn modes() -> PossibleValuesParser {
    PossibleValuesParser::new(Mode::ALL.map(|mode| PossibleValue::new(mode.name()).help(mode.help())))
}

pub fn share(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| "a number from 0 to 1".into())
}

fn threshold(text: &str) -> Result<String, String> {
    let within = |threshold: &Threshold| match threshold {
        Threshold::Value(value) => (0.0..=1.0).contains(value),
        _ => true,
    };
    text.parse()
        .ok()
        .filter(within)
        .map(|_| text.into())
        .ok_or_else(|| "a number from 0 to 1, or otsu".into())
}

impl OverlayArgs {
    /// Returns the painter of maps that are `signed` or not.
    pub fn painter(&self, signed: bool) -> Result<Painter, Failure> {
        let mode: Mode = self.overlay.parse().map_err(burn_cam::Error::Viz)?;
        let colors = match &self.colormap {
            Some(name) => name.parse().map_err(burn_cam::Error::Viz)?,
            None if signed => ColorMap::RedBlue,
            None => ColorMap::default(),
        };
        if signed && !colors.is_diverging() {
            return Err(Failure::Usage(
                "evidence for and against (`--sign both`) needs colors for both signs: `--colormap red-blue`"
                    .into(),
            ));
        }
        let threshold = self
            .threshold
            .as_ref()
            .map(|threshold| threshold.parse())
            .transpose()
            .map_err(burn_cam::Error::Viz)?;
        if threshold.is_some() && !matches!(mode, Mode::Mask | Mode::Box) {
            return Err(Failure::Usage("`--threshold` is for `--overlay mask` and `--overlay box`".into()));
        }
        Ok(Painter::new(mode, colors, self.alpha, threshold.unwrap_or_default()))
    }
}
