//! How maps are painted over their photos.

use crate::failure::Failure;
use crate::maps::OneMap;
use crate::picture::Picture;
use cam_viz::{ColorBar, ColorMap, HeatMap, Mode, Overlay, RgbImage, Threshold};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

/// How maps are painted.
#[derive(clap::Args, Serialize)]
#[group(id = "painting")]
pub struct Asked {
    /// How a map lies over its photo
    #[arg(long, value_name = "MODE", default_value = Mode::default().name(), value_parser = modes())]
    pub overlay: String,
    /// The colors of the maps [default: viridis, and red-blue with `--sign both`]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(ColorMap::ALL.map(ColorMap::name)))]
    pub colormap: Option<String>,
    /// How opaque is what lies over the photo, 0 to 1 [default: 0.5 for blend]
    #[arg(long, value_name = "A", value_parser = share)]
    pub alpha: Option<f32>,
    /// From which value on a place is hot, for the overlays mask and box: 0 to 1, or `otsu`, which finds it for each map
    /// [default: 0.5]
    #[arg(long, value_name = "T|otsu", value_parser = threshold)]
    pub threshold: Option<String>,
}

fn modes() -> PossibleValuesParser {
    PossibleValuesParser::new(Mode::ALL.map(|mode| PossibleValue::new(mode.name()).help(mode.help())))
}

fn share(text: &str) -> Result<f32, String> {
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

/// The colors of spreads, which are none of a map's.
pub const SPREAD: ColorMap = ColorMap::Magma;

/// The numbers of those colors, where they go up to this value.
pub fn spread_bar(most: f32) -> ColorBar {
    ColorBar::from(SPREAD).range(0.0, most)
}

/// How maps are painted, made sure of.
pub struct Painter {
    pub mode: Mode,
    pub colors: ColorMap,
    alpha: Option<f32>,
    threshold: Threshold,
}

impl Asked {
    /// The painter of maps that are `signed` or not.
    pub fn painter(&self, signed: bool) -> Result<Painter, Failure> {
        let mode: Mode = self.overlay.parse()?;
        let colors = match &self.colormap {
            Some(name) => name.parse()?,
            None if signed => ColorMap::RedBlue,
            None => ColorMap::default(),
        };
        if signed && !colors.is_diverging() {
            return Err(Failure::Usage(
                "`--sign both` needs colors for both signs: `--colormap red-blue`".into(),
            ));
        }
        let threshold = self.threshold.as_ref().map(|threshold| threshold.parse()).transpose()?;
        if threshold.is_some() && !matches!(mode, Mode::Mask | Mode::Box) {
            return Err(Failure::Usage("`--threshold` is for `--overlay mask` and `--overlay box`".into()));
        }
        Ok(Painter { mode, colors, alpha: self.alpha, threshold: threshold.unwrap_or_default() })
    }
}

impl Painter {
    /// The photo with a map over it.
    pub fn paint(&self, picture: &Picture, map: &OneMap) -> Result<RgbImage, Failure> {
        Ok(self.over(picture).draw(&map.heat)?)
    }

    /// The photo with a spread over it, in colors that go up to this value.
    pub fn paint_spread(&self, picture: &Picture, spread: &HeatMap, most: f32) -> Result<RgbImage, Failure> {
        let overlay = Overlay::new(&picture.photo).colors(SPREAD).area(picture.area);
        Ok(overlay.draw(&spread.scaled(0.0, most))?)
    }

    /// The boxes that the overlay shows, the largest first: left, top, width and height in pixels of the photo.
    pub fn boxes(&self, picture: &Picture, map: &OneMap) -> Result<Option<Vec<[u32; 4]>>, Failure> {
        if self.mode != Mode::Box {
            return Ok(None);
        }
        let regions = self.over(picture).regions(&map.heat)?;
        let areas = regions.iter().map(|region| region.area);
        Ok(Some(areas.map(|area| [area.x, area.y, area.width, area.height]).collect()))
    }

    fn over<'a>(&self, picture: &'a Picture) -> Overlay<'a> {
        let overlay = Overlay::new(&picture.photo)
            .mode(self.mode)
            .colors(self.colors)
            .threshold(self.threshold)
            .area(picture.area);
        match self.alpha {
            Some(alpha) => overlay.alpha(alpha),
            None => overlay,
        }
    }
}
